"""Augmented copies of labelled faces: one affine map moves the pixels and the keypoints alike.

Drawing the random parameters (`draw`) stands apart from applying them (`apply`), so that a transform can be looked at, repeated and tested.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pipeline.geometry import affine
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images
from pipeline.schema import Plot, array, record


@dataclass(frozen=True)
class Ranges:
    """How far the random transforms go. Lengths in pixels, angles in degrees, factors log-uniform in [1/f, f].

    flip: share of mirrored faces. rotation, shear: uniform in [-a, a]. shift: uniform in [-s, s] in x and in y.
    scale: factor of both axes. stretch: factor of x, and of y its inverse. small_share: share of faces that are also shrunk, by a factor
    log-uniform in [small_scale, 1], and then moved to anywhere where the whole of the shrunk picture stays in the image.
    gain: contrast, a factor uniform in [1 - g, 1 + g]. bias: brightness, uniform in [-b, b] of the full range of grey.
    """

    flip: float
    rotation: float
    shear: float
    shift: float
    scale: float
    stretch: float
    small_share: float
    small_scale: float
    gain: float
    bias: float


@dataclass(frozen=True)
class Transforms:
    """One random transform for each of n faces.

    matrix: float64 (n, 2, 3), maps a point (x, y, 1) of the original to the transformed image, pixels; a mirror is part of it.
    mirrored: bool (n,), whether left and right keypoints change places. gain: (n,) factor; bias: (n,) in grey levels.
    """

    matrix: np.ndarray
    mirrored: np.ndarray
    gain: np.ndarray
    bias: np.ndarray

    def after(self, matrix: np.ndarray) -> "Transforms":
        """These transforms after other maps (n, 2, 3) that mirror nothing."""
        return replace(self, matrix=affine.compose(self.matrix, matrix))


@record
class AugmentedVersions:
    """Augmented copies of the training part; copy c of face i stands at [c, i] in every array."""

    images: np.ndarray = array("uint8", "copy face row column", "grey level", "augmented faces")
    keypoints: np.ndarray = array(
        "float32", "copy face keypoint xy", "px", "keypoints x, y; NaN where not labelled or moved out of the image"
    )

    PLOT = Plot("images", (".", ".", ".", "."), "image")


def draw(n: int, side: int, ranges: Ranges, *, rng: np.random.Generator) -> Transforms:
    """Draws the transforms of n faces of side x side pixels."""

    def uniform(limit):
        return rng.uniform(-limit, limit, n)

    mirrored = rng.random(n) < ranges.flip
    angle, shear = np.radians(uniform(ranges.rotation)), np.tan(np.radians(uniform(ranges.shear)))
    scale, stretch = np.exp(uniform(np.log(ranges.scale))), np.exp(uniform(np.log(ranges.stretch)))
    shift = np.stack([uniform(ranges.shift), uniform(ranges.shift)], axis=1)
    small = rng.random(n) < ranges.small_share
    shrink = np.where(small, np.exp(rng.uniform(np.log(ranges.small_scale), 0, n)), 1.0)
    # A picture shrunk to f of the side may move by (1 - f) / 2 of the side before it leaves the image.
    roam = np.where(small, (1 - shrink) * side / 2, 0.0)[:, None] * rng.uniform(-1, 1, (n, 2))

    linear = (
        _rotation(angle) @ _shear(shear) @ _diagonal(scale * shrink * stretch * np.where(mirrored, -1.0, 1.0), scale * shrink / stretch)
    )
    centre = np.full(2, side / 2)
    offset = centre + shift + roam - linear @ centre
    matrix = np.concatenate([linear, offset[:, :, None]], axis=2)
    gain = 1 + uniform(ranges.gain)
    return Transforms(matrix, mirrored, gain, 255 * uniform(ranges.bias))


def apply(
    images: Images, keypoints: np.ndarray, transforms: Transforms, keypointset: KeypointSet, *, side: int
) -> tuple[affine.Warped, np.ndarray]:
    """Transforms faces and their keypoints together; the images when they are asked for.

    images: uint8 (n, s, s). keypoints: float32 (n, K, 2) pixels, NaN where not labelled.
    Returns both in the same form, the images with side x side pixels; a keypoint that leaves the image becomes NaN.
    """
    if not len(images) == len(keypoints) == len(transforms.matrix):
        raise ValueError(f"{len(images)} images, {len(keypoints)} rows of keypoints and {len(transforms.matrix)} transforms do not match")
    return warp(images, transforms, side), move(keypoints, transforms, keypointset, side=side)


def move(keypoints: np.ndarray, transforms: Transforms, keypointset: KeypointSet, *, side: int) -> np.ndarray:
    """Keypoints (n, K, 2) in pixels after the transforms; float32, NaN outside the image of side x side pixels.

    Raises ValueError for a mirrored image of a set whose images must not be mirrored.
    """
    ordered = keypoints
    if transforms.mirrored.any():
        ordered = np.where(transforms.mirrored[:, None, None], keypoints[:, keypointset.mirror_order, :], keypoints)
    moved = affine.move(ordered, transforms.matrix)
    outside = ((moved < 0) | (moved > side)).any(axis=2, keepdims=True)
    return np.where(outside, np.nan, moved).astype(np.float32)


def warp(images: Images, transforms: Transforms, side: int) -> affine.Warped:
    """Images uint8 (n, side, side) of images uint8 (n, s, s) after the transforms, made when they are asked for; see affine.warp."""
    return affine.Warped(images, transforms.matrix, side, gain=transforms.gain, bias=transforms.bias)


def versions(
    images: Images, keypoints: np.ndarray, *, keypointset: KeypointSet, ranges: Ranges, count: int, seed: int
) -> Iterator[tuple[affine.Warped, np.ndarray]]:
    """Yields `count` augmented versions (images, keypoints) of images uint8 (n, s, s) and keypoints (n, K, 2), of the same size.

    Version v depends only on the seed and v. `ranges.flip` counts as 0 for a set whose images must not be mirrored.
    """
    side, ranges = images.shape[-1], allowed(ranges, keypointset)
    for version in range(count):
        transforms = draw(len(images), side, ranges, rng=np.random.default_rng([seed, version]))
        yield apply(images, keypoints, transforms, keypointset, side=side)


def allowed(ranges: Ranges, keypointset: KeypointSet) -> Ranges:
    """The ranges without mirroring where the keypoint set forbids it."""
    return ranges if keypointset.mirror is not None else replace(ranges, flip=0.0)


def _rotation(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1).reshape(-1, 2, 2)


def _shear(tangent: np.ndarray) -> np.ndarray:
    one, zero = np.ones_like(tangent), np.zeros_like(tangent)
    return np.stack([one, tangent, zero, one], axis=-1).reshape(-1, 2, 2)


def _diagonal(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    zero = np.zeros_like(x)
    return np.stack([x, zero, zero, y], axis=-1).reshape(-1, 2, 2)
