"""Affine maps: composition, their effect on points, and that pixels move with the points."""

import numpy as np
import pytest
from skimage.filters import gaussian
from skimage.transform import AffineTransform
from skimage.transform import warp as skimage_warp
from toys import centroid, dots_at

from pipeline import lazyrows
from pipeline.geometry import affine
from pipeline.geometry.frame import Frame
from pipeline.lazyrows import LazyRows


def maps(n, *, seed=0, reach=6.0):
    """Maps (n, 2, 3) that rotate, mirror, shear, stretch by up to 1.6, and shift by up to `reach` pixels."""
    rng = np.random.default_rng(seed)
    left, _, right = np.linalg.svd(rng.normal(size=(n, 2, 2)))
    linear = left * rng.uniform(1 / 1.6, 1.6, (n, 1, 2)) @ right
    return np.concatenate([linear, rng.uniform(-reach, reach, (n, 2, 1))], axis=2)


def noise(n, side, seed=0):
    """Images of smooth noise from black to white."""
    levels = gaussian(np.random.default_rng(seed).standard_normal((n, side, side)), sigma=(0, 1.5, 1.5))
    return np.round(255 * (levels - levels.min()) / np.ptp(levels)).astype(np.uint8)


def about_the_middle(matrix, side, new_side):
    """Maps from the centre of one image to that of the other, combined with a rotation and so on about it."""
    to_middle, from_middle = np.eye(2, 3), np.eye(2, 3)
    to_middle[:, 2], from_middle[:, 2] = -side / 2, new_side / 2
    return affine.compose(from_middle, affine.compose(matrix, to_middle))


@pytest.mark.parametrize("shape", [(), (4,), (2, 4)], ids=str)
def test_points_move_as_in_the_loop(shape):
    """Each point (x, y) of face i becomes M_i (x, y, 1), with any axes in between; NaN stays NaN and affects no other point."""
    points, matrix = np.random.default_rng(1).uniform(0, 30, (3, *shape, 2)), maps(3)
    points.reshape(-1, 2)[1] = np.nan
    moved = affine.move(points, matrix)
    expected = [[matrix[i] @ [*point, 1] for point in points[i].reshape(-1, 2)] for i in range(3)]
    np.testing.assert_allclose(moved, np.reshape(expected, points.shape))
    assert np.isnan(moved).sum() == 2


def test_a_composition_does_the_first_and_then_the_second():
    """Points move as they do under one map after the other; one of the two may be a single map for all faces."""
    points, first, second = np.random.default_rng(2).uniform(0, 30, (5, 4, 2)), maps(5, seed=1), maps(5, seed=2)
    both = affine.move(affine.move(points, first), second)
    np.testing.assert_allclose(affine.move(points, affine.compose(second, first)), both)
    assert np.abs(affine.move(points, affine.compose(first, second)) - both).max() > 1
    one = second[0]
    after, before = affine.compose(one, first), affine.compose(first, one)
    np.testing.assert_allclose(after, affine.compose(np.tile(one, (5, 1, 1)), first))
    np.testing.assert_allclose(before, affine.compose(first, np.tile(one, (5, 1, 1))))


def test_the_inverse_undoes_a_map():
    """A map and its inverse compose, in either order, to the identity, which moves nothing."""
    matrix, points = maps(5), np.random.default_rng(3).uniform(0, 30, (5, 4, 2))
    for both in (affine.compose(affine.inverse(matrix), matrix), affine.compose(matrix, affine.inverse(matrix))):
        np.testing.assert_allclose(both, affine.identity(5), atol=1e-12)
    np.testing.assert_array_equal(affine.move(points, affine.identity(5)), points)


def test_magnification_is_the_factor_of_lengths():
    """It is 2 for a rotation by 30 degrees with scale 2, mirrored or not; 1 for a stretch of 1.5 and 1 / 1.5; 0.5 for half the size."""
    turned = 2 * np.array([[np.sqrt(3) / 2, -0.5], [0.5, np.sqrt(3) / 2]])
    linear = np.stack([turned, turned @ np.diag([-1, 1]), np.diag([1.5, 1 / 1.5]), np.diag([0.5, 0.5])])
    matrix = np.concatenate([linear, np.full((4, 2, 1), 7.0)], axis=2)
    np.testing.assert_allclose(affine.magnification(matrix), [2, 2, 1, 0.5])


