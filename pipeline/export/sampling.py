"""The operations of `geometry.affine` and `geometry.alignment` on tensors, written with keras.ops, so that a graph can contain them.

The number of images is dynamic, and no operation computes a shape, because LiteRT's fast kernels need shapes that it can infer. The side of
the images is a number or, where it is dynamic, a tensor. Tensors are annotated as `Any`, because Keras has no type for symbolic ones.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from pipeline.geometry import affine
from pipeline.geometry.alignment import LARGEST, POINT, SMALLEST

LARGEST_SIDE = 4096  # of images whose side is dynamic, pixels
BELOW_ONE = 1 - 2**-24  # the largest float32 below 1; a whole number times it is, as float32, the largest one below that number


def side_of(images: Any) -> Any:
    """Width and height of images (n, s, s) or (n, s, s, 3): a number or, where it is dynamic, a scalar tensor int32."""
    return ops.sum(ops.ones_like(_row(images), dtype="int32")) if images.shape[1] is None else int(images.shape[1])


def reduction(side: Any, zoom: float, frame: int) -> Any:
    """The factor by which images are reduced before a map that scales them by zoom * frame / side, see `affine.reduction`.

    The side is a number or, for images of at most LARGEST_SIDE, a scalar tensor int32.
    """
    if isinstance(side, int):
        return affine.reduction(frame / side * zoom)
    factors = np.array([affine.reduction(frame / s * zoom) for s in range(1, LARGEST_SIDE + 1)])
    smallest = np.searchsorted(factors, np.arange(2, factors[-1] + 1)).astype(np.int32) + 1  # the smallest side with each factor
    return 1 + ops.sum(ops.cast(ops.greater_equal(side, smallest), "int32"))


def reduced(images: Any, factor: Any) -> tuple[Any, Any]:
    """Images uint8 (n, s, s) or (n, s, s, 3), as float32, whose pixels are the rounded means of factor x factor pixels; and their side.

    At the right and lower edge they are the means of the pixels that there are. If the factor is a tensor, the images keep their shape, and
    only the first pixels of the new side have a meaning.
    """
    side = side_of(images)
    if isinstance(factor, int) and factor == 1:
        return ops.cast(images, "float32"), side
    count = (side + factor - 1) // factor  # some converters round the quotient of a negative number towards zero
    fixed = isinstance(count, int)
    steps = np.arange(count, dtype=np.int32) if fixed else ops.minimum(_counted(_row(images)), count - 1)
    first, last = steps * factor, (np.minimum if fixed else ops.minimum)((steps + 1) * factor, side)
    total, area = ops.cast(images, "int32"), 1
    for axis in (1, 2):
        shape = [-1 if a == axis else 1 for a in range(len(images.shape))]
        sums = ops.cumsum(total, axis=axis)
        before = ops.take(sums, ops.maximum(first - 1, 0), axis=axis) * ops.reshape(ops.cast(first > 0, "int32"), shape)
        total = ops.take(sums, last - 1, axis=axis) - before
        area = area * ops.reshape(last - first, shape)
    return ops.cast(_rounded_mean(total, area), "float32"), count


class Places(NamedTuple):
    """Places as two tensors of the same shape, pixels."""

    x: Any
    y: Any

    def each(self, change: Callable[[Any], Any]) -> "Places":
        """The points with both tensors changed by a function."""
        return Places(change(self.x), change(self.y))


class Similarity(NamedTuple):
    """Maps of x to a * x - b * y + right and of y to b * x + a * y + down: four tensors of the same shape.

    All maps that align samples and place windows are of this form. It needs fewer operations than matrices.
    """

    a: Any
    b: Any
    right: Any
    down: Any

    @classmethod
    def of(cls, matrix: np.ndarray) -> "Similarity":
        """The maps of matrices (..., 2, 3) as arrays float32 (...). Raises ValueError if one is no similarity map."""
        a, b = matrix[..., 0, 0], matrix[..., 1, 0]
        if not (np.allclose(matrix[..., 1, 1], a) and np.allclose(matrix[..., 0, 1], -b)):
            raise ValueError("an exported net sees its windows through similarity maps, but this map also shears or stretches")
        return cls(*(values.astype(np.float32) for values in (a, b, matrix[..., 0, 2], matrix[..., 1, 2])))

    def each(self, change: Callable[[Any], Any]) -> "Similarity":
        """The maps with all four tensors changed by a function."""
        return Similarity(*map(change, self))

    def then(self, second: "Similarity") -> "Similarity":
        """The maps that apply these first and then others, which may be arrays."""
        return Similarity(
            self.a * second.a - self.b * second.b,
            self.a * second.b + self.b * second.a,
            self.right * second.a - self.down * second.b + second.right,
            self.right * second.b + self.down * second.a + second.down,
        )

    def inverse(self) -> "Similarity":
        """The inverse maps."""
        square = self.a * self.a + self.b * self.b
        a, b = self.a / square, -self.b / square
        return Similarity(a, b, b * self.down - a * self.right, -(b * self.right + a * self.down))

    def move(self, points: Places) -> Places:
        """The points after the maps, whose shape must fit."""
        return Places(self.a * points.x - self.b * points.y + self.right, self.b * points.x + self.a * points.y + self.down)


def points_of(backward: Similarity, new: int) -> Places:
    """The points (n, m, new, new) to which maps (n, m) move the centres of new x new pixels, minus 0.5, see `affine`."""
    centres = (np.arange(new) + 0.5).astype(np.float32)
    a, b, right, down = backward.each(lambda values: ops.expand_dims(values, 2))
    x = ops.expand_dims(right - b * centres - 0.5, 3) + ops.expand_dims(a * centres, 2)
    y = ops.expand_dims(down + a * centres - 0.5, 3) + ops.expand_dims(b * centres, 2)
    return Places(x, y)


def points_of_whole(images: Any, side: Any, pixels: Any, new: int) -> Places:
    """Those of `points_of` (n, 1, new, new) for the map of `pixels` pixels to `side` pixels, rounded once, as in `affine`.

    The grey levels between the pixels of a whole image are often exactly in the middle of two, so that the last bit of a place decides how
    they are rounded. Programs that multiply by a reciprocal instead of dividing get this bit right too, because they divide integers.
    images: uint8 (n, ...), of which only the number counts. side, pixels: integers or scalar tensors int32.
    """
    twice = (2 * np.arange(new, dtype=np.int32) + 1) * side
    whole = twice // (2 * pixels)
    part = ops.cast(twice - whole * (2 * pixels), "float32") / _float(2 * pixels)
    whole = ops.cast(whole, "float32")
    x, y = whole + part - 0.5, whole - 0.5 + part
    nothing, square = ops.zeros_like(_first_pixels(images), dtype="float32"), ops.zeros((new, new), "float32")
    return Places(*(ops.reshape(nothing, (-1, 1, 1, 1)) + (square + row) for row in (x, ops.expand_dims(y, 1))))


def warp(images: Any, side: Any, points: Places) -> Any:
    """Samples images as `affine.warp` does, rounded to grey levels: float32 (n * m, new, new) or (n * m, new, new, 3).

    images, side: those of `reduced`. points: (n, m, new, new), those of the pixels of m windows of each image, see `points_of`.
    """
    colour, (windows, new) = tuple(images.shape[3:]), points.x.shape[1:3]
    width = side_of(images)  # the step from row to row, whereas `side` is the number of pixels that have a meaning
    farthest = (_float(side) - 1) * BELOW_ONE  # a point on the far edge is at the end of the last cell
    x, y = (ops.clip(ops.reshape(part, (-1, windows * new * new)), 0, farthest) for part in points)
    left, top = ops.floor(x), ops.floor(y)
    first = _counted(_first_pixels(images)) * (width * width)
    cell = ops.cast(top, "int32") * width + ops.cast(left, "int32") + ops.expand_dims(first, 1)
    corners = np.array([0, 1], np.int32)
    corners = np.append(corners, corners + width) if isinstance(width, int) else ops.concatenate([corners, corners + width])
    levels = ops.take(ops.reshape(images, (-1, *colour)), ops.expand_dims(cell, 2) + corners, axis=0)
    weight = (-1, windows * new * new, 1, *(1,) * len(colour))
    x, y = ops.reshape(x - left, weight), ops.reshape(y - top, weight)
    a, b, c, d = ops.split(levels, 4, axis=2)
    upper, lower = a + (b - a) * x, c + (d - c) * x
    return ops.reshape(ops.floor(upper + (lower - upper) * y + 0.5), (-1, new, new, *colour))


def aligning(found: Places, target: np.ndarray, scale: Any) -> Similarity:
    """The maps (n, 1) that align keypoints (n, K) with the target (K, 2), see `alignment.aligning`."""
    aim = target.mean(axis=0, dtype=np.float64)
    goal = (target - aim).astype(np.float32)
    centre = found.each(lambda values: ops.mean(values, axis=1, keepdims=True))
    x, y = found.x - centre.x, found.y - centre.y
    along, across, size = (
        ops.sum(values, axis=1, keepdims=True)
        for values in (x * goal[:, 0] + y * goal[:, 1], x * goal[:, 1] - y * goal[:, 0], x * x + y * y)
    )
    length = ops.sqrt(along * along + across * across)
    factor = ops.clip(length / ops.maximum(size, POINT), scale / LARGEST, scale / SMALLEST)
    turns = ops.logical_and(size > POINT, length > 0)
    if np.square(goal).sum() <= POINT:  # one keypoint tells neither angle nor size
        turns = ops.zeros_like(turns)
    factor = ops.where(turns, factor / ops.maximum(length, 1e-30), scale)
    a, b = factor * ops.where(turns, along, 1.0), factor * ops.where(turns, across, 0.0)
    return Similarity(a, b, b * centre.y - a * centre.x + float(aim[0]), -(b * centre.x + a * centre.y) + float(aim[1]))


def distance(first: Places, second: Places, target: np.ndarray, scale: Any) -> Any:
    """The distances (n, 1) of two predictions (n, K), pixels of the frame, see `alignment.distance`."""
    aligned = aligning(second, target, scale)
    apart = ops.sqrt(ops.square(first.x - second.x) + ops.square(first.y - second.y))
    return ops.mean(apart, axis=1, keepdims=True) * ops.sqrt(aligned.a * aligned.a + aligned.b * aligned.b)


def _rounded_mean(total: Any, area: Any) -> Any:
    """The means int32 of squares of `area` grey levels with the sum `total`, rounded as by Pillow's `Image.reduce`.

    Pillow multiplies by 2 ** 24 / area, cut to an integer, instead of dividing, so that some means come out one level lower:
    https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Reduce.c
    """
    total = total + area // 2
    level = total // area
    lost = ops.cast(total, "float32") * ops.cast(2**24 % area, "float32") / 2**24
    return level - ops.cast(ops.cast(total - level * area, "float32") < lost, "int32")


def _row(images: Any) -> Any:
    """The first column of the first image (s,)."""
    return images[0, :, 0] if len(images.shape) == 3 else images[0, :, 0, 0]


def _first_pixels(images: Any) -> Any:
    """One value of each image (n,)."""
    return images[:, 0, 0] if len(images.shape) == 3 else images[:, 0, 0, 0]


def _counted(vector: Any) -> Any:
    """0, 1, 2, ... int32, as many as the vector has values."""
    return ops.cumsum(ops.ones_like(vector, dtype="int32"), axis=0) - 1


def _float(number: Any) -> Any:
    return float(number) if isinstance(number, int) else ops.cast(number, "float32")
