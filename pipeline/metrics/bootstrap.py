"""Bootstrap intervals of metrics over groups of samples that belong together."""

from collections.abc import Callable
from typing import TypedDict

import numpy as np

from pipeline.metrics.rmse import squared_error


class BootstrapOptions(TypedDict):
    """How an interval is estimated: the number of bootstrap draws, and the share of them that lies within the interval."""

    draws: int
    confidence: float


# For every interval that is shown to a user.
BOOTSTRAP: BootstrapOptions = {"draws": 2000, "confidence": 0.95}


def bootstrap_interval(
    predicted: np.ndarray, truth: np.ndarray, group: np.ndarray, *, draws: int, confidence: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Percentile interval of the RMSE when duplicate groups are drawn with replacement: its lower and upper end, pixels.

    Near duplicates are not independent evidence, so they are drawn together (Efron and Tibshirani 1993, "An introduction to the
    bootstrap").

    predicted, truth: (n, K, 2), pixels; NaN in `truth` where not labelled. Without any label the interval is NaN.
    group: number of each sample's duplicate group, (n,).
    draws, confidence: see `BootstrapOptions`.
    """
    drawn = _drawn(group, draws, rng)
    return _percentiles(_rmse_of_draws(predicted, truth, group, drawn), confidence)


def mean_interval(values: np.ndarray, group: np.ndarray, *, draws: int, confidence: float, rng: np.random.Generator) -> tuple[float, float]:
    """Percentile interval of the mean of the values that are not NaN, when groups are drawn with replacement: its lower and upper end.

    values: (n, K), such as the distances of `pipeline.metrics.distances`. Groups without any value are not drawn; without any value at
    all the interval is NaN. The other arguments are those of `bootstrap_interval`.
    """
    known = ~np.isnan(values).all(axis=1)
    if not known.any():
        return float("nan"), float("nan")
    drawn = _drawn(group[known], draws, rng)
    return _percentiles(_means_of_draws(values[known], group[known], drawn), confidence)


def weighted_interval(
    metric: Callable[[np.ndarray], np.ndarray], group: np.ndarray, *, draws: int, confidence: float, rng: np.random.Generator
) -> np.ndarray:
    """Percentile intervals of metrics that are no means, when groups are drawn with replacement: float64 (M, 2), lower and upper ends.

    metric: receives how often each sample counts in a draw, float64 (n,), and returns M values (M,). group: (n,), n > 0. The other
    arguments are those of `bootstrap_interval`.
    """
    _, number = np.unique(group, return_inverse=True)
    values = [metric(np.bincount(drawn, minlength=len(drawn))[number].astype(np.float64)) for drawn in _drawn(group, draws, rng)]
    return np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0).T


def difference_interval(
    predicted: np.ndarray,
    other: np.ndarray,
    truth: np.ndarray,
    group: np.ndarray,
    *,
    draws: int,
    confidence: float,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Percentile interval of RMSE(predicted) - RMSE(other) on the same draws. If it is below 0, `predicted` is better.

    Most of what makes one draw harder than another is common to both, so this interval is much narrower than the separate intervals would
    suggest. The arguments are those of `bootstrap_interval`.
    """
    drawn = _drawn(group, draws, rng)
    difference = _rmse_of_draws(predicted, truth, group, drawn) - _rmse_of_draws(other, truth, group, drawn)
    return _percentiles(difference, confidence)


def _drawn(group: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """The groups in each draw, as indices of the distinct groups: (draws, groups)."""
    groups = len(np.unique(group))
    return rng.integers(groups, size=(draws, groups))


def _rmse_of_draws(predicted: np.ndarray, truth: np.ndarray, group: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    return np.sqrt(_means_of_draws(squared_error(predicted, truth), group, drawn))


def _means_of_draws(values: np.ndarray, group: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The mean of the values (n, ...) that are not NaN in each draw, (draws,)."""
    axes = tuple(range(1, values.ndim))
    _, number = np.unique(group, return_inverse=True)
    total = np.bincount(number, np.nansum(values, axis=axes))
    known = np.bincount(number, np.sum(~np.isnan(values), axis=axes))
    with np.errstate(invalid="ignore"):
        return total[drawn].sum(axis=1) / known[drawn].sum(axis=1)


def _percentiles(values: np.ndarray, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
