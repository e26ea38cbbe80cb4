"""The metrics of an own set as one table, which the log, the artifact of Predict and the report show.

Its rows are parts of the held-out labels, its columns metrics, and there is one such table for each predictor.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.data.tables import Origin
from pipeline.keypoints.definition import KeypointSet
from pipeline.metrics import oks
from pipeline.metrics.bootstrap import BOOTSTRAP, mean_interval
from pipeline.metrics.distances import PCK_FRACTIONS, SDR_RADII, distances, mean, normalised, within
from pipeline.results.error_scale import ErrorScale, box_area
from pipeline.schema import array, record

ALL = "all keypoints"
WITH_INTERVAL = ("all", "source")  # kinds of rows; each interval of OKS-AP takes seconds for thousands of samples


@record
class MetricTable:
    """Metrics on the held-out samples of an own set, in the pixels of the original images, of several predictors.

    A value is NaN where nothing is labelled, and OKS-AP also for single keypoints. Intervals are 95 % intervals of the first predictor's
    values from a bootstrap over duplicate groups, for all keypoints and for each annotation source; they are NaN in the other rows. The
    metrics are defined in `pipeline.metrics.distances` and `pipeline.metrics.oks`.
    """

    predictors: np.ndarray = array("text", "predictor", "", "names of the predictors that are compared with the labels")
    rows: np.ndarray = array("text", "row", "", "part of the labels: all, an annotation source, the occluded ones, a group, a keypoint")
    kinds: np.ndarray = array("text", "row", "", "what the part is: all, source, visibility, group or keypoint")
    labels: np.ndarray = array("int32", "row", "", "number of labelled keypoints in the part")
    metrics: np.ndarray = array("text", "metric", "", "names of the metrics")
    units: np.ndarray = array("text", "metric", "", "unit of each metric")
    values: np.ndarray = array("float32", "predictor row metric", "", "the metrics, each in its unit")
    interval: np.ndarray = array("float32", "row metric bound", "", "interval of the first predictor's metrics")
    length: np.ndarray = array("text", "", "", "the length by which NME and PCK divide; empty without these metrics")


@dataclass(frozen=True)
class HeldOutLabels:
    """The labels of held-out samples, and what is known of them.

    truth: (n, K, 2), pixels of the original images, NaN where not labelled. source, group: annotation source and duplicate group, (n,).
    occluded: bool (n, K), labelled but not visible; None where the label files do not say. score: float64 (n,), how certain the
    predictions for each sample are; it orders the samples for OKS-AP. origin: where the samples come from. scale: what errors are divided
    by, if anything.
    """

    truth: np.ndarray
    source: np.ndarray
    group: np.ndarray
    occluded: np.ndarray | None
    score: np.ndarray
    origin: Origin
    scale: ErrorScale | None


@dataclass(frozen=True)
class _Metric:
    """A metric that is a mean over labels: its values (n, K) from the distances (n, K) in pixels, and what is done to their mean."""

    name: str
    unit: str
    values: Callable[[np.ndarray], np.ndarray]
    after: Callable[[np.ndarray], np.ndarray] = np.asarray


@dataclass(frozen=True)
class _Row:
    """A part of the labels. mask: bool (n, K)."""

    name: str
    kind: str
    mask: np.ndarray


def metric_table(labels: HeldOutLabels, predictors: Mapping[str, np.ndarray], keypointset: KeypointSet) -> MetricTable:
    """Computes the table. predictors: predictions (n, K, 2) by the name of the predictor, pixels of the original images."""
    rows, metrics, precision = list(_rows(labels, keypointset)), _metrics(labels.scale), _Precision(labels, oks.sigmas(keypointset.names))
    names = [(metric.name, metric.unit) for metric in metrics] + [(name, "%") for name in precision.names]
    first = next(iter(predictors.values()))
    return MetricTable(
        predictors=np.array(list(predictors)),
        rows=np.array([row.name for row in rows]),
        kinds=np.array([row.kind for row in rows]),
        labels=np.array([row.mask.sum() for row in rows], np.int32),
        metrics=np.array([name for name, _ in names]),
        units=np.array([unit for _, unit in names]),
        values=np.array([[_values(labels, own, row, metrics, precision) for row in rows] for own in predictors.values()], np.float32),
        interval=np.array([_intervals(labels, first, row, metrics, precision) for row in rows], np.float32),
        length=np.array(labels.scale.words if labels.scale else ""),
    )


def _rows(labels: HeldOutLabels, keypointset: KeypointSet) -> Iterator[_Row]:
    """Yields all labels and the parts of them that differ from all, in the order of the table."""
    known, names = ~np.isnan(labels.truth).any(axis=2), keypointset.names
    yield _Row(ALL, "all", known)
    if len(keypointset.source_names) > 1:
        yield from (_Row(name, "source", known & (labels.source == s)[:, None]) for s, name in enumerate(keypointset.source_names))
    if labels.occluded is not None and (hidden := known & labels.occluded).any():
        yield _Row("visible", "visibility", known & ~hidden)
        yield _Row("occluded", "visibility", hidden)
    if len(keypointset.groups) > 1:
        yield from (_Row(name, "group", known & np.isin(names, own)) for name, own in keypointset.groups.items())
    yield from (_Row(name, "keypoint", known & (np.arange(len(names)) == k)) for k, name in enumerate(names))


def _metrics(scale: ErrorScale | None) -> list[_Metric]:
    """The metrics that are means over labels, in the order of the table."""
    found = [
        _Metric("RMSE", "px", lambda distance: np.square(distance) / 2, np.sqrt),  # of the x and y values
        _Metric("distance", "px", np.asarray),
    ]
    if scale is None:
        return found

    def scaled(distance: np.ndarray) -> np.ndarray:
        return normalised(distance, scale.lengths)

    def share_within(limit: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda distance: 100 * within(scaled(distance), limit)

    if scale.words:
        found.append(_Metric("NME", "%", lambda distance: 100 * scaled(distance)))
        return found + [_Metric(f"PCK {fraction:g}", "%", share_within(fraction)) for fraction in PCK_FRACTIONS]
    found.append(_Metric("distance", "mm", scaled))
    return found + [_Metric(f"SDR {radius:g} mm", "%", share_within(radius)) for radius in SDR_RADII]


class _Precision:
    """OKS-AP, AP50 and AP75 of the samples with a box, as percentages. `names` is empty if no sample has one."""

    def __init__(self, labels: HeldOutLabels, sigma: np.ndarray) -> None:
        self.labels, self.sigma, self.area = labels, sigma, oks.AREA_OF_BOX * box_area(labels.origin)
        # The samples of two annotators are not alternatives for each other.
        image = np.unique(labels.origin.image, return_inverse=True)[1]
        self.image = image * (int(labels.source.max(initial=0)) + 1) + labels.source
        self.names = () if np.isnan(self.area).all() else ("OKS-AP", "AP50", "AP75")

    def values(self, predicted: np.ndarray, row: _Row) -> list[float]:
        """The metrics of a part of the labels; [] if there are no boxes."""
        if not self.names:
            return []
        used = self._used(row)
        return list(100 * oks.summarised(oks.average_precision(self._found(predicted, row, used), self.labels.score[used])))

    def intervals(self, predicted: np.ndarray, row: _Row) -> list[np.ndarray]:
        """Their intervals (2,)."""
        if not self.names:
            return []
        used = self._used(row)
        return list(100 * oks.interval(self._found(predicted, row, used), self.labels.score[used], self.labels.group[used]))

    def _used(self, row: _Row) -> np.ndarray:
        """The samples that have a box and a label in this part, bool (n,); none for a single keypoint."""
        return row.mask.any(axis=1) & ~np.isnan(self.area) & (row.kind != "keypoint")

    def _found(self, predicted: np.ndarray, row: _Row, used: np.ndarray) -> np.ndarray:
        truth = np.where(row.mask[..., None], self.labels.truth, np.nan)[used]
        return oks.matches(predicted[used], truth, self.area[used], self.sigma, self.image[used], self.labels.score[used])


def _values(labels: HeldOutLabels, predicted: np.ndarray, row: _Row, metrics: list[_Metric], precision: _Precision) -> list[float]:
    distance = np.where(row.mask, distances(predicted, labels.truth), np.nan)
    return [float(metric.after(np.array(mean(metric.values(distance))))) for metric in metrics] + precision.values(predicted, row)


def _intervals(labels: HeldOutLabels, predicted: np.ndarray, row: _Row, metrics: list[_Metric], precision: _Precision) -> list[np.ndarray]:
    if row.kind not in WITH_INTERVAL:
        return [np.full(2, np.nan)] * (len(metrics) + len(precision.names))
    distance = np.where(row.mask, distances(predicted, labels.truth), np.nan)
    found = [mean_interval(metric.values(distance), labels.group, **BOOTSTRAP, rng=np.random.default_rng(0)) for metric in metrics]
    return [metric.after(np.array(own)) for metric, own in zip(metrics, found, strict=True)] + precision.intervals(predicted, row)
