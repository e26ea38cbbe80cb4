"""The alignment of a face in its image, and the window of the aligned face that a specialist sees.

Faces are rotated, of different sizes, and not in the middle of the image. A first prediction of the keypoints serves to rotate, scale and
move each face to the pose of the mean face, the aligned frame. There a group of keypoints is nearly always at the same place, so that a
small window contains it.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.geometry import affine
from pipeline.geometry.frame import MULTIPLE
from pipeline.keypoints.definition import KeypointSet

# Limits for the size of a face relative to the mean face, because a first prediction can be far off.
SMALLEST, LARGEST = 0.25, 2.0
# Points whose sum of squared distances from their centre, in square pixels, is smaller than this tell neither an angle nor a size.
POINT = 1e-6


# How a window is turned, in degrees, scaled, and moved in x and in y, as fractions of its side, to look at a sample more than once. The
# mean of five predictions made those for 87 faces 2.5 % better; nine gave no more.
LOOKS = ((0, 1.0, 0.0, 0.0), (7, 1.06, 0.02, 0.0), (-7, 1.06, -0.02, 0.0), (5, 0.94, 0.0, 0.02), (-5, 0.94, 0.0, -0.02))


@dataclass(frozen=True)
class Window:
    """A square of the aligned frame.

    matrix: float64 (2, 3), maps the aligned frame to the pixels of the window. side: width and height of the window in its own pixels.
    """

    matrix: np.ndarray
    side: int


def upright(mean_face: np.ndarray, keypointset: KeypointSet, *, side: int) -> np.ndarray:
    """The keypoints (K, 2) of an aligned face, pixels: the mean face (K, 2), made symmetric about the middle of the image.

    side: width of the image, pixels. For a keypoint set without mirror pairs the result is the mean face itself, because nothing tells
    which keypoints are symmetric to each other.
    """
    if not keypointset.mirror:
        return mean_face
    mirrored = mean_face[list(keypointset.mirror_order)] * [-1, 1] + [side, 0]
    return (mean_face + mirrored) / 2


def aligning(keypoints: np.ndarray, target: np.ndarray, *, scale: float = 1.0) -> np.ndarray:
    """The similarity maps float64 (n, 2, 3) that bring keypoints (n, K, 2) as close as possible to the target (K, 2).

    keypoints: pixels of the images. target: pixels of the aligned frame. scale: pixels of the aligned frame per pixel of the images.
    They rotate, scale and shift, and minimise the sum of squared distances: the closed form of Umeyama 1991,
    https://doi.org/10.1109/34.88573, in two dimensions and without reflections. The scale is limited by SMALLEST and LARGEST, relative to
    `scale`. Points that tell neither angle nor size, because there is only one or because all are at the same place, are only shifted.
    """
    centre, aim = keypoints.mean(axis=1, dtype=np.float64), target.mean(axis=0, dtype=np.float64)
    points, goal = keypoints - centre[:, None], target - aim
    along = np.einsum("nkj,kj->n", points, goal)
    across = points[..., 0] @ goal[:, 1] - points[..., 1] @ goal[:, 0]
    angle, size = np.arctan2(across, along), np.square(points).sum(axis=(1, 2))
    factor = np.clip(np.hypot(along, across) / np.maximum(size, np.finfo(np.float64).tiny), scale / LARGEST, scale / SMALLEST)
    told = (size > POINT) & (np.square(goal).sum() > POINT)
    factor, angle = np.where(told, factor, scale), np.where(told, angle, 0.0)
    cosine, sine = factor * np.cos(angle), factor * np.sin(angle)
    linear = np.stack([cosine, -sine, sine, cosine], axis=-1).reshape(-1, 2, 2)
    shift = aim - np.einsum("nij,nj->ni", linear, centre)
    return np.concatenate([linear, shift[:, :, None]], axis=2)


def distance(first: np.ndarray, second: np.ndarray, target: np.ndarray, *, scale: float = 1.0) -> np.ndarray:
    """The mean distance (n,) between two predictions (n, K, 2) of the same faces, in pixels of the frame in which the second is aligned.

    target, scale: see `aligning`. So the same distance counts more for a small face than for a large one.
    """
    enlarged = affine.magnification(aligning(second, target, scale=scale))
    return np.linalg.norm(first - second, axis=2).mean(axis=1) * enlarged


def extent(target: np.ndarray, *, margin: float, extent: float) -> float:
    """Width and height, in pixels of the aligned frame, of the window around keypoints `target` (k, 2), see `window`."""
    return float(_square(target, margin, extent)[1])


def window(target: np.ndarray, indices: list[int], *, margin: float, extent: float, zoom: float) -> Window:
    """The smallest square window around the keypoints `indices` that has the margin and the extent.

    target: (K, 2), see `upright`. margin: distance from the outermost keypoints to the edge, in pixels of the aligned frame.
    extent: minimum side of the square, in the same pixels. zoom: pixels of the window per pixel of the aligned frame; it is increased
    until the window has a side that the nets take.
    """
    doubled, extent = _square(target[indices], margin, extent)
    side = int(np.ceil(extent * zoom / MULTIPLE)) * MULTIPLE
    factor = side / extent
    corner = doubled / 2 - extent / 2
    return Window(np.concatenate([np.eye(2) * factor, -factor * corner[:, None]], axis=1), side)


def _square(target: np.ndarray, margin: float, extent: float) -> tuple[np.ndarray, float]:
    """Twice the centre (2,) and the side of the square window around keypoints `target` (k, 2), see `window`."""
    low, high = target.min(axis=0) - margin, target.max(axis=0) + margin
    return low + high, max(extent, (high - low).max())


def looks(number: int, side: int) -> np.ndarray:
    """The maps float64 (number, 2, 3) of a window of side x side pixels to the first of the LOOKS, of which the very first changes nothing.

    Raises ValueError if there are not so many.
    """
    if not 1 <= number <= len(LOOKS):
        raise ValueError(f"there are from 1 to {len(LOOKS)} looks, not {number}")
    found = []
    for degrees, factor, right, down in LOOKS[:number]:
        cosine, sine = factor * np.cos(np.radians(degrees)), factor * np.sin(np.radians(degrees))
        linear, middle = np.array([[cosine, -sine], [sine, cosine]]), np.full(2, side / 2)
        found.append(np.column_stack([linear, middle + side * np.array([right, down]) - linear @ middle]))
    return np.array(found)
