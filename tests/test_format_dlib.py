"""imglab's XML files: boxes with named parts, in whole pixels."""

import re

import numpy as np
import pytest
from PIL import Image

from pipeline.data.formats import dlib
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Labels, Reading
from pipeline.errors import InputError

NAN = np.nan
HEAD = "<?xml version='1.0' encoding='ISO-8859-1'?>\n<?xml-stylesheet type='text/xsl' href='image_metadata_stylesheet.xsl'?>\n"
BOX = """<box top='2' left='1' width='5' height='4'>
<label>face</label><part name='00' x='1' y='2'/><part name='01' x='5' y='4'/></box>"""


def document(*images: str) -> str:
    """A file as imglab writes it."""
    return f"{HEAD}<dataset><name>imglab dataset</name><images>{''.join(images)}</images></dataset>"


def image(*boxes: str, file: str = "a.png") -> str:
    """An image with boxes."""
    return f"<image file='{file}'>{''.join(boxes)}</image>"


@pytest.fixture
def folder(tmp_path) -> Folder:
    """A folder with two images of 20 x 10 pixels."""
    for name in ("a.png", "b.png"):
        Image.new("L", (20, 10)).save(tmp_path / name)
    return Folder(tmp_path)


def read(folder: Folder, text: str, category: str = "") -> Labels:
    """The labels of a file with this text."""
    (folder.root / "faces.xml").write_text(text)
    return dlib.read(folder, ("faces.xml",), Reading(category))


def test_an_integer_is_the_centre_of_a_pixel(folder):
    """The box begins at the edge of its first pixel and ends at the edge of its last one."""
    labels = read(folder, document(image(BOX)))
    assert labels.names == ("00", "01")
    (instance,) = labels.instances
    np.testing.assert_array_equal(instance.keypoints, [(1.5, 2.5), (5.5, 4.5)])
    assert (instance.image, instance.id, instance.box) == ("a.png", "1", (1, 2, 5, 4))
    assert labels.notes == ()


def test_with_y_upwards_points_and_boxes_are_turned(folder):
    """Should the user say so."""
    (folder.root / "faces.xml").write_text(document(image(BOX)))
    (instance,) = dlib.read(folder, ("faces.xml",), Reading(upwards=True)).instances
    np.testing.assert_array_equal(instance.keypoints, [(1.5, 7.5), (5.5, 5.5)])
    assert instance.box == (1, 4, 5, 4)


def test_ignored_boxes_and_boxes_without_parts_are_skipped_with_a_note(folder):
    """Their image is known; the numbers of boxes count them too."""
    ignored = BOX.replace("<box", "<box ignore='1'").replace("'5'", "'wrong'")
    bare = "<box top='2' left='1' width='5' height='4'/>"
    labels = read(folder, document(image(ignored, bare, BOX), image(bare, file="b.png")))
    assert [each.id for each in labels.instances] == ["3"]
    assert [each.name for each in labels.images] == ["a.png", "b.png"]
    assert labels.notes == ("Boxes with ignore='1' are not read (1).", "Boxes without parts are not read (2).")


@pytest.mark.parametrize(
    ("names", "expected"), [(["10", "9", "0"], ("0", "9", "10")), (["10", "9", "nose"], ("10", "9", "nose"))], ids=["numbers", "names"]
)
def test_names_that_are_numbers_are_sorted_as_numbers(folder, names, expected):
    """Others as dlib does; a part that a box lacks is missing."""
    boxes = [BOX.replace("'00'", f"'{name}'").replace("<part name='01' x='5' y='4'/>", "") for name in names]
    labels = read(folder, document(image(*boxes)))
    assert labels.names == expected
    assert np.isfinite(labels.keypoints()[..., 0]).sum(axis=1).tolist() == [1, 1, 1]


def test_a_category_is_the_label_of_the_box(folder):
    """Only its boxes are read; an unknown one is refused with a guess."""
    text = document(image(BOX, BOX.replace("face", "dog")))
    assert [each.id for each in read(folder, text, "dog").instances] == ["2"]
    with pytest.raises(InputError, match=r"no box with parts has the label 'fase'; did you mean face\?"):
        read(folder, text, "fase")
    with pytest.raises(InputError, match=r"no box with parts has a label\."):
        read(folder, document(image(BOX.replace("<label>face</label>", ""))), "face")


def test_file_names_divide_the_set(folder):
    """A third file that has both parts, as 300-W's does, is not read twice."""
    one, two = image(BOX), image(BOX.replace("'5'", "'6'"), file="b.png")
    for name, text in {"all.xml": document(one, two), "all_train.xml": document(one), "all_test.xml": document(two)}.items():
        (folder.root / name).write_text(text)
    labels = dlib.read(folder, dlib.find(folder), Reading())
    assert [(each.name, each.part) for each in labels.images] == [("b.png", "test"), ("a.png", "training")]
    assert [(each.image, each.source) for each in labels.instances] == [("b.png", ""), ("a.png", "")]
    assert labels.notes == ("all.xml repeats what other files contain: not read.",)


