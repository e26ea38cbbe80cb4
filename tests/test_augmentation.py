"""Augmented versions: pixels and keypoints under one affine map, and the random parameters of that map."""

from dataclasses import replace

import numpy as np
import pytest
from skimage.filters import gaussian
from skimage.transform import AffineTransform
from skimage.transform import warp as skimage_warp
from toys import STILL, centroid, dots_at

from pipeline.geometry import augmentation
from pipeline.geometry.augmentation import Transforms, draw, move, versions, warp
from pipeline.keypoints.kaggle import KAGGLE, SIDE

K = len(KAGGLE.names)
ALONE = {
    "still": {},
    "flip": {"flip": 1.0},
    "rotation": {"rotation": 20.0},
    "shear": {"shear": 8.5},
    "shift": {"shift": 8.0},
    "scale": {"scale": 1.17},
    "stretch": {"stretch": 1.08},
    "small": {"small_share": 1.0, "small_scale": 0.45},
}
DEFAULT = {name: value for change in ALONE.values() for name, value in change.items()} | {"flip": 0.5, "small_share": 0.25}
# The widest ranges used by readers of the kfkd tutorial: any rotation, scale 1.6, shear 20 degrees, stretch 1.3.
WIDE = {"flip": 0.5, "rotation": 180.0, "shear": 20.0, "shift": 10.0, "scale": 1.6, "stretch": 1.3}


def apply(*arguments):
    """`augmentation.apply` with the images computed."""
    images, keypoints = augmentation.apply(*arguments, side=SIDE)
    return images[:], keypoints


def ranges(**changes):
    return replace(STILL, **changes)


def drawn(n, seed=0, **changes):
    return draw(n, SIDE, ranges(**changes), rng=np.random.default_rng(seed))


def noise(n, seed=0):
    """Images of smooth noise that cover the whole range of grey levels."""
    levels = gaussian(np.random.default_rng(seed).standard_normal((n, SIDE, SIDE)), sigma=(0, 2, 2))
    levels = (levels - levels.min()) / (levels.max() - levels.min())
    return np.round(255 * levels).astype(np.uint8)


def random_keypoints(n, *, reach, seed=0):
    offset = np.random.default_rng(seed).uniform(-reach, reach, (n, K, 2))
    return (SIDE / 2 + offset).astype(np.float32)


# ---- geometry --------------------------------------------------------------------------------------------------------------------------


def test_a_flip_of_a_flip_is_the_identity():
    """Mirroring twice gives the same pixels exactly and the same keypoints to 1e-4 px."""
    images, keypoints, flip = noise(6), random_keypoints(6, reach=40), drawn(6, flip=1.0)
    once = apply(images, keypoints, flip, KAGGLE)
    again = apply(*once, flip, KAGGLE)
    np.testing.assert_array_equal(once[0], images[:, :, ::-1])
    np.testing.assert_array_equal(again[0], images)
    np.testing.assert_allclose(again[1], keypoints, atol=1e-4)


def test_a_flip_exchanges_left_and_right():
    """The mirrored position of the left eye becomes that of the right eye; the nose keeps its name."""
    keypoints = random_keypoints(3, reach=40)
    flipped = move(keypoints, drawn(3, flip=1.0), KAGGLE, side=SIDE)
    for name, other in (("left_eye_center", "right_eye_center"), ("mouth_right_corner", "mouth_left_corner"), ("nose_tip", "nose_tip")):
        here, there = KAGGLE.names.index(name), KAGGLE.names.index(other)
        np.testing.assert_allclose(flipped[:, there], np.array([SIDE, 0]) + keypoints[:, here] * [-1, 1], atol=1e-4)


@pytest.mark.parametrize("changes", [*ALONE.values(), DEFAULT, WIDE], ids=[*ALONE, "default", "wide"])
def test_the_warp_is_that_of_scikit_image(changes):
    """The pixels are within one grey level of skimage.transform.warp(order=1, mode="edge"), whose pixel centres are at i, not i + 0.5."""
    images, transforms = noise(5), drawn(5, seed=3, **changes)
    ours, to_corner = warp(images, transforms, SIDE)[:], AffineTransform(translation=(0.5, 0.5))
    for image, warped, matrix in zip(images, ours, transforms.matrix, strict=True):
        forward = to_corner + AffineTransform(np.vstack([matrix, [0, 0, 1]])) + to_corner.inverse
        theirs = skimage_warp(image.astype(float), forward.inverse, order=1, mode="edge", preserve_range=True)
        assert np.abs(warped - theirs).max() <= 1


