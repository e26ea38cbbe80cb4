"""How good predictions are: root mean squared error in pixels, over the labelled values only."""

import numpy as np

# Of every interval that is shown.
BOOTSTRAP = {"draws": 2000, "confidence": 0.95}


def rmse(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Root mean squared error over all x and y values whose truth is not NaN; both (n, K, 2) pixels. NaN where nothing is labelled.

    The measure of Kaggle's Facial Keypoints Detection.
    """
    return float(np.sqrt(_mean(squared_error(predicted, truth))))


def rmse_by_keypoint(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """RMSE (K,) of each keypoint, pixels; NaN for one that is nowhere labelled."""
    error = squared_error(predicted, truth)
    return np.array([np.sqrt(_mean(error[:, k])) for k in range(error.shape[1])])


def rmse_by_source(predicted: np.ndarray, truth: np.ndarray, source: np.ndarray, sources: int) -> np.ndarray:
    """RMSE (S,) of the faces of each label source, pixels; NaN for a source without labels."""
    return np.array([rmse(predicted[source == s], truth[source == s]) for s in range(sources)])


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


def squared_error(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    if predicted.shape != truth.shape:
        raise ValueError(f"predictions {predicted.shape} and truth {truth.shape} differ in shape")
    return np.square(predicted.astype(np.float64) - truth)


def of_source(predicted: np.ndarray, source: np.ndarray) -> np.ndarray:
    """From predictions (n, S, K, 2) for every label source those of each face's own source (n,): (n, K, 2). S = 1: one for all."""
    if len(predicted) != len(source):
        raise ValueError(f"{len(predicted)} predictions and {len(source)} sources do not match")
    return predicted[np.arange(len(source)), source if predicted.shape[1] > 1 else 0]


def _mean(error: np.ndarray) -> float:
    known = error[~np.isnan(error)]
    return known.mean() if known.size else np.nan
