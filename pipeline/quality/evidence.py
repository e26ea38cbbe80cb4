"""What speaks for and against each label: figures that are near 0 for a usual label, and large or small for a wrong one.

Coordinates are fractions of the side of a sample, x then y, NaN where there is none.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np

SMALLEST = 1 / 500  # a fraction of the side: labels are not more exact
# Standard deviations of a shape's position (fraction of the side), and of its size and rotation (no unit); none of them is surprising.
SHIFT, TURN = 1.0, 3.0
FIGURES = (
    "distance from the prediction, relative to the expected error",
    "distance from the prediction, relative to the usual one",
    "distances of the sample's other labels",
    "distance apart from what the whole sample is shifted",
    "shift of the whole sample",
    "distance from where the other labels suggest",
    "the same of the sample's other labels",
    "the same of the predictions",
    "expected error of the sample",
    "nearer to the prediction of the opposite keypoint",
    "nearer to the prediction of another keypoint",
    "the sample fits its mirror image better",
    "distance from the label of an identical image",
    "the sample fits another object of the image better",
)


@dataclass(frozen=True)
class Judged:
    """n samples with K keypoints, as they are judged.

    labels: float (n, K, 2). predictions: float (n, K, 2), of nets that were not trained on the sample. expected: float (n, K), the expected
    error of each prediction, a fraction of the side; NaN where it is not known. source: int (n,), annotation sources. twin: int (n,), equal
    for samples that show the same object in the same image. image: int (n,), equal for samples of one image. place: float (n, 3), x, y and
    side of each sample in its image. mirror: for each keypoint the one that takes its place in a mirrored image; None if none do.
    """

    labels: np.ndarray
    predictions: np.ndarray
    expected: np.ndarray
    source: np.ndarray
    twin: np.ndarray
    image: np.ndarray
    place: np.ndarray
    mirror: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def known(self) -> np.ndarray:
        """Which keypoints are labelled, bool (n, K)."""
        return ~np.isnan(self.labels).any(axis=2)

    def of(self, rows: np.ndarray) -> "Judged":
        """Some of the samples."""
        parts = {name: value[rows] for name, value in vars(self).items() if name != "mirror"}
        return replace(self, **parts)


def relabelled(judged: Judged, labels: np.ndarray) -> Judged:
    """The same samples with other labels, float (n, K, 2)."""
    return replace(judged, labels=labels)


@dataclass(frozen=True)
class Usual:
    """What is usual in a set, from the medians over all its labels, so that wrong ones hardly count.

    offset: float (S, K, 2), by annotation source, from predictions to labels. distance: float (S, K), of labels from predictions, without
    the offset. expected: float (S, K), expected errors. mean: float (2 K,), and covariance, float (2 K, 2 K), of the predicted shapes.
    """

    offset: np.ndarray
    distance: np.ndarray
    expected: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, judged: Judged) -> "Usual":
        """What is usual among these samples."""
        sources, count = int(judged.source.max(initial=0)) + 1, judged.labels.shape[1]
        moved = judged.labels - judged.predictions
        offset, distance, expected = np.zeros((sources, count, 2)), np.zeros((sources, count)), np.ones((sources, count))
        overall = _median(np.linalg.norm(moved, axis=2).ravel())
        for source in range(sources):
            rows = judged.source == source
            own = moved[rows]
            few = (~np.isnan(own[..., 0])).sum(axis=0) < FEWEST
            offset[source] = np.where(few[:, None], 0, _median(own))
            distance[source] = np.where(few, overall, _median(np.linalg.norm(own - offset[source], axis=2)))
            expected[source] = _median(judged.expected[rows])
        distance = np.nan_to_num(np.maximum(distance, SMALLEST), nan=SMALLEST)
        predicted = ~np.isnan(judged.predictions).any(axis=(1, 2))
        mean, covariance = _shapes(judged.predictions[predicted], distance.max(axis=0))
        return cls(offset, distance, np.where(expected > 0, expected, 1), mean, covariance)


FEWEST = 10  # labels of a keypoint from which its usual distance is known


def _median(values: np.ndarray) -> np.ndarray:
    """The median over the first axis, NaN without values."""
    if not len(values):
        return np.full(values.shape[1:], np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a keypoint without values
        return np.asarray(np.nanmedian(values, axis=0))


def _shapes(predictions: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (2 K,) and covariance (2 K, 2 K) of labelled shapes at any place, of any size and rotation, from predictions (n, K, 2).

    The nets predict all keypoints, and what they predict is hardly influenced by single wrong labels, which makes the estimate simple.
    distance: float (K,), that of labels from predictions, which adds to the variance.
    """
    flat = predictions.reshape(len(predictions), 2 * len(distance))
    mean = np.median(flat, axis=0) if len(flat) else np.full(2 * len(distance), 0.5)
    centred = np.clip(flat - mean, *np.percentile(flat - mean, [0.5, 99.5], axis=0)) if len(flat) > 1 else np.zeros((1, len(mean)))
    x, y = (mean.reshape(-1, 2) - mean.reshape(-1, 2).mean(axis=0)).T
    one, zero = np.ones_like(x), np.zeros_like(x)
    directions = np.array([[one, zero], [zero, one], [x, y], [-y, x]]) * np.array([SHIFT, SHIFT, TURN, TURN])[:, None, None]
    anywhere = directions.swapaxes(1, 2).reshape(4, -1)
    noise = np.diag(np.repeat(np.square(distance), 2))
    return mean, centred.T @ centred / len(centred) + noise + anywhere.T @ anywhere


