"""Addresses of artifacts, STAGE[:group][@key], as several subcommands take them."""

from pathlib import Path

from pipeline.errors import InputError, meant
from pipeline.store.run.stage import Stage
from pipeline.store.workspace import names


def find(address: str, stages: list[Stage]) -> Path:
    """The artifact of STAGE[:group][@key]; upper and lower case are alike. Without a key: the current one."""
    (stage, *_), key = split(address, stages)
    if not key:
        return stage.path
    found = [path for path in artifacts_of(stage) if names.key_of(path).startswith(key)]
    if len(found) != 1:
        known = ", ".join(names.key_of(path) for path in artifacts_of(stage))
        raise InputError(f"{stage.address} has {len(found)} artifacts with a key that starts with {key}; its keys: {known or 'none'}.")
    return found[0]


def split(address: str, stages: list[Stage]) -> tuple[list[Stage], str]:
    """The stage of STAGE[:group][@key], of several folds each one's, and the key, "" without one."""
    name, _, key = address.partition("@")
    matching = [stage for stage in stages if stage.address.lower() == name.lower()]
    if not matching:
        raise InputError(f"there is no stage {name}; {meant(name, [stage.address for stage in stages])}")
    return matching, key


def artifacts_of(stage: Stage) -> list[Path]:
    """All artifacts of a stage, whatever their key, the newest first."""
    return sorted(names.artifacts(stage.path.parent, stage.stem), key=lambda path: path.stat().st_mtime, reverse=True)
