"""What an unfinished stage goes on from: the last two checkpoints."""

import typing
from pathlib import Path

from pipeline.store.hdf5 import artifacts, contents
from pipeline.store.workspace import files, partials
from pipeline.store.workspace.console import say

# A damaged one has one before it.
KEPT = 2


def save(artifact: Path, number: int, content: typing.Any, attributes: dict[str, typing.Any]) -> None:
    """Publishes a dataclass of described arrays as checkpoint `number`, higher than those before, and removes all but the last two."""
    with artifacts.writing(partials.path(artifact, "checkpoint", number), attributes) as file:
        contents.put(file, content)
    for path in partials.of(artifact, ("checkpoint",))[KEPT:]:
        path.unlink(missing_ok=True)


def latest(artifact: Path, kind: type):
    """The latest sound checkpoint as the dataclass `kind`, None if there is none. Damaged ones are set aside, with a warning."""
    for path in partials.of(artifact, ("checkpoint",)):
        try:
            return artifacts.load(path, kind)
        except artifacts.Damaged as error:
            for aside in files.quarantine(path, "damaged"):
                say(f"warning: {error}. It is kept as {aside.name}; the training goes on from the checkpoint before it, if there is one.")
    return None
