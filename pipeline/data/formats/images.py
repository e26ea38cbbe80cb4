"""Image files, read upright, in colour and with eight bits per channel."""

import contextlib
import errno
import io
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from pipeline.data.formats import photographs
from pipeline.errors import InputError
from pipeline.units import printable

# The levels that can mean white in images that do not have eight bits per channel: 1 of real numbers, and those of 8 to 16 bits.
FULL_SCALES = (1, 255, 1023, 4095, 16383, 65535)
# Pixels of an image that is read in full, with four bytes each, of which there are a few copies. Pillow refuses larger ones.
MOST_PIXELS = 2 * 89_478_485
# JPEG files with up to this many pixels are read at a half, a quarter or an eighth of their size; beyond that, decoding takes very long. A
# progressive one is refused earlier, because the decoder keeps all of its coefficients, up to six bytes a pixel, whatever the size.
MOST_JPEG_PIXELS, MOST_PROGRESSIVE_PIXELS = 1_100_000_000, 300_000_000
# Bytes of memory that reading an image may take. A decoder may need many more bytes a pixel than the image itself has (measured; including
# one converted copy of the image), and that of TIFF files all of a strip or tile.
MOST_MEMORY = 1_500_000_000
_BYTES_PER_PIXEL = {"JPEG2000": 20, "WEBP": 16, "AVIF": 10}
_FEWEST_BYTES_PER_PIXEL = 8
ORIENTATION = 0x0112
_UNCOMPRESSED = 1  # TIFF 6.0, section 3
# The inverse of each way in which a camera can have been held (EXIF 2.32).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = [_UPRIGHT[orientation] for orientation in (5, 6, 7, 8)]
_ROWS = 256  # of a strip
_LONGEST_PROFILE = 4 << 20  # bytes; profiles of printing presses have up to 3 MB


@dataclass(frozen=True)
class Glance:
    """A reduced picture of an image file.

    image: RGB, upright; its longer side has at most the number of pixels that was asked for.
    size: width and height of the upright image, pixels.
    mode: Pillow's name of what a pixel consists of, such as L, RGB or I;16.
    """

    image: Image.Image
    size: tuple[int, int]
    mode: str


class UnreadableError(InputError):
    """A photograph cannot be read. It is one of many, and the others may be sound."""


@dataclass(frozen=True)
class Photograph:
    """A photograph as it was read.

    image: RGB, upright. Its info has at most a colour profile, which is one for RGB.
    reduction: 1, or 2, 4 or 8 if the image was too large to be read in full: pixels of the photograph per pixel of the image.
    size: width and height of the upright photograph, pixels. white: the level of the file that became 255, or 1 for real numbers up to 1.
    """

    image: Image.Image
    reduction: int
    size: tuple[int, int]
    white: int = 255


def read(path: Path) -> Image.Image:
    """The image of `read_photograph`."""
    return read_photograph(path).image


def read_photograph(path: Path) -> Photograph:
    """Reads a photograph as RGB with eight bits per channel, upright, with transparent parts over white. Of an animation, the first frame.

    Very large JPEG files are read at a reduced size. CMYK and grey photographs are converted to sRGB by their colour profiles.

    Raises UnreadableError if the file is no regular file, if it cannot be read, or if it has too many pixels.
    """
    with _image(path) as (image, start, _):
        if image.format == "TIFF" and photographs.unsupported(path, start):
            raise ValueError("a raw photograph is a TIFF file with a small preview as its first picture")
        return _photograph(image)


def glance(path: Path, side: int) -> Glance:
    """A picture of an image file whose longer side has at most `side` pixels. JPEG files are decoded at a reduced size, which is fast.

    Raises UnreadableError as `read_photograph` does.
    """
    with _image(path) as (image, _, _):
        mode = image.mode
        image.draft(None, (2 * side, 2 * side))
        reduced = _photograph(image).image
        reduced.thumbnail((side, side), reducing_gap=2.0)
        return Glance(reduced, size(path), mode)


class _TooLargeError(ValueError):
    """An image has too many pixels; the message says so."""


def _why(path: Path, start: bytes, error: Exception) -> str:
    """The end of a sentence about a file that could not be read: why, and what to do."""
    if isinstance(error, _TooLargeError):
        return f"{error}. Reduce it, for example: {photographs.halving(path)}"
    if kind := photographs.unsupported(path, start):
        return f"it is a {kind}. Convert it first, for example: {photographs.conversion(path, kind)}"
    if isinstance(error, OSError) and error.errno:
        return f"{(error.strerror or str(error)).lower()}. Check the file, or leave it out."
    if not start:
        return "it is empty. Copy it again, or leave it out."
    if isinstance(error, UnidentifiedImageError):
        return "its format is not one of those that are read. Convert it to PNG or JPEG, or leave it out."
    if isinstance(error, MemoryError):
        return "there is not enough memory. Reduce it, or leave it out."
    return f"{printable(error)[:200] or type(error).__name__}. Convert it to PNG or JPEG, or leave it out."


