"""Images in the forms in which notebooks have them: files, arrays and Pillow's images."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.api.reading import Sample
from pipeline.errors import InputError

if TYPE_CHECKING:
    from typing import TypeGuard

    from PIL import Image

    from pipeline.data.formats.images import Photograph

CHANNELS = (1, 3)
_EIGHT_BITS = "Images are arrays of uint8, with 0 for black and 255 for white"


def is_file(image: Any) -> "TypeGuard[str | os.PathLike[str]]":
    """Whether an image is given as the path of a file."""
    return isinstance(image, str | os.PathLike)


def is_pillow(image: Any) -> "TypeGuard[Image.Image]":
    """Whether it is one of Pillow's images."""
    from PIL import Image

    return isinstance(image, Image.Image)


def photograph(image: Any, what: str) -> "Photograph":
    """An image as the program reads photographs: upright.

    image: the path of a file, an array uint8 (H, W), (H, W, 1) or (H, W, 3), or one of Pillow's images in its mode L or RGB. what: a name
    for messages, such as "image 3".

    Raises InputError for anything else, and for a file that cannot be read.
    """
    from PIL import Image

    from pipeline.data.formats import images

    if is_file(image):
        return images.read_photograph(Path(image).expanduser())
    if is_pillow(image):
        if image.mode not in ("L", "RGB"):
            raise InputError(f"{what} has the mode {image.mode} of Pillow. Convert it first: image.convert('RGB').")
        return images.Photograph(image, 1, image.size)
    if isinstance(image, Sample):
        raise InputError(f"{what} is a sample. Give its file, sample.path, or its pixels, sample.pixels().")
    if not isinstance(image, np.ndarray):
        raise InputError(
            f"{what} is of the type {type(image).__name__}. Give the path of a file, or an array of uint8, (H, W) or (H, W, 3)."
        )
    check(image.dtype, what)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in CHANNELS) or 0 in image.shape:
        raise InputError(f"{what} has the shape {image.shape}. {_shapes(image.shape)}")
    read = Image.fromarray(np.ascontiguousarray(image if image.ndim == 2 or image.shape[2] == 3 else image[..., 0]))
    return images.Photograph(read, 1, read.size)


def check(dtype: np.dtype, what: str) -> None:
    """Raises InputError for other arrays than those of uint8, with the conversion that is probably needed."""
    if dtype == np.uint8:
        return
    if np.issubdtype(dtype, np.floating):
        advice = "Convert values from 0 to 1 with (255 * images).round().astype('uint8')."
    elif np.issubdtype(dtype, np.bool_):
        advice = "Convert them with 255 * images.astype('uint8')."
    elif dtype == np.uint16:
        advice = "Convert 16 bits with (images // 257).astype('uint8')."
    elif np.issubdtype(dtype, np.integer):
        advice = "If the values are from 0 to 255, convert them with images.astype('uint8')."
    else:
        advice = "For images of different sizes, give a list of arrays."
    raise InputError(f"{what} has the dtype {dtype}. {_EIGHT_BITS}. {advice}")


def _shapes(shape: tuple[int, ...]) -> str:
    """What to do about an array of this shape in place of an image."""
    if 0 in shape:
        return "An image has at least one pixel."
    if len(shape) == 3 and shape[2] in (2, 4):
        return "Leave out the transparency: image[..., :3] of RGBA, image[..., 0] of grey with alpha."
    if len(shape) == 3 and shape[0] in CHANNELS:
        return "Put the channels last: image.transpose(1, 2, 0)."
    return "An image has the shape (H, W), (H, W, 1) or (H, W, 3)."
