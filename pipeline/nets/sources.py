"""Predictions for several annotation sources: the own source of each face, keypoints that a source never labels, constant offsets."""

import numpy as np

from pipeline.keypoints.definition import KeypointSet


def widest_where_unlabelled(by_source: np.ndarray, keypointset: KeypointSet, indices: list[int]) -> np.ndarray:
    """Predictions (n, S, k, ...) in which keypoints that a source does not label are replaced by those of the widest source, the first.

    No label has taught a net where a source with four keypoints would place the other eleven. indices: the k keypoints of the net.
    """
    predicted = by_source.copy()
    for s, names in enumerate(keypointset.sources.values()) if by_source.shape[1] > 1 else ():
        unlabelled = [place for place, k in enumerate(indices) if keypointset.names[k] not in names]
        predicted[:, s, unlabelled] = by_source[:, 0, unlabelled]
    return predicted


def source_offsets(predicted: np.ndarray, keypoints: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The mean offset of each source's labels from predictions that treat left and right alike: float32 (S, K, 2), pixels.

    predicted: (n, S, K, 2). keypoints: the labels (n, K, 2), NaN where not labelled. source: (n,), ignored if S = 1.

    In one source of Kaggle's labels the keypoints are up to 0.8 px further to the right than symmetric labels would be. Mirroring during
    training and prediction averages such an offset away, so it is measured on unmirrored faces and added to the final predictions.
    It is a mean without the lowest and highest tenth, so that gross errors in the labels have no influence. The offset of a keypoint that
    a source never labels is 0.
    """
    from scipy.stats import trim_mean  # takes 60 MB of memory, which prediction does not need

    offsets = np.zeros(predicted.shape[1:], np.float32)
    for s in range(predicted.shape[1]):
        own = source == s if predicted.shape[1] > 1 else slice(None)
        difference = keypoints[own] - predicted[own, s]
        for k in range(difference.shape[1]):
            known = difference[~np.isnan(difference[:, k]).any(axis=1), k]
            if len(known):
                offsets[s, k] = trim_mean(known, 0.1, axis=0)
    return offsets


def of_source(predicted: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The predictions (n, K, ...) for the own source of each face, from predictions (n, S, K, ...) for every source.

    source: (n,), ignored if S = 1. Raises ValueError if the lengths differ.
    """
    if len(predicted) != len(source):
        raise ValueError(f"{len(predicted)} predictions and {len(source)} sources do not match")
    return predicted[np.arange(len(source)), source if predicted.shape[1] > 1 else 0]


def within_image(by_source: np.ndarray, keypointset: KeypointSet, indices: list[int], *, side: int) -> np.ndarray:
    """The predictions (n, S, k, 2) after `widest_where_unlabelled`, clipped to the image of side x side pixels."""
    return np.clip(widest_where_unlabelled(by_source, keypointset, indices), 0, side)
