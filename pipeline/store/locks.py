"""One writer for each artifact: a lock that dies with its process."""

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.store import files


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of the artifact `path`; `waiting` is told who holds it, when another process does.

    The kernel releases the lock of a dead process; the lock file it leaves is taken over and removed.
    """
    name = path.with_name(f".{path.stem}.lock")
    with files.room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        while (descriptor := _acquired(name, os.O_RDWR | os.O_CREAT, waiting)) is None:
            pass
    try:
        with contextlib.suppress(OSError):  # a full disk: that we hold it is enough
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps({"pid": os.getpid(), "command": " ".join(sys.argv)}).encode())
        yield
    finally:
        _release(name, descriptor)


def abandoned(folder: Path) -> Iterator[str]:
    """Names of the artifacts in a folder whose writers died and left their lock file; each is locked until the next is asked for."""
    for name in sorted(folder.glob(".*.lock")):
        descriptor = None
        with contextlib.suppress(OSError):
            descriptor = _acquired(name, os.O_RDWR)
        if descriptor is not None:
            try:
                yield name.name.removeprefix(".").removesuffix(".lock")
            finally:
                _release(name, descriptor)


def _acquired(name: Path, flags: int, waiting: Callable[[str], None] | None = None) -> int | None:
    """A descriptor that holds the lock, None if it has to be tried again. Without `waiting`: BlockingIOError if it is taken."""
    descriptor, held = os.open(name, flags | os.O_CLOEXEC, 0o644), False
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                raise
            waiting(_holder(name))
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # The former holder may have removed the file while we waited: then another process can lock a new file of that name.
        held = _same_file(descriptor, name)
        return descriptor if held else None
    finally:
        if not held:
            os.close(descriptor)


def _release(name: Path, descriptor: int) -> None:
    name.unlink(missing_ok=True)
    # Closing is not enough where a process that the stage forked still has the descriptor.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _same_file(descriptor: int, name: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino == name.stat().st_ino
    except FileNotFoundError:
        return False


def _holder(name: Path) -> str:
    try:
        holder = json.loads(name.read_text())
        return f"process {holder['pid']} ({holder['command']})"
    except (OSError, ValueError, KeyError):
        return "another process"
