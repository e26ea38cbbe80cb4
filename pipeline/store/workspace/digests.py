"""SHA-256 digests of the files that the user brings, remembered while such a file stays as it is."""

import json
import time
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.store.workspace import files, locks

HASHES = ".file-hashes.json"


# Nanoseconds; more than a file system rounds its dates by (2 s on FAT).
RECENT = 2_500_000_000


def file_digest(path: Path, cache_folder: Path) -> str:
    """SHA-256 of an external file's bytes, remembered by path, size, date and inode; "missing" or "not a file" where there is none."""
    if not path.is_file():
        return "not a file" if path.exists() else "missing"
    name, state, known = str(path.resolve()), list(files.state(path)), _remembered(cache_folder)
    if known.get(name, [None])[0] == state:
        return known[name][1]
    try:
        digest = files.sha256(path)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror.lower()}.") from None
    # A file written in this very moment can change once more under the same date.
    if time.time_ns() - path.stat().st_mtime_ns > RECENT:
        locks.rewrite(cache_folder / HASHES, json.dumps({**known, name: [state, digest]}))
    return digest


def _remembered(folder: Path) -> dict[str, Any]:
    try:
        known = json.loads((folder / HASHES).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
