"""Square crops of a photograph, and the map from the pixels of a crop back to those of the photograph.

A square is x, y and side: its upper left corner and its length, in pixels of the photograph.
"""

import numpy as np
from PIL import Image


def scaled(squares: np.ndarray, factor: float) -> np.ndarray:
    """Squares (n, 3) with the same centres and `factor` times the side."""
    grown = squares[:, 2:] * (factor - 1) / 2
    return np.concatenate([squares[:, :2] - grown, squares[:, 2:] + 2 * grown], axis=1)


def around(boxes: np.ndarray) -> np.ndarray:
    """Squares (n, 3) around the centres of boxes (n, 4), given as x, y, width and height. Their sides are the longer sides of the boxes."""
    side = boxes[:, 2:].max(axis=1, keepdims=True)
    return np.concatenate([boxes[:, :2] + (boxes[:, 2:] - side) / 2, side], axis=1)


def crop(photo: Image.Image, squares: np.ndarray, side: int, *, colour: bool = False) -> np.ndarray:
    """Cuts out squares (n, 3) as grey images uint8 (n, side, side), or colour images uint8 (n, side, side, 3).

    The edge pixels are repeated outside, as by the augmentation.

    Grey is luma (ITU-R BT.601). Interpolation is bilinear, with a wider filter where the square is larger than the result, which avoids
    aliasing.
    """
    if len(squares) == 0:
        return np.zeros((0, side, side, 3) if colour else (0, side, side), np.uint8)
    return np.stack([_crop(photo, square, side, "RGB" if colour else "L") for square in squares])


def _crop(photo: Image.Image, square: np.ndarray, side: int, mode: str) -> np.ndarray:
    reach = int(np.ceil(square[2] / side)) + 1  # number of pixels beyond the square that the filter needs
    low, high = np.floor(square[:2]).astype(int) - reach, np.ceil(square[:2] + square[2]).astype(int) + reach
    # The part of the photo between `low` and `high`, at least one row and one column, and the number of pixels to repeat on each side.
    first = np.clip(low, 0, np.array(photo.size) - 1)
    last = np.clip(high, first + 1, photo.size)
    inside = np.asarray(photo.crop((*first, *last)).convert(mode))
    (left, top), (right, bottom) = first - low, high - last
    widths = ((top, max(0, bottom)), (left, max(0, right)), (0, 0))[: inside.ndim]
    padded = Image.fromarray(np.pad(inside, widths, mode="edge"))
    corner = square[:2] - low
    return np.asarray(padded.resize((side, side), Image.Resampling.BILINEAR, box=(*corner, *(corner + square[2]))))


def to_photo(keypoints: np.ndarray, squares: np.ndarray, side: int) -> np.ndarray:
    """Converts keypoints (n, K, 2) from pixels of the images that `crop` returns to pixels of the photo."""
    return keypoints * (squares[:, None, 2:] / side) + squares[:, None, :2]
