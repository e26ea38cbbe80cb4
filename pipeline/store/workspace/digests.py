"""SHA-256 digests of the files that the user provides. A digest is remembered for as long as its file does not change."""

import json
import time
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.store.workspace import files, locks

HASHES = ".file-hashes.json"

# Nanoseconds; longer than the resolution of the times of any file system (2 s on FAT).
RECENT = 2_500_000_000


def file_digest(path: Path, cache_folder: Path) -> str:
    """The SHA-256 digest of an external file, or "missing" or "not a file".

    Digests are cached in `cache_folder` by path, size, modification time, change time and inode.

    Raises InputError if the file cannot be read.
    """
    if not path.is_file():
        return "not a file" if path.exists() else "missing"
    name, state, known = str(path.resolve()), list(files.state(path) or ()), _remembered(cache_folder)
    if known.get(name, [None])[0] == state:
        return str(known[name][1])
    try:
        digest = files.sha256(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {files.reason(error)}.") from None
    # A file that was written just now can change again without a change of its times.
    status = path.stat()
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > RECENT:
        locks.rewrite(cache_folder / HASHES, json.dumps({**known, name: [state, digest]}))
    return digest


def _remembered(folder: Path) -> dict[str, Any]:
    """Path -> [state, digest], as far as the cache can be read."""
    try:
        known = json.loads((folder / HASHES).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
