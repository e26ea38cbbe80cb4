"""Faces in a user's photographs: reading, finding, and cutting them out as the nets know faces.

Coordinates are those of the upright photograph, as viewers show it: x to the right, y down, pixel i covers [i, i + 1).
"""

import functools

import numpy as np
from PIL import Image

# Faces are looked for in a copy with at most so many pixels along its longer side, 2 to 3 seconds of work for one core; there they must
# have 24 pixels, the cascade's smallest window.
LONGEST, SMALLEST = 800, 24
# Of 300 training faces in a wider canvas it finds 96 % in steps of 1.1 (92 % in steps of 1.2, 76 % if it also moves on 1.5 times as fast).
STEP = 1.1
# Side of the square that the nets see, in sides of the cascade's box. The box is Kaggle's frame (median of frame / box 1.02, centres half
# a pixel apart), but nets that look twice want more: RMSE 1.85 px at 1.0, 1.54 at 1.3, 1.50 at 1.4, 1.49 at 1.5, 1.50 at 1.7, 1.53 at 2.0
# (bench/framing.py). Of the equals the smallest: there are neighbours in photographs.
FRAME = 1.4


def find(photo: Image.Image) -> np.ndarray:
    """Squares (x, y, side) that may hold a face, float64 (n, 3) in the photo's pixels; some of them hold none.

    The search goes a little beyond the photo's edges, for faces that fill it.
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
def _cascade():
    """scikit-image's detector of frontal faces: local binary patterns."""
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def distinct(squares: np.ndarray, keypoints: np.ndarray, doubt: np.ndarray) -> list[int]:
    """Which of the squares (n, 3) hold faces of their own, from left to right: of several on one face that with the least doubt (n,).

    On one face the keypoints (n, K, 2) are less than a quarter of the larger square's side apart, in the mean.
    """
    kept: list[int] = []
    for candidate in np.argsort(doubt, kind="stable").tolist():
        apart = np.linalg.norm(keypoints[kept] - keypoints[candidate], axis=2).mean(axis=1)
        if (apart >= np.maximum(squares[kept, 2], squares[candidate, 2]) / 4).all():
            kept.append(candidate)
    return sorted(kept, key=lambda face: tuple(squares[face, :2] + squares[face, 2] / 2))
