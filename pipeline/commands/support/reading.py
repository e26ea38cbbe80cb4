"""Artifacts as the commands read them: what is missing, damaged, of another version or gone ends in one sentence."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.commands.support import provenance
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.workspace import names


@contextlib.contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Around what reads an artifact: InputError where it is missing, damaged or of another version."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; `keypoints status` says why.") from None
    except artifacts.Damaged as error:
        raise InputError(f"{error}.") from None


def load(path: Path, kind: type):
    """The artifact as the dataclass `kind`, its `Images` to be read when they are asked for; InputError as in `refusing`."""
    with refusing(path):
        return artifacts.load(path, kind, limit=0)


def made_from(path: Path, stage: str) -> list[Path]:
    """The artifacts of a stage that another one was made from; InputError where one is gone or set aside, or where it tells of none."""
    found = [(key, file) for (name, key), file in provenance.ancestors(path).items() if name == stage]
    if not found:
        raise InputError(f"{path} does not say which {stage} it was made from.")
    if gone := [key for key, file in found if file is None or names.parse(file).kind != "artifact"]:
        raise InputError(f"{path} was made from {stage}@{gone[0]}, which is not there any more.")
    return [file for _, file in found]
