"""The augmentation and the frame that suit a set, chosen from the spread of its samples; the limits are here, in one place.

Each choice has a name, that of the parameter of the stage Augment for which it stands, and a reason for the log and the report.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.geometry.frame import MULTIPLE, frame_side
from pipeline.geometry.spread import Spread

# Directions that differ by more than this standard deviation, in degrees, count as none in common; then samples are turned to any angle.
ANY_DIRECTION = 35.0
# Otherwise they are rotated by so many standard deviations, within these limits in degrees.
ROTATION, LEAST_ROTATION, MOST_ROTATION = 3.0, 10.0, 45.0
# The same for the logarithm of the sizes, with limits for the factor, and for the places, with limits as fractions of the side.
SCALE, LEAST_SCALE, MOST_SCALE = 2.5, 1.15, 1.6
SHIFT, LEAST_SHIFT, MOST_SHIFT = 2.0, 0.05, 0.15
# If the sizes, from the 1st to the 99th percentile, differ by more than this factor, a share of the samples is reduced further.
MANY_SIZES, SMALL_SHARE, LEAST_SMALL_SCALE = 1.8, 0.25, 0.25
# Degrees and factor. The pose of a typical set varies less than that of Kaggle's faces.
SHEAR, STRETCH = 5.0, 1.1
# A specialist sees the whole group in a window of at most so many pixels, unless it would have more than so many times as many in the
# resolution of the stored samples; then it sees a small window around one keypoint at a time.
LARGEST_WINDOW, COARSEST_WINDOW = 128, 2.5
# The pixels of the frame that the keypoints of a typical sample span, and the smallest and largest frame.
SPAN, SMALLEST_FRAME, LARGEST_FRAME = 80, 96, 192


@dataclass(frozen=True)
class Choice:
    """The value chosen for a parameter. sentence: what was chosen and why; empty for a value that does not depend on the set."""

    name: str
    value: float
    sentence: str = ""


def choices(spread: Spread, stored: int) -> list[Choice]:
    """What is chosen for a set of this spread, whose samples have stored x stored pixels.

    Where the spread is unknown there is no choice, and the usual value counts.
    """
    found = [_rotation(spread.direction), Choice("shear", SHEAR), _scale(spread.size), Choice("stretch", STRETCH)]
    return [
        choice for choice in (_side(spread.extent, stored), *found, _shift(spread.centre), *_small(spread)) if not np.isnan(choice.value)
    ]


@dataclass(frozen=True)
class WindowChoice:
    """What a specialist sees. view: window or keypoint. zoom: pixels of the window of a group per pixel of the frame. sentence: why."""

    view: str
    zoom: float
    sentence: str


def window_choice(extent: float, detail: float) -> WindowChoice:
    """What suits a group whose window has extent x extent pixels of the frame. detail: pixels of the samples per such pixel."""
    whole = extent * detail
    if whole > COARSEST_WINDOW * LARGEST_WINDOW:
        why = f"because one around the whole group would have {whole:.0f} x {whole:.0f} pixels in the resolution of the samples"
        return WindowChoice("keypoint", detail, f"the net sees a window around one keypoint at a time, {why}")
    zoom = min(detail, LARGEST_WINDOW / extent)
    why = "the resolution of the samples" if zoom == detail else f"{zoom / detail:.0%} of the resolution of the samples"
    return WindowChoice("window", zoom, f"the net sees a window around the group in {why}")


def _side(extent: float, stored: int) -> Choice:
    if np.isnan(extent) or not extent:
        return Choice("side", np.nan)
    side = frame_side(stored, int(np.clip(round(SPAN / extent / MULTIPLE) * MULTIPLE, SMALLEST_FRAME, LARGEST_FRAME)))
    spanned = f"in which the keypoints of a typical sample span about {side * extent:.0f}"
    return Choice("side", side, f"the net sees samples of {side} x {side} pixels, {spanned}")


def _rotation(deviation: float) -> Choice:
    if deviation > ANY_DIRECTION:
        return Choice("rotation", 180.0, "rotation up to 180 degrees, because the samples have no common direction")
    value = np.clip(ROTATION * deviation, LEAST_ROTATION, MOST_ROTATION)
    why = f"because the directions of the samples have a standard deviation of {deviation:.1f} degrees"
    return Choice("rotation", float(value), f"rotation up to {value:.0f} degrees, {why}")


def _scale(deviation: float) -> Choice:
    value = np.clip(np.exp(SCALE * deviation), LEAST_SCALE, MOST_SCALE)
    why = f"because the sizes of the samples have a standard deviation of {100 * deviation:.0f} %"
    return Choice("scale", float(value), f"scaling up to a factor of {value:.2f}, {why}")


def _shift(deviation: float) -> Choice:
    value = np.clip(SHIFT * deviation, LEAST_SHIFT, MOST_SHIFT)
    why = f"because the centres of the samples have a standard deviation of {100 * deviation:.0f} %"
    return Choice("shift", float(value), f"shift up to {100 * value:.0f} % of the side, {why}")


def _small(spread: Spread) -> list[Choice]:
    ratio, least = spread.largest / spread.smallest, max(LEAST_SMALL_SCALE, min(1.0, spread.smallest))
    if not ratio > MANY_SIZES:
        why = f"no samples are reduced further, because their sizes differ by no more than a factor of {ratio:.1f}"
        return [Choice("small_share", np.nan if np.isnan(ratio) else 0.0, why)]
    why = f"a quarter of the samples are reduced to as little as {least:.2f} of their size, because their sizes differ by a factor of"
    return [Choice("small_share", SMALL_SHARE, f"{why} {ratio:.1f}"), Choice("small_scale", least)]
