"""What the subcommands take for an artifact: an address STAGE[:group][@key], a key alone, or a file, also of another workspace.

In addresses, upper and lower case are equivalent. A key may be shortened to its beginning.
"""

import re
from pathlib import Path

from pipeline.errors import InputError, meant
from pipeline.store.run import command_line
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import remote_store, workspace_root
from pipeline.store.workspace import names
from pipeline.store.workspace.called import called

# Of artifacts and of the files published with them.
SUFFIXES = (".h5", ".csv", ".png", ".html")
# Fewer characters of a key are no key.
SHORTEST_KEY = 3


def locate(what: str, stages: list[Stage]) -> Path:
    """The path of the artifact that an address, a key or the name of a file stands for; a file need not exist.

    Raises InputError if there is no such stage or key, or more than one artifact with this key.
    """
    return named(what) or find(what, stages)


def named(what: str) -> Path | None:
    """The path of the artifact that a key or the name of a file stands for; None for an address. Raises InputError as `locate`."""
    if "/" in what or Path(what).suffix in SUFFIXES:
        path = Path(what).expanduser()
        # The file to look at has the same name as its artifact.
        beside = path.with_suffix(".h5")
        return beside if beside.is_file() and not path.is_dir() else path
    if not re.fullmatch(f"[0-9a-f]{{{SHORTEST_KEY},{names.KEY_LENGTH}}}", what):
        return None
    every = names.all_artifacts(workspace_root())
    found = [path for path in every if names.key_of(path).startswith(what)]
    if len(found) != 1:
        several = f" ({', '.join(path.name for path in found)})" if found else ""
        hint = f"`{called('keypoints', 'status')}` lists the current keys."
        raise InputError(f"{len(found)} artifacts in {workspace_root().resolve()} have a key that starts with {what}{several}. {hint}")
    return found[0]


def find(address: str, stages: list[Stage]) -> Path:
    """The path of the artifact at an address. The key may be shortened to its beginning; without one it is the current artifact.

    The current artifact is fetched from the remote store if the workspace lacks it.

    Raises InputError if there is no such stage, or not exactly one artifact with such a key.
    """
    (stage, *_), key = split(address, stages)
    if not key:
        if (store := remote_store()) and not stage.path.exists():
            store.fetch(stage.path)
        return stage.path
    found = [path for path in artifacts_of(stage) if names.key_of(path).startswith(key)]
    if len(found) != 1:
        known = ", ".join(names.key_of(path) for path in artifacts_of(stage))
        raise InputError(f"{stage.address} has {len(found)} artifacts whose key starts with {key}. Its keys: {known or 'none'}.")
    return found[0]


def split(address: str, stages: list[Stage]) -> tuple[list[Stage], str]:
    """The stages at an address, which are several if folds share it, and the key, which is "" if the address has none.

    Raises InputError if there is no such stage.
    """
    name, _, key = address.partition("@")
    matching = [stage for stage in stages if stage.address.lower() == name.lower()]
    if not matching and (task := {known.lower(): known for known in command_line.tasks()}.get(name.split(":")[0].lower())):
        if others := [stage.address for stage in stages if stage.task_family == task]:
            raise InputError(f"There is no stage {name}; {meant(name, others)}")
        made = f"To make one: {called('luigi', '--module', 'pipeline', task)}"
        raise InputError(f"The run that is meant has no artifact of {task}. Name its file, if there is one. {made}")
    if not matching:
        raise InputError(f"There is no stage {name}; {meant(name, [stage.address for stage in stages])}")
    return matching, key


def artifacts_of(stage: Stage) -> list[Path]:
    """All artifacts of a stage, whatever their keys, the newest first."""
    return sorted(names.artifacts(stage.path.parent, stage.stem), key=lambda path: path.stat().st_mtime, reverse=True)
