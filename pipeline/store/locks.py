"""One writer for each artifact: a lock that dies with its process."""

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of the artifact `path`; `waiting` is told once who holds it, when another process does.

    The kernel releases the lock of a dead process; the lock file it leaves is taken over and removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.with_name(f".{path.stem}.lock")
    descriptor = _acquire(name, waiting)
    try:
        yield
    finally:
        name.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(name: Path, waiting: Callable[[str], None]) -> int:
    while True:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting(_holder(name))
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # The former holder may have removed the file while we waited: then another process can lock a new file of that name.
        if _same_file(descriptor, name):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps({"pid": os.getpid(), "command": " ".join(sys.argv)}).encode())
            return descriptor
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
