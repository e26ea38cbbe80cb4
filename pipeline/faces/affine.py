"""Affine maps of images and of points in them: one 2 x 3 matrix for each of n faces maps (x, y, 1) to where it goes, pixels to pixels.

Coordinates are those of `KeypointSet`: pixel i covers [i, i + 1), so the centre of pixel i is i + 0.5.
"""

import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# Faces warped at a time. Measured for 96 x 96 on two cores: 2 cost 0.137 ms a face, 4 0.097, 8 0.074, 16 0.077.
CHUNK = 8


def identity(n: int) -> np.ndarray:
    """The maps (n, 2, 3) that leave everything where it is."""
    return np.tile(np.eye(2, 3), (n, 1, 1))


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The maps that do `first` and then `second`; one of the two may be a single matrix (2, 3)."""
    linear = second[..., :2] @ first[..., :2]
    return np.concatenate([linear, second[..., :2] @ first[..., 2:] + second[..., 2:]], axis=-1)


def inverse(matrix: np.ndarray) -> np.ndarray:
    """The maps (n, 2, 3) back."""
    linear = np.linalg.inv(matrix[:, :, :2])
    return np.concatenate([linear, -linear @ matrix[:, :, 2:]], axis=2)


def magnification(matrix: np.ndarray) -> np.ndarray:
    """How many times as long lengths become, (n,): the square root of the area's factor."""
    return np.sqrt(np.abs(np.linalg.det(matrix[:, :, :2])))


def move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points (n, ..., 2) of each face under its map (n, 2, 3); NaN stays NaN."""
    return np.einsum("nij,n...j->n...i", matrix[:, :, :2], points) + matrix[:, :, 2].reshape(len(points), *(1,) * (points.ndim - 2), 2)


def warp(images: np.ndarray, matrix: np.ndarray, side: int, *, gain: np.ndarray | None = None, bias: np.ndarray | None = None):
    """Images uint8 (n, side, side) of images uint8 (n, s, s) under the maps (n, 2, 3): bilinear, the edge pixels repeated outside.

    gain, bias (n,): contrast about each result's mean grey, and grey levels added. Without them the same map as
    `skimage.transform.warp(..., order=1, mode="edge")`, a few faces at a time and on all cores.
    """
    if len(images) != len(matrix):
        raise ValueError(f"{len(images)} images and {len(matrix)} maps do not match")
    backward = inverse(matrix)
    result = np.empty((len(images), side, side), np.uint8)

    def one_chunk(start: int) -> None:
        part = slice(start, start + CHUNK)
        grey = _bilinear(images[part], backward[part], side)
        if gain is not None:
            mean = grey.mean(axis=1, keepdims=True)
            grey = (grey - mean) * gain[part, None].astype(np.float32) + (mean + bias[part, None].astype(np.float32))
        np.clip(grey + 0.5, 0, 255, out=grey)
        result[part] = grey.reshape(-1, side, side)

    with ThreadPoolExecutor() as pool:
        list(pool.map(one_chunk, range(0, len(images), CHUNK)))
    return result


def _bilinear(images: np.ndarray, backward: np.ndarray, side: int) -> np.ndarray:
    """Grey levels float32 (n, side * side) of images uint8 (n, s, s) at the points that `backward` (n, 2, 3) maps each new pixel to."""
    width = images.shape[-1]
    points = backward.astype(np.float32) @ _pixel_centres(side)
    points -= 0.5
    # The last cell's lower corner is width - 2: a point on the far edge lies at its end.
    np.clip(points, 0, np.nextafter(np.float32(width - 1), np.float32(0)), out=points)
    corner = points.astype(np.int32)
    points -= corner
    x, y = points[:, 0], points[:, 1]
    first = corner[:, 1] * width + corner[:, 0] + (np.arange(len(images), dtype=np.int32) * width * width)[:, None]
    grey = images.reshape(-1).astype(np.float32)
    top = grey[first]
    top += x * (grey[first + 1] - top)
    bottom = grey[first + width]
    bottom += x * (grey[first + (width + 1)] - bottom)
    top += y * (bottom - top)
    return top


@functools.cache
def _pixel_centres(side: int) -> np.ndarray:
    """Homogeneous coordinates (3, side * side) of all pixel centres, float32."""
    row, column = np.mgrid[:side, :side]
    return np.stack([column.ravel() + 0.5, row.ravel() + 0.5, np.ones(side * side)]).astype(np.float32)
