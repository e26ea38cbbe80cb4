"""RMSE over the labelled values, bootstrap intervals, and the choice of the net's head for a face."""

import numpy as np
import pytest
from naive import rmse as naive_rmse

from pipeline.metrics.bootstrap import bootstrap_interval, difference_interval
from pipeline.metrics.rmse import rmse, rmse_by_keypoint, rmse_by_source
from pipeline.nets.sources import of_source


@pytest.fixture
def pair():
    """Predictions and truth float32 (40, 5, 2); a third of the labels is missing, and all labels of keypoint 3."""
    rng = np.random.default_rng(4)
    predicted, truth = rng.uniform(0, 96, (2, 40, 5, 2)).astype(np.float32)
    truth[rng.random((40, 5)) < 0.33] = np.nan
    truth[0, 0, 1] = np.nan  # only x
    truth[:, 3] = np.nan
    return predicted, truth


def test_rmse_is_the_loops_over_the_labelled_values(pair):
    """RMSE counts each labelled x and y once, whatever other values are missing."""
    assert rmse(*pair) == pytest.approx(naive_rmse(*pair), rel=1e-6)


def test_rmse_of_a_known_pair():
    """Errors of 3 and 4, with the rest unlabelled, give sqrt((9 + 16) / 2)."""
    truth = np.array([[[1, 2], [np.nan, np.nan]]])
    assert rmse(np.array([[[4.0, 6.0], [9, 9]]]), truth) == pytest.approx(12.5**0.5)


def test_rmse_by_keypoint_is_the_loops(pair):
    """There is one RMSE for each keypoint, NaN for a keypoint without labels."""
    predicted, truth = pair
    expected = [naive_rmse(predicted[:, k], truth[:, k]) for k in range(5)]
    np.testing.assert_allclose(rmse_by_keypoint(predicted, truth), expected, rtol=1e-6)
    assert np.isnan(expected[3])


def test_rmse_by_source_is_the_loops(pair):
    """There is one RMSE for each annotation source, NaN for a source without faces."""
    predicted, truth = pair
    source = (np.arange(40) % 2).astype(np.int8)
    expected = [naive_rmse(predicted[source == s], truth[source == s]) for s in range(3)]
    np.testing.assert_allclose(rmse_by_source(predicted, truth, source, 3), expected, rtol=1e-6)
    assert np.isnan(expected[2])


def test_nothing_labelled_is_nan():
    """Without any label the RMSE is NaN, not 0."""
    assert np.isnan(rmse(np.zeros((2, 3, 2)), np.full((2, 3, 2), np.nan)))


def test_each_face_gets_the_predictions_of_its_own_source():
    """For a face of source s, of_source takes head s."""
    predicted = np.random.default_rng(0).random((5, 3, 4, 2))
    source = np.array([2, 0, 1, 1, 2], np.int8)
    chosen = of_source(predicted, source)
    for face in range(5):
        np.testing.assert_array_equal(chosen[face], predicted[face, source[face]])


def test_a_net_with_one_head_speaks_for_every_source():
    """With S = 1 the only head is taken, whatever the source."""
    predicted = np.random.default_rng(0).random((3, 1, 4, 2))
    np.testing.assert_array_equal(of_source(predicted, np.array([0, 1, 5], np.int8)), predicted[:, 0])


def test_shapes_that_do_not_match_raise():
    """Nothing is broadcast: different sizes of predictions, truth and sources are an error, and so is an unknown source."""
    with pytest.raises(ValueError, match=r"\(4, 5, 2\) and truth \(1, 5, 2\)"):
        rmse(np.zeros((4, 5, 2)), np.zeros((1, 5, 2)))
    with pytest.raises(ValueError, match="4 predictions and 1 sources"):
        of_source(np.zeros((4, 2, 5, 2)), np.zeros(1, np.int8))
    with pytest.raises(IndexError):
        of_source(np.zeros((1, 2, 5, 2)), np.array([2], np.int8))


def test_bootstrap_interval_draws_whole_groups():
    """Four equal faces of one group are one piece of evidence, so with two groups the interval ranges from one RMSE to the other."""
    truth = np.zeros((8, 1, 2))
    predicted = np.repeat([1.0, 3.0], 4)[:, None, None] * np.ones((8, 1, 2))
    group = np.repeat([7, 2], 4)
    options = {"draws": 400, "confidence": 0.95}
    low, high = bootstrap_interval(predicted, truth, group, rng=np.random.default_rng(0), **options)
    assert (low, high) == (1.0, 3.0)
    # With eight groups of one face the probability that all draws are alike is 2 in 256, within the 5 % that are cut off.
    low, high = bootstrap_interval(predicted, truth, np.arange(8), rng=np.random.default_rng(0), **options)
    assert 1.0 < low < np.sqrt(5) < high < 3.0


def test_bootstrap_interval_passes_over_missing_labels():
    """Faces without labels affect only the draws: the interval of equal errors is that error."""
    truth = np.zeros((6, 2, 2))
    truth[::2, 0] = np.nan
    predicted = np.full((6, 2, 2), 1.5)
    options = {"draws": 50, "confidence": 0.9, "rng": np.random.default_rng(0)}
    assert bootstrap_interval(predicted, truth, np.arange(6), **options) == pytest.approx((1.5, 1.5))


def test_difference_interval_is_of_pairs():
    """If errors are larger by a tenth on every face, the interval of the difference is a tenth of the interval of the other RMSE."""
    truth, rng = np.zeros((30, 2, 2)), np.random.default_rng(5)
    other = rng.exponential(2.0, (30, 2, 2))
    group, options = np.arange(30) // 2, {"draws": 300, "confidence": 0.95}
    low, high = bootstrap_interval(other, truth, group, rng=np.random.default_rng(0), **options)
    paired = difference_interval(1.1 * other, other, truth, group, rng=np.random.default_rng(0), **options)
    assert paired == pytest.approx((0.1 * low, 0.1 * high))


def test_difference_interval_is_below_zero_where_the_first_is_better():
    """With errors of 1 and 3 on every face and some labels missing, the difference is -2 in every draw."""
    truth = np.zeros((6, 2, 2))
    truth[::2, 0] = np.nan
    options = {"draws": 50, "confidence": 0.9, "rng": np.random.default_rng(0)}
    interval = difference_interval(np.full((6, 2, 2), 1.0), np.full((6, 2, 2), 3.0), truth, np.arange(6), **options)
    assert interval == pytest.approx((-2.0, -2.0))


def test_difference_interval_draws_whole_groups():
    """If one of two groups gains 2 and the other loses 2, with four faces in each, the interval ranges from one to the other."""
    truth, one, three = np.zeros((8, 1, 2)), np.ones((4, 1, 2)), np.full((4, 1, 2), 3.0)
    first, second = np.concatenate([one, three]), np.concatenate([three, one])
    options = {"draws": 400, "confidence": 0.95, "rng": np.random.default_rng(0)}
    assert difference_interval(first, second, truth, np.repeat([7, 2], 4), **options) == (-2.0, 2.0)
