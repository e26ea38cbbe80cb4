"""Reading artifacts for a command: an artifact that is missing, damaged or of another schema gives a message, not a traceback."""

from pathlib import Path

from pipeline.commands.support import ancestry
from pipeline.errors import InputError
from pipeline.store.hdf5.reading import attributes, load, refusing
from pipeline.store.workspace import names

__all__ = ["attributes", "load", "made_from", "refusing"]


def made_from(path: Path, stage: str) -> list[Path]:
    """The artifacts of `stage` that the artifact at `path` was made from, directly or not.

    Raises InputError if its provenance names none, or if one has been removed or quarantined.
    """
    found = [(key, file) for (name, key), file in ancestry.ancestors(path).items() if name == stage]
    if not found:
        raise InputError(f"{path} does not say which {stage} it was made from.")
    existing = {key: file for key, file in found if file and (name := names.parse(file)) and name.kind == "artifact"}
    if gone := [key for key, _ in found if key not in existing]:
        raise InputError(f"{path} was made from {stage}@{gone[0]}, which no longer exists.")
    return list(existing.values())
