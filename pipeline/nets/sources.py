"""Predictions of a net that answers for several label sources: each face's own, what a source never labels, and constant offsets."""

import numpy as np

from pipeline.keypoints.definition import KeypointSet


def widest_where_unlabelled(by_source: np.ndarray, keypointset: KeypointSet, indices: list[int]) -> np.ndarray:
    """Predictions (n, S, K, 2) in which each source answers for the keypoints that it labels, and the widest source for the others.

    No label has taught a net where a source of four keypoints would place the other eleven.
    """
    answered = by_source.copy()
    for s, names in enumerate(keypointset.sources.values()) if by_source.shape[1] > 1 else ():
        unlabelled = [place for place, k in enumerate(indices) if keypointset.names[k] not in names]
        answered[:, s, unlabelled] = by_source[:, 0, unlabelled]
    return answered


def source_offsets(predicted: np.ndarray, keypoints: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Where each source's labels lie beside predictions that treat left and right alike: float32 (S, K, 2), pixels.

    One source of Kaggle's labels lies up to 0.8 px to the right of where symmetric labels would. Mirroring, in training and in prediction,
    averages that away, so it is measured on unmirrored faces and added at the very end. predicted (n, S, K, 2); keypoints (n, K, 2), NaN
    where not labelled; source (n,), no matter if S = 1. The offset of a keypoint that a source never labels is 0.
    The mean without the outer tenths: gross errors in the labels must not move it.
    """
    from scipy.stats import trim_mean  # 60 MB that whoever only predicts does without

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
    """From predictions (n, S, K, 2) for every label source those of each face's own source (n,): (n, K, 2). S = 1: one for all."""
    if len(predicted) != len(source):
        raise ValueError(f"{len(predicted)} predictions and {len(source)} sources do not match")
    return predicted[np.arange(len(source)), source if predicted.shape[1] > 1 else 0]


def within_image(by_source: np.ndarray, keypointset: KeypointSet, indices: list[int], *, side: int) -> np.ndarray:
    """Predictions (n, S, k, 2) clipped to images of side x side pixels, after `widest_where_unlabelled`."""
    return np.clip(widest_where_unlabelled(by_source, keypointset, indices), 0, side)
