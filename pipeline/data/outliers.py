"""Labels that cannot be right: far from their prediction by the face's other labels, or contradicted by an identical image.

The prediction knows only the face's shape, not its position, size, rotation and skew. With positions in the model, most of what the rule
found in the real data were small faces away from the middle, correctly labelled and the ones a net needs most. The price is that labels
that are all displaced together are not found, unless an identical image contradicts them.

The shape of a face is learned from all labelled faces, whether they are trained on or held out, so that the verdict on a label does not
depend on the split. If it were learned from the training part only, the verdict would differ for at most three of Kaggle's training labels
(22 instead of 23 outliers in the default split).
"""

import numpy as np
from numpy.linalg import inv

# Indices of rows that miss the same columns, of the columns that they have, and of those that they miss.
Pattern = tuple[np.ndarray, np.ndarray, np.ndarray]

FREEDOM = 4.0  # degrees of freedom of the t distribution; so few that faces with gross errors have little weight
ROUNDS = 30  # iterations of expectation-maximisation
JITTER = 0.1  # px², variance of a label that no other label can explain, as by rounding; also avoids singular matrices of few faces
# Standard deviations of a face's position (px), and of its size and rotation (no unit); so large that no value is surprising.
SHIFT, TURN = 100.0, 3.0
# The same for what a turned head does to the shape, beyond the variation of the labels; 0.3 would hide half of the eyes that are 30 px off.
SKEW = 0.1


