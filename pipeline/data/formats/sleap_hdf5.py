"""The HDF5 side of SLEAP's files, for `sleap_process`: their tables, their JSON texts and the images embedded in them, read within bounds.

The layout is that of SLEAP's `sleap/io/format/hdf5.py` and sleap-io's `sleap_io/io/slp.py`. A hostile file may declare terabytes, refer to
other files, or have chunks that do not fit in memory; so each object is checked before it is read.
"""

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.units import printable

MOST_ROWS = 20_000_000  # of a table; points of 100 keypoints in 200,000 instances
LARGEST = 512 << 20  # bytes of a table in memory
LARGEST_TEXT = 64 << 20  # bytes of all JSON texts of one kind
LARGEST_FRAME = 256 << 20  # bytes of one image, encoded or not
LARGEST_CHUNK = 256 << 20  # bytes in memory
_MAGIC = b"\x89HDF\r\n\x1a\n"


def is_sleap(path: Path) -> bool:
    """Whether a file is HDF5, as SLEAP's are since version 1.0; earlier ones were JSON."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def opened(path: Path) -> Any:
    """The open file, an `h5py.File`."""
    import h5py

    return h5py.File(path, "r", locking=False)


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Makes an InputError of whatever h5py raises."""
    try:
        yield
    except InputError:
        raise
    # For damaged files h5py raises OSError, RuntimeError, KeyError, ValueError, TypeError and more.
    except Exception as error:
        raise damaged(path, str(error)) from None


def damaged(path: Path, why: str) -> InputError:
    """The error for a file that cannot be read."""
    return InputError(f"{printable(path)} is not a SLEAP file that can be read ({printable(why)[:200]}). Save it with SLEAP again.")


def metadata(file: Any, path: Path) -> tuple[dict[str, Any], float]:
    """The content of /metadata: its JSON, a dict, and the number of the format."""
    import h5py

    group = _object(file, "metadata", path)
    if not isinstance(group, h5py.Group) or "json" not in group.attrs:
        raise damaged(path, "/metadata has no attribute json")
    content = _json(_attribute(group, "json", path), path, "/metadata")
    number = _attribute(group, "format_id", path) if "format_id" in group.attrs else 1.0
    if not isinstance(content, dict):
        raise damaged(path, "the JSON text of /metadata is no object")
    if not isinstance(number, float | int) or not 0 < number < 100:
        raise damaged(path, f"format_id is {number!r}")
    return content, float(number)


def texts(file: Any, name: str, path: Path) -> list[Any]:
    """The JSON texts of a dataset of strings, parsed; empty if there is none."""
    if name not in file:
        return []
    dataset = _dataset(file, name, path)
    if dataset.dtype.kind == "f" and not dataset.size:  # h5py writes an empty list so
        return []
    if dataset.ndim != 1 or dataset.dtype.kind not in "SO" or dataset.size * dataset.dtype.itemsize > LARGEST_TEXT:
        raise damaged(path, f"/{name} is no list of texts")
    found, length = [], 0
    for index in range(len(dataset)):  # one by one: the texts of a list of this length may all be the same large one
        text = dataset[index]
        length += len(text)
        if length > LARGEST_TEXT:
            raise damaged(path, f"/{name} is too long")
        found.append(_json(text, path, f"/{name}"))
    return found


def table(file: Any, name: str, fields: list[str], path: Path) -> np.ndarray:
    """Columns of a table, float64 (fields, n): by name, or by position where it is an array of numbers, as other programs write it."""
    dataset = _dataset(file, name, path)
    by_name = dataset.dtype.names is not None
    kinds = [dataset.dtype[field].kind for field in dataset.dtype.names] if by_name else [dataset.dtype.kind]
    fits = (
        dataset.ndim == 1 and set(fields) <= set(dataset.dtype.names) if by_name else dataset.ndim == 2 and dataset.shape[1] >= len(fields)
    )
    if not dataset.size and not fits:
        return np.empty((len(fields), 0))
    if not fits or any(kind not in "biuf" for kind in kinds):
        raise damaged(path, f"/{name} has no columns {', '.join(fields)}")
    if dataset.shape[0] > MOST_ROWS or dataset.size * dataset.dtype.itemsize > LARGEST:
        raise damaged(path, f"/{name} has {dataset.shape[0]:,} rows")
    rows, columns = dataset[()], np.empty((len(fields), dataset.shape[0]))
    with np.errstate(invalid="ignore"):  # long doubles that are not finite
        for index, field in enumerate(fields):
            columns[index] = rows[field] if by_name else rows[:, index]
    return columns


def frame_rows(file: Any, name: str, path: Path) -> tuple[dict[int, int], tuple[int, int] | None]:
    """Which images are embedded as a video.

    name: of the dataset of images, such as video0/video. Returns the row of each frame number, and the width and height of the images in
    pixels, or None if the file does not say.
    """
    images = _images(file, name, path)
    numbers = f"{name.rpartition('/')[0]}/frame_numbers"
    if numbers in file:
        dataset = _dataset(file, numbers, path)
        if dataset.ndim != 1 or dataset.dtype.kind not in "iuf" or len(dataset) > MOST_ROWS:
            raise damaged(path, f"/{numbers} is no list of numbers")
        known = dataset[()].astype(np.int64)
    else:
        known = np.arange(min(len(images), MOST_ROWS))
    if len(known) != len(images):
        raise damaged(path, f"/{numbers} has {len(known)} numbers for {len(images)} images")
    if images.ndim == 4:
        return _rows(known), (images.shape[2], images.shape[1])
    given = [_attribute(images, key, path) if key in images.attrs else 0 for key in ("width", "height")]
    is_size = all(isinstance(side, int | float) and 0 < side < 1 << 20 for side in given)
    return _rows(known), (int(given[0]), int(given[1])) if is_size else None


