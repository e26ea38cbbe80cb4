"""Plain values that take long to compute, remembered in a file under keys. The file may be lost or damaged at any time."""

import json
from pathlib import Path
from typing import Any

from pipeline.store.workspace import locks

MOST = 8  # values in a file; the newest are kept


def recall(path: Path, key: str) -> Any:
    """The value under a key; None if there is none, or if the file cannot be read."""
    return _content(path).get(key)


def remember(path: Path, key: str, value: Any) -> None:
    """Writes a value that JSON takes under a key. If the file cannot be written, the value is not remembered."""
    others = [(name, other) for name, other in _content(path).items() if name != key]
    locks.rewrite(path, json.dumps(dict([*others[1 - MOST :], (key, value)])))


def _content(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
