"""Reading artifacts on behalf of a user: one that is missing, damaged or of another schema gives a message, not a traceback."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pipeline import units
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
