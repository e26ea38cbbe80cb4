"""Numbers in label files."""

import numpy as np
import pytest

from pipeline.data.formats import numbers
from pipeline.errors import InputError


@pytest.mark.parametrize("value", [3, 3.0, "3", " 3.0 ", "3e0"])
def test_numbers_are_read_from_json_and_from_text(value):
    """An integer, a real number, and both as text."""
    assert numbers.number(value, "a.json", "x") == 3.0
    assert numbers.whole(value, "a.json", "x") == 3


@pytest.mark.parametrize(
    "value", [None, True, [1], {}, "", "one", "1_0", "nan", float("nan"), "inf", -np.inf, 10**400, 1e9, "1,5"], ids=repr
)
def test_what_is_no_length_is_refused(value):
    """Wrong types, NaN, infinity and huge numbers: one sentence with the place and the name."""
    with pytest.raises(InputError, match=r"^a\.json: x of 'nose' is .* (Correct it|or remove)") as caught:
        numbers.number(value, "a.json", "x of 'nose'")
    assert len(str(caught.value)) < 250


def test_a_fraction_is_no_integer():
    """Where integers are needed, 1.5 is refused."""
    with pytest.raises(InputError, match=r"a\.xml: LM is '1\.5', not an integer"):
        numbers.whole("1.5", "a.xml", "LM")


@pytest.mark.parametrize(
    ("point", "is_near"), [((-20, 5), True), ((40, 30), True), ((-20.1, 5), False), ((5, 30.1), False), ((np.nan, np.nan), True)]
)
def test_keypoints_may_lie_a_little_outside_the_image(point, is_near):
    """By up to the longer side of the image: 20 pixels for an image of 20 x 10."""
    points = np.array([(1.0, 1.0), point])
    if is_near:
        numbers.check_near(points, (20, 10), "a.json, image 1.png", ("nose", "tail"))
    else:
        with pytest.raises(
            InputError, match=r"^a\.json, image 1\.png: the keypoint 'tail' lies at x = .* far outside the image of 20 x 10"
        ):
            numbers.check_near(points, (20, 10), "a.json, image 1.png", ("nose", "tail"))


def test_a_box_has_its_corner_first():
    """Whichever corners are given; without an area there is none, and far outside the image it is refused."""
    assert numbers.box(np.array([[5, 1], [2, 7]]), (10, 10), "a.csv, line 2") == (2, 1, 3, 6)
    assert numbers.box(np.array([[5, 1], [5, 7]]), (10, 10), "a.csv, line 2") is None
    with pytest.raises(
        InputError, match=r"^a\.csv, line 2: the box from x = 2, y = 1 to x = 5, y = 21 reaches far outside the image of 10 x 10"
    ):
        numbers.box(np.array([[5, 21], [2, 1]]), (10, 10), "a.csv, line 2")
