"""Detects faces in photographs.

Coordinates are those of the upright photograph, as viewers display it: x to the right, y down, pixel i covers [i, i + 1).
"""

import functools
from typing import Any

import numpy as np
from PIL import Image

# The photograph is reduced so that its longer side has at most LONGEST pixels, which takes one core 2 to 3 seconds. After that a face must
# have at least SMALLEST pixels, the smallest window of the cascade.
LONGEST, SMALLEST = 800, 24
# Of 300 training faces on a wider canvas the cascade finds 96 % with a scale factor of 1.1, 92 % with 1.2, and 76 % with 1.2 and a step
# ratio of 1.5.
STEP = 1.1
# Side of the square that the nets see, relative to the cascade's box. The box matches Kaggle's frame (median of frame / box 1.02, centres
# half a pixel apart), but nets with refinement profit from more: RMSE 1.85 px at 1.0, 1.54 at 1.3, 1.50 at 1.4, 1.49 at 1.5, 1.50 at 1.7,
# 1.53 at 2.0 (bench/framing.py). The smallest of the good values, because photographs show neighbours.
FRAME = 1.4


def find(photo: Image.Image) -> np.ndarray:
    """Finds squares that may contain a face: float64 (n, 3) as x, y and side in the photo's pixels. Some of them contain none.

    The search extends a little beyond the edges, for faces that fill the photo.
    """
    factor = min(1.0, LONGEST / max(photo.size))
    small = photo.convert("L").resize(
        [max(1, round(length * factor)) for length in photo.size], Image.Resampling.BILINEAR, reducing_gap=3.0
    )
    margin = min(small.size) // 8 + 1
    grey = np.pad(np.asarray(small), margin, mode="edge")
    if min(grey.shape) <= SMALLEST:
        return np.zeros((0, 3))
    found = _cascade().detect_multi_scale(
        grey, scale_factor=STEP, step_ratio=1, min_size=(SMALLEST, SMALLEST), max_size=(min(grey.shape),) * 2
    )
    boxes = np.array([(box["c"] - margin, box["r"] - margin, box["width"]) for box in found], np.float64).reshape(-1, 3)
    return boxes * (photo.width / small.width)


@functools.cache
def _cascade() -> Any:
    """scikit-image's detector of frontal faces: local binary patterns."""
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def distinct(squares: np.ndarray, keypoints: np.ndarray, doubt: np.ndarray) -> list[int]:
    """Indices of the squares (n, 3) that contain distinct faces, from left to right.

    Two squares contain the same face if the mean distance between their keypoints (n, K, 2) is less than a quarter of the larger square's
    side. The one with less doubt (n,) is kept.
    """
    kept: list[int] = []
    for candidate in np.argsort(doubt, kind="stable").tolist():
        apart = np.linalg.norm(keypoints[kept] - keypoints[candidate], axis=2).mean(axis=1)
        if (apart >= np.maximum(squares[kept, 2], squares[candidate, 2]) / 4).all():
            kept.append(candidate)
    return sorted(kept, key=lambda face: tuple(squares[face, :2] + squares[face, 2] / 2))