def outliers(keypoints: np.ndarray, source: np.ndarray, *, deviations: float, pixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Finds labels that are far from their prediction by the face's other labels, within each annotation source.

    A label is an outlier if it is more than `pixels` away from the prediction, and also more than `deviations` standard deviations of the
    prediction (Mahalanobis distance). The most surprising label of a face is removed first and the others are predicted again, so that a
    wrong label does not condemn its neighbours.

    keypoints: float32 (n, K, 2), pixels, NaN where not labelled.
    source: annotation source of each face, int8 (n,).

    Returns outlier, bool (n, K), and distance, float32 (n, K): pixels from the label to its prediction by the labels that are no
    outliers, NaN where not labelled.
    """
    outlier = np.zeros(keypoints.shape[:2], bool)
    distance = np.full(keypoints.shape[:2], np.nan, np.float32)
    labelled = ~np.isnan(keypoints).any(axis=2)
    for number in np.unique(source):
        rows = np.flatnonzero(source == number)
        cells = np.ix_(rows, np.flatnonzero(labelled[rows].any(axis=0)))
        points = np.where(labelled[cells][..., None], keypoints[cells], np.nan).astype(np.float64)
        if points.size:
            mean, covariance = _shape(_flat(points))
            outlier[cells], distance[cells] = _judge(points, mean, covariance + _anywhere(mean), deviations, pixels)
    return outlier, distance.round(2)  # later digits depend on the number of threads


def conflicts(keypoints: np.ndarray, copies: np.ndarray, *, pixels: float) -> np.ndarray:
    """Finds labels that are more than `pixels` away from another label of the same keypoint on an identical image: bool (n, K).

    Nothing tells which of the two is wrong, so both are in conflict.

    keypoints: float32 (n, K, 2), pixels, NaN where not labelled.
    copies: int32 (n,), equal for identical images, see `duplicates.copies`.
    """
    conflict = np.zeros(keypoints.shape[:2], bool)
    order = np.argsort(copies, kind="stable")
    sets = np.split(order, np.flatnonzero(np.diff(copies[order])) + 1)
    for rows in (rows for rows in sets if len(rows) > 1):
        for row in rows:
            apart = np.linalg.norm(keypoints[rows] - keypoints[row], axis=2)
            conflict[row] = (apart > pixels).any(axis=0)
    return conflict


def _judge(points: np.ndarray, mean: np.ndarray, covariance: np.ndarray, deviations: float, pixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Outlier bool (m, P) and distance (m, P) of the points (m, P, 2) of one annotation source."""
    kept = points.copy()
    open_rows = np.arange(len(points))
    while open_rows.size:
        distance, surprise = _left_out(kept[open_rows], mean, covariance)
        surprise[~(distance > pixels)] = 0
        worst = surprise.argmax(axis=1)
        beyond = surprise.max(axis=1) > deviations
        open_rows, worst = open_rows[beyond], worst[beyond]
        kept[open_rows, worst] = np.nan
    filled = _expected(_flat(kept), mean, covariance, _by_pattern(np.isnan(_flat(kept))))[0].reshape(points.shape)
    outlier = np.isnan(kept[..., 0]) & ~np.isnan(points[..., 0])
    return outlier, np.where(outlier, np.linalg.norm(points - filled, axis=2), _left_out(kept, mean, covariance)[0])


def _left_out(points: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compares labelled points with their prediction by the face's other points: distance (m, P), pixels, and Mahalanobis distance (m, P).

    Both are NaN where not labelled. With the precision matrix Q of the labelled coordinates and u = Q (x - mean), the residual of block k
    is Q_kk⁻¹ u_k, which has the covariance Q_kk⁻¹ (conditional normal distribution; Bishop, Pattern Recognition, 2.73 and 2.75).
    """
    distance, surprise = np.full(points.shape[:2], np.nan), np.full(points.shape[:2], np.nan)
    for rows, seen, _ in _by_pattern(np.isnan(points[..., 0])):
        axes = (2 * seen[:, None] + [0, 1]).ravel()
        precision = inv(covariance[np.ix_(axes, axes)])
        u = ((_flat(points)[np.ix_(rows, axes)] - mean[axes]) @ precision).reshape(len(rows), -1, 2)
        own = precision.reshape(len(seen), 2, len(seen), 2)[np.arange(len(seen)), :, np.arange(len(seen))]
        residual = np.einsum("kab,nkb->nka", inv(own), u)
        distance[np.ix_(rows, seen)] = np.linalg.norm(residual, axis=2)
        surprise[np.ix_(rows, seen)] = np.sqrt(np.maximum((residual * u).sum(axis=2), 0))
    return distance, surprise


def _shape(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Robust mean (d,) and covariance (d, d) of coordinates (m, d), NaN where missing: a multivariate t fitted by expectation-maximisation.

    Source: Little, Robust estimation of the mean and covariance matrix from data with missing values, Applied Statistics 37 (1988).
    """
    mean = np.nanmedian(x, axis=0)
    covariance = np.diag(np.nanmean((x - mean) ** 2, axis=0) + JITTER)
    patterns = _by_pattern(np.isnan(x))
    for _ in range(ROUNDS):
        filled, weight, unseen = _expected(x, mean, covariance, patterns)
        mean = weight @ filled / weight.sum()
        centred = filled - mean
        covariance = ((centred.T * weight) @ centred + unseen) / len(x) + JITTER * np.eye(len(mean))
    return mean, covariance


def _anywhere(mean: np.ndarray) -> np.ndarray:
    """Covariance (d, d) of shifts, rotations, changes of size and skews of the mean shape (d,), in directions linear in its coordinates."""
    x, y = (mean.reshape(-1, 2) - mean.reshape(-1, 2).mean(axis=0)).T
    one, zero = np.ones_like(x), np.zeros_like(x)
    directions = np.array([[one, zero], [zero, one], [x, y], [-y, x], [x, -y], [y, x]])
    directions *= np.array([SHIFT, SHIFT, TURN, TURN, SKEW, SKEW])[:, None, None]
    directions = directions.swapaxes(1, 2).reshape(6, -1)
    return directions.T @ directions


def _expected(
    x: np.ndarray, mean: np.ndarray, covariance: np.ndarray, patterns: list[Pattern]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates with the missing ones predicted (m, d), weights of the faces (m,), summed covariance of the missing ones (d, d)."""
    filled, weight, unseen = x.copy(), np.ones(len(x)), np.zeros_like(covariance)
    for rows, seen, lost in patterns:
        among = covariance[seen[:, None], seen]
        gain = np.linalg.solve(among, covariance[seen[:, None], lost])  # (seen, lost)
        centred = x[rows[:, None], seen] - mean[seen]
        filled[rows[:, None], lost] = mean[lost] + centred @ gain
        squared = np.einsum("ni,ni->n", centred, np.linalg.solve(among, centred.T).T)
        weight[rows] = (FREEDOM + len(seen)) / (FREEDOM + squared)
        unseen[lost[:, None], lost] += len(rows) * (covariance[lost[:, None], lost] - covariance[lost[:, None], seen] @ gain)
    return filled, weight, unseen


def _by_pattern(missing: np.ndarray) -> list[Pattern]:
    """Groups the rows of `missing`, bool (m, c), by which columns they miss."""
    patterns, number = np.unique(missing, axis=0, return_inverse=True)
    return [(np.flatnonzero(number == k), np.flatnonzero(~pattern), np.flatnonzero(pattern)) for k, pattern in enumerate(patterns)]


def _flat(points: np.ndarray) -> np.ndarray:
    return points.reshape(len(points), -1)