@pytest.mark.parametrize(("side", "n"), [(32, 1), (17, affine.CHUNK), (32, 2 * affine.CHUNK + 3)])
def test_the_identity_leaves_images_as_they_are(side, n):
    """White noise from 0 to 255 is returned byte for byte, also if the last chunk is not full."""
    images = np.random.default_rng(0).integers(0, 256, (n, side, side), dtype=np.uint8)
    np.testing.assert_array_equal(affine.warp(images, affine.identity(n), side), images)


@pytest.mark.parametrize("side", [20, 32, 48])
def test_the_warp_is_that_of_scikit_image(side):
    """The pixels are within one grey level of skimage's warp(order=1, mode="edge"), for results smaller and larger than the images.

    There centres lie at i, here at i + 0.5.
    """
    images, to_corner = noise(11, 32), AffineTransform(translation=(0.5, 0.5))
    matrix = about_the_middle(maps(11), 32, side)
    for image, warped, one in zip(images, affine.warp(images, matrix, side), matrix, strict=True):
        forward = to_corner + AffineTransform(np.vstack([one, [0, 0, 1]])) + to_corner.inverse
        options = {"output_shape": (side, side), "order": 1, "mode": "edge", "preserve_range": True}
        assert np.abs(warped - skimage_warp(image.astype(float), forward.inverse, **options)).max() <= 1


@pytest.mark.parametrize("side", [64, 128])
def test_pixels_go_where_points_go(side):
    """A dot's centroid stays within 0.1 px of the point at which it was drawn, in results smaller and larger than the image."""
    points = 48 + np.random.default_rng(4).uniform(-8, 8, (40, 2))
    matrix = about_the_middle(maps(40, reach=3.0), 96, side)
    moved = affine.move(points, matrix)
    inside = (np.abs(moved - side / 2) < side / 2 - 14).all(axis=1)  # dots that are completely inside the result
    assert inside.sum() > 20
    assert np.abs(centroid(affine.warp(dots_at(points, side=96), matrix, side)) - moved)[inside].max() < 0.1


def test_colour_is_warped_channel_by_channel():
    """Each channel of a colour image becomes what it would become as a grey image."""
    images, matrix = np.stack([noise(3, 32, seed=seed) for seed in range(3)], axis=-1), maps(3)
    warped = affine.warp(images, matrix, 20)
    for channel in range(3):
        np.testing.assert_array_equal(warped[..., channel], affine.warp(images[..., channel], matrix, 20))


def test_the_contrast_of_a_colour_image_changes_around_one_mean():
    """Twice the contrast moves each level away from the mean of all channels; computed by hand for an image of two colours."""
    image = np.zeros((1, 16, 16, 3), np.uint8)
    image[...] = [90, 100, 110]
    brighter = affine.warp(image, affine.identity(1), 16, gain=np.array([2.0]), bias=np.array([5.0]))
    np.testing.assert_array_equal(brighter[0, 3, 4], [85, 105, 125])


