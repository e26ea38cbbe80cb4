"""The provenance of an artifact as far as the workspace knows it: what it was made from, and what has happened to that since."""

import contextlib
from pathlib import Path

from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import adoptions
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import names


def adopted(path: Path) -> list[str]:
    """One line for each record by which the artifact at `path`, or one of its ancestors, was adopted."""
    own, before = artifacts.attributes(path).get("key"), {key for _, key in ancestors(path)}
    records = adoptions.all_records(workspace_root())
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
    files = _by_key()
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


def _by_key() -> dict[str, Path]:
    """The file of each key in the workspace: the artifact, or else a quarantined one."""
    folders = [workspace_root() / folder for folder in names.FOLDERS]
    quarantined = {name.key: path for folder in folders for path in folder.glob("*.h5.*") if (name := names.parse(path)) and name.key}
    return quarantined | {names.key_of(path): path for path in names.all_artifacts(workspace_root())}
