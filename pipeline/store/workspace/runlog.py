"""The run log, runs.jsonl: when each stage ran, how long it took and how it ended. No artifact contains dates or durations.

The log has one JSON object per line: {"event": "run"} when a command starts, {"event": "stage"} when a stage ends,
{"event": "end"} when a command has finished, with the files of its results, {"event": "forget"} with the files that were quarantined, and
{"event": "kaggle"} when a submission was sent to Kaggle or its score became known.
"""

import contextlib
import io
import json
import math
import os
import time
from collections.abc import Callable
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
    except OSError:
        lines = []
    return [entry for line in lines if (entry := parse(line))] + [entry for place, entry in _unwritten if place == folder]


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


def parse(line: str) -> dict[str, Any] | None:
    """The entry in a line of the log or in last-run.json; None if it is damaged or not an entry, as a person or a program may leave it."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and _is_entry(entry) else None


def _is_entry(entry: dict[str, Any]) -> bool:
    """Whether the fields that this program reads have the types that it writes."""
    needed: tuple[str, ...] = ()
    if entry.get("event") == "stage":
        needed = "stage", "key", "status", *{"done": ("seconds",), "interrupted": ()}.get(str(entry.get("status")), ("error",))
    return set(needed) <= entry.keys() and all(fits(entry[name]) for name, fits in _FIELDS.items() if entry.get(name) is not None)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


_FIELDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("event", "run", "folder", "stage", "key", "status", "error", "result", "device", "host"), _is_text),
    **dict.fromkeys(("arguments", "preset", "adopted"), _are_texts),
    **dict.fromkeys(("time", "variation"), _is_text),
    "artifacts": lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
    "seconds": lambda value: isinstance(value, int | float) and math.isfinite(value),
}
