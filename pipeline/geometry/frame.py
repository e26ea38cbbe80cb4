"""The square that a net sees, and its two coordinate systems."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Frame:
    """A square grey image of `side` x `side` pixels.

    Pixel i covers [i, i + 1), so that the image extends from 0 to `side`. Nets predict unit coordinates, from -1 to 1 across the image.
    """

    side: int

    def to_unit(self, keypoints: Any) -> Any:
        """Converts pixels to unit coordinates: (y - side / 2) / (side / 2). Takes numpy arrays and tensors; keeps dtype and NaN."""
        return (keypoints - self.side / 2) / (self.side / 2)

    def to_pixels(self, unit: Any) -> Any:
        """Converts unit coordinates to pixels: the inverse of `to_unit`."""
        return unit * (self.side / 2) + self.side / 2