@contextlib.contextmanager
def _image(path: Path) -> Iterator[tuple[ImageFile.ImageFile, bytes, BinaryIO]]:
    """An image file that Pillow has opened, its first bytes, and the open file. Raises UnreadableError for whatever goes wrong with it."""
    start = b""
    try:
        with _opened(path) as file, _unlimited():
            start = file.read(12)
            file.seek(0)
            with Image.open(file, formats=photographs.formats()) as image:
                yield image, start, file
    # For broken files Pillow raises SyntaxError, IndexError, struct.error and more.
    except Exception as error:
        raise UnreadableError(f"{printable(path)} cannot be read as a picture: {_why(path, start, error)}") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, open for reading. Never waits: a pipe or a device is opened without waiting, not read, and raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        yield file


@contextlib.contextmanager
def _unlimited() -> Iterator[None]:
    """Switches off Pillow's own limit for the number of pixels, for which `_reduced` takes the place, and its warnings."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _photograph(image: ImageFile.ImageFile) -> Photograph:
    """The photograph in an open image file."""
    width, height = image.size
    reduction, turn = _reduced(image), _loaded(image)
    read, white = _in_rgb(image)
    if read is not image:
        image.close()  # frees its memory
    if turn is not None:
        read = read.transpose(turn)
    if reduction == 1:
        return Photograph(read, 1, read.size, white)
    return Photograph(read, reduction, (height, width) if turn in _ON_ITS_SIDE else (width, height), white)


def _reduced(image: ImageFile.ImageFile) -> int:
    """Makes a very large JPEG file load at a reduced size; returns the reduction. Raises _TooLargeError if an image has too many pixels."""
    width, height = image.size
    most = MOST_PIXELS
    if image.format in ("JPEG", "MPO"):
        most = MOST_PROGRESSIVE_PIXELS if "progressive" in image.info else MOST_JPEG_PIXELS
    if width * height > most:
        raise _TooLargeError(f"it has {width * height / 1e6:,.0f} megapixels, and at most {most / 1e6:,.0f} can be read")
    if width * height <= MOST_PIXELS:
        _check_memory(image)
        return 1
    reduction = next(factor for factor in (2, 4, 8) if width * height <= factor**2 * MOST_PIXELS)
    image.draft(image.mode, (max(1, width // reduction), max(1, height // reduction)))
    if image.size == (width, height):  # fewer rows or columns than the reduction
        raise _TooLargeError(f"it has {width:,} x {height:,} pixels")
    return reduction


def _check_memory(image: ImageFile.ImageFile) -> None:
    """Raises _TooLargeError if reading an image in full would take too much memory, whatever of it the file really has."""
    width, height = image.size
    needed = width * height * _BYTES_PER_PIXEL.get(image.format or "", _FEWEST_BYTES_PER_PIXEL)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        needed += _largest_piece(image)
    if needed > MOST_MEMORY:
        raise _TooLargeError(
            f"it has {width:,} x {height:,} pixels, and reading them would take {needed / 1e9:.1f} GB of memory, above the limit of "
            f"{MOST_MEMORY / 1e9:.1f} GB"
        )


def _largest_piece(image: TiffImagePlugin.TiffImageFile) -> int:
    """The bytes of a decoded strip or tile of a TIFF file, which the decoder keeps in memory; 0 if nothing is compressed."""
    tags = image.tag_v2
    if tags.get(TiffImagePlugin.COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED:
        return 0
    bits = sum(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
    if TiffImagePlugin.TILEWIDTH in tags:
        pixels = tags[TiffImagePlugin.TILEWIDTH] * tags.get(TiffImagePlugin.TILELENGTH, image.height)
    else:
        pixels = image.width * min(tags.get(TiffImagePlugin.ROWSPERSTRIP, image.height), image.height)
    return int(pixels) * bits // 8


def _loaded(image: ImageFile.ImageFile) -> Image.Transpose | None:
    """Loads an image, and returns the transposition that turns it upright, or None if it is upright.

    Of its EXIF data only the orientation is looked at: cameras and editors write other tags that Pillow cannot read or write again. If the
    orientation cannot be read either, the image counts as upright.
    """
    if image.format == "TIFF":  # is turned by Pillow while it is loaded
        with contextlib.suppress(Exception):
            image.getexif()  # a second call returns what the first could read
        with contextlib.suppress(Exception):
            exif = image.getexif()
            for tag in set(exif) - {ORIENTATION}:
                del exif[tag]
    image.load()
    with contextlib.suppress(Exception):
        return _UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    return None


def _in_rgb(image: Image.Image) -> tuple[Image.Image, int]:
    """The image as RGB without transparency, with a colour profile only where that is one for RGB, and the level that became white."""
    profile = _profile(image)
    space = profile[16:20]
    if space == {"CMYK": b"CMYK", "L": b"GRAY", "LA": b"GRAY"}.get(image.mode):
        with contextlib.suppress(Exception):  # a profile that cannot be used
            image, profile = _converted(image, profile), b""
    fits = space == b"RGB " and image.mode not in ("CMYK", "LAB")
    eight_bits, white = _eight_bits(image)
    read = _opaque(eight_bits)
    read.info = {"icc_profile": profile} if profile and fits else {}
    return read, white


def _profile(image: Image.Image) -> bytes:
    """The colour profile of an image, as bytes; empty if there is none, or if it is not one by its header (ICC.1:2022, 7.2)."""
    profile = image.info.get("icc_profile")
    if isinstance(profile, bytes) and profile[36:40] == b"acsp" and len(profile) <= _LONGEST_PROFILE:
        return profile
    return b""


def _converted(image: Image.Image, profile: bytes) -> Image.Image:
    """A CMYK or grey image as sRGB, with its transparency. Raises an exception of several types if the profile cannot be used."""
    from PIL import ImageCms

    opaque = image.getchannel("L") if image.mode == "LA" else image
    given: Any = io.BytesIO(profile)
    converted = ImageCms.profileToProfile(opaque, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
    if converted is None:
        raise ValueError("not converted")
    if image.mode == "LA":
        converted.putalpha(image.getchannel("A"))
    elif "transparency" in image.info and image.mode == "L":
        converted.putalpha(image.convert("LA").getchannel("A"))
    converted.info.pop("transparency", None)
    return converted


def _eight_bits(image: Image.Image) -> tuple[Image.Image, int]:
    """Converts images of 16 or 32 bits or of real numbers to eight bits; white is the smallest of FULL_SCALES that no level exceeds.

    Returns the image and the level of the file that became white.
    """
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image, 255
    strips = (np.asarray(strip) for _, strip in _strips(image))
    extremes = np.array([(levels.min(), levels.max()) for levels in strips], np.float64)  # NaN where a strip has one
    if not np.isfinite(extremes).all() or extremes.max() > FULL_SCALES[-1]:
        raise ValueError("its grey levels exceed 16 bits")
    full = next(full for full in FULL_SCALES[image.mode != "F" :] if extremes.max() <= full)
    grey = Image.new("L", image.size)
    for top, strip in _strips(image):
        levels = np.clip(np.asarray(strip, np.float64) / full, 0, 1) * 255 + 0.5
        grey.paste(Image.fromarray(levels.astype(np.uint8)), (0, top))
    return grey, full


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    opaque = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        white = Image.new("RGBA", strip.size, "white")
        opaque.paste(Image.alpha_composite(white, strip.convert("RGBA")).convert("RGB"), (0, top))
    return opaque


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yields the first row and the image of each strip of some rows, so that intermediate results need little memory."""
    for top in range(0, image.height, _ROWS):
        yield top, image.crop((0, top, image.width, min(image.height, top + _ROWS)))


