"""The table of metrics of an own set: its rows, its columns, and how the log shows it."""

from dataclasses import replace

import numpy as np
import pytest
from naive import mean_distance
from naive import rmse as naive_rmse
from test_placed import origin
from toys import DOTS

from pipeline.data.testset import UnlabelledSamples
from pipeline.inference.ensemble import ChainPredictions
from pipeline.results import metric_table, metric_text, predictions
from pipeline.results.error_scale import ErrorScale, Normalise
from pipeline.results.metric_table import HeldOutLabels

COUNT = 24
NOTHING = np.zeros((0, 3, 2), np.float32)


@pytest.fixture
def labels():
    """24 samples of two sources, of which the second labels only the nose; every third left eye is hidden; every sample has a box."""
    rng = np.random.default_rng(0)
    truth, source = rng.uniform(0, 60, (COUNT, 3, 2)), np.arange(COUNT) % 2
    truth[source == 1, :2] = np.nan
    occluded = np.zeros((COUNT, 3), bool)
    occluded[::3, 0] = True
    boxes = np.column_stack([np.zeros((COUNT, 2)), rng.uniform(30, 60, (COUNT, 2))])
    return HeldOutLabels(truth, source, np.arange(COUNT) // 2, occluded, np.ones(COUNT), origin(boxes), None)


@pytest.fixture
def predictors(labels):
    """Two predictors, the second with three times the errors of the first."""
    error = np.random.default_rng(1).normal(0, 2, (COUNT, 3, 2))
    filled = np.nan_to_num(labels.truth)
    return {"specialists": filled + error, "base net": filled + 3 * error}


def value(table, row, metric, unit, predictor=0):
    """One value of the table."""
    (column,) = np.flatnonzero((table.metrics == metric) & (table.units == unit))
    return table.values[predictor, table.rows.tolist().index(row), column]


def test_rows_are_the_parts_of_the_labels(labels, predictors):
    """All, annotation sources, visible and occluded keypoints, specialist groups and single keypoints, with their numbers of labels."""
    table = metric_table.metric_table(labels, predictors, DOTS)
    assert list(zip(table.rows.tolist(), table.kinds.tolist(), table.labels.tolist(), strict=True)) == [
        ("all keypoints", "all", 48),
        ("all", "source", 36),
        ("nose", "source", 12),
        ("visible", "visibility", 44),
        ("occluded", "visibility", 4),
        ("eyes", "group", 24),
        ("nose", "group", 24),
        ("left_eye", "keypoint", 12),
        ("right_eye", "keypoint", 12),
        ("nose_tip", "keypoint", 24),
    ]


def test_each_row_counts_its_own_labels(labels, predictors):
    """RMSE and mean distance of each part are those of loops over it, for both predictors."""
    table = metric_table.metric_table(labels, predictors, DOTS)
    hidden = np.where(labels.occluded[..., None], labels.truth, np.nan)
    for number, own in enumerate(predictors.values()):
        for row, truth in (("all keypoints", labels.truth), ("occluded", hidden)):
            assert value(table, row, "RMSE", "px", number) == pytest.approx(naive_rmse(own, truth), rel=1e-6)
            assert value(table, row, "distance", "px", number) == pytest.approx(mean_distance(own, truth), rel=1e-6)
        eyes = mean_distance(own[:, :2], labels.truth[:, :2])
        assert value(table, "eyes", "distance", "px", number) == pytest.approx(eyes, rel=1e-6)
    low, high = table.interval[0, 0]
    assert low < table.values[0, 0, 0] < high
    assert np.isnan(table.interval).all(axis=(1, 2)).tolist() == [kind not in ("all", "source") for kind in table.kinds]


LENGTHS = np.linspace(10, 40, COUNT)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("", {("distance", "mm"): None, **{(f"SDR {r} mm", "%"): r for r in (2, 2.5, 3, 4)}}),
        ("the size of the box", {("NME", "%"): None, **{(f"PCK {f}", "%"): f for f in (0.05, 0.1, 0.2)}}),
    ],
    ids=["millimetres", "length"],
)
def test_columns_are_what_the_scale_allows(labels, predictors, words, wanted):
    """Millimetres give SDR, a length gives NME and PCK; the values are those of loops."""
    lengths = LENGTHS if words else LENGTHS / 20
    table = metric_table.metric_table(replace(labels, scale=ErrorScale(lengths, words)), predictors, DOTS)
    columns = list(zip(table.metrics.tolist(), table.units.tolist(), strict=True))
    assert columns == [("RMSE", "px"), ("distance", "px"), *wanted, ("OKS-AP", "%"), ("AP50", "%"), ("AP75", "%")]
    for (metric, unit), limit in wanted.items():
        expected = (100 if unit == "%" else 1) * mean_distance(predictors["specialists"], labels.truth, lengths, limit)
        assert value(table, "all keypoints", metric, unit) == pytest.approx(expected, rel=1e-6)