def test_files_for_the_same_images_are_two_sources(folder):
    """If neither repeats the other."""
    for name, text in {"ann.xml": document(image(BOX)), "bob.xml": document(image(BOX))}.items():
        (folder.root / name).write_text(text)
    assert [each.source for each in dlib.read(folder, dlib.find(folder), Reading()).instances] == ["ann", "bob"]


def test_files_are_recognised_by_their_content(folder):
    """CVAT's and Pascal VOC's files are others."""
    texts = {"a.xml": document(), "b.xml": "<annotations><image/></annotations>", "c.xml": "<dataset/>", "d.txt": document()}
    for name, text in texts.items():
        (folder.root / name).write_text(text)
    assert dlib.find(folder) == ("a.xml",)


FAR = "the keypoint '00' lies at x = 41.5, y = 2.5, far outside the image of 20 x 10"
FAULTS = {
    "no parts": (document(image()), " has no box with parts"),
    "another root": ("<annotations/>", ": the file is a <annotations>, not a <dataset> of imglab"),
    "no XML": ("<dataset>", ", line 1: not XML (no element found)"),
    "entities": ("<!DOCTYPE d [<!ENTITY e 'x'>]><dataset>&e;</dataset>", ", line 1: the file defines XML entities"),
    "no file": (document("<image/>"), ", image 1: the attribute file is missing"),
    "missing image": (document(image(BOX), image(BOX, file="../c.png")), ", image 2: there is no image ../c.png in "),
    "no left": (document(image(BOX.replace("left", "l"))), ", image 1, box 1: left of the box is None, not a number"),
    "fraction": (document(image(BOX.replace("'1'", "'1.5'", 1))), ", image 1, box 1: left of the box is '1.5', not an integer"),
    "flat": (document(image(BOX.replace("height='4'", "height='0'"))), ", image 1, box 1: the box is 5 x 0 pixels"),
    "no name": (document(image(BOX.replace("'00'", "''"))), ", image 1, box 1: a part has no name"),
    "twice": (document(image(BOX, BOX.replace("'01'", "'00'"))), ", image 1, box 2: a second part '00' in the same box"),
    "no number": (document(image(BOX.replace("x='1'", "x='one'"))), ", image 1, box 1: x of the part '00' is 'one', not a number"),
    "no y": (document(image(BOX.replace("y='2'/", "/"))), ", image 1, box 1: y of the part '00' is None, not a number"),
    "NaN": (document(image(BOX.replace("x='1'", "x='nan'"))), ", image 1, box 1: x of the part '00' is 'nan', which cannot be a length"),
    "huge": (document(image(BOX.replace("x='1'", "x='1e99'"))), ", image 1, box 1: x of the part '00' is '1e99', which cannot be"),
    "far outside": (document(image(BOX.replace("x='1'", "x='41'"))), f", image 1, box 1, image a.png: {FAR}"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_with_its_place(folder, fault):
    """The file, the image, the box, what is wrong, and what to do."""
    text, message = FAULTS[fault]
    with pytest.raises(InputError) as caught:
        read(folder, text)
    assert str(caught.value).startswith(f"{folder.root}/faces.xml{message}")
    assert "\n" not in str(caught.value)


def test_what_is_written_is_read_back(folder, tmp_path):
    """Whole pixels with the same coordinates; a second time, the same bytes."""
    labels = read(folder, document(image(BOX, BOX.replace("<part name='01' x='5' y='4'/>", "")), image(file="b.png")))
    dlib.write(labels, folder, tmp_path / "out.xml")
    again = dlib.read(Folder(tmp_path), ("out.xml",), Reading())
    assert (again.names, again.images) == (labels.names, labels.images)
    np.testing.assert_array_equal(again.keypoints(), labels.keypoints())
    assert [(each.id, each.box) for each in again.instances] == [(each.id, each.box) for each in labels.instances]
    dlib.write(again, folder, tmp_path / "again.xml")
    assert (tmp_path / "again.xml").read_bytes() == (tmp_path / "out.xml").read_bytes()


def test_fractions_are_written_as_the_pixel_that_contains_them(folder, tmp_path):
    """imglab reads only integers; without a box, that of the keypoints is written."""
    labels = read(folder, document(image(BOX)))
    instance = labels.instances[0]
    instance.keypoints[:] = [(1.01, 2.99), (NAN, NAN)]
    object.__setattr__(instance, "box", None)
    dlib.write(labels, folder, tmp_path / "out.xml")
    text = (tmp_path / "out.xml").read_text()
    assert re.findall("<(?:box|part).*>", text) == ["<box top='2' left='1' width='1' height='1'>", "<part name=\"00\" x='1' y='2'/>"]
    again = dlib.read(Folder(tmp_path), ("out.xml",), Reading())
    np.testing.assert_array_equal(again.keypoints(), [[(1.5, 2.5)]])
