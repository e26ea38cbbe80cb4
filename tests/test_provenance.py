"""Keys: what changes the key of an artifact and what does not, and why two artifacts differ in provenance."""

import json
import os
import time

import pytest
from workplace import make

from pipeline import environment
from pipeline.errors import InputError
from pipeline.store.keys import provenance
from pipeline.store.workspace import digests, files

ALL = {"Draw", "Scale", "Guess", "Picture", "Total"}


def changed(before, after):
    """The addresses of the stages whose keys differ."""
    return {address for address in before if before[address] != after[address]}


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("deep", "  # a comment", ""),
        ("deep", '"""Two imports away from a stage."""', '"""Another docstring."""'),
        ("work", "values * factor * deep.UNIT", "(values\n        * factor * deep.UNIT)"),
        ("tasks", '"""Values of at most LIMIT."""', ""),
        ("tasks", "UNUSED = 1", "UNUSED = 2"),
        ("tasks", '"how many numbers"', '"the number of numbers"'),
        ("tasks", 'return {"scaled": Scale(), "guessed"', 'return {"scaled": Scale(), "guessed as well"'),
        ("unrelated", "VALUE = 1", "VALUE = 2"),
        ("store/layout", "LAYOUT = 1", "LAYOUT = 2"),
    ],
    ids=[
        "comment",
        "docstring",
        "formatting",
        "docstring removed",
        "unused constant",
        "description",
        "requires",
        "unrelated module",
        "store",
    ],
)
def test_what_does_not_matter_keeps_the_keys(workplace, module, old, new):
    """Comments, docstrings, formatting, unused code, the wiring and the store are not part of a key."""
    before = workplace.keys()
    workplace.edit(module, old, new)
    assert workplace.keys() == before


@pytest.mark.parametrize(
    ("module", "old", "new", "first"),
    [
        ("deep", "UNIT = 1.0", "UNIT = 1.5", ALL),
        ("work", "def scale(values", "def rescale(values", ALL),
        ("tasks", "LIMIT = 1e9", "LIMIT = 1e8", {"Scale", "Picture", "Total"}),
        ("tasks", "values.clip(-LIMIT, LIMIT)", "values.clip(0, LIMIT)", {"Scale", "Picture", "Total"}),
        ("tasks", "POWER = 1", "POWER = 2", {"Scale", "Picture", "Total"}),
        ("tasks", "self.factor**self.POWER", "self.factor", {"Scale", "Picture", "Total"}),
        ("tasks", '"{value}\\n"', '"{value};\\n"', {"Scale", "Picture", "Total"}),
        ("tasks", "self.save(total)", "self.save(+total)", {"Total"}),
        ("tasks", "self.save(self.input().load(work.Numbers))", "self.save(work.Numbers(1))", {"Picture"}),
    ],
    ids=["two imports away", "helper module", "constant", "function", "attribute", "inherited method", "run", "last run", "companion"],
)
def test_code_that_a_run_uses_renames_what_it_makes(workplace, module, old, new, first):
    """An edit changes the keys of the stages that use the code and of what is made from them, and no others. (All stages use work.)"""
    before = workplace.keys()
    workplace.edit(module, old, new)
    assert changed(before, workplace.keys()) == first


@pytest.mark.parametrize(
    "statement",
    [
        "from . import extra",
        "from .extra import VALUE",
        "from chainlet import extra",
        "from chainlet.extra import *",
        "import chainlet.extra as e",
    ],
)
def test_every_form_of_import_is_followed(workplace, statement):
    """An edit of a module is detected however the module is imported, also inside a function."""
    extra = workplace.root / "chainlet" / "extra.py"
    extra.write_text("VALUE = 1\n")
    workplace.edit("deep", "UNIT = 1.0", f"{statement}\nUNIT = 1.0")
    before = workplace.keys()
    extra.write_text("VALUE = 2\n")
    assert changed(before, workplace.keys()) == ALL


def test_imports_of_a_package_within_the_package_are_followed(workplace):
    """Code in the __init__ of a subpackage, and what it imports relatively, counts."""
    inner = workplace.root / "chainlet" / "inner"
    inner.mkdir()
    (inner / "__init__.py").write_text("from .leaf import VALUE\n")
    (inner / "leaf.py").write_text("from ..unrelated import VALUE\n")
    workplace.edit("tasks", 'work.hook("Guess")', "from chainlet.inner import VALUE")
    before = workplace.keys()
    workplace.edit("unrelated", "VALUE = 1", "VALUE = 2")
    assert changed(before, workplace.keys()) == {"Guess", "Total"}


