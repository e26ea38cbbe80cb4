"""`keypoints verify`: checks every artifact of the workspace, and the files published with it, against its checksums."""

from pathlib import Path

from pipeline.commands.support import reading
from pipeline.store.hdf5 import artifacts
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import names


def run(file: Path | None = None) -> int:
    """Prints the damaged artifacts and returns the exit code: 0 if there are none, else 1.

    file: only this one is checked. Raises InputError if it is missing or cannot be read.
    """
    if file is not None:
        return _one(file)
    paths, damaged = names.all_artifacts(workspace_root(), ("artifact", *names.UNFINISHED)), 0
    for path in paths:
        try:
            artifacts.verify(path)
        except (artifacts.Damaged, OSError) as error:
            damaged += 1
            print(f"damaged: {error}")
    hint = " The next run quarantines and recomputes those that it needs." if damaged else ""
    print(f"{len(paths)} artifacts in {workspace_root().resolve()}, {damaged} damaged.{hint}")
    return 1 if damaged else 0


def _one(file: Path) -> int:
    """Prints whether a file is damaged, and returns the exit code."""
    with reading.refusing(file):
        try:
            artifacts.verify(file)
        except artifacts.Damaged as error:
            print(f"damaged: {error}")
            return 1
    print(f"{file} is what was written: its checksum and its layout are right.")
    return 0
