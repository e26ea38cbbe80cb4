"""Replacements of parts of a text, and what is to be replaced in a label file."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.data.labels import Instance
from pipeline.errors import InputError

DECIMALS = 9  # of numbers that are relative to the size of an image


class Edit(NamedTuple):
    """The characters of a text from start to end, without the latter, are replaced by a text."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Amendment:
    """A new value of a keypoint of an instance.

    instance: as it was read. name: of the keypoint in the label file. number: of the keypoint, from 0. x, y: the new place in pixels of the
    label format, NaN if the keypoint is missing now. occluded: whether it is occluded. size: width and height of the image, pixels.
    """

    instance: Instance
    name: str
    number: int
    x: float
    y: float
    occluded: bool
    size: tuple[int, int]

    @property
    def is_missing(self) -> bool:
        """Whether the keypoint is missing now."""
        return math.isnan(self.x)

    @property
    def was_missing(self) -> bool:
        """Whether the keypoint was missing in the label file."""
        return bool(math.isnan(self.instance.keypoints[self.number, 0]))


class NoPlaceError(InputError):
    """A label file cannot be amended, because it has no place for a value, or because that is not found. The file is written anew."""


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with all replacements, which must not overlap; those at the same place follow each other in the given order."""
    pieces, done = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start < done:
            raise ValueError(f"two edits overlap at character {edit.start}")
        pieces += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join([*pieces, text[done:]])


def shown(value: float, decimals: int = 4) -> str:
    """A number with at most so many decimals: 12.5, 3."""
    text = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
