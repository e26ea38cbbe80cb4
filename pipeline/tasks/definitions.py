"""The definition of a keypoint set of the user's, remembered as long as its files and the code that reads them do not change."""

import functools
import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path

from pipeline.data import definition
from pipeline.data.definition import Asked, Definition
from pipeline.errors import InputError
from pipeline.store.run.keyed import Builds
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import remembered

CACHE = ".definitions.json"
# The packages whose code decides what a definition is.
_ROOMS = ("data", "keypoints")


def defined(asked: Asked) -> Definition:
    """The definition of a set; within a build always the same."""
    return _in_build(asked, Path.cwd(), workspace_root() / "data" / CACHE, Builds.generation)


@functools.lru_cache(maxsize=8)
def _in_build(asked: Asked, folder: Path, cache: Path, build: int) -> Definition:
    """folder: that of the process, to which paths may be relative."""
    key = hashlib.sha256(json.dumps([asdict(asked), str(folder), _code()]).encode()).hexdigest()
    if found := _recalled(asked, cache, key):
        return found
    from pipeline.data import defining

    began = time.time_ns()
    result = defining.define(asked)
    state = definition.state(_paths(asked, result), began)
    if state and not result.fault:
        remembered.remember(cache, key, {"state": state, "definition": result.plain()})
    return result


def _recalled(asked: Asked, cache: Path, key: str) -> Definition | None:
    """The definition that was remembered; None if there is none, if it is damaged, or if a file has changed since."""
    try:
        value = remembered.recall(cache, key)
        result = Definition.of_plain(value["definition"])
        state = definition.state(_paths(asked, result), time.time_ns())
    except (TypeError, ValueError, KeyError, AttributeError, InputError):
        return None
    return result if state == value["state"] else None


def _paths(asked: Asked, found: Definition) -> tuple[Path, ...]:
    """The files and folders that a definition depends on."""
    own = (found.root, found.settings.get("boxes"), asked.path, asked.keypoints, asked.split, asked.test)
    return tuple(Path(path) for path in own if path)


def _code() -> str:
    """A hash of the source of everything that decides what a definition is."""
    package = Path(definition.__file__).parents[1]
    sources = [path for room in _ROOMS for path in sorted((package / room).rglob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
