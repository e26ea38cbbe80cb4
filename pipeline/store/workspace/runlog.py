"""runs.jsonl: what ran when, how long it took and how it ended. Dates and durations live here, never in an artifact.

One JSON object a line: {"event": "run"} when a command starts, {"event": "stage"} for each stage that ended.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

NAME = "runs.jsonl"

_unwritten: list[tuple[Path, dict[str, Any]]] = []


def append(folder: Path, entry: dict[str, Any]) -> None:
    """Adds a line; a single write, so that processes do not mix theirs.

    A log that can't be written (disk full) stops no run; then the entry is known to this process alone.
    """
    entry = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "pid": os.getpid(), **entry}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / NAME).open("ab+", buffering=0) as file:
            line = ("" if _ends_well(file) else "\n").encode() + json.dumps(entry).encode() + b"\n"
            if file.write(line) < len(line):
                _unwritten.append((folder, entry))
    except OSError:
        _unwritten.append((folder, entry))


def _ends_well(file) -> bool:
    """Whether the last line is whole; a crash may have cut it off."""
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def entries(folder: Path) -> list[dict[str, Any]]:
    """All lines, oldest first, then what could not be written; a line that a crash cut off is skipped."""
    try:
        lines = (folder / NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    return [entry for line in lines if (entry := _parsed(line))] + [entry for place, entry in _unwritten if place == folder]


def last_seconds(folder: Path) -> dict[str, float]:
    """How long each stage took when it last ended well, by STAGE and by STAGE@key."""
    found = {}
    for entry in entries(folder):
        if entry.get("event") == "stage" and entry.get("status") == "done":
            found[entry["stage"]] = found[f"{entry['stage']}@{entry['key']}"] = entry["seconds"]
    return found


def made(folder: Path) -> dict[str, dict[str, Any]]:
    """The line of when each artifact was made last, by its key."""
    return {entry["key"]: entry for entry in entries(folder) if entry.get("event") == "stage" and entry.get("status") == "done"}


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
