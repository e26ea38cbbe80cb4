"""COCO's JSON files with keypoints."""

import json

import labelsets
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.data.formats import coco
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import LabelledImage, Reading
from pipeline.errors import InputError

CATEGORY = {"id": 1, "name": "animal", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}
POINTS = [3, 4, 2, 20, 21, 2]


def image(number, name, **more):
    return {"id": number, "file_name": name, **more}


def annotation(number=7, image_id=1, keypoints=POINTS, **more):
    return {"id": number, "image_id": image_id, "category_id": 1, "keypoints": keypoints, **more}


def put(folder, *annotations, name="labels.json", **more):
    content = {"images": [image(1, "a.png"), image(2, "b.png")], "annotations": annotations, "categories": [CATEGORY], **more}
    (folder / name).write_text(json.dumps(content))
    return folder


@pytest.fixture
def folder(tmp_path):
    labelsets.draw(tmp_path, "images/a.png", "images/b.png")
    return tmp_path


def read(folder, **reading):
    return labelsets.read("coco", folder, reading=Reading(**reading))


def test_visibility_and_convention(folder):
    """v = 0 is missing, 1 occluded, 2 visible; integers are centres of pixels; a box goes from edge to edge and is not shifted."""
    labels = read(put(folder, annotation(keypoints=[3, 4, 2, 20.25, 21, 1], bbox=[1, 2, 20, 25.5]), annotation(8, 1, [0, 0, 0, 5, 6, 2])))
    first, second = labels.instances
    assert labels.names == ("nose", "tail")
    assert labels.skeleton == (("nose", "tail"),)
    assert first.keypoints.tolist() == [[3.5, 4.5], [20.75, 21.5]]
    assert first.occluded.tolist() == [False, True]
    assert first.box == (1, 2, 20, 25.5)
    assert (first.id, first.image) == ("7", "images/a.png")
    assert_array_equal(second.keypoints, [[np.nan, np.nan], [5.5, 6.5]])
    assert second.box is None


def test_images_without_annotations(folder):
    """Images that are listed without annotations are part of the set, without instances."""
    labels = read(put(folder, annotation()))
    assert labels.images == (LabelledImage("images/a.png"), LabelledImage("images/b.png"))
    assert {one.image for one in labels.instances} == {"images/a.png"}


