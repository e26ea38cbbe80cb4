"""The run log, runs.jsonl: when each stage ran, how long it took and how it ended. No artifact contains dates or durations.

The log has one JSON object per line: {"event": "run"} when a command starts, {"event": "stage"} when a stage ends.
"""

import contextlib
import io
import json
import os
import time
from pathlib import Path
from typing import Any

from pipeline import environment

NAME = "runs.jsonl"

_unwritten: list[tuple[Path, dict[str, Any]]] = []


def append(folder: Path, entry: dict[str, Any]) -> None:
    """Adds a line to the log, in a single write so that concurrent processes do not mix their lines.

    If the log cannot be written (because the disk is full, for example), the run continues, and this process writes the entry before its
    next one.
    """
    entry = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "host": environment.host(), "pid": os.getpid(), **entry}
    _unwritten.append((folder, entry))
    # A forked process leaves the entries of its parent to the parent.
    mine = [each for each in _unwritten if each[0] == folder and each[1]["pid"] == os.getpid()]
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / NAME).open("ab+", buffering=0) as file:
            for each in mine:
                line = ("" if _ends_well(file) else "\n").encode() + json.dumps(each[1]).encode() + b"\n"
                if file.write(line) < len(line):
                    break
                _unwritten.remove(each)


def _ends_well(file: io.FileIO) -> bool:
    """Whether the last line is complete; a crash may have cut it off."""
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def entries(folder: Path) -> list[dict[str, Any]]:
    """All entries, oldest first, followed by those that could not be written. A line that a crash cut off is skipped."""
    try:
        lines = (folder / NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    return [entry for line in lines if (entry := _parsed(line))] + [entry for place, entry in _unwritten if place == folder]


def last_seconds(folder: Path) -> dict[str, float]:
    """The duration in seconds of the last successful run of each stage, by STAGE and by STAGE@key."""
    found: dict[str, float] = {}
    for entry in entries(folder):
        if entry.get("event") == "stage" and entry.get("status") == "done":
            found[entry["stage"]] = found[f"{entry['stage']}@{entry['key']}"] = entry["seconds"]
    return found


def made(folder: Path) -> dict[str, dict[str, Any]]:
    """The entry of the last successful run for each key."""
    return {entry["key"]: entry for entry in entries(folder) if entry.get("event") == "stage" and entry.get("status") == "done"}


def _parsed(line: str) -> dict[str, Any] | None:
    """The JSON object in a line; None if the line is damaged."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
