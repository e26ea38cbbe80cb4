"""What dead writers left behind: known by the lock files that they could not remove."""

from pathlib import Path

from pipeline.store import checkpoints, files, locks, snapshots


def clear(folder: Path) -> None:
    """Removes their locks, their temporary files, and the checkpoints and snapshots of what they had finished."""
    for name in locks.abandoned(folder):
        files.sweep(folder, name)
        if (finished := folder / f"{name}.h5").exists():
            checkpoints.drop(finished)
            snapshots.drop(finished)
