"""How good the predictions are, as the report shows it: RMSE overall, by annotation source and by keypoint, with intervals."""

from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.data.dataset import Dataset, held_out
from pipeline.data.testset import UnlabelledSamples
from pipeline.metrics.bootstrap import BOOTSTRAP, bootstrap_interval, difference_interval
from pipeline.metrics.rmse import rmse, rmse_by_keypoint, rmse_by_source, squared_error
from pipeline.results.predictions import Predictions
from pipeline.results.wording import wording
from pipeline.schema import Plot, array, record

PREDICTORS = ("specialists", "base net")


@record
class Scores:
    """RMSE on the validation faces of three predictors: the specialists (weighted mean with the base net), the base net, the mean face.

    Intervals are 95 % intervals of the specialists' RMSE from a bootstrap over duplicate groups. A value is NaN where nothing is labelled.
    """

    predictors: np.ndarray = array("text", "predictor", "", "names of the predictors that are compared with the labels")
    sources: np.ndarray = array("text", "source", "", "names of the annotation sources")
    keypoints: np.ndarray = array("text", "keypoint", "", "names of the keypoints")
    rmse: np.ndarray = array("float32", "predictor", "px", "RMSE over all labelled values")
    interval: np.ndarray = array("float32", "bound", "px", "interval of the specialists' RMSE")
    gain: np.ndarray = array("float32", "bound", "px", "interval of the specialists' RMSE minus the base net's, from the same draws")
    source_rmse: np.ndarray = array("float32", "predictor source", "px", "RMSE by annotation source")
    source_interval: np.ndarray = array("float32", "source bound", "px", "interval of the specialists' RMSE by annotation source")
    source_values: np.ndarray = array("int32", "source", "", "number of labelled values by annotation source")
    keypoint_rmse: np.ndarray = array("float32", "predictor keypoint", "px", "RMSE by keypoint")
    keypoint_interval: np.ndarray = array("float32", "keypoint bound", "px", "interval of the specialists' RMSE by keypoint")
    keypoint_values: np.ndarray = array("int32", "keypoint", "", "number of labelled values by keypoint")
    error_by_place: np.ndarray = array("float32", "source keypoint", "px", "the specialists' RMSE by annotation source and keypoint")
    median: np.ndarray = array("float32", "", "px", "median absolute error of the specialists over all labelled values")
    worst_share: np.ndarray = array("float32", "", "", "share of the squared error that is due to the worst 1 % of the values")
    asked: np.ndarray = array("int32", "source", "", "number of values that the lookup table asks for, by annotation source")
    board: np.ndarray = array("float32", "predictor", "px", "estimated RMSE over all values that the lookup table asks for")
    board_interval: np.ndarray = array("float32", "bound", "px", "interval of the specialists' estimated RMSE")
    best: np.ndarray = array("int32", "shown", "", "validation faces with the lowest RMSE: rows of the training table, from 0")
    typical: np.ndarray = array("int32", "shown", "", "validation faces around the median RMSE: rows of the training table, from 0")
    worst: np.ndarray = array(
        "int32", "shown", "", "validation faces with the highest RMSE, highest first: rows of the training table, from 0"
    )
    tests: np.ndarray = array("int64", "shown", "", "ImageId of the test faces that are shown")

    PLOT = Plot("keypoint_rmse", (".", "."), "spectrum")


