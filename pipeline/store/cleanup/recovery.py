"""What dead writers left behind: known by the lock files that they could not remove."""

from pathlib import Path

from pipeline.store.workspace import files, locks, partials


def clear(folder: Path) -> None:
    """Removes their locks, their temporary files, and what is left of making what they had finished."""
    for name in locks.abandoned(folder):
        files.sweep(folder, name)
        if (finished := folder / f"{name}.h5").exists():
            partials.drop(finished)
