"""Files that appear complete or not at all, and what tells one state of a file from another."""

import contextlib
import errno
import hashlib
import os
import re
import resource
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline import units
from pipeline.errors import InputError
from pipeline.store.workspace.console import say

# Disk full, quota used up, file larger than the limit.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class Damaged(Exception):
    """A file that is not what was written."""


@contextlib.contextmanager
def publishing(path: Path, *, keeping: bool = False) -> Iterator[Path]:
    """Yields a temporary path to write; afterwards the file is complete and durable at `path`, or there is nothing.

    The temporary file has the same folder and suffix. keeping: another content at `path` is set aside, not replaced.
    Raises InputError when the disk is full, see `room_for`.
    """
    draft = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        with room_for(path, draft):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield draft
            _sync(draft)
            if keeping and os.path.lexists(path) and not (path.is_file() and sha256(path) == sha256(draft)):
                say(f"{path} was there, with another content: kept as {_aside(path, 'damaged')}")
            draft.replace(path)
            _sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def room_for(path: Path, draft: Path | None = None) -> Iterator[None]:
    """Around what writes `path`: a full disk becomes an InputError that says how much was needed, where, and what is free there.

    A folder that may not be written becomes one that names it.

    An OSError may tell the bytes of the whole file as `needed`; otherwise they are more than the `draft` has.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _REFUSED and error.filename and path.is_relative_to(Path(error.filename).parent):
            said = f"{error.filename} cannot be written: {error.strerror.lower()}. Change its rights, or write elsewhere."
            raise InputError(said) from error
        if error.errno not in _FULL:
            raise
        raise InputError(f"{path} could not be written: {error.strerror.lower()}. {_shortage(error, path, draft)}") from error


def _shortage(error: OSError, path: Path, draft: Path | None) -> str:
    """How much is needed, how much there is, what to do."""
    written = draft.stat().st_size if draft and draft.exists() else 0
    known = units.size(error.needed) if hasattr(error, "needed") else f"More than {units.size(written)}" if written else ""
    needed = f"{known} are needed, " if known else ""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if error.errno == errno.EFBIG and limit != resource.RLIM_INFINITY:
        return f"{needed}a file may have {units.size(limit)} (ulimit -f). Raise that limit."
    folder = next(folder for folder in path.resolve().parents if folder.is_dir())
    free = shutil.disk_usage(folder).free + written  # which will be removed
    return f"{needed}{units.size(free)} are free in {folder}. Make room there."


def sweep(folder: Path, name: str) -> None:
    """Removes what dead writers of NAME.* left in a folder. The caller holds the lock of that name."""
    for leftover in folder.glob(f".{name}.*.part*"):
        leftover.unlink(missing_ok=True)


def set_aside(path: Path, why: str, *, but: Iterable[Path] = ()) -> list[Path]:
    """Renames an artifact and the files beside it that share its name; nothing is deleted. Returns the new names."""
    together = sorted(path.parent.glob(f"{path.stem}.*"))
    return [_aside(file, why) for file in together if file not in but and not re.search(r"\.(damaged|forgotten)-\d+$", file.name)]


def _aside(file: Path, why: str) -> Path:
    number = 1
    while (aside := file.with_name(f"{file.name}.{why}-{number}")).exists():
        number += 1
    return file.rename(aside)


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