def scores(predictions: Predictions, data_sets: Sequence[Dataset], test: UnlabelledSamples, *, shown: int) -> Scores:
    """Scores the predictions and chooses the faces to show.

    data_sets: the data set of each chain. test: the samples to predict.
    shown: the number of validation faces in each of `best`, `typical` and `worst`; twice as many test faces are chosen.
    """
    mean_face = held_out(data_sets, lambda dataset: dataset.mean_face[dataset.source])
    group, asked = held_out(data_sets, lambda dataset: dataset.duplicate_group), _asked(test)
    source, pixel = predictions.validation_source, predictions.pixel
    truth = predictions.validation_truth * pixel
    own, *_ = predictors = [each * pixel for each in (predictions.validation, predictions.validation_base, mean_face)]
    parts, error = _by_source(source, len(predictions.sources)), np.sqrt(_known(squared_error(own, truth)))
    scaled = [_scaled(predicted, truth, source, asked) for predicted in predictors]
    order = _by_error(own, truth, group)
    rows, middle = predictions.validation_face[order], max(0, (len(order) - shown) // 2)
    return Scores(
        predictors=np.array([*PREDICTORS, wording(data_sets[0]).mean]),
        sources=predictions.sources,
        keypoints=predictions.keypoints,
        rmse=_floats([rmse(predicted, truth) for predicted in predictors]),
        interval=_interval(own, truth, group),
        gain=_gain(predictions, group),
        source_rmse=_floats([rmse_by_source(predicted, truth, source, len(parts)) for predicted in predictors]),
        source_interval=np.stack([_interval(own[part], truth[part], group[part]) for part in parts]),
        source_values=_counts(truth[part] for part in parts),
        keypoint_rmse=_floats([rmse_by_keypoint(predicted, truth) for predicted in predictors]),
        keypoint_interval=np.stack([_interval(own[:, [k]], truth[:, [k]], group) for k in range(truth.shape[1])]),
        keypoint_values=_counts(truth.swapaxes(0, 1)),
        error_by_place=_floats([rmse_by_keypoint(own[part], truth[part]) for part in parts]),
        median=np.array(np.median(error), np.float32),
        worst_share=np.array(_share_of_worst(np.square(error), 0.01), np.float32),
        asked=asked,
        board=_floats([rmse(predicted, truth) for predicted in scaled]),
        board_interval=_interval(scaled[0], truth, group),
        best=rows[:shown],
        typical=rows[middle : middle + shown],
        worst=rows[::-1][:shown],
        tests=_evenly(predictions.test_ids, 2 * shown),
    )


def face_rmse(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """RMSE (n,) of each face, pixels, from keypoints (n, K, 2); each face must have at least one label."""
    return np.sqrt(np.nanmean(squared_error(predicted, truth), axis=(1, 2)))


def _asked(test: UnlabelledSamples) -> np.ndarray:
    """The number of values that the lookup table asks for, by annotation source: int32 (S,); 0 without such a table."""
    rows = np.zeros(0, int) if test.lookup_sample is None else test.lookup_sample
    return np.bincount(test.source[rows], minlength=len(test.source_names)).astype(np.int32)


def _scaled(predicted: np.ndarray, truth: np.ndarray, source: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Predictions whose plain RMSE weights each annotation source by the number of values asked for instead of by its labels.

    Let n of all N labels belong to a source, and let s be the source's share of the values asked for. The errors of the source are
    multiplied by sqrt(s N / n), so that their mean square over all labels is the sum over the sources of s times the mean square of the
    source. All values are NaN if the lookup table asks for values of a source that no validation face has, or if there is none.
    """
    labels = _counts(truth[part] for part in _by_source(source, len(asked)))
    if (asked[labels == 0] > 0).any() or not asked.any():
        return np.full_like(predicted, np.nan)
    factor = np.sqrt(asked / asked.sum() * labels.sum() / np.maximum(labels, 1))
    return truth + (predicted - truth) * factor[source][:, None, None]


def _interval(predicted: np.ndarray, truth: np.ndarray, group: np.ndarray) -> np.ndarray:
    known = ~np.isnan(predicted - truth).all(axis=(1, 2))
    if not known.any():
        return np.full(2, np.nan, np.float32)
    rng = np.random.default_rng(0)
    return _floats(bootstrap_interval(predicted[known], truth[known], group[known], **BOOTSTRAP, rng=rng))


def _gain(predictions: Predictions, group: np.ndarray) -> np.ndarray:
    pixel, rng = predictions.pixel, np.random.default_rng(0)
    truth = predictions.validation_truth * pixel
    known = ~np.isnan(truth).all(axis=(1, 2))
    pair = (predictions.validation * pixel)[known], (predictions.validation_base * pixel)[known]
    return _floats(difference_interval(*pair, truth[known], group[known], **BOOTSTRAP, rng=rng))


def _by_error(predicted: np.ndarray, truth: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Positions of the faces that have a label, lowest RMSE first; of each duplicate group only the best face."""
    known = np.flatnonzero(~np.isnan(truth).all(axis=(1, 2)))
    order = known[np.argsort(face_rmse(predicted[known], truth[known]), kind="stable")]
    return order[np.sort(np.unique(group[order], return_index=True)[1])]


def _share_of_worst(squares: np.ndarray, share: float) -> float:
    worst = np.sort(squares)[len(squares) - max(1, round(share * len(squares))) :]
    return worst.sum() / max(squares.sum(), np.finfo(float).tiny)


def _by_source(source: np.ndarray, sources: int) -> list[np.ndarray]:
    """Masks (n,) of the faces of each annotation source."""
    return [source == number for number in range(sources)]


def _evenly(values: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the values, evenly spaced from the first to the last."""
    return values[np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int))]


def _known(values: np.ndarray) -> np.ndarray:
    return values[~np.isnan(values)]


def _counts(parts: Iterable[np.ndarray]) -> np.ndarray:
    """The number of values of each part that are not NaN, int32."""
    return np.array([np.sum(~np.isnan(part)) for part in parts], np.int32)


def _floats(values: Sequence[float] | Sequence[np.ndarray]) -> np.ndarray:
    return np.array(values, np.float32)
