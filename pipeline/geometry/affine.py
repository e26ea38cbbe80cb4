"""Affine maps of images and of points in them: one 2 x 3 matrix for each of n images maps (x, y, 1) to (x', y'), in pixels.

Coordinates are those of `geometry.frame.Frame`: pixel i covers [i, i + 1), so the centre of pixel i is i + 0.5.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from pipeline.lazyrows import Images, LazyRows, Selected, blocks, in_memory

# Number of images that one thread warps at a time. Times per image of 96 x 96 pixels on two cores: 0.087 ms in chunks of 4, 0.061 in
# chunks of 8, 0.047 in chunks of 16, 0.049 in chunks of 32.
CHUNK = 16
# The four levels around each new pixel are converted one by one if the images have more than so many times the new pixels.
FEW = 4


def identity(n: int) -> np.ndarray:
    """The maps float64 (n, 2, 3) that leave every point where it is."""
    return np.tile(np.eye(2, 3), (n, 1, 1))


def scaling(n: int, factor: float) -> np.ndarray:
    """The maps float64 (n, 2, 3) that enlarge an image by `factor` about its upper left corner."""
    return np.tile(np.eye(2, 3) * factor, (n, 1, 1))


def reduction(scale: float) -> int:
    """The factor by which images are reduced before a map that scales them by `scale`, so that bilinear interpolation skips no pixel.

    Bilinear interpolation takes all pixels into account as long as it reduces an image to half its size or more.
    """
    return 1 if scale >= 0.5 else int(1 / scale + 1e-9)


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The maps (n, 2, 3) that apply `first` and then `second`, each (n, 2, 3); one of the two may be a single matrix (2, 3)."""
    linear = second[..., :2] @ first[..., :2]
    return np.concatenate([linear, second[..., :2] @ first[..., 2:] + second[..., 2:]], axis=-1)


def inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse maps (n, 2, 3)."""
    linear = np.linalg.inv(matrix[:, :, :2])
    return np.concatenate([linear, -linear @ matrix[:, :, 2:]], axis=2)


def magnification(matrix: np.ndarray) -> np.ndarray:
    """The factor (n,) by which each map enlarges lengths: the square root of its factor for areas."""
    return np.sqrt(np.abs(np.linalg.det(matrix[:, :, :2])))


def move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Applies the map of each image, (n, 2, 3), to the points (n, ..., 2) in it; NaN stays NaN."""
    return np.einsum("nij,n...j->n...i", matrix[:, :, :2], points) + matrix[:, :, 2].reshape(len(points), *(1,) * (points.ndim - 2), 2)


def warp(
    images: Images,
    matrix: np.ndarray,
    side: int,
    *,
    gain: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    reduction: int = 1,
) -> np.ndarray:
    """Applies the maps `matrix` (n, 2, 3) to images uint8 (n, s, s) or (n, s, s, 3); returns such images of side x side pixels.

    Interpolation is bilinear, and edge pixels are repeated outside the image. gain, bias: (n,), given together: the factor for the contrast
    around the mean grey level of each result, over all its channels, and the grey levels to add. reduction: the images are first reduced
    by this factor, each pixel to the mean of a square of pixels, against aliasing. With 1 and without gain and bias the results are those
    of `skimage.transform.warp(..., order=1, mode="edge")`, but computed in chunks on all cores.
    Raises ValueError if the numbers of images and maps differ, or if only one of gain and bias is given.
    """
    _check_lengths(images, matrix)
    if (gain is None) != (bias is None):
        raise ValueError("gain and bias must be given together")
    backward = inverse(matrix)
    result = np.empty((len(images), side, side, *images.shape[3:]), np.uint8)

    def one_chunk(start: int) -> None:
        part = slice(start, start + CHUNK)
        levels = _bilinear(*_needed(images, np.arange(len(images))[part], backward[part], side, reduction), side)
        if gain is not None and bias is not None:
            rest = (-1, *(1,) * (levels.ndim - 1))
            mean = levels.mean(axis=tuple(range(1, levels.ndim)), keepdims=True)
            contrast, brightness = gain[part].reshape(rest).astype(np.float32), bias[part].reshape(rest).astype(np.float32)
            levels = (levels - mean) * contrast + (mean + brightness)
        np.clip(levels + 0.5, 0, 255, out=levels)
        result[part] = levels.reshape(-1, *result.shape[1:])

    # One thread per core. With the pool's default, four more, the threads wait for each other and take 1.7 times as long.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one_chunk, range(0, len(images), CHUNK)))
    return result


class Warped(LazyRows):
    """The result of `warp`, uint8 (n, side, side) or (n, side, side, 3), computed when rows of it are read."""

    def __init__(self, images: Images, matrix: np.ndarray, side: int, *, reduction: int = 1, **light: np.ndarray) -> None:
        """The arguments are those of `warp`; light: gain and bias."""
        _check_lengths(images, matrix)
        super().__init__((len(images), side, side, *images.shape[3:]), np.uint8)
        self.images, self.matrix, self.side, self.reduction, self.light = images, matrix, side, reduction, light

    def take(self, rows: np.ndarray) -> np.ndarray:
        if in_memory(self.images):  # nothing is copied but what each window needs
            light = {name: values[rows] for name, values in self.light.items()}
            return warp(Selected(self.images, rows), self.matrix[rows], self.side, reduction=self.reduction, **light)
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for part in blocks(Selected(self.images, rows)):  # the images may be much larger than the result
            some = rows[part]
            light = {name: values[some] for name, values in self.light.items()}
            taken[part] = warp(self.images[some], self.matrix[some], self.side, reduction=self.reduction, **light)
        return taken


