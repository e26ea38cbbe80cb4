"""Only valid pixels are converted from text to bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.formats import pixels
from pipeline.data.formats.pixels import PixelError, parse_images

SIDE = 2


def test_every_value_at_every_place():
    """Each value from 0 to 255 is read correctly at each of the pixels, next to numbers of one, two and three digits."""
    grid = np.array([[value, other, value, other] for value in range(256) for other in (0, 9, 10, 99, 100, 255)], np.uint8)
    texts = [" ".join(map(str, row)) for row in grid]
    np.testing.assert_array_equal(parse_images(texts, side=SIDE), grid.reshape(-1, SIDE, SIDE))


@pytest.mark.parametrize("text", [" 1 2 3 40", "1 2 3 40  ", "1   2 3 40", "001 02 3 040", "0001 2 3 00040", "1 2 3 " + "0" * 5000 + "40"])
def test_harmless_variants(text):
    """Any number of extra blanks and leading zeros changes nothing, in a single image or among others."""
    plain = "5 6 7 8"
    expected = [[[5, 6], [7, 8]], [[1, 2], [3, 40]], [[5, 6], [7, 8]]]
    assert parse_images([plain, text, plain], side=SIDE).tolist() == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 2 256 4", "pixel 3 is '256'"),
        ("1 2 300 4", "pixel 3 is '300'"),
        ("999 2 3 4", "pixel 1 is '999'"),
        ("1 2 3 1000", "pixel 4 is '1000'"),
        ("1 2 -3 4", "pixel 3 is '-3'"),
        ("1 2.0 3 4", "pixel 2 is '2.0'"),
        ("1 2 nan 4", "pixel 3 is 'nan'"),
        ("1 2\t3 4", r"pixel 2 is '2\\t3'"),
        ("1 2 ٣ 4", "pixel 3 is '٣'"),
        ("1 2 \ud800 4", "pixel 3 is"),
        ("1 2 3", "3 pixels instead of 4"),
        ("", "0 pixels instead of 4"),
        ("1 2 3 4 5", "5 pixels instead of 4"),
    ],
)
def test_bad_pixels(text, reason):
    """For an image with a wrong number of pixels or a pixel that is not an integer from 0 to 255, the error gives index and reason."""
    with pytest.raises(PixelError, match=reason) as caught:
        parse_images(["1 2 3 4", "5 6 7 8", text, "1 2 3 4"], side=SIDE)
    assert caught.value.index == 2


def test_pixels_do_not_move_between_images():
    """One pixel too many in an image and one too few in the next are an error, although the total is right."""
    with pytest.raises(PixelError, match="5 pixels instead of 4"):
        parse_images(["1 2 3 4 5", "6 7 8"], side=SIDE)
    with pytest.raises(PixelError, match="3 pixels instead of 4") as caught:
        parse_images(["1 2 3", "4 5 6 7 8"], side=SIDE)
    assert caught.value.too_few


def test_faults_are_counted_over_all_groups(monkeypatch):
    """The index of a faulty image counts from the first of all images, not from the first of its group."""
    monkeypatch.setattr(pixels, "GROUP_BYTES", 32)
    with pytest.raises(PixelError, match="pixel 1 is 'x'") as caught:
        parse_images(["1 2 3 4"] * 11 + ["x 2 3 4"], side=SIDE)
    assert caught.value.index == 11


@given(st.lists(st.text("0123456789 ", max_size=12), min_size=1, max_size=5))
def test_fast_and_slow_agree(texts):
    """For any digits and blanks the result is that of Python's split and int."""
    split = [[int(token) for token in text.split()] for text in texts]
    if all(len(row) == SIDE * SIDE and max(row) <= 255 for row in split):
        assert parse_images(texts, side=SIDE).reshape(len(texts), -1).tolist() == split
    else:
        with pytest.raises(PixelError):
            parse_images(texts, side=SIDE)


@given(st.lists(st.tuples(st.lists(st.integers(0, 270), min_size=4, max_size=4), st.sampled_from(["", " "])), min_size=1, max_size=5))
def test_numbers_up_to_255(rows):
    """Numbers up to 255 are read exactly, and larger ones are refused."""
    texts = [blank + f" {blank}".join(map(str, values)) + blank for values, blank in rows]
    numbers = np.array([values for values, _ in rows])
    if numbers.max() <= 255:
        np.testing.assert_array_equal(parse_images(texts, side=SIDE).reshape(-1, 4), numbers)
    else:
        with pytest.raises(PixelError):
            parse_images(texts, side=SIDE)


def test_ordinary_images_take_the_fast_way(monkeypatch):
    """Numbers as Kaggle writes them never reach the slow parser, which takes one number after the other."""
    monkeypatch.setattr(pixels, "_parse_slowly", lambda *_: pytest.fail("slow"))
    values = np.arange(256).reshape(-1, SIDE, SIDE)
    texts = [" ".join(map(str, image.ravel())) for image in values]
    np.testing.assert_array_equal(parse_images(texts, side=SIDE), values)


def test_no_images():
    """No texts give no images."""
    assert parse_images([], side=SIDE).shape == (0, SIDE, SIDE)