@pytest.mark.parametrize("shape", [(2, 48, 48), (2, 48, 48, 3)], ids=["grey", "colour"])
def test_a_reduced_image_has_the_means_of_its_squares(shape):
    """At a third of the size each pixel is the mean of 3 x 3 pixels; half the size needs no reduction to be the mean of 2 x 2."""
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for factor in (2, 3):
        means = images.reshape(2, 48 // factor, factor, 48 // factor, factor, *shape[3:]).mean(axis=(2, 4))
        assert np.abs(affine.resized(images, 48 // factor)[:] - means).max() < 0.6


def test_images_of_the_right_size_are_not_touched():
    """No new array is made and nothing is computed."""
    images = noise(2, 32)
    assert affine.resized(images, 32) is images


@pytest.mark.parametrize("side", [40, 64, 96, 150])
def test_keypoints_of_a_resized_image_move_by_its_factor(side):
    """A dot's centroid is where its position is in the smaller image, whether or not the sides divide each other."""
    points = side * np.random.default_rng(4).uniform(0.35, 0.65, (10, 2))
    small = affine.resized(dots_at(points, side=side, width=side / 16), 32)[:]
    assert np.abs(centroid(small) - points * (32 / side)).max() < 0.1


@pytest.mark.parametrize(("scale", "factor"), [(2.0, 1), (1.0, 1), (0.5, 1), (0.49, 2), (1 / 3, 3), (0.26, 3), (0.25, 4)])
def test_bilinear_interpolation_skips_no_pixel(scale, factor):
    """Images are reduced by the whole factor that leaves at least the size of the result, and only if it is less than half theirs."""
    assert affine.reduction(scale) == factor


def test_large_images_are_warped_a_few_at_a_time(monkeypatch):
    """A lazy warp reads no more of its images than a block at once, and the result is that of all at once."""
    images, taken = noise(40, 64), []

    class Noted(LazyRows):
        def take(self, rows):
            taken.append(len(rows))
            return images[rows]

    monkeypatch.setattr(lazyrows, "BLOCK_BYTES", 4 * images[0].nbytes)
    matrix = maps(40)
    np.testing.assert_array_equal(affine.Warped(Noted(images.shape, np.uint8), matrix, 8)[:], affine.warp(images, matrix, 8))
    assert max(taken) == 4


def test_levels_converted_before_or_after_they_are_taken(monkeypatch):
    """Both ways give the same pixels."""
    images, matrix = noise(3, 64), maps(3)
    after = affine.warp(images, matrix, 16)
    monkeypatch.setattr(affine, "FEW", 1000)
    np.testing.assert_array_equal(affine.warp(images, matrix, 16), after)


def test_as_many_images_as_maps():
    """Any other number raises an error with both numbers; no images and no maps give an empty result."""
    with pytest.raises(ValueError, match="3 images and 2 maps"):
        affine.warp(noise(3, 16), affine.identity(2), 16)
    assert affine.warp(noise(3, 16)[:0], affine.identity(0), 20).shape == (0, 20, 20)


def test_units_are_inverse_and_keep_what_is_missing():
    """The image extends from -1 to 1; converting there and back changes nothing, NaN stays NaN, and float32 stays float32."""
    pixels = np.array([[0, 20], [10, 15], [np.nan, np.nan]], np.float32)
    unit = Frame(20).to_unit(pixels)
    assert unit.dtype == np.float32
    np.testing.assert_array_equal(unit, [[-1, 1], [0, 0.5], [np.nan, np.nan]])
    np.testing.assert_array_equal(Frame(20).to_pixels(unit), pixels)


@pytest.mark.parametrize(("zoom", "reduction"), [(1.0, 1), (0.5, 1), (0.3, 3)], ids=["same size", "half", "reduced"])
def test_a_window_of_a_large_image_is_the_same_as_that_of_the_whole(zoom, reduction):
    """Only the pixels that a small window needs are read, and the result differs by rounding at most, also beyond the edges."""
    images, rng = noise(4, 300), np.random.default_rng(3)
    angle, centre = rng.uniform(-3, 3, 40), rng.uniform(-20, 320, (40, 2))
    linear = zoom * np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1).reshape(-1, 2, 2)
    matrix = np.concatenate([linear, (16 - np.einsum("nij,nj->ni", linear, centre))[:, :, None]], axis=2)
    rows = rng.integers(0, 4, 40)
    found = affine.warp(lazyrows.Selected(images, rows), matrix, 32, reduction=reduction)
    # Together with a window that needs the whole image, the windows of a chunk are computed from whole images.
    everything = np.concatenate([[[zoom / 20, 0, 0], [0, zoom / 20, 0]]])[None]
    expected = []
    for row, own in zip(rows, matrix, strict=True):
        pair = affine.warp(images[[row, row]], np.concatenate([everything, own[None]]), 32, reduction=reduction)
        expected.append(pair[1])
    difference = np.abs(found.astype(int) - np.array(expected))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_images_are_reduced_to_means_of_squares():
    """At once if they are in memory, otherwise when rows are read; the last square of a row may be smaller."""

    class InFile(LazyRows):
        def take(self, rows):
            return images[rows]

    images = noise(3, 31)
    found = affine.reduced(images, 3)
    assert found.shape == (3, 11, 11)
    np.testing.assert_allclose(found[1, 2, 4], images[1, 6:9, 12:15].mean(), atol=0.51)
    np.testing.assert_allclose(found[1, 10, 10], images[1, 30, 30], atol=0.51)
    lazy = affine.reduced(InFile(images.shape, np.uint8), 3)
    assert isinstance(lazy, LazyRows)
    np.testing.assert_array_equal(lazy[:], found)
    assert affine.reduced(images, 1) is images