def test_a_class_that_run_uses_counts(workplace):
    """A helper class in the module of a stage counts as code; another stage does not."""
    workplace.edit("tasks", "class Draw(Stage)", "class Helper:\n    SIZE = 1\n\n\nclass Draw(Stage)")
    workplace.edit("tasks", 'work.hook("Guess")', "assert Helper and Total")
    before = workplace.keys()
    workplace.edit("tasks", "SIZE = 1", "SIZE = 2")
    assert changed(before, workplace.keys()) == {"Guess", "Total"}
    before = workplace.keys()
    workplace.edit("tasks", "self.save(total)", "self.save(+total)")
    assert changed(before, workplace.keys()) == {"Total"}


def test_a_parameter_renames_this_stage_and_what_follows(workplace):
    """A value from luigi.cfg and one passed as an argument count alike; equal values in different notation are equal."""
    before = workplace.keys()
    scaled = workplace.chain(overrides={"Scale": {"factor": 3}})
    after = {address: stage.key for address, stage in scaled.items()}
    assert changed(before, after) == {"Scale", "Picture", "Total"}
    assert workplace.keys(overrides={"Scale": {"factor": "3.0"}}) == after
    assert workplace.keys(overrides={"Scale": {"factor": "2"}}) == before


def test_files_count_by_content(workplace):
    """A new modification time changes nothing, a single changed byte changes all keys, and so does a missing file."""
    before = workplace.keys()
    os.utime(workplace.numbers, (1, 1))
    assert workplace.keys() == before
    workplace.numbers.write_text("1 2 4\n")
    assert changed(before, workplace.keys()) == ALL
    workplace.numbers.unlink()
    assert changed(before, workplace.keys()) == ALL


def test_files_of_one_name_both_count(workplace):
    """Two files of the same name in two folders are two ingredients, and so are two variations of one stage."""
    workplace.edit(
        "tasks",
        'return {"numbers": ExternalFile(path=source().path, advice="Write some numbers into it.")}',
        'return [ExternalFile(path="numbers.txt"), ExternalFile(path="other/numbers.txt")]',
    )
    other = workplace.root / "other" / "numbers.txt"
    other.parent.mkdir()
    other.write_text("5")
    before = workplace.chain()
    assert before["Draw"].provenance["files"].keys() == {"numbers.txt", "numbers.txt #2"}
    other.write_text("6")
    assert changed({a: s.key for a, s in before.items()}, workplace.keys()) == ALL
    workplace.edit("tasks", '{"scaled": Scale(), "guessed": Guess()', '{"scaled": Scale(), "guessed": Scale(factor=1)')
    inputs = workplace.chain()["Total"].provenance["inputs"]
    assert inputs.keys() == {"Scale", "Scale #2"}
    assert len(set(inputs.values())) == 2


def test_a_module_imported_by_a_computed_name_counts_where_it_is_used(workplace):
    """Its code and what that imports are part of the key of the task that names it, and of no other task of the stage."""
    workplace.edit("unrelated", "VALUE = 1", "from chainlet import leaf\n\nVALUE = 1")
    (workplace.root / "chainlet" / "leaf.py").write_text("LEAF = 1\n")
    workplace.edit(
        "tasks",
        'work.hook("Guess")',
        'work.hook("Guess")\n\n    def used_modules(self):\n        return ("chainlet.unrelated",)',
    )
    before = workplace.chain()
    assert {"unrelated.py", "leaf.py"} <= before["Guess"].provenance["code"].keys()
    (workplace.root / "chainlet" / "leaf.py").write_text("LEAF = 2\n")
    assert changed({address: stage.key for address, stage in before.items()}, workplace.keys()) == {"Guess", "Total"}
    workplace.configure("[source]\npath = other.txt")


