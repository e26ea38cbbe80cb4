"""Bootstrap intervals of the RMSE over groups of samples that belong together."""

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
    error = squared_error(predicted, truth)
    _, number = np.unique(group, return_inverse=True)
    total = np.bincount(number, np.nansum(error, axis=(1, 2)))
    known = np.bincount(number, np.sum(~np.isnan(error), axis=(1, 2)))
    with np.errstate(invalid="ignore"):
        return np.sqrt(total[drawn].sum(axis=1) / known[drawn].sum(axis=1))


def _percentiles(values: np.ndarray, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
