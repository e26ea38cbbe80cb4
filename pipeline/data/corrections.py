"""Corrections of labels: a text file with one line for each change, and the values that the changes amount to.

The file is only ever appended to. Each change names the value that it replaces, so two changes of the same value are found to contradict
each other, whoever made them and in whatever order they reached the file. What counts for a data set are the values at the end, not the
way there: a correction that has been undone, or whose remark has been edited, changes nothing.
"""

import contextlib
import csv
import io
import math
import os
import unicodedata
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import InputError
from pipeline.units import printable

NAME = "corrections.csv"  # in the workspace
COLUMNS = ("image", "instance", "keypoint", "old", "new", "who", "when", "why")
MISSING, OCCLUDED = "missing", "occluded"
REMARK = "#"  # begins a line that is ignored
TOLERANCE = 1e-3  # pixels, up to which two coordinates are the same; they are written with four decimals

# Holds the lock of a file while a line is appended to it.
Locked = Callable[[Path], AbstractContextManager[None]]


class LabelPlace(NamedTuple):
    """Which label: its image, the instance in it, and the keypoint, by their names.

    The image of a table of Kaggle's is its row, counted from 1, and the instance is "1".
    """

    image: str
    instance: str
    keypoint: str

    def __str__(self) -> str:
        return f"{printable(self.keypoint)} of image {printable(self.image)}, instance {printable(self.instance)}"


class LabelValue(NamedTuple):
    """The value of a label.

    x, y: in pixels, in the label format's own convention; both are None if the keypoint is not labelled. occluded: labelled but not
    visible.
    """

    x: float | None = None
    y: float | None = None
    occluded: bool = False

    @classmethod
    def at(cls, x: float, y: float, *, occluded: bool = False) -> "LabelValue":
        """The value for coordinates; missing if one of them is NaN."""
        return cls() if math.isnan(x) or math.isnan(y) else cls(x, y, occluded)

    @classmethod
    def parse(cls, text: str, before: "LabelValue | None" = None) -> "LabelValue":
        """The value that a text stands for: "X Y", "X Y occluded", or "missing".

        before: the value that it replaces, whose coordinates "occluded" keeps. Raises ValueError for other texts.
        """
        words = text.split()
        if words == [MISSING]:
            return cls()
        if words == [OCCLUDED] and before is not None and before.x is not None:
            return before._replace(occluded=True)
        if len(words) not in (2, 3) or words[2:] not in ([], [OCCLUDED]):
            raise ValueError(text)
        try:
            x, y = float(words[0]), float(words[1])
        except ValueError:
            raise ValueError(text) from None
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(text)
        return cls(x, y, len(words) == 3)

    def same(self, other: "LabelValue") -> bool:
        """Whether two values are equal up to the tolerance."""
        if self.x is None or self.y is None or other.x is None or other.y is None:
            return self.x is None and other.x is None
        near = abs(self.x - other.x) <= TOLERANCE and abs(self.y - other.y) <= TOLERANCE
        return near and self.occluded == other.occluded

    def __str__(self) -> str:
        if self.x is None or self.y is None:
            return MISSING
        return f"{_number(self.x)} {_number(self.y)}{f' {OCCLUDED}' if self.occluded else ''}"


class Change(NamedTuple):
    """One line of the file: a label gets a new value in place of an old one.

    who: the name of the reviewer. when: the time, as text. why: a remark. line: its number in the file, from 1; 0 if it is not there yet.
    """

    place: LabelPlace
    old: LabelValue
    new: LabelValue
    who: str = ""
    when: str = ""
    why: str = ""
    line: int = 0


class Correction(NamedTuple):
    """What all changes of a label amount to. original: its value in the label files. last: the latest change."""

    original: LabelValue
    last: Change

    @property
    def value(self) -> LabelValue:
        """The value that now counts."""
        return self.last.new


class Corrections(NamedTuple):
    """The content of a file of corrections.

    path: the file. changes: all of them, in order. by_place: what the changes of each label amount to. note: what a user should know about
    the file, a sentence; otherwise "". size: the number of its bytes that are complete lines. torn: what follows them.
    """

    path: Path
    changes: tuple[Change, ...] = ()
    by_place: dict[LabelPlace, Correction] = {}  # noqa: RUF012  # never changed
    note: str = ""
    size: int = 0
    torn: str = ""

    @property
    def effective(self) -> dict[LabelPlace, Correction]:
        """The corrections of labels whose value differs from that in the label files, sorted."""
        return {place: found for place, found in sorted(self.by_place.items()) if not found.value.same(found.original)}

    def plain(self) -> list[list[str]]:
        """Image, instance, keypoint and value of each effective correction: what a data set depends on."""
        return [[*place, str(found.value)] for place, found in self.effective.items()]


class ConflictError(InputError):
    """A change replaces another value than the label has. standing: the value that it has. by: the change that gave it, if one did."""

    def __init__(self, message: str, standing: LabelValue, by: Change | None) -> None:
        super().__init__(message)
        self.standing, self.by = standing, by


