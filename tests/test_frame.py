"""The frame that the base net sees of a sample."""

import pytest

from pipeline.geometry.frame import frame_side


@pytest.mark.parametrize(
    ("stored", "largest", "side"), [(96, 96, 96), (256, 96, 96), (256, 128, 128), (64, 96, 64), (90, 96, 80), (33, 96, 32), (10, 96, 16)]
)
def test_a_frame_has_a_side_that_the_nets_take(stored, largest, side):
    """It is a multiple of 16, at most the largest side, and at most that of the samples unless they have fewer than 16 pixels."""
    assert frame_side(stored, largest) == side
