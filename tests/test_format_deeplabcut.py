"""The CSV files of DeepLabCut and Lightning Pose."""

from pathlib import Path

import labelsets
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pipeline.data.formats import deeplabcut
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Reading
from pipeline.errors import InputError

SINGLE = ["scorer,me,me,me,me", "bodyparts,nose,nose,tail,tail", "coords,x,y,x,y"]
SEVERAL = ["scorer" + ",me" * 8, "individuals,a,a,a,a,b,b,b,b", "bodyparts" + ",nose,nose,tail,tail" * 2, "coords" + ",x,y" * 4]
FIRST, SECOND = "labeled-data/v/img1.png", "labeled-data/v/img2.png"
FILE = "labeled-data/v/CollectedData_me.csv"


@pytest.fixture
def folder(tmp_path):
    labelsets.draw(tmp_path, FIRST, SECOND)
    return tmp_path


def put(folder, *lines, name=FILE):
    (folder / name).write_text("\n".join(lines))
    return folder


def test_one_individual(folder):
    """Integers are centres of pixels, empty cells are missing keypoints, and an image without any is noted."""
    labels = labelsets.read("deeplabcut", put(folder, *SINGLE, f"{FIRST},3,4.25,,", f"{SECOND},,,,"))
    assert labels.names == ("nose", "tail")
    assert [image.name for image in labels.images] == [FIRST, SECOND]
    assert [(one.image, one.id, one.source) for one in labels.instances] == [(FIRST, "1", "")]
    assert_array_equal(labels.instances[0].keypoints, [[3.5, 4.75], [np.nan, np.nan]])
    assert labels.notes == ("1 image without a labelled keypoint.",)


def test_image_in_three_columns(folder):
    """The path of an image may be in three columns, and pandas may have written a row with the names of the columns."""
    header = [line.replace(",", ",,,", 1) for line in SINGLE]
    labels = labelsets.read("deeplabcut", put(folder, *header, "a,b,c,,,,", "labeled-data,v,img1.png,3,4,5,6"))
    assert labels.instances[0].image == FIRST
    assert labels.keypoints().tolist() == [[[3.5, 4.5], [5.5, 6.5]]]


def test_individuals(folder):
    """Individuals are instances with their names as identifiers; those without a labelled keypoint are not in the image."""
    put(folder, *SEVERAL, f"{FIRST},1,2,3,4,5,6,7,8", f"{SECOND},,,,,5,6,,")
    labels = labelsets.read("deeplabcut", folder)
    assert [(one.image, one.id) for one in labels.instances] == [(FIRST, "a"), (FIRST, "b"), (SECOND, "b")]
    assert labels.instances[1].keypoints.tolist() == [[5.5, 6.5], [7.5, 8.5]]


def test_single_pseudo_individual(folder):
    """Body parts of the pseudo-individual "single" are left out beside those of animals, and are read if there are no others."""
    lines = ["scorer,me,me,me,me", "individuals,a,a,single,single", "bodyparts,nose,nose,corner,corner", "coords,x,y,x,y"]
    labels = labelsets.read("deeplabcut", put(folder, *lines, f"{FIRST},1,2,3,4"))
    assert labels.names == ("nose",)
    assert labels.notes == (f"{FILE}: body parts of no individual are left out: corner.",)
    lines[1] = "individuals" + ",single" * 4
    labels = labelsets.read("deeplabcut", put(folder, *lines, f"{FIRST},1,2,3,4"))
    assert labels.names == ("nose", "corner")
    assert [one.id for one in labels.instances] == ["single"]


def test_videos_and_scorers(folder):
    """The files of several videos are one set, and two scorers of the same images are annotation sources."""
    labelsets.draw(folder, "labeled-data/w/img1.png")
    put(folder, *SINGLE, f"{FIRST},1,2,3,4")
    labels = labelsets.read(
        "deeplabcut", put(folder, *SINGLE, "labeled-data/w/img1.png,1,2,3,4", name="labeled-data/w/CollectedData_me.csv")
    )
    assert [one.source for one in labels.instances] == ["", ""]
    put(folder, *SINGLE[:1], "bodyparts,tail,tail,nose,nose", SINGLE[2], f"{FIRST},5,6,7,8", name="labeled-data/v/CollectedData_you.csv")
    labels = labelsets.read("deeplabcut", folder)
    assert [(one.source, one.keypoints[0].tolist()) for one in labels.instances] == [
        ("me", [1.5, 2.5]),
        ("you", [7.5, 8.5]),
        ("me", [1.5, 2.5]),
    ]


def test_skeleton(folder):
    """The skeleton is that of config.yaml above the file; lines of other body parts are left out."""
    put(folder, *SINGLE, f"{FIRST},1,2,3,4")
    (folder / "config.yaml").write_text("skeleton:\n- [nose, tail]\n- [nose, ear]\n- nose\n")
    assert labelsets.read("deeplabcut", folder).skeleton == (("nose", "tail"),)
    (folder / "config.yaml").write_text("skeleton: [\n")
    labels = labelsets.read("deeplabcut", folder)
    assert labels.skeleton == ()
    assert labels.notes[0].startswith("Without a skeleton:")


