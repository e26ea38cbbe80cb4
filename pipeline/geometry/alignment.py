"""Where a face lies in its image, and the window of it that a specialist sees.

Faces come turned, small and off the middle. From a first prediction of its keypoints each face is brought upright, to the mean face's
size and place: the aligned frame. There a group of keypoints lies nearly always at the same place, and a small window holds it.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.keypoints.definition import KeypointSet

# How much smaller or larger than the mean face a face may be taken to be; a first prediction can be nonsense.
SMALLEST, LARGEST = 0.25, 2.0
# The nets halve their input four times.
MULTIPLE = 16


@dataclass(frozen=True)
class Window:
    """A square of the aligned frame: `matrix` float64 (2, 3) maps the frame to the window's own pixels, `side` x `side` of them."""

    matrix: np.ndarray
    side: int


def upright(mean_face: np.ndarray, keypointset: KeypointSet, *, side: int) -> np.ndarray:
    """Where aligned keypoints lie (K, 2), pixels: the mean face (K, 2) made symmetric about the middle of an image of side x side pixels.

    Without mirror pairs nothing says what is symmetric to what, and it is the mean face itself.
    """
    if not keypointset.mirror:
        return mean_face
    mirrored = mean_face[list(keypointset.mirror_order)] * [-1, 1] + [side, 0]
    return (mean_face + mirrored) / 2


def aligning(keypoints: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The maps float64 (n, 2, 3) of rotation, scale and shift that bring keypoints (n, K, 2) closest to the target (K, 2), least squares.

    The closed form in two dimensions of Umeyama 1991, https://doi.org/10.1109/34.88573, without reflections.
    """
    centre, aim = keypoints.mean(axis=1, dtype=np.float64), target.mean(axis=0, dtype=np.float64)
    points, goal = keypoints - centre[:, None], target - aim
    along = np.einsum("nkj,kj->n", points, goal)
    across = points[..., 0] @ goal[:, 1] - points[..., 1] @ goal[:, 0]
    angle, size = np.arctan2(across, along), np.square(points).sum(axis=(1, 2))
    scale = np.hypot(along, across) / np.maximum(size, np.finfo(np.float64).tiny)
    scale = np.clip(scale, 1 / LARGEST, 1 / SMALLEST)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([cosine, -sine, sine, cosine], axis=-1).reshape(-1, 2, 2)
    shift = aim - np.einsum("nij,nj->ni", linear, centre)
    return np.concatenate([linear, shift[:, :, None]], axis=2)


def window(target: np.ndarray, indices: list[int], *, margin: float, extent: float, zoom: float) -> Window:
    """The square around the keypoints `indices`.

    target (K, 2): see `upright`. margin: from the outermost of the keypoints to the square's edge, pixels. extent: the square's side at
    least, pixels. zoom: pixels of the window for one of the image, rounded up to a side that the nets take.
    """
    low, high = target[indices].min(axis=0) - margin, target[indices].max(axis=0) + margin
    extent = max(extent, (high - low).max())
    side = int(np.ceil(extent * zoom / MULTIPLE)) * MULTIPLE
    factor = side / extent
    corner = (low + high) / 2 - extent / 2
    return Window(np.concatenate([np.eye(2) * factor, -factor * corner[:, None]], axis=1), side)