def test_left_out(folder):
    """Crowds, and annotations without labelled keypoints, are left out and counted; a box without an area is not used."""
    crowd = annotation(8, iscrowd=1)
    unlabelled = [annotation(9, keypoints=[0] * 6, num_keypoints=0), {"id": 10, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]
    labels = read(put(folder, annotation(bbox=[1, 2, 0, 4]), crowd, *unlabelled))
    assert [one.id for one in labels.instances] == ["7"]
    assert labels.instances[0].box is None
    assert labels.notes == (
        "1 annotation of crowds left out.",
        "2 instances without a labelled keypoint left out.",
        "1 instance with a box without an area; the box is not used.",
    )


def test_parts(tmp_path):
    """The names of several files divide the set, and images of the same name are those in the folder of the part."""
    labelsets.coco(tmp_path)
    labels = read(tmp_path)
    assert [(one.name, one.part) for one in labels.images] == [
        ("train/a.png", "training"),
        ("train/b.png", "training"),
        ("val/a.png", "validation"),
    ]


def test_sources(folder):
    """Files of the same part for the same images are annotation sources; keypoints are matched by name."""
    put(folder, annotation(), name="labels_ann.json")
    put(folder, annotation(), name="labels_bob.json", categories=[{**CATEGORY, "keypoints": ["tail", "nose"]}])
    labels = read(folder)
    assert [one.source for one in labels.instances] == ["ann", "bob"]
    assert labels.instances[1].keypoints.tolist() == [[20.5, 21.5], [3.5, 4.5]]


def test_categories(folder):
    """Of several categories with keypoints, one must be named; categories without keypoints do not count."""
    other, bare = {**CATEGORY, "id": 2, "name": "plant"}, {"id": 3, "name": "car"}
    put(folder, annotation(), {**annotation(8), "category_id": 3}, categories=[CATEGORY, bare])
    assert [one.id for one in read(folder).instances] == ["7"]
    put(folder, annotation(), {**annotation(8), "category_id": 2}, categories=[CATEGORY, other])
    with pytest.raises(InputError, match=r"several categories with keypoints: animal, plant\. Name one with --dataset-category\."):
        read(folder)
    assert [one.id for one in read(folder, category="plant").instances] == ["8"]
    with pytest.raises(InputError, match=r"no category 'anymal' with keypoints; did you mean animal\?"):
        read(folder, category="anymal")


@pytest.mark.parametrize(
    ("skeleton", "pairs"),
    [
        ([[1, 2], [2, 3]], (("a", "b"), ("b", "c"))),
        ([[0, 1], [1, 2]], (("a", "b"), ("b", "c"))),
        ([[1, 9], ["a", 2], [1], 5, [2, 3]], (("b", "c"),)),
        (None, ()),
    ],
    ids=["from 1", "from 0", "faulty", "none"],
)
def test_skeleton(folder, skeleton, pairs):
    """Keypoints of the skeleton are counted from 1, or from 0 as Datumaro does; faulty lines are left out."""
    category = {"id": 1, "name": "animal", "keypoints": ["a", "b", "c"], "skeleton": skeleton}
    assert read(put(folder, annotation(keypoints=[1, 2, 2] * 3), categories=[category])).skeleton == pairs


FAULTS = {
    "no lists": (
        lambda f: (f / "labels.json").write_text('{"images": [], "annotations": {}, "keypoints": [], "image_id": 1}'),
        "no list 'ann",
    ),
    "not JSON": (lambda f: (f / "labels.json").write_text('{"images": [], "annotations": [{"keypoints": '), "line 1, column 46: not JSON"),
    "length": (
        lambda f: put(f, annotation(keypoints=[1, 2, 2])),
        "annotation 7 (images/a.png): its keypoints are 3 values, not x, y and v",
    ),
    "list": (lambda f: put(f, annotation(keypoints="abc")), "annotation 7 (images/a.png): its keypoints are 'abc', not"),
    "text": (lambda f: put(f, annotation(keypoints=[1, 2, 2, "x", 2, 2])), "annotation 7 (images/a.png): x of the keypoint 'tail' is 'x'"),
    "NaN": (
        lambda f: put(f, annotation(keypoints=[1, 2, 2, 1, float("nan"), 2])),
        "annotation 7 (images/a.png): y of the keypoint 'tail' is nan",
    ),
    "v": (
        lambda f: put(f, annotation(keypoints=[1, 2, 2, 1, 2, 3])),
        "annotation 7 (images/a.png): v of the keypoint 'tail' is 3, not 0, 1",
    ),
    "far": (
        lambda f: put(f, annotation(keypoints=[1, 2, 2, 900, 2, 2])),
        "annotation 7 (images/a.png): the keypoint 'tail' lies at x = 900.5",
    ),
    "box": (lambda f: put(f, annotation(bbox=[1, 2])), "annotation 7 (images/a.png): bbox is [1, 2], not"),
    "image_id": (lambda f: put(f, annotation(image_id=5)), "annotation 7: there is no entry for its image_id 5. Add"),
    "category_id": (lambda f: put(f, {**annotation(), "category_id": 5}), "annotation 7: there is no entry for its category_id 5. Add"),
    "list as id": (lambda f: put(f, annotation(image_id=[1])), "annotation 7: there is no entry for its image_id [1]"),
    "id twice": (lambda f: put(f, annotation(), annotation()), "the annotation 7 occurs twice"),
    "annotation": (lambda f: put(f, annotation(), 5), 'entry 2 of "annotations" is 5'),
    "image twice": (lambda f: put(f, images=[image(1, "a.png"), image(1, "b.png")]), "the image 'b.png' or its id 1 occurs twice"),
    "no name": (lambda f: put(f, images=[{"id": 1}]), 'entry 1 of "images" has no id or no file_name'),
    "missing": (lambda f: put(f, images=[image(1, "c.png")]), "labels 1 image that is not in"),
    "size": (
        lambda f: put(f, annotation(), images=[image(1, "a.png", width=80, height=60)]),
        "annotation 7 (images/a.png): the labels were made on an image of 80 x 60 pixels",
    ),
    "category": (lambda f: put(f, categories=[{"id": 1, "keypoints": ["a"]}]), "has no name or no identifier"),
    "names": (lambda f: put(f, categories=[{**CATEGORY, "keypoints": ["a", "a"]}]), "are not a list of different names"),
    "no keypoints": (lambda f: put(f, categories=[{"id": 1, "name": "a", "keypoints": []}]), "no category has names of keypoints"),
    "nothing": (lambda f: put(f), "has no annotation with a labelled keypoint"),
}


@pytest.mark.parametrize(("damage", "message"), FAULTS.values(), ids=FAULTS)
def test_fault(folder, damage, message):
    """A fault is reported with file, annotation, image and keypoint."""
    damage(folder)
    with pytest.raises(InputError) as caught:
        read(folder)
    assert str(caught.value).startswith(str(folder / "labels.json"))
    assert message in str(caught.value)


def test_image_in_two_parts(folder):
    """An image in the files of two parts is refused."""
    put(folder, annotation(), name="train.json")
    put(folder, annotation(), name="val.json")
    with pytest.raises(InputError, match=r"val\.json: the image images/a\.png is also in another part of the set"):
        read(folder)


@pytest.mark.parametrize(
    "content",
    [
        {"images": [], "annotations": [{"image_id": 1, "caption": "a"}]},
        {"images": [], "annotations": [{"image_id": 1, "bbox": [1, 2, 3, 4]}], "categories": []},
        [{"image_id": 1, "keypoints": [1, 2, 2], "score": 0.5}],
        {"bboxes": [], "keypoints": []},
    ],
    ids=["captions", "boxes", "results", "image_json"],
)
def test_other_files_are_not_taken(folder, content):
    """JSON files of other kinds are not taken for COCO's files with keypoints."""
    (folder / "labels.json").write_text(json.dumps(content))
    assert coco.find(Folder(folder)) == ()


def test_large_file_is_recognised(folder):
    """A file with many images in front and annotations in the middle is recognised by its ends."""
    labelsets.draw(folder, *(f"images/{number}.png" for number in range(3)))
    put(folder, annotation(segmentation=[[1] * 100_000]), images=[image(1, "a.png"), *({**image(5, "b.png"), "url": "x" * 100_000},)])
    assert coco.find(Folder(folder)) == ("labels.json",)


def test_written_and_read(tmp_path):
    """Labels that are written are read with the same coordinates, occlusion, boxes, skeleton and parts."""
    labelsets.coco(tmp_path)
    labels = read(tmp_path)
    again = labelsets.rewritten(labels, "coco", tmp_path, "new")
    assert again.files == ("new/keypoints_train.json", "new/keypoints_val.json")
    assert again.images == labels.images
    assert again.skeleton == labels.skeleton
    assert_allclose(again.keypoints(), labels.keypoints(), atol=1e-9)
    assert [(one.image, one.id, one.box) for one in again.instances] == [(one.image, one.id, one.box) for one in labels.instances]
    assert [one.occluded.tolist() for one in again.instances] == [one.occluded.tolist() for one in labels.instances]


def test_written_file_is_coco(folder):
    """A written file has what pycocotools and mmpose need, with COCO's conventions."""
    labels = read(put(folder, annotation(keypoints=[0, 0, 0, 20.5, 21, 1])))
    coco.write(labels, Folder(folder), folder / "new.json")
    content = json.loads((folder / "new.json").read_text())
    assert content["images"][0] == {"id": 1, "file_name": "images/a.png", "width": 40, "height": 30}
    assert content["categories"][0]["skeleton"] == [[1, 2]]
    one = content["annotations"][0]
    assert one["keypoints"] == [0, 0, 0, 20.5, 21, 1]
    assert (one["num_keypoints"], one["iscrowd"], one["category_id"], one["image_id"]) == (1, 0, 1, 1)
    assert one["bbox"] == [20.5, 21, 1, 1]  # the pixel around its only keypoint
    assert one["area"] == 1
