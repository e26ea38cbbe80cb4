"""The rows of a CSV file. They are counted and checked on the raw bytes, then parsed by pandas, which leaves every field as text.

pandas on its own would shift the columns of a file in which every row has one field too many, pad a truncated row, rename a repeated
column, keep NUL bytes and take a carriage return within a row for its end, all silently.
"""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.data.formats.archives import open_csv
from pipeline.errors import InputError
from pipeline.progress import OnProgress, ignored

CORRECT_ROW = "correct the row or export the file again"
CUT_OFF = "the file appears to be truncated, so export or copy it again"
LONGEST_ROW = 4 << 20  # bytes; enough for a million pixels, while an image of Kaggle's has 9,216
MOST_COLUMNS = 1000
MOST_BLANK_LINES = 1000
_OTHER_SEPARATORS = (b";", "semicolons"), (b"\t", "tabs")
_BOM = b"\xef\xbb\xbf"
_SWAP = bytes.maketrans(b"\r\n", b"\n\r")
# A quote has a meaning only around a whole field. If one is left after these are removed, pandas might split the line into other fields.
_QUOTED = re.compile(rb'(?:^|(?<=,))"[^"]*"(?=,|$)')


@dataclass(frozen=True)
class Rows:
    """Some consecutive rows of a file.

    label: the name of the file in messages.
    first: number of the first row, counted from 1 without the header.
    last: whether these are the last rows of the file.
    table: a column of str for each name in the header.
    """

    label: str
    first: int
    last: bool
    table: pd.DataFrame

    def place(self, index: int, column: str) -> str:
        """The name in messages of a field in the row at this index of the table."""
        return place(self.label, self.first + index, column)

    def is_end(self, index: int) -> bool:
        """Whether the row at this index is the last one of the file, where missing values suggest that the file was truncated."""
        return self.last and index == len(self.table) - 1


def read_rows(
    path: Path, check_columns: Callable[[str, list[str]], None], *, may_lack: str = "", on_progress: OnProgress = ignored
) -> Iterator[Rows]:
    """Yields all rows of a CSV file, or of the only CSV file in a zip file, a few hundred at a time.

    A byte order mark, any of the usual line ends, quotes around fields, blank lines at the end and a missing final line end are accepted.

    check_columns: receives the file's label and the names in the header, and raises InputError if they are wrong.
    may_lack: a column that rows may omit together with its comma, provided that it is the last one.
    on_progress: receives the numbers of bytes read, see `open_csv`.

    Raises InputError for a file without rows and for a file that is not a table of UTF-8 text; see `_fault`.
    """
    label, blocks = open_csv(path, on_progress)
    groups = _filled_lines(label, _lines(label, blocks))
    header, groups = _header(label, groups)
    check_columns(label, header)
    fields = range(len(header) - (header[-1] == may_lack), len(header) + 1)
    first, ahead = 1, next(groups, None)
    if ahead is None:
        raise InputError(f"{label} has a header but no rows; add rows or export the file again.")
    while (lines := ahead) is not None:
        ahead = next(groups, None)
        _check_lines(label, lines, fields, first, last=ahead is None)
        yield Rows(label, first, ahead is None, _to_table(label, lines, header))
        first += len(lines)


def place(label: str, row: int, column: str = "") -> str:
    """The name in messages of a row, counted from 1 without the header, or of the header (row 0), and optionally of a column in it."""
    named = f"row {row} (line {row + 1})" if row else "the header (line 1)"
    return f"{label}, {named}" + (f", column {column}" if column else "")