def test_tasks_of_a_stage_may_use_different_modules(workplace):
    """That one task imports another module than the one before it is no edit of the code."""
    workplace.edit(
        "tasks",
        'work.hook("Scale")',
        'work.hook("Scale")\n\n    def used_modules(self):\n        return ("chainlet.unrelated",) if self.factor > 2 else ()',
    )
    plain, other = (workplace.chain("Scale", overrides=overrides)["Scale"] for overrides in ({}, {"Scale": {"factor": 3}}))
    tasks = [plain, plain.clone(overrides={"Scale": {"factor": 3}})]
    assert [len(task.provenance["code"]) for task in tasks] == [len(plain.provenance["code"]), len(other.provenance["code"])]
    assert len(other.provenance["code"]) == len(plain.provenance["code"]) + 1
    assert [task.edits() for task in tasks] == [[], []]


def test_facts_count_where_a_stage_has_them(workplace):
    """They are part of the key; a stage without any has the provenance that it would have if there were no such thing."""
    before = workplace.chain()
    assert "facts" not in before["Guess"].provenance
    workplace.edit(
        "tasks",
        "    on_backend = True",
        '    on_backend = True\n\n    def facts(self):\n        return {"pairs": [("a", "b")], "flip": None}',
    )
    after = workplace.chain()
    assert changed(*({address: stage.key for address, stage in stages.items()} for stages in (before, after))) == {"Guess", "Total"}
    made = make(after["Total"]) or after["Guess"]
    assert made.edits() == []
    workplace.edit("tasks", '[("a", "b")], "flip": None', '[("a", "c")], "flip": 1')
    now = workplace.chain()["Guess"]
    from pipeline.store.hdf5 import artifacts

    then = artifacts.attributes(after["Guess"].path)["made_from"]
    assert provenance.differences(after["Guess"].provenance, then) == []
    assert provenance.differences(now.provenance, then) == ["flip null -> 1", 'pairs [["a", "b"]] -> [["a", "c"]]']


