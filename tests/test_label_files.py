"""Folders of keypoint sets: which image a label file means, and what several label files are."""

import labelsets
import pytest

from pipeline.data.formats.folder import Folder
from pipeline.data.formats.several import parts, sources
from pipeline.errors import InputError


@pytest.mark.parametrize(
    ("label", "image"),
    [
        ("train/annotations/1.json", "train/images/1.png"),
        ("labels/val/1.txt", "images/val/1.png"),
        ("labels/val/2.png.txt", "images/val/2.png"),
        ("images/val/2.json", "images/val/2.png"),
        ("labels/val/3.txt", None),
    ],
)
def test_image_beside(tmp_path, label, image):
    """The image of a label file's name is the one whose folders agree best with those of the label file."""
    labelsets.draw(tmp_path, "train/images/1.png", "test/images/1.png", "images/train/1.png", "images/val/1.png", "images/val/2.png")
    assert Folder(tmp_path).beside(label) == image


def test_image_beside_is_ambiguous(tmp_path):
    """Images that fit a label file equally well are refused."""
    labelsets.draw(tmp_path, "a/1.png", "b/1.png")
    with pytest.raises(InputError, match=r"labels/1.txt could belong to the image a/1.png or to b/1.png\. Rename"):
        Folder(tmp_path).beside("labels/1.txt")


def test_image_of_the_same_part(tmp_path):
    """Of several images of one name, a label file that names a part means the one in the folder of that part."""
    labelsets.draw(tmp_path, "train2017/1.png", "val2017/1.png")
    assert Folder(tmp_path).find("1.png", "annotations/person_keypoints_val2017.json") == "val2017/1.png"
    with pytest.raises(InputError, match="could be"):
        Folder(tmp_path).find("1.png", "annotations/all.json")


def test_parts():
    """Label files are parts of a set if their names say so and differ in it."""
    assert parts(["a/x_train.json", "a/x_val.json"]) == {"a/x_train.json": "training", "a/x_val.json": "validation"}
    assert parts(["train.csv", "train_2.csv"]) == {"train.csv": "", "train_2.csv": ""}


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (["train_senior.csv", "train_junior.csv"], ["senior", "junior"]),
        (["v1/CollectedData_A.csv", "v1/CollectedData_B.csv"], ["A", "B"]),
        (["a/labels.csv", "b/labels.csv"], ["a/labels", "b/labels"]),
        (["labels.csv", "labels_2.csv"], ["labels", "labels_2"]),
    ],
)
def test_sources(files, named):
    """Label files of the same images are sources, named by what differs in their names."""
    assert list(sources({file: ["1.png"] for file in files}).values()) == named


def test_no_sources():
    """Label files of different images are no sources."""
    assert sources({"a.csv": ["1.png"], "b.csv": ["2.png"]}) == {"a.csv": "", "b.csv": ""}


def test_image_in_two_parts():
    """An image in two parts of a set is refused."""
    with pytest.raises(InputError, match=r"1\.png is labelled in train\.csv and in val\.csv"):
        sources({"train.csv": ["1.png"], "val.csv": ["1.png"]})


def test_links_that_lead_nowhere_are_left_out(tmp_path):
    """A link to itself or to what is not there is no file of the folder, and keeps no other file from being found."""
    labelsets.draw(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to("b.png")
    (tmp_path / "c.png").symlink_to("nowhere")
    assert Folder(tmp_path).files == ("a.png",)


def test_links_to_a_folder_above_are_left_out(tmp_path):
    """Otherwise each file would be found many times."""
    labelsets.draw(tmp_path, "images/a.png")
    (tmp_path / "images" / "all").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "images")
    assert Folder(tmp_path).images == ("again/a.png", "images/a.png")


def test_results_of_this_program_are_no_part_of_a_set(tmp_path):
    """The workspace may be the folder of the set."""
    labelsets.draw(tmp_path, "images/a.png", "models/learningcurves-0123456789.png", "images/frame-0123456789.png")
    for name in ("predictions-0123456789.csv", "heldout-01234abcde.csv", "predictions-mine.csv"):
        (tmp_path / name).write_text("")
    assert Folder(tmp_path).files == ("images/a.png", "images/frame-0123456789.png", "predictions-mine.csv")
