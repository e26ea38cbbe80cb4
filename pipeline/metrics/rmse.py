"""Root mean squared errors of predictions, in pixels, over the labelled values only."""

import numpy as np


def rmse(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Root mean squared error over all x and y values whose truth is not NaN. The metric of Kaggle's Facial Keypoints Detection.

    predicted, truth: (n, K, 2), pixels. The result is in pixels, and NaN if nothing is labelled. Raises ValueError if the shapes differ.
    """
    return float(np.sqrt(_mean(squared_error(predicted, truth))))


def rmse_by_keypoint(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """RMSE (K,) of each keypoint, pixels, NaN for a keypoint without labels. Arguments as for `rmse`."""
    error = squared_error(predicted, truth)
    return np.array([np.sqrt(_mean(error[:, k])) for k in range(error.shape[1])])


def rmse_by_source(predicted: np.ndarray, truth: np.ndarray, source: np.ndarray, sources: int) -> np.ndarray:
    """RMSE (S,) of the samples of each annotation source, pixels, NaN for a source without labels.

    source: index of each sample's annotation source, (n,).
    sources: the number of annotation sources, S.
    """
    return np.array([rmse(predicted[source == s], truth[source == s]) for s in range(sources)])


def squared_error(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Squared difference of each value, float64 in the shape of the arguments, NaN where the truth is NaN.

    Raises ValueError if the shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predictions {predicted.shape} and truth {truth.shape} differ in shape")
    return np.square(predicted.astype(np.float64) - truth)


def _mean(error: np.ndarray) -> float:
    known = error[~np.isnan(error)]
    return float(known.mean()) if known.size else float("nan")
