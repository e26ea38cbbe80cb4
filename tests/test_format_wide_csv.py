"""Wide CSV tables."""

import labelsets
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.data.formats import cells, wide_csv
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import LabelledImage, Reading
from pipeline.errors import InputError


@pytest.fixture
def folder(tmp_path):
    labelsets.draw(tmp_path, "images/a.png", "images/b.png")
    return tmp_path


def put(folder, *lines, name="labels.csv", encoding="utf-8"):
    (folder / name).write_text("\n".join(lines), encoding=encoding)
    return folder


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("image,nose_x,nose_y,left_eye_x,left_eye_y", ("nose", "left_eye")),
        ("image_path,nose.x,nose.y,tail.x,tail.y", ("nose", "tail")),
        ("filename,nose x,nose y,tail x,tail y", ("nose", "tail")),
        ("file,x_nose,y_nose,x_tail,y_tail", ("nose", "tail")),
        ("file,noseX,noseY,tailX,tailY", ("nose", "tail")),
        ("id,x1,y1,x2,y2", ("1", "2")),
        ("id,X1,Y1,X2,Y2", ("1", "2")),
        ("image,1_x,1_y,2_x,2_y", ("1", "2")),
        ("anything,1x,1y,2x,2y", ("1", "2")),
        (",x_1,y_1,x_2,y_2", ("1", "2")),
    ],
)
def test_header(folder, header, names):
    """Columns of keypoints are recognised by their names, and integers are centres of pixels."""
    labels = labelsets.read("wide_csv", put(folder, header, "a.png,3,4,20,21.25"))
    assert labels.names == names
    assert labels.instances[0].keypoints.tolist() == [[3.5, 4.5], [20.5, 21.75]]


def test_two_numbered_keypoints(folder):
    """A note says that x1, y1, x2, y2 are taken for keypoints, because in other tables they are corners of boxes."""
    labels = labelsets.read("wide_csv", put(folder, "image,x1,y1,x2,y2", "a.png,3,4,20,21"))
    assert labels.notes == ("labels.csv: x1, y1 and x2, y2 are taken for two keypoints. Corners of boxes are called xmin, ymin, ...",)


def test_axes_apart(folder):
    """The columns of x may come before all columns of y, and the image need not be first if its column is called so."""
    labels = labelsets.read("wide_csv", put(folder, "row,x_a,x_b,y_a,y_b,image", "1,3,20,4,21,a.png"))
    assert labels.instances[0].keypoints.tolist() == [[3.5, 4.5], [20.5, 21.5]]
    assert labels.notes == ("labels.csv: columns that are not used: row.",)


def test_single_keypoint(folder):
    """Columns x and y are the only keypoint, 1."""
    assert labelsets.read("wide_csv", put(folder, "image,x,y", "a.png,3,4")).names == ("1",)


@pytest.mark.parametrize(
    ("header", "box"),
    [
        ("x,y,width,height", "2,3,10,20"),
        ("bbox_x,bbox_y,bbox_w,bbox_h", "2,3,10,20"),
        ("xmin,ymin,xmax,ymax", "2,3,12,23"),
        ("bbox_x1,bbox_y1,bbox_x2,bbox_y2", "2,3,12,23"),
    ],
)
def test_box(folder, header, box):
    """A box goes from edge to edge of pixels and is not shifted."""
    labels = labelsets.read("wide_csv", put(folder, f"image,{header},nose_x,nose_y", f"a.png,{box},3,4"))
    assert labels.names == ("nose",)
    assert labels.instances[0].box == (2, 3, 10, 20)


def test_upwards(folder):
    """If y grows upwards, 0 is the centre of the lowest row of pixels; boxes are turned too."""
    put(folder, "image,x,y,width,height,nose_x,nose_y", "a.png,2,3,10,20,3,0")
    one = labelsets.read("wide_csv", folder, reading=Reading(upwards=True)).instances[0]
    assert one.keypoints.tolist() == [[3.5, 29.5]]
    assert one.box == (2, 7, 10, 20)


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "NA", "null", " "])
def test_missing(folder, cell):
    """A keypoint whose two cells are empty or say that there is no number is missing."""
    labels = labelsets.read("wide_csv", put(folder, "image,a_x,a_y,b_x,b_y", f"a.png,3,4,{cell},{cell}"))
    assert_array_equal(labels.instances[0].keypoints, [[3.5, 4.5], [np.nan, np.nan]])


def test_instances(folder):
    """Several rows of an image are several instances, numbered or with the identifiers of a column; an empty row is none."""
    labels = labelsets.read("wide_csv", put(folder, "image,a_x,a_y", "a.png,3,4", "a.png,5,6", "b.png,,"))
    assert [(one.image, one.id) for one in labels.instances] == [("images/a.png", "1"), ("images/a.png", "2")]
    assert [image.name for image in labels.images] == ["images/a.png", "images/b.png"]
    assert labels.notes == ("1 instance without a labelled keypoint left out.",)
    labels = labelsets.read("wide_csv", put(folder, "image,id,a_x,a_y", "a.png,left,3,4", "a.png,right,5,6"))
    assert [one.id for one in labels.instances] == ["left", "right"]


