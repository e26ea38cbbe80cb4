"""Addresses of artifacts, STAGE[:group][@key], as the subcommands take them. Upper and lower case are equivalent."""

from pathlib import Path

from pipeline.errors import InputError, meant
from pipeline.store.run.stage import Stage
from pipeline.store.workspace import names


def find(address: str, stages: list[Stage]) -> Path:
    """The path of the artifact at an address. The key may be shortened to its beginning; without one it is the current artifact.

    Raises InputError if there is no such stage, or not exactly one artifact with such a key.
    """
    (stage, *_), key = split(address, stages)
    if not key:
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
    if not matching:
        raise InputError(f"There is no stage {name}; {meant(name, [stage.address for stage in stages])}")
    return matching, key


def artifacts_of(stage: Stage) -> list[Path]:
    """All artifacts of a stage, whatever their keys, the newest first."""
    return sorted(names.artifacts(stage.path.parent, stage.stem), key=lambda path: path.stat().st_mtime, reverse=True)
