"""Detects faces in photographs, with the best detector that is installed.

Coordinates are those of the upright photograph, as viewers display it: x to the right, y down, pixel i covers [i, i + 1).
"""

import numpy as np
from PIL import Image

from pipeline.inference.detectors import cascade, yunet

# Side of the square that the nets see, relative to a detected square, which matches Kaggle's frame. RMSE of the same nets with YuNet's
# squares 1.47 px at 1.0, 1.46 at 1.2, 1.48 at 1.4, 1.52 at 1.7; with the cascade's, which vary more, 2.09 at 1.0, 1.76 at 1.2, 1.66 at 1.4,
# 1.52 at 1.7 (bench/framing.py). A compromise between the two.
FRAME = 1.4
INSTALL = f'pip install "{yunet.PACKAGE}>=2,<3"'


def find(photo: Image.Image) -> np.ndarray:
    """Finds squares that may contain a face: float64 (n, 3) as x, y and side in the photo's pixels. Some of them contain none.

    A square matches Kaggle's frame of a face. YuNet finds them, or scikit-image's cascade if YuNet is not installed.
    """
    return (yunet.find if yunet.model() else cascade.find)(photo)


def advice() -> str:
    """What the user should know about the detector; empty if it is the best one."""
    if yunet.model():
        return ""
    return (
        "scikit-image's cascade detects the faces: it takes seconds for a photograph, and misses faces that are tilted or turned. "
        f'For a better detector: {INSTALL}, or -e ".[faces]" in the folder of the project.'
    )


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
