"""One JSON file for each image."""

import json

import labelsets
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.data.formats import image_json
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Reading
from pipeline.errors import InputError


@pytest.fixture
def folder(tmp_path):
    labelsets.image_json(tmp_path)
    return tmp_path


def test_what_is_read(folder):
    """Keypoints are numbered, integers are centres of pixels, boxes are not shifted, v = 0 is missing, and folders name the parts."""
    labels = labelsets.read("image_json", folder)
    assert labels.names == ("1", "2")
    assert [(image.name, image.part) for image in labels.images] == [
        ("test/images/c.png", "test"),
        ("train/images/a.png", "training"),
        ("train/images/b.png", "training"),
    ]
    test, first, second = labels.instances
    assert (test.image, test.id) == ("test/images/c.png", "1")
    assert (first.id, second.id) == ("1", "2")
    assert first.keypoints.tolist() == [[3.5, 4.5], [20.5, 22]]
    assert first.box == (1, 2, 29, 23)
    assert_array_equal(second.keypoints, [[5.5, 6.5], [np.nan, np.nan]])
    assert not first.occluded.any()


def test_written_and_read(folder):
    """Labels that are written are read with the same coordinates, boxes and parts."""
    labels = labelsets.read("image_json", folder)
    again = labelsets.rewritten(labels, "image_json", folder, "new")
    assert again.images == labels.images
    assert_array_equal(again.keypoints(), labels.keypoints())
    assert [one.box for one in again.instances] == [one.box for one in labels.instances]


def test_unlabelled(folder):
    """An instance without a labelled keypoint is left out, and a note counts it."""
    (folder / "test/annotations/c.json").write_text('{"bboxes": [[1, 2, 3, 4]], "keypoints": [[[0, 0, 0], [0, 0, 0]]]}')
    labels = labelsets.read("image_json", folder)
    assert {one.image for one in labels.instances} == {"train/images/a.png"}
    assert labels.notes == ("1 instance without a labelled keypoint left out.",)


@pytest.mark.parametrize("damaged", ["", "{", '{"bboxes": [[1'], ids=["empty", "brace", "truncated"])
def test_damaged_file_counts(folder, damaged):
    """A damaged file between sound ones is refused with its name, instead of taken for no label file."""
    (folder / "train/annotations/b.json").write_text(damaged)
    with pytest.raises(InputError, match=r"b\.json"):
        labelsets.read("image_json", folder)


POINT, BOX = [3, 4, 1], [1, 2, 30, 25]
FAULTS = {
    "no object": ([], "two lists"),
    "no keypoints": ({"bboxes": [BOX], "keypoints": None}, "two lists"),
    "fewer": ({"bboxes": [BOX, BOX], "keypoints": [[POINT, POINT]]}, "the boxes of 2 instances and the keypoints of 1"),
    "box": ({"bboxes": [[1, 2, 3]], "keypoints": [[POINT, POINT]]}, r"instance 1: the box is \[1, 2, 3\]"),
    "empty box": ({"bboxes": [[5, 5, 5, 9]], "keypoints": [[POINT, POINT]]}, "instance 1: the box .* is empty"),
    "number of keypoints": ({"bboxes": [BOX], "keypoints": [[POINT]]}, r"1 keypoint but .*c\.json.* has 2"),
    "point": ({"bboxes": [BOX], "keypoints": [[POINT, [3]]]}, r"the keypoint 2 is \[3\]"),
    "text": ({"bboxes": [BOX], "keypoints": [[POINT, ["x", 4, 1]]]}, "x of the keypoint 2 is 'x', not a number"),
    "NaN": ({"bboxes": [BOX], "keypoints": [[POINT, [3, float("nan"), 1]]]}, "y of the keypoint 2 is nan"),
    "visibility": ({"bboxes": [BOX], "keypoints": [[POINT, [3, 4, 2]]]}, "the keypoint 2 has the visibility 2"),
}


@pytest.mark.parametrize(("content", "message"), FAULTS.values(), ids=FAULTS)
def test_fault(folder, content, message):
    """A fault is reported with file, image, instance and keypoint."""
    (folder / "train/annotations/a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"/train/annotations/a.json \\(train/images/a.png\\).*{message}"):
        labelsets.read("image_json", folder)


def test_without_image(folder):
    """A label file without its image is refused."""
    (folder / "train/images/b.png").unlink()
    with pytest.raises(InputError, match=r"train/annotations/b.json has no image of the same name\. Add"):
        image_json.read(Folder(folder), ("train/annotations/b.json",), Reading())


def test_second_file(folder):
    """Two label files of one image are refused."""
    (folder / "train/a.json").write_text((folder / "train/annotations/a.json").read_text())
    with pytest.raises(InputError, match=r"second label file of the image train/images/a\.png"):
        labelsets.read("image_json", folder)


def test_other_files_are_not_taken(tmp_path):
    """JSON files of other formats are not taken for this one."""
    labelsets.draw(tmp_path, "a.png")
    (tmp_path / "a.json").write_text('{"images": [], "annotations": [{"bbox": [1, 2, 3, 4], "keypoints": [1, 2, 2]}]}')
    assert image_json.find(Folder(tmp_path)) == ()


def test_box_around_keypoints(folder):
    """An instance without a box is written with the box around the pixels of its keypoints."""
    labels = labelsets.read("image_json", folder)
    one = labels.instances[2]
    bare = type(labels)(**{**vars(labels), "instances": (type(one)(**{**vars(one), "box": None}),)})
    again = labelsets.rewritten(bare, "image_json", folder, "new")
    assert_allclose(again.instances[0].box, (5, 6, 1, 1))
