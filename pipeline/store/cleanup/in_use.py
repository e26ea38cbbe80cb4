"""What running processes read and write, so that nobody tidies it away under them.

A process that runs stages holds the lock of a file of its own in models/, with the names of these artifacts in it. The lock dies with its
process. The lists grow, and files are removed, under one more lock: either a run's inputs are listed before somebody could remove them, or
the run finds that they are not there, and makes them again.
"""

import atexit
import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.store.workspace import locks

# Folder -> (the process that made its list, the list's lock file, its descriptor, what is on the list).
_lists: dict[Path, tuple[int, Path, int, set[str]]] = {}


def add(folder: Path, names: Iterable[str]) -> None:
    """Puts artifacts on this process' list in a folder, by the folder and name that they have in the workspace, until it ends."""
    place = folder.resolve()
    with settled(folder):
        if place not in _lists:
            _lists[place] = _new(folder)
        *_, descriptor, listed = _lists[place]
        listed |= set(names)
        locks.describe(descriptor, needs=sorted(listed))


@contextlib.contextmanager
def settled(folder: Path) -> Iterator[None]:
    """No process' list in a folder changes in this context."""
    with locks.locked(folder / "needs", lambda who: None):
        yield


def needed_by(folder: Path, names: Iterable[str]) -> str | None:
    """Who has one of these artifacts on its list, None if no process that lives has. A list that can't be read has everything on it."""
    for file in sorted(folder.glob(".run-*.lock")):
        said = locks.holder(file)
        if said is not None and not set(names).isdisjoint(said.get("needs", names)):
            return locks.who(said)
    return None


def _new(folder: Path) -> tuple[int, Path, int, set[str]]:
    for _ in locks.abandoned(folder, "run-*"):
        pass  # the lists of dead processes: asking for the next removes them
    name, descriptor = locks.acquire(folder / f"run-{os.getpid()}-{time.time_ns()}")
    atexit.register(_close, folder.resolve())
    return os.getpid(), name, descriptor, set()


def _close(place: Path) -> None:
    pid, name, descriptor, _ = _lists[place]
    if pid == os.getpid():
        locks.release(name, descriptor)