def test_the_backend_counts_where_it_is_used(workplace, monkeypatch):
    """The name and version of the backend are part of the keys of stages that train or predict, and of later ones."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(workplace.root))
    for name in environment.ARITHMETIC:
        monkeypatch.delenv(name, raising=False)
    before = workplace.chain()
    assert before["Guess"].provenance["backend"].keys() == {"backend", "keras", "tensorflow"}
    assert before["Draw"].provenance["backend"] == {}
    keys = {address: stage.key for address, stage in before.items()}
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert changed(keys, workplace.keys()) == {"Guess", "Total"}
    monkeypatch.delenv("KERAS_BACKEND")
    (workplace.root / "keras.json").write_text(json.dumps({"backend": "torch"}))
    assert workplace.chain()["Guess"].provenance["backend"]["backend"] == "torch"
    (workplace.root / "keras.json").unlink()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert changed(keys, workplace.keys()) == {"Guess", "Total"}
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    assert workplace.keys() == keys
    monkeypatch.setattr(provenance, "version", lambda package: "9.9")
    assert changed(keys, workplace.keys()) == {"Guess", "Total"}


def test_a_stage_whose_code_cannot_be_found_is_refused(workplace):
    """Without its source, the key would not cover the code."""
    workplace.edit("tasks", "class Guess(Stage)", "def hidden():\n    pass\n\n\nclass Guess(Stage)")
    workplace.edit("__init__", "__all__", "Guess.__qualname__ = 'Elsewhere'\n__all__")
    with pytest.raises(ValueError, match="must be a class at the top level of a module"):
        workplace.keys("Guess")


PROVENANCE = {
    "schema": 1,
    "parameters": {"seed": 0, "size": 3},
    "inputs": {"Draw": "k1"},
    "files": {"a.csv": "h1"},
    "code": {"work": "c1"},
    "backend": {"backend": "tensorflow", "keras": "3.15", "tensorflow": "2.21"},
}


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"parameters": {"seed": 7, "size": 3}}, ["seed 0 -> 7"]),
        ({"parameters": {"seed": 0, "width": 3}}, ["size is no longer used", "width is new"]),
        ({"facts": {"names": '["a"]', "mirror": "[]"}}, ["mirror is new", "names is new"]),
        ({"files": {"a.csv": "h2"}}, ["a.csv changed"]),
        ({"code": {"work": "c2", "deep": "c"}}, ["code of deep is new", "code of work changed"]),
        ({"code": {}}, ["code of work is no longer used"]),
        ({"backend": {"backend": "jax", "keras": "3.15", "jax": "0.7"}}, ["backend tensorflow -> jax"]),
        ({"backend": {**PROVENANCE["backend"], "keras": "3.16"}}, ["keras 3.15 -> 3.16"]),
        ({"backend": {**PROVENANCE["backend"], "XLA_FLAGS": "--a"}}, ["XLA_FLAGS is new"]),
        ({"inputs": {"Draw": "k2"}}, ["its input Draw changed"]),
        ({"schema": 2}, ["the file layout changed"]),
    ],
)
def test_differences_say_why(changes, reasons):
    """There is one line per changed ingredient."""
    assert provenance.differences({**PROVENANCE, **changes}, PROVENANCE) == reasons


@pytest.mark.parametrize(
    ("now", "then", "reasons"),
    [
        ("null", "[]", ["mirror [] -> null"]),
        (json.dumps(["a" * 80]), "[]", ["mirror changed"]),
        ("[]", "[]", []),
    ],
    ids=["short", "long", "equal"],
)
def test_differences_of_facts_show_their_values(now, then, reasons):
    """Unless they are too long for a line."""
    assert provenance.differences({"facts": {"mirror": now}}, {"facts": {"mirror": then}}) == reasons


def test_differences_of_a_real_artifact(workplace):
    """The provenance stored in an artifact can be compared with the current one, including its parameters."""
    stages = workplace.chain()
    make(stages["Total"])
    workplace.edit("deep", "UNIT = 1.0", "UNIT = 2.0")
    now = workplace.chain("Scale", overrides={"Scale": {"factor": 3}})["Scale"]
    from pipeline.store.hdf5 import artifacts

    then = artifacts.attributes(stages["Scale"].path)["made_from"]
    assert provenance.differences(now.provenance, then) == ["factor 2.0 -> 3.0", "code of deep.py changed", "its input Draw changed"]
    assert provenance.differences(stages["Scale"].provenance, then) == []


@pytest.fixture
def hashed(monkeypatch):
    """The paths of the files that were hashed."""
    paths = []
    monkeypatch.setattr(files, "sha256", lambda path, real=files.sha256: paths.append(path.name) or real(path))
    return paths


def test_checksums_of_files_are_remembered(tmp_path, hashed, monkeypatch):
    """By path, size, times and inode, in a file that outlives the process; a damaged cache is replaced."""
    monkeypatch.setattr(digests, "RECENT", -1)  # the file has just been written
    file, memory = tmp_path / "a.csv", tmp_path / "data"
    memory.mkdir()
    file.write_text("abc")
    os.utime(file, (1000, 1000))
    # SHA-256 of "abc": the first example of FIPS 180-4.
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert [digests.file_digest(file, memory) for _ in range(3)] == [digest] * 3
    assert hashed == ["a.csv"]
    for broken in ("[]", "{", '{"x": 1}'):
        (memory / digests.HASHES).write_text(broken)
        assert digests.file_digest(file, memory) == digest
    assert len(hashed) == 4
    for change in (lambda: os.utime(file, (2000, 2000)), lambda: _replace(file, "abc"), lambda: _replace(file, "abd")):
        change()
        assert (digests.file_digest(file, memory) == digest) == (file.read_text() == "abc")
    assert len(hashed) == 7


def test_an_edit_that_hides_itself_is_noticed(tmp_path, monkeypatch):
    """A program may edit a file in place and restore its modification time; size and inode are unchanged as well."""
    monkeypatch.setattr(digests, "RECENT", -1)
    file = tmp_path / "a.csv"
    file.write_text("abc")
    os.utime(file, (1000, 1000))
    before, known = file.stat(), digests.file_digest(file, tmp_path)
    time.sleep(0.05)  # longer than the kernel's clock stands still
    with file.open("r+") as edited:
        edited.write("abd")
    os.utime(file, (1000, 1000))
    assert [getattr(file.stat(), name) == getattr(before, name) for name in ("st_size", "st_mtime_ns", "st_ino")] == [True] * 3
    assert digests.file_digest(file, tmp_path) != known


def _replace(file, text):
    """A different inode with the same modification time is a different file."""
    new = file.with_suffix(".new")
    new.write_text(text)
    os.utime(new, (2000, 2000))
    new.replace(file)


def test_a_file_written_just_now_is_not_remembered(tmp_path, hashed):
    """The file can change again within the resolution of its modification time, without a change of size."""
    file = tmp_path / "a.csv"
    found = []
    for text in ("abc", "abd"):
        file.write_text(text)
        os.utime(file)
        found.append(digests.file_digest(file, tmp_path))
    assert len(set(found)) == 2
    assert not (tmp_path / digests.HASHES).exists()


def test_what_is_no_file(tmp_path, monkeypatch):
    """A missing file and a folder have a word instead of a digest; an unreadable file raises an error with its name."""
    assert digests.file_digest(tmp_path / "a.csv", tmp_path) == "missing"
    assert digests.file_digest(tmp_path, tmp_path) == "not a file"
    file = tmp_path / "b.csv"
    file.touch()

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "sha256", refuse)
    with pytest.raises(InputError, match=r"b\.csv cannot be read: permission denied"):
        digests.file_digest(file, tmp_path)


@pytest.fixture
def album(tmp_path, monkeypatch):
    """A folder with twenty old files, and their names."""
    monkeypatch.setattr(digests, "RECENT", -1)
    names = [f"some/{number}.png" for number in range(20)]
    (tmp_path / "data").mkdir()
    (tmp_path / "album" / "some").mkdir(parents=True)
    for name in names:
        (tmp_path / "album" / name).write_text(name)
    return tmp_path / "album", names


def test_many_files_have_one_digest(album, tmp_path):
    """It changes with the content or the name of any of them, and with none of the order, other files or the place of the folder."""
    folder, names = album
    before = digests.folder_digest(folder, names, tmp_path / "data")
    (folder / "other.png").write_text("")
    assert digests.folder_digest(folder, names[::-1], tmp_path / "data") == before
    moved = folder.rename(tmp_path / "moved")
    assert digests.folder_digest(moved, names, tmp_path / "data") == before
    assert digests.folder_digest(moved, names[1:], tmp_path / "data") != before
    (moved / names[7]).write_text("another content")
    assert digests.folder_digest(moved, names, tmp_path / "data") != before
    (moved / names[7]).write_text(names[7])
    assert digests.folder_digest(moved, names, tmp_path / "data") == before
    (moved / names[7]).rename(moved / "some" / "7a.png")
    assert digests.folder_digest(moved, [*names[:7], "some/7a.png", *names[8:]], tmp_path / "data") != before


def test_the_cache_is_written_once_for_many_files(album, tmp_path, hashed, monkeypatch):
    """Afterwards no file is read again, but for one that has changed."""
    folder, names = album
    written = []
    monkeypatch.setattr(digests.locks, "rewrite", lambda path, text, real=digests.locks.rewrite: written.append(path) or real(path, text))
    before = digests.folder_digest(folder, names, tmp_path / "data")
    assert digests.folder_digest(folder, names, tmp_path / "data") == before
    assert (len(written), len(hashed)) == (1, 20)
    (folder / names[3]).write_text("new")
    digests.folder_digest(folder, names, tmp_path / "data")
    assert (len(written), hashed[20:]) == (2, ["3.png"])
    assert digests.file_digest(folder / names[3], tmp_path / "data") == files.sha256(folder / names[3])


def test_a_missing_file_among_many_is_named(workplace):
    """A run ends with exit code 20 and says which file is missing; status says so too."""
    workplace.edit(
        "tasks",
        'return {"numbers": ExternalFile(path=source().path, advice="Write some numbers into it.")}',
        'return ExternalFiles(path=".", names=["numbers.txt", "more.txt"], called="texts", advice="Write some numbers into it.")',
    )
    workplace.edit("tasks", "import ExternalFile", "import ExternalFiles")
    ended = workplace.run("Draw")
    assert ended.returncode == 20
    assert "more.txt does not exist. Write some numbers into it." in ended.stdout + ended.stderr
    (workplace.root / "more.txt").touch()
    assert workplace.run("Draw").returncode == 0
    draw = workplace.chain("Draw")["Draw"]
    assert list(draw.provenance["files"]) == ["texts"]
    (workplace.root / "more.txt").write_text("1")
    assert workplace.keys("Draw")["Draw"] != draw.key
