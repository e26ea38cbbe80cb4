"""Label Studio's JSON export: percent of the image, instances by parents, annotators, names of uploaded images."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.formats import label_studio
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Instance, LabelledImage, Labels, Reading
from pipeline.errors import InputError

WIDTH, HEIGHT = 40, 20
CONFIGURATION = '<View><KeyPointLabels name="k" toName="i"><Label value="tail"/><Label value="head"/></KeyPointLabels></View>'


def keypoint(label, x, y, parent=None, **changes):
    """A region with a keypoint."""
    value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [label]}
    region = {"id": f"{label}{parent}", "type": "keypointlabels", "value": value, "original_width": WIDTH, "original_height": HEIGHT}
    return region | {"image_rotation": 0} | ({"parentID": parent} if parent else {}) | changes


def rectangle(name, x, y, width, height, rotation=0):
    """A region with a rectangle."""
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation, "rectanglelabels": ["mouse"]}
    return {"id": name, "type": "rectanglelabels", "value": value}


def annotation(*regions, **more):
    """An annotation of the user with number 1."""
    return {"completed_by": 1, "was_cancelled": False, "result": list(regions)} | more


def task(*annotations, image="a.png", **data):
    """A task with its annotations."""
    return {"id": 7, "annotations": list(annotations), "data": {"image": image} | data, "predictions": [annotation(keypoint("x", 1, 2))]}


HEAD, TAIL = keypoint("head", 25, 50), keypoint("tail", 100, 0)


def folder_of(root, tasks, images=("a.png",), name="project", configuration=None):
    """A folder with images of 40 x 20 pixels and an export."""
    root.mkdir(exist_ok=True)
    for file in images:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (WIDTH, HEIGHT)).save(root / file)
    (root / f"{name}.json").write_text(tasks if isinstance(tasks, str) else json.dumps(tasks))
    if configuration:
        (root / "config.xml").write_text(configuration)
    return Folder(root)


def read(folder):
    """The labels of a folder."""
    return label_studio.read(folder, label_studio.find(folder), Reading())


def refused(folder):
    """The message about a folder."""
    with pytest.raises(InputError) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder.root}/")


def test_coordinates_are_percent_of_the_image(tmp_path):
    """0 is the edge of the image, 100 the opposite one; without parents, an annotation is an instance."""
    labels = read(folder_of(tmp_path, [task(annotation(HEAD, TAIL))]))
    [instance] = labels.instances
    assert labels.names == ("head", "tail")
    np.testing.assert_array_equal(instance.keypoints, [[10, 10], [40, 0]])
    assert (instance.id, instance.box, instance.source) == ("1", None, "")
    assert instance.place == "project.json, task 7, image a.png"
    assert not instance.occluded.any()


def test_keypoints_of_a_parent_are_an_instance_and_its_rectangle_is_the_box(tmp_path):
    """Rectangles without keypoints are none; a rotated one is turned clockwise around its first corner."""
    regions = [rectangle("r", 10, 20, 50, 40), rectangle("s", 50, 50, 25, 20, rotation=90), rectangle("t", 1, 2, 3, 4)]
    regions += [keypoint("head", 25, 50, "r"), keypoint("head", 5, 10, "s"), keypoint("tail", 50, 50, "r"), keypoint("tail", 1, 1, "u")]
    labels = read(folder_of(tmp_path, [task(annotation(*regions))]))
    assert [instance.id for instance in labels.instances] == ["r", "s", "u"]
    nan = (np.nan, np.nan)
    np.testing.assert_allclose(labels.keypoints(), [[(10, 10), (20, 10)], [(2, 2), nan], [nan, (0.4, 0.2)]], rtol=0, atol=1e-12)
    np.testing.assert_allclose(labels.instances[0].box, (4, 4, 20, 8), atol=1e-12)
    np.testing.assert_allclose(labels.instances[1].box, (16, 10, 4, 10), atol=1e-12)
    assert labels.instances[2].box is None


def test_the_configuration_gives_the_order_of_keypoints(tmp_path):
    """Also keypoints that were never used; one of another project is passed over."""
    folder = folder_of(tmp_path, [task(annotation(HEAD))], configuration=CONFIGURATION)
    assert read(folder).names == ("tail", "head")
    folder = folder_of(tmp_path, [task(annotation(keypoint("paw", 1, 2), HEAD))])
    assert read(folder).names == ("paw", "head")


def test_the_first_annotation_that_is_not_cancelled_counts(tmp_path):
    """If one person has annotated each task, whoever that is."""
    tasks = [
        task(annotation(TAIL, was_cancelled=True), annotation(HEAD), annotation(TAIL)),
        task(annotation(TAIL, completed_by={"id": 2, "email": "b@c.d"}), image="b.png"),
    ]
    labels = read(folder_of(tmp_path, tasks, images=["a.png", "b.png"]))
    assert [(each.image, each.source, np.isnan(each.keypoints).any(axis=1).tolist()) for each in labels.instances] == [
        ("a.png", "", [False, True]),
        ("b.png", "", [True, False]),
    ]


def test_several_annotators_of_a_task_are_annotation_sources(tmp_path):
    """They are called by their e-mail addresses or numbers."""
    both = annotation(HEAD), annotation(TAIL, completed_by={"id": 2, "email": "b@c.d"})
    labels = read(folder_of(tmp_path, [task(*both), task(both[0], image="b.png")], images=["a.png", "b.png"]))
    assert [(each.image, each.id, each.source) for each in labels.instances] == [
        *(("a.png", "1", "1"), ("b.png", "1", "1"), ("a.png", "1", "b@c.d")),
    ]


def test_two_exports_of_the_same_images_are_annotation_sources(tmp_path):
    """Their annotators may have the same number."""
    folder_of(tmp_path, [task(annotation(HEAD))], name="one")
    assert [each.source for each in read(folder_of(tmp_path, [task(annotation(HEAD))], name="two")).instances] == [
        "one.json: 1",
        "two.json: 1",
    ]


def test_empty_and_unlabelled_tasks_differ(tmp_path):
    """An empty or cancelled annotation is an image without an instance; a task without any is not mentioned."""
    images = ["a.png", "b.png", "c.png", "d.png"]
    tasks = [task(annotation(HEAD)), task(annotation(), image="b.png"), task(annotation(HEAD, was_cancelled=True), image="c.png")]
    labels = read(folder_of(tmp_path, [*tasks, task(image="d.png")], images=images))
    assert [image.name for image in labels.images] == images[:3]
    assert len(labels.instances) == 1


IMAGES = {
    "uploaded": ({"image": "/data/upload/1/0a1b2c3d-a%20b.png"}, "a b.png"),
    "hash": ({"image": "/data/upload/1/0a1b2c3d-c.png"}, "0a1b2c3d-c.png"),
    "local": ({"image": "/data/local-files/?d=sub/d%20e.png"}, "sub/d e.png"),
    "bucket": ({"image": "s3://bucket/set/sub/d%20e.png?x=1"}, "sub/d e.png"),
    "web": ({"image": "https://example.org/set/f.png"}, "f.png"),
    "name": ({"image": "f.png"}, "f.png"),
    "percent": ({"image": "g%20.png"}, "g%20.png"),
    "other key": ({"image": None, "photo": "/data/f.png", "note": "left"}, "f.png"),
    "windows": ({"image": "/data/local-files/?d=sub\\d e.png"}, "sub/d e.png"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_found_by_their_addresses(tmp_path, name):
    """With and without the hash of uploaded images."""
    data, image = IMAGES[name]
    images = ["a b.png", "0a1b2c3d-c.png", "c.png", "sub/d e.png", "f.png", "g%20.png"]
    labels = read(folder_of(tmp_path, [task(annotation(HEAD), **data)], images=images))
    assert [each.image for each in labels.instances] == [image]


def test_other_json_files_are_not_taken_for_exports(tmp_path):
    """Nor exports without keypoints; far into a file, keypoints are found."""
    folder_of(tmp_path, [task(annotation(rectangle("r", 1, 2, 3, 4)), note="")], name="boxes")
    text = (tmp_path / "boxes.json").read_text().replace("keypointlabels", "brushlabels")
    (tmp_path / "boxes.json").write_text(text)
    (tmp_path / "coco.json").write_text('{"annotations": [], "images": []}')
    assert label_studio.find(Folder(tmp_path)) == ()
    (tmp_path / "late.json").write_text(text[:-1] + " " * ((1 << 20) - len(text) - 6) + ', {"keypointlabels": 1}]')
    assert label_studio.find(Folder(tmp_path)) == ("late.json",)


def change(**changes):
    """An export with a keypoint whose region or value is changed."""
    region = keypoint("head", 25, 50)
    values = {key: value for key, value in changes.items() if key in region["value"]}
    return [
        task(annotation(region | {key: value for key, value in changes.items() if key not in values} | {"value": region["value"] | values}))
    ]


FAULTS = {
    "word": (change(x="left"), "x of the keypoint 'head' is 'left', not a number."),
    "none": (change(y=None), "y of the keypoint 'head' is None, not a number."),
    "nan": (change(y=float("nan")), "y of the keypoint 'head' is nan, which cannot be a length in pixels."),
    "huge": (change(y=1e300), "y of the keypoint 'head' is 1e+300, which cannot be a length in pixels."),
    "far": (change(y=1000), "the keypoint 'head' lies at x = 10, y = 200, far outside the image of 40 x 20 pixels."),
    "labels": (change(keypointlabels=["head", "tail"]), "a keypoint has the labels ['head', 'tail'], not one label."),
    "no value": ([task(annotation({"type": "keypointlabels", "value": 3}, HEAD))], "a keypoint has the labels None, not one label."),
    "rotated": (
        change(image_rotation=90),
        "the image was rotated by 90 degrees in Label Studio. Turn it back there, or rotate the image file",
    ),
    "no size": (change(original_width=None), "original_width of the keypoint 'head' is None, not a number."),
    "shape": (change(original_width=20, original_height=40), "the labels were made on an image of 20 x 40 pixels, but a.png has 40 x 20."),
    "twice": ([task(annotation(HEAD, HEAD))], "the keypoint 'head' occurs twice in an instance. Group the keypoints of each instance"),
    "box": ([task(annotation(keypoint("head", 1, 2, "r"), rectangle("r", 1, 2, "x", 4)))], "width of the box is 'x', not a number."),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence(tmp_path, fault):
    """With task, image and keypoint."""
    tasks, message = FAULTS[fault]
    assert refused(folder_of(tmp_path, tasks)).startswith(f"project.json, task 7, image a.png: {message}")


SHAPES = {
    "min": ([{"id": 1, "image": "a.png", "k": [{"keypointlabels": ["x"]}]}], "project.json, task 1 has no list of annotations."),
    "text": ([{"keypointlabels": 1}, "annotations"], "project.json, task 1 has no list of annotations."),
    "result": (
        [task(annotation(HEAD, result=3)), {"keypointlabels": 0, "annotations": []}],
        "project.json, task 7: the result of an annotation is 3",
    ),
    "broken": ('[{"annotations": "keypointlabels"', "project.json"),
    "none": ([task(annotation(rectangle("r", 1, 2, 3, 4)))], "project.json has no keypoints. Label them with KeyPointLabels"),
    "no image": ([task(annotation(HEAD), image=None)], "project.json, task 7: its data has no values that name an image."),
    "two images": ([task(annotation(HEAD), image=None, x="a.png", y="b.png")], "project.json, task 7: its data has 2 values that name"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_of_another_shape_is_refused(tmp_path, shape):
    """In a sentence that says what is expected."""
    tasks, message = SHAPES[shape]
    folder = folder_of(tmp_path, tasks)
    with pytest.raises(InputError) as caught:
        label_studio.read(folder, ("project.json",), Reading())
    assert str(caught.value).removeprefix(f"{folder.root}/").startswith(message)


def test_missing_images_are_named(tmp_path):
    """All of them, as uploaded images are often forgotten."""
    tasks = [task(annotation(HEAD), image="/data/upload/1/0a1b2c3d-x.png"), task(annotation(HEAD), image="y.png")]
    message = refused(folder_of(tmp_path, [*tasks, task(annotation(HEAD))]))
    assert message.startswith("project.json labels 2 images that are not in ")
    assert message.endswith("/data/upload/1/x.png, y.png. Add them, or remove their labels.")


def test_a_smaller_copy_of_the_image_may_be_used(tmp_path):
    """Percent are of any size."""
    labels = read(folder_of(tmp_path, change(original_width=1001, original_height=500)))
    np.testing.assert_array_equal(labels.keypoints(), [[[10, 10]]])


def instance_of(image, *points, box=None, source=""):
    """An instance with these keypoints."""
    return Instance(image, "1", np.array(points, np.float64), np.zeros(len(points), bool), box, source)


def test_what_is_written_is_read_back(tmp_path):
    """Coordinates, boxes, the order of names, annotators and images without an instance."""
    images = ["a.png", "sub/b c?.png", "d.png"]
    folder = folder_of(tmp_path / "set", [], images=images)
    nan = (np.nan, np.nan)
    instances = (
        instance_of("a.png", nan, (1 / 3, 2), box=(1, 2, 3, 4.5)),
        instance_of("a.png", (5, 6), (39.9999999, 0)),
        instance_of("a.png", (15, 16), (12, 13)),
        instance_of("sub/b c?.png", (-1, 2), nan),
    )
    labels = Labels("coco", (), ("tail", "head"), tuple(LabelledImage(image) for image in images), instances)
    for sources in (("", "", "", ""), ("one", "two", "two", "two")):
        given = replace(labels, instances=tuple(replace(each, source=source) for each, source in zip(instances, sources, strict=True)))
        label_studio.write(given, folder, tmp_path / "set" / "out")
        again = read(Folder(tmp_path / "set"))
        assert (again.names, again.images) == (labels.names, labels.images)
        assert [(each.image, each.source) for each in again.instances] == [(each.image, each.source) for each in given.instances]
        np.testing.assert_allclose(again.keypoints(), labels.keypoints(), rtol=0, atol=1e-6)
        np.testing.assert_allclose([each.box for each in again.instances[::2]], [(1, 2, 3, 4.5), (12, 13, 3, 3)], atol=1e-9)
        assert again.instances[3].box is None


@pytest.mark.skipif("KEYPOINTS_SETS" not in os.environ, reason="KEYPOINTS_SETS names no folder with published keypoint sets")
def test_the_published_sample_is_read(tmp_path):
    """One of four exports has keypoints, of which three were set; its image is not among the samples."""
    samples = Folder(Path(os.environ["KEYPOINTS_SETS"]) / "format-samples" / "label-studio")
    assert label_studio.find(samples) == ("data_keypoints.json", "label_config_keypoints.xml")
    assert "labels 1 image that is not in" in refused(samples)
    assert "image1.jpg" in refused(samples)
    for name in label_studio.find(samples):
        (tmp_path / name).write_bytes(samples.path(name).read_bytes())
    Image.new("L", (216, 174)).save(tmp_path / "image1.jpg")
    labels = read(Folder(tmp_path))
    assert (len(labels.names), labels.names[:3]) == (17, ("nose", "left_eye", "right_eye"))
    [instance] = labels.instances
    expected = [(64.44444444444444, 39.290780141843975), (58.38849487785658, 30.78014184397163), (70.50039401103231, 32.19858156028369)]
    np.testing.assert_allclose(instance.keypoints[:3], np.array(expected) / 100 * (216, 174), rtol=0, atol=1e-9)
    assert np.isnan(instance.keypoints[3:]).all()
    percent = (38.849487785658, 7.65957446808511, 47.304964539007095, 50.92198581560283)
    np.testing.assert_allclose(instance.box, np.array(percent) / 100 * (216, 174, 216, 174), rtol=0, atol=1e-9)
