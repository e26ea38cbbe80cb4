"""LabelMe files: one for each image, with points named by their keypoints."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.data.formats import labelme
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Labels, Reading
from pipeline.errors import InputError

NAN = np.nan


def point(label: Any, x: Any, y: Any, group: Any = None, **more: Any) -> dict:
    """A shape as LabelMe writes it."""
    return {"label": label, "points": [[x, y]], "group_id": group, "shape_type": "point", "flags": {}, **more}


def box(label: str, *corners: list, group: Any = None) -> dict:
    """A rectangle as LabelMe writes it."""
    return {"label": label, "points": list(corners), "group_id": group, "shape_type": "rectangle", "flags": {}}


def document(*shapes: Any, **more: Any) -> dict:
    """A file as LabelMe writes it."""
    return {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": "a.png", "imageData": None, **more}


def save(path: Path, content: Any) -> None:
    """Writes JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path) -> Folder:
    """A folder with two images of 20 x 10 pixels."""
    for name in ("a.png", "b.png"):
        Image.new("L", (20, 10)).save(tmp_path / name)
    return Folder(tmp_path)


def read(folder: Folder, content: Any, category: str = "") -> Labels:
    """The labels of a file with this content."""
    save(folder.root / "a.json", content)
    return labelme.read(folder, ("a.json",), Reading(category))


def test_0_is_the_edge_of_the_image(folder):
    """Coordinates are those of the project; without group_id all points are one instance."""
    labels = read(folder, document(point("nose", 3.5, 0), point("tail", 19, 10, flags={"occluded": True})))
    assert labels.names == ("nose", "tail")
    (instance,) = labels.instances
    np.testing.assert_array_equal(instance.keypoints, [(3.5, 0), (19, 10)])
    assert instance.occluded.tolist() == [False, True]
    assert (instance.image, instance.id, instance.box, instance.source) == ("a.png", "1", None, "")
    assert labels.notes == ()


def test_points_and_a_rectangle_with_the_same_group_are_an_instance(folder):
    """The rectangle is its box, from any two or four corners; keypoints without a point are missing."""
    labels = read(
        folder,
        document(
            point("nose", 1, 2, 7),
            point("tail", 3, 4, 8, description="Occluded"),
            box("mouse", [6, 5], [0, 1], group=7),
            box("rat", [2, 3], [4, 3], [4, 9], [2, 9], group=8),
        ),
    )
    np.testing.assert_array_equal(labels.keypoints(), [[(1, 2), (NAN, NAN)], [(NAN, NAN), (3, 4)]])
    assert [(each.id, each.box) for each in labels.instances] == [("7", (0, 1, 6, 4)), ("8", (2, 3, 2, 6))]
    assert labels.instances[1].occluded.tolist() == [False, True]


def test_a_category_is_the_label_of_the_rectangle(folder):
    """Only its instances are read; an unknown one is refused with a guess."""
    content = document(point("nose", 1, 2, 7), point("nose", 3, 4, 8), box("mouse", [6, 5], [0, 1], group=7))
    assert [each.id for each in read(folder, content, "mouse").instances] == ["7"]
    with pytest.raises(InputError, match=r"no rectangle with points has the label 'mose'; did you mean mouse\?"):
        read(folder, content, "mose")
    with pytest.raises(InputError, match="no points share a group_id with a rectangle"):
        read(folder, document(point("nose", 1, 2, 7)), "mouse")


def test_points_beside_groups_are_an_instance_of_their_own(folder):
    """Its number is one that no group has."""
    labels = read(folder, document(point("nose", 1, 2, 1), point("nose", 3, 4)))
    assert [each.id for each in labels.instances] == ["1", "2"]


def test_other_shapes_are_skipped_with_a_note(folder):
    """Polygons, circles, and rectangles without points."""
    polygon = {"label": "body", "points": [[1, 1], [2, 2], [3, 1]], "shape_type": "polygon"}
    labels = read(folder, document(polygon, {"label": "x"}, box("mouse", [1, 1], [2, 2], group=3), point("nose", 1, 1)))
    assert len(labels.instances) == 1
    assert labels.notes == (
        "Shapes other than points and rectangles are not read (2 of type polygon).",
        "1 rectangle without points in the same group: not read.",
    )


