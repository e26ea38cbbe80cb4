"""What is to be said of an artifact because of those that it was made from: that one was adopted, or was set aside since."""

import contextlib
from pathlib import Path

from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import adoptions
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import names


def adopted(path: Path) -> list[str]:
    """One line for each record by which an artifact, or one that it was made from, was adopted."""
    own, before = artifacts.attributes(path).get("key"), {key for _, key in ancestors(path)}
    records = adoptions.all_records(workspace_root())
    lines = [f"adopted {record}" for record in records if record.adopted == own]
    return lines + [f"made from {record.stage}@{record.adopted}, adopted {record}" for record in records if record.adopted in before]


def set_aside_since(path: Path) -> list[str]:
    """One line for each artifact that this one was made from, directly or not, and that now is set aside alone."""
    return [
        f"made from {stage}@{key}, which is set aside as {file.name}"
        for (stage, key), file in sorted(ancestors(path).items())
        if file and names.parse(file).kind == "set aside"
    ]


def ancestors(path: Path) -> dict[tuple[str, str], Path | None]:
    """(stage, key) -> file of all that an artifact was made from, as far as the files of the workspace know."""
    files = _by_key()
    found, todo = {}, [path]
    while todo:
        for name, key in inputs(todo.pop()).items():
            place = (name.split(" #")[0], key)
            if place not in found:
                found[place] = files.get(key)
                todo += [files[key]] if key in files else []
    return found


def inputs(path: Path) -> dict[str, str]:
    """Keys of the artifacts that one was made from, by stage; none where it can't be read."""
    with contextlib.suppress(artifacts.Damaged, FileNotFoundError, KeyError):
        return artifacts.attributes(path)["made_from"]["inputs"]
    return {}


def _by_key() -> dict[str, Path]:
    """The file of each key: its artifact, or else what is set aside of it."""
    folders = [workspace_root() / folder for folder in names.FOLDERS]
    aside = {name.key: path for folder in folders for path in folder.glob("*.h5.*") if (name := names.parse(path))}
    return aside | {names.key_of(path): path for path in names.all_artifacts(workspace_root())}
