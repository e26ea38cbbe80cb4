"""Distances and the metrics that are means of them, compared with loops; their bootstrap intervals."""

import numpy as np
import pytest
from naive import mean_distance

from pipeline.metrics.bootstrap import bootstrap_interval, mean_interval, weighted_interval
from pipeline.metrics.distances import distances, mean, normalised, within
from pipeline.metrics.rmse import squared_error

OPTIONS = {"draws": 300, "confidence": 0.95}


@pytest.fixture
def pair():
    """Predictions and truth float32 (30, 4, 2); a third of the labels is missing, and all labels of keypoint 3."""
    rng = np.random.default_rng(7)
    truth = rng.uniform(0, 96, (30, 4, 2)).astype(np.float32)
    predicted = truth + rng.normal(0, 3, truth.shape).astype(np.float32)
    truth[rng.random((30, 4)) < 0.33] = np.nan
    truth[:, 3] = np.nan
    return predicted, truth


@pytest.fixture
def length():
    """A length of each sample, float64 (30,); those of two samples are not known."""
    found = np.random.default_rng(8).uniform(10, 60, 30)
    found[[3, 17]] = np.nan
    return found


def test_the_mean_distance_is_the_loops(pair):
    """Every labelled keypoint counts once; keypoints without labels do not count."""
    assert mean(distances(*pair)) == pytest.approx(mean_distance(*pair), rel=1e-6)
    assert np.isnan(mean(distances(*pair)[:, 3]))


def test_the_normalised_mean_error_is_the_loops(pair, length):
    """Samples whose length is not known do not count."""
    assert mean(normalised(distances(*pair), length)) == pytest.approx(mean_distance(*pair, length), rel=1e-6)


@pytest.mark.parametrize("limit", [0.05, 0.1, 0.2], ids="limit-{}".format)
def test_the_share_of_correct_keypoints_is_the_loops(pair, length, limit):
    """PCK at fractions of a length of each sample."""
    found = mean(within(normalised(distances(*pair), length), limit))
    assert found == pytest.approx(mean_distance(*pair, length, limit))
    assert 0 < found < 1


def test_a_distance_at_the_limit_is_within():
    """SDR counts landmarks 2 mm away within 2 mm: with 0.5 mm per pixel, 4 px; missing labels stay NaN."""
    distance = np.array([[4.0, 4.001, np.nan]])
    np.testing.assert_array_equal(within(normalised(distance, np.array([2.0])), 2.0), [[1, 0, np.nan]])


def test_shapes_that_do_not_match_raise():
    """Nothing is broadcast."""
    with pytest.raises(ValueError, match=r"\(4, 5, 2\) and truth \(1, 5, 2\)"):
        distances(np.zeros((4, 5, 2)), np.zeros((1, 5, 2)))
    with pytest.raises(ValueError, match=r"4 samples and lengths of the shape \(1,\)"):
        normalised(np.zeros((4, 5)), np.ones(1))


def test_the_interval_of_a_mean_is_that_of_the_rmse_before_the_root(pair):
    """On the same draws, if every sample has a label."""
    predicted, truth = pair
    labelled = ~np.isnan(truth).all(axis=(1, 2))
    predicted, truth, group = predicted[labelled], truth[labelled], np.arange(labelled.sum()) // 3
    low, high = mean_interval(squared_error(predicted, truth)[..., 0], group, rng=np.random.default_rng(0), **OPTIONS)
    expected = bootstrap_interval(predicted[..., :1], truth[..., :1], group, rng=np.random.default_rng(0), **OPTIONS)
    # The ends lie between two draws, and are interpolated before the root is taken.
    assert (low**0.5, high**0.5) == pytest.approx(expected, rel=1e-4)


def test_groups_without_values_are_not_drawn():
    """They say nothing about the mean; without any value there is no interval."""
    values, group = np.array([[1.0], [3.0], [np.nan], [np.nan]]), np.array([0, 1, 2, 3])
    assert mean_interval(values, group, rng=np.random.default_rng(0), **OPTIONS) == (1.0, 3.0)
    assert np.isnan(mean_interval(values[2:], group[2:], rng=np.random.default_rng(0), **OPTIONS)).all()


def test_weights_repeat_whole_groups():
    """A mean by weights has the interval of the mean of the drawn groups."""
    values, group = np.random.default_rng(3).random(24), np.arange(24) // 2

    def of(weight):
        np.testing.assert_array_equal(weight[::2], weight[1::2])
        return np.array([np.average(values, weights=weight)])

    found = weighted_interval(of, group, rng=np.random.default_rng(0), **OPTIONS)
    assert found[0] == pytest.approx(mean_interval(values[:, None], group, rng=np.random.default_rng(0), **OPTIONS))
