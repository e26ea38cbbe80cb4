"""Labels that cannot be right: far from where the face's other keypoints put them, or contradicted by an exact copy of the image.

The prediction knows the face's shape only, not its position, size, rotation and skew: with positions in the model, most of what the rule
found in the real data were small faces away from the middle, correctly labelled and the ones a net most needs. The price: labels that
are all displaced together are not found, unless a copy of the image contradicts them.

What a face is like is learned from all labelled faces, whether they are trained on or held out, so that a label is an outlier or not
whatever the split. Learned from the training part alone the rule would judge none to three of Kaggle's training labels differently (22
instead of 23 in the default split).
"""

import numpy as np
from numpy.linalg import inv

FREEDOM = 4.0  # of the t distribution: few, so that faces with gross errors weigh little
ROUNDS = 30  # of expectation-maximisation
JITTER = 0.1  # px², variance of a label that no other label can explain: digitising, and no singular matrix when faces are few
SHIFT, TURN = 100.0, 3.0  # standard deviations, px and 1, of a face's position, and of its size and rotation: nothing is a surprise
SKEW = 0.1  # the same of what a turned head does to the shape, beyond what the labels have: 0.3 hides half of the eyes that are 30 px off


def outliers(keypoints: np.ndarray, source: np.ndarray, *, deviations: float, pixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels far from their prediction by the face's other keypoints, within each label source.

    keypoints float32 (n, K, 2) pixels, NaN where not labelled; source int8 (n,)
    -> outlier bool (n, K), distance float32 (n, K): pixels between label and prediction, NaN where not labelled.

    A label is an outlier when it is more than `pixels` away from the prediction, and more than `deviations` of the prediction's standard
    deviations (Mahalanobis). The most surprising label of a face is taken out first and the others are predicted anew, so that a wrong
    label does not condemn its neighbours. The distance is to the prediction by the labels that stay.
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
    return outlier, distance.round(2)  # the digits after that depend on the number of threads


def conflicts(keypoints: np.ndarray, copies: np.ndarray, *, pixels: float) -> np.ndarray:
    """Labels that lie more than `pixels` from another label of the same keypoint on an exactly equal image.

    keypoints float32 (n, K, 2) pixels, NaN where not labelled; copies int32 (n,): equal numbers mean equal images -> bool (n, K).
    Nothing says which of the two is wrong, so both are in conflict.
    """
    conflict = np.zeros(keypoints.shape[:2], bool)
    order = np.argsort(copies, kind="stable")
    sets = np.split(order, np.flatnonzero(np.diff(copies[order])) + 1)
    for rows in (rows for rows in sets if len(rows) > 1):
        for row in rows:
            apart = np.linalg.norm(keypoints[rows] - keypoints[row], axis=2)
            conflict[row] = (apart > pixels).any(axis=0)
    return conflict


def _judge(points, mean, covariance, deviations, pixels):
    """points (m, P, 2) of one source -> outlier bool (m, P), distance (m, P)."""
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


def _left_out(points, mean, covariance):
    """Each labelled point against its prediction by the face's other points: distance (m, P) px, Mahalanobis distance (m, P); NaN else.

    With the precision matrix Q of the labelled coordinates and u = Q (x - mean), leaving out the block k moves it by Q_kk⁻¹ u_k,
    which has the covariance Q_kk⁻¹ (the conditional normal distribution, e.g. Bishop, Pattern Recognition, 2.73 and 2.75).
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


def _shape(x):
    """Robust mean (d,) and covariance (d, d) of coordinates (m, d) with NaN where missing: a multivariate t by expectation-maximisation.

    Little, Robust estimation of the mean and covariance matrix from data with missing values, Applied Statistics 37 (1988).
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


def _anywhere(mean):
    """Covariance (d, d) of shifting, turning, resizing and skewing the mean shape: the directions are linear in its coordinates."""
    x, y = (mean.reshape(-1, 2) - mean.reshape(-1, 2).mean(axis=0)).T
    one, zero = np.ones_like(x), np.zeros_like(x)
    directions = np.array([[one, zero], [zero, one], [x, y], [-y, x], [x, -y], [y, x]])
    directions *= np.array([SHIFT, SHIFT, TURN, TURN, SKEW, SKEW])[:, None, None]
    directions = directions.swapaxes(1, 2).reshape(6, -1)
    return directions.T @ directions


def _expected(x, mean, covariance, patterns):
    """Coordinates with the missing ones predicted (m, d), weight of each face (m,), covariance that the missing ones add up to (d, d)."""
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


def _by_pattern(missing):
    """Rows (m,) that miss the same columns, the columns that they have and those that they miss: missing bool (m, c) -> index arrays."""
    patterns, number = np.unique(missing, axis=0, return_inverse=True)
    return [(np.flatnonzero(number == k), np.flatnonzero(~pattern), np.flatnonzero(pattern)) for k, pattern in enumerate(patterns)]


def _flat(points):
    return points.reshape(len(points), -1)
