"""Files that appear complete or not at all, and what tells one state of a file from another."""

import contextlib
import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import InputError

# Disk full, quota used up, file larger than the limit.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Damaged(Exception):
    """A file that is not what was written."""


@contextlib.contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """Yields a temporary path to write; afterwards the file is complete and durable at `path`, or there is nothing.

    The temporary file has the same folder and suffix. Raises InputError, with the folder and what is free there, when the disk is full.
    """
    draft = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        _sync(draft)
        draft.replace(path)
        _sync(path.parent)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        free = shutil.disk_usage(path.parent).free / 1e6
        raise InputError(
            f"{path} could not be written: {error.strerror.lower()} ({free:.0f} MB are free in {path.parent.resolve()}). Make room there."
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def sweep(folder: Path, name: str) -> None:
    """Removes what dead writers of NAME.* left in a folder. The caller holds the lock of that name."""
    for leftover in folder.glob(f".{name}.*.part*"):
        leftover.unlink(missing_ok=True)


def set_aside(path: Path, why: str, *, but: Iterable[Path] = ()) -> list[Path]:
    """Renames an artifact and the files beside it that share its name; nothing is deleted. Returns the new names."""
    moved = []
    for file in sorted(path.parent.glob(f"{path.stem}.*")):
        if file not in but and not re.search(r"\.(damaged|forgotten)-\d+$", file.name):
            number = 1
            while (aside := file.with_name(f"{file.name}.{why}-{number}")).exists():
                number += 1
            moved.append(file.rename(aside))
    return moved


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state(path: Path) -> tuple[int, int, int] | None:
    """Size, date and inode, None where there is nothing: another state may be another content."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def _sync(path: Path) -> None:
    """Brings a file or a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
