"""Documents of the user's are read within bounds of time and memory."""

import pytest

from pipeline.data.formats import documents
from pipeline.errors import InputError


def laughs(count):
    """YAML in which each list holds the one before nine times."""
    lists = [f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]" for number in range(1, count)]
    return "\n".join(["a0: &a0 [1, 2]", *lists, f"kpt_shape: *a{count - 1}"])


HARMFUL = {
    "billion laughs": (laughs(12), "its aliases stand for too much"),
    "long text": (f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 1000)}]", "its aliases stand for too much"),
    "circle": ("a: &a [*a]", "it contains itself"),
    "circle of mappings": ("a: &a {b: {c: *a}}", "it contains itself"),
    "deep": ("[" * 3000, "not YAML"),
    "large": (f"a: {'x' * (1 << 20)}", "and label files of up to 1.0 MB are read"),
    "objects": ("!!python/object/apply:os.system [ls]", "line 1: not YAML"),
    "tag without value": ("!!int ''", "is not YAML"),
    "tag of another value": ("!!timestamp x", "is not YAML"),
    "text": ("a: [1", "line 1: not YAML"),
}


@pytest.mark.parametrize("harm", HARMFUL)
def test_harmful_yaml_is_refused(tmp_path, harm):
    """In one sentence, and before it fills the memory."""
    text, message = HARMFUL[harm]
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        documents.read_yaml(tmp_path / "data.yaml")
    assert str(caught.value).startswith(f"{tmp_path}/data.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_are_read(tmp_path):
    """Programs write them for a list that occurs twice."""
    (tmp_path / "data.yaml").write_text("a: &a [1, x]\nb: {0: *a, 1: *a}\n")
    assert documents.read_yaml(tmp_path / "data.yaml") == {"a": [1, "x"], "b": {0: [1, "x"], 1: [1, "x"]}}


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("objects", "[" + "[]," * 50 + "1]", documents.read_json),
        ("texts", "[" + '"a",' * 50 + "1]", documents.read_json),
        ("numbers", "[" + "1," * 120 + "1]", documents.read_json),
        ("elements", "<a>" + "<b/>" * 50 + "</a>", documents.read_xml),
        ("attributes", "<a " + " ".join(f"b{number}=''" for number in range(50)) + "/>", documents.read_xml),
    ],
)
def test_a_file_of_many_small_entries_is_refused(tmp_path, monkeypatch, name, text, read):
    """In memory each would need many times the bytes that it has in the file."""
    path = tmp_path / name
    path.write_text(text)
    read(path)
    monkeypatch.setattr(documents, "MOST_OBJECTS", 40)
    monkeypatch.setattr(documents, "MOST_VALUES", 100)
    with pytest.raises(InputError, match="has more than 40 entries, for which there may not be enough memory"):
        read(path)