def test_predictions(folder):
    """A file with likelihoods is not taken for labels but noted, and refused if the user has named it."""
    predicted = ["scorer,net,net,net", "bodyparts,nose,nose,nose", "coords,x,y,likelihood", "0,1,2,0.9"]
    put(folder, *predicted, name="videoDLC_resnet50.csv")
    assert deeplabcut.find(Folder(folder)) == ()
    labels = labelsets.read("deeplabcut", put(folder, *SINGLE, f"{FIRST},1,2,3,4"))
    assert labels.files == (FILE,)
    assert labels.notes == ("Not read, because they are predictions and not labels: videoDLC_resnet50.csv.",)
    with pytest.raises(InputError, match=r"videoDLC_resnet50\.csv holds predictions, because it has a column likelihood"):
        labelsets.read("deeplabcut", folder, only="videoDLC_resnet50.csv")


def test_pickles_are_never_opened(folder, monkeypatch):
    """The .h5 file beside the CSV file is not opened."""
    (folder / "labeled-data/v/CollectedData_me.h5").write_bytes(b"pickles")
    opened = []
    original = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *args, **kwargs: (opened.append(self.suffix), original(self, *args, **kwargs))[1])
    labelsets.read("deeplabcut", put(folder, *SINGLE, f"{FIRST},1,2,3,4"))
    assert ".csv" in opened
    assert ".h5" not in opened


FAULTS = {
    "no number": ([*SINGLE, f"{FIRST},1,2,x,4"], f"line 4 ({FIRST}): x of the keypoint 'tail' is 'x', not a number"),
    "individual": ([*SEVERAL, f"{FIRST},1,2,3,4,5,6,7,y"], f"line 5 ({FIRST}), individual 'b': y of the keypoint 'tail' is 'y'"),
    "half": ([*SINGLE, f"{FIRST},1,2,3,"], f"line 4 ({FIRST}): the keypoint 'tail' has x but not y"),
    "far": ([*SINGLE, f"{FIRST},1,2,3,-900"], f"line 4 ({FIRST}): the keypoint 'tail' lies at"),
    "cells": ([*SINGLE, f"{FIRST},1,2,3"], "line 4 has 4 cells but the first line has 5"),
    "image": ([*SINGLE, "labeled-data/v/img9.png,1,2,3,4"], "labels 1 image that is not in"),
    "no image": ([*SINGLE, ",1,2,3,4"], "line 4 names no image"),
    "coords": ([*SINGLE[:2], f"{FIRST},1,2,3,4"], "header: there is no row 'coords'"),
    "axis": ([*SINGLE[:2], "coords,x,y,x,z", f"{FIRST},1,2,3,4"], "header, column 5: 'z' of 'tail' is not x or y"),
    "repeated": ([SINGLE[0], "bodyparts,nose,nose,nose,nose", SINGLE[2]], "header: x of the body part 'nose' occurs more than once"),
    "one axis": (["scorer,me", "bodyparts,nose", "coords,x"], "header: the body part 'nose' has only one of the columns"),
}


@pytest.mark.parametrize(("lines", "message"), FAULTS.values(), ids=FAULTS)
def test_fault(folder, lines, message):
    """A fault is reported with file, line, image, individual and keypoint."""
    with pytest.raises(InputError) as caught:
        deeplabcut.read(Folder(put(folder, *lines)), (FILE,), Reading())
    assert str(caught.value).startswith(str(folder / FILE))
    assert message in str(caught.value)


def test_other_body_parts(folder):
    """Files with different body parts are refused."""
    put(folder, *SINGLE, f"{FIRST},1,2,3,4")
    put(folder, SINGLE[0], "bodyparts,nose,nose,ear,ear", SINGLE[2], f"{SECOND},1,2,3,4", name="labeled-data/v/CollectedData_you.csv")
    with pytest.raises(InputError, match="has the keypoint 'ear', which"):
        labelsets.read("deeplabcut", folder)


@pytest.mark.parametrize(
    "lines", [[*SINGLE, f"{FIRST},3.123456789,4.25,,", f"{SECOND},,,,"], [*SEVERAL, f"{FIRST},1,2,3,4,5,6,7,8", f"{SECOND},,,,,5,6,,"]]
)
def test_written_and_read(folder, lines):
    """A file that is written has the same text as DeepLabCut's own, but for the scorer."""
    labels = labelsets.read("deeplabcut", put(folder, *lines))
    again = labelsets.rewritten(labels, "deeplabcut", folder, "new")
    assert again.files == ("new/CollectedData_labels.csv",)
    assert again.images == labels.images
    assert (folder / again.files[0]).read_text().replace(",labels", ",me") == "\n".join(lines) + "\n"
    assert_array_equal(again.keypoints(), labels.keypoints())


def test_numbered_instances_are_written(folder):
    """Instances with numbers for identifiers become individuals with numbers."""
    (folder / "labels.csv").write_text(f"image,a_x,a_y\n{FIRST},3,4\n{FIRST},5,6\n{SECOND},7,8")
    labels = labelsets.read("wide_csv", folder)
    again = labelsets.rewritten(labels, "deeplabcut", folder, "new.csv")
    assert [(one.image, one.id) for one in again.instances] == [(FIRST, "individual1"), (FIRST, "individual2"), (SECOND, "individual1")]
    assert_array_equal(again.keypoints(), labels.keypoints())
