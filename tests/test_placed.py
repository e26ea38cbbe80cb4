"""Tables of predictions for an own set: original pixels, the convention of the label format, and errors in other units."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.data.labels import Convention
from pipeline.data.tables import Origin
from pipeline.inference.expected_error import ExpectedError
from pipeline.results import placed
from pipeline.results.error_scale import Normalise
from pipeline.results.predictions import Predictions

CENTRES = Convention(first=0.0, upwards=False, visibility="", boxes=True)
NOTHING = np.zeros(0, np.float32)


def origin(boxes):
    """Samples of 32 pixels that were cut from 64 pixels at x = 10, y = 20, of images of 100 x 80 pixels."""
    n = len(boxes)
    return Origin(
        image=np.array([f"{k}.png" for k in range(n)]),
        instance=np.array(["1"] * n),
        size=np.tile(np.array([100, 80], np.int32), (n, 1)),
        box=np.array(boxes, np.float64).reshape(-1, 4),
        to_original=np.tile([[2.0, 0, 10], [0, 2.0, 20]], (n, 1, 1)),
        white=np.full(n, 255, np.int32),
    )


@pytest.fixture
def predictions():
    """Two held-out samples with two keypoints, each predicted 3 to the right and 4 below in pixels of the sample; one label is missing."""
    truth = np.array([[[1, 1], [7, 9]], [[2, 2], [np.nan, np.nan]]], np.float32)
    arrays = dict.fromkeys((field for field in Predictions.__dataclass_fields__), NOTHING)
    own = {
        "validation": np.nan_to_num(truth, nan=5) + np.array([3, 4], np.float32),
        "validation_truth": truth,
        "validation_source": np.zeros(2, np.int8),
        "keypoints": np.array(["a", "b"]),
        "sources": np.array(["labels"]),
        "test": np.zeros((0, 2, 2), np.float32),
        "test_origin": origin([]),
        "validation_origin": origin([[0, 0, 10, 40], [np.nan] * 4]),
        "validation_occluded": None,
        "validation_confidence": None,
        "test_confidence": None,
        "expected_error": None,
    }
    return Predictions(**{**arrays, **own})


def test_original_pixels_in_the_convention_of_the_format(predictions):
    """Twice the sample's pixels, shifted, and half a pixel less where integers are centres; y may grow upwards."""
    table = placed.held_out(predictions, CENTRES)
    assert list(table.columns) == [*placed.COLUMNS, "source", "label_x", "label_y", "distance"]
    assert table.loc[0, ["x", "y", "label_x", "label_y", "distance"]].tolist() == [17.5, 29.5, 11.5, 21.5, 10]
    assert np.isnan(table.loc[3, ["label_x", "label_y", "distance"]].astype(float)).all()
    upwards = placed.held_out(predictions, replace(CENTRES, first=0.5, upwards=True))
    assert upwards.loc[0, ["x", "y"]].tolist() == [18, 80 - 30]
    assert len(placed.predicted(predictions, CENTRES)) == 0


def test_hidden_keypoints_are_marked(predictions):
    """The column is there only where the label files say what is not visible."""
    hidden = replace(predictions, validation_occluded=np.array([[False, True], [False, False]]))
    assert placed.held_out(hidden, CENTRES)["occluded"].tolist() == [0, 1, 0, 0]


def test_confidence_is_the_score(predictions):
    """Of held-out samples and of those to predict, where the net gives it."""
    sure = replace(predictions, validation_confidence=np.array([[0.9, 0.8], [0.7, 0.6]]), test_confidence=np.zeros((0, 2)))
    assert placed.held_out(sure, CENTRES)["score"].tolist() == [0.9, 0.8, 0.7, 0.6]
    assert list(placed.predicted(sure, CENTRES).columns) == [*placed.COLUMNS, "score"]
    assert list(placed.predicted(predictions, CENTRES).columns) == [*placed.COLUMNS]


def made_up(validation, test):
    """Expected errors, pixels of the images, without the model and the figures that belong to them."""
    arrays = dict.fromkeys(ExpectedError.__dataclass_fields__, NOTHING) | {"model": None}
    return ExpectedError(**arrays | {"validation": np.array(validation), "test": np.array(test)})


def test_expected_errors_follow_the_score(predictions):
    """In pixels of the images, as they are; of held-out samples and of those to predict."""
    known = replace(predictions, expected_error=made_up([[1.5, 2], [3, 4]], np.zeros((0, 2))))
    table = placed.held_out(known, CENTRES)
    assert list(table.columns) == [*placed.COLUMNS, "source", "label_x", "label_y", "distance", "expected_error"]
    assert table["expected_error"].tolist() == [1.5, 2, 3, 4]
    sure = replace(known, test_confidence=np.zeros((0, 2)))
    assert list(placed.predicted(sure, CENTRES).columns) == [*placed.COLUMNS, "score", "expected_error"]


@pytest.mark.parametrize(
    ("setting", "scales", "column", "wanted", "words"),
    [
        ({"pair": ("a", "b")}, {}, "relative_distance", [0.5, 0.5, np.nan, np.nan], "the distance from a to b"),
        ({"box": True}, {}, "relative_distance", [0.5, 0.5, np.nan, np.nan], "the size of the box"),
        ({"mm_per_pixel": 0.2}, {}, "distance_mm", [2, 2, 2, np.nan], ""),
        ({"file": "x.csv"}, {"0.png": 0.1, "1.png": 0.4}, "distance_mm", [1, 1, 4, np.nan], ""),
    ],
    ids=["pair", "box", "mm", "file"],
)
def test_distances_in_other_units(predictions, setting, scales, column, wanted, words):
    """All labelled keypoints are 10 px off; where the length of a sample is not known, there is no value."""
    normalise = Normalise(setting, scales)
    np.testing.assert_allclose(placed.held_out(predictions, CENTRES, normalise)[column], wanted)
    scale = normalise.scale(predictions.validation_truth, predictions.validation_origin, ["a", "b"])
    assert scale.words == words
    assert Normalise().scale(predictions.validation_truth, predictions.validation_origin, ["a", "b"]) is None
