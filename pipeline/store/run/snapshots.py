"""What a stage sets down on its way, to be published with its artifact as NAME.snapshots.h5.

Until then each is a file of its own: none is lost with a killed process, and none is in memory but the one that is written.
"""

import typing
from collections.abc import Iterable
from pathlib import Path

from pipeline.store.hdf5 import artifacts, contents
from pipeline.store.run.targets import Artifact
from pipeline.store.workspace import files, partials
from pipeline.store.workspace.console import say

SUFFIX = ".snapshots.h5"


def path(artifact: Path, number: int) -> Path:
    return partials.path(artifact, "snapshot", number)


def save(artifact: Path, number: int, content: typing.Any, attributes: dict[str, typing.Any]) -> None:
    """Publishes a dataclass of described arrays as snapshot `number`."""
    with artifacts.writing(path(artifact, number), attributes) as file:
        contents.put(file, content)


def lacking(artifact: Path, numbers: Iterable[int]) -> list[int]:
    """The numbers whose snapshots are not there. Damaged ones are set aside, with a warning."""
    return [number for number in numbers if not _is_there(path(artifact, number))]


def _is_there(snapshot: Path) -> bool:
    try:
        artifacts.verify(snapshot)
    except FileNotFoundError:
        return False
    except artifacts.Damaged as error:
        for aside in files.quarantine(snapshot, "damaged"):
            say(f"warning: {error}. It is kept as {aside.name}.")
        return False
    return True


def publish(artifact: Path, kind: type, numbers: Iterable[int], attributes: dict[str, typing.Any]) -> None:
    """Publishes snapshots, dataclasses `kind`, as one file beside the artifact, in which the arrays have grown by one after the other."""
    with artifacts.writing(artifact.with_suffix(SUFFIX), attributes) as file:
        for number in numbers:
            contents.append(file, Artifact(path(artifact, number)).load(kind))


def published(artifact: Path, kind: type):
    """The dataclass `kind` from the snapshots that were published with an artifact; None where there are none."""
    beside = artifact.with_suffix(SUFFIX)
    return Artifact(beside).load(kind) if beside.name in artifacts.published(artifact) else None
