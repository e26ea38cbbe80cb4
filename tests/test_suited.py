"""How much the samples of a set differ, and the augmentation and the frame that are chosen from it."""

import numpy as np
import pytest

from pipeline.geometry import suited
from pipeline.geometry.spread import FEWEST, UNKNOWN, Spread, measured

SHAPE = np.array([[-20.0, -15.0], [20.0, -15.0], [0.0, 5.0], [0.0, 25.0]])
SIDE = 200


def samples(n=400, *, degrees=0.0, size=0.0, centre=0.0, shape=SHAPE):
    """Normally distributed directions, logarithms of sizes, and centres (as fractions of the side) of n samples (n, K, 2)."""
    rng = np.random.default_rng(0)
    z = shape[:, 0] + 1j * shape[:, 1]
    factor = np.exp(rng.normal(0, size, n) + 1j * np.radians(rng.normal(0, degrees, n)))
    place = SIDE * (0.5 + rng.normal(0, centre, n) + 1j * (0.5 + rng.normal(0, centre, n)))
    placed = z * factor[:, None] + place[:, None]
    return np.stack([placed.real, placed.imag], axis=2).astype(np.float32)


def spread(keypoints, shape=SHAPE):
    """The spread, measured with the shape in the middle of the image."""
    return measured(keypoints, shape + SIDE / 2, SIDE)


def chosen(measured_spread):
    """The values that are chosen, by name."""
    return {choice.name: choice.value for choice in suited.choices(measured_spread, SIDE)}


def sentence(name, measured_spread):
    """What is said about the choice of this name."""
    return next(choice.sentence for choice in suited.choices(measured_spread, SIDE) if choice.name == name)


def test_the_spread_of_known_samples_is_found():
    """Directions, sizes and places are drawn with known standard deviations; the shape is 40 of 200 pixels wide and high."""
    found = spread(samples(degrees=8, size=0.1, centre=0.05))
    assert found.direction == pytest.approx(8, rel=0.1)
    assert found.size == pytest.approx(0.1, rel=0.1)
    assert found.centre == pytest.approx(0.05, rel=0.1)
    assert (found.smallest, found.largest) == pytest.approx((np.exp(-0.233), np.exp(0.233)), rel=0.06)
    assert found.extent == pytest.approx(0.2, rel=0.05)


def test_missing_labels_change_little():
    """A third of the labels are missing; the place of the whole shape counts, not that of its labelled part."""
    keypoints = samples(degrees=8, size=0.1, centre=0.05)
    keypoints[np.random.default_rng(1).random(keypoints.shape[:2]) < 1 / 3] = np.nan
    keypoints[:5] = np.nan
    found = spread(keypoints)
    assert found.direction == pytest.approx(8, rel=0.15)
    assert found.size == pytest.approx(0.1, rel=0.15)
    assert found.centre == pytest.approx(0.05, rel=0.15)


def test_directions_that_are_evenly_distributed_have_no_deviation_in_common():
    """The mean of all directions is near zero, so that the circular standard deviation is large."""
    turned = [samples(1, shape=SHAPE @ np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]).T) for a in np.linspace(0, 6.2, 40)]
    assert spread(np.concatenate(turned)).direction > 100


def test_one_keypoint_has_neither_direction_nor_size():
    """Only the places of single keypoints differ."""
    found = spread(samples(centre=0.05, shape=np.zeros((1, 2))), np.zeros((1, 2)))
    assert np.isnan([found.direction, found.size, found.smallest, found.largest, found.extent]).all()
    assert found.centre == pytest.approx(0.05, rel=0.1)
    assert [*chosen(found)] == ["shear", "stretch", "shift"]


@pytest.mark.parametrize(
    "keypoints",
    [samples(FEWEST - 1), np.full((50, 4, 2), np.nan, np.float32), np.zeros((0, 4, 2), np.float32), np.full((50, 4, 2), 7, np.float32)],
    ids=["few samples", "no labels", "no samples", "all at one place"],
)
def test_too_few_samples_choose_nothing(keypoints):
    """The usual values count where the spread is unknown."""
    assert chosen(spread(keypoints)).keys() <= {"shear", "stretch", "shift"}


