"""Files that appear complete or not at all, and what distinguishes two states of a file."""

import contextlib
import errno
import hashlib
import os
import re
import resource
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline import environment, units
from pipeline.errors import InputError
from pipeline.store.workspace import names
from pipeline.store.workspace.console import say

# Disk full, quota exceeded, file larger than the limit.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# The file system has no way to flush this, in particular a folder. An input/output error is not among them.
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EISDIR}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


# Seconds after which a file that does not change is taken for that of a dead process of another host, whose clock may be an hour behind or
# ahead. Locks do not tell: not every file system shares them between hosts.
ABANDONED = 3 * 3600.0


class Damaged(Exception):
    """A file no longer has the content that was written to it."""


class WriteError(OSError):
    """Writing a file failed; the whole file needs `needed` bytes."""

    def __init__(self, error: OSError, needed: int):
        super().__init__(error.errno, error.strerror, error.filename)
        self.needed = needed


@contextlib.contextmanager
def publishing(path: Path, *, keeping: bool = False) -> Iterator[Path]:
    """Yields a temporary path to write to; afterwards the file is complete and durable at `path`, or does not appear at all.

    The temporary file has the same folder and suffix as `path`.

    keeping: quarantines an existing file with different content instead of replacing it.

    Raises InputError if the disk is full, see `room_for`.
    """
    draft = names.draft(path)
    try:
        with room_for(path, draft):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield draft
            _sync(draft)
            differs = keeping and os.path.lexists(path) and not (path.is_file() and sha256(path) == sha256(draft))
            kept = _quarantined(path, "damaged") if differs else None
            draft.replace(path)
            _sync(path.parent)
        if kept:
            say(f"{path} already existed with different content; the old file was kept as {kept}.")
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def room_for(path: Path, draft: Path | None = None) -> Iterator[None]:
    """A context for code that writes `path`: turns operating system errors that the user can resolve into an InputError.

    Errors of the disk itself are among them. The message for a full disk says how much space is needed, where, and how much is free there.
    The size needed is that of a `WriteError`; for other errors the message says "more than" the present size of `draft`. The message for a
    folder without write permission names it.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _REFUSED and error.filename and path.is_relative_to(Path(error.filename).parent):
            raise InputError(f"{error.filename} cannot be written: {reason(error)}. Change its permissions, or write elsewhere.") from error
        if error.errno == errno.EIO:
            raise InputError(f"{path} could not be written: {reason(error)}. Check the disk, or write elsewhere.") from error
        if error.errno not in _FULL:
            raise
        raise InputError(f"{path} could not be written: {reason(error)}. {_shortage(error, path, draft)}") from error


def reason(error: OSError) -> str:
    """The operating system's description of an error, in lower case."""
    return (error.strerror or str(error)).lower()


def _shortage(error: OSError, path: Path, draft: Path | None) -> str:
    """How much space is needed, how much is free, and what to do."""
    written = draft.stat().st_size if draft and draft.exists() else 0
    if isinstance(error, WriteError):
        needed = f"{units.size(error.needed)} are needed; "
    else:
        needed = f"More than {units.size(written)} are needed; " if written else ""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if error.errno == errno.EFBIG and limit != resource.RLIM_INFINITY:
        return f"{needed}{'the' if needed else 'The'} limit for a file is {units.size(limit)} (ulimit -f). Raise that limit."
    folder = next(folder for folder in path.resolve().parents if folder.is_dir())
    free = shutil.disk_usage(folder).free + written  # the draft will be removed
    return f"{needed}{units.size(free)} are free in {folder}. Free some space there."


def sweep(folder: Path, name: str) -> None:
    """Removes drafts of NAME.* that dead writers left in a folder. The caller must hold the lock of that name.

    Drafts of another host stay as long as they may be written.
    """
    for leftover in folder.glob(f".{name}.*.part*"):
        draft = names.parse(leftover)
        if draft is None or not may_be_in_use(leftover, draft.host):
            leftover.unlink(missing_ok=True)


def may_be_in_use(path: Path, host: str | None) -> bool:
    """Whether a draft or lock file may belong to a running process of another host: it is named as that host's and was written recently."""
    if host in (None, environment.host()):
        return False
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime < ABANDONED
    return False


def quarantine(path: Path, why: str, *, but: Iterable[Path] = ()) -> list[Path]:
    """Renames an artifact, and the files beside it that share its name or its key, so that nothing uses them. Nothing is deleted.

    why: "damaged" or "forgotten", which becomes part of the new names.
    but: files that keep their names.

    Returns the new paths.
    """
    name = names.parse(path)
    patterns = [f"{path.stem}.*", *([f"[!.]*-{name.key}.*"] if name and name.kind == "artifact" else [])]
    together = sorted({file for pattern in patterns for file in path.parent.glob(pattern)})
    return [_quarantined(file, why) for file in together if file not in but and not re.search(r"\.(damaged|forgotten)-\d+$", file.name)]


def _quarantined(file: Path, why: str) -> Path:
    """The new path of a file that has been renamed."""
    number = 1
    while (renamed := file.with_name(f"{file.name}.{why}-{number}")).exists():
        number += 1
    return file.rename(renamed)


def sha256(path: Path) -> str:
    """The SHA-256 digest of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state(path: Path) -> tuple[int, int, int, int] | None:
    """Size, modification time, change time and inode of a file; None if it does not exist. A different state may mean different content.

    Programs can set the modification time, so only the change time tells that a file was edited without changing its size.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _sync(path: Path) -> None:
    """Flushes a file, or the entries of a folder, to the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():  # a folder may be writable without being readable
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            error.filename = os.fspath(path)
            raise
    finally:
        os.close(descriptor)