@pytest.mark.parametrize("changes", [*ALONE.values(), DEFAULT, WIDE], ids=[*ALONE, "default", "wide"])
def test_a_dot_follows_its_keypoint(changes):
    """The centroid of a dot drawn at a keypoint stays within 0.1 px of the keypoint through every transform, separately and combined."""
    n = 60
    keypoints, transforms = random_keypoints(n, reach=25, seed=1), drawn(n, seed=2, **changes)
    which = np.arange(n) % K
    images, moved = apply(dots_at(keypoints[np.arange(n), which], side=SIDE), keypoints, transforms, KAGGLE)
    place = np.where(transforms.mirrored, np.array(KAGGLE.mirror_order)[which], which)
    wanted = moved[np.arange(n), place]
    # Only dots that are completely inside have their centroid at the point at which they were drawn.
    inside = (np.abs(wanted - SIDE / 2) < SIDE / 2 - 14).all(axis=1)
    assert inside.sum() > n / 2
    assert np.abs(centroid(images[inside]) - wanted[inside]).max() < 0.1


def test_a_keypoint_that_leaves_the_image_is_nan():
    """Outside 0 to `side` a keypoint is NaN in x and y; on the border it is kept; NaN stays NaN."""
    keypoints = np.full((1, K, 2), 50, np.float32)
    keypoints[0, :5] = [[86, 50], [86.01, 50], [50, 86.01], [np.nan, np.nan], [0, 50]]
    by_ten = Transforms(np.array([[[1.0, 0, 10], [0, 1, 10]]]), np.array([False]), np.ones(1), np.zeros(1))
    moved = move(keypoints, by_ten, KAGGLE, side=SIDE)
    np.testing.assert_allclose(moved[0, 0], [96, 60])
    assert np.isnan(moved[0, 1:4]).all()
    np.testing.assert_allclose(moved[0, 4:6], [[10, 60], [60, 60]])


def test_a_flip_moves_missing_labels_with_their_names():
    """A face without a label for the left eye has none for the right eye after mirroring."""
    keypoints = random_keypoints(1, reach=20)
    left, right = (KAGGLE.names.index(f"{side}_eye_center") for side in ("left", "right"))
    keypoints[0, left] = np.nan
    flipped = move(keypoints, drawn(1, flip=1.0), KAGGLE, side=SIDE)
    assert np.flatnonzero(np.isnan(flipped[0, :, 0])).tolist() == [right]


# ---- what is drawn ---------------------------------------------------------------------------------------------------------------------

MANY = 4000


def within(values, low, high):
    """Whether the values are inside the range and come within 1 % of both of its ends."""
    margin = 0.01 * (high - low)
    return low <= values.min() < low + margin and high - margin < values.max() <= high


def test_angles_and_shifts_are_uniform_in_their_ranges():
    """Rotation, shear and shift cover [-a, a], the shift independently in x and y."""
    rotation = drawn(MANY, rotation=20.0).matrix
    assert within(np.degrees(np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])), -20, 20)
    assert within(np.degrees(np.arctan(drawn(MANY, shear=8.5).matrix[:, 0, 1])), -8.5, 8.5)
    shift = drawn(MANY, shift=8.0).matrix[:, :, 2]
    assert within(shift[:, 0], -8, 8)
    assert within(shift[:, 1], -8, 8)
    assert abs(np.corrcoef(shift.T)[0, 1]) < 0.05


@pytest.mark.parametrize(("changes", "x", "y"), [({"scale": 1.5}, 1, 1), ({"stretch": 1.5}, 1, -1)], ids=["scale", "stretch"])
def test_factors_are_uniform_in_their_logarithm(changes, x, y):
    """A factor f is as likely as 1 / f: the logarithm is uniform in [-log f, log f]. Stretch scales y by the inverse of x's factor."""
    matrix = drawn(MANY, **changes).matrix
    logarithm = np.log(matrix[:, 0, 0]) * x
    np.testing.assert_allclose(np.log(matrix[:, 1, 1]), y * logarithm, atol=1e-12)
    assert within(logarithm, -np.log(1.5), np.log(1.5))
    # Quartiles of a uniform distribution, to four standard errors (0.27 % of the range each for 4,000 draws, density 1).
    np.testing.assert_allclose(np.quantile(logarithm, [0.25, 0.5, 0.75]), np.log(1.5) * np.array([-0.5, 0, 0.5]), atol=0.03)