def known(**values):
    """A spread like that of a set of faces, except for the given values."""
    return Spread(**{"direction": 8.0, "size": 0.08, "smallest": 0.87, "largest": 1.17, "centre": 0.05, "extent": 0.5} | values)


@pytest.mark.parametrize(
    ("degrees", "rotation"),
    [(1.0, 10), (8.0, 24), (20.0, 45), (36.0, 180), (np.inf, 180)],
    ids=["alike", "faces", "limited", "differing", "any direction"],
)
def test_rotation_follows_the_directions(degrees, rotation):
    """Three standard deviations, at least 10 and at most 45 degrees; without a common direction any angle, and the reason is said."""
    found = known(direction=degrees)
    assert chosen(found)["rotation"] == rotation
    because = "no common direction" if rotation == 180 else "standard deviation"
    assert sentence("rotation", found).startswith(f"rotation up to {rotation} degrees, because the ")
    assert because in sentence("rotation", found)


@pytest.mark.parametrize(
    ("extent", "side"),
    [(0.9, 96), (0.63, 128), (0.45, 176), (0.17, 192)],
    ids=["whole sample", "faces68", "cephalograms", "openfield"],
)
def test_the_frame_lets_keypoints_span_80_pixels(extent, side):
    """A multiple of 16 between 96 and 192."""
    assert chosen(known(extent=extent))["side"] == side
    assert sentence("side", known(extent=extent)).startswith(f"the net sees samples of {side} x {side} pixels")


def test_the_frame_is_not_larger_than_the_samples():
    """Samples of 70 pixels fit in a frame of 64, and the sentence says so."""
    choice = suited.choices(known(extent=0.5), 70)[0]
    assert (choice.name, choice.value) == ("side", 64)
    assert choice.sentence == "the net sees samples of 64 x 64 pixels, in which the keypoints of a typical sample span about 32"


def test_scale_and_shift_follow_sizes_and_places():
    """2.5 standard deviations of the logarithm of the sizes and 2 of the places, within their limits."""
    found = [chosen(known(size=size, centre=centre)) for size, centre in ((0.0, 0.0), (0.1, 0.06), (1.0, 0.5))]
    assert [each["scale"] for each in found] == pytest.approx([1.15, np.exp(0.25), 1.6])
    assert [each["shift"] for each in found] == pytest.approx([0.05, 0.12, 0.15])


def test_samples_are_reduced_further_only_if_sizes_differ_much():
    """From a factor of 1.8 between the 1st and the 99th percentile."""
    assert chosen(known())["small_share"] == 0
    found = chosen(known(smallest=0.5, largest=1.5))
    assert (found["small_share"], found["small_scale"]) == (0.25, 0.5)


def test_an_unknown_spread_chooses_only_what_no_set_changes():
    """Shear and stretch are the same for all sets of the user's own, and nothing is said about them."""
    assert [(choice.name, choice.sentence) for choice in suited.choices(UNKNOWN, SIDE)] == [("shear", ""), ("stretch", "")]


@pytest.mark.parametrize(
    ("extent", "detail", "view", "zoom"),
    [
        (85, 1.0, "window", 1.0),
        (85, 2.0, "window", 128 / 85),
        (64, 2.0, "window", 2.0),
        (128, 2.5, "window", 1.0),
        (128, 2.6, "keypoint", 2.6),
    ],
    ids=["plain", "reduced", "all detail", "largest", "too large"],
)
def test_a_group_is_seen_whole_unless_it_would_be_too_coarse(extent, detail, view, zoom):
    """In at most 128 pixels, as long as that is at least two fifths of the resolution of the samples."""
    choice = suited.window_choice(extent, detail)
    assert (choice.view, choice.zoom) == (view, pytest.approx(zoom))
    assert choice.sentence.startswith("the net sees a window around " + ("the group" if view == "window" else "one keypoint at a time"))
