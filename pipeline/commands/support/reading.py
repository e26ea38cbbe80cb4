"""Reading artifacts for a command: an artifact that is missing, damaged or of another schema gives a message, not a traceback."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pipeline import units
from pipeline.commands.support import ancestry
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.workspace import files, names
from pipeline.store.workspace.called import called

Content = TypeVar("Content")


@contextlib.contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Raises InputError if the code in this context finds the artifact at `path` missing, damaged or of another schema."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(_missing(path)) from None
    except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{path} cannot be read: {files.reason(error)}.") from None
    except artifacts.Damaged as error:
        raise InputError(f"{error}.") from None


def _missing(path: Path) -> str:
    """Why an artifact is not there, as far as a command can say; other files only the user can know."""
    if names.parse(path):
        return f"{path} does not exist; `{called('keypoints', 'status')}` says why."
    return f"{units.printable(path)} does not exist. Check its name."


def load(path: Path, kind: type[Content]) -> Content:
    """The artifact as the record `kind`. Its images stay in the file and are read on access. Raises InputError as in `refusing`."""
    with refusing(path):
        return artifacts.load(path, kind, limit=0)


def attributes(path: Path) -> dict[str, Any]:
    """The attributes of the artifact. Raises InputError as in `refusing`."""
    with refusing(path):
        return artifacts.attributes(path)


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
