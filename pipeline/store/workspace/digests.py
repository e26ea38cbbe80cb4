"""SHA-256 digests of the files that the user provides. A digest is remembered for as long as its file does not change."""

import functools
import hashlib
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.store.workspace import files, locks

HASHES = ".file-hashes.json"

# Nanoseconds; longer than the resolution of the times of any file system (2 s on FAT).
RECENT = 2_500_000_000
# Files after which the cache is written, so that a process that is killed need not read all of them again. Writing a million entries takes
# seconds.
SLICE = 20_000


def file_digest(path: Path, cache_folder: Path) -> str:
    """The SHA-256 digest of an external file, or "missing" or "not a file".

    Digests are cached in `cache_folder` by path, size, modification time, change time and inode.

    Raises InputError if the file cannot be read.
    """
    return _digests([path.resolve()], cache_folder)[0] if path.is_file() else _digest(path)


def folder_digest(folder: Path, names: Iterable[str], cache_folder: Path) -> str:
    """The SHA-256 digest of the sorted names of files in a folder and the digests of their contents, each cached as by `file_digest`.

    Raises InputError if a file cannot be read.
    """
    ordered = sorted(names)
    root = folder.resolve() if folder.is_dir() else folder
    found = _digests([root / name for name in ordered], cache_folder)
    return hashlib.sha256(json.dumps(list(zip(ordered, found, strict=True))).encode()).hexdigest()


def file_digests(paths: list[Path], cache_folder: Path) -> list[str]:
    """The digests of files, given by their full paths, each as by `file_digest`.

    Raises InputError if a file cannot be read.
    """
    found: list[str] = []
    for start in range(0, len(paths), SLICE):
        found += _digests(paths[start : start + SLICE], cache_folder)
    return found


def _digests(paths: list[Path], cache_folder: Path) -> list[str]:
    """The digests of files, given by their full paths. What has to be read is read by several threads, and the cache is written once."""
    known = _remembered(cache_folder)
    states = [_state(path) for path in paths]
    stale = [number for number, path in enumerate(paths) if states[number] is None or _entry(known, path)[0] != list(states[number] or ())]
    with ThreadPoolExecutor(min(len(stale), 2 * (os.cpu_count() or 1)) or 1) as pool:
        digested = dict(zip(stale, pool.map(_digest, [paths[number] for number in stale]), strict=True))
    # A file that was written just now can change again without a change of its times.
    now = time.time_ns()
    settled = {
        str(paths[number]): [list(state), digest]
        for number, digest in digested.items()
        if (state := states[number]) and digest not in ("missing", "not a file") and now - max(state[1], state[2]) > RECENT
    }
    if settled:
        locks.rewrite(cache_folder / HASHES, json.dumps({**known, **settled}))
    return [digested[number] if number in digested else str(_entry(known, path)[1]) for number, path in enumerate(paths)]


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        return files.state(path)
    except (NotADirectoryError, PermissionError):
        return None


def _digest(path: Path) -> str:
    if not path.is_file():
        return "not a file" if path.exists() else "missing"
    try:
        return files.sha256(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {files.reason(error)}.") from None


def _entry(known: dict[str, Any], path: Path) -> list[Any]:
    """State and digest of a file in the cache; another list if there is none."""
    entry = known.get(str(path))
    return entry if isinstance(entry, list) and len(entry) == 2 else [None, None]


def _remembered(folder: Path) -> dict[str, Any]:
    """Path -> [state, digest], as far as the cache can be read."""
    try:
        state = files.state(folder / HASHES)
    except OSError:
        return {}
    return _read(folder / HASHES, state) if state else {}


@functools.lru_cache(maxsize=4)
def _read(path: Path, state: tuple[int, ...]) -> dict[str, Any]:
    """The content of the cache in one state of its file. Many files are looked up one by one, and the cache may have megabytes."""
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
