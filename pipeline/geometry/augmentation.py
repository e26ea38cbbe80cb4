"""Augmented versions of labelled faces: the same affine map moves the pixels and the keypoints.

Random parameters are drawn (`draw`) separately from applying them (`apply`), so that a transform can be inspected, repeated and tested.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.geometry import affine, scenes
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images
from pipeline.schema import Plot, array, record

SCENE = 1  # marks the random numbers of scenes, so that they do not change those of the transforms


@dataclass(frozen=True)
class Ranges:
    """The ranges of the random transforms. Lengths are in pixels, angles in degrees.

    flip: share of mirrored faces. rotation, shear: angles, uniform in [-a, a]. shift: uniform in [-s, s], separately for x and y.
    scale: factor for both axes, log-uniform in [1/f, f]. stretch: factor for x and its inverse for y, log-uniform in [1/f, f].
    small_share: share of faces that are also reduced by a factor log-uniform in [small_scale, 1] and then moved at random to a place where
    the reduced picture is still completely inside the image. gain: factor for the contrast, uniform in [1 - g, 1 + g].
    bias: added brightness, uniform in [-b, b] times the full range of grey levels. scene_share: share of faces in scenes, see `scenes`.
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
    scene_share: float = 0.0

    def milder(self, factor: float) -> "Ranges":
        """Ranges in which a sample is moved, turned and scaled less, and is less often small or in a scene. factor: 0 to 1.

        Angles, shifts, the logarithms of the scales and the shares are multiplied by the factor. Mirroring, contrast and brightness stay.
        """
        linear = ("rotation", "shear", "shift", "small_share", "scene_share")
        changed = {name: factor * getattr(self, name) for name in linear}
        return replace(self, **changed, scale=self.scale**factor, stretch=self.stretch**factor)


@dataclass(frozen=True)
class Transforms:
    """One random transform for each of n faces.

    matrix: float64 (n, 2, 3), maps a point (x, y, 1) of the original to the transformed image, in pixels, including mirroring.
    mirrored: bool (n,), whether left and right keypoints exchange places. gain: (n,), factor for the contrast. bias: (n,), grey levels.
    """

    matrix: np.ndarray
    mirrored: np.ndarray
    gain: np.ndarray
    bias: np.ndarray

    def after(self, matrix: np.ndarray) -> "Transforms":
        """The transforms that first apply the maps `matrix` (n, 2, 3), which must not mirror, and then these transforms."""
        return replace(self, matrix=affine.compose(self.matrix, matrix))

    def placed(self, surroundings: scenes.Scenes) -> "Transforms":
        """The transforms that then place some of the faces in scenes."""
        return replace(self, matrix=surroundings.after(self.matrix))


@record
class AugmentedVersions:
    """Augmented versions of the training part: version v of face i is at [v, i] in every array.

    If each epoch of the training draws its own versions, there are only those of one face, see `example`.
    """

    images: np.ndarray = array("uint8", "version face row column channel?", "grey level", "augmented faces")
    keypoints: np.ndarray = array(
        "float32", "version face keypoint xy", "px", "keypoints x, y in these images; NaN where not labelled or moved out of the image"
    )

    PLOT = Plot("images", (".", ".", ".", "."), "image")


