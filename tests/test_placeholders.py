"""Numbers that mark missing labels, or are no pixels, are refused where that is certain, and named where it is not."""

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.formats import archives, placeholders
from pipeline.data.formats.kaggle import read_training, write_training
from pipeline.data.synthetic import rendered
from pipeline.errors import InputError
from pipeline.keypoints.kaggle import KAGGLE, SIDE


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The labels of 200 drawn faces, float32 (200, 15, 2): a third has all keypoints, two thirds have four."""
    folder = tmp_path_factory.mktemp("drawn")
    rendered.write_kaggle_files(folder, KAGGLE, side=SIDE, training=200, test=6, seed=0)
    return read_training(folder / "training.csv", KAGGLE, side=SIDE).keypoints


def refused(keypoints):
    """The message about labels that cannot be labels."""
    with pytest.raises(InputError) as caught:
        placeholders.check("training.csv", keypoints.astype(np.float32), KAGGLE, side=SIDE)
    message = str(caught.value)
    assert message.startswith("training.csv")
    assert "\n" not in message
    return message


def doubted(keypoints):
    """The sentences about labels that may be wrong."""
    placeholders.check("training.csv", keypoints.astype(np.float32), KAGGLE, side=SIDE)
    return list(placeholders.doubts(keypoints.astype(np.float32), KAGGLE, side=SIDE))


def filled(keypoints, value):
    return np.where(np.isnan(keypoints), value, keypoints)


def test_drawn_faces_are_beyond_doubt(drawn):
    """Labels of drawn faces, also of few of them, raise no doubt; nor do labels at whole pixels, and a table without labels."""
    assert doubted(drawn) == []
    assert doubted(drawn[:20]) == []
    assert doubted(np.round(drawn)) == []
    assert doubted(np.full_like(drawn, np.nan)) == []


@pytest.mark.parametrize("value", [-1, 0, 95, 96, -48, 48, 30.25])
def test_a_number_for_missing_labels(drawn, value):
    """The message names the columns, how many rows have the number, and what to do."""
    message = refused(filled(drawn, value))
    missing = int(np.isnan(drawn[:, 2, 0]).sum())
    assert message.startswith("training.csv, columns left_eye_inner_corner_x and left_eye_inner_corner_y: ")
    assert f"{missing} of 200 labelled rows have ({value:g}, {value:g}) (likewise 10 more)" in message
    assert message.endswith("Leave the cells of missing labels empty.")


def test_a_mean_for_missing_labels(drawn):
    """Labels that were filled with the mean of the keypoint are found."""
    assert "labelled rows have (" in refused(filled(drawn, np.nanmean(drawn, axis=0)))


@pytest.mark.parametrize(("count", "certain"), [(11, True), (10, False), (3, False)])
def test_few_marks(drawn, count, certain):
    """More than 5 % of a keypoint's labels at a place outside the image are refused; down to three of them are named."""
    keypoints = drawn.copy()
    keypoints[-count:, 10] = -1
    said = refused(keypoints) if certain else doubted(keypoints)[0]
    assert f"columns nose_tip_x and nose_tip_y: {count} of 200 labelled rows have (-1, -1)" in said
    assert "Leave the cells of missing labels empty" in said


def test_one_coordinate(drawn):
    """A number outside the image in a single column is refused; at the border, to which labels may have been clipped, it is named."""
    keypoints = drawn.copy()
    keypoints[:30, 10, 1] = -1
    assert "column nose_tip_y: 30 of 200 labelled rows have -1," in refused(keypoints)
    keypoints[:30, 10, 1] = 95
    assert "column nose_tip_y: 30 of 200 labelled rows have 95, which may mark missing labels" in doubted(keypoints)[0]


@pytest.mark.parametrize(
    "scaled", [lambda k: (k - 48) / 48, lambda k: k / 96, lambda k: filled(k / 96, -1), lambda k: filled((k - 48) / 48, 0)]
)
def test_coordinates_that_are_no_pixels(drawn, scaled):
    """Coordinates from -1 to 1 or from 0 to 1, also with a number for missing ones, are refused, and the message asks for pixels."""
    message = refused(scaled(drawn))
    assert message.startswith("training.csv: the coordinates are from ")
    assert message.endswith("Convert them to pixels of the images, from 0 to 96.")


def test_a_column_that_is_all_alike(drawn):
    """A column with all its labels within two pixels is refused; fewer than ten labels can be alike by chance."""
    keypoints = drawn.copy()
    keypoints[:, 10, 0] = 50 + np.linspace(0, 2, 200)
    assert "column nose_tip_x: all 200 labels are from 50 to 52, within 2 px" in refused(keypoints)
    assert doubted(keypoints[::25]) == []


def test_labels_of_the_row_before(drawn):
    """Missing labels that were filled in from the row before are named: it may also be a table with each face twice."""
    assert "labelled rows have the values of the row before" in doubted(np.repeat(drawn, 2, axis=0))[0]


def test_a_face_with_all_labels_at_a_place(drawn):
    """It is named by its row."""
    keypoints = drawn.copy()
    keypoints[7] = 60
    assert doubted(keypoints) == [
        "1 row (the first is row 8) has all labels within 2 px. Leave the cells of missing labels empty, or correct them."
    ]


def test_the_reader_checks(drawn, tmp_path):
    """A training table with -1 for missing labels is not read."""
    write_training(tmp_path / "training.csv", KAGGLE, np.zeros((60, SIDE, SIDE), np.uint8), filled(drawn[40:100], -1))
    with pytest.raises(InputError, match=r"training\.csv, columns .* have \(-1, -1\) .* Leave the cells"):
        read_training(tmp_path / "training.csv", KAGGLE, side=SIDE)


@pytest.mark.slow
@pytest.mark.skipif("KEYPOINTS_DATASET" not in os.environ, reason="KEYPOINTS_DATASET names no folder with Kaggle's files")
def test_real_faces_are_beyond_doubt():
    """Kaggle's labels raise no doubt."""
    path = archives.find_file(Path(os.environ["KEYPOINTS_DATASET"]), "training")
    assert doubted(read_training(path, KAGGLE, side=SIDE).keypoints) == []
