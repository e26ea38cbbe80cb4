"""A drafted keypoints.toml means what was understood."""

from pathlib import Path

import pytest

from pipeline.keypoints import draft, file
from pipeline.keypoints.definition import KeypointSet

NAMES = ("left eye", 'a "quoted" one', "right eye", "3", "back\\slash")
SETS = {
    "pairs": KeypointSet("s", NAMES, (("left eye", "right eye"),), {"labels": NAMES}, {"all": NAMES}, (("3", "left eye"),)),
    "nothing exchanged": KeypointSet("s", NAMES, (), {"labels": NAMES}, {"a": NAMES[:2], "b": NAMES[2:]}),
    "never mirrored": KeypointSet("s", NAMES, None, {"labels": NAMES}, {"all": NAMES}),
    "two annotators": KeypointSet("s", NAMES, (), {"junior.csv": NAMES, "senior.csv": NAMES}, {"all": NAMES}),
    "partial annotator": KeypointSet("s", NAMES, (), {"junior.csv": NAMES, "senior.csv": NAMES[:2]}, {"all": NAMES}),
    "many": KeypointSet(
        "s",
        tuple(map(str, range(1, 69))),
        (("1", "17"),),
        {"labels": tuple(map(str, range(1, 69)))},
        {"all": tuple(map(str, range(1, 69)))},
    ),
}
SAID = {
    "nothing": file.KeypointFile(),
    "a pair": file.KeypointFile(normalise=file.Normaliser(pair=(1, 3)), origin="lower-left"),
    "millimetres": file.KeypointFile(normalise=file.Normaliser(mm_per_pixel=0.2), group_by=r"(.*?)\d+", boxes="boxes.csv"),
    "a file": file.KeypointFile(normalise=file.Normaliser(file="lengths.csv"), detector="face"),
    "the box": file.KeypointFile(normalise=file.Normaliser(box=True)),
}


def read_again(keypointset: KeypointSet, said: file.KeypointFile, path: Path, predict: str = "") -> file.KeypointFile:
    """The values of the draft of a set."""
    text = draft.draft(keypointset, said=said, mirror="Nobody knows.", group_by={"by folder": r"(.*)/"}, predict=predict)
    (path / "keypoints.toml").write_text(text, encoding="utf-8")
    return file.read(path / "keypoints.toml")


@pytest.mark.parametrize("name", SETS)
def test_a_draft_means_the_same_set(name, tmp_path):
    """Read again, with other defaults than those that were understood, a draft gives the same set."""
    given = SETS[name]
    predict = next(iter(given.sources)) if len(given.sources) > 1 else ""
    found = read_again(given, file.KeypointFile(), tmp_path, predict)
    selected = found.selection(given.names)
    sources = tuple(given.sources) if len(given.sources) > 1 else ()
    other = found.keypointset(selected.names, title="other", mirror=None, groups={"other": given.names}, sources=sources)
    assert other == given
    assert selected.order == tuple(range(len(given.names)))
    assert found.predict == predict


@pytest.mark.parametrize("name", SAID)
def test_a_draft_keeps_what_was_said(name, tmp_path):
    """Normaliser, origin, detector, group-by and boxes of an earlier file are in the draft."""
    said, given = SAID[name], SETS["pairs"]
    found = read_again(given, said, tmp_path)
    assert found.normaliser(given.names) == said.normaliser(given.names)
    for key in ("origin", "detector", "group_by", "boxes"):
        assert getattr(found, key) == getattr(said, key)


def test_a_draft_suggests_groups_of_images(tmp_path):
    """What the names of images suggest is a comment, which becomes valid when its mark is removed."""
    read_again(SETS["pairs"], file.KeypointFile(), tmp_path)
    path = tmp_path / "keypoints.toml"
    text = path.read_text(encoding="utf-8")
    assert "# group-by = '(.*)/'    # by folder\n" in text
    path.write_text(text.replace("# group-by", "group-by"), encoding="utf-8")
    assert file.read(path).group_by == "(.*)/"