def draw(n: int, side: int, ranges: Ranges, *, rng: np.random.Generator) -> Transforms:
    """Draws random transforms for n faces of side x side pixels."""

    def uniform(limit: float) -> np.ndarray:
        return rng.uniform(-limit, limit, n)

    mirrored = rng.random(n) < ranges.flip
    angle, shear = np.radians(uniform(ranges.rotation)), np.tan(np.radians(uniform(ranges.shear)))
    scale, stretch = np.exp(uniform(np.log(ranges.scale))), np.exp(uniform(np.log(ranges.stretch)))
    shift = np.stack([uniform(ranges.shift), uniform(ranges.shift)], axis=1)
    small = rng.random(n) < ranges.small_share
    shrink = np.where(small, np.exp(rng.uniform(np.log(ranges.small_scale), 0, n)), 1.0)
    # A picture that is reduced to f times the side can move by (1 - f) / 2 of the side before it leaves the image.
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
    images: Images, keypoints: np.ndarray, transforms: Transforms, keypointset: KeypointSet, *, side: int, reduction: int = 1
) -> tuple[affine.Warped, np.ndarray]:
    """Transforms faces together with their keypoints; the images are computed lazily.

    images: uint8 (n, s, s) or (n, s, s, 3). keypoints: float32 (n, K, 2), pixels, NaN where not labelled. reduction: see `affine.warp`.
    Returns both in the same form, the images with side x side pixels. Keypoints outside the image become NaN.
    Raises ValueError if the lengths differ, and as `move` does.
    """
    if not len(images) == len(keypoints) == len(transforms.matrix):
        raise ValueError(f"{len(images)} images, {len(keypoints)} rows of keypoints and {len(transforms.matrix)} transforms do not match")
    return warp(images, transforms, side, reduction), move(keypoints, transforms, keypointset, side=side)


def move(keypoints: np.ndarray, transforms: Transforms, keypointset: KeypointSet, *, side: int) -> np.ndarray:
    """The keypoints (n, K, 2), pixels, after the transforms: float32, NaN outside the image of side x side pixels.

    Raises ValueError if an image is mirrored although the keypoint set forbids it.
    """
    ordered = keypoints
    if transforms.mirrored.any():
        ordered = np.where(transforms.mirrored[:, None, None], keypoints[:, keypointset.mirror_order, :], keypoints)
    moved = affine.move(ordered, transforms.matrix)
    outside = ((moved < 0) | (moved > side)).any(axis=2, keepdims=True)
    return np.where(outside, np.nan, moved).astype(np.float32)


def warp(images: Images, transforms: Transforms, side: int, reduction: int = 1) -> affine.Warped:
    """The images uint8 (n, s, s) or (n, s, s, 3) after the transforms: side x side pixels, computed lazily; see `affine.warp`."""
    return affine.Warped(images, transforms.matrix, side, reduction=reduction, gain=transforms.gain, bias=transforms.bias)


def versions(
    images: Images, keypoints: np.ndarray, *, keypointset: KeypointSet, ranges: Sequence[Ranges], seed: int
) -> Iterator[tuple[Images, np.ndarray]]:
    """Yields augmented versions (images, keypoints) of images uint8 (n, s, s) or (n, s, s, 3) and keypoints (n, K, 2), pixels, with the
    same shapes.

    ranges: those of each version. Version v depends only on its ranges, the seed and v. If the keypoint set forbids mirroring, `flip`
    counts as 0.
    """
    side = images.shape[1]
    for version, own in enumerate(allowed(given, keypointset) for given in ranges):
        transforms = draw(len(images), side, own, rng=np.random.default_rng([seed, version]))
        surroundings = scenes.draw(len(images), side, own.scene_share, rng=np.random.default_rng([seed, version, SCENE]))
        warped, moved = apply(images, keypoints, transforms.placed(surroundings), keypointset, side=side)
        yield scenes.Surrounded(warped, surroundings, affine.identity(len(images))), moved


def example(keypoints: np.ndarray) -> int:
    """The face whose versions show what the augmentation does: the first with the most labels. keypoints: (n, K, 2), NaN without label."""
    return int((~np.isnan(keypoints)).sum(axis=(1, 2)).argmax())


def allowed(ranges: Ranges, keypointset: KeypointSet) -> Ranges:
    """The ranges, without mirroring if the keypoint set forbids it."""
    return ranges if keypointset.mirror is not None else replace(ranges, flip=0.0)


def _rotation(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1).reshape(-1, 2, 2)


def _shear(tangent: np.ndarray) -> np.ndarray:
    one, zero = np.ones_like(tangent), np.zeros_like(tangent)
    return np.stack([one, tangent, zero, one], axis=-1).reshape(-1, 2, 2)


def _diagonal(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    zero = np.zeros_like(x)
    return np.stack([x, zero, zero, y], axis=-1).reshape(-1, 2, 2)
