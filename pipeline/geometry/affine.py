"""Affine maps of images and of points in them: one 2 x 3 matrix for each of n faces maps (x, y, 1) to where it goes, pixels to pixels.

Coordinates are those of `KeypointSet`: pixel i covers [i, i + 1), so the centre of pixel i is i + 0.5.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline.lazyrows import Images, LazyRows

# Faces warped at a time. Measured for 96 x 96 on two cores, a face: 4 0.087 ms, 8 0.061, 16 0.047, 32 0.049.
CHUNK = 16


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
    _check_lengths(images, matrix)
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

    # Not the pool's default of four threads more than cores: they wait for each other and take 1.7 times as long.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one_chunk, range(0, len(images), CHUNK)))
    return result


class Warped(LazyRows):
    """What `warp` makes of images (n, s, s), when it is asked for: uint8 (n, side, side)."""

    def __init__(self, images: Images, matrix: np.ndarray, side: int, **light: np.ndarray):
        _check_lengths(images, matrix)
        super().__init__((len(images), side, side), np.uint8)
        self.images, self.matrix, self.side, self.light = images, matrix, side, light

    def take(self, rows):
        return warp(self.images[rows], self.matrix[rows], self.side, **{name: values[rows] for name, values in self.light.items()})


def _check_lengths(images: Images, matrix: np.ndarray) -> None:
    if len(images) != len(matrix):
        raise ValueError(f"{len(images)} images and {len(matrix)} maps do not match")


def _bilinear(images: np.ndarray, backward: np.ndarray, side: int) -> np.ndarray:
    """Grey levels float32 (n, side * side) of images uint8 (n, s, s) at the points that `backward` (n, 2, 3) maps each new pixel to."""
    n, width = len(images), images.shape[-1]
    points = _points(backward, side)
    # The last cell's lower corner is width - 2: a point on the far edge lies at its end.
    np.clip(points, 0, np.nextafter(np.float32(width - 1), np.float32(0)), out=points)
    corner = np.floor(points)
    points -= corner  # both float32: with an integer corner numpy computes in float64, six times as slow
    x, y = points[:, 0], points[:, 1]
    cell = (corner[:, 1] * np.float32(width) + corner[:, 0]).astype(np.int32)
    cell += (np.arange(n, dtype=np.int32) * width * width)[:, None]
    cell = cell.astype(np.intp)  # what take wants; straight from float it costs five times as much
    grey = images.reshape(-1).astype(np.float32)

    def row(start: int) -> np.ndarray:
        left, right = grey[start:].take(cell), grey[start + 1 :].take(cell)
        right -= left
        right *= x
        return np.add(left, right, out=left)

    top, bottom = row(0), row(width)
    bottom -= top
    bottom *= y
    return np.add(top, bottom, out=top)


def _points(backward: np.ndarray, side: int) -> np.ndarray:
    """Where `backward` (n, 2, 3) maps the centres of side x side pixels, less 0.5: float32 (n, 2, side * side), x then y.

    The sum of a part that changes along a row and one that changes along a column.
    """
    centres = np.arange(side) + 0.5
    along = (backward[:, :, 0, None] * centres).astype(np.float32)
    down = (backward[:, :, 1, None] * centres + backward[:, :, 2, None] - 0.5).astype(np.float32)
    return (down[..., None] + along[:, :, None]).reshape(len(backward), 2, side * side)
