"""Images written as text: the pixels of an image are integers from 0 to 255 separated by blanks."""

import itertools
import re

import numpy as np

# Time for 5,791 images of Kaggle's on 2 cores: 0.30 s in groups of 14 to 28 images, 0.33 s of 7, 0.37 s of 113, 0.48 s one by one.
GROUP_BYTES = 1 << 19
_BLANK = np.uint8(ord(" "))
_DIGITS = re.compile("[0-9]+")
_TOKEN = re.compile("[^ ]+")


class PixelError(ValueError):
    """The text of an image is not valid; the message says why.

    index: the position of the image among the texts.
    too_few: whether the only fault is that the image has too few pixels.
    """

    def __init__(self, index: int, reason: str, *, too_few: bool = False) -> None:
        super().__init__(reason)
        self.index, self.too_few = index, too_few


def parse_images(texts: list[str], *, side: int) -> np.ndarray:
    """Images uint8 (n, side, side) from n texts. Extra blanks and leading zeros are accepted; any other fault raises PixelError."""
    count = side * side
    images = np.empty((len(texts), count), np.uint8)
    step = max(1, GROUP_BYTES // (4 * count))
    for start in range(0, len(texts), step):
        group = texts[start : start + step]
        parsed = _parse_fast(group, count)
        images[start : start + step] = _parse_slowly(group, count, start) if parsed is None else parsed
    return images.reshape(len(texts), side, side)


def _parse_fast(texts: list[str], count: int) -> np.ndarray | None:
    """Pixels uint8 (n, count), or None if a text has an unexpected character, an unusual number or another number of pixels.

    Works on all bytes at once: it computes, for each byte, the number of up to three digits that ends there, and keeps those at the end of
    a run of digits.
    """
    encoded = [text.encode(errors="replace") for text in texts]
    characters = np.frombuffer(b"   " + b" ".join(encoded) + b" ", np.uint8)
    digits = characters - np.uint8(ord("0"))
    is_digit = digits <= 9  # anything below "0" wrapped to above 9
    if not (is_digit | (characters == _BLANK)).all():
        return None
    if (is_digit[:-3] & is_digit[1:-2] & is_digit[2:-1] & is_digit[3:]).any():
        return None
    digits *= is_digit
    hundreds = digits[:-2] * (is_digit[1:-1] & is_digit[2:])
    rest = digits[1:-1] * np.uint8(10) + digits[2:]
    values = rest + hundreds * np.uint8(100)
    if (hundreds > 2).any() or (values < rest).any():  # a sum of bytes that exceeds 255 wraps to less than its parts
        return None
    ends = np.flatnonzero(is_digit[2:-1] & ~is_digit[3:])
    return values[ends].reshape(-1, count) if _each_has(ends, encoded, count) else None


def _each_has(ends: np.ndarray, encoded: list[bytes], count: int) -> bool:
    """Whether each text has `count` numbers. `ends` has the positions of their last digits, counted from one before the first text."""
    if ends.size != len(encoded) * count:
        return False
    stops = 1 + np.cumsum([len(text) + 1 for text in encoded])
    first, last = ends.reshape(-1, count)[:, [0, -1]].T
    return bool((first[1:] >= stops[:-1]).all() and (last < stops).all())


def _parse_slowly(texts: list[str], count: int, start: int) -> np.ndarray:
    return np.array([_parse_one(text, count, start + position) for position, text in enumerate(texts)], np.uint8)


def _parse_one(text: str, count: int, index: int) -> list[int]:
    # One by one, because there may be millions of them.
    tokens = _TOKEN.finditer(text)
    values: list[int] = []
    for token in itertools.islice(tokens, count):
        value = _pixel(token[0])
        if value is None:
            raise PixelError(index, f"pixel {len(values) + 1} is {token[0][:40]!r}, not an integer from 0 to 255")
        values.append(value)
    found = len(values) + sum(1 for _ in tokens)
    if found != count:
        raise PixelError(index, f"{found} pixels instead of {count}", too_few=found < count)
    return values


def _pixel(token: str) -> int | None:
    significant = token.lstrip("0") or "0"  # int() refuses thousands of digits
    valid = len(significant) <= 3 and _DIGITS.fullmatch(token) and int(significant) <= 255
    return int(significant) if valid else None
