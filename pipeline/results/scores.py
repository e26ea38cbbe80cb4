"""How good the answers are, as the report shows it: RMSE in pixels overall, by label source, by keypoint, with intervals."""

import numpy as np

from pipeline.data.dataset import Dataset, held_out
from pipeline.metrics.bootstrap import BOOTSTRAP, bootstrap_interval, difference_interval
from pipeline.metrics.rmse import rmse, rmse_by_keypoint, rmse_by_source, squared_error
from pipeline.schema import Plot, array, record

ANSWERS = ("specialists", "base net", "mean face")


@record
class Scores:
    """RMSE on the validation faces of three answers: the specialists' with a share of the base net's, the base net's, the mean face.

    Intervals: 95 %, of the specialists' RMSE, bootstrap over duplicate groups. NaN: nothing is labelled there.
    """

    answers: np.ndarray = array("text", "answer", "", "what is compared with the labels")
    sources: np.ndarray = array("text", "source", "", "names of the label sources")
    keypoints: np.ndarray = array("text", "keypoint", "", "names of the keypoints")
    rmse: np.ndarray = array("float32", "answer", "px", "RMSE, all labelled values")
    interval: np.ndarray = array("float32", "bound", "px", "its interval")
    gain: np.ndarray = array("float32", "bound", "px", "interval of the specialists' RMSE less the base net's, on the same draws")
    source_rmse: np.ndarray = array("float32", "answer source", "px", "RMSE by label source")
    source_interval: np.ndarray = array("float32", "source bound", "px", "its interval")
    source_values: np.ndarray = array("int32", "source", "", "values that are compared")
    keypoint_rmse: np.ndarray = array("float32", "answer keypoint", "px", "RMSE by keypoint")
    keypoint_interval: np.ndarray = array("float32", "keypoint bound", "px", "its interval")
    keypoint_values: np.ndarray = array("int32", "keypoint", "", "values that are compared")
    error_by_place: np.ndarray = array("float32", "source keypoint", "px", "specialists' RMSE by label source and keypoint")
    median: np.ndarray = array("float32", "", "px", "half of the values are nearer to their label than this")
    worst_share: np.ndarray = array("float32", "", "", "share of the squared error that the worst 1 % of the values have")
    asked: np.ndarray = array("int32", "source", "", "values that the lookup table asks for")
    board: np.ndarray = array("float32", "answer", "px", "estimate of the RMSE on all that is asked for, see `board`")
    board_interval: np.ndarray = array("float32", "bound", "px", "its interval")
    best: np.ndarray = array("int32", "shown", "", "validation faces with the lowest RMSE, as rows of the training file, from 0")
    typical: np.ndarray = array("int32", "shown", "", "those around the median")
    worst: np.ndarray = array("int32", "shown", "", "those with the highest, the highest first")
    tests: np.ndarray = array("int64", "shown", "", "ImageId of the test faces that are shown")

    PLOT = Plot("keypoint_rmse", (".", "."), "spectrum")


