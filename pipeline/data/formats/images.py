"""Image files: listed from paths, and read upright, in colour and with eight bits per channel."""

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pipeline.errors import InputError

# The levels that can mean white in images that do not have eight bits per channel.
FULL_SCALES = (1, 255, 65535)


def suffixes() -> set[str]:
    """The file name suffixes of readable pictures, in lower case, with the dot."""
    return set(Image.registered_extensions())


def read(path: Path) -> Image.Image:
    """Reads a photograph as RGB with eight bits per channel, upright, with transparent parts over white.

    Raises InputError if it cannot be read.
    """
    try:
        # Pillow warns about more than 89 megapixels and refuses twice as many.
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            image.load()
            return _opaque(_eight_bits(ImageOps.exif_transpose(image)))
    # For broken files Pillow raises SyntaxError, IndexError, struct.error and more.
    except Exception as error:
        raise InputError(f"{path} cannot be read as a picture ({error}); convert it to PNG or JPEG, or leave it out.") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Converts images of 16 or 32 bits or of real numbers to eight bits; white is the smallest of FULL_SCALES that no level exceeds."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image, np.float64)
    if not np.isfinite(values).all() or values.max() > FULL_SCALES[-1]:
        raise ValueError("its grey levels exceed 16 bits")
    full = next(full for full in FULL_SCALES[image.mode != "F" :] if values.max() <= full)
    return Image.fromarray((np.clip(values / full, 0, 1) * 255 + 0.5).astype(np.uint8))


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def listed(arguments: Iterable[Path]) -> list[Path]:
    """The photographs that the arguments name, each once: the files themselves, and the pictures directly in a folder, sorted by name.

    Raises InputError for a path that does not exist and for a folder without pictures.
    """
    found: dict[Path, None] = {}
    for path in arguments:
        if not path.exists():
            raise InputError(f"{path} does not exist.")
        files = _pictures(path) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path} contains no pictures (files such as .jpg, .png, .tif); give another folder or the files themselves.")
        found |= dict.fromkeys(files)
    return list(found)


def _pictures(folder: Path) -> list[Path]:
    known = suffixes()
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in known and path.is_file() and path.name[0] != ".")
