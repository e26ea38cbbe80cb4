"""CVAT XML 1.1: skeletons in images and in frames of videos, keypoints outside, boxes by their groups."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.formats import cvat
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Instance, LabelledImage, Labels, Reading
from pipeline.errors import InputError

WIDTH, HEIGHT = 40, 20
SVG = (
    '&lt;line x1="1" data-type="edge" data-node-from="2" data-node-to="1"&gt;&lt;/line&gt;'
    '&lt;circle data-node-id="1" data-label-name="head"&gt;&lt;/circle&gt;'
    '&lt;circle data-node-id="2" data-label-name="tail"&gt;&lt;/circle&gt;'
)
META = f"""<label><name>mouse</name><type>skeleton</type><svg>{SVG}</svg></label>
<label><name>tail</name><type>points</type><parent>mouse</parent></label>
<label><name>head</name><type>points</type><parent>mouse</parent></label>
<label><name>rat</name><type>skeleton</type></label>
<label><name>nose</name><type>points</type><parent>rat</parent></label>
<label><name>body</name><type>rectangle</type></label>"""
POINTS = '<points label="head" outside="0" occluded="1" points="10.50,5.25"/><points label="tail" outside="0" occluded="0" points="40,0"/>'
MOUSE = f'<skeleton label="mouse" occluded="0">{POINTS}</skeleton>'
RAT = '<skeleton label="rat"><points label="nose" points="1,2"/></skeleton>'


def image(content, name="a.png", more=""):
    """The element of an image."""
    return f'<image id="0" name="{name}" {more} width="{WIDTH}" height="{HEIGHT}">{content}</image>'


def document(*elements, meta=META):
    """The text of a file."""
    return f"<annotations><version>1.1</version><meta><task><labels>{meta}</labels></task></meta>{''.join(elements)}</annotations>"


def folder_of(root, *elements, images=("a.png",), meta=META, name="annotations"):
    """A folder with images of 40 x 20 pixels and an XML file with elements of images and tracks."""
    root.mkdir(exist_ok=True)
    for file in images:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (WIDTH, HEIGHT)).save(root / file)
    (root / f"{name}.xml").write_text(document(*elements, meta=meta))
    return Folder(root)


def read(folder, **reading):
    """The labels of a folder."""
    return cvat.read(folder, cvat.find(folder), Reading(**reading))


def refused(folder, **reading):
    """The message about a folder."""
    with pytest.raises(InputError) as caught:
        read(folder, **reading)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder.root}/")


def test_0_is_the_edge_of_the_image(tmp_path):
    """Coordinates are pixels as they are; the order of keypoints is that of the labels, and the lines are those of the drawing."""
    labels = read(folder_of(tmp_path, image(MOUSE)))
    [instance] = labels.instances
    assert labels.names == ("tail", "head")
    assert labels.skeleton == (("tail", "head"),)
    assert labels.mirror is None
    np.testing.assert_array_equal(instance.keypoints, [[40, 0], [10.5, 5.25]])
    assert instance.occluded.tolist() == [False, True]
    assert (instance.id, instance.box, instance.place) == ("1", None, "annotations.xml, image a.png, skeleton 1")


def test_a_keypoint_outside_is_missing(tmp_path):
    """So is one that is not there."""
    skeleton = MOUSE.replace('label="head" outside="0"', 'label="head" outside="1"')
    one = '<skeleton label="mouse"><points label="head" outside="0" points="1,2"/></skeleton>'
    labels = read(folder_of(tmp_path, image(skeleton + one)))
    np.testing.assert_array_equal(labels.keypoints(), [[[40, 0], [np.nan, np.nan]], [[np.nan, np.nan], [1, 2]]])
    assert not labels.instances[0].occluded.any()


def test_images_without_a_skeleton_are_empty(tmp_path):
    """The subset of an image is its part."""
    elements = [image(MOUSE, more='subset="Train"'), image("", "b.png", 'subset="Test"'), image("<box/>", "c.png", 'subset="default"')]
    labels = read(folder_of(tmp_path, *elements, images=["a.png", "b.png", "c.png"]))
    assert labels.images == (LabelledImage("a.png", "training"), LabelledImage("b.png", "test"), LabelledImage("c.png"))
    assert len(labels.instances) == 1


def test_a_box_of_the_same_group_is_the_box(tmp_path):
    """Not a rotated one, nor one of another group, of none, or of a group with several skeletons."""
    boxes = [
        '<box label="body" group_id="3" xtl="1.5" ytl="2" xbr="11" ybr="12"/>',
        '<box label="body" group_id="4" xtl="1" ytl="2" xbr="11" ybr="12" rotation="5"/>',
        '<box label="body" xtl="0" ytl="0" xbr="9" ybr="9"/>',
    ]
    boxes += ['<box label="body" group_id="6" xtl="0" ytl="0" xbr="9" ybr="9"/>']
    skeletons = [MOUSE.replace("<skeleton", f'<skeleton group_id="{group}"') for group in (3, 4, 5, 6, 6)]
    labels = read(folder_of(tmp_path, image("".join([*boxes, *skeletons, MOUSE]))))
    assert [instance.box for instance in labels.instances] == [(1.5, 2, 9.5, 10), *5 * [None]]


def frames(*values):
    """Elements of frames of a track: frame, outside, point."""
    return "".join(f'<points frame="{frame}" outside="{outside}" occluded="0" points="{point}"/>' for frame, outside, point in values)


INNER = (
    f'<track id="0" label="head">{frames((0, 0, "1,2"), (3, 0, "3,4"), (6, 0, "5,6"))}</track>'
    f'<track id="1" label="tail">{frames((0, 0, "7,8"), (3, 1, "7,8"))}</track>'
)
TRACKS = {
    "tracks": f'<track id="7" label="mouse"><skeleton frame="0"/><skeleton frame="3"/><skeleton frame="6" outside="1"/>{INNER}</track>',
    "children": '<track id="7" label="mouse">'
    '<skeleton frame="0"><points label="head" outside="0" points="1,2"/><points label="tail" outside="0" points="7,8"/></skeleton>'
    '<skeleton frame="3"><points label="head" outside="0" points="3,4"/><points label="tail" outside="1" points="7,8"/></skeleton>'
    '<skeleton frame="6"><points label="head" outside="1" points="3,4"/><points label="tail" outside="1" points="7,8"/></skeleton></track>',
}


FRAMES = ["frames/frame_000000.png", "frames/frame_000003.png", "frames/frame_000006.png"]


@pytest.mark.parametrize("track", TRACKS)
def test_frames_of_a_video_are_images(tmp_path, track):
    """In both ways in which CVAT has written tracks; a skeleton that has left the picture is none."""
    other = '<track id="8" label="body"><box frame="6" xtl="1" ytl="2" xbr="3" ybr="4"/></track>'
    labels = read(folder_of(tmp_path, TRACKS[track], other, images=FRAMES))
    assert [image.name for image in labels.images] == FRAMES[:2]
    assert [(instance.image, instance.id) for instance in labels.instances] == [(FRAMES[0], "7"), (FRAMES[1], "7")]
    np.testing.assert_array_equal(labels.keypoints(), [[[7, 8], [1, 2]], [[np.nan, np.nan], [3, 4]]])


def test_missing_frames_are_named(tmp_path):
    """Those of the video have to be extracted."""
    message = refused(folder_of(tmp_path, TRACKS["tracks"], images=["frame_000003.jpg"]))
    assert message.startswith("annotations.xml labels 1 image that is not in ")
    assert message.endswith(": frame_000000.png. Add them, or remove their labels.")


def test_an_image_that_is_listed_twice_is_one(tmp_path):
    """As in a project with two tasks; instances are numbered through, as are tracks of the same number."""
    labels = read(folder_of(tmp_path, image(MOUSE), image(MOUSE + MOUSE), TRACKS["tracks"] * 2, images=["a.png", *FRAMES]))
    assert [(each.image, each.id) for each in labels.instances][:3] == [("a.png", "1"), ("a.png", "2"), ("a.png", "3")]
    assert [each.id for each in labels.instances][3:] == ["1", "2"] * 2


def test_a_skeleton_is_chosen_where_several_are_used(tmp_path):
    """One that is only defined asks for no choice."""
    folder = folder_of(tmp_path, image(MOUSE + RAT))
    assert refused(folder) == "annotations.xml has several skeletons: mouse, rat. Choose one with --dataset-category."
    labels = read(folder, category="rat")
    assert (labels.names, [instance.id for instance in labels.instances]) == (("nose",), ["2"])
    assert refused(folder, category="mous") == "annotations.xml has no skeleton 'mous'; did you mean mouse?"


def test_two_files_of_the_same_images_are_annotation_sources(tmp_path):
    """Files of different images are one source."""
    folder_of(tmp_path, image(MOUSE), name="one")
    folder = folder_of(tmp_path, image(MOUSE), image(MOUSE, "b.png"), images=["b.png"], name="two")
    assert [instance.source for instance in read(folder).instances] == ["one", "two", "two"]
    (tmp_path / "one.xml").write_text(document(image("")))
    assert [instance.source for instance in read(Folder(tmp_path)).instances] == ["", ""]


def test_other_xml_files_are_not_taken_for_those_of_cvat(tmp_path):
    """Nor those of CVAT without skeletons."""
    folder = folder_of(tmp_path, image("<box/>"), meta="<label><name>body</name><type>rectangle</type></label>")
    (tmp_path / "b.xml").write_text("<dataset><skeleton/></dataset>")
    assert cvat.find(folder) == ()


FAULTS = {
    "not xml": (image(MOUSE)[:-3], "not XML"),
    "word": (image(MOUSE.replace("10.50", "x")), "image a.png, skeleton 1: x of the keypoint 'head' is 'x', not a number."),
    "nan": (image(MOUSE.replace("5.25", "nan")), "image a.png, skeleton 1: y of the keypoint 'head' is 'nan', which cannot be"),
    "huge": (image(MOUSE.replace("5.25", "1e99")), "image a.png, skeleton 1: y of the keypoint 'head' is '1e99', which cannot be"),
    "one": (image(MOUSE.replace(",5.25", "")), "image a.png, skeleton 1: the points of the keypoint 'head' are '10.50', not x,y."),
    "two": (
        image(MOUSE.replace("5.25", "5;1,2")),
        "image a.png, skeleton 1: the points of the keypoint 'head' are '10.50,5;1,2', not x,y.",
    ),
    "none": (
        image(MOUSE.replace('points="10.50,5.25"', "")),
        "image a.png, skeleton 1: the points of the keypoint 'head' are '', not x,y.",
    ),
    "far": (image(MOUSE.replace("5.25", "90")), "image a.png, skeleton 1: the keypoint 'head' lies at x = 10.5, y = 90, far outside"),
    "twice": (image(MOUSE.replace("tail", "head")), "image a.png, skeleton 1: the keypoint 'head' occurs twice."),
    "unknown": (image(MOUSE.replace("tail", "paw")), "image a.png, skeleton 1: the keypoint 'paw' is not one of tail, head."),
    "undefined": (image(MOUSE.replace("mouse", "cat")), "image a.png, skeleton 1: the label 'cat' is not defined as a skeleton in <meta>."),
    "size": (
        image(MOUSE).replace('"40"', '"20"'),
        "image a.png: the labels were made on an image of 20 x 20 pixels, but a.png has 40 x 20.",
    ),
    "no size": (image(MOUSE).replace('width="40"', ""), "image a.png: width is None, not a number."),
    "no name": (image(MOUSE, name=""), ": an image without a name. Add them"),
    "missing": (image(MOUSE, name="b.png"), " labels 1 image that is not in"),
    "frame": (TRACKS["tracks"].replace('frame="0"', 'frame="x"'), "track 7: frame is 'x', not a number."),
    "nothing": (image(""), " has no skeletons. Label keypoints as a skeleton in CVAT, and export them as CVAT 1.1."),
    "box": (
        image('<box group_id="1" xtl="1" ytl="x" xbr="2" ybr="3"/>' + MOUSE.replace("<skeleton", '<skeleton group_id="1"')),
        "image a.png, skeleton 1: ytl of the box is 'x', not a number.",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence(tmp_path, fault):
    """With file, image and keypoint."""
    content, message = FAULTS[fault]
    found = refused(folder_of(tmp_path, content))
    assert found.startswith("annotations.xml")
    assert message in found


def test_skeletons_without_keypoints_or_of_other_keypoints_are_refused(tmp_path):
    """In one file, and in two."""
    meta = META.replace("<name>tail", "<name>head")
    assert "the skeleton 'mouse' has no keypoints, or two of the same name." in refused(folder_of(tmp_path, image(MOUSE), meta=meta))
    folder_of(tmp_path, image(MOUSE), name="annotations")
    folder = folder_of(tmp_path, image(MOUSE), meta=META.replace("tail", "paw"), name="b")
    assert refused(folder).startswith("b.xml defines other keypoints of 'mouse' than")


def test_entities_are_refused(tmp_path):
    """They can expand without end."""
    folder = folder_of(tmp_path, image(MOUSE))
    text = f'<!DOCTYPE a [<!ENTITY b "{"c" * 100}">]>{document(image(MOUSE))}'
    (tmp_path / "annotations.xml").write_text(text)
    assert "the file defines XML entities" in refused(folder)


def instance_of(image, points, *, occluded=(False, False), box=None):
    """An instance with these keypoints."""
    return Instance(image, "1", np.array(points, np.float64), np.array(occluded), box)


def test_what_is_written_is_read_back(tmp_path):
    """Coordinates, occlusion, boxes, parts, names and lines."""
    images = ["a.png", "sub/b.png", 'c "&<.png']
    folder = folder_of(tmp_path / "set", images=images)
    instances = (
        instance_of("a.png", [(1 / 3, 2), (np.nan, np.nan)], box=(1, 2, 3, 4.5)),
        instance_of("a.png", [(5, 6), (39.9999999, 0)], occluded=(False, True), box=(0, 0, 40, 20)),
        instance_of("a.png", [(np.nan, np.nan), (np.nan, np.nan)]),
        instance_of("sub/b.png", [(-1, 2), (3, 4)]),
    )
    labelled = tuple(LabelledImage(image, part) for image, part in zip(images, ["training", "test", ""], strict=True))
    labels = Labels("coco", (), ("left & right", 'a "<b>"'), labelled, instances, skeleton=(('a "<b>"', "left & right"),))
    (tmp_path / "set" / "annotations.xml").unlink()
    cvat.write(labels, folder, tmp_path / "set" / "out.xml")
    assert "nan" not in (tmp_path / "set" / "out.xml").read_text()
    again = read(Folder(tmp_path / "set"))
    assert (again.names, again.skeleton, again.images) == (labels.names, labels.skeleton, labels.images)
    assert [each.image for each in again.instances] == [each.image for each in instances]
    np.testing.assert_allclose(again.keypoints(), labels.keypoints(), rtol=0, atol=1e-6)
    np.testing.assert_array_equal([each.occluded for each in again.instances], [each.occluded for each in instances])
    assert [each.box for each in again.instances] == [each.box for each in instances]


def test_several_annotation_sources_are_not_written(tmp_path):
    """They would look like several objects."""
    one = instance_of("a.png", [(1, 2), (3, 4)])
    labels = Labels("coco", (), ("a", "b"), (LabelledImage("a.png"),), (replace(one, source="x"), replace(one, source="y")))
    with pytest.raises(InputError, match="the annotation sources x, y, which"):
        cvat.write(labels, Folder(tmp_path), tmp_path / "out.xml")


@pytest.mark.skipif("KEYPOINTS_SETS" not in os.environ, reason="KEYPOINTS_SETS names no folder with published keypoint sets")
def test_published_samples_are_read(tmp_path):
    """The numbers that the files show; the frames of the video are small, and one is missing, so others take their place here."""
    samples = Path(os.environ["KEYPOINTS_SETS"]) / "format-samples" / "cvat"
    nan = (np.nan, np.nan)
    labels = read(Folder(samples / "for_images"))
    np.testing.assert_array_equal(labels.keypoints(), [[nan, (2, 2), (3, 3), (4, 4)], [(3, 3), (4, 4), nan, (6, 6)]])
    assert "frame_000016" in refused(Folder(samples / "for_video"))
    text = (
        (samples / "for_video" / "annotations.xml").read_text().replace("<width>25<", "<width>99<").replace("<height>20<", "<height>198<")
    )
    (tmp_path / "annotations.xml").write_text(text)
    for frame in (10, 13, 16):
        Image.new("L", (99, 198)).save(tmp_path / f"frame_{frame:06}.png")
    labels = read(Folder(tmp_path))
    first = [(48.8, 111.77), (48.8, 156.28), (83.27, 106.61), (89.11, 159.91)]
    np.testing.assert_array_equal(labels.keypoints(), [first, *2 * [[*first[:2], nan, first[3]]]])