def resized(images: Images, side: int) -> Images:
    """Square images uint8 (n, s, s) or (n, s, s, 3) with side x side pixels, computed on demand without aliasing; unchanged if they are so.

    Each keypoint moves by the factor side / s.
    """
    scale = side / images.shape[1]
    return images if scale == 1 else Warped(images, scaling(len(images), scale), side, reduction=reduction(scale))


class Reduced(LazyRows):
    """Images whose pixels are the means of factor x factor pixels, computed when rows are read; see `reduced`."""

    def __init__(self, images: Images, factor: int) -> None:
        side = -(-images.shape[1] // factor)
        super().__init__((len(images), side, side, *images.shape[3:]), np.uint8)
        self.images, self.factor = images, factor

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The rows (m, ...) with these indices (m,), in this order."""
        return _reduced(self.images[rows], self.factor)


def reduced(images: Images, factor: int) -> Images:
    """Square images uint8 (n, s, s) or (n, s, s, 3) whose pixels are the means of factor x factor pixels; unchanged if the factor is 1.

    They are computed at once if the images are in memory, otherwise on demand.
    """
    if factor == 1:
        return images
    found = Reduced(images, factor)
    return found[:] if isinstance(images, np.ndarray) else found


def _check_lengths(images: Images, matrix: np.ndarray) -> None:
    if len(images) != len(matrix):
        raise ValueError(f"{len(images)} images and {len(matrix)} maps do not match")


def _needed(images: Images, rows: np.ndarray, backward: np.ndarray, side: int, reduction: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of images, reduced, and the maps `backward` to their pixels; of large images only a square that has all pixels needed.

    A window of 64 x 64 pixels of an image with 1200 x 1200 is computed 20 times as fast from a square around it.
    """
    corners = np.array([[0, 0], [side, 0], [0, side], [side, side]], np.float64)
    places = move(np.broadcast_to(corners, (len(rows), 4, 2)), backward)
    # One more pixel on each side for the interpolation; squares begin where the reduction does.
    low = np.floor((places.min(axis=1) - 1) / reduction).astype(int) * reduction
    size = int((np.ceil(places.max(axis=1) + 1) - low).max())
    size = -(-size // reduction) * reduction
    if 2 * size >= images.shape[1]:
        return _reduced(images[rows], reduction), backward / reduction
    low = np.clip(low, 0, (images.shape[1] - size) // reduction * reduction)
    squares = np.stack([images[row][y : y + size, x : x + size] for row, (x, y) in zip(rows.tolist(), low.tolist(), strict=True)])
    shifted = np.concatenate([backward[:, :, :2], backward[:, :, 2:] - low[:, :, None]], axis=2)
    return _reduced(squares, reduction), shifted / reduction


def _reduced(images: np.ndarray, factor: int) -> np.ndarray:
    """Images whose pixels are the means of factor x factor pixels; at the right and lower edge of those that there are."""
    return images if factor == 1 else np.stack([np.asarray(Image.fromarray(image).reduce(factor)) for image in images])


def _bilinear(images: np.ndarray, backward: np.ndarray, side: int) -> np.ndarray:
    """Grey levels float32 (n, side * side) of images uint8 (n, s, s) at the points to which `backward` (n, 2, 3) maps the new pixels.

    Of colour images (n, s, s, 3) the levels of the channels, (n, side * side, 3).
    """
    n, width = len(images), images.shape[1]
    points = _points(backward, side)
    # The lower corner of the last cell is width - 2; a point on the far edge is at the end of that cell.
    np.clip(points, 0, np.nextafter(np.float32(width - 1), np.float32(0)), out=points)
    corner = np.floor(points)
    points -= corner  # both are float32; with an integer corner numpy would compute in float64, which is six times as slow
    x, y = points[:, 0], points[:, 1]
    cell = (corner[:, 1] * np.float32(width) + corner[:, 0]).astype(np.int32)
    cell += (np.arange(n, dtype=np.int32) * width * width)[:, None]
    cell = cell.astype(np.intp)  # the type that `take` needs; a conversion directly from float costs five times as much
    levels = images.reshape(-1, *images.shape[3:])
    if len(levels) <= FEW * x.size:
        levels = levels.astype(np.float32)  # otherwise it is faster to convert only the levels that are needed
    x, y = (part.reshape(n, side * side, *(1,) * (images.ndim - 3)) for part in (x, y))

    def row(start: int) -> np.ndarray:
        left, right = (levels[first:].take(cell, axis=0).astype(np.float32, copy=False) for first in (start, start + 1))
        right -= left
        right *= x
        return np.add(left, right, out=left)

    top, bottom = row(0), row(width)
    bottom -= top
    bottom *= y
    return np.add(top, bottom, out=top)


def _points(backward: np.ndarray, side: int) -> np.ndarray:
    """The points to which `backward` (n, 2, 3) maps the centres of side x side pixels, minus 0.5: float32 (n, 2, side * side), x then y.

    Each coordinate is the sum of a part that changes along the row and a part that changes along the column.
    """
    centres = np.arange(side) + 0.5
    along = (backward[:, :, 0, None] * centres).astype(np.float32)
    down = (backward[:, :, 1, None] * centres + backward[:, :, 2, None] - 0.5).astype(np.float32)
    return (down[..., None] + along[:, :, None]).reshape(len(backward), 2, side * side)