def scores(predictions, data_sets: list[Dataset], *, shown: int) -> Scores:
    """From the predictions (`submission.Predictions`) and the data set of each chain. shown: faces of a kind."""
    mean_face = held_out(data_sets, lambda faces: faces.mean_face[faces.source])
    group, asked = held_out(data_sets, lambda faces: faces.duplicate_group), _asked(data_sets[0])
    truth, source = predictions.validation_truth, predictions.validation_source
    answers = (predictions.validation, predictions.validation_base, mean_face)
    sources, error = len(predictions.sources), np.sqrt(_known(squared_error(predictions.validation, truth)))
    scaled = [_scaled(answer, truth, source, asked) for answer in answers]
    order = _by_error(predictions.validation, truth, group)
    rows, middle = predictions.validation_face[order], max(0, (len(order) - shown) // 2)
    return Scores(
        answers=np.array(ANSWERS),
        sources=predictions.sources,
        keypoints=predictions.keypoints,
        rmse=_floats([rmse(answer, truth) for answer in answers]),
        interval=_interval(predictions.validation, truth, group),
        gain=_gain(predictions, truth, group),
        source_rmse=_floats([rmse_by_source(answer, truth, source, sources) for answer in answers]),
        source_interval=np.stack([_interval(predictions.validation[s], truth[s], group[s]) for s in _parts(source, sources)]),
        source_values=_counts([truth[s] for s in _parts(source, sources)]),
        keypoint_rmse=_floats([rmse_by_keypoint(answer, truth) for answer in answers]),
        keypoint_interval=np.stack([_interval(predictions.validation[:, [k]], truth[:, [k]], group) for k in range(truth.shape[1])]),
        keypoint_values=_counts(truth.swapaxes(0, 1)),
        error_by_place=_floats([rmse_by_keypoint(predictions.validation[s], truth[s]) for s in _parts(source, sources)]),
        median=np.float32(np.median(error)),
        worst_share=np.float32(_share_of_worst(np.square(error), 0.01)),
        asked=asked,
        board=_floats([rmse(answer, truth) for answer in scaled]),
        board_interval=_interval(scaled[0], truth, group),
        best=rows[:shown],
        typical=rows[middle : middle + shown],
        worst=rows[::-1][:shown],
        tests=predictions.test_ids[np.unique(np.linspace(0, len(predictions.test_ids) - 1, 2 * shown).round().astype(int))],
    )


def _asked(faces: Dataset) -> np.ndarray:
    """The values that the lookup table asks for by label source: int32 (S,)."""
    return np.bincount(faces.test_source[faces.lookup_face], minlength=len(faces.source_names)).astype(np.int32)


def _scaled(answer: np.ndarray, truth: np.ndarray, source: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The answer with errors so long that their plain RMSE weights each label source by the values asked for, not by those labelled.

    The mean square over N labels of errors times sqrt(share N / n) is the sum of share * (mean square over the source's own n labels).
    NaN everywhere where a source is asked for that no validation face has.
    """
    labels = _counts([truth[s] for s in _parts(source, len(asked))])
    if (asked[labels == 0] > 0).any():
        return np.full_like(answer, np.nan)
    factor = np.sqrt(asked / asked.sum() * labels.sum() / np.maximum(labels, 1))
    return truth + (answer - truth) * factor[source][:, None, None]


def _interval(predicted: np.ndarray, truth: np.ndarray, group: np.ndarray) -> np.ndarray:
    known = ~np.isnan(predicted - truth).all(axis=(1, 2))
    if not known.any():
        return np.full(2, np.nan, np.float32)
    rng = np.random.default_rng(0)
    return _floats(bootstrap_interval(predicted[known], truth[known], group[known], **BOOTSTRAP, rng=rng))


def _gain(predictions, truth: np.ndarray, group: np.ndarray) -> np.ndarray:
    known, rng = ~np.isnan(truth).all(axis=(1, 2)), np.random.default_rng(0)
    pair = predictions.validation[known], predictions.validation_base[known]
    return _floats(difference_interval(*pair, truth[known], group[known], **BOOTSTRAP, rng=rng))


def _by_error(predicted: np.ndarray, truth: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Positions of the faces that have a label, the lowest RMSE first; of near twins the better one alone."""
    known = np.flatnonzero(~np.isnan(truth).all(axis=(1, 2)))
    order = known[np.argsort(face_rmse(predicted[known], truth[known]), kind="stable")]
    return order[np.sort(np.unique(group[order], return_index=True)[1])]


def face_rmse(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """RMSE (n,) of each face, pixels; each has a label."""
    return np.sqrt(np.nanmean(squared_error(predicted, truth), axis=(1, 2)))


def _share_of_worst(squares: np.ndarray, share: float) -> float:
    worst = np.sort(squares)[len(squares) - max(1, round(share * len(squares))) :]
    return worst.sum() / max(squares.sum(), np.finfo(float).tiny)


def _parts(source: np.ndarray, sources: int) -> list[np.ndarray]:
    return [source == number for number in range(sources)]


def _known(values: np.ndarray) -> np.ndarray:
    return values[~np.isnan(values)]


def _counts(parts) -> np.ndarray:
    """How many values of each part are no NaN."""
    return np.array([np.sum(~np.isnan(part)) for part in parts], np.int32)


def _floats(values) -> np.ndarray:
    return np.array(values, np.float32)
