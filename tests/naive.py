"""Oracles: the same results by loops, slow and easy to check."""

import numpy as np


def duplicate_groups(images, correlation):
    """Groups by first appearance: every pair of pooled images is correlated, every link is followed. Sides must be multiples of 48."""
    block = images.shape[1] // 48
    pooled = [
        [image[r : r + block, c : c + block].mean() for r in range(0, 48 * block, block) for c in range(0, 48 * block, block)]
        for image in images.astype(float)
    ]
    group = [None] * len(images)
    for first in range(len(images)):
        if group[first] is not None:
            continue
        group[first] = max((g for g in group if g is not None), default=-1) + 1
        waiting = [first]
        while waiting:
            one = waiting.pop()
            for other in range(len(images)):
                if group[other] is None and _near(images[one], images[other], pooled[one], pooled[other], correlation):
                    group[other] = group[first]
                    waiting.append(other)
    return group


def _near(image, other_image, pooled, other_pooled, correlation):
    if np.array_equal(image, other_image):
        return True
    if np.ptp(pooled) == 0 or np.ptp(other_pooled) == 0:
        return False
    return np.corrcoef(pooled, other_pooled)[0, 1] > correlation


def left_out_prediction(x, mean, covariance, own):
    """Mean and covariance of the coordinates `own` (indices) given all others of the normal distribution."""
    others = [i for i in range(len(x)) if i not in own]
    regression = covariance[np.ix_(own, others)] @ np.linalg.inv(covariance[np.ix_(others, others)])
    expected = mean[own] + regression @ (x[others] - mean[others])
    return expected, covariance[np.ix_(own, own)] - regression @ covariance[np.ix_(others, own)]