def _lines(label: str, blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
    """The lines of a file, a group for each block, without their ends: LF, CRLF, CR CR LF, or CR if that ends the first line.

    CR CR LF is what a program writes that turns the LF of a CRLF into a CRLF; a CR alone ended the lines of the first Macintosh.
    """
    rest, number, swapped = b"", 1, None
    for block in blocks:
        text = rest + (block.translate(_SWAP) if swapped else block)
        if swapped is None and (swapped := _ends_in_cr(text)):
            text = text.translate(_SWAP)
        if b"\r" in text:
            text = text.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n")
        *lines, rest = text.split(b"\n")
        number += len(lines)
        if len(rest) > LONGEST_ROW:
            raise InputError(f"{label}, line {number} has more than {LONGEST_ROW:,} bytes, the limit for a row; check the file.")
        yield lines
    yield [rest.rstrip(b"\r")]


def _ends_in_cr(text: bytes) -> bool | None:
    """Whether the first line ends in CR without LF; None if the text does not reach beyond its end."""
    first = min((place for place in (text.find(b"\r"), text.find(b"\n")) if place >= 0), default=len(text))
    behind = text[first:].lstrip(b"\r")[:1]
    return behind != b"\n" if behind else None


def _filled_lines(label: str, groups: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    """Omits blank lines at the end, and groups without lines. Raises InputError for other blank lines, and for too many of them."""
    number, blank = 0, None
    for lines in groups:
        filled = []
        for line in lines:
            number += 1
            if not line or line.isspace():
                blank = blank or number
                if number - blank >= MOST_BLANK_LINES:  # a small zip can hold hundreds of millions
                    raise InputError(f"{label} has more than {MOST_BLANK_LINES} blank lines from line {blank} on; remove them.")
            elif blank:
                raise InputError(f"{label}, line {blank} is blank but others follow it; remove the blank line or export the file again.")
            else:
                filled.append(line)
        if filled:
            yield filled


def _header(label: str, groups: Iterator[list[bytes]]) -> tuple[list[str], Iterator[list[bytes]]]:
    lines = next(groups, [b""])
    line = lines[0].removeprefix(_BOM)
    if not line:
        raise InputError(f"{label} is empty; export or copy it again.")
    if line.count(b",") >= MOST_COLUMNS:
        raise InputError(f"{label} has more than {MOST_COLUMNS} columns, the limit for a table; check that it is the right file.")
    _check_lines(label, [line], None, 0, last=False)
    if b"," not in line and line[:1] != b"<" and (separator := next((name for byte, name in _OTHER_SEPARATORS if byte in line), "")):
        raise InputError(f"{label} separates its columns with {separator}; export it with commas between columns and points in numbers.")
    names = [name.removeprefix('"').removesuffix('"') for name in line.decode().split(",")]
    return names, _put_back(lines[1:], groups)


def _put_back(lines: list[bytes], groups: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    if lines:
        yield lines
    yield from groups


def _check_lines(label: str, lines: list[bytes], fields: range | None, first: int, *, last: bool) -> None:
    for index, line in enumerate(lines):
        if fault := _fault(line, fields, at_end=last and index == len(lines) - 1):
            raise InputError(f"{place(label, first + index)} {fault}.")


def _fault(line: bytes, fields: range | None, *, at_end: bool) -> str | None:
    """What is wrong with a line, or None. `fields` has the numbers of fields that are allowed; None allows any."""
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is UTF-16 text; save the file as UTF-8 or export it again"
    if b"\0" in line:
        return "contains a NUL byte; the file is damaged or is not text, so export or copy it again"
    if b"\r" in line:
        return "contains a carriage return or a line feed that does not end it; save the file with one kind of line end or export it again"
    if not _is_utf8(line):
        return "is not UTF-8 text; save the file as UTF-8 or export it again"
    if line.startswith(_BOM):
        # pandas would drop it from the first row that it is given and keep it in the others.
        return "begins with a byte order mark; remove it or export the file again"
    bare = _QUOTED.sub(b"", line) if b'"' in line else line
    if b'"' in bare:
        return "contains a quote that does not enclose a whole field; " + (CUT_OFF if at_end else CORRECT_ROW)
    found = bare.count(b",") + 1
    if fields is not None and found not in fields:
        return f"has {found} fields but the header has {fields[-1]}; " + (CUT_OFF if at_end and found < fields[0] else CORRECT_ROW)
    return None


def _is_utf8(line: bytes) -> bool:
    try:
        return line.isascii() or bool(line.decode())
    except UnicodeDecodeError:
        return False


def _to_table(label: str, lines: list[bytes], names: list[str]) -> pd.DataFrame:
    # The checks above guarantee one row for each line, in order. They are counted once more because all row numbers depend on it.
    text = io.BytesIO(b"\n".join(lines))
    table = pd.read_csv(text, header=None, names=names, index_col=False, dtype=object, na_filter=False, skip_blank_lines=False)
    if table.shape != (len(lines), len(names)):
        raise RuntimeError(f"{label}: pandas read {table.shape} rows and columns from {len(lines)} lines of {len(names)} fields")
    return table