def test_parts(folder):
    """A column divides the set, and so do the names of several tables."""
    labels = labelsets.read("wide_csv", put(folder, "image,split,a_x,a_y", "a.png,train,3,4", "b.png,test,3,4"))
    assert [image.part for image in labels.images] == ["training", "test"]
    (folder / "labels.csv").unlink()
    put(folder, "image,a_x,a_y", "a.png,3,4", name="train.csv")
    labels = labelsets.read("wide_csv", put(folder, "image,a_x,a_y", "b.png,3,4", name="val.csv"))
    assert labels.images == (LabelledImage("images/a.png", "training"), LabelledImage("images/b.png", "validation"))


def test_sources(folder):
    """Tables of the same images are annotation sources in the order of their names; keypoints are matched by name."""
    put(folder, "image,a_x,a_y,b_x,b_y", "a.png,3,4,5,6", name="train_senior.csv")
    labels = labelsets.read("wide_csv", put(folder, "image,b_x,b_y,a_x,a_y", "a.png,7,8,1,2", name="train_junior.csv"))
    assert labels.names == ("b", "a")
    assert [one.source for one in labels.instances] == ["junior", "senior"]
    assert labels.instances[1].keypoints.tolist() == [[5.5, 6.5], [3.5, 4.5]]
    assert [image.part for image in labels.images] == [""]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_spreadsheet(folder, encoding):
    """Semicolons, decimal commas, CRLF, blank lines and a byte order mark of spreadsheets are read; an image needs no suffix."""
    put(folder, "image;a_x;a_y\r", "a;3,25;4\r", "\r", "b;1;2\r", "", encoding=encoding)
    labels = labelsets.read("wide_csv", folder)
    assert labels.keypoints().tolist() == [[[3.75, 4.5]], [[1.5, 2.5]]]


@pytest.mark.parametrize(
    "lines",
    [
        ("left_eye_center_x,left_eye_center_y,Image", "3,4,0 1 2 3"),
        ("ImageId,Image", "1,0 1 2 3"),
        ("RowId,ImageId,FeatureName,Location", "1,1,nose_tip_x,"),
        ("scorer,me,me", "bodyparts,nose,nose", "coords,x,y", "a.png,1,2"),
        ("image,xmin,ymin,xmax,ymax", "a.png,1,2,3,4"),
        ("city,lat_x,lat_y", "Rome,1,2"),
        ("image,label", "a.png,cat"),
        ("image,nose_x", "a.png,1"),
        ("",),
    ],
    ids=["training.csv", "test.csv", "IdLookupTable.csv", "DeepLabCut", "boxes", "no image", "classes", "one axis", "empty"],
)
def test_other_tables(folder, lines):
    """Tables of other kinds are not taken for this one."""
    assert wide_csv.find(Folder(put(folder, *lines))) == ()


FAULTS = {
    "no number": (["image,nose_x,nose_y", "a.png,3,4", "b.png,3,oops"], "line 3 (images/b.png): y of the keypoint 'nose' is 'oops'"),
    "infinite": (["image,nose_x,nose_y", "a.png,inf,4"], "line 2 (images/a.png): x of the keypoint 'nose' is 'inf'"),
    "half": (["image,nose_x,nose_y", "a.png,3,"], "line 2 (images/a.png): the keypoint 'nose' has x but not y. Add"),
    "far": (["image,nose_x,nose_y", "a.png,3,4000"], "line 2 (images/a.png): the keypoint 'nose' lies at x = 3.5, y = 4000.5"),
    "cells": (["image,nose_x,nose_y", "a.png,3,4", "b.png,3"], "line 3 has 2 cells but the first line has 3"),
    "image": (["image,nose_x,nose_y", "c.png,3,4"], "labels 1 image that is not in"),
    "outside": (["image,nose_x,nose_y", "../../c.png,3,4"], "labels 1 image that is not in"),
    "no image": (["image,nose_x,nose_y", "a.png,3,4", ",3,4"], "line 3 names no image. Add"),
    "axis": (["image,nose_x,nose_y,tail_x", "a.png,3,4,5"], "line 1: the column 'tail_x' has no column beside it with the same name for y"),
    "repeated": (["image,nose_x,nose_y,nose_x", "a.png,3,4,5"], "line 1: the column 'nose_x' occurs more than once"),
    "visibility": (["image,nose_x,nose_y,nose_v", "a.png,3,4,1"], "line 1: the column 'nose_v' says something of a keypoint"),
    "numbered visibility": (["image,x1,y1,v1", "a.png,3,4,1"], "line 1: the column 'v1' says something of a keypoint"),
    "nameless": (["image,x,y,nose_x,nose_y", "a.png,3,4,1,2"], "line 1: the column 'x' is the coordinate of a keypoint without a name"),
    "box": (
        ["image,xmin,ymin,xmax,ymax,nose_x,nose_y", "a.png,5,5,3,9,3,4"],
        "line 2 (images/a.png): the box is -2 pixels wide and 4 high",
    ),
    "part": (["image,split,nose_x,nose_y", "a.png,holdout,3,4"], "line 2: 'holdout' is no part of a set. Write"),
    "two parts": (["image,split,nose_x,nose_y", "a.png,train,3,4", "a.png,test,3,4"], "line 3: the image a.png is in two parts"),
    "identifier": (["image,id,nose_x,nose_y", "a.png,1,3,4", "a.png,1,5,6"], "line 3 (images/a.png) is a second instance '1' of its image"),
    "quote": (["image,nose_x,nose_y", "a.png,3,4", 'b.png,"3,4'], "line 3 is not a row of a table"),
}