def figures(judged: Judged, usual: Usual) -> np.ndarray:
    """The FIGURES of each label, float64 (n, K, F); those of keypoints without label or prediction have no meaning."""
    source, known = judged.source, judged.known & ~np.isnan(judged.predictions).any(axis=2)
    aim = judged.predictions + usual.offset[source]
    usually = usual.distance[source]
    ratio = judged.expected / usual.expected[source]
    ratio = np.where(np.isfinite(ratio), np.clip(ratio, 0.2, 20), 1)
    scale = usually * ratio
    moved = np.where(known[..., None], judged.labels - aim, np.nan)
    far = np.linalg.norm(moved, axis=2)
    shift = _median(moved.swapaxes(0, 1))
    count = known.sum(axis=1, keepdims=True)
    own_scale = _rms(np.where(known, scale, np.nan))[:, None]
    surprise = _surprise(judged.labels, usual)
    of_predictions = _surprise(judged.predictions, usual)
    found = [
        _log(far / scale),
        _log(far / usually),
        _log(_others(far / scale)),
        _log(np.linalg.norm(moved - shift[:, None], axis=2) / scale),
        _log(np.linalg.norm(shift, axis=1)[:, None] * np.sqrt(np.minimum(count, 9)) / own_scale) * (count > 1) + 0 * far,
        _log(surprise),
        _log(_others(surprise)),
        np.broadcast_to(_log(_rms(of_predictions))[:, None], far.shape),
        np.broadcast_to(np.log(_rms(ratio))[:, None], far.shape),
        _opposite(judged, aim, far, scale),
        _other_keypoint(judged, aim, far, scale),
        np.broadcast_to(_mirror_image(judged, aim, far, scale)[:, None], far.shape),
        _log(_twins(judged) / usually) + 0 * far,
        np.broadcast_to(_other_object(judged, aim, far, scale)[:, None], far.shape),
    ]
    return np.nan_to_num(np.stack(found, axis=2))


def _log(values: np.ndarray) -> np.ndarray:
    """The logarithm of relative distances, 0 for small ones and for NaN."""
    return np.log1p(np.nan_to_num(values))


def _rms(values: np.ndarray) -> np.ndarray:
    """Root mean square over the keypoints (n,), NaN left out."""
    there = np.isfinite(values)
    return np.sqrt(np.where(there, np.square(values), 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1))


def _others(values: np.ndarray) -> np.ndarray:
    """The root mean square of the other keypoints of each sample (n, K), as if one of them had the value 1."""
    squares = np.where(np.isfinite(values), np.square(values), 0)
    count = np.isfinite(values).sum(axis=1, keepdims=True) - np.isfinite(values)
    return np.sqrt((squares.sum(axis=1, keepdims=True) - squares + 1) / (count + 1))


def _gain(now: np.ndarray, then: np.ndarray) -> np.ndarray:
    """By how much a sample would fit better than now, as the logarithm of a ratio, at least 0; distances relative to the usual ones."""
    return np.maximum(np.nan_to_num(np.log((now + 1) / (then + 1))), 0)


