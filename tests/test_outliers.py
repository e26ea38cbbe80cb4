"""Labels that are contradicted by the face's other labels or by those of an identical image."""

import naive
import numpy as np
import pytest

from pipeline.data import outliers

RULE = {"deviations": 4.5, "pixels": 5.0}
SHAPE = np.array([[66, 37], [30, 37], [48, 58], [62, 74], [34, 74], [48, 80]], float)


def faces(count, *, seed=3, variety=1.0):
    """Labels (count, 6, 2) of faces of one shape with 1 px of noise; with full variety of any position and size, turned by 30 degrees."""
    rng = np.random.default_rng(seed)
    angle, size = variety * rng.uniform(-0.5, 0.5, count), 1 - variety * rng.uniform(-0.2, 0.7, count)
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = 48 + variety * rng.uniform(-18, 18, (count, 1, 2))
    points = np.einsum("abn,kb->nka", turn, SHAPE - SHAPE.mean(axis=0)) + middle
    return (points + rng.normal(0, 1, points.shape)).astype(np.float32)


def one_source(keypoints):
    return np.zeros(len(keypoints), np.int8)


def test_a_wrong_label_is_found_and_no_other():
    """Of 300 faces with 40 labels displaced by 20 px, exactly those 40 are outliers, although they are part of the fit."""
    keypoints = faces(300)
    planted = np.zeros((300, 6), bool)
    planted[np.arange(40) * 7, np.arange(40) % 6] = True
    keypoints[planted] += [12, -16]
    found, distance = outliers.outliers(keypoints, one_source(keypoints), **RULE)
    np.testing.assert_array_equal(found, planted)
    # 20 px, the noise of a label (1 px) and the noise of its prediction (about 1 px): five standard deviations
    np.testing.assert_allclose(distance[planted], 20, atol=7)


def test_two_wrong_labels_in_a_face():
    """Two wrong labels of a face are both found, and its correct ones stay."""
    keypoints = faces(300)
    keypoints[5, 0] += [0, 25]
    keypoints[5, 3] += [-25, 0]
    found, _ = outliers.outliers(keypoints, one_source(keypoints), **RULE)
    assert np.argwhere(found).tolist() == [[5, 0], [5, 3]]


@pytest.mark.parametrize(("size", "middle"), [(0.2, [8, 85]), (1.1, [48, 48])])
def test_a_face_elsewhere_is_no_outlier(size, middle):
    """A small face in a corner and a large turned face keep their labels, although all others are upright and in the middle."""
    keypoints = faces(300, variety=0.05)
    x, y = size * (SHAPE - SHAPE.mean(axis=0)).T
    keypoints[9] = np.stack([0.8 * x - 0.6 * y, 0.6 * x + 0.8 * y], axis=1) + np.array(middle)
    assert not outliers.outliers(keypoints, one_source(keypoints), **RULE)[0].any()


def test_missing_labels():
    """Labels are judged without the missing ones; the distance is NaN only for a missing label."""
    keypoints = faces(300)
    missing = np.random.default_rng(1).random((300, 6)) < 0.2
    missing[0] = [False, True, False, False, False, False]
    missing[1] = True
    keypoints[0, 0] += [20, 0]
    keypoints[missing] = np.nan
    found, distance = outliers.outliers(keypoints, one_source(keypoints), **RULE)
    assert np.argwhere(found).tolist() == [[0, 0]]
    np.testing.assert_array_equal(np.isnan(distance), missing)


def test_sources_are_judged_apart():
    """A shape that is normal in one source and unusual in the other is an outlier only in the other."""
    raised, usual = faces(200), faces(200, seed=4)
    raised[:, 2, 1] -= 15
    usual[0, 2, 1] -= 15
    keypoints, source = np.concatenate([raised, usual]), np.repeat(np.array([1, 0], np.int8), 200)
    assert np.argwhere(outliers.outliers(keypoints, source, **RULE)[0]).tolist() == [[200, 2]]


def test_the_floor_in_pixels():
    """A label closer to its prediction than the limit in pixels is not an outlier, however surprising it is."""
    keypoints = faces(300)
    keypoints[5, 0] += [0, 25]
    found, distance = outliers.outliers(keypoints, one_source(keypoints), deviations=4.5, pixels=40.0)
    assert not found.any()
    assert distance[5, 0] > 15


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_faces(count):
    """A few faces, one of them without labels, have no outliers and cause no error."""
    keypoints = np.concatenate([faces(count), np.full((1, 6, 2), np.nan, np.float32)])
    found, distance = outliers.outliers(keypoints, one_source(keypoints), **RULE)
    assert not found.any()
    assert np.isfinite(distance[:count]).all()


def test_no_labels_at_all():
    """Faces without labels have neither outliers nor distances."""
    found, distance = outliers.outliers(np.full((3, 6, 2), np.nan, np.float32), np.zeros(3, np.int8), **RULE)
    assert not found.any()
    assert np.isnan(distance).all()


def test_missing_labels_do_not_narrow_the_covariance():
    """With a fifth of the coordinates missing, the covariance is within 15 % of the complete one; 2,000 faces leave about 5 % of error."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    complete = 10 * rng.normal(size=(2000, 4)) @ root
    gaps = np.where(rng.random(complete.shape) < 0.2, np.nan, complete)
    eigenvalues = np.linalg.eigvals(np.linalg.solve(outliers._shape(complete)[1], outliers._shape(gaps)[1])).real
    np.testing.assert_allclose(eigenvalues, 1, atol=0.15)


def test_left_out_is_the_conditional_normal_distribution():
    """Distance and surprise of a label are those of the conditional normal distribution, computed for each keypoint."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(8, 8))
    mean, covariance, points = rng.normal(size=8), root @ root.T + np.eye(8), rng.normal(size=(3, 4, 2))
    distance, surprise = outliers._left_out(points, mean, covariance)
    for n in range(3):
        for k in range(4):
            expected, spread = naive.left_out_prediction(points[n].ravel(), mean, covariance, [2 * k, 2 * k + 1])
            residual = points[n, k] - expected
            assert distance[n, k] == pytest.approx(np.hypot(*residual))
            assert surprise[n, k] == pytest.approx(np.sqrt(residual @ np.linalg.inv(spread) @ residual))


def test_conflicts_of_copies():
    """Labels of identical images that differ by more than the limit are all in conflict; other images and keypoints are not."""
    keypoints = np.zeros((6, 3, 2), np.float32)
    keypoints[:, 0, 0] = [0, 100, 5, 0, 13, 50]  # images 0, 2, 3 and 4 are identical, and 13 differs by more than 8 only from 0
    keypoints[3, 1] = np.nan
    keypoints[0, 1] = 9
    keypoints[5, 2] = 90
    conflict = outliers.conflicts(keypoints, np.array([0, 1, 0, 0, 0, 2], np.int32), pixels=8.0)
    expected = np.zeros((6, 3), bool)
    expected[[0, 3, 4], 0] = True
    expected[[0, 2, 4], 1] = True
    np.testing.assert_array_equal(conflict, expected)
