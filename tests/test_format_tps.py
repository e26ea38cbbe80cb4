"""TPS files: landmarks by number, with the origin at the lower left."""

import numpy as np
import pytest
from PIL import Image

from pipeline.data.formats import tps
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Labels, Reading
from pipeline.errors import InputError

TWO = "LM=2\n3. 1.\n0. 10.\nIMAGE=a.png\nID=0\nLM=2\n5.5 2.25\n-1 -1\nIMAGE=b.png\nID=1\n"
SIZE = (20, 10)


@pytest.fixture
def folder(tmp_path) -> Folder:
    """A folder with two images of 20 x 10 pixels."""
    for name in ("a.png", "b.png"):
        Image.new("L", SIZE).save(tmp_path / name)
    return Folder(tmp_path)


def read(folder: Folder, text: str, upwards: bool | None = None) -> Labels:
    """The labels of a file with this text."""
    (folder.root / "wings.tps").write_bytes(text.encode())
    return tps.read(folder, ("wings.tps",), Reading(upwards=upwards))


def test_y_grows_upwards_and_0_is_the_edge(folder):
    """A landmark at y = 10 is on the upper edge of an image of ten rows, one at y = 1 is in its last row."""
    labels = read(folder, TWO)
    assert labels.names == ("1", "2")
    np.testing.assert_array_equal(labels.keypoints(), [[(3, 9), (0, 0)], [(5.5, 7.75), (np.nan, np.nan)]])
    assert [(each.image, each.id, each.box) for each in labels.instances] == [("a.png", "0", None), ("b.png", "1", None)]
    assert labels.notes == ("y is taken to grow upwards from the lower edge of the image, as tpsDig writes it.",)


def test_the_user_may_say_that_y_grows_downwards(folder):
    """Some programs write TPS files with the origin at the upper left."""
    labels = read(folder, TWO, upwards=False)
    np.testing.assert_array_equal(labels.instances[0].keypoints, [(3, 1), (0, 10)])
    assert labels.notes == ()


@pytest.mark.parametrize(
    "text",
    [
        TWO.replace("\n", "\r\n"),
        TWO.replace("\n", "\r"),
        TWO.replace(".", ",").replace(",png", ".png"),
        TWO.replace("LM=", "lm = ").replace("IMAGE", "image"),
        TWO.replace("-1 -1", "NA NA"),
        TWO.replace("-1 -1", "-5 -0.5"),
        TWO.replace(" ", "\t").replace("\n", "\n\n"),
        TWO.replace("IMAGE=", r"IMAGE=C:\Users\wings" + "\\"),
    ],
    ids=["Windows", "old Mac", "comma", "lower case", "NA", "negative", "blank lines", "path"],
)
def test_variants_of_the_format_mean_the_same(folder, text):
    """Line ends, decimal commas, case, marks for missing landmarks, paths on another computer."""
    np.testing.assert_array_equal(read(folder, text).keypoints(), read(folder, TWO).keypoints())


def test_curves_are_skipped_with_a_note(folder):
    """Their points are no landmarks."""
    labels = read(folder, TWO.replace("IMAGE=a", "CURVES=1\nPOINTS=2\n1. 1.\n2. 2.\nIMAGE=a"))
    np.testing.assert_array_equal(labels.keypoints(), read(folder, TWO).keypoints())
    assert labels.notes[1] == f"Curves and outlines are not read ({folder.root}/wings.tps, line 1, for example)."


def test_scales_are_read_for_each_image(folder):
    """As units per pixel; labels have a note."""
    labels = read(folder, TWO.replace("ID=0\n", "ID=0\nSCALE=0,02\n"))
    assert tps.scales(folder, ("wings.tps",)) == {"a.png": 0.02}
    assert labels.notes[1] == "1 specimen with a scale of 0.02 units per pixel (SCALE)."


def test_a_specimen_without_landmarks_is_an_empty_image(folder):
    """The image is known and has no instance."""
    labels = read(folder, TWO + "LM=0\nIMAGE=a.png\nID=7\n")
    assert len(labels.instances) == 2
    assert labels.notes[1] == "1 specimen without landmarks."


def test_two_files_for_the_same_images_are_two_sources(folder):
    """Two annotators, unless the names of the files say that they are parts of the set."""
    (folder.root / "ann.tps").write_text(TWO)
    (folder.root / "bob.tps").write_text(TWO)
    labels = tps.read(folder, tps.find(folder), Reading())
    assert [each.source for each in labels.instances] == ["ann", "ann", "bob", "bob"]
    (folder.root / "bob.tps").rename(folder.root / "test.tps")
    with pytest.raises(InputError, match=r"test\.tps, line 1: the image a\.png is also in another part of the set"):
        tps.read(folder, ("ann.tps", "test.tps"), Reading())


def test_file_names_divide_the_set(folder):
    """As train.tps and test.tps do."""
    first = TWO.index("LM=2", 1)
    (folder.root / "test.tps").write_text(TWO[:first])
    (folder.root / "train.tps").write_text(TWO[first:])
    labels = tps.read(folder, tps.find(folder), Reading())
    assert [(each.name, each.part) for each in labels.images] == [("a.png", "test"), ("b.png", "training")]


