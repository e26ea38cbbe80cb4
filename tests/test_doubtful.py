"""Labels of own sets that mark missing ones or are not in pixels."""

import numpy as np
import pytest

from pipeline.data import doubtful
from pipeline.data.labels import Instance
from pipeline.errors import InputError

COUNT, WIDTH, HEIGHT = 40, 60, 50


def placed(points: np.ndarray) -> doubtful.Placed:
    """Labels (n, 2, 2) of images of 60 x 50 pixels whose integers are centres of pixels."""
    own = [Instance(f"{n}.png", "1", each, np.zeros(2, bool), place=f"labels.csv, line {n + 2}") for n, each in enumerate(points)]
    sizes = np.tile([WIDTH, HEIGHT], (len(points), 1)).astype(float)
    return doubtful.Placed(("tip", "tail"), points, points + 0.5, sizes, own, "An empty cell is missing.")


def scattered() -> np.ndarray:
    return np.random.default_rng(0).uniform([20, 15], [40, 35], (COUNT, 2, 2)).round(1)


def test_labels_are_not_doubted():
    """Neither scattered labels nor missing ones."""
    points = scattered()
    points[::3, 1] = np.nan
    assert doubtful.check(placed(points)) == []


@pytest.mark.parametrize("mark", [(0, 0), (-1, -1), (59, 49), (-20, 10)], ids=str)
@pytest.mark.parametrize("every", [3, 13])
def test_marks_of_missing_labels_are_refused(mark, every):
    """Many labels of a keypoint at one place at the border of the image or outside, and no others near it; the message says how to mark
    missing ones.
    """
    points = scattered()
    points[5::every, 1] = mark
    count = len(points[5::every])
    expected = rf"labels.csv, line 7: {count} of 40 labels of tail are at \({mark[0]}, {mark[1]}\).*An empty cell is missing"
    with pytest.raises(InputError, match=expected):
        doubtful.check(placed(points))


def test_a_keypoint_in_the_corner_is_doubted_only():
    """The corner of a page is in the corner of many images, and near it in others."""
    points = scattered()
    points[:, 0] = np.random.default_rng(1).uniform(0, 5, (COUNT, 2)).round(1)
    points[::4, 0] = 0
    (doubt,) = doubtful.check(placed(points))
    assert "10 of 40 labels of tip are at (0, 0), which may mark missing ones. If so" in doubt


def test_a_fixed_keypoint_is_doubted_only():
    """A mean may have been filled in, but a part of the apparatus may also be at the same place in each image."""
    points = scattered()
    points[::2, 1] = 30, 25
    (doubt,) = doubtful.check(placed(points))
    assert "20 of 40 labels of tail are at (30, 25), which may mark missing ones" in doubt


def test_fractions_are_refused():
    """Coordinates from 0 to 1 are shares of width and height."""
    with pytest.raises(InputError, match=r"from 0\.302 to 0\.667, so they seem to be fractions of the image"):
        doubtful.check(placed((scattered() / [WIDTH, HEIGHT]).clip(0.3, 0.667)))
