"""What an artifact is made from: its recipe, the key that names it, and why two recipes differ.

A recipe is a dict of plain values: stage, effective parameters, keys of the inputs, checksums of external files, fingerprints of the code,
versions of the backend. Its hash is the key in the artifact's file name, so a changed ingredient means another file.
"""

import functools
import hashlib
import importlib.metadata
import json
import os
from pathlib import Path
from typing import Any

from pipeline.store.workspace.names import KEY_LENGTH

# What a recipe consists of, beside the stage and the schema.
PARTS = ("parameters", "inputs", "files", "code", "backend")


def key(recipe: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]


def differences(now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    """Why an artifact made from `then` is not what `now` asks for: one line each, the cause of a changed input not repeated."""
    return [line for lines in changes(now, then).values() for line in lines]


def changes(now: dict[str, Any], then: dict[str, Any]) -> dict[str, list[str]]:
    """The same by the part of the recipe that differs; a part without a line is equal."""
    return {
        "parameters": [_said(name, f"{name} {old} -> {new}", new, old) for name, new, old in _changed(now, then, "parameters")],
        "files": [_said(name, f"{name} changed", new, old) for name, new, old in _changed(now, then, "files")],
        "code": [_said(f"code of {name}", f"code of {name} changed", new, old) for name, new, old in _changed(now, then, "code")],
        "backend": [
            _said(name, f"{name} {old} -> {new}", new, old)
            for name, new, old in _changed(now, then, "backend")
            # The version of another backend goes without saying.
            if (new and old) or name == "backend"
        ],
        "inputs": [_said(f"its input {name}", f"its input {name} changed", new, old) for name, new, old in _changed(now, then, "inputs")],
        "schema": [] if now.get("schema") == then.get("schema") else ["the file layout changed"],
    }


def _changed(now: dict, then: dict, part: str) -> list[tuple[str, Any, Any]]:
    """(name, new, old) of what is not equal; None where there is none."""
    new, old = now.get(part, {}), then.get(part, {})
    return [(name, new.get(name), old.get(name)) for name in sorted({*new, *old}) if new.get(name) != old.get(name)]


def _said(name: str, change: str, new: Any, old: Any) -> str:
    return change if None not in (new, old) else f"{name} is new" if old is None else f"{name} is no longer used"


def backend() -> dict[str, str]:
    """Name and versions of what trains and predicts, without importing it."""
    name = os.environ.get("KERAS_BACKEND") or _configured_backend() or "tensorflow"
    return {"backend": name, "keras": version("keras"), name: version(name)}


def _configured_backend() -> str | None:
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        return json.loads((home / "keras.json").read_text()).get("backend")
    except (OSError, ValueError):
        return None


@functools.cache
def version(package: str) -> str:
    """Of an installed package. Remembered: each checkpoint asks for those of all, 2 ms each."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