@pytest.mark.parametrize(("lines", "message"), FAULTS.values(), ids=FAULTS)
def test_fault(folder, lines, message):
    """A fault is reported with file, line, image and keypoint, or with file and column."""
    with pytest.raises(InputError) as caught:
        labelsets.read("wide_csv", put(folder, *lines))
    assert str(caught.value).startswith(str(folder / "labels.csv"))
    assert message in str(caught.value)


def test_no_text(folder):
    """A file that is not UTF-8 is refused."""
    (folder / "labels.csv").write_bytes(b"image,nose_x,nose_y\na.png,3,4\n\xff.png,3,4\n")
    with pytest.raises(InputError, match=r"labels\.csv, after line \d: not UTF-8 text\. Save"):
        labelsets.read("wide_csv", folder)


@pytest.mark.parametrize(
    ("limit", "message"),
    [("LARGEST_TABLE", "has 38 B, and tables of up to 16 B are read"), ("LONGEST", "line 1 has more than 16 characters")],
)
def test_too_large(folder, monkeypatch, limit, message):
    """A file or a line that is too long is refused before it is read."""
    put(folder, "image,nose_x,nose_y", "images/a.png,3,4.5")
    monkeypatch.setattr(cells, limit, 16)
    with pytest.raises(InputError, match=message):
        labelsets.read("wide_csv", folder)


def test_other_keypoints(folder):
    """Tables with different keypoints are refused."""
    put(folder, "image,nose_x,nose_y", "a.png,3,4", name="1.csv")
    put(folder, "image,tail_x,tail_y", "b.png,3,4", name="2.csv")
    with pytest.raises(InputError, match=r"1\.csv has the keypoint 'nose', which 2\.csv does not have"):
        labelsets.read("wide_csv", folder)
    assert labelsets.read("wide_csv", folder, only="2.csv").names == ("tail",)


def test_written_and_read(folder):
    """A table that is written is read with the same coordinates, boxes, identifiers, parts and images."""
    labelsets.draw(folder, "images/c.png")
    header = "image,split,instance,bbox_x,bbox_y,bbox_w,bbox_h,a_x,a_y,b_x,b_y"
    put(
        folder,
        header,
        "a.png,train,l,1,2,3,4.5,3.123456789,4,,",
        "a.png,train,r,,,,,1,2,3,4",
        "b.png,test,l,,,,,9,8,7,6",
        "c.png,,,,,,,,,,",
    )
    labels = labelsets.read("wide_csv", folder)
    again = labelsets.rewritten(labels, "wide_csv", folder, "new.csv")
    assert again.images == labels.images
    assert_allclose(again.keypoints(), labels.keypoints(), atol=1e-9)
    assert [(one.image, one.id, one.box) for one in again.instances] == [(one.image, one.id, one.box) for one in labels.instances]


def test_sources_are_written(folder):
    """Annotation sources are written into tables of their own; one table for several is refused."""
    put(folder, "image,a_x,a_y", "a.png,3,4", "b.png,1,2", name="train_senior.csv")
    labels = labelsets.read("wide_csv", put(folder, "image,a_x,a_y", "a.png,7,8", name="train_junior.csv"))
    again = labelsets.rewritten(labels, "wide_csv", folder, "new")
    assert [(one.source, one.image) for one in again.instances] == [(one.source, one.image) for one in labels.instances]
    assert again.files == ("new/junior.csv", "new/senior.csv")
    with pytest.raises(InputError, match=r"new\.csv cannot hold the labels of several annotation sources \(junior, senior\)"):
        labelsets.rewritten(labels, "wide_csv", folder, "new.csv")
