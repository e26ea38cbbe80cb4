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
    """Percentile interval of the RMSE when whole duplicate groups are drawn with replacement; group: (n,) numbers. NaN without labels.

    Near twins are no independent evidence, so they are drawn together (Efron and Tibshirani 1993, "An introduction to the bootstrap").
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
    """Percentile interval of RMSE(predicted) - RMSE(other), both on the same draws: below 0 `predicted` is better. See bootstrap_interval.

    Most of what makes one draw harder than another is common to both, so it is far narrower than the two intervals apart.
    """
    drawn = _drawn(group, draws, rng)
    difference = _rmse_of_draws(predicted, truth, group, drawn) - _rmse_of_draws(other, truth, group, drawn)
    return _percentiles(difference, confidence)


def _drawn(group: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Which groups each draw consists of, as positions among the different ones: (draws, groups)."""
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
