"""One writer for each artifact: a lock that dies with its process."""

import contextlib
import errno
import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import InputError
from pipeline.store.workspace import files, locks, names


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of the artifact `path`; `waiting` is told who holds it, when another process does.

    The kernel releases the lock of a dead process; the lock file it leaves is taken over and removed.
    """
    name, descriptor = acquire(path, waiting)
    try:
        yield
    finally:
        release(name, descriptor)


@contextlib.contextmanager
def free(path: Path) -> Iterator[bool]:
    """Whether no other process holds the lock of the artifact `path`; if so, this one does for the time of the context."""
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
    """Names of the artifacts in a folder whose writers died and left their lock file; each is locked until the next is asked for.

    A lock file of another program, such as an editor's, is none of them.
    """
    for name in sorted(path for path in folder.glob(f".{pattern}.lock") if names.parse(path)):
        descriptor = None
        with contextlib.suppress(OSError):
            descriptor = taken(name, os.O_RDWR)
        if descriptor is not None:
            try:
                yield name.name.removeprefix(".").removesuffix(".lock")
            finally:
                release(name, descriptor)


def acquire(path: Path, waiting: Callable[[str], None] | None = None) -> tuple[Path, int]:
    """(lock file, descriptor that holds it) of the artifact `path`. Without `waiting`: BlockingIOError if another process holds it."""
    name = path.with_name(f".{path.stem}.lock")
    with files.room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        while (descriptor := taken(name, os.O_RDWR | os.O_CREAT)) is None:
            if waiting is None:
                raise BlockingIOError(errno.EWOULDBLOCK, "another process holds the lock", str(name))
            _wait(name, waiting)
    return name, descriptor


def release(name: Path, descriptor: int) -> None:
    name.unlink(missing_ok=True)
    # Closing is not enough where a process that the stage forked still has the descriptor.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def describe(descriptor: int, **more) -> None:
    """Writes who holds a lock into its file. A full disk hides that, and stops nobody."""
    text = json.dumps({"pid": os.getpid(), "command": " ".join(sys.argv), **more})
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def holder(name: Path) -> dict | None:
    """What the holder of a lock file wrote into it, {} if that can't be read; None if no process holds it."""
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except PermissionError:
        return {}
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _said(name)
    finally:
        os.close(descriptor)
    return None


def who(said: dict) -> str:
    """The holder of a lock for people."""
    return f"process {said['pid']} ({said['command']})" if {"pid", "command"} <= said.keys() else "another process"


def taken(name: Path, flags: int) -> int | None:
    """A descriptor that holds a lock file and says so in it, None if another process holds it."""
    while True:
        descriptor, held = os.open(name, flags | os.O_CLOEXEC, 0o644), False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The former holder may have removed the file meanwhile: then another process can lock a new file of that name.
            if held := _same_file(descriptor, name):
                describe(descriptor)
                return descriptor
        except BlockingIOError:
            return None
        finally:
            if not held:
                os.close(descriptor)


def _wait(name: Path, waiting: Callable[[str], None]) -> None:
    """Until whoever holds a lock file has released it; `waiting` is told who that is."""
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        waiting(who(_said(name)))
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _same_file(descriptor: int, name: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino == name.stat().st_ino
    except FileNotFoundError:
        return False


def _said(name: Path) -> dict:
    try:
        said = json.loads(name.read_text())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def rewrite(path: Path, text: str) -> None:
    """Replaces a small file as its only writer; where that is not possible the old one stays, which is never worth a failure.

    Also removes what a killed writer left of it.
    """
    with contextlib.suppress(OSError, InputError), locks.locked(path, lambda who: None):
        files.sweep(path.parent, path.stem)
        with files.publishing(path) as draft:
            draft.write_text(text)
