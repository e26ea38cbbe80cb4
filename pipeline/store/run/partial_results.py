"""Partial results of a stage: checkpoints, from which an interrupted run resumes, and snapshots, which are published with the artifact.

Each is a file of its own, so a killed process loses none of them, and only the one being written is in memory.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipeline.store.hdf5 import artifacts, contents
from pipeline.store.run.targets import Artifact, remote_store
from pipeline.store.workspace import files, partials
from pipeline.store.workspace.console import say

Content = TypeVar("Content")

# If the last checkpoint is damaged, the one before it is used.
KEPT = 2
# Of the file with all published snapshots.
SNAPSHOTS_SUFFIX = ".snapshots.h5"


@dataclass(frozen=True)
class PartialResults:
    """The partial results of one stage.

    artifact: the path of the artifact that the stage is going to publish.
    provenance: the attributes that each file gets, see `pipeline.store.hdf5.artifacts.writing`.
    is_unchanged: whether the code and the inputs are still those that the stage began with.
    """

    artifact: Path
    provenance: dict[str, Any]
    is_unchanged: Callable[[], bool]

    def save_checkpoint(self, content: Any, number: int) -> None:
        """Publishes a dataclass of described arrays as checkpoint `number`, and removes all but the last two checkpoints.

        Numbers increase. If the code was edited while the stage ran, nothing is saved: the stage will refuse its result too, unless the
        edit is undone before the end.
        """
        if not self.is_unchanged():
            return
        with artifacts.writing(partials.path(self.artifact, "checkpoint", number), self.provenance) as file:
            contents.put(file, content)
        superseded = partials.of(self.artifact, ("checkpoint",))[KEPT:]
        for path in superseded:
            path.unlink(missing_ok=True)
        if store := remote_store():
            store.send_partial(partials.path(self.artifact, "checkpoint", number), self.artifact, superseded)

    def latest_checkpoint(self, kind: type[Content]) -> Content | None:
        """The latest undamaged checkpoint as the dataclass `kind`; None if there is none.

        Damaged checkpoints are quarantined, with a warning. What other hosts have saved in a remote store, snapshots included, is fetched.
        """
        if store := remote_store():
            store.fetch_partials(self.artifact)
        for path in partials.of(self.artifact, ("checkpoint",)):
            try:
                return artifacts.load(path, kind)
            except FileNotFoundError:
                continue  # a host that does not share our locks makes the same artifact
            except artifacts.Damaged as error:
                for quarantined in files.quarantine(path, "damaged"):
                    say(f"warning: {error}. It is kept as {quarantined.name}; the stage resumes from the checkpoint before it, if any.")
        return None

    def snapshot(self, number: int) -> Path:
        """The file of a snapshot that is not published yet."""
        return partials.path(self.artifact, "snapshot", number)

    def save_snapshot(self, content: Any, number: int) -> None:
        """Saves a dataclass of described arrays as snapshot `number`, which remains until the artifact is published."""
        with artifacts.writing(self.snapshot(number), self.provenance) as file:
            contents.put(file, content)
        if store := remote_store():
            store.send_partial(self.snapshot(number), self.artifact)

    def missing_snapshots(self, numbers: Iterable[int]) -> list[int]:
        """The numbers without an undamaged snapshot. Damaged snapshots are quarantined, with a warning."""
        return [number for number in numbers if not _is_sound(self.snapshot(number))]

    def publish_snapshots(self, kind: type, numbers: Iterable[int]) -> str:
        """Publishes snapshots, dataclasses `kind`, as one file beside the artifact, and returns the suffix of that file.

        Each array of the file is the concatenation of those of the snapshots, in the order of `numbers`, along the first axis.
        """
        with artifacts.writing(self.artifact.with_suffix(SNAPSHOTS_SUFFIX), self.provenance) as file:
            for number in numbers:
                contents.append(file, Artifact(self.snapshot(number)).load(kind))
        return SNAPSHOTS_SUFFIX

    def published_snapshots(self, kind: type[Content]) -> Content | None:
        """The snapshots that were published with the artifact as the dataclass `kind`; None if there are none."""
        beside = self.artifact.with_suffix(SNAPSHOTS_SUFFIX)
        return Artifact(beside).load(kind) if beside.name in artifacts.published(self.artifact) else None


def _is_sound(snapshot: Path) -> bool:
    """Whether a snapshot exists and is undamaged; a damaged one is quarantined, with a warning."""
    try:
        artifacts.verify(snapshot)
    except FileNotFoundError:
        return False
    except artifacts.Damaged as error:
        for quarantined in files.quarantine(snapshot, "damaged"):
            say(f"warning: {error}. It is kept as {quarantined.name}.")
        return False
    return True
