"""The artifacts that running processes read and write, so that no other process removes them.

A process that runs stages holds the lock of a file of its own in models/, which lists these artifacts; the lock is released when the
process dies. Extending a list and removing files both require one further lock. Hence either the inputs of a run are listed before another
process could remove them, or the run finds that they are missing and recomputes them.
"""

import atexit
import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline import environment
from pipeline.store.workspace import locks


class _List(NamedTuple):
    """The list of a process. pid: the process that made it, which may be the parent of this one."""

    pid: int
    lock_file: Path
    descriptor: int
    listed: set[str]


# By folder.
_lists: dict[Path, _List] = {}


def add(folder: Path, names: Iterable[str]) -> None:
    """Adds artifacts, given as FOLDER/STEM-KEY, to the list of this process in `folder`. They stay listed until the process ends."""
    place = folder.resolve()
    with settled(folder):
        if place not in _lists:
            _lists[place] = _new(folder)
        own = _lists[place]
        own.listed.update(names)
        locks.describe(own.descriptor, needs=sorted(own.listed))


@contextlib.contextmanager
def settled(folder: Path) -> Iterator[None]:
    """A context in which no process can change its list in `folder`."""
    with locks.locked(folder / "needs", lambda who: None):
        yield


def needed_by(folder: Path, names: Iterable[str]) -> str | None:
    """The name of a running process that lists one of these artifacts, or None. An unreadable list counts as listing everything."""
    for file in sorted(folder.glob(".run-*.lock")):
        description = locks.holder(file)
        if description is not None and not set(names).isdisjoint(description.get("needs", names)):
            return locks.who(description)
    return None


def _new(folder: Path) -> _List:
    """A new, empty list of this process. The lists of dead processes are removed."""
    for _ in locks.abandoned(folder, "run-*"):
        pass  # requesting the next one removes the lock file
    name, descriptor = locks.acquire(folder / f"run-{environment.process()}-{time.time_ns()}")
    atexit.register(_close, folder.resolve())
    return _List(os.getpid(), name, descriptor, set())


def _close(place: Path) -> None:
    """Removes the list at the end of the process that made it."""
    own = _lists[place]
    if own.pid == os.getpid():
        locks.release(own.lock_file, own.descriptor)
