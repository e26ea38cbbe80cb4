"""Corrected values in CSV tables: the wide ones, and those of DeepLabCut and Lightning Pose."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.data.amending.edits import Amendment, Edit, NoPlaceError, shown
from pipeline.data.formats import cells, deeplabcut, wide_csv
from pipeline.data.formats.folder import Folder

_END = re.compile(r"\r\n|\n|\r")
_LINE = re.compile(r".*, line (\d+)$", re.DOTALL)


class TextCell(NamedTuple):
    """A cell of a table: its text without quotes, and where this is."""

    text: str
    start: int
    end: int


def wide(folder: Folder, file: str, text: str, amendments: Sequence[Amendment]) -> Iterator[Edit]:
    """The edits of a wide table."""
    header = next(cells.rows(folder.path(file)))
    columns = wide_csv._columns(header.cells, header.place)
    found = rows(text)
    for amendment in amendments:
        pair = columns.points[columns.names.index(amendment.name)]
        yield from _cells_of(found[line_of(amendment.instance.place)], pair, amendment, delimiter(text))


def of_deeplabcut(folder: Folder, file: str, text: str, amendments: Sequence[Amendment]) -> Iterator[Edit]:
    """The edits of a table of DeepLabCut's."""
    columns = deeplabcut._read_table(folder, file).columns
    found = rows(text)
    for amendment in amendments:
        numbered = {individual or str(number): parts for number, (individual, parts) in enumerate(columns.items(), 1)}
        if amendment.name not in (parts := numbered[amendment.instance.id]):
            raise NoPlaceError(f"{amendment.instance.place}: the individual has no columns of {amendment.name}.")
        yield from _cells_of(found[line_of(amendment.instance.place)], parts[amendment.name], amendment, delimiter(text))


def line_of(place: str) -> int:
    """The last line of the row at a place. Raises NoPlaceError if the place is none of a row."""
    match = _LINE.match(place)
    if not match:
        raise NoPlaceError(f"{place} is not the place of a row.")
    return int(match[1])


def delimiter(text: str) -> str:
    """The separator of the cells of a table."""
    return cells._delimiter(text.removeprefix("\ufeff")[: 1 << 18])


def rows(text: str) -> dict[int, list[TextCell]]:
    """The cells of all rows by the number of their last line, from 1. Raises NoPlaceError for a table that is not understood."""
    separator = delimiter(text)
    cell = re.compile(rf'"((?:[^"]|"")*)"|([^{re.escape(separator)}\r\n]*)')
    found: dict[int, list[TextCell]] = {}
    at, line, row = 1 if text.startswith("\ufeff") else 0, 1, list[TextCell]()
    while at < len(text) or row:
        match = cell.match(text, at)
        if match is None:
            raise NoPlaceError("the table has a cell that is not understood.")
        quoted = match[1] is not None
        row.append(TextCell((match[1] or "").replace('""', '"') if quoted else match[2], *match.span(1 if quoted else 2)))
        line += len(_END.findall(match[0]))
        at = match.end()
        if text[at : at + 1] == separator:
            at += 1
            continue
        found[line] = row
        row, line = [], line + 1
        end = _END.match(text, at)
        if end is None and at < len(text):
            raise NoPlaceError("the table has a cell that is not understood.")
        at = end.end() if end else len(text)
    return found


def _cells_of(row: list[TextCell], pair: tuple[int, int], amendment: Amendment, separator: str) -> Iterator[Edit]:
    """The edits of the two cells of a keypoint, with decimal commas if the table has such."""
    comma = separator != "," and any(re.fullmatch(r"\s*-?\d+,\d+\s*", cell.text) for cell in row)
    for column, value in zip(pair, (amendment.x, amendment.y), strict=True):
        text = "" if amendment.is_missing else shown(value)
        yield Edit(row[column].start, row[column].end, text.replace(".", ",") if comma else text)
