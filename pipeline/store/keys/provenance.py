"""What an artifact is made from: its provenance, the key that names it, and why two provenances differ.

A provenance is a dict of plain values: stage, effective parameters, facts about its data, keys of the inputs, digests of external files,
fingerprints of the code, and versions of the backend. Its hash is the key in the file name of the artifact, so a changed ingredient leads
to a different file.
"""

import functools
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterable
from typing import Any

from pipeline import environment
from pipeline.store.workspace.names import KEY_LENGTH

LONGEST = 60  # letters of a value that a line shows

# The parts of a provenance, apart from the stage and the schema.
PARTS = ("parameters", "facts", "inputs", "files", "code", "backend")


def key(provenance: dict[str, Any]) -> str:
    """The key of a provenance: the beginning of its SHA-256 digest."""
    return hashlib.sha256(json.dumps(provenance, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]


def differences(now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    """Why an artifact made by the provenance `then` does not match the provenance `now`, one line per difference.

    That an input changed is one line; the reasons for that change are not repeated.
    """
    return [line for lines in changes(now, then).values() for line in lines]


def changes(now: dict[str, Any], then: dict[str, Any]) -> dict[str, list[str]]:
    """The lines of `differences` by the part of the provenance; a part without lines is equal."""
    return {
        "parameters": [_line(name, f"{name} {old} -> {new}", new, old) for name, new, old in _changed(now, then, "parameters")],
        "facts": [_line(name, _replaced(name, new, old), new, old) for name, new, old in _changed(now, then, "facts")],
        "files": [_line(name, f"{name} changed", new, old) for name, new, old in _changed(now, then, "files")],
        "code": [_line(f"code of {name}", f"code of {name} changed", new, old) for name, new, old in _changed(now, then, "code")],
        "backend": [
            _line(name, f"{name} {old} -> {new}", new, old)
            for name, new, old in _changed(now, then, "backend")
            # If the backend itself differs, the versions of the two backends need no lines.
            if (new and old) or name in ("backend", "devices", *environment.ARITHMETIC)
        ],
        "inputs": [_line(f"its input {name}", f"its input {name} changed", new, old) for name, new, old in _changed(now, then, "inputs")],
        "schema": [] if now.get("schema") == then.get("schema") else ["the file layout changed"],
    }


def _changed(now: dict[str, Any], then: dict[str, Any], part: str) -> list[tuple[str, Any, Any]]:
    """The name, new value and old value of each entry that differs; None for a missing value."""
    new, old = now.get(part, {}), then.get(part, {})
    return [(name, new.get(name), old.get(name)) for name in sorted({*new, *old}) if new.get(name) != old.get(name)]


def _replaced(name: str, new: Any, old: Any) -> str:
    """That a fact differs, with its two values unless they are too long for a line."""
    return f"{name} changed" if max(len(str(new)), len(str(old))) > LONGEST else f"{name} {old} -> {new}"


def _line(name: str, change: str, new: Any, old: Any) -> str:
    """The text `change`, or a text about `name` if one of the values is missing."""
    return change if None not in (new, old) else f"{name} is new" if old is None else f"{name} is no longer used"


def numbered(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a dict in which equal names are numbered: two variations of a stage, or two files of one name."""
    named: dict[str, Any] = {}
    for name, value in pairs:
        same = sum(1 for known in named if known.split(" #")[0] == name)
        named[f"{name} #{same + 1}" if same else name] = value
    return named


def backend() -> dict[str, str]:
    """The name of the Keras backend, the versions of Keras and of the backend, without importing them, and variables that change how it
    computes.
    """
    name = environment.backend().name
    arithmetic = {variable: value for variable in environment.ARITHMETIC if (value := os.environ.get(variable))}
    return {"backend": name, "keras": version("keras"), name: version(name), **arithmetic}


@functools.cache
def version(package: str) -> str:
    """The version of an installed package, or "not installed". Cached: every checkpoint needs all versions, and each takes 2 ms."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