def test_without_boxes_there_is_no_average_precision(labels, predictors):
    """And only pixels, without a length; single keypoints never have an average precision."""
    boxed = metric_table.metric_table(labels, predictors, DOTS)
    assert np.isnan(value(boxed, "nose_tip", "OKS-AP", "%"))
    assert value(boxed, "eyes", "OKS-AP", "%") > value(boxed, "eyes", "OKS-AP", "%", 1)
    bare = metric_table.metric_table(replace(labels, origin=origin([[np.nan] * 4] * COUNT)), predictors, DOTS)
    assert bare.metrics.tolist() == ["RMSE", "distance"]


BOUNDS = ("95 % interval, from", "to")
PARTS = ("all labels", "nose labels", "visible keypoints", "occluded keypoints", "eyes", "nose")


def test_the_log_shows_the_table(labels, predictors):
    """A line for each part, by predictor, with the interval below the first; single keypoints are left out."""
    table = metric_table.metric_table(replace(labels, scale=ErrorScale(LENGTHS / 20, "")), predictors, DOTS)
    lines = metric_text.text(table).splitlines()
    assert [line[:23].strip() for line in lines] == [
        *("held-out samples", ""),
        *("specialists", "all keypoints", *BOUNDS, "all labels", *BOUNDS, "nose labels", *BOUNDS, *PARTS[2:]),
        *("base net", "all keypoints", *PARTS),
        "Values in px are in pix",
    ]
    assert lines[3].split()[2:5] == ["48", f"{table.values[0, 0, 0]:.2f}", f"{table.values[0, 0, 1]:.2f}"]
    assert len({len(line) for line in lines[3:16]}) == 1
    assert metric_text.headline(table).startswith(f"mean distance {table.values[0, 0, 1]:.2f} px ({table.interval[0, 1, 0]:.2f} to ")
    assert ", SDR 2 mm " in metric_text.headline(table)


def chain(rows, confidence):
    """What one chain says about two held-out samples of an own set."""
    truth = np.array([[[10, 10], [20, 20], [np.nan, np.nan]]] * 2, np.float32)
    mean, none = np.zeros((2, 3, 2), np.float32), np.zeros(2, np.int8)
    held_out = {"truth": truth, "mean_face": mean, "face": np.array(rows), "source": none, "group": np.array(rows)}
    own = {"validation": np.nan_to_num(truth) + np.float32(3), "validation_base": np.nan_to_num(truth)}
    hidden = np.array([[True, False, False]] * 2) & (np.array(rows) == 0)[:, None]
    boxes = [[0, 0, 10 + row, 10] for row in rows]
    more = {"origin": origin(boxes), "occluded": hidden, "confidence": confidence, "test_confidence": None}
    return ChainPredictions(test=NOTHING, test_base=NOTHING, **held_out, **own, **more)


def test_predict_keeps_what_the_table_is_made_from():
    """Occluded labels and confidences of all chains are in the order of the training table; the unit is a pixel of the image."""
    sure = np.array([[0.9, 0.8, 0.7], [0.3, 0.2, 0.1]], np.float32)
    nothing = dict.fromkeys(("image_id", "lookup_row", "lookup_sample", "lookup_keypoint", "lookup_axis"))
    samples = UnlabelledSamples(
        np.zeros((0, 32, 32), np.uint8), np.zeros(0, np.int8), source_names=np.array(["all"]), origin=None, **nothing
    )
    normalise = Normalise({"pair": ("left_eye", "right_eye")})
    content = predictions.predictions(samples, DOTS, [chain([3, 0], sure), chain([1, 2], sure + 0.05)], normalise)
    assert content.validation_occluded[:, 0].tolist() == [True, False, False, False]
    np.testing.assert_allclose(content.validation_confidence[:, 0], [0.3, 0.95, 0.35, 0.9], rtol=1e-6)
    assert content.test_confidence is None
    # Each keypoint is (3, 3) off, in pixels of two pixels of the image; the eyes are 20 such pixels of the image apart in x and in y.
    assert value(content.metrics, "all keypoints", "distance", "px") == pytest.approx(72**0.5)
    assert value(content.metrics, "all keypoints", "NME", "%") == pytest.approx(30)
    assert str(content.metrics.length) == "the distance from left_eye to right_eye"
    assert predictions.table(content) == metric_text.text(content.metrics)
