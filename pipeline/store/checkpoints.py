"""What an unfinished stage goes on from: the last two checkpoints, files like artifacts, NAME.checkpoint-NNNN.h5 beside NAME.h5."""

import re
import typing
from pathlib import Path

from pipeline.store import artifacts, contents, files
from pipeline.store.progress import say

# A damaged one has one before it.
KEPT = 2
_NAME = re.compile(r"(.+)\.checkpoint-(\d+)\.h5")


def artifact_of(path: Path) -> Path | None:
    """The artifact that a checkpoint is for; None for any other file."""
    match = _NAME.fullmatch(path.name)
    return path.with_name(f"{match[1]}.h5") if match else None


def of(artifact: Path) -> list[Path]:
    """The checkpoints of an artifact, latest first, without those that were set aside."""
    found = [path for path in artifact.parent.glob(f"{artifact.stem}.checkpoint-*.h5") if artifact_of(path) == artifact]
    return sorted(found, key=lambda path: int(_NAME.fullmatch(path.name)[2]), reverse=True)


def save(artifact: Path, number: int, content: typing.Any, attributes: dict[str, typing.Any]) -> None:
    """Publishes a dataclass of described arrays as checkpoint `number`, higher than those before, and removes all but the last two."""
    with artifacts.writing(artifact.with_name(f"{artifact.stem}.checkpoint-{number:04}.h5"), attributes) as file:
        contents.put(file, content)
    for path in of(artifact)[KEPT:]:
        path.unlink(missing_ok=True)


def latest(artifact: Path, kind: type):
    """The latest sound checkpoint as the dataclass `kind`, None if there is none. Damaged ones are set aside, with a warning."""
    for path in of(artifact):
        try:
            return artifacts.load(path, kind)
        except artifacts.Damaged as error:
            for aside in files.set_aside(path, "damaged"):
                say(f"warning: {error}. It is kept as {aside.name}; the training goes on from the checkpoint before it, if there is one.")
    return None


def drop(artifact: Path) -> None:
    """Removes the checkpoints of an artifact that is in place."""
    for path in of(artifact):
        path.unlink(missing_ok=True)
