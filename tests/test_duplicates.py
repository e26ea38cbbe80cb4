"""Copies and near duplicates are recognised."""

import naive
import numpy as np
import pytest

from pipeline.data import duplicates
from pipeline.lazyrows import Collector

SIDE = 96
LIMIT = 0.985


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def smooth(rng, count):
    """Random images (count, SIDE, SIDE) float, with similar neighbouring pixels as in photographs."""
    return np.kron(rng.uniform(0, 255, (count, 12, 12)), np.ones((8, 8)))


def as_bytes(images):
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


def with_twins(rng, count):
    """Different images, and as many noisy blends of two of them, some above the limit and some below."""
    different = smooth(rng, count)
    one, other = rng.integers(0, count, (2, count))
    share = rng.uniform(0, 0.3, (count, 1, 1))
    blends = (1 - share) * different[one] + share * different[other] + rng.normal(0, 3, (count, SIDE, SIDE))
    return as_bytes(rng.permutation(np.concatenate([different, blends])))


@pytest.mark.parametrize("seed", range(3))
def test_groups_are_those_of_all_pairs(seed, monkeypatch):
    """The search among candidates finds what a comparison of all pairs finds, also across the boundaries of its chunks."""
    monkeypatch.setattr(duplicates, "CHUNK", 5)
    images = with_twins(np.random.default_rng(seed), 25)
    expected = naive.duplicate_groups(images, LIMIT)
    assert 25 <= max(expected) + 1 < 50  # some of the blends are near duplicates
    assert duplicates.groups(images, correlation=LIMIT).tolist() == expected


def test_twins_of_twins_share_a_group(rng):
    """Images that are connected only through a third one are in one group."""
    first, last = smooth(rng, 2)
    steps = np.linspace(0, 1, 21)[:, None, None]
    chain = as_bytes((1 - steps) * first + steps * last)
    assert np.corrcoef(chain[0].ravel(), chain[-1].ravel())[0, 1] < 0.5
    assert duplicates.groups(chain, correlation=LIMIT).tolist() == [0] * 21


def test_brightness_and_contrast_do_not_matter(rng):
    """A darker version of an image is a near duplicate but not a copy."""
    image = smooth(rng, 1)
    images = as_bytes(np.concatenate([image, 0.5 * image + 20]))
    assert duplicates.groups(images, correlation=LIMIT).tolist() == [0, 0]
    assert duplicates.copies(images).tolist() == [0, 1]


def test_images_without_contrast(rng):
    """Flat images have no correlation and share a group only with their copies, and so does a pattern finer than the pooling."""
    flat = np.zeros((5, SIDE, SIDE), np.uint8)
    flat[2] = 255
    flat[4] = np.indices((SIDE, SIDE)).sum(axis=0) % 2 * 255
    images = np.concatenate([flat, as_bytes(smooth(rng, 1))])
    assert duplicates.groups(images, correlation=LIMIT).tolist() == [0, 0, 1, 0, 2, 3]


def test_a_group_larger_than_a_chunk(rng):
    """Three hundred near duplicates, more than one chunk, are one group."""
    images = as_bytes(smooth(rng, 1) + rng.normal(0, 4, (300, SIDE, SIDE)))
    assert not duplicates.groups(images, correlation=LIMIT).any()


def test_images_in_a_file_have_the_same_groups(rng):
    """Images that are read lazily have the same groups as an array, with near duplicates, copies and flat images among them."""
    images = as_bytes(np.repeat(smooth(rng, 150), 3, axis=0) + rng.normal(0, 4, (450, SIDE, SIDE)))
    images[7], images[300] = 90, images[20]
    collector = Collector(0)
    collector.add(images)
    assert duplicates.groups(collector.rows(), correlation=LIMIT).tolist() == duplicates.groups(images, correlation=LIMIT).tolist()


def test_every_near_pair_is_found_once(rng):
    """The search finds the pairs that a comparison of all points finds, and counts every point."""
    points = rng.normal(0, 1, (500, 3)).astype(np.float32)
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    chunks = list(duplicates._near(points, 0.3))
    pairs = [frozenset(pair) for _, one, other in chunks for pair in zip(one.tolist(), other.tolist(), strict=True)]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == {frozenset(pair) for pair in np.argwhere(np.triu(apart <= 0.3, 1)).tolist()}
    assert sum(count for count, _, _ in chunks) == 500


@pytest.mark.parametrize("side", [5, 48, 50, 96, 128])
def test_one_image_of_any_side(side, rng):
    """A single image is one group, whatever its side."""
    image = rng.integers(0, 256, (1, side, side), dtype=np.uint8)
    assert duplicates.groups(image, correlation=LIMIT).tolist() == [0]
    assert duplicates.copies(image).tolist() == [0]


def test_copies_are_numbered_by_first_appearance(rng):
    """Equal bytes have equal numbers; an image with one different grey level has another number."""
    a, b = rng.integers(0, 256, (2, SIDE, SIDE), dtype=np.uint8)
    almost = a.copy()
    almost[-1, -1] ^= 1
    numbers = duplicates.copies(np.stack([b, a, b, almost, a]))
    assert numbers.dtype == np.int32
    assert numbers.tolist() == [0, 1, 0, 2, 1]
