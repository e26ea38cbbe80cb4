"""Landmark files of 300-W: pixels counted from 1, with and without a header, one face or several in an image."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.formats import pts
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Instance, LabelledImage, Labels, Reading
from pipeline.errors import InputError

HEADER = "version: 1\nn_points:  3\n{\n10.5 20.25\n1 1\n40 30\n}"
BARE = "10.5 20.25\n1 1\n40 30\n"


def folder_of(root, images=("a.png",), **texts):
    """A folder with images of 40 x 30 pixels, and with .pts files of these texts by their stems."""
    for name in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 30)).save(root / name)
    for stem, text in texts.items():
        path = root / f"{stem.replace('__', '/')}.pts"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Folder(root)


def read(folder):
    """The labels of a folder."""
    return pts.read(folder, pts.find(folder), Reading())


def refused(folder):
    """The message about a folder, without the path of the folder, with which it begins."""
    with pytest.raises(InputError) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{folder.root}/")
    return str(caught.value).removeprefix(f"{folder.root}/")


@pytest.mark.parametrize(
    "text",
    [HEADER, BARE, f"{{\n{BARE}}}\n", HEADER.replace("\n", "\r\n"), f"\n{HEADER.replace(' ', '  ')}\n\n"],
    ids=["header", "bare", "braces", "windows", "spaces"],
)
def test_pixels_are_counted_from_1(tmp_path, text):
    """With and without a header and braces: the centre of the first pixel is 1, 1 in the file and 0.5, 0.5 here."""
    labels = read(folder_of(tmp_path, a=text))
    assert labels.names == ("1", "2", "3")
    np.testing.assert_array_equal(labels.keypoints(), [[[10, 19.75], [0.5, 0.5], [39.5, 29.5]]])
    assert not labels.instances[0].occluded.any()
    assert labels.instances[0].box is None
    assert labels.images == (LabelledImage("a.png"),)


@pytest.mark.parametrize("text", ["1 2 3\n4 5 6\n", "points\n", ""], ids=["cloud", "words", "empty"])
def test_other_files_with_the_suffix_are_not_taken_for_landmarks(tmp_path, text):
    """Clouds of points in space have the same suffix."""
    assert pts.find(folder_of(tmp_path, a=text)) == ()


def test_a_broken_file_among_others_is_found_and_refused(tmp_path):
    """A file is not passed over because it does not begin as landmark files do."""
    assert refused(folder_of(tmp_path, images=["a.png", "b.png"], a=BARE, b="")) == "b.pts has no points. Copy it again, or remove it."


def test_numbered_files_are_the_faces_of_one_photograph(tmp_path):
    """As in AFW: the image of the same stem comes first, then the only one that differs in its number; ten comes after two."""
    texts = {"p_1": BARE, "p_10": BARE, "p_2": BARE, "q_1": BARE, "q_2": BARE, "r": BARE, "r_2": BARE}
    labels = read(folder_of(tmp_path, images=["p_1.png", "q_1.png", "q_2.png", "r.png"], **texts))
    assert [(instance.image, instance.id, instance.place) for instance in labels.instances] == [
        *(("p_1.png", "1", "p_1.pts"), ("p_1.png", "2", "p_2.pts"), ("p_1.png", "3", "p_10.pts")),
        *(("q_1.png", "1", "q_1.pts"), ("q_2.png", "1", "q_2.pts")),
        *(("r.png", "1", "r.pts"), ("r.png", "2", "r_2.pts")),
    ]


def test_folders_called_test_set_their_images_aside(tmp_path):
    """A folder `train` by itself says nothing."""
    labels = read(folder_of(tmp_path / "one", images=["train/a.png", "test/b.png"], train__a=BARE, test__b=BARE))
    assert [(image.name, image.part) for image in labels.images] == [("test/b.png", "test"), ("train/a.png", "training")]
    assert labels.notes == ("The names of the folders divide the set into parts.",)
    labels = read(folder_of(tmp_path / "two", images=["train/a.png", "c.png"], train__a=BARE))
    assert [(image.name, image.part) for image in labels.images] == [("train/a.png", "")]


def test_a_keypoint_of_two_nans_is_missing(tmp_path):
    """One NaN is a fault; see the table of faults."""
    labels = read(folder_of(tmp_path, a="1 1\nnan NaN\n"))
    np.testing.assert_array_equal(labels.keypoints(), [[[0.5, 0.5], [np.nan, np.nan]]])


FAULTS = {
    "one-number": ({"a": "1 2\n3\n"}, "a.pts, line 2: '3' is not a point, which has two numbers."),
    "three-numbers": ({"a": "1 2\n3 4 5\n"}, "a.pts, line 2: '3 4 5' is not a point"),
    "word": ({"a": "1 2\nx 4\n"}, "a.pts, line 2: x of point 2 is 'x', not a number."),
    "nan": ({"a": "1 2\n3 nan\n"}, "a.pts, line 2: y of point 2 is 'nan', which cannot be a length in pixels."),
    "huge": ({"a": "1 2\n3e300 4\n"}, "a.pts, line 2: x of point 2 is '3e300', which cannot be a length in pixels."),
    "far": (
        {"a": "1 2\n300 4\n"},
        "a.pts, image a.png: the keypoint '2' lies at x = 299.5, y = 3.5, far outside the image of 40 x 30 pixels.",
    ),
    "cut-off": ({"a": "n_points: 3\n{\n1 2\n"}, "a.pts: n_points is 3, but the file has 1 point. It may be cut off; copy it again."),
    "too-many": ({"a": "n_points: 1\n{\n1 2\n3 4\n"}, "a.pts: n_points is 1, but the file has 2 points."),
    "bad-count": ({"a": "n_points: x\n{\n1 2\n"}, "a.pts, line 1: n_points is 'x', not a number."),
    "no-image": ({"a": BARE, "c": BARE}, "c.pts: there is no image c (.jpg, .png, ...) in the folder of the set."),
    "two-images": ({"x_3": BARE}, "x_3.pts could belong to x_1.png or x_2.png."),
    "counts": ({"a": BARE, "b": BARE, "x_1": "1 2\n"}, "x_1.pts has 1 point, but 2 files, such as a.pts, have 3."),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_with_file_and_line(tmp_path, fault):
    """What is wrong, where, and what to do."""
    texts, message = FAULTS[fault]
    assert refused(folder_of(tmp_path, images=["a.png", "b.png", "x_1.png", "x_2.png"], **texts)).startswith(message)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    """Another encoding, as by an editor."""
    folder = folder_of(tmp_path, a=BARE)
    (tmp_path / "a.pts").write_bytes(BARE.encode("utf-16"))
    with pytest.raises(InputError, match=r"a\.pts: byte 1 is not UTF-8 text"):
        pts.read(folder, ("a.pts",), Reading())


def labels_of(*instances, names=("1", "2")):
    """Labels of images, each instance with its image."""
    images = dict.fromkeys(instance.image for instance in instances)
    return Labels("pts", (), names, tuple(LabelledImage(image) for image in images), instances)


def instance_of(image, *points):
    """An instance with these keypoints."""
    return Instance(image, "1", np.array(points, np.float64), np.zeros(len(points), bool))


def test_what_is_written_is_read_back(tmp_path):
    """The same coordinates for each face, also where the name of a second face is that of another image."""
    images = ["a.png", "sub/b.png", "sub/b_2.png"]
    folder = folder_of(tmp_path / "set", images=images)
    instances = [
        instance_of("a.png", (1 / 3, 2), (np.nan, np.nan)),
        instance_of("sub/b.png", (3, 4), (5, 6)),
        instance_of("sub/b.png", (7, 8), (9, 10)),
        instance_of("sub/b_2.png", (11, 12), (13, 14)),
    ]
    labels = labels_of(*instances)
    pts.write(labels, folder, tmp_path / "out")
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.pts")) == [
        *("a.pts", "sub/b.pts", "sub/b_2.pts", "sub/b_3.pts"),
    ]
    assert (tmp_path / "out" / "sub" / "b.pts").read_text() == "version: 1\nn_points: 2\n{\n3.5 4.5\n5.5 6.5\n}\n"
    again = read(folder_of(tmp_path / "out", images=images))
    assert [instance.image for instance in again.instances] == [instance.image for instance in instances]
    np.testing.assert_allclose(again.keypoints(), labels.keypoints(), rtol=0, atol=1e-6)


def test_labels_that_the_format_cannot_hold_are_not_written(tmp_path):
    """Images that would share a file; several annotation sources."""
    one, other = instance_of("a.png", (1, 2), (3, 4)), instance_of("a.jpg", (1, 2), (3, 4))
    with pytest.raises(InputError, match="Two images are called a but for their suffixes"):
        pts.write(labels_of(one, other), Folder(tmp_path), tmp_path / "out")
    with pytest.raises(InputError, match="the annotation sources one, two, which"):
        pts.write(labels_of(replace(one, source="one"), replace(one, source="two")), Folder(tmp_path), tmp_path / "out")


@pytest.mark.skipif("KEYPOINTS_SETS" not in os.environ, reason="KEYPOINTS_SETS names no folder with published keypoint sets")
@pytest.mark.parametrize(("name", "images", "faces"), [("faces68", 870, 870), ("photographs", 45, 73)])
def test_published_sets_are_read(name, images, faces):
    """Each number of each file, less half a pixel."""
    folder = Folder(Path(os.environ["KEYPOINTS_SETS"]) / name)
    labels = read(folder)
    assert (len(labels.images), len(labels.instances), len(labels.names)) == (images, faces, 68)
    for instance in labels.instances:
        lines = folder.path(instance.place).read_text().split("{\n")[-1].rstrip("}\n").splitlines()
        np.testing.assert_allclose(
            instance.keypoints, [[float(value) - 0.5 for value in line.split()] for line in lines], rtol=0, atol=1e-9
        )
