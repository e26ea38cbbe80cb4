"""Two runs beside each other: how well on the validation faces that both have, and their learning curves."""

from dataclasses import dataclass

import numpy as np

from pipeline.metrics.bootstrap import BOOTSTRAP, difference_interval
from pipeline.metrics.rmse import rmse, rmse_by_keypoint


@dataclass(frozen=True)
class HeldOut:
    """What a run says of its validation faces: keypoints and labels (n, k, 2) in pixels, NaN where not labelled; row in the training table
    and duplicate group (n,); names of the keypoints (k,); training and validation RMSE of each epoch, where it is one training."""

    predicted: np.ndarray
    truth: np.ndarray
    row: np.ndarray
    group: np.ndarray
    keypoints: list[str]
    training_rmse: np.ndarray | None
    validation_rmse: np.ndarray | None


def common(one: HeldOut, other: HeldOut) -> tuple[HeldOut, HeldOut]:
    """Both, reduced to the faces and the keypoints that both have."""
    rows = np.intersect1d(one.row, other.row)
    names = [name for name in one.keypoints if name in other.keypoints]
    return _reduced(one, rows, names), _reduced(other, rows, names)


def same_labels(one: HeldOut, other: HeldOut) -> bool:
    """Whether two reduced ones are of the same faces: rows of two training tables may have nothing but their numbers in common."""
    return np.array_equal(one.truth, other.truth, equal_nan=True)


def _reduced(held_out: HeldOut, rows: np.ndarray, names: list[str]) -> HeldOut:
    at = np.flatnonzero(np.isin(held_out.row, rows))
    at = at[np.argsort(held_out.row[at])]
    columns = [held_out.keypoints.index(name) for name in names]
    predicted, truth = (values[at][:, columns] for values in (held_out.predicted, held_out.truth))
    return HeldOut(predicted, truth, held_out.row[at], held_out.group[at], names, held_out.training_rmse, held_out.validation_rmse)


def table(one: HeldOut, other: HeldOut) -> list[str]:
    """RMSE of two reduced ones: overall and for each keypoint, and the interval of the difference, bootstrap over duplicate groups."""
    lines = [f"{'validation RMSE, px':<28}{'first':>8}{'second':>8}{'second - first':>16}"]
    pairs = zip(one.keypoints, *(rmse_by_keypoint(each.predicted, each.truth) for each in (one, other)), strict=True)
    overall = ("all keypoints", *(rmse(each.predicted, each.truth) for each in (one, other)))
    lines += [f"{name:<28}{first:8.3f}{second:8.3f}{second - first:+16.3f}" for name, first, second in (overall, *pairs)]
    options = BOOTSTRAP | {"rng": np.random.default_rng(0)}
    low, high = difference_interval(other.predicted, one.predicted, one.truth, one.group, **options)
    verdict = "the second is better" if high < 0 else "the first is better" if low > 0 else "no difference seen"
    return [*lines, "", f"second - first over all keypoints, 95 % interval over duplicate groups: {low:+.3f} to {high:+.3f} px: {verdict}"]
