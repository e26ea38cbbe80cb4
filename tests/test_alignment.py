"""The map that aligns a face with the mean face, and the window around a group of keypoints."""

import numpy as np
import pytest

from pipeline.geometry import affine
from pipeline.geometry.alignment import LARGEST, MULTIPLE, SMALLEST, aligning, upright, window
from pipeline.keypoints.kaggle import KAGGLE, SIDE

K = len(KAGGLE.names)


@pytest.fixture
def target():
    """A symmetric face: the mean of random points and their mirror image."""
    return upright(np.random.default_rng(0).uniform(20, 76, (K, 2)), KAGGLE, side=SIDE)


def similarities(scale, seed=1):
    """One map for each scale, with a random rotation and shift."""
    rng = np.random.default_rng(seed)
    angle, shift = rng.uniform(-np.pi, np.pi, len(scale)), rng.uniform(-30, 30, (len(scale), 2, 1))
    linear = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1).reshape(-1, 2, 2)
    return np.concatenate([linear * np.reshape(scale, (-1, 1, 1)), shift], axis=2)


def test_upright_is_symmetric(target):
    """It equals its mirror image, keypoints on the axis are at half the side, and a face that is already symmetric stays the same."""
    mirrored = target[list(KAGGLE.mirror_order)] * [-1, 1] + [SIDE, 0]
    np.testing.assert_allclose(mirrored, target)
    assert target[KAGGLE.names.index("nose_tip"), 0] == pytest.approx(SIDE / 2)
    np.testing.assert_allclose(upright(target, KAGGLE, side=SIDE), target)


def test_upright_is_the_mean_with_the_mirror_image():
    """Eyes at x = 70 and 30, y = 40 and 36 come to x = 68 and 28 (they were 2 px too far to the right) and y = 38."""
    face = np.full((K, 2), SIDE / 2)
    face[:2] = [[70, 40], [30, 36]]
    np.testing.assert_allclose(upright(face, KAGGLE, side=SIDE)[:2], [[68, 38], [28, 38]])


def test_a_known_similarity_is_found(target):
    """For faces that are the rotated, scaled and shifted target, the maps back to the target are exact."""
    expected = similarities(np.linspace(1 / LARGEST, 1 / SMALLEST, 20))
    keypoints = affine.move(np.tile(target, (20, 1, 1)), affine.inverse(expected))
    np.testing.assert_allclose(aligning(keypoints, target), expected, rtol=1e-9, atol=1e-9)


def test_the_map_is_that_of_least_squares(target):
    """With noisy keypoints, a, b, x0 and y0 bring the points (a x - b y + x0, b x + a y + y0) as close as possible to the target."""
    keypoints = affine.move(np.tile(target, (6, 1, 1)), affine.inverse(similarities(np.linspace(0.7, 1.5, 6))))
    keypoints = (keypoints + np.random.default_rng(2).normal(0, 4, keypoints.shape)).astype(np.float32)
    found = aligning(keypoints, target.astype(np.float32))
    for points, matrix in zip(keypoints.astype(float), found, strict=True):
        (x, y), one, none = points.T, np.ones(K), np.zeros(K)
        rows = np.concatenate([np.stack([x, -y, one, none], axis=1), np.stack([y, x, none, one], axis=1)])
        a, b, right, down = np.linalg.lstsq(rows, target.T.ravel(), rcond=None)[0]
        np.testing.assert_allclose(matrix, [[a, -b, right], [b, a, down]], rtol=1e-4, atol=1e-4)


def test_it_never_reflects(target):
    """Mirror images and random points are rotated but not reflected: the determinant is positive."""
    mirror_image = target * [-1, 1] + [SIDE, 0]
    nonsense = np.random.default_rng(3).uniform(0, SIDE, (50, K, 2))
    found = aligning(np.concatenate([mirror_image[None], nonsense]), target)
    assert (np.linalg.det(found[:, :, :2]) > 0).all()


