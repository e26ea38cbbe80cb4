"""docs/keypoint-sets.md says what the code does, and the examples of keypoints.toml are sound."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from fresh import ROOT
from labelsets import SIZE, draw

from pipeline.data.formats import documents
from pipeline.data.formats.catalogue import FORMATS, format_module
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels, Reading
from pipeline.keypoints import file

PAGE = (ROOT / "docs" / "keypoint-sets.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples" / "keypoint-sets").glob("*.toml"))
LABELLED = {  # what the label files of these sets call their keypoints
    "cephalograms": tuple(map(str, range(1, 20))),
    "faces68": tuple(map(str, range(1, 69))),
    "fly-wings": tuple(map(str, range(1, 13))),
    "glue-tubes": ("1", "2"),
    "openfield": ("snout", "leftear", "rightear", "tailbase"),
}


def blocks(language: str) -> list[str]:
    """The blocks of code in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("name", FORMATS)
def test_the_table_of_formats_is_right(name):
    """Pixel convention, origin, boxes and the meaning of visibility are those of the format's module."""
    convention = format_module(name).CONVENTION
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    cells = [cell.strip() for cell in row.strip("|").split(" | ")][2:]
    origin = "lower left" if convention.upwards else "upper left"
    assert cells == [f"{convention.first:g}", origin, "yes" if convention.boxes else "no", convention.visibility]


def test_the_table_of_formats_is_in_the_order_of_preference():
    """The first of them is read if several are there."""
    assert tuple(re.findall(r"^\| `(\w+)` \| .* (?:upper|lower) left", PAGE, flags=re.MULTILINE)) == FORMATS


def test_every_key_of_keypoints_toml_has_an_example(tmp_path):
    """The example is valid, means what its comments say, and has every key that the file may have."""
    (example,) = blocks("toml")
    (tmp_path / "keypoints.toml").write_text(example, encoding="utf-8")
    found = file.read(tmp_path / "keypoints.toml")
    names = found.selection(("1", "2", "3", "4")).names
    keypointset = found.keypointset(names, title="other", mirror=None, groups={}, sources=("junior", "senior"))
    assert keypointset.name == "faces"
    assert keypointset.mirror == (("left_eye", "right_eye"),)
    assert keypointset.skeleton == (("left_eye", "nose"), ("nose", "right_eye"), ("nose", "chin"))
    assert keypointset.sources == {"senior": names, "junior": names[:3]}
    assert found.source_to_predict(keypointset.sources) == "senior"
    assert re.match(found.group_by, "film/a_12.png")[1] == "film/a"
    fields = {field.replace("_", "-") for field in file.KeypointFile.__dataclass_fields__} - {"path", "text", "predict"}
    assert set(tomllib.loads(example)) == fields


def test_the_format_in_the_document_works(tmp_path):
    """The module that shows how to add a format reads what it writes, in the convention that it states."""
    (source,) = blocks("python")
    given = {"np": np, "Path": Path, "documents": documents, "Folder": Folder, "Reading": Reading}
    module = {**given, "Convention": Convention, "Labels": Labels, "Instance": Instance, "LabelledImage": LabelledImage}
    exec(source, module)
    assert 15 <= len(source.splitlines()) <= 30
    draw(tmp_path, "a.png", "sub/b.png")
    own = [
        Instance(name, "1", np.array(points, np.float64), np.zeros(2, bool))
        for name, points in (("a.png", [(0.5, 0.5), (3.25, 4)]), ("sub/b.png", [SIZE, (7, 8)]))
    ]
    labels = Labels("points", (), ("1", "2"), tuple(LabelledImage(one.image) for one in own), tuple(own))
    module["write"](labels, Folder(tmp_path), tmp_path / "out")
    assert (tmp_path / "out" / "1.points").read_text() == "image a.png\n0.0 0.0\n2.75 3.5\n"
    folder = Folder(tmp_path)
    again = module["read"](folder, module["find"](folder), Reading())
    assert np.array_equal(again.keypoints(), labels.keypoints())
    assert [one.image for one in again.instances] == ["a.png", "sub/b.png"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_sound(path):
    """Each file in examples/keypoint-sets can be read, and fits the keypoints of its set."""
    found = file.read(path)
    assert found.name == path.stem
    labelled = LABELLED.get(path.stem) or tuple(name for members in found.groups.values() for name in members)
    names = found.selection(labelled).names
    groups = {"all": names}
    sources = ("junior", "senior") if found.predict else ()
    keypointset = found.keypointset(names, title="", mirror=None, groups=groups, sources=sources)
    assert len(keypointset.names) == len(labelled)
    assert found.normaliser(names) or not found.normalise
    assert found.source_to_predict(keypointset.sources)


def test_the_mirror_pairs_of_faces68():
    """Those of 300-W: 29 pairs; the chin, the bridge of the nose and the middle of the lips have none."""
    found = file.read(ROOT / "examples" / "keypoint-sets" / "faces68.toml")
    pairs = found.pairs(LABELLED["faces68"])
    assert len(pairs) == 29
    alone = {int(name) for name in LABELLED["faces68"]} - {int(name) for pair in pairs for name in pair}
    assert alone == {9, 28, 29, 30, 31, 34, 52, 58, 63, 67}
    for one, other in (
        ("1", "17"),
        ("22", "23"),
        ("37", "46"),
        ("38", "45"),
        ("42", "47"),
        ("49", "55"),
        ("60", "56"),
        ("61", "65"),
        ("68", "66"),
    ):
        assert (one, other) in pairs
