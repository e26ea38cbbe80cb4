"""How good predictions are: root mean squared error in pixels, over the labelled values only."""

import numpy as np


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


def squared_error(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    if predicted.shape != truth.shape:
        raise ValueError(f"predictions {predicted.shape} and truth {truth.shape} differ in shape")
    return np.square(predicted.astype(np.float64) - truth)


def _mean(error: np.ndarray) -> float:
    known = error[~np.isnan(error)]
    return known.mean() if known.size else np.nan
