"""The expected error of each keypoint: calibrated, judged without leaks, and refused where there are too few labels."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.inference import expected_error
from pipeline.inference.ensemble import Spreads
from pipeline.inference.expected_error import FEWEST, ErrorModel, HeldOutErrors, Predicted
from pipeline.store.hdf5 import artifacts

SIDE, KEYPOINTS = 100, 8


def spreads(rng, n):
    """Spreads of n samples that differ a thousandfold; the last keypoint has no specialist."""
    sample = rng.normal(0, 0.7, (n, 1))
    base, specialist, between = (np.exp(sample + rng.normal(0, 0.7, (n, KEYPOINTS))) for _ in range(3))
    specialist[:, -1] = between[:, -1] = np.nan
    return Spreads(base, specialist, between)


def held_out(n=400, seed=0, pixel=1.0):
    """Samples in pairs of equal groups, whose errors are drawn with means that depend on the spreads, the keypoint and the source."""
    rng = np.random.default_rng(seed)
    own, source, place = spreads(rng, n), rng.integers(0, 2, n), np.linspace(1, 3, KEYPOINTS)
    means = own.base**0.5 * np.nan_to_num(own.between, nan=1.0) ** 0.3 * place * (1 + source[:, None])
    errors = rng.gamma(2, means / 2)
    errors[rng.random((n, KEYPOINTS)) < 0.1] = np.nan
    errors[source == 1, 0] = np.nan
    size = np.full((n, 1), pixel)
    return HeldOutErrors(Predicted(own, source, size), errors * size, np.arange(n) // 2, 2, SIDE)


@pytest.fixture(scope="module")
def own():
    return held_out()


@pytest.fixture(scope="module")
def found(own):
    return expected_error.expected_error(own, Predicted(spreads(np.random.default_rng(1), 3), np.array([0, 1, 1]), np.full((3, 1), 2.0)))


def test_expected_and_observed_errors_agree_in_each_tenth(own, found):
    """Within 15 %, where the means of the errors really follow the spreads; the errors differ tenfold between the tenths."""
    np.testing.assert_allclose(found.expected, found.observed, rtol=0.15)
    assert found.observed[-1] > 8 * found.observed[0]
    assert np.isfinite(found.validation).all()
    assert found.validation.dtype == found.test.dtype == np.float32
    known = np.isfinite(own.errors)
    np.testing.assert_allclose(found.validation[known].mean(), own.errors[known].mean(), rtol=0.05)


def test_the_worst_are_found_far_more_often_than_by_chance(found):
    """By chance a tenth of the worst keypoints and samples would be found; the means of the errors alone find about a half."""
    assert 0.4 < found.found < 1
    assert 0.4 < found.found_samples <= 1


def test_no_sample_is_judged_by_a_model_that_has_seen_its_group(own, monkeypatch):
    """Changed errors of a group change the expected errors of the other half only, and never those of the group itself."""
    half = expected_error.second_half(own.group)
    assert not set(own.group[half]) & set(own.group[~half])
    assert 0.4 < half.mean() < 0.6
    nobody = Predicted(own.predicted.spreads.of(np.arange(0)), np.zeros(0, int), np.ones((0, 1)))
    before = expected_error.expected_error(own, nobody).validation
    changed = np.where((own.group == own.group[half][0])[:, None], 100 * own.errors, own.errors)
    after = expected_error.expected_error(replace(own, errors=changed), nobody).validation
    np.testing.assert_array_equal(after[half], before[half])
    assert (np.abs(after[~half] / before[~half] - 1) > 1e-4).all()
    # The test has teeth: fitted to the samples that it judges, the same model does depend on their own errors.
    monkeypatch.setattr(expected_error, "second_half", lambda group: np.arange(len(group)) % 2 == 0)
    leaking = expected_error.expected_error(replace(own, errors=changed), nobody).validation
    assert (leaking[half] != expected_error.expected_error(own, nobody).validation[half]).any()


def test_errors_are_in_pixels_of_the_images(own, found):
    """Of images with three times as many pixels, the expected errors of the same samples are three times as large."""
    large = expected_error.expected_error(held_out(pixel=3.0), replace(own.predicted, pixel=np.full((400, 1), 3.0)))
    np.testing.assert_allclose(large.validation, 3 * found.validation, rtol=1e-3)
    np.testing.assert_allclose(large.model.levels, found.model.levels, atol=1e-3)
    np.testing.assert_allclose(large.test, 3 * large.model.expected(own.predicted.spreads, own.predicted.source), rtol=1e-5)


def test_larger_spreads_mean_larger_errors(own, found):
    """For a keypoint of the same sample; what no specialist predicts has an expected error too."""
    wider = Spreads(*(3 * values for values in vars(own.predicted.spreads).values()))
    before, after = (found.model.expected(values, own.predicted.source) for values in (own.predicted.spreads, wider))
    assert (after > 1.2 * before).all()


@pytest.mark.parametrize(("n", "groups"), [(FEWEST // KEYPOINTS, 400), (400, 1)], ids=["few labels", "one group"])
def test_too_few_labels_or_groups_give_no_expected_errors(own, n, groups):
    """Less than FEWEST labels, or all of them in one group, so that nothing is left to judge the model by."""
    few = held_out(n)
    few = replace(few, group=few.group % groups)
    assert not few.sufficient
    assert expected_error.expected_error(few, few.predicted) is None


def test_nets_without_specialists_and_spreads(own):
    """Without any spread the expected error of a keypoint is its mean error."""
    nothing = np.zeros((400, KEYPOINTS))
    alone = replace(own, predicted=replace(own.predicted, spreads=Spreads(nothing, nothing * np.nan, nothing * np.nan)))
    found = expected_error.expected_error(alone, alone.predicted)
    mean = np.nanmean(own.errors[own.predicted.source == 0], axis=0)
    np.testing.assert_allclose(found.test[own.predicted.source == 0][0], mean, rtol=0.05)
    assert not found.model.slopes.any()


def test_the_model_is_read_back_from_an_artifact(found, own, tmp_path):
    """With its coefficients, so that other predictions can be judged."""
    path = tmp_path / "predictions-0123456789.h5"
    with artifacts.writing(path, {"stage": "Predict"}) as file:
        artifacts.put(file, found.model)
    read = artifacts.load(path, ErrorModel)
    args = own.predicted.spreads, own.predicted.source
    np.testing.assert_array_equal(read.expected(*args), found.model.expected(*args))
    assert read.features.tolist() == list(expected_error.FEATURES)
