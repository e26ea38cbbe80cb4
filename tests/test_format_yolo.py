"""YOLO-pose: data.yaml, normalised coordinates, boxes, parts, mirror pairs, and paths of another computer."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.data.formats import yolo
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Instance, LabelledImage, Labels, Reading
from pipeline.errors import InputError

WIDTH, HEIGHT = 40, 20
DATA = {"train": "images/train", "kpt_shape": [2, 3], "names": {0: "tube", 1: "cap"}}
LINE = "0 0.5 0.5 0.5 0.4 0.25 0.5 2 1 0.1 1\n"


def folder_of(root, data=DATA, images=("images/train/a.png",), **texts):
    """A folder with images of 40 x 20 pixels, data.yaml, and text files by their paths without suffix."""
    for name in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (WIDTH, HEIGHT)).save(root / name)
    (root / "data.yaml").write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    for name, text in (texts or {"labels__train__a": LINE}).items():
        path = root / f"{name.replace('__', '/')}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Folder(root)


def read(folder, **reading):
    """The labels of a folder."""
    return yolo.read(folder, yolo.find(folder), Reading(**reading))


def refused(folder, **reading):
    """The message about a folder."""
    with pytest.raises(InputError) as caught:
        read(folder, **reading)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder.root}/")


def test_0_is_the_edge_of_the_image_and_1_the_opposite_edge(tmp_path):
    """Coordinates times width and height are pixels as they are; visibility 1 is occluded; the box has its centre first."""
    labels = read(folder_of(tmp_path))
    [instance] = labels.instances
    np.testing.assert_allclose(instance.keypoints, [[10, 10], [40, 2]], rtol=0, atol=1e-12)
    assert instance.occluded.tolist() == [False, True]
    assert instance.box == (10, 6, 20, 8)
    assert (instance.image, instance.id, instance.place) == ("images/train/a.png", "1", "labels/train/a.txt, line 1")
    assert (labels.names, labels.mirror) == (("1", "2"), None)


def test_visibility_0_is_missing(tmp_path):
    """Whatever the coordinates are."""
    [instance] = read(folder_of(tmp_path, labels__train__a="0 0.5 0.5 1 1 0.5 0.5 0 0 0 2")).instances
    np.testing.assert_array_equal(instance.keypoints, [[np.nan, np.nan], [0, 0]])


def test_with_two_values_0_0_is_missing(tmp_path):
    """A 0 by itself is the edge of the image."""
    text = "0 0.5 0.5 1 1 0 0 0 0.5\n"
    [instance] = read(folder_of(tmp_path, DATA | {"kpt_shape": [2, 2]}, labels__train__a=text)).instances
    np.testing.assert_array_equal(instance.keypoints, [[np.nan, np.nan], [0, 10]])
    assert not instance.occluded.any()


def test_images_without_labels_are_empty_and_those_of_test_are_test_images(tmp_path):
    """Only images of no part are not mentioned."""
    images = ["images/train/a.png", "images/train/b.png", "images/train/c.png", "images/val/a.png", "images/test/t.png", "images/x.png"]
    texts = {"labels__train__a": LINE, "labels__train__b": "", "labels__val__a": LINE * 2, "labels__test__t": LINE}
    labels = read(folder_of(tmp_path, DATA | {"val": "images/val", "test": ["images/test"]}, images, **texts))
    parts = ["training", "training", "training", "validation", "test"]
    assert labels.images == tuple(LabelledImage(name, part) for name, part in zip(images, parts, strict=False))
    assert [instance.image for instance in labels.instances] == [images[0], images[3], images[3], images[4]]


def test_flip_idx_gives_the_mirror_pairs(tmp_path):
    """The identity exchanges nothing, which is known then; names of keypoints are taken where there are any."""
    data = DATA | {"kpt_shape": [3, 2], "kpt_names": {0: ["left", "nose", "right"]}}
    texts = {"labels__train__a": "0 .5 .5 1 1 .1 .2 .3 .4 .5 .6"}
    assert read(folder_of(tmp_path, data | {"flip_idx": [2, 1, 0]}, **texts)).mirror == (("left", "right"),)
    assert read(folder_of(tmp_path, data | {"flip_idx": [0, 1, 2]}, **texts)).mirror == ()
    assert read(folder_of(tmp_path, data, **texts)).mirror is None
    assert read(folder_of(tmp_path, data | {"kpt_names": ["a", "b", "c"]}, **texts)).names == ("a", "b", "c")


def test_a_class_is_chosen_where_several_have_labels(tmp_path):
    """A class without labels asks for no choice."""
    both = LINE + LINE.replace("0 ", "1 ", 1)
    folder = folder_of(tmp_path, labels__train__a=both)
    assert refused(folder) == "data.yaml has several classes with labels: tube, cap. Choose one with --dataset-category."
    assert [instance.id for instance in read(folder, category="cap").instances] == ["2"]
    assert refused(folder, category="tub") == "data.yaml has no class 'tub'; did you mean tube?"


PATHS = {
    "absolute": {"train": "/home/me/tubes/images/train"},
    "windows": {"train": "C:\\Users\\me\\tubes\\images\\train"},
    "path": {"path": "/home/me/tubes", "train": "images/train"},
    "path and folder": {"path": "../datasets/tubes/images", "train": "train"},
    "roboflow": {"train": "../images/train"},
    "dots": {"path": ".", "train": "./images/train/"},
    "list": {"path": "/home/me/tubes", "train": "lists/train.txt"},
    "all": {"train": "."},
}


@pytest.mark.parametrize("paths", PATHS)
def test_paths_of_another_computer_are_found_in_the_folder(tmp_path, paths):
    """Also where data.yaml lies in a folder of its own, and for lists, whose lines are paths again."""
    listed = "\n/home/me/tubes/images/train/a.png\n"
    labels = read(folder_of(tmp_path, DATA | PATHS[paths], labels__train__a=LINE, lists__train=listed))
    assert [instance.image for instance in labels.instances] == ["images/train/a.png"]


def test_a_missing_test_folder_is_a_note(tmp_path):
    """As in the exports of Roboflow; the last folder of the path by itself is not taken for it."""
    labels = read(folder_of(tmp_path, DATA | {"test": "../test/images"}))
    assert labels.notes == ("There are no test images: ../test/images is not there, or is empty.",)
    assert [image.part for image in labels.images] == ["training"]


def test_an_image_in_several_parts_counts_for_the_first(tmp_path):
    """Small sets validate on their training images."""
    labels = read(folder_of(tmp_path, DATA | {"val": "images/train"}))
    assert labels.images == (LabelledImage("images/train/a.png", "training"),)
    assert labels.notes == ("Where several of train, val and test name an image, the first of them counts: 1 image.",)
    assert len(labels.instances) == 1


def test_the_description_of_a_net_is_not_that_of_a_set(tmp_path):
    """It has kpt_shape too."""
    assert yolo.find(folder_of(tmp_path, "nc: 1\nkpt_shape: [17, 3]\nbackbone: []\n")) == ()
    assert yolo.find(folder_of(tmp_path, "train: images\nnames: [a]\n")) == ()


def test_two_descriptions_are_refused(tmp_path):
    """Folds of one set, for example."""
    folder = folder_of(tmp_path)
    (tmp_path / "fold2.yaml").write_text((tmp_path / "data.yaml").read_text())
    assert "data.yaml and fold2.yaml describe a set in" in refused(folder)
    assert len(read(Folder(tmp_path, "fold2.yaml")).instances) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kpt_shape": [2]}, "kpt_shape is [2]. Write the number of keypoints and 2 or 3 values"),
        ({"kpt_shape": [2, 4]}, "kpt_shape is [2, 4]."),
        ({"kpt_shape": [10**9, 3]}, "kpt_shape is [1000000000, 3]."),
        ({"kpt_shape": "2, 3"}, "kpt_shape is '2, 3'."),
        ({"flip_idx": [0]}, "flip_idx is [0]. Write 2 numbers from 0 to 1, one for each keypoint."),
        ({"flip_idx": [1, 2]}, "flip_idx is [1, 2]."),
        ({"flip_idx": [1.0, 0]}, "flip_idx is [1.0, 0]."),
        ({"flip_idx": [1, 1]}, "flip_idx exchanges keypoint 0 with 1, but 1 with 1. Exchanged keypoints are pairs"),
        ({"kpt_names": ["a", "a"]}, "kpt_names is ['a', 'a']. Write a list of 2 different names"),
        ({"kpt_names": {0: ["a", "b"], 1: ["b", "a"]}}, "kpt_names differ between the classes."),
        ({"names": 3}, "names is 3. Write the classes as a list, or by their numbers."),
        ({"path": 3}, "path is 3, not the name of a folder."),
        ({"train": 3}, "train is 3, not the name of a folder or list of images."),
        ({"train": "images/none"}, "train names images/none, in which there is no image."),
        ({"val": "images/none"}, "val names images/none, in which there is no image."),
        ({"train": None}, "data.yaml names no images. Add a line such as train: images/train"),
        ({"names": ["tube"]}, "labels/train/a.txt, line 1: there is no class 1 in the names of"),
    ],
    ids=str,
)
def test_a_fault_of_the_description_is_one_sentence(tmp_path, change, message):
    """With the entry and what it should be."""
    assert message in refused(folder_of(tmp_path, DATA | change, labels__train__a=LINE.replace("0 ", "1 ", 1)))


def test_a_description_that_is_no_yaml_is_refused(tmp_path):
    """With its line; also one of another shape."""
    assert refused(folder_of(tmp_path, "train: images\nkpt_shape: [2, 3\n")).startswith("data.yaml, line 3: not YAML")


LINES = {
    "few": ("0 0.5 0.5 1 1\n", "line 1: 5 values, but with a kpt_shape of 2, 3 a line has 11: class, box and keypoints."),
    "many": (f"{LINE}\n{LINE[:-1]} 1\n", "line 3: 12 values, but"),
    "word": (LINE.replace("0.25", "left"), "line 1: x of the keypoint '1' is 'left', not a number."),
    "nan": (LINE.replace("0.1", "nan"), "line 1: y of the keypoint '2' is 'nan', which cannot be a length in pixels."),
    "box": (LINE.replace("0.4", "x"), "line 1: the height of the box is 'x', not a number."),
    "negative": (LINE.replace("0.4", "-0.4"), "line 1, image images/train/a.png: the box has a negative width or height."),
    "far box": (
        LINE.replace("0.4", "20"),
        "line 1, image images/train/a.png: the box from x = 10, y = -190 to x = 30, y = 210 reaches far",
    ),
    "huge": (LINE.replace("0.1", "1e300"), "line 1, image images/train/a.png: the keypoint '2' lies at x = 40, y = 2e+301, far outside"),
    "pixels": (LINE.replace("0.1", "11"), "line 1, image images/train/a.png: the keypoint '2' lies at x = 40, y = 220, far outside"),
    "visibility": (
        LINE.replace("0.5 2", "0.5 3"),
        "line 1, image images/train/a.png: the visibility of the keypoint '1' is 3, not 0, 1 or 2.",
    ),
    "class": (LINE.replace("0 ", "7 ", 1), "line 1: there is no class 7 in the names of"),
    "no class": (LINE.replace("0 ", "0.5 ", 1), "line 1: the class is '0.5', not an integer."),
}


@pytest.mark.parametrize("fault", LINES)
def test_a_fault_of_a_line_is_one_sentence(tmp_path, fault):
    """With file, line and keypoint."""
    text, message = LINES[fault]
    assert refused(folder_of(tmp_path, labels__train__a=text)).startswith(f"labels/train/a.txt, {message}")


def test_missing_images_and_labels_are_named(tmp_path):
    """Of a list, the images that are not there; without any label, where they would be."""
    folder = folder_of(tmp_path, DATA | {"train": "train.txt"}, train="images/train/a.png\nimages/x.png\nimages/y.png\n")
    assert refused(folder).startswith("train.txt labels 2 images that are not in")
    assert "images/x.png, images/y.png. Add them, or remove their labels." in refused(folder)
    folder = folder_of(tmp_path / "two", labels__other=LINE)
    assert "data.yaml: none of its 1 image has labels, which would be in files such as labels/train/a.txt." in refused(folder)


def instance_of(image, points, *, occluded=(False, False), box=None):
    """An instance with these keypoints."""
    return Instance(image, "1", np.array(points, np.float64), np.array(occluded), box)


@pytest.mark.parametrize("place", ["out", "set/yolo"])
def test_what_is_written_is_read_back(tmp_path, place):
    """In a folder of its own, with the images in `images`, or inside the folder of the set, where the images stay where they are."""
    images = ["a.png", "sub/b.png", "images/c.png", "d.png"]
    folder = folder_of(tmp_path / "set", images=images, unrelated="")
    (tmp_path / "set" / "data.yaml").unlink()
    instances = (
        instance_of("a.png", [(1 / 3, 2), (np.nan, np.nan)], box=(1, 2, 3, 4.5)),
        instance_of("a.png", [(5, 6), (39.9999999, 0)], occluded=(False, True), box=(0, 0, 40, 20)),
        instance_of("images/c.png", [(-1, 6), (7, 8)]),
        instance_of("sub/b.png", [(np.nan, np.nan), (4, 2)]),
    )
    parts = ["training", "validation", "training", "test"]
    labelled = tuple(LabelledImage(image, part) for image, part in zip(images, parts, strict=True))
    labels = Labels("coco", (), ("right", "left"), labelled, instances, mirror=(("right", "left"),))
    out = tmp_path / place
    yolo.write(labels, folder, out)
    if place == "out":
        again = read(folder_of(out, (out / "data.yaml").read_text(), [yolo._placed(name) for name in images], unrelated=""))
    else:
        again = read(Folder(tmp_path / "set"))
    names = [instance.image.removeprefix("images/") for instance in again.instances]
    assert names == ["a.png", "a.png", "c.png", "sub/b.png"]
    np.testing.assert_allclose(again.keypoints(), labels.keypoints(), rtol=0, atol=1e-6)
    np.testing.assert_array_equal([each.occluded for each in again.instances], [each.occluded for each in instances])
    np.testing.assert_allclose([each.box for each in again.instances[:3]], [(1, 2, 3, 4.5), (0, 0, 40, 20), (-1, 6, 8, 2)], atol=1e-6)
    assert again.instances[3].box is None
    assert {image.name.removeprefix("images/"): image.part for image in again.images} == dict(
        zip(["a.png", "sub/b.png", "c.png", "d.png"], parts, strict=True)
    )
    assert (again.names, again.mirror) == (labels.names, labels.mirror)


def test_several_annotation_sources_are_not_written(tmp_path):
    """They would look like several objects."""
    one = instance_of("a.png", [(1, 2), (3, 4)])
    labels = Labels("coco", (), ("a", "b"), (LabelledImage("a.png"),), (replace(one, source="x"), replace(one, source="y")))
    with pytest.raises(InputError, match="the annotation sources x, y, which"):
        yolo.write(labels, Folder(tmp_path), tmp_path / "out")


@pytest.mark.skipif("KEYPOINTS_SETS" not in os.environ, reason="KEYPOINTS_SETS names no folder with published keypoint sets")
@pytest.mark.parametrize("name", ["yolov8_pose", "yolov8_pose_2"])
def test_published_samples_are_read(name):
    """Each number of the file times 15 or 10 pixels."""
    folder = Folder(Path(os.environ["KEYPOINTS_SETS"]) / "format-samples" / name)
    np.testing.assert_allclose(read(folder).keypoints(), [[[1.5, 2], [4.5, 4], [7.5, 6]]], rtol=0, atol=1e-9)
