"""The provenance of an artifact as far as its workspace knows it: what it was made from, and what has happened to that since."""

import contextlib
import os
from pathlib import Path

from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import adoptions
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import names


def adopted(path: Path) -> list[str]:
    """One line for each record by which the artifact at `path`, or one of its ancestors, was adopted."""
    own, before = artifacts.attributes(path).get("key"), {key for _, key in ancestors(path)}
    records = adoptions.all_records(root_of(path))
    lines = [f"adopted {record}" for record in records if record.adopted == own]
    return lines + [f"made from {record.stage}@{record.adopted}, adopted {record}" for record in records if record.adopted in before]


def quarantined_since(path: Path) -> list[str]:
    """One line for each ancestor of the artifact at `path` that exists only in quarantine now."""
    return [
        f"made from {stage}@{key}, which is quarantined as {file.name}"
        for (stage, key), file in sorted(ancestors(path).items(), key=lambda item: item[0])
        if file and (name := names.parse(file)) and name.kind == "quarantined"
    ]


def ancestors(path: Path) -> dict[tuple[str, str], Path | None]:
    """(stage, key) of everything that an artifact was made from, directly or not, and its file; None if there is none any more."""
    files = _by_key(path)
    found: dict[tuple[str, str], Path | None] = {}
    todo = [path]
    while todo:
        for name, key in inputs(todo.pop()).items():
            place = (name.split(" #")[0], key)
            if place not in found:
                found[place] = files.get(key)
                todo += [files[key]] if key in files else []
    return found


def inputs(path: Path) -> dict[str, str]:
    """The keys of the artifacts that an artifact was made from, by stage; empty if it cannot be read."""
    with contextlib.suppress(artifacts.Damaged, FileNotFoundError, KeyError):
        return artifacts.attributes(path)["made_from"]["inputs"]
    return {}


def root_of(path: Path) -> Path:
    """The workspace that an artifact belongs to, which need not be that of the run."""
    return Path(os.path.normpath(path.parent / "..")) if path.absolute().parent.name in names.FOLDERS else workspace_root()


def _by_key(path: Path) -> dict[str, Path]:
    """The file of each key in the workspace of an artifact, and in its folder: the artifact, or else a quarantined one."""
    folders = [path.parent, *(root_of(path) / folder for folder in names.FOLDERS)]
    quarantined = {name.key: path for folder in folders for path in folder.glob("*.h5.*") if (name := names.parse(path)) and name.key}
    return quarantined | {names.key_of(file): file for folder in folders for file in names.artifacts(folder)}
