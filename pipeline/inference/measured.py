"""The accuracy that nets had on samples that they were not trained on, as a table that travels with them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.keypoints.definition import KeypointSet
from pipeline.metrics.bootstrap import BOOTSTRAP, bootstrap_interval
from pipeline.metrics.rmse import rmse
from pipeline.schema import array, record

ALL, SOURCE, KEYPOINT = "all", "source", "keypoint"  # kinds of rows


@record
class Normalised:
    """Errors as multiples of the keypoint set's own length, or in its unit, for the rows of an `Accuracy`."""

    name: np.ndarray = array("text", "", "", "name of the metric")
    unit: np.ndarray = array("text", "", "", "its unit")
    length: np.ndarray = array("text", "", "", "the length by which distances are divided; empty for millimetres")
    values: np.ndarray = array("float32", "row", "", "mean of the metric over the labels of the row; NaN where it was not measured")
    interval: np.ndarray = array("float32", "row bound", "", "95 % interval of it; NaN where it was not measured")


@record
class Accuracy:
    """The accuracy on held-out samples: one row for all labels, for each of several annotation sources, and for each keypoint.

    The RMSE is that over the x and y values, in pixels of the original images. Intervals are 95 % intervals from a bootstrap over duplicate
    groups. Values are NaN where nothing is labelled.
    """

    rows: np.ndarray = array("text", "row", "", "part of the labels")
    kinds: np.ndarray = array("text", "row", "", "what the part is: all, source or keypoint")
    labels: np.ndarray = array("int32", "row", "", "number of labelled keypoints of held-out samples in the part")
    rmse: np.ndarray = array("float32", "row", "px", "RMSE")
    interval: np.ndarray = array("float32", "row bound", "px", "95 % interval of the RMSE")
    normalised: Normalised | None


@dataclass(frozen=True)
class HeldOutPredictions:
    """Predictions for n samples that their nets were not trained on.

    predicted, truth: float (n, K, 2), pixels of the original images; the truth is NaN where not labelled. source, group: int (n,),
    annotation source and duplicate group of each sample.
    """

    predicted: np.ndarray
    truth: np.ndarray
    source: np.ndarray
    group: np.ndarray


def accuracy(held_out: HeldOutPredictions, keypointset: KeypointSet) -> Accuracy:
    """Measures the accuracy of predictions; errors divided by a length are not among it."""
    rows, values = list(_rows(held_out, keypointset)), []
    for _, _, mask in rows:
        used = mask.any(axis=1)
        truth = np.where(mask[used, :, None], held_out.truth[used], np.nan)
        predicted, group = held_out.predicted[used], held_out.group[used]
        interval = bootstrap_interval(predicted, truth, group, **BOOTSTRAP, rng=np.random.default_rng(0)) if used.any() else (np.nan,) * 2
        values.append((mask.sum(), rmse(predicted, truth), *interval))
    table = np.array(values, np.float64)
    return Accuracy(
        rows=np.array([name for name, _, _ in rows]),
        kinds=np.array([kind for _, kind, _ in rows]),
        labels=table[:, 0].astype(np.int32),
        rmse=table[:, 1].astype(np.float32),
        interval=table[:, 2:].astype(np.float32),
        normalised=None,
    )


def _rows(held_out: HeldOutPredictions, keypointset: KeypointSet) -> Iterator[tuple[str, str, np.ndarray]]:
    """The name, the kind and the labels of each row, bool (n, K)."""
    known, numbers = ~np.isnan(held_out.truth).any(axis=2), np.arange(len(keypointset.names))
    yield "all keypoints", ALL, known
    if len(keypointset.source_names) > 1:
        yield from ((name, SOURCE, known & (held_out.source == s)[:, None]) for s, name in enumerate(keypointset.source_names))
    yield from ((name, KEYPOINT, known & (numbers == k)) for k, name in enumerate(keypointset.names))
