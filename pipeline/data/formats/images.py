"""Image files: found in a list of paths, and read upright, in colour and with eight bits a channel."""

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pipeline.errors import InputError

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
