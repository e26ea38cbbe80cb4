"""Two results compared on the validation samples that they have in common."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.metrics.bootstrap import BOOTSTRAP, difference_interval
from pipeline.metrics.rmse import rmse, rmse_by_keypoint

SAME = 0.01  # pixels by which equal labels differ at most


@dataclass(frozen=True)
class HeldOut:
    """The predictions of a training or of a whole run for its validation samples.

    predicted, truth: predictions and labels (n, k, 2), pixels of the original images; a label is NaN where the keypoint is not labelled.
    row, group: row in the training table and duplicate group of each sample (n,).
    keypoints: names of the keypoints (k,).
    training_rmse, validation_rmse: (e,) after each epoch, pixels, or None where the result is not that of a single training.
    """

    predicted: np.ndarray
    truth: np.ndarray
    row: np.ndarray
    group: np.ndarray
    keypoints: list[str]
    training_rmse: np.ndarray | None
    validation_rmse: np.ndarray | None


def common(one: HeldOut, other: HeldOut) -> tuple[HeldOut, HeldOut]:
    """Both results, reduced to the samples and the keypoints that they have in common, in the same order."""
    rows = np.intersect1d(one.row, other.row)
    names = [name for name in one.keypoints if name in other.keypoints]
    return _reduced(one, rows, names), _reduced(other, rows, names)


def same_labels(one: HeldOut, other: HeldOut) -> bool:
    """Whether two results from `common` have the same labels; rows of different training tables may have the same number.

    Samples that were stored at different sides have labels that differ by rounding.
    """
    return np.allclose(one.truth, other.truth, rtol=0, atol=SAME, equal_nan=True)


def _reduced(held_out: HeldOut, rows: np.ndarray, names: list[str]) -> HeldOut:
    at = np.flatnonzero(np.isin(held_out.row, rows))
    at = at[np.argsort(held_out.row[at])]
    columns = [held_out.keypoints.index(name) for name in names]
    predicted, truth = (values[at][:, columns] for values in (held_out.predicted, held_out.truth))
    return replace(held_out, predicted=predicted, truth=truth, row=held_out.row[at], group=held_out.group[at], keypoints=names)


def table(one: HeldOut, other: HeldOut) -> list[str]:
    """The lines of a table of two results from `common`: RMSE overall and by keypoint, and the interval of the difference.

    The interval is a 95 % interval from a bootstrap over duplicate groups.
    """
    lines = [f"{'validation RMSE, px':<28}{'first':>8}{'second':>8}{'second - first':>16}"]
    pairs = zip(one.keypoints, *(rmse_by_keypoint(each.predicted, each.truth) for each in (one, other)), strict=True)
    overall = ("all keypoints", *(rmse(each.predicted, each.truth) for each in (one, other)))
    lines += [f"{name:<28}{first:8.3f}{second:8.3f}{second - first:+16.3f}" for name, first, second in (overall, *pairs)]
    rng = np.random.default_rng(0)
    low, high = difference_interval(other.predicted, one.predicted, one.truth, one.group, **BOOTSTRAP, rng=rng)
    verdict = "the second is better" if high < 0 else "the first is better" if low > 0 else "no difference seen"
    interval = f"95 % interval, bootstrap over duplicate groups: {low:+.3f} to {high:+.3f} px"
    return [*lines, "", f"second - first over all keypoints ({interval}): {verdict}"]
