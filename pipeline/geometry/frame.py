"""The square that a net sees, and its two coordinate systems."""

from dataclasses import dataclass
from typing import Any

# The sides of what nets see are multiples of this number of pixels, because the nets halve their input four times.
MULTIPLE = 16


def frame_side(stored: int, largest: int) -> int:
    """Width and height of the frame that images of `stored` x `stored` pixels are reduced to: a multiple of MULTIPLE, at most `largest`."""
    return max(MULTIPLE, min(largest, stored // MULTIPLE * MULTIPLE))


@dataclass(frozen=True)
class Frame:
    """A square image of `side` x `side` pixels.

    Pixel i covers [i, i + 1), so that the image extends from 0 to `side`. Nets predict unit coordinates, from -1 to 1 across the image.
    """

    side: int

    def to_unit(self, keypoints: Any) -> Any:
        """Converts pixels to unit coordinates: (y - side / 2) / (side / 2). Takes numpy arrays and tensors; keeps dtype and NaN."""
        return (keypoints - self.side / 2) / (self.side / 2)

    def to_pixels(self, unit: Any) -> Any:
        """Converts unit coordinates to pixels: the inverse of `to_unit`."""
        return unit * (self.side / 2) + self.side / 2
