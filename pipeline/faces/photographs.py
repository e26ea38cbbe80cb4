"""Faces in a user's photographs: reading, finding, and cutting them out as the nets know faces.

Coordinates are those of the upright photograph, as viewers show it: x to the right, y down, pixel i covers [i, i + 1).
"""

import functools
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pipeline.errors import InputError

# Faces are looked for in a copy with at most so many pixels along its longer side, 2 to 3 seconds of work for one core; there they must
# have 24 pixels, the cascade's smallest window.
LONGEST, SMALLEST = 800, 24
# Of 300 training faces in a wider canvas it finds 96 % in steps of 1.1 (92 % in steps of 1.2, 76 % if it also moves on 1.5 times as fast).
STEP = 1.1
# Side of the square that the nets see, in sides of the cascade's box. The box is Kaggle's frame (median of frame / box 1.02, centres half
# a pixel apart), but nets that look twice want more: RMSE 1.85 px at 1.0, 1.54 at 1.3, 1.50 at 1.4, 1.49 at 1.5, 1.50 at 1.7, 1.53 at 2.0
# (bench/framing.py). Of the equals the smallest: there are neighbours in photographs.
FRAME = 1.4
# Levels of what has no eight bits a channel.
FULL_SCALES = (1, 255, 65535)


def suffixes() -> set[str]:
    """Those of the pictures that can be read, in lower case, with the dot."""
    return set(Image.registered_extensions())


def read(path: Path) -> Image.Image:
    """The photograph in colour and eight bits, upright, transparent parts over white. InputError if it cannot be read."""
    try:
        # Pillow warns of more than 89 megapixels, and refuses twice as many.
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            image.load()
            return _opaque(_eight_bits(ImageOps.exif_transpose(image)))
    # Pillow's readers let through whatever a broken file makes of them: SyntaxError, IndexError, struct.error and more.
    except Exception as error:
        raise InputError(f"{path} cannot be read as a picture: {error}") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Images of 16 or 32 bits or of real numbers in grey levels: their full scale is the smallest of FULL_SCALES that holds them."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image, np.float64)
    if not np.isfinite(values).all() or values.max() > FULL_SCALES[-1]:
        raise ValueError("its grey levels are beyond 16 bits")
    full = next(full for full in FULL_SCALES[image.mode != "F" :] if values.max() <= full)
    return Image.fromarray((np.clip(values / full, 0, 1) * 255 + 0.5).astype(np.uint8))


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


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


def scaled(squares: np.ndarray, factor: float) -> np.ndarray:
    """Squares (n, 3) about the same centres with `factor` times the side."""
    grown = squares[:, 2:] * (factor - 1) / 2
    return np.concatenate([squares[:, :2] - grown, squares[:, 2:] + 2 * grown], axis=1)


def around(boxes: np.ndarray) -> np.ndarray:
    """The squares (n, 3) about the centres of boxes (n, 4), x, y, width, height, with their longer sides."""
    side = boxes[:, 2:].max(axis=1, keepdims=True)
    return np.concatenate([boxes[:, :2] + (boxes[:, 2:] - side) / 2, side], axis=1)


def crop(photo: Image.Image, squares: np.ndarray, side: int) -> np.ndarray:
    """What lies in squares (n, 3), grey, uint8 (n, side, side); the edge pixels are repeated outside, as in the augmentation.

    Grey is luma (ITU-R BT.601). Bilinear, with a wider filter where the square is larger than the result, so that nothing aliases.
    """
    if len(squares) == 0:
        return np.zeros((0, side, side), np.uint8)
    return np.stack([_crop(photo, square, side) for square in squares])


def _crop(photo: Image.Image, square: np.ndarray, side: int) -> np.ndarray:
    reach = int(np.ceil(square[2] / side)) + 1  # pixels beyond the square that the filter sees
    low, high = np.floor(square[:2]).astype(int) - reach, np.ceil(square[:2] + square[2]).astype(int) + reach
    # The pixels of the photo between `low` and `high`, at least one row and column, and how many to repeat on each side.
    first = np.clip(low, 0, np.array(photo.size) - 1)
    last = np.clip(high, first + 1, photo.size)
    inside = np.asarray(photo.crop((*first, *last)).convert("L"))
    (left, top), (right, bottom) = first - low, high - last
    padded = Image.fromarray(np.pad(inside, ((top, max(0, bottom)), (left, max(0, right))), mode="edge"))
    corner = square[:2] - low
    return np.asarray(padded.resize((side, side), Image.Resampling.BILINEAR, box=(*corner, *(corner + square[2]))))


def to_photo(keypoints: np.ndarray, squares: np.ndarray, side: int) -> np.ndarray:
    """Keypoints (n, K, 2) in pixels of what `crop` cut out -> in pixels of the photo."""
    return keypoints * (squares[:, None, 2:] / side) + squares[:, None, :2]


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


def listed(arguments: Iterable[Path]) -> list[Path]:
    """The photographs that the arguments name, each once: files as they are, of a folder the pictures directly in it, by name.

    InputError for what is not there, and for a folder without pictures.
    """
    found: dict[Path, None] = {}
    for path in arguments:
        if not path.exists():
            raise InputError(f"{path} does not exist.")
        files = _pictures(path) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path} has no pictures directly in it (files such as .jpg, .png, .tif).")
        found |= dict.fromkeys(files)
    return list(found)


def _pictures(folder: Path) -> list[Path]:
    known = suffixes()
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in known and path.is_file() and path.name[0] != ".")
