"""Kaggle's three files: read into arrays, and written.

Every value that is read is checked, and every fault is an InputError that names its file, row and column.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.data.formats import placeholders
from pipeline.data.formats.csvrows import Rows, read_rows
from pipeline.data.formats.pixels import PixelError, parse_images
from pipeline.data.tables import LabelledFaces, Lookup, UnlabelledFaces
from pipeline.errors import InputError
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Collector, Images, each
from pipeline.progress import OnProgress, ignored

CORRECT_ROW = "correct the row or download the file again"
CUT_OFF = "the file appears to be truncated, so download it again"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)  # fits int64
_GREYS = tuple(str(level) for level in range(256))


class KaggleFiles(NamedTuple):
    """The paths of the three files: labelled faces, faces to predict, and the values to predict for them."""

    training: Path
    test: Path
    lookup: Path


def read_training(
    path: Path, keypointset: KeypointSet, *, side: int, images: Collector | None = None, on_progress: OnProgress = ignored
) -> LabelledFaces:
    """Reads labelled faces: images uint8 (n, side, side); keypoints float32 (n, K, 2), pixels, x then y, NaN where not labelled.

    The file, plain or zipped, has the columns of the keypoint set and the column Image, in any order. A coordinate that is empty or "nan"
    is not labelled; x and y are independent in this. A face without any label is accepted.

    images: an empty collector, for images that may not fit into memory.
    on_progress: receives the numbers of bytes read.

    Raises InputError for any fault of the file, its columns, a row or a number, for a coordinate more than half an image side outside the
    image, for a file without any label, and for labels that cannot be labels (`placeholders.check`).
    """
    required = (*keypointset.columns, "Image")
    images, keypoints, label = images or Collector(), [], str(path)
    for rows in read_rows(path, _column_check(required), on_progress=on_progress):
        images.add(_images(rows, side))
        keypoints.append(_coordinates(rows, keypointset, side))
        label = rows.label
    table = LabelledFaces(images.rows(), np.concatenate(keypoints))
    if np.isnan(table.keypoints).all():
        raise InputError(f"{label} has no labelled keypoint in any of its {len(table.images)} rows; check that it is the training file.")
    placeholders.check(label, table.keypoints, keypointset, side=side)
    return table


def read_test(path: Path, *, side: int, images: Collector | None = None, on_progress: OnProgress = ignored) -> UnlabelledFaces:
    """Reads the faces to predict, in the file's order: unique positive image_ids int64 (n,) and images uint8 (n, side, side).

    The file, plain or zipped, has the columns ImageId and Image. `images` and `on_progress` are as for `read_training`.

    Raises InputError for any fault.
    """
    image_ids, images, seen = [], images or Collector(), set[int]()
    for rows in read_rows(path, _column_check(("ImageId", "Image")), on_progress=on_progress):
        image_ids.append(_new_integers(rows, "ImageId", seen))
        images.add(_images(rows, side))
    return UnlabelledFaces(np.concatenate(image_ids), images.rows())


def read_lookup(path: Path, keypointset: KeypointSet, image_ids: np.ndarray) -> Lookup:
    """Reads the m values to predict, in the file's order, as indices into the test images and the keypoints.

    The file has the columns RowId, ImageId and FeatureName. A column Location is ignored, and rows may end before it, as they do in one of
    Kaggle's own files.

    image_ids: those of the test images, int64 (n,).

    Raises InputError for any fault, including an image that is not among the ids and a feature that is not a column of the keypoint set.
    """
    known_images, known_features = pd.Index(image_ids), pd.Index(keypointset.columns)
    row_ids, faces, features, seen = [], [], [], set[int]()
    most = len(known_images) * len(known_features)
    check = _column_check(("RowId", "ImageId", "FeatureName"), optional=("Location",))
    for rows in read_rows(path, check, may_lack="Location"):
        row_ids.append(_new_integers(rows, "RowId", seen))
        faces.append(_positions(rows, "ImageId", known_images, _positive_integers(rows, "ImageId"), "not an image of the test file"))
        unknown = f"not a feature of {keypointset.name}"
        features.append(_positions(rows, "FeatureName", known_features, rows.table["FeatureName"], unknown))
        if len(seen) > most:
            raise InputError(f"{rows.label} asks for more than the {most} values that the test images have; download it again.")
    face, feature = np.concatenate(faces).astype(np.int32), np.concatenate(features)
    return Lookup(np.concatenate(row_ids), face, (feature // 2).astype(np.int16), (feature % 2).astype(np.int8))


def write_training(path: Path, keypointset: KeypointSet, images: Images, keypoints: np.ndarray) -> None:
    """Writes labelled faces: images uint8 (n, side, side) and keypoints (n, K, 2), pixels, with six decimals, empty where NaN."""

    def lines() -> Iterator[str]:
        yield ",".join((*keypointset.columns, "Image"))
        for labels, image in zip(keypoints, each(images), strict=True):
            coordinates = ("" if value != value else f"{value:.6f}" for value in labels.ravel().tolist())
            yield ",".join((*coordinates, _pixels(image)))

    _write(path, lines())


def write_test(path: Path, images: Images) -> None:
    """Writes the faces to predict, images uint8 (n, side, side), with ImageIds counted from 1."""
    rows = (f"{image_id},{_pixels(image)}" for image_id, image in enumerate(each(images), start=1))
    _write(path, chain(["ImageId,Image"], rows))


def write_lookup(path: Path, keypointset: KeypointSet, requested: np.ndarray) -> None:
    """Writes the values to predict: x and y of each keypoint that is requested, bool (n, K), of each image. Location is empty."""
    asked = np.argwhere(np.repeat(requested, 2, axis=1)).tolist()
    rows = (f"{row_id},{image + 1},{keypointset.columns[column]}," for row_id, (image, column) in enumerate(asked, start=1))
    _write(path, chain(["RowId,ImageId,FeatureName,Location"], rows))


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def _pixels(image: np.ndarray) -> str:
    return " ".join(map(_GREYS.__getitem__, image.tobytes()))


def _column_check(required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Callable[[str, list[str]], None]:
    def check(label: str, names: list[str]) -> None:
        repeated = [name for name, count in Counter(names).items() if count > 1]
        missing = [name for name in required if name not in names]
        unknown = [name for name in names if name not in required + optional]
        faults = {"repeats": repeated, "lacks": missing, "has unknown": unknown}
        if any(faults.values()):
            found = " and ".join(f"{verb} {_listed(named)}" for verb, named in faults.items() if named)
            raise InputError(f"{label}: the header {found}; the columns must be {_listed(required)}. Download the file again.")

    return check


def _listed(names: Iterable[str]) -> str:
    shown = [_shown(name) for name in names]
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")


def _shown(text: str) -> str:
    return repr(text[:40]) + ("..." if len(text) > 40 else "")


def _images(rows: Rows, side: int) -> np.ndarray:
    try:
        return parse_images(rows.table["Image"].tolist(), side=side)
    except PixelError as error:
        advice = CUT_OFF if error.too_few and rows.is_end(error.index) else CORRECT_ROW
        raise InputError(f"{rows.place(error.index, 'Image')}: {error}; {advice}.") from error


def _coordinates(rows: Rows, keypointset: KeypointSet, side: int) -> np.ndarray:
    """Keypoints float32 (n, K, 2) in pixels, NaN where the text is empty or "nan"."""
    columns = keypointset.columns
    cells = rows.table[list(columns)].to_numpy()
    filled, values = cells != "", np.full(cells.shape, np.nan)
    values[filled] = [_number(text) for text in cells[filled]]
    reach = side / 2
    outside = (values < -reach) | (values > side + reach)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise InputError(
            f"{rows.place(row, columns[column])} is {_shown(cells[row, column])}, which is not a coordinate in or near an image of "
            f"{side} pixels; correct it, or leave it empty if it is not labelled."
        )
    return values.reshape(-1, len(keypointset.names), 2).astype(np.float32)


def _number(text: str) -> float:
    """The number, NaN for a missing label, and infinity, which lies outside every image, for other text. float() would accept "1_0"."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    return np.nan if text.lower() in ("", "nan") else np.inf