def _rows(numbers: np.ndarray) -> dict[int, int]:
    return {int(number): row for row, number in enumerate(numbers)}


def image(file: Any, name: str, row: int, path: Path) -> bytes:
    """The bytes of an image file: of an embedded image as it is, or PNG if it is embedded as pixels or with red and blue exchanged."""
    from PIL import Image

    images = _images(file, name, path)
    if not 0 <= row < len(images):
        raise damaged(path, f"/{name} has no image {row}")
    if images.ndim == 4:
        pixels = images[row]
        return _png(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    # Images of different lengths are padded with zeros, with which neither PNG nor JPEG files end.
    encoded = np.asarray(images[row]).astype(np.uint8).tobytes().rstrip(b"\0")
    if len(encoded) > LARGEST_FRAME:
        raise damaged(path, f"image {row} of /{name} has {len(encoded):,} bytes")
    return _as_rgb(encoded) if _is_bgr(file, images, path) else encoded


def _is_bgr(file: Any, images: Any, path: Path) -> bool:
    """Whether red and blue are exchanged: OpenCV encodes them so, and SLEAP did until format 1.4 without saying so."""
    if "channel_order" in images.attrs:
        return _text(_attribute(images, "channel_order", path)) == "BGR"
    return metadata(file, path)[1] < 1.4


def _as_rgb(encoded: bytes) -> bytes:
    """An image file with red and blue exchanged once more; one that is grey or cannot be read, as it is."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded), formats=("PNG", "JPEG")) as opened_image:
            if opened_image.mode != "RGB" or opened_image.width * opened_image.height * 3 > LARGEST_FRAME:
                return encoded
            red, green, blue = opened_image.split()
    except Exception:  # Pillow raises SyntaxError, struct.error and more; whoever reads the image reports it
        return encoded
    return _png(Image.merge("RGB", (blue, green, red)))


def _png(picture: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _images(file: Any, name: str, path: Path) -> Any:
    """The dataset of embedded images: encoded ones of int8 or uint8, or pixels uint8 (frames, height, width, 1 or 3)."""
    import h5py

    dataset = _dataset(file, name, path)
    encoded = h5py.check_vlen_dtype(dataset.dtype)
    if dataset.ndim == 1 and (encoded is not None or not len(dataset)):
        fits = encoded is None or np.dtype(encoded).itemsize == 1
    elif dataset.ndim == 2:
        fits = dataset.dtype.itemsize == 1 and dataset.shape[1] <= LARGEST_FRAME
    else:
        fits = (
            dataset.ndim == 4 and dataset.dtype == np.uint8 and dataset.shape[3] in (1, 3) and np.prod(dataset.shape[1:]) <= LARGEST_FRAME
        )
    if not fits or len(dataset) > MOST_ROWS:
        raise damaged(path, f"/{name} has no images that can be read")
    return dataset


def _object(file: Any, name: str, path: Path) -> Any:
    """A group or dataset. Links to other places are refused: they can lead to any file on the disk."""
    import h5py

    place = file
    for part in name.strip("/").split("/"):
        if not isinstance(place, h5py.Group) or not isinstance(place.get(part, getlink=True), h5py.HardLink):
            raise damaged(path, f"/{name} is missing or a link to another place")
        place = place[part]
    return place


def _dataset(file: Any, name: str, path: Path) -> Any:
    """A dataset with its data in the file itself and with chunks of a moderate size."""
    import h5py

    dataset = _object(file, name, path)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise damaged(path, f"/{name} is no dataset")
    if dataset.external or dataset.is_virtual:
        raise damaged(path, f"/{name} has its data in another file")
    if dataset.chunks and np.prod(dataset.chunks, dtype=np.float64) * dataset.dtype.itemsize > LARGEST_CHUNK:
        raise damaged(path, f"/{name} has chunks that are too large")
    return dataset


def _attribute(owner: Any, name: str, path: Path) -> Any:
    """The value of an attribute that is one number or one text."""
    attribute = owner.attrs.get_id(name)
    if attribute.dtype.kind not in "biufSO" or attribute.dtype.itemsize * int(np.prod(attribute.shape)) > LARGEST_TEXT:
        raise damaged(path, f"the attribute {name} cannot be used")
    value = owner.attrs[name]
    if isinstance(value, np.ndarray):
        value = value.reshape(-1)[0] if value.size == 1 else value.tobytes()
    return value.item() if isinstance(value, np.generic) else value


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _json(text: Any, path: Path, where: str) -> Any:
    try:
        return json.loads(_text(text))
    except (ValueError, RecursionError):
        raise damaged(path, f"a text of {where} is not JSON") from None