def decoded(content: bytes, label: str) -> Photograph:
    """An image that is part of another file, given by its bytes, as `read_photograph` reads a file; `label` names it in messages.

    Raises UnreadableError if it cannot be read.
    """
    try:
        with _unlimited(), Image.open(io.BytesIO(content), formats=photographs.formats()) as image:
            return _photograph(image)
    except Exception as error:
        raise UnreadableError(
            f"{printable(label)} cannot be read as a picture: {printable(error)[:200] or type(error).__name__}."
        ) from error


def size(path: Path) -> tuple[int, int]:
    """Width and height of the upright image, pixels, from the beginning of its file. Raises UnreadableError if it cannot be read."""
    with _image(path) as (image, _, file):
        width, height = image.size
        if isinstance(image, TiffImagePlugin.TiffImageFile):  # since Pillow 11 its size is the upright one before it is loaded
            width, height = image.tag_v2[TiffImagePlugin.IMAGEWIDTH], image.tag_v2[TiffImagePlugin.IMAGELENGTH]
        if image.format == "PNG" and not _may_have_exif(file):
            return width, height
        with contextlib.suppress(Exception):
            if _UPRIGHT.get(image.getexif().get(ORIENTATION, 1)) in _ON_ITS_SIDE:
                return height, width
        return width, height


def _may_have_exif(file: BinaryIO) -> bool:
    """Whether a PNG file has a chunk that could contain EXIF data. To look for these, Pillow would decode the whole image."""
    place = 8
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return False
        title = file.read(79).split(b"\0")[0].lower() if head[4:] in (b"tEXt", b"zTXt", b"iTXt") else b""
        if head[4:] == b"eXIf" or any(word in title for word in (b"exif", b"xmp", b"app1")):
            return True
        place += 12 + int.from_bytes(head[:4])