def test_small_faces_are_their_share_and_stay_in_the_image():
    """A share of small_share is reduced by a log-uniform factor down to small_scale, and the reduced picture stays inside the image."""
    matrix = drawn(MANY, small_share=0.25, small_scale=0.45).matrix
    factor = matrix[:, 0, 0]
    small = factor < 1
    assert abs(small.mean() - 0.25) < 0.03  # four standard errors of a share of 0.25 in 4,000 draws
    assert within(np.log(factor[small]), np.log(0.45), 0)
    corners = np.array([[0, 0, 1], [SIDE, SIDE, 1]]) @ matrix.transpose(0, 2, 1)
    assert within(corners[small], 0, SIDE)
    np.testing.assert_allclose(corners[~small], np.broadcast_to([[0, 0], [SIDE, SIDE]], corners[~small].shape), atol=1e-9)


def test_the_share_of_mirrored_faces_is_flip():
    """flip is the share of mirrored faces, and `mirrored` marks them: their x axis is reversed."""
    transforms = drawn(MANY, flip=0.3)
    assert abs(transforms.mirrored.mean() - 0.3) < 0.03  # four standard errors
    np.testing.assert_array_equal(transforms.matrix[:, 0, 0], np.where(transforms.mirrored, -1, 1))


def test_gain_and_bias_fill_their_ranges():
    """gain is drawn from [1 - g, 1 + g], bias from [-b, b] of the 255 grey levels."""
    transforms = drawn(MANY, gain=0.3, bias=0.15)
    assert within(transforms.gain, 0.7, 1.3)
    assert within(transforms.bias, -0.15 * 255, 0.15 * 255)


def test_nothing_changes_without_ranges():
    """If all ranges are empty, the images are returned byte for byte and the keypoints do not move."""
    images, keypoints = noise(3), random_keypoints(3, reach=40)
    still = apply(images, keypoints, drawn(3), KAGGLE)
    np.testing.assert_array_equal(still[0], images)
    np.testing.assert_array_equal(still[1], keypoints)


def test_images_that_must_not_be_mirrored_are_never_mirrored():
    """For a keypoint set with mirror=None the share of mirrored images counts as 0, also in `versions`; the other ranges stay the same."""
    unmirrored = replace(KAGGLE, mirror=None)
    wanted = ranges(**DEFAULT)
    assert augmentation.allowed(wanted, KAGGLE) is wanted
    assert augmentation.allowed(wanted, unmirrored) == replace(wanted, flip=0.0)
    images, keypoints = noise(20), random_keypoints(20, reach=30)
    flipped, without = (
        [(i[:].tobytes(), k.tobytes()) for i, k in versions(images, keypoints, keypointset=unmirrored, ranges=[r] * 2, seed=1)]
        for r in (ranges(**DEFAULT | {"flip": 1.0}), ranges(**DEFAULT | {"flip": 0.0}))
    )
    assert flipped == without


def test_mirroring_images_that_must_not_be_mirrored_raises():
    """Such a set has no mirror order by which keypoints could be exchanged. Without a mirrored image nothing is raised."""
    unmirrored, keypoints = replace(KAGGLE, mirror=None), random_keypoints(3, reach=30)
    with pytest.raises(ValueError, match="must not be mirrored"):
        move(keypoints, drawn(3, flip=1.0), unmirrored, side=SIDE)
    np.testing.assert_array_equal(move(keypoints, drawn(3), unmirrored, side=SIDE), keypoints)


# ---- grey levels -----------------------------------------------------------------------------------------------------------------------


def test_gain_stretches_contrast_about_the_mean_and_bias_adds_grey_levels():
    """A gain of 0.5 halves the distance of each pixel from the mean of its image; a bias of 20 adds 20; results are rounded."""
    images = np.clip(noise(2), 60, 190)
    identity = drawn(2).matrix
    none = np.zeros(2, bool)
    halved = warp(images, Transforms(identity, none, np.full(2, 0.5), np.zeros(2)), SIDE)[:]
    mean = images.mean(axis=(1, 2), keepdims=True)
    assert np.abs(halved - (mean + (images - mean) / 2)).max() <= 0.51
    np.testing.assert_array_equal(warp(images, Transforms(identity, none, np.ones(2), np.full(2, 20.0)), SIDE)[:], images + 20)