def _opposite(judged: Judged, aim: np.ndarray, far: np.ndarray, scale: np.ndarray) -> np.ndarray:
    if judged.mirror is None:
        return np.zeros_like(far)
    order = list(judged.mirror)
    there = np.linalg.norm(judged.labels - aim[:, order], axis=2)
    # Of a sample with exchanged sides, several labels fit the opposite keypoints.
    own = _gain(far / scale, there / scale[:, order])
    pairs = np.asarray(order) != np.arange(len(order))
    together = _gain(_rms(np.where(pairs, far / scale, np.nan)), _rms(np.where(pairs, there / scale[:, order], np.nan)))
    return np.where(pairs, own + together[:, None], together[:, None])


def _other_keypoint(judged: Judged, aim: np.ndarray, far: np.ndarray, scale: np.ndarray) -> np.ndarray:
    nearest = np.full(far.shape, np.inf)
    for k in range(far.shape[1]):
        apart = np.linalg.norm(judged.labels - aim[:, k : k + 1], axis=2) / scale[:, k : k + 1]
        apart[:, k] = np.inf
        nearest = np.fmin(nearest, apart)
    return _gain(far / scale, nearest)


def _mirror_image(judged: Judged, aim: np.ndarray, far: np.ndarray, scale: np.ndarray) -> np.ndarray:
    flipped = np.stack([1 - judged.labels[..., 0], judged.labels[..., 1]], axis=2)
    order = list(range(far.shape[1])) if judged.mirror is None else list(judged.mirror)
    there = np.linalg.norm(flipped[:, order] - aim, axis=2)
    return _gain(_rms(far / scale), _rms(there / scale))


def _in_image(points: np.ndarray, place: np.ndarray) -> np.ndarray:
    return points * place[..., None, 2:] + place[..., None, :2]


def members(numbers: np.ndarray) -> list[np.ndarray]:
    """The indices of each group with at least two members, given the number of each member's group (n,)."""
    order = np.argsort(numbers, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    return [part for part in parts if len(part) > 1]


def _twins(judged: Judged) -> np.ndarray:
    """The largest distance of each label from the same label of another sample of the same object (n, K); 0 without one."""
    apart = np.zeros(judged.labels.shape[:2])
    for rows in members(judged.twin):
        points = _in_image(judged.labels[rows], judged.place[rows])
        distance = np.linalg.norm(points[:, None] - points[None], axis=3)
        apart[rows] = np.nan_to_num(distance).max(axis=1) / judged.place[rows, 2:]
    return apart


def _other_object(judged: Judged, aim: np.ndarray, far: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """By how much the labels fit another object of their image better (n,)."""
    gain, now = np.zeros(len(judged)), _rms(far / scale)
    for rows in members(judged.image):
        for row in rows:
            others = rows[judged.twin[rows] != judged.twin[row]]
            if len(others):
                aims = (_in_image(aim[others], judged.place[others]) - judged.place[row, :2]) / judged.place[row, 2]
                there = _rms(np.linalg.norm(judged.labels[row] - aims, axis=2) / scale[row])
                gain[row] = _gain(now[row], there.min())
    return gain


def _surprise(points: np.ndarray, usual: Usual) -> np.ndarray:
    """How far each point is from where the others of its sample suggest, in standard deviations: float (n, K), NaN where not labelled.

    With the precision matrix Q of the labelled coordinates and u = Q (x - mean), the residual of block k is Q_kk⁻¹ u_k, which has the
    covariance Q_kk⁻¹ (conditional normal distribution; Bishop, Pattern Recognition, 2.73 and 2.75).
    """
    found, missing = np.full(points.shape[:2], np.nan), np.isnan(points).any(axis=2)
    patterns, number = np.unique(missing, axis=0, return_inverse=True)
    for k, pattern in enumerate(patterns):
        rows, seen = np.flatnonzero(number == k), np.flatnonzero(~pattern)
        if len(seen):
            axes = (2 * seen[:, None] + [0, 1]).ravel()
            precision, own = _precision(usual, axes)
            u = ((points[rows][:, seen].reshape(len(rows), -1) - usual.mean[axes]) @ precision).reshape(len(rows), -1, 2)
            found[np.ix_(rows, seen)] = np.sqrt(np.maximum(np.einsum("nka,kab,nkb->nk", u, own, u), 0))
    return found


def _precision(usual: Usual, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The precision of these coordinates, and the inverses of its blocks of a keypoint each."""
    precision = np.linalg.inv(usual.covariance[np.ix_(axes, axes)])
    blocks = precision.reshape(len(axes) // 2, 2, len(axes) // 2, 2)
    numbers = np.arange(len(axes) // 2)
    return precision, np.linalg.inv(blocks[numbers, :, numbers])
