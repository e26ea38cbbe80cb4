"""Oracles: the same results computed by loops, which are slow but easy to check."""

import numpy as np


def duplicate_groups(images, correlation):
    """Groups numbered by first appearance. Every pair of pooled images is correlated; sides must be multiples of 48."""
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
    """Mean and covariance of the coordinates `own` (indices) given all others, for a normal distribution."""
    others = [i for i in range(len(x)) if i not in own]
    regression = covariance[np.ix_(own, others)] @ np.linalg.inv(covariance[np.ix_(others, others)])
    expected = mean[own] + regression @ (x[others] - mean[others])
    return expected, covariance[np.ix_(own, own)] - regression @ covariance[np.ix_(others, own)]


def rmse(predicted, truth):
    """Root mean squared error over the values of `truth` (any shape) that are not NaN; NaN if there is none."""
    errors = [(p - t) ** 2 for p, t in zip(predicted.ravel().tolist(), truth.ravel().tolist(), strict=True) if t == t]
    return (sum(errors) / len(errors)) ** 0.5 if errors else float("nan")


def mean_distance(predicted, truth, length=None, limit=None):
    """Mean over the labelled keypoints of the distance, of its ratio to each sample's length, or of whether this is at most a limit."""
    found = []
    for row in range(len(truth)):
        for (x, y), (own_x, own_y) in zip(predicted[row].tolist(), truth[row].tolist(), strict=True):
            distance = ((x - own_x) ** 2 + (y - own_y) ** 2) ** 0.5 / (1 if length is None else float(length[row]))
            if distance == distance:
                found.append(distance if limit is None else float(distance <= limit))
    return sum(found) / len(found) if found else float("nan")


def masked_mean(values, known):
    """Mean of the values where known is 1, or 0 if there are none."""
    counted = [v for v, k in zip(values.ravel().tolist(), known.ravel().tolist(), strict=True) if k]
    return sum(counted) / len(counted) if counted else 0.0


def block_sizes(faces, capacity):
    """The ascending sizes of as few blocks as possible, none above the capacity, which differ by at most one face."""
    number = 1
    while number * capacity < faces:
        number += 1
    sizes = [0] * number
    for face in range(faces):
        sizes[face % number] += 1
    return sorted(sizes)


def order_of_faces(sizes, *, batch, epochs, seed):
    """For each epoch, the batches of face numbers in a training with blocks of these sizes."""
    epochs_seen = []
    for epoch in range(epochs):
        seen, first = [], 0
        for block, size in enumerate(sizes):
            order = np.random.default_rng([seed, epoch, block]).permutation(size)
            for start in range(0, size - batch + 1, batch):
                seen.append([first + int(i) for i in order[start : start + batch]])
            first += size
        epochs_seen.append(seen)
    return epochs_seen


def linear_training(versions, keypoints, validation, *, order, rate, side):
    """Gradient descent on a linear net that starts from zero: a list of (kernel, bias, validation RMSE) after each epoch.

    versions: (V, n, side, side), grey levels. keypoints: (V, n, K, 2), pixels, NaN where not labelled. validation: images and keypoints.
    order: see order_of_faces. The net maps pixels / 255 to unit coordinates. The loss is that of sgd: the masked mean of squared unit
    coordinates.
    """
    outputs = keypoints.shape[2] * 2
    kernel, bias, half = np.zeros((side * side, outputs)), np.zeros(outputs), side / 2
    history = []
    for epoch, batches in enumerate(order):
        for batch in batches:
            x = versions[epoch % len(versions), batch].reshape(len(batch), -1) / 255
            truth = keypoints[epoch % len(versions), batch].reshape(len(batch), -1)
            error = (x @ kernel + bias) * half + half - truth
            known = ~np.isnan(error)
            slope = np.where(known, error, 0) / half * 2 / max(known.sum(), 1)
            kernel, bias = kernel - rate * (x.T @ slope), bias - rate * slope.sum(axis=0)
        predicted = (validation[0].reshape(len(validation[0]), -1) / 255 @ kernel + bias) * half + half
        history.append((kernel, bias, rmse(predicted, validation[1].reshape(len(predicted), -1))))
    return history


def momentum_steps(start, gradient, *, rate, momenta, nesterov):
    """The positions after each step of gradient descent, with a given momentum for each step, in Keras' formulation."""
    position, velocity, positions = start.copy(), np.zeros_like(start), []
    for momentum in momenta:
        g = gradient(position)
        velocity = momentum * velocity - rate * g
        position = position + (momentum * velocity - rate * g if nesterov else velocity)
        positions.append(position)
    return positions