def test_grey_levels_saturate():
    """Levels beyond black or white are clipped and do not wrap around."""
    images, transforms = noise(2), drawn(2)
    bright, dark = (warp(images, replace(transforms, bias=np.full(2, bias)), SIDE)[:] for bias in (300.0, -300.0))
    assert (bright == 255).all()
    assert (dark == 0).all()


# ---- versions --------------------------------------------------------------------------------------------------------------------------


def made(count, seed=5, n=9):
    options = {"keypointset": KAGGLE, "ranges": [ranges(**DEFAULT, gain=0.3, bias=0.15)] * count, "seed": seed}
    return [(images[:], keypoints) for images, keypoints in versions(noise(n), random_keypoints(n, reach=45), **options)]


def test_each_version_has_its_own_ranges():
    """Versions whose ranges are those of no transform are the images themselves; the other versions are as without them."""
    images, keypoints, full = noise(9), random_keypoints(9, reach=45), ranges(**DEFAULT)
    mixed, same = (
        list(versions(images, keypoints, keypointset=KAGGLE, ranges=each, seed=1)) for each in ([full, ranges(), full], [full] * 3)
    )
    np.testing.assert_array_equal(mixed[1][0][:], images)
    for number in (0, 2):
        np.testing.assert_array_equal(mixed[number][0][:], same[number][0][:])


def test_milder_ranges_move_less_but_mirror_and_brighten_as_much():
    """With a factor of 0.5, angles, shifts, logarithms of scales and shares are halved: a scale of 1.21 becomes 1.1."""
    full = replace(ranges(**DEFAULT, gain=0.3, bias=0.15), rotation=20.0, scale=1.21, stretch=1.44, small_share=0.25, scene_share=0.04)
    half = full.milder(0.5)
    assert (half.rotation, half.small_share, half.scene_share) == (10.0, 0.125, 0.02)
    assert (half.shear, half.shift) == (full.shear / 2, full.shift / 2)
    assert (half.scale, half.stretch) == pytest.approx((1.1, 1.2))
    assert (half.flip, half.gain, half.bias, half.small_scale) == (full.flip, full.gain, full.bias, full.small_scale)


def test_a_version_depends_only_on_the_seed_and_its_number():
    """The same seed gives the same bytes for any number of versions; versions differ from each other and from those of another seed."""
    short, long, other = made(2), made(3), made(2, seed=6)
    assert [(images.tobytes(), keypoints.tobytes()) for images, keypoints in short] == [
        (images.tobytes(), keypoints.tobytes()) for images, keypoints in long[:2]
    ]
    assert not np.array_equal(long[0][0], long[1][0])
    assert not np.array_equal(short[0][0], other[0][0])


def test_versions_keep_the_form_of_the_faces():
    """A version has the shape of the faces; images are uint8, and keypoints are float32, inside the image or NaN."""
    for images, keypoints in made(2):
        assert (images.dtype, images.shape) == (np.uint8, (9, SIDE, SIDE))
        assert (keypoints.dtype, keypoints.shape) == (np.float32, (9, K, 2))
        assert np.nanmin(keypoints) >= 0
        assert np.nanmax(keypoints) <= SIDE


def test_no_faces_give_an_empty_version():
    """Without faces, images and keypoints are empty."""
    images, keypoints = apply(np.zeros((0, SIDE, SIDE), np.uint8), np.zeros((0, K, 2), np.float32), drawn(0), KAGGLE)
    assert (images.shape, keypoints.shape) == ((0, SIDE, SIDE), (0, K, 2))


@pytest.mark.parametrize(("images", "keypoints", "transforms"), [(3, 2, 2), (2, 3, 2), (2, 2, 3)])
def test_lengths_that_do_not_match_raise(images, keypoints, transforms):
    """If the numbers of images, rows of keypoints and transforms differ, a ValueError names the three of them."""
    with pytest.raises(ValueError, match=f"{images} images, {keypoints} rows of keypoints and {transforms} transforms"):
        apply(noise(images), random_keypoints(keypoints, reach=9), drawn(transforms), KAGGLE)
