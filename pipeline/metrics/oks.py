"""Object keypoint similarity (OKS) and its average precision (OKS-AP), as COCO defines them: https://cocodataset.org/#keypoints-eval.

There is one prediction for each labelled instance, because predictions start from the labelled boxes. An instance is therefore both an
object to find and a detection with a score; no detection can be missing, and none can be beside all objects.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.metrics.bootstrap import BOOTSTRAP, weighted_interval

# The standard deviation of COCO's annotators for each keypoint, relative to the size of the object. The formula uses k = 2 sigma.
COCO_SIGMAS = {
    "nose": 0.026,
    **dict.fromkeys(("left_eye", "right_eye"), 0.025),
    **dict.fromkeys(("left_ear", "right_ear"), 0.035),
    **dict.fromkeys(("left_shoulder", "right_shoulder"), 0.079),
    **dict.fromkeys(("left_elbow", "right_elbow"), 0.072),
    **dict.fromkeys(("left_wrist", "right_wrist"), 0.062),
    **dict.fromkeys(("left_hip", "right_hip"), 0.107),
    **dict.fromkeys(("left_knee", "right_knee"), 0.087),
    **dict.fromkeys(("left_ankle", "right_ankle"), 0.089),
}
SIGMA = 0.05  # of the keypoints of other sets, for which no such measurement exists
# The area of an object as a share of that of its box, where only the box is known. COCO's people have 0.53 (2017, mean over the excerpt
# for which this was written); Ultralytics YOLO uses the same number.
AREA_OF_BOX = 0.53
THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of the OKS from which a detection is correct
RECALLS = np.linspace(0, 1, 101)  # at which the precision is averaged


def sigmas(names: Sequence[str]) -> np.ndarray:
    """The sigma of each keypoint, float64 (K,): COCO's if the names are COCO's 17, in any order, and otherwise SIGMA."""
    plain = [name.lower().replace(" ", "_").replace("-", "_") for name in names]
    return np.array([COCO_SIGMAS[name] for name in plain] if set(plain) == set(COCO_SIGMAS) else [SIGMA] * len(plain))


def oks(predicted: np.ndarray, truth: np.ndarray, area: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """OKS of each instance, float64 (n,): the mean over its labelled keypoints of exp(-d**2 / (2 area (2 sigma)**2)), 0 to 1.

    predicted, truth: (n, K, 2), pixels; NaN in `truth` where not labelled. An instance without labels has NaN. area: (n,), square pixels.
    sigma: (K,), see `sigmas`. Raises ValueError if the shapes do not match.
    """
    if predicted.shape != truth.shape or area.shape != truth.shape[:1] or sigma.shape != truth.shape[1:2]:
        raise ValueError(f"predictions {predicted.shape}, truth {truth.shape}, areas {area.shape} and sigmas {sigma.shape} do not match")
    return _similarity(predicted, truth, area, sigma)


def matches(
    predicted: np.ndarray, truth: np.ndarray, area: np.ndarray, sigma: np.ndarray, image: np.ndarray, score: np.ndarray
) -> np.ndarray:
    """Which detections find an object at each of the THRESHOLDS, bool (10, n).

    In each image the detections choose in descending order of their score: each takes the object with the highest OKS that no other has
    taken, if the OKS reaches the threshold. Such an object may be another instance than the one that was to be predicted.

    predicted, truth, area, sigma: see `oks`; each instance must have a label. image, score: number of the image and score of each
    instance, (n,).
    """
    found = oks(predicted, truth, area, sigma) >= THRESHOLDS[:, None]
    _, number, count = np.unique(image, return_inverse=True, return_counts=True)
    for several in np.flatnonzero(count > 1).tolist():
        rows = np.flatnonzero(number == several)
        rows = rows[np.argsort(-score[rows], kind="stable")]
        pairs = np.stack([_similarity(predicted[[row]], truth[rows], area[rows], sigma) for row in rows.tolist()])
        found[:, rows] = [_chosen(pairs, threshold) for threshold in THRESHOLDS]
    return found


def average_precision(found: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """The average precision at each threshold, float64 (T,), 0 to 1; NaN without instances.

    It is the mean over 101 values of the recall, 0 to 1, of the highest precision at this recall or a higher one. Detections are counted
    in descending order of their score. Those of equal score are counted together, so that their order has no effect.

    found: bool (T, n), see `matches`. score: (n,). weight: how often each instance counts, (n,); None: once.
    """
    order = np.argsort(-score, kind="stable")
    weight = np.ones(len(score)) if weight is None else weight[order]
    if not weight.sum():
        return np.full(len(found), np.nan)
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    correct, counted = np.cumsum(found[:, order] * weight, axis=1)[:, ends], np.cumsum(weight)[ends]
    precision = correct / np.maximum(counted, np.finfo(float).tiny)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.append(best, np.zeros((len(found), 1)), axis=1)  # the precision at a recall that is not reached
    at = [np.searchsorted(own, RECALLS) for own in correct / weight.sum()]
    return np.take_along_axis(best, np.array(at), axis=1).mean(axis=1)


def summarised(precision: np.ndarray) -> np.ndarray:
    """AP (the mean over the THRESHOLDS), AP50 and AP75 of the average precisions (10,): float64 (3,)."""
    return np.array([precision.mean(), precision[0], precision[5]])


def interval(found: np.ndarray, score: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The 95 % intervals of AP, AP50 and AP75 from a bootstrap over groups: float64 (3, 2), see `weighted_interval`;
    NaN without instances.

    found, score: see `average_precision`. group: number of each instance's duplicate group, (n,). Instances of one image must be in one.
    """

    if not len(group):
        return np.full((3, 2), np.nan)

    def of(weight: np.ndarray) -> np.ndarray:
        return summarised(average_precision(found, score, weight))

    return weighted_interval(of, group, **BOOTSTRAP, rng=np.random.default_rng(0))


def _similarity(predicted: np.ndarray, truth: np.ndarray, area: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """OKS (n,) with objects truth (n, K, 2) of predictions (n, K, 2), or of one prediction (1, K, 2)."""
    squared = np.square(predicted.astype(np.float64) - truth).sum(axis=2)
    similar = np.exp(-squared / (8 * area[:, None] * sigma**2 + np.finfo(float).tiny))
    known = (~np.isnan(similar)).sum(axis=1)
    return np.where(known, np.nansum(similar, axis=1) / np.maximum(known, 1), np.nan)


def _chosen(pairs: np.ndarray, threshold: float) -> np.ndarray:
    """Which detections take an object, bool (m,). pairs: OKS of each detection, in the order of choice, with each object, (m, m)."""
    free, found = np.ones(len(pairs), bool), np.zeros(len(pairs), bool)
    for own, similar in enumerate(pairs):
        reached = np.where(free, similar, -1)
        best = int(reached.argmax())
        if reached[best] >= threshold:
            free[best], found[own] = False, True
    return found
