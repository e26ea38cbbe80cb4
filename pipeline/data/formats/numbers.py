"""Numbers in label files: each is checked where it is read, so that a fault is reported with its file, image and keypoint."""

import math

import numpy as np

from pipeline.errors import InputError
from pipeline.units import printable

LARGEST = 1e7  # pixels; the largest images that are read have sides of up to 65,535


def number(value: object, place: str, what: str) -> float:
    """A number of a label file, from JSON or as text.

    place: file and row or entry, for messages. what: the number, such as "x of the keypoint 'nose'".
    Raises InputError if it is not a number, is not finite, or exceeds LARGEST in size.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str) or (isinstance(value, str) and "_" in value):
            raise ValueError
        found = float(value)
    except (ValueError, OverflowError):
        raise InputError(f"{place}: {what} is {shown(value)}, not a number. Correct it, or remove the label.") from None
    if not math.isfinite(found) or abs(found) > LARGEST:
        raise InputError(f"{place}: {what} is {shown(value)}, which cannot be a length in pixels. Correct it, or remove the label.")
    return found


def whole(value: object, place: str, what: str) -> int:
    """As `number`, but an integer."""
    found = number(value, place, what)
    if found != int(found):
        raise InputError(f"{place}: {what} is {shown(value)}, not an integer. Correct it.")
    return int(found)


def shown(value: object) -> str:
    """A value of a label file, short enough for a message."""
    text = printable(repr(value) if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def check_near(points: np.ndarray, size: tuple[int, int], place: str, names: tuple[str, ...]) -> None:
    """Raises InputError if a keypoint lies outside its image by more than the longer side of the image.

    points: (K, 2), pixels of the upright image, NaN where not labelled. size: width and height of the image, pixels.
    place: file, entry and image, for messages.
    """
    for index in np.flatnonzero(_far(points, size)):
        x, y = points[index]
        raise InputError(
            f"{place}: the keypoint {names[index]!r} lies at x = {x:g}, y = {y:g}, far outside the image of {size[0]} x {size[1]} pixels. "
            "Correct it, or remove the label."
        )


def box(corners: np.ndarray, size: tuple[int, int], place: str) -> tuple[float, float, float, float] | None:
    """x, y, width and height of the box between two opposite corners, (2, 2), pixels; None if it has no area.

    size: width and height of the image, pixels. Raises InputError if a corner lies as far outside the image as no keypoint may.
    """
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    if _far(corners, size).any():
        raise InputError(
            f"{place}: the box from x = {left:g}, y = {top:g} to x = {right:g}, y = {bottom:g} reaches far outside the image of "
            f"{size[0]} x {size[1]} pixels. Correct it, or remove the label."
        )
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def _far(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which points lie outside an image by more than its longer side, bool (K,)."""
    with np.errstate(invalid="ignore"):
        return np.asarray((points < -max(size)) | (points > np.array(size) + max(size))).any(axis=1).reshape(-1)
