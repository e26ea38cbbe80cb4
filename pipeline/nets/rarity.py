"""Rarely labelled keypoints, which the frequent ones must not drown in the training of one net for all."""

import numpy as np

MOST_WEIGHT = 3.0  # of a rare keypoint, relative to the one with the most labels
NOTEWORTHY = 1.25  # a keypoint that weighs so many times as much as the most frequent one is mentioned


def keypoint_weights(labels: np.ndarray) -> tuple[float, ...]:
    """The weight of each keypoint's labels in the loss, by the inverse of how many there are, with a mean of 1 over all labels.

    labels: (n, K, 2), NaN where not labelled. Keypoints with fewer than a third of the labels of the most frequent one all have three times
    its weight: their few labels are in few batches, so a larger weight would make the steps more unequal rather than the keypoints more
    equal. The formula is the inverse class frequency of King and Zeng 2001, https://doi.org/10.1093/oxfordjournals.pan.a004868.
    """
    counts = (~np.isnan(labels).any(axis=2)).sum(axis=0)
    weights = np.minimum(counts.max(initial=1) / np.maximum(counts, 1), MOST_WEIGHT)
    return tuple((weights * counts.sum() / max(1, (weights * counts).sum())).tolist()) if counts.any() else (1.0,) * len(counts)


def sentence(weights: tuple[float, ...], names: tuple[str, ...]) -> str:
    """Which keypoints weigh more than others and why; empty if they weigh about the same."""
    least = min(weights)
    heavy = [name for name, weight in zip(names, weights, strict=True) if weight > NOTEWORTHY * least]
    if not heavy:
        return ""
    which = heavy[0] if len(heavy) == 1 else f"{len(heavy)} keypoints"
    factor = f"{max(weights) / least:.1f} times as much as those of the most frequent keypoint"
    return f"labels of {which} weigh up to {factor}, because they are rare"
