"""The typical shape of a set: what all samples have in common apart from their place, size and direction."""

import numpy as np
import pytest

from pipeline.data.shapes import typical

# A tail, a nose and two ears that exchange places in a mirrored image, pointing upwards.
UPWARDS = np.array([[0, 9], [0, -7], [-3, -4], [3, -4]], float)
EARS = (0, 1, 3, 2)


def samples(angles, *, size=1.0, seed=0, noise=0.0):
    """The shape turned by each of these angles, somewhere in an image of 100 pixels."""
    rng = np.random.default_rng(seed)
    turns = np.array([[[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]] for a in angles])
    return UPWARDS * size @ turns + rng.uniform(30, 70, (len(angles), 1, 2)) + rng.normal(0, noise, (len(angles), 4, 2))


def test_it_is_in_the_middle_at_the_median_size():
    """Whatever the places of the samples."""
    found = typical(np.concatenate([samples([0.0] * 5), samples([0.0] * 4, size=3.0)]), EARS, 100)
    np.testing.assert_allclose(found, UPWARDS - UPWARDS.mean(axis=0) + 50, atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_samples_of_all_directions_have_the_shape_of_one(seed):
    """Their mean would be a point; the axis of symmetry is vertical, in one of its two directions."""
    angles = np.random.default_rng(seed).uniform(-np.pi, np.pi, 200)
    found = typical(samples(angles, seed=seed, noise=0.1), EARS, 100) - 50
    wanted = UPWARDS - UPWARDS.mean(axis=0)
    assert min(np.abs(found - wanted).max(), np.abs(found + wanted).max()) < 0.2


def test_a_common_direction_is_kept():
    """Without mirror pairs nothing else tells which way is up."""
    found = typical(samples(np.linspace(0.4, 0.8, 9)), None, 100) - 50
    turned = samples([0.6])[0]
    np.testing.assert_allclose(found, turned - turned.mean(axis=0), atol=0.05)


def test_missing_labels():
    """Keypoints that are never labelled are in the middle, and so are all if no sample has two labels."""
    points = samples([0.0] * 6)
    points[:, 0] = np.nan
    assert typical(points, None, 100)[0].tolist() == [50, 50]
    points[:, 1:3] = np.nan
    assert (typical(points, None, 100) == 50).all()
