"""`keypoints forget`: quarantines the artifact of a stage and everything made from it; nothing is deleted, and --undo restores it."""

import os
import re
from pathlib import Path

from pipeline.commands.support import ancestry
from pipeline.commands.support.addresses import find, split
from pipeline.errors import InputError
from pipeline.store.cleanup import in_use
from pipeline.store.keys import adoptions
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import remote_store, workspace_root
from pipeline.store.workspace import names, partials, runlog
from pipeline.store.workspace.called import called
from pipeline.store.workspace.files import quarantine


def run(address: str, stages: list[Stage]) -> int:
    """Renames the artifact at an address and its descendants to NAME.forgotten-N, prints the new names and returns the exit code 0.

    Of an adopted stage, only the record of the adoption is renamed. If several folds share the address and it has no key, each fold is
    included. Raises InputError if there is no such artifact, or if a running process needs it.
    """
    found, key = split(address, stages)
    # The artifact of an adopted stage belongs to another key. Without the record, the stage and all that depends on it change their keys.
    records = [adoptions.path(workspace_root(), stage.stem, stage.adoption.key) for stage in found if stage.adoption and not key]
    artifacts = [find(address, stages)] if key else [stage.path for stage in found if not stage.adoption]
    existing = [path for path in artifacts if path.exists() or partials.of(path)]
    if not existing and not records:
        raise InputError(f"{artifacts[0]} does not exist, so there is nothing to forget.")
    paths, models = [*records, *_with_descendants(existing)], workspace_root() / "models"
    with in_use.settled(models):
        if who := in_use.needed_by(models, {f"{path.parent.name}/{path.stem}" for path in paths}):
            raise InputError(f"{who} needs these files, so nothing was quarantined. Wait until that process has ended.")
        elsewhere = _forgotten_in_store(paths)
        renamed = [quarantined for path in paths for quarantined in quarantine(path, "forgotten")]
        runlog.append(models, {"event": "forget", "files": [file.relative_to(workspace_root()).as_posix() for file in renamed]})
    for quarantined in (*renamed, *elsewhere):
        print(f"quarantined: {quarantined}")
    undo, clean = called("keypoints", "forget", "--undo"), called("keypoints", "clean")
    print(f"The next run recomputes them. To undo this, run `{undo}`; to free the disk space, run `{clean}`.")
    return 0


def _forgotten_in_store(paths: list[Path]) -> list[str]:
    """Renames those artifacts in the remote store, if there is one, so that the next run does not fetch them; returns the new addresses."""
    store = remote_store()
    artifacts = [path for path in paths if (name := names.parse(path)) and name.kind == "artifact"]
    return [renamed for path in artifacts if (renamed := store.set_aside(path, "forgotten"))] if store else []


def undo() -> int:
    """Gives the files that the last `forget` renamed their names back, and prints these; returns 0, or 1 if a file exists again.

    Repeated, it undoes the one before. Raises InputError if there is none.
    """
    root = workspace_root()
    with in_use.settled(root / "models"):
        if not (files := _last_forgotten(root)):
            raise InputError(f"Nothing in {root.resolve()} is quarantined by `forget`, so there is nothing to undo.")
        again = {file for file in files if any(os.path.lexists(other) for other in _together(file, files))}
        # The artifact comes last: it is not there without the files that were published with it.
        for file in sorted(files, key=lambda file: _former(file).suffix == ".h5"):
            if file not in again:
                file.rename(_former(file))
    for file in files:
        print(f"made again since, not restored: {file}" if file in again else f"restored: {_former(file)}")
    return 1 if again else 0


def _last_forgotten(root: Path) -> list[Path]:
    """The quarantined files of the last `forget` that is not undone; if no log says which, those with the highest number."""
    for entry in reversed(runlog.entries(root / "models")):
        named = entry.get("files")
        if entry.get("event") == "forget" and isinstance(named, list):
            places = [root / str(name) for name in named if re.fullmatch(r"[\w./-]+\.forgotten-\d+", str(name)) and ".." not in str(name)]
            if files := [file for file in places if file.is_file() and _is_forgotten(file)]:
                return files
    folders = [root / folder for folder in (*names.FOLDERS, adoptions.FOLDER)]
    every = [file for folder in folders for file in sorted(folder.glob("*.forgotten-*")) if _is_forgotten(file)]
    highest = max((_number(file) for file in every), default=0)
    return [file for file in every if _number(file) == highest]


def _is_forgotten(file: Path) -> bool:
    name = names.parse(file)
    return name is not None and name.kind == "quarantined" and ".forgotten-" in file.name


def _number(file: Path) -> int:
    return int(file.name.rpartition("-")[2])


def _former(file: Path) -> Path:
    """The name of a file before it was quarantined."""
    return file.with_name(file.name.rpartition(".forgotten-")[0])


def _together(file: Path, files: list[Path]) -> list[Path]:
    """The former names of a file and of those that share its artifact: they are restored together or not at all."""
    own = names.parse(file)
    return [
        _former(other) for other in files if other.parent == file.parent and (name := names.parse(other)) and own and name.key == own.key
    ]


def _with_descendants(artifacts: list[Path]) -> list[Path]:
    """The artifacts and everything in the workspace that was made from them, directly or not, finished or unfinished."""
    paths = names.all_artifacts(workspace_root(), ("artifact", *names.UNFINISHED))
    made_from = {path: set(ancestry.inputs(path).values()) for path in paths}
    forgotten, keys = [*artifacts], {names.key_of(path) for path in artifacts}
    while new := [path for path, inputs in made_from.items() if path not in forgotten and inputs & keys]:
        forgotten += new
        keys |= {names.key_of(path) for path in new}
    return forgotten
