"""runs.jsonl: what ran when, how long it took and how it ended. Dates and durations live here, never in an artifact.

One JSON object a line: {"event": "run"} when a command starts, {"event": "stage"} for each stage that ended.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

NAME = "runs.jsonl"


def append(folder: Path, entry: dict[str, Any]) -> None:
    """Adds a line; a single write, so that processes do not mix theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "pid": os.getpid(), **entry}) + "\n"
    descriptor = os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def entries(folder: Path) -> list[dict[str, Any]]:
    """All lines, oldest first; one that a crash cut off is skipped."""
    try:
        lines = (folder / NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [entry for line in lines if (entry := _parsed(line))]


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