def test_a_file_without_points_is_an_empty_image(folder):
    """The image is known and has no instance."""
    save(folder.root / "b.json", document(point("nose", 1, 1), imagePath="b.png"))
    save(folder.root / "a.json", document())
    labels = labelme.read(folder, ("a.json", "b.json"), Reading())
    assert [each.name for each in labels.images] == ["a.png", "b.png"]
    assert [each.image for each in labels.instances] == ["b.png"]


def test_files_are_recognised_by_their_content(folder):
    """Other JSON files are not LabelMe's, and large embedded images may come first."""
    save(folder.root / "a.json", document())
    save(folder.root / "b.json", {"imageData": "A" * 10_000, "shapes": []})
    save(folder.root / "c.json", {"images": [], "annotations": []})
    save(folder.root / "d.json", [1])
    (folder.root / "e.json").write_bytes(b"\xff\xfe")
    assert labelme.find(folder) == ("a.json", "b.json")


@pytest.mark.parametrize(
    ("file", "text"),
    [("one/1.json", "1.png"), ("one/1.json", r"C:\one\1.png"), ("labels/one/1.json", "1.png"), ("labels/1.json", "../one/1.png")],
)
def test_an_image_is_looked_for_beside_the_file(folder, file, text):
    """And in the folder of the same name elsewhere, if others have an image of that name too."""
    for name in ("one", "two"):
        (folder.root / name).mkdir()
        Image.new("L", (20, 10)).save(folder.root / name / "1.png")
    save(folder.root / file, document(point("nose", 1, 1), imagePath=text))
    assert labelme.read(folder, (file,), Reading()).instances[0].image == "one/1.png"


def test_files_in_two_folders_for_the_same_image_are_two_sources(folder):
    """The folders are the sources. In one folder, they contradict each other."""
    for name in ("ann/a.json", "bob/a.json", "bob/b.json"):
        save(folder.root / name, document(point("nose", 1, 1), imagePath=f"{name[4]}.png"))
    labels = labelme.read(folder, labelme.find(folder), Reading())
    assert [each.source for each in labels.instances] == ["ann", "bob", "bob"]
    save(folder.root / "bob/b.json", document(point("nose", 1, 1)))
    with pytest.raises(InputError, match=r"bob/b\.json labels the image a\.png, as bob/a\.json does\. Remove one"):
        labelme.read(folder, labelme.find(folder), Reading())


def test_the_folder_of_a_file_names_the_part(folder):
    """As in train/a.json; the file name may be of any kind."""
    for name in ("train/a.json", "val/b.json"):
        save(folder.root / name, document(point("nose", 1, 1), imagePath=f"{name[-6]}.png"))
    labels = labelme.read(folder, ("train/a.json", "val/b.json"), Reading())
    assert [each.part for each in labels.images] == ["training", "validation"]