def _positive_integers(rows: Rows, column: str) -> np.ndarray:
    texts = [text.strip() for text in rows.table[column]]
    for index, text in enumerate(texts):
        if not (_WHOLE.fullmatch(text) and int(text) > 0):
            raise InputError(f"{rows.place(index, column)} is {_shown(text)}, not a positive integer; {CORRECT_ROW}.")
    return np.array(texts, object).astype(np.int64)


def _new_integers(rows: Rows, column: str, seen: set[int]) -> np.ndarray:
    """Positive integers, none of which may occur in `seen`, to which they are added."""
    numbers = _positive_integers(rows, column)
    for index, number in enumerate(numbers.tolist()):
        if number in seen:
            raise InputError(f"{rows.place(index, column)} is {number}, which an earlier row has already; correct one of them.")
        seen.add(number)
    return numbers


def _positions(rows: Rows, column: str, known: pd.Index, values: np.ndarray | pd.Series, fault: str) -> np.ndarray:
    """The position of each value in the index of known ones; `fault` says what an unknown value is."""
    positions = known.get_indexer(values)
    if (positions < 0).any():
        index = int(np.flatnonzero(positions < 0)[0])
        shown = _shown(rows.table[column].iloc[index])
        raise InputError(f"{rows.place(index, column)} is {shown}, {fault}; {CORRECT_ROW}.")
    return positions
