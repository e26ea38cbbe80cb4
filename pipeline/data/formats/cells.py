"""Tables of labels in text files: rows of cells that are separated by commas, semicolons or tabs, with the numbers of their lines.

Tables of Kaggle's, with a million cells in a row, are read by `csvrows`.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from pipeline.data.formats import documents
from pipeline.data.formats.numbers import LARGEST, number, shown
from pipeline.errors import InputError
from pipeline.units import printable, size

LARGEST_TABLE = 128 << 20  # bytes; enough for 68 keypoints in 100,000 images
LONGEST = 4 << 20  # characters of a line
_MISSING = frozenset(("", "nan", "na", "n/a", "null", "none"))
_PLAIN = str.maketrans("", "", "0123456789.+-")


@dataclass(frozen=True)
class TableRow:
    """A row of a table. place: file and line, for messages."""

    place: str
    cells: list[str]


def first_rows(path: Path, count: int) -> list[list[str]]:
    """Up to `count` rows at the beginning of a file, by which a format is recognised; [] if it is no table."""
    start = documents.beginning(path, 1 << 18)
    try:
        return [row for row, _ in zip(csv.reader(io.StringIO(start), delimiter=_delimiter(start)), range(count), strict=False)]
    except csv.Error:
        return []


def rows(path: Path) -> Iterator[TableRow]:
    """All rows that are not blank, without spaces around the cells. Every row has as many cells as the first.

    Raises InputError for a file that is not such a table.
    """
    label, line = printable(path), 0
    try:
        if (length := path.stat().st_size) > LARGEST_TABLE:
            raise InputError(f"{label} has {size(length)}, and tables of up to {size(LARGEST_TABLE)} are read. Divide it.")
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.reader(_lines(file, label), delimiter=_delimiter(documents.beginning(path, 1 << 18)), strict=True)
            width = 0
            for cells in table:
                line = table.line_num
                if not any(cell.strip() for cell in cells):
                    continue
                width = width or len(cells)
                if len(cells) != width:
                    raise InputError(f"{label}, line {line} has {len(cells)} cells but the first line has {width}. Correct the line.")
                yield TableRow(f"{label}, line {line}", [cell.strip() for cell in cells])
    except csv.Error as error:
        raise InputError(f"{label}, line {line + 1} is not a row of a table ({error}). Correct the line.") from None
    except UnicodeDecodeError:
        raise InputError(f"{label}, after line {line}: not UTF-8 text. Save the file as UTF-8.") from None
    except OSError as error:
        raise InputError(f"{label} cannot be read: {(error.strerror or str(error)).lower()}. Check the file.") from None


def _lines(file: TextIO, label: str) -> Iterator[str]:
    number = 0
    while line := file.readline(LONGEST):
        number += 1
        if len(line) == LONGEST:
            raise InputError(f"{label}, line {number} has more than {LONGEST:,} characters. Check the file.")
        yield line


def _delimiter(start: str) -> str:
    """The separator of cells: of comma, semicolon and tab, the one that is most frequent in the first line."""
    line = start.lstrip("\r\n").partition("\n")[0]
    return max(",;\t", key=line.count)


def points(cells: list[tuple[str, str]], names: tuple[str, ...], place: str) -> np.ndarray:
    """The keypoints of a row, float64 (K, 2), in the convention of the file; NaN where both cells are empty or say so.

    cells: x and y of each keypoint. place: file and line, for messages.
    Raises InputError for a cell that is neither a number nor empty, and for a keypoint with only one of its coordinates.
    """
    flat = [cell for pair in cells for cell in pair]
    if not "".join(flat).translate(_PLAIN) and all(flat):  # the usual case, for speed
        try:
            found = np.array([float(cell) for cell in flat]).reshape(-1, 2)
            if (np.abs(found) <= LARGEST).all():
                return found
        except ValueError:
            pass  # reported below, with its keypoint
    found = np.full((len(names), 2), np.nan)
    for index, (pair, name) in enumerate(zip(cells, names, strict=True)):
        missing = [is_missing(cell) for cell in pair]
        if all(missing):
            continue
        if any(missing):
            given, absent = "yx" if missing[0] else "xy"
            raise InputError(
                f"{place}: the keypoint {shown(name)} has {given} but not {absent}. Add the number, or empty both cells if it is missing."
            )
        found[index] = [
            number(decimal(cell), place, f"{axis} of the keypoint {shown(name)}") for axis, cell in zip("xy", pair, strict=True)
        ]
    return found


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no number."""
    return cell.lower() in _MISSING


def decimal(cell: str) -> str:
    """A decimal comma, which spreadsheets write in many countries, as a point."""
    return cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell


def table(lines: Iterable[Sequence[object]]) -> str:
    """The text of a CSV file with these rows."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()
