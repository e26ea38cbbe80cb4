"""The side at which samples of an own set are stored."""

import numpy as np
import pytest

from pipeline.data.storage import Storage


def squares(sides):
    return np.array([[0, 0, side] for side in sides], float)


@pytest.mark.parametrize(
    ("sides", "most", "stored"), [([40] * 10, 256, 48), ([300] * 10, 256, 256), ([10] * 10, 256, 32), ([90] * 9 + [900], 256, 176)]
)
def test_a_given_side_is_the_most(sides, most, stored):
    """A multiple of 16 for most samples, between 32 and the given side, that a single large one does not determine."""
    assert Storage(most, 1, "grey").chosen(squares(sides))[0] == stored


@pytest.mark.parametrize(
    ("count", "side", "channels", "stored", "why"),
    [
        (300, 1200, "grey", 1200, "the size of the larger ones"),
        (10, 70, "grey", 80, "the size of the larger ones"),
        (300, 1200, "colour", 1040, "so that they take at most 1,000 MB"),
        (2000, 1200, "grey", 704, "instead of the 1200 x 1200 pixels of the larger ones, so that they take at most 1,000 MB"),
        (100_000, 1200, "grey", 256, "the fewest to which --Load-limit reduces them"),
        (100_000, 100, "grey", 112, "the size of the larger ones"),
        (10, 4000, "grey", 1536, "the most that is chosen without --Load-side"),
    ],
    ids=["images", "small", "colour", "limit", "many", "many-small", "large"],
)
def test_the_side_follows_the_images(count, side, channels, stored, why):
    """Without a given side it is that of the larger samples, unless all of them would take too much, and the sentence says which."""
    found, sentence = Storage(0, 1000, channels).chosen(squares([side] * count))
    assert found == stored
    assert why in sentence
    assert f"{count:,} samples stored at {stored} x {stored} pixels" in sentence
    assert stored <= 256 or count * stored**2 * (3 if channels == "colour" else 1) <= 1000 * 10**6


def test_a_given_side_has_its_own_sentence():
    """The sentence names the flag that reduces the samples."""
    assert (
        "instead of the 1200 x 1200 pixels of the larger ones, because of --Load-side 256"
        in Storage(256, 1, "grey").chosen(squares([1200]))[1]
    )
