"""Shapes: keypoints apart from their place, size and direction in the image."""

import numpy as np

# Samples have a direction in common if the mean of their directions, as vectors of length 1, is longer than this.
COMMON_DIRECTION = 0.5
MOST = 2000  # samples from which a mean shape is known well enough


def few(keypoints: np.ndarray) -> np.ndarray:
    """At most MOST of the samples (n, K, 2), evenly spread."""
    return keypoints[np.linspace(0, len(keypoints) - 1, min(len(keypoints), MOST)).astype(int)]


def normalised(keypoints: np.ndarray) -> np.ndarray:
    """The samples (n, K, 2) with their centres at 0 and their keypoints at a mean squared distance of 1 from it, NaN where not labelled.

    Samples without two labels at different places are left out.
    """
    keypoints = keypoints[np.isfinite(keypoints).all(axis=2).sum(axis=1) >= 2]
    if not len(keypoints):
        return keypoints
    points = keypoints - np.nanmean(keypoints, axis=1, keepdims=True)
    size = np.sqrt(np.nanmean(np.square(points).sum(axis=2), axis=1))
    return points[size > 1e-6] / size[size > 1e-6, None, None]


def mean_shape(shapes: np.ndarray, rounds: int = 5) -> np.ndarray:
    """The mean shape (K, 2) of normalised samples (n, K, 2), at least one; NaN for keypoints that are never labelled.

    It is that of the generalised Procrustes analysis (Gower 1975, https://doi.org/10.1007/BF02291478), with keypoints missing.
    """
    known = np.isfinite(shapes).all(axis=2)
    mean = shapes[known.sum(axis=1).argmax()]
    for _ in range(rounds):
        placed = aligned(shapes, mean)
        counts = np.isfinite(placed[..., 0]).sum(axis=0)
        total = np.nansum(placed, axis=0)
        mean = np.where(counts[:, None] > 0, total / np.maximum(counts, 1)[:, None], np.nan)
        mean = mean - np.nanmean(mean, axis=0)
        mean = mean / np.sqrt(np.nanmean(np.square(mean).sum(axis=1)))
    return mean


def typical(keypoints: np.ndarray, exchanged: tuple[int, ...] | None, side: int) -> np.ndarray:
    """The mean shape at the median size in the middle of an image of side x side pixels: float32 (K, 2), pixels.

    keypoints: the samples (n, K, 2), pixels, NaN where not labelled. exchanged: for each keypoint the one that takes its place in a
    mirrored image, None if images must not be mirrored. The direction is the mean direction of the samples, if they have one, and the axis
    of symmetry is vertical, if there is one. Keypoints that are never labelled are in the middle.
    """
    shapes = normalised(few(keypoints))
    if not len(shapes):
        return np.full(keypoints.shape[1:], side / 2, np.float32)
    mean = np.nan_to_num(mean_shape(shapes))
    z = mean[:, 0] + 1j * mean[:, 1]
    turns = np.array([_turn(z, own[:, 0] + 1j * own[:, 1]) for own in shapes])
    if abs(turns.mean()) > COMMON_DIRECTION:
        z = z * turns.mean() / abs(turns.mean())
    if exchanged is not None and exchanged != tuple(range(len(z))):
        half = np.sqrt(_turn(z, -z[list(exchanged)].conj()))
        z = z * (half if half.real >= 0 else -half)  # the nearer of the two directions of the axis
    sizes = np.sqrt(np.nanmean(np.square(keypoints - np.nanmean(keypoints, axis=1, keepdims=True)).sum(axis=2), axis=1))
    return (np.stack([z.real, z.imag], axis=1) * np.nanmedian(sizes) + side / 2).astype(np.float32)


def _turn(one: np.ndarray, other: np.ndarray) -> complex:
    """The rotation, as a complex number of length 1, that brings a shape closest to another, both (K,) as x + iy; NaN is left out."""
    total = complex(np.nansum(other * one.conj()))
    return total / abs(total) if total else 1 + 0j


def aligned(shapes: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The samples (n, K, 2), rotated, scaled and moved to be as close as possible to the target (K, 2), on the keypoints of both."""
    z, aim = shapes[..., 0] + 1j * shapes[..., 1], np.broadcast_to(target[:, 0] + 1j * target[:, 1], shapes.shape[:2])
    both = np.isfinite(z) & np.isfinite(aim)
    count = np.maximum(both.sum(axis=1, keepdims=True), 1)
    centre, goal = (np.where(both, each, 0).sum(axis=1, keepdims=True) / count for each in (z, aim))
    moved, wanted = (np.where(both, each, 0) for each in (z - centre, aim - goal))
    size = np.square(np.abs(moved)).sum(axis=1, keepdims=True)
    factor = (wanted * moved.conj()).sum(axis=1, keepdims=True) / np.maximum(size, 1e-12)
    placed = (z - centre) * factor + goal
    return np.stack([placed.real, placed.imag], axis=2)
