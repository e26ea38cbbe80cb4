"""What the errors on an own set are divided by, apart from pixels: a length of each sample, or the size of a millimetre."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.data.tables import Origin
from pipeline.geometry import affine


@dataclass(frozen=True)
class ErrorScale:
    """What errors are divided by, apart from pixels.

    lengths: float64 (n,), of each held-out sample, pixels; NaN where it is not known. words: what the length is; "" for millimetres.
    """

    lengths: np.ndarray
    words: str


@dataclass(frozen=True)
class Normalise:
    """What a set's definition says about normalised errors.

    setting: `normalise` of its settings; {} if it says nothing. scales: millimetres per pixel by image, if the setting is a file of them.
    """

    setting: Mapping[str, Any] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)

    def scale(self, truth: np.ndarray, origin: Origin, names: Sequence[str]) -> ErrorScale | None:
        """The length that the definition names; None if it names none. The size of a box is the square root of its area.

        truth: labels (n, K, 2) in pixels of the samples, NaN where not labelled. names: of the K keypoints.
        """
        if not self.setting:
            return None
        if pair := self.setting.get("pair"):
            one, other = (affine.move(truth.astype(np.float64), origin.to_original)[:, names.index(name)] for name in pair)
            return ErrorScale(_positive(np.linalg.norm(one - other, axis=1)), f"the distance from {pair[0]} to {pair[1]}")
        if self.setting.get("box"):
            return ErrorScale(np.sqrt(box_area(origin)), "the size of the box")
        fixed = self.setting.get("mm_per_pixel")
        sizes = [self.scales.get(image, np.nan) if fixed is None else fixed for image in origin.image.tolist()]
        return ErrorScale(1 / np.array(sizes, np.float64), "")


PIXELS = Normalise()


def box_area(origin: Origin) -> np.ndarray:
    """The area of each sample's box in square pixels of its image, float64 (n,); NaN where there is no box, or an empty one."""
    return _positive(origin.box[:, 2] * origin.box[:, 3])


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.nan)