def test_equal_identifiers_in_an_image_become_numbers(folder):
    """Two specimens in one image are two instances."""
    labels = read(folder, TWO.replace("b.png", "a.png").replace("ID=1", "ID=0"))
    assert [each.id for each in labels.instances] == ["1", "2"]


def test_files_are_recognised_by_their_content(folder):
    """A file of another kind with the suffix .tps is not one."""
    for name, text in {"a.tps": TWO, "B.TPS": "lm=1\n", "c.tps": "words", "d.txt": TWO, "e.tps": "LM3=2\n"}.items():
        (folder.root / name).write_text(text)
    (folder.root / "f.tps").mkdir()
    assert tps.find(folder) == ("B.TPS", "a.tps", "e.tps")


FAULTS = {
    "no landmarks": ("LM=0\nIMAGE=a.png\n", "wings.tps has no landmarks"),
    "no number": (TWO.replace("5.5", "five"), "line 7: x of landmark 1 is 'five', not a number"),
    "NaN": (TWO.replace("2.25", "inf"), "line 7: y of landmark 1 is 'inf', which cannot be a length"),
    "huge": (TWO.replace("5.5", "1e300"), "line 7: x of landmark 1 is '1e300', which cannot be a length"),
    "far outside": (
        TWO.replace("5.5", "55"),
        "line 6, image b.png: the keypoint '1' lies at x = 55, y = 7.75, far outside the image of 20 x 10",
    ),
    "three numbers": (TWO.replace("5.5", "5.5 1"), "line 7: '5.5 1 2.25' is not x and y of landmark 1"),
    "one number": (TWO.replace("5.5 ", ""), "line 7: '2.25' is not x and y of landmark 1"),
    "too few": (TWO.replace("0. 10.\n", ""), "line 1: 2 landmarks should follow, and there are 1"),
    "too few at the end": ("LM=2\n1. 1.\n", "line 1: 2 landmarks should follow, and there are 1"),
    "too many": (TWO.replace("0. 10.\n", "0. 10.\n1. 1.\n"), "line 4: there are more landmarks than LM=2 says"),
    "another number": (TWO.replace("LM=2\n5.5 2.25", "LM=1"), "line 6: 1 landmark, but 2 in "),
    "no image": (TWO.replace("IMAGE=a.png\n", ""), "line 1: the specimen names no image"),
    "missing image": (TWO.replace("a.png", "../c.png"), "line 1: there is no image ../c.png in "),
    "three dimensions": (TWO.replace("LM=2", "LM3=2", 1), "line 1: LM3 announces landmarks in three dimensions"),
    "no count": (TWO.replace("LM=2", "LM=two", 1), "line 1: LM is 'two', not a number"),
    "fraction": (TWO.replace("LM=2", "LM=1.5", 1), "line 1: LM is '1.5', not an integer"),
    "huge count": (TWO.replace("LM=2", "LM=1000000", 1), "line 1: LM is 1000000; 0 to 10,000 landmarks are read"),
    "negative count": (TWO.replace("LM=2", "LM=-2", 1), "line 1: LM is -2; 0 to 10,000 landmarks are read"),
    "scale": (TWO + "SCALE=0\n", "line 11: SCALE is '0', not the length of a pixel"),
    "no start": ("1. 1.\n" + TWO, "line 1: a TPS file begins with the number of landmarks"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_with_the_line(folder, fault):
    """The file, the line, what is wrong, and what to do."""
    text, message = FAULTS[fault]
    with pytest.raises(InputError) as caught:
        read(folder, text)
    assert str(caught.value).startswith(str(folder.root / "wings.tps"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_large_file_is_refused(folder, monkeypatch):
    """Before it is read."""
    monkeypatch.setattr(tps, "LARGEST", 100)
    with pytest.raises(InputError, match="B, and label files of up to 100 B are read"):
        read(folder, 2 * TWO)


def test_what_is_written_is_read_back(folder, tmp_path):
    """With the same coordinates; a second time, the same bytes."""
    labels = read(folder, TWO.replace("5.5", "5.123456789"))
    tps.write(labels, folder, tmp_path / "out.tps")
    again = tps.read(folder, ("out.tps",), Reading())
    np.testing.assert_allclose(again.keypoints(), labels.keypoints(), rtol=0, atol=1e-9)
    assert [each.id for each in again.instances] == ["0", "1"]
    assert (tmp_path / "out.tps").read_text() == TWO.replace("5.5", "5.123456789").replace("-1 -1", "-1. -1.")


def test_a_keypoint_that_tps_would_call_missing_is_not_written(folder, tmp_path):
    """To the left of the image and below it."""
    labels = read(folder, TWO.replace("3. 1.", "-3. -1."), upwards=False)
    labels.instances[0].keypoints[0] = (-1, 11)
    with pytest.raises(InputError, match=r"The keypoint '1' of a\.png lies to the left of the image and below it"):
        tps.write(labels, folder, tmp_path / "out.tps")
