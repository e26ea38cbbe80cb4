"""The length of a training by what the net sees in it, and the weights of rarely labelled keypoints."""

import numpy as np
import pytest

from pipeline.nets import budget
from pipeline.nets.rarity import keypoint_weights, sentence


@pytest.mark.parametrize(
    ("samples", "side", "epochs"),
    [(2048, 96, 85), (2048, 192, 21), (5000, 128, 20), (20_000, 192, 2), (10**6, 192, 1)],
    ids=["small set", "large frame", "5,000 samples", "20,000 samples", "a million"],
)
def test_a_net_sees_as_many_pixels_in_small_and_large_sets(samples, side, epochs):
    """1.6 thousand million pixels, as closely as whole epochs can be, and at least one epoch."""
    found = budget.epochs(1.6, samples * side**2, samples=samples, different=samples)
    assert found == epochs
    assert epochs == 1 or abs(found * samples * side**2 - 1.6e9) <= samples * side**2 / 2


@pytest.mark.parametrize(("different", "epochs"), [(100, 20), (5, 1), (1, 1), (2048, 85)])
def test_a_net_sees_no_sample_more_than_400_times(different, epochs):
    """A small set ends before the budget does: 100 samples, repeated to 2,048 in an epoch, after 20 epochs."""
    assert budget.epochs(1.6, 2048 * 96**2, samples=2048, different=different) == epochs


def test_the_number_of_epochs_is_explained():
    """One epoch is one epoch."""
    assert budget.sentence(1, 1.6).startswith("trains for 1 epoch: for 1.6 thousand million pixels or 400 passes through the labels")
    assert budget.sentence(21, 0.4).startswith("trains for 21 epochs: ")


def labels(*counts, n=120):
    """Labels (n, K, 2) of which each keypoint has so many."""
    found = np.full((n, len(counts), 2), np.nan, np.float32)
    for keypoint, count in enumerate(counts):
        found[:count, keypoint] = 7
    return found


def test_rare_keypoints_weigh_more():
    """By the inverse of their number of labels, three times as much at most, with a mean of 1 over all labels."""
    counts = np.array([120, 60, 40, 5])
    weights = np.array(keypoint_weights(labels(*counts)))
    assert weights / weights[0] == pytest.approx([1, 2, 3, 3])
    assert (weights * counts).sum() == pytest.approx(counts.sum())


@pytest.mark.parametrize("counts", [(120, 120), (0, 0), ()], ids=["all labelled", "none labelled", "no keypoints"])
def test_equally_frequent_keypoints_weigh_the_same(counts):
    """Also if there is no label at all."""
    assert keypoint_weights(labels(*counts)) == (1.0,) * len(counts)


def test_who_weighs_more_is_said():
    """One keypoint by its name, several by their number, and nothing if all weigh about the same."""
    names = ("nose", "ear", "tail")
    assert sentence((1.0, 1.2, 1.1), names) == ""
    assert sentence((0.5, 0.5, 1.5), names) == (
        "labels of tail weigh up to 3.0 times as much as those of the most frequent keypoint, because they are rare"
    )
    assert sentence((0.5, 1.0, 1.5), names).startswith("labels of 2 keypoints weigh up to 3.0 times")
