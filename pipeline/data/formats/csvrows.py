"""The rows of a CSV file, counted and checked on the raw bytes, then read by pandas: column by column, all of them text.

pandas alone would shift the columns of a file in which every row has one field too many, fill up a truncated row, rename a repeated
column, keep NUL bytes and take a carriage return in a row for a row's end, all silently.
"""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from pipeline.data.formats.archives import open_csv
from pipeline.errors import InputError
from pipeline.progress import OnProgress, ignored

CORRECT_ROW = "correct the row or download the file again"
CUT_OFF = "the file looks cut off, download it again"
LONGEST_ROW = 4 << 20  # bytes; a million pixels, an image of Kaggle's has 9,216
MOST_COLUMNS = 1000
MOST_BLANK_LINES = 1000
_BOM = b"\xef\xbb\xbf"
# A quote has a meaning only around a whole field; where one is left after these are taken out, pandas might see other fields than we do.
_QUOTED = re.compile(rb'(?:^|(?<=,))"[^"]*"(?=,|$)')


@dataclass(frozen=True)
class Rows:
    """Some consecutive rows. label: how messages name the file. first: number of the first row, counted from 1 without the header.

    last: whether the file ends with them. table: a column of str for each of the header's names.
    """

    label: str
    first: int
    last: bool
    table: pd.DataFrame

    def place(self, index: int, column: str) -> str:
        return place(self.label, self.first + index, column)

    def is_end(self, index: int) -> bool:
        """Whether it is the last row of the file, where too little means that the file has been cut off."""
        return self.last and index == len(self.table) - 1


def read_rows(path, check_columns: Callable[[str, list[str]], None], *, may_lack: str = "", report: OnProgress = ignored) -> Iterator[Rows]:
    """All rows of a CSV file or of the one in a zip, a few hundred at a time; `check_columns` gets the label and the header's names.

    may_lack: a column that rows may leave out, comma and all, if it is the last one. report: told of the bytes read, see `open_csv`.
    Raises InputError for a file without rows and for one that is not a table of UTF-8 text: see `_fault` for what it may not have.
    A byte order mark, CRLF line ends, quotes around fields, blank lines at the end and a missing line end there are accepted.
    """
    label, blocks = open_csv(path, report)
    groups = _filled_lines(label, _lines(label, blocks))
    header, groups = _header(label, groups)
    check_columns(label, header)
    fields = range(len(header) - (header[-1] == may_lack), len(header) + 1)
    first, ahead = 1, next(groups, None)
    if ahead is None:
        raise InputError(f"{label} has a header but no rows; download it again.")
    while (lines := ahead) is not None:
        ahead = next(groups, None)
        _check_lines(label, lines, fields, first, last=ahead is None)
        yield Rows(label, first, ahead is None, _to_table(label, lines, header))
        first += len(lines)


def place(label: str, row: int, column: str = "") -> str:
    """How messages name a row, counted from 1 without the header, or the header itself (row 0), and a column of it."""
    named = f"row {row} (line {row + 1})" if row else "the header (line 1)"
    return f"{label}, {named}" + (f", column {column}" if column else "")


def _lines(label: str, blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
    rest, number = b"", 1
    for block in blocks:
        text = rest + block
        *lines, rest = (text.replace(b"\r\n", b"\n") if b"\r" in text else text).split(b"\n")
        number += len(lines)
        if len(rest) > LONGEST_ROW:
            raise InputError(f"{label}, line {number} has more than {LONGEST_ROW:,} bytes; this is not one of Kaggle's files.")
        yield lines
    yield [rest.removesuffix(b"\r")]


def _filled_lines(label: str, groups: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    """Leaves out the blank lines at the end, and groups without a line. Raises InputError for a blank line before another, or too many."""
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
                raise InputError(f"{label}, line {blank} is blank although others follow; remove it or download the file again.")
            else:
                filled.append(line)
        if filled:
            yield filled


def _header(label: str, groups: Iterator[list[bytes]]) -> tuple[list[str], Iterator[list[bytes]]]:
    lines = next(groups, [b""])
    line = lines[0].removeprefix(_BOM)
    if not line:
        raise InputError(f"{label} is empty; download it again.")
    if line.count(b",") >= MOST_COLUMNS:
        raise InputError(f"{label} has more than {MOST_COLUMNS} columns; this is not one of Kaggle's files.")
    _check_lines(label, [line], None, 0, last=False)
    names = [name.removeprefix('"').removesuffix('"') for name in line.decode().split(",")]
    return names, _put_back(lines[1:], groups)


def _put_back(lines: list[bytes], groups: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    if lines:
        yield lines
    yield from groups


def _check_lines(label: str, lines: list[bytes], fields: range | None, first: int, *, last: bool):
    for index, line in enumerate(lines):
        if fault := _fault(line, fields, at_end=last and index == len(lines) - 1):
            raise InputError(f"{place(label, first + index)} {fault}.")


def _fault(line: bytes, fields: range | None, *, at_end: bool) -> str | None:
    """What is wrong with a line, if anything; fields: how many it may have, None for any number."""
    if b"\0" in line:
        return "has a NUL byte; the file is damaged or is no text, download it again"
    if b"\r" in line:
        return "has a carriage return inside; save the file with one kind of line end or download it again"
    if not _is_utf8(line):
        return "is not UTF-8 text; save the file as UTF-8 or download it again"
    if line.startswith(_BOM):
        # pandas would drop it from the first of some rows and keep it in others.
        return "begins with a byte order mark; remove it or download the file again"
    bare = _QUOTED.sub(b"", line) if b'"' in line else line
    if b'"' in bare:
        return "has a quote that does not enclose a whole field; " + (CUT_OFF if at_end else CORRECT_ROW)
    found = bare.count(b",") + 1
    if fields is not None and found not in fields:
        return f"has {found} fields where the header has {fields[-1]}; " + (CUT_OFF if at_end and found < fields[0] else CORRECT_ROW)
    return None


def _is_utf8(line: bytes) -> bool:
    try:
        return line.isascii() or bool(line.decode())
    except UnicodeDecodeError:
        return False


def _to_table(label: str, lines: list[bytes], names: list[str]) -> pd.DataFrame:
    # Rows in order, one for each line: guaranteed by the checks above, and counted once more, because all row numbers rest on it.
    text = io.BytesIO(b"\n".join(lines))
    table = pd.read_csv(text, header=None, names=names, index_col=False, dtype=object, na_filter=False, skip_blank_lines=False)
    if table.shape != (len(lines), len(names)):
        raise RuntimeError(f"{label}: pandas read {table.shape} rows and columns from {len(lines)} lines of {len(names)} fields")
    return table
