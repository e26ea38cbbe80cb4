"""Removes what dead writers left behind. They are recognised by lock files that nobody removed."""

from pathlib import Path

from pipeline.store.workspace import files, locks, partials


def clear(folder: Path) -> None:
    """Removes the lock files and drafts of dead writers from a folder, and the partial results of artifacts that they had published."""
    for name in locks.abandoned(folder):
        files.sweep(folder, name)
        if (finished := folder / f"{name}.h5").exists():
            partials.drop(finished)