@pytest.mark.parametrize(
    ("size", "expected"), [(0.05, 1 / SMALLEST), (SMALLEST, 1 / SMALLEST), (1, 1), (LARGEST, 1 / LARGEST), (30, 1 / LARGEST)]
)
def test_a_face_is_taken_to_be_of_a_sensible_size(target, size, expected):
    """A first prediction with a twentieth or thirty times the size of the mean face is scaled like the smallest or largest face."""
    keypoints = (size * target + 11)[None]
    found = aligning(keypoints, target)
    np.testing.assert_allclose(affine.magnification(found), expected)
    np.testing.assert_allclose(affine.move(keypoints, found).mean(axis=1)[0], target.mean(axis=0))


def test_keypoints_in_one_point_divide_by_nothing(target):
    """If all keypoints coincide, the map is finite, has a sensible scale, and brings the point to the centre of the target."""
    found = aligning(np.full((1, K, 2), 30.0), target)
    assert 1 / LARGEST <= affine.magnification(found)[0] <= 1 / SMALLEST
    np.testing.assert_allclose(affine.move(np.full((1, 2), 30.0), found)[0], target.mean(axis=0))


@pytest.mark.parametrize("group", KAGGLE.groups)
@pytest.mark.parametrize(
    ("margin", "least", "zoom"), [(18.0, 1.0, 1.25), (5.0, 1.0, 1.0), (30.0, 1.0, 2.0), (18.0, 1.0, 0.3), (18.0, 64.0, 1.0)]
)
def test_the_window_holds_its_keypoints_with_their_margin(target, group, margin, least, zoom):
    """In the longer direction the outermost keypoints are exactly `margin` pixels from the edges, or more if the square would otherwise be
    smaller than `extent`. The side is the next multiple of 16 that has at least `zoom` pixels for each pixel of the image."""
    indices = KAGGLE.indices(group)
    seen = window(target, indices, margin=margin, extent=least, zoom=zoom)
    factor = affine.magnification(seen.matrix[None])[0]
    np.testing.assert_allclose(seen.matrix[:, :2], factor * np.eye(2), atol=1e-12)
    points = affine.move(target[None, indices], seen.matrix[None])[0]
    room = np.stack([points.min(axis=0), seen.side - points.max(axis=0)]) / factor
    np.testing.assert_allclose(room[0], room[1])  # centred in both directions
    span = np.ptp(target[indices], axis=0).max()
    extent = max(span + 2 * margin, least)
    assert room.min() == pytest.approx((extent - span) / 2)
    assert seen.side % MULTIPLE == 0
    assert extent * zoom <= seen.side < extent * zoom + MULTIPLE
    assert factor == pytest.approx(seen.side / extent)


@pytest.mark.parametrize("size", [1, 4], ids=["one size", "far too large"])
def test_images_of_another_size_are_aligned_alike(target, size):
    """Keypoints in pixels that are three times as small have the map of the original ones, after a reduction to a third."""
    faces = affine.move(np.tile(target, (20, 1, 1)), similarities(np.full(20, size / 1.3)))
    reduced = affine.compose(aligning(faces, target), affine.scaling(20, 1 / 3))
    np.testing.assert_allclose(aligning(3 * faces, target, scale=1 / 3), reduced, atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("degenerate", ["one keypoint", "all keypoints at one place", "all keypoints of the mean face at one place"])
def test_points_without_angle_and_size_are_shifted(target, degenerate, scale):
    """The map brings their centre to that of the target, and neither rotates nor scales, except to the unit of the frame."""
    points = np.random.default_rng(2).uniform(0, 90, (3, K, 2))
    if degenerate == "one keypoint":
        points, target = points[:, :1], target[:1]
    elif degenerate == "all keypoints at one place":
        points = np.tile(points[:, :1], (1, K, 1))
    else:
        target = np.tile(target[:1], (K, 1))
    matrix = aligning(points, target, scale=scale)
    np.testing.assert_allclose(matrix[:, :, :2], np.tile(np.eye(2) * scale, (3, 1, 1)))
    np.testing.assert_allclose(affine.move(points, matrix).mean(axis=1), np.tile(target.mean(axis=0), (3, 1)), atol=1e-9)


def test_two_keypoints_tell_angle_and_size():
    """Two points, rotated by 90 degrees and twice as far apart, come exactly to their target."""
    target = np.array([[10.0, 20], [30, 20]])
    np.testing.assert_allclose(
        affine.move(np.array([[[50.0, 10], [50, 50]]]), aligning(np.array([[[50.0, 10], [50, 50]]]), target))[0], target
    )
