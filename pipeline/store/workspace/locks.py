"""Locks that admit one writer per artifact and are released when their process dies.

They hold among the processes of one host, and between hosts only where the file system shares them. No result depends on that: where it
does not, two hosts may make the same artifact.

A lock file has the permissions that the umask allows. Whoever may only read it still waits for its holder.
"""

import contextlib
import errno
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline import environment
from pipeline.errors import InputError
from pipeline.store.workspace import files, names

# How often a lock file is opened that cannot be created, although its folder exists.
TRIES = 50


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of the artifact `path`, after waiting for it if necessary.

    The kernel releases the lock of a dead process; the lock file that the process left behind is taken over and removed.

    on_wait: called with the name of the process that holds the lock, before waiting for it.
    """
    name, descriptor = acquire(path, on_wait)
    try:
        yield
    finally:
        release(name, descriptor)


@contextlib.contextmanager
def free(path: Path) -> Iterator[bool]:
    """Yields whether no other process holds the lock of the artifact `path`; if so, this process holds it inside the context."""
    try:
        name, descriptor = acquire(path)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        release(name, descriptor)


def abandoned(folder: Path, pattern: str = "*") -> Iterator[str]:
    """The names of the artifacts in a folder whose writers died and left a lock file behind.

    Each of them is locked until the next one is requested. Lock files of other programs, such as an editor, are ignored, and recent ones of
    other hosts are left alone.
    """
    for name in sorted(path for path in folder.glob(f".{pattern}.lock") if names.parse(path)):
        if files.may_be_in_use(name, _description(name).get("host")):
            continue
        descriptor = None
        with contextlib.suppress(OSError, InputError):
            descriptor = taken(name, os.O_RDWR)
        if descriptor is not None:
            try:
                yield name.name.removeprefix(".").removesuffix(".lock")
            finally:
                release(name, descriptor)


def acquire(path: Path, on_wait: Callable[[str], None] | None = None) -> tuple[Path, int]:
    """Acquires the lock of the artifact `path` and returns its lock file and the descriptor that holds it.

    Without `on_wait` it does not wait but raises BlockingIOError if another process holds the lock. Raises InputError if the file system
    has no locks, or if the lock file may not be opened.
    """
    name = name_of(path)
    with files.room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        while (descriptor := taken(name, os.O_RDWR | os.O_CREAT)) is None:
            if on_wait is None:
                raise BlockingIOError(errno.EWOULDBLOCK, "another process holds the lock", str(name))
            _wait(name, on_wait)
    return name, descriptor


def name_of(path: Path) -> Path:
    """The lock file of the artifact `path`."""
    return path.with_name(f".{path.stem}.lock")


def release(name: Path, descriptor: int) -> None:
    """Removes a lock file and releases its lock."""
    try:
        # It may belong to another user, in a folder where only the owner may remove a file.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            name.unlink()
    finally:
        # Closing is not enough: a process that the stage forked may still have the descriptor open.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def is_ours(name: Path) -> bool:
    """Whether a lock file still names this process, as it does unless a host that does not share our locks has taken it too."""
    found = _description(name)
    return (found.get("host"), found.get("pid")) == (environment.host(), os.getpid())


def describe(descriptor: int, **more: Any) -> None:
    """Writes the process that holds a lock, and `more`, into the lock file. A full disk hides this information but stops nobody."""
    text = json.dumps({"host": environment.host(), "pid": os.getpid(), "command": " ".join(sys.argv), **more})
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def holder(name: Path) -> dict[str, Any] | None:
    """The description that the holder of a lock wrote into the lock file: {} if it cannot be read, None if nobody holds the lock."""
    try:
        descriptor = _opened(name, os.O_RDWR)
    except FileNotFoundError:
        return None
    except PermissionError:
        return {}
    try:
        _flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, name)
    except BlockingIOError:
        return _description(name)
    finally:
        os.close(descriptor)
    return None


def who(description: dict[str, Any]) -> str:
    """The holder of a lock in words, given what `holder` returned."""
    if not {"pid", "command"} <= description.keys():
        return "another process"
    host = description.get("host", environment.host())
    return f"process {description['pid']}{f' on {host}' if host != environment.host() else ''} ({description['command']})"


def taken(name: Path, flags: int) -> int | None:
    """Takes a lock file, writes this process into it and returns its descriptor; None if another process holds the lock."""
    while True:
        descriptor, held = _opened(name, flags), False
        try:
            _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, name)
            # The previous holder may have removed the file in the meantime; then another process can lock a new file of the same name.
            if not _same_file(descriptor, name):
                continue
            # A file that a dead process of another user left, and that only it could write, is replaced by one of our own.
            if flags & os.O_CREAT and not _is_writable(descriptor) and _removed(name):
                continue
            held = True
            describe(descriptor)
            return descriptor
        except BlockingIOError:
            return None
        finally:
            if not held:
                os.close(descriptor)


def rewrite(path: Path, text: str) -> None:
    """Replaces a small file as its only writer, and removes drafts of it that a killed writer left behind.

    If that fails, the old content is kept: such a file is never worth a failure. Nor is it worth a folder, so that commands that only look
    leave none behind where there is no workspace.
    """
    if not path.parent.is_dir():
        return
    with contextlib.suppress(OSError, InputError), locked(path, lambda who: None):
        files.sweep(path.parent, path.stem)
        with files.publishing(path) as draft:
            draft.write_text(text)


def _wait(name: Path, on_wait: Callable[[str], None]) -> None:
    """Waits until the holder of a lock file has released it."""
    try:
        descriptor = _opened(name, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        on_wait(who(_description(name)))
        _flock(descriptor, fcntl.LOCK_EX, name)
    finally:
        os.close(descriptor)


def _opened(name: Path, flags: int) -> int:
    """A descriptor of a lock file, for reading if the file may not be written: that is enough for a lock."""
    try:
        return _opened_or_created(name, flags)
    except PermissionError as refused:
        try:
            return os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if os.access(name.parent, os.W_OK):
                return _opened(name, flags)  # its holder has just removed it
            raise refused from None


def _opened_or_created(name: Path, flags: int) -> int:
    """A descriptor of a file. On a network file system a file that another host removes just now cannot even be created for a moment."""
    for _ in range(TRIES):
        try:
            return os.open(name, flags | os.O_CLOEXEC, 0o666)
        except OSError as error:
            gone = error.errno in (errno.ENOENT, errno.ESTALE) and flags & os.O_CREAT and name.parent.is_dir()
            if not gone:
                raise
        time.sleep(0.02)
    return os.open(name, flags | os.O_CLOEXEC, 0o666)


def _is_writable(descriptor: int) -> bool:
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY


def _removed(name: Path) -> bool:
    """Removes a file; returns whether that is permitted."""
    try:
        name.unlink(missing_ok=True)
    except PermissionError:
        return False
    return True


def _flock(descriptor: int, operation: int, name: Path) -> None:
    """Locks an open file. Raises InputError if the file system has no locks, refuses this one, or fails."""
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        raise
    except OSError as error:
        raise InputError(
            f"{name} cannot be locked: {files.reason(error)}. Let --workspace-root name a folder on a file system with locks (flock), "
            "such as a local disk, or mount this one with locks."
        ) from error


def _same_file(descriptor: int, name: Path) -> bool:
    """Whether an open lock file is still the one of this name."""
    try:
        return os.fstat(descriptor).st_ino == name.stat().st_ino
    except FileNotFoundError:
        return False


def _description(name: Path) -> dict[str, Any]:
    """The content of a lock file; {} if it cannot be read."""
    try:
        description = json.loads(name.read_text())
    except (OSError, ValueError):
        return {}
    return description if isinstance(description, dict) else {}