FAR = "the keypoint 'nose' lies at x = 41, y = 1, far outside the image of 20 x 10"
FAULTS = {
    "no points": (document(), "a.json has no points"),
    "no area": (document(box("mouse", [1, 1], [1, 5])), "a.json, shape 1: the rectangle 'mouse' has no area"),
    "no object": ([1], "a.json: the file has no list of shapes"),
    "no shapes": ({"shapes": {}}, "a.json: the file has no list of shapes"),
    "no image path": (document(imagePath=None), "a.json: imagePath is None, not the name of an image"),
    "missing image": (document(imagePath="../../etc/c.png"), "a.json: there is no image ../../etc/c.png in "),
    "embedded image": (document(imagePath="c.png", imageData="AAAA"), "a.json: the image c.png is only inside the file"),
    "another size": (document(imageWidth=10, imageHeight=20), "a.json: the labels are for an image of 10 x 20 pixels, and a"),
    "wrong size": (document(imageWidth="10", imageHeight=20), "a.json: the labels are for an image of '10' x 20 pixels"),
    "no shape": (document(3), "a.json, shape 1: 3 is not a shape"),
    "no label": (document(point(None, 1, 1)), "a.json, shape 1: the label is None, not a name"),
    "blank label": (document(point(" ", 1, 1)), "a.json, shape 1: the label is ' ', not a name"),
    "text": (document(point("nose", "one", 1)), "a.json, shape 1: x of 'nose' is 'one', not a number"),
    "null": (document(point("nose", 1, None)), "a.json, shape 1: y of 'nose' is None, not a number"),
    "NaN": (document(point("nose", 1, NAN)), "a.json, shape 1: y of 'nose' is nan, which cannot be a length"),
    "huge": (document(point("nose", 1e300, 1)), "a.json, shape 1: x of 'nose' is 1e+300, which cannot be a length"),
    "far outside": (document(point("nose", 41, 1)), f"a.json, image a.png: {FAR}"),
    "no pairs": (document(point("nose", 1, 1, points=[1, 1])), "a.json, shape 1: the points of 'nose' are [1, 1], not pairs"),
    "triple": (document(point("nose", 1, 1, points=[[1, 1, 1]])), "a.json, shape 1: the points of 'nose' are [[1, 1, 1]], not pairs"),
    "two points": (document(point("nose", 1, 1, points=[[1, 1], [2, 2]])), "a.json, shape 1: the point 'nose' has 2 points"),
    "one corner": (document(box("mouse", [1, 1])), "a.json, shape 1: the rectangle 'mouse' has 1 point"),
    "group": (document(point("nose", 1, 1, group=[1])), "a.json, shape 1: group_id is [1], not a number"),
    "twice": (document(point("nose", 1, 1), point("nose", 2, 1)), "a.json, shape 2: a second 'nose' in the same instance of"),
    "two boxes": (document(box("m", [1, 1], [2, 2]), box("m", [1, 1], [2, 2])), "a.json, shape 2: a second rectangle in the same"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_with_its_place(folder, fault):
    """The file, the shape, what is wrong, and what to do."""
    content, message = FAULTS[fault]
    with pytest.raises(InputError) as caught:
        read(folder, content)
    assert str(caught.value).startswith(f"{folder.root}/{message}")
    assert "\n" not in str(caught.value)


def test_what_is_written_is_read_back(folder, tmp_path):
    """With the same coordinates, boxes, numbers and marks, also where images have the same name."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Image.new("L", (20, 10)).save(tmp_path / name / "1.png")
        save(
            tmp_path / name / "1.json",
            document(
                point("nose", 1 / 3, 2, 7),
                point("tail", 3, 4, 7),
                box("m", [0.5, 1], [6, 5], group=7),
                point("nose", 5, 6, 8, flags={"occluded": True}),
                imagePath="1.png",
            ),
        )
    save(tmp_path / "a.json", document(point("nose", 3, 4)))
    labels = labelme.read(folder, labelme.find(folder), Reading())
    labelme.write(labels, folder, tmp_path / "out")
    files = ("out/a.json", "out/one/1.json", "out/two/1.json")
    again = labelme.read(Folder(tmp_path), files, Reading())
    assert again.names == labels.names
    assert [each.name for each in again.images] == [each.name for each in labels.images]
    np.testing.assert_allclose(again.keypoints(), labels.keypoints(), rtol=0, atol=1e-9)
    for one, other in zip(labels.instances, again.instances, strict=True):
        assert (one.image, one.id, one.box, one.occluded.tolist()) == (other.image, other.id, other.box, other.occluded.tolist())
    content = json.loads((tmp_path / "out/one/1.json").read_text())
    assert (content["imagePath"], content["imageWidth"], content["imageHeight"]) == ("1.png", 20, 10)


def test_images_that_differ_in_their_suffix_get_files_of_their_own(folder, tmp_path):
    """a.png and a.jpg."""
    Image.new("L", (20, 10)).save(tmp_path / "a.jpg")
    save(tmp_path / "1.json", document(point("nose", 3, 4)))
    save(tmp_path / "2.json", document(point("nose", 5, 6), imagePath="a.jpg"))
    labelme.write(labelme.read(folder, ("1.json", "2.json"), Reading()), folder, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jpg.json", "a.png.json"]
