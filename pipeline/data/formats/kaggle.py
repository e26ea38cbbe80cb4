"""Kaggle's three files as arrays: every value checked, every fault an InputError that names its file, row and column."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.formats.csvrows import CORRECT_ROW, CUT_OFF, Rows, read_rows
from pipeline.data.formats.pixels import PixelError, parse_images
from pipeline.errors import InputError
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Collector, Images
from pipeline.progress import OnProgress, ignored
from pipeline.schema import array, record

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)  # fits int64


@record
class LabelledFaces:
    images: Images = array("uint8", "face y x", "grey level", "faces, 0 = black to 255 = white")
    keypoints: np.ndarray = array("float32", "face keypoint coordinate", "px", "x then y, NaN where not labelled")


@record
class UnlabelledFaces:
    image_ids: np.ndarray = array("int64", "face", "", "ImageId, as the lookup table names the images; each once")
    images: Images = array("uint8", "face y x", "grey level", "faces, 0 = black to 255 = white")


@record
class Lookup:
    row_ids: np.ndarray = array("int64", "row", "", "RowId, as the submission names the values asked for; each once")
    face: np.ndarray = array("int32", "row", "", "which of the test images, counted from 0")
    keypoint: np.ndarray = array("int16", "row", "", "which of the keypoints, counted from 0")
    axis: np.ndarray = array("int8", "row", "", "which coordinate: 0 = x, 1 = y")


def read_training(
    path: Path, keypointset: KeypointSet, *, side: int, images: Collector | None = None, report: OnProgress = ignored
) -> LabelledFaces:
    """Labelled faces: images uint8 (n, side, side); keypoints float32 (n, K, 2), pixels, x then y, NaN where not labelled.

    The file, plain or zipped, has the columns of the keypoint set and Image, in any order. A coordinate that is empty or "nan" is not
    labelled, each on its own; a face without any label is accepted. Raises InputError for anything amiss: the file, its columns, a row,
    a number, a coordinate more than half an image side outside the image, a file without any label. images: an empty collector, for more
    of them than belong into memory. report: told of the bytes read.
    """
    required = (*keypointset.columns, "Image")
    images, keypoints = images or Collector(), []
    for rows in read_rows(path, _column_check(required), report=report):
        images.add(_images(rows, side))
        keypoints.append(_coordinates(rows, keypointset, side))
        label = rows.label
    table = LabelledFaces(images.rows(), np.concatenate(keypoints))
    if np.isnan(table.keypoints).all():
        raise InputError(f"{label} has no labelled keypoint in any of its {len(table.images)} rows; is it the training file?")
    return table


def read_test(path: Path, *, side: int, images: Collector | None = None, report: OnProgress = ignored) -> UnlabelledFaces:
    """Faces to predict: image_ids int64 (n,), positive, each once; images uint8 (n, side, side); in the file's order.

    The file, plain or zipped, has the columns ImageId and Image. Raises InputError for anything amiss. images, report: as above.
    """
    image_ids, images, seen = [], images or Collector(), set()
    for rows in read_rows(path, _column_check(("ImageId", "Image")), report=report):
        image_ids.append(_new_integers(rows, "ImageId", seen))
        images.add(_images(rows, side))
    return UnlabelledFaces(np.concatenate(image_ids), images.rows())


def read_lookup(path: Path, keypointset: KeypointSet, image_ids: np.ndarray) -> Lookup:
    """The values asked for, m of them in the file's order, as indices into the test images (their ids: int64 (n,)) and the keypoints.

    The file has the columns RowId, ImageId and FeatureName; its Location, if any, is not looked at, and rows may end before it, as they do
    in one of Kaggle's own files. Raises InputError for anything amiss,
    among it an image that is not among the ids and a feature that is no column of the keypoint set.
    """
    known_images, known_features = pd.Index(image_ids), pd.Index(keypointset.columns)
    row_ids, faces, features, seen = [], [], [], set()
    most = len(known_images) * len(known_features)
    check = _column_check(("RowId", "ImageId", "FeatureName"), optional=("Location",))
    for rows in read_rows(path, check, may_lack="Location"):
        row_ids.append(_new_integers(rows, "RowId", seen))
        faces.append(_positions(rows, "ImageId", known_images, _positive_integers(rows, "ImageId"), "no image of the test file"))
        features.append(_positions(rows, "FeatureName", known_features, rows.table["FeatureName"], f"no feature of {keypointset.name}"))
        if len(seen) > most:
            raise InputError(f"{rows.label} asks for more than the {most} values that there are; download it again.")
    face, feature = np.concatenate(faces).astype(np.int32), np.concatenate(features)
    return Lookup(np.concatenate(row_ids), face, (feature // 2).astype(np.int16), (feature % 2).astype(np.int8))


def _column_check(required: tuple[str, ...], optional: tuple[str, ...] = ()):
    def check(label: str, names: list[str]):
        repeated = [name for name, count in Counter(names).items() if count > 1]
        missing = [name for name in required if name not in names]
        unknown = [name for name in names if name not in required + optional]
        faults = {"repeats": repeated, "lacks": missing, "has unknown": unknown}
        if any(faults.values()):
            said = " and ".join(f"{verb} {_listed(named)}" for verb, named in faults.items() if named)
            raise InputError(f"{label}: the header {said}; the columns must be {_listed(required)}, download the file again.")

    return check


def _listed(names) -> str:
    shown = ", ".join(_shown(name) for name in names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


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
            f"{rows.place(row, columns[column])} is {_shown(cells[row, column])}, not a coordinate in or near an image of "
            f"{side} pixels; correct it, or leave it empty if it is not labelled."
        )
    return values.reshape(-1, len(keypointset.names), 2).astype(np.float32)


def _number(text: str) -> float:
    """NaN for a missing label; infinity, which lies outside every image, for what is not a number. float() would accept "1_0"."""
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
    """Positive integers of which none was seen in a row before; now they are."""
    numbers = _positive_integers(rows, column)
    for index, number in enumerate(numbers.tolist()):
        if number in seen:
            raise InputError(f"{rows.place(index, column)} is {number}, as in a row before; correct one of them.")
        seen.add(number)
    return numbers


def _positions(rows: Rows, column: str, known: pd.Index, values, nature: str) -> np.ndarray:
    """Where each value stands in the index of known ones; `nature` says what a value that does not is."""
    positions = known.get_indexer(values)
    if (positions < 0).any():
        index = np.flatnonzero(positions < 0)[0]
        shown = _shown(rows.table[column].iloc[index])
        raise InputError(f"{rows.place(index, column)} is {shown}, {nature}; {CORRECT_ROW}.")
    return positions
