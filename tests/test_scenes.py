"""Scenes: small samples in front of others and beside others."""

from dataclasses import replace

import numpy as np
import pytest
from toys import DOTS, STILL

from pipeline.geometry import affine, augmentation, scenes

SIDE, N = 32, 200
GREY = np.arange(N) % 200 + 30  # each sample has its own grey level


@pytest.fixture
def samples():
    """Samples that are plain but for a black spot at their first keypoint."""
    images = np.repeat(GREY[:, None, None], SIDE, axis=1).repeat(SIDE, axis=2).astype(np.uint8)
    keypoints = np.full((N, 3, 2), 16.0, np.float32) + np.random.default_rng(0).uniform(-8, 8, (N, 3, 2)).astype(np.float32)
    rows, (x, y) = np.arange(N), keypoints[:, 0].astype(int).T
    for down in (-2, -1, 0, 1, 2):
        for right in (-2, -1, 0, 1, 2):
            images[rows, y + down, x + right] = 0
    return images, keypoints


def versions(samples, share, count=1, seed=3):
    """Augmented versions with scenes and no other transform: a list of (images, keypoints)."""
    made = augmentation.versions(*samples, keypointset=DOTS, ranges=[replace(STILL, scene_share=share)] * count, seed=seed)
    return [(images[:], keypoints) for images, keypoints in made]


def test_without_scenes_nothing_changes(samples):
    """Byte for byte; with scenes, the samples that are in none are unchanged."""
    ((plain, same),) = versions(samples, 0.0)
    np.testing.assert_array_equal(plain, samples[0])
    np.testing.assert_array_equal(same, samples[1])
    ((mixed, moved),) = versions(samples, 0.2)
    changed = (moved != same).any(axis=(1, 2))
    assert 0.1 < changed.mean() < 0.3
    np.testing.assert_array_equal(mixed[~changed], plain[~changed])
    assert (mixed[changed] != plain[changed]).any(axis=(1, 2)).all()


def test_keypoints_move_with_their_sample(samples):
    """All are inside the image, and the black spot is still where the first keypoint is."""
    ((images, keypoints),) = versions(samples, 1.0)
    assert np.isfinite(keypoints).all()
    assert 0 <= keypoints.min() < keypoints.max() <= SIDE
    x, y = keypoints[:, 0].astype(int).T
    assert (images[np.arange(N), y, x] < GREY / 2).mean() > 0.95


def test_other_samples_are_around_the_sample(samples):
    """The middle of the sample has its own grey level; most corners of the scenes have that of another sample, none of a mixture."""
    images, _ = samples
    drawn = scenes.draw(N, SIDE, 1.0, rng=np.random.default_rng(1))
    front = affine.Warped(images, drawn.after(affine.identity(N)), SIDE)
    found = scenes.Surrounded(front, drawn, affine.identity(N))[:]
    corners = found[:, [0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    behind, beside = GREY[drawn.behind], np.where(drawn.beside >= 0, GREY[drawn.beside], -1)
    own = corners == GREY[:, None]
    assert (corners == behind[:, None]).mean() > 0.7
    assert own.mean() < 0.2
    with_third = (found == beside[:, None, None]).any(axis=(1, 2)) & (drawn.beside >= 0)
    assert 0.4 < (drawn.beside >= 0).mean() < 0.6
    assert with_third.mean() > 0.25


def test_a_sample_is_as_large_as_it_was_drawn():
    """From 0.3 to 0.75 of its size, completely inside the scene."""
    drawn = scenes.draw(500, SIDE, 1.0, rng=np.random.default_rng(0))
    size = affine.magnification(drawn.placed)
    assert 0.3 <= size.min() < 0.33
    assert 0.7 < size.max() <= 0.75
    corners = affine.move(np.tile(np.array([[0.0, 0.0], [SIDE, SIDE]]), (500, 1, 1)), drawn.placed)
    assert -1e-9 < corners.min() < corners.max() < SIDE + 1e-9


def test_rows_are_computed_independently(samples):
    """Any rows in any order are the same as in the whole, so that the memory limit changes nothing; colour images work."""
    images = np.stack([samples[0]] * 3, axis=3)
    drawn = scenes.draw(N, SIDE, 0.5, rng=np.random.default_rng(1))
    made = scenes.Surrounded(affine.Warped(images, drawn.after(affine.identity(N)), SIDE), drawn, affine.identity(N))
    rows = np.array([7, 3, 150, 4])
    assert made[:].shape == (N, SIDE, SIDE, 3)
    np.testing.assert_array_equal(made[rows], made[:][rows])


def test_versions_differ_and_repeat(samples):
    """Each version has other scenes; the same seed gives the same ones."""
    first, second = versions(samples, 1.0, count=2)
    assert (first[0] != second[0]).any(axis=(1, 2)).all()
    np.testing.assert_array_equal(first[0], versions(samples, 1.0)[0][0])