def read(path: Path) -> Corrections:
    """The content of a file of corrections; none if it does not exist.

    A last line without a line end was torn by a crash while it was written. It is ignored, and the note says so. Lines that begin with #
    are ignored too.

    Raises InputError, with the line, for a line that cannot be understood and for changes that contradict each other.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Corrections(path)
    whole, end, rest = content.rpartition(b"\n")
    torn = _plain(rest.decode("utf-8", "surrogateescape"))
    note = f"{printable(path)}: the last line has no line end, so it was not written completely and is ignored: {printable(torn[:200])}"
    lines = whole.decode("utf-8-sig", "surrogateescape").split("\n") if end else []
    if lines and _cells(path, 1, lines[0]) != list(COLUMNS):
        raise InputError(f"{printable(path)}, line 1: the columns must be {','.join(COLUMNS)}. Correct the line, or name another file.")
    changes = tuple(
        _change(path, number, line) for number, line in enumerate(lines[1:], start=2) if line.strip() and not line.startswith(REMARK)
    )
    by_place: dict[LabelPlace, Correction] = {}
    for change in changes:
        by_place[change.place] = _after(path, by_place.get(change.place), change)
    return Corrections(path, changes, by_place, note if torn else "", len(whole) + len(end), torn)


def append(path: Path, change: Change, original: LabelValue, locked: Locked) -> None:
    """Appends a change to a file of corrections, which is on the disk when this function returns. A torn line becomes a remark.

    original: the value of the label in the label files. locked: holds the lock of the file.

    Raises ConflictError if the label has another value by now than the change replaces, InputError if the file cannot be understood, and
    OSError if it cannot be written; then its content is the same as before.
    """
    with locked(path):
        known = read(path)
        before = known.by_place.get(change.place)
        standing = before.value if before else original
        if not change.old.same(standing):
            raise ConflictError(
                f"{change.place} is {standing} by now, not {change.old}{_by(before.last) if before else ''}.",
                standing,
                before.last if before else None,
            )
        text = ("" if known.size else _line(COLUMNS)) + (f"{REMARK} not written completely: {known.torn}\n" if known.torn else "")
        text += _line((*change.place, str(change.old), str(change.new), *change[3:6]))
        _write(path, known.size, text.encode("utf-8", "surrogateescape"))


def _write(path: Path, size: int, content: bytes) -> None:
    """Writes after the first `size` bytes of a file, in place of a torn line there, or leaves the file with these bytes."""
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        os.ftruncate(descriptor, size)
        try:
            written = os.pwrite(descriptor, content, size)
            if written < len(content):
                os.pwrite(descriptor, content[written:], size + written)
            os.fsync(descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            error.filename = os.fspath(path)
            raise
    finally:
        os.close(descriptor)
    if is_new:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes a new entry of a folder durable, where the file system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _cells(path: Path, number: int, line: str) -> list[str]:
    """The cells of a line. Each line is read by itself, so that an unmatched quotation mark does not swallow those after it."""
    try:
        return next(csv.reader([line.removesuffix("\r")], strict=True), [])
    except csv.Error as error:
        raise InputError(f"{printable(path)}, line {number}: {error}. Correct the line, or delete it.") from None


def _change(path: Path, number: int, line: str) -> Change:
    cells = _cells(path, number, line)
    if len(cells) != len(COLUMNS):
        raise InputError(
            f"{printable(path)}, line {number} has {len(cells)} values instead of {len(COLUMNS)}. Correct the line, or delete it."
        )
    image, instance, keypoint, old_text, new_text, who, when, why = cells
    old = _value(path, number, "old", old_text)
    return Change(LabelPlace(image, instance, keypoint), old, _value(path, number, "new", new_text, old), who, when, why, number)


def _value(path: Path, number: int, column: str, text: str, before: LabelValue | None = None) -> LabelValue:
    try:
        return LabelValue.parse(text, before)
    except ValueError:
        raise InputError(
            f"{printable(path)}, line {number}: {column} is {printable(text)!r}, which is neither x and y with a blank between them nor "
            f"{MISSING} or {OCCLUDED}. Correct the line, or delete it."
        ) from None


def _after(path: Path, before: Correction | None, change: Change) -> Correction:
    """A correction after another change. Raises InputError if that contradicts an earlier one."""
    if before is None:
        return Correction(change.old, change)
    if not (change.old.same(before.value) or change.new.same(before.value)):
        raise InputError(
            f"{printable(path)}, line {change.line} replaces {change.old} of {change.place}, but line {before.last.line} has changed "
            f"that to {before.value}{_by(before.last)}. Keep only one of the two lines."
        )
    return Correction(before.original, change)


def _by(change: Change) -> str:
    who = f" by {printable(change.who)}" if change.who else ""
    return f"{who}{f' on {printable(change.when)}' if change.when else ''}"


def _number(value: float) -> str:
    """A coordinate with at most four decimals."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _line(cells: tuple[str, ...]) -> str:
    """A line of the file. Control characters of remarks become blanks. Raises InputError for a name with a line end."""
    if any("\n" in name or "\r" in name for name in cells[:3]):
        raise InputError(f"{printable(', '.join(cells[:3]))}: the name contains a line end, so its labels cannot be corrected. Rename it.")
    text = io.StringIO()
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer = quoted if cells[0].startswith(REMARK) else csv.writer(text, lineterminator="\n")
    writer.writerow([*cells[:3], *map(_plain, cells[3:])])
    return text.getvalue()


def _plain(text: str) -> str:
    """Text without control characters, for which it has blanks."""
    return "".join(" " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter for letter in text)
