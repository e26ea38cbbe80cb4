"""Small files that the program keeps for itself, such as the last run: rewritten as a whole, and never worth a failure."""

import contextlib
from pathlib import Path

from pipeline.errors import InputError
from pipeline.store import files, locks


def write(path: Path, text: str) -> None:
    """Replaces a note; where that is not possible the old one stays. Removes what a killed writer left of it."""
    with contextlib.suppress(OSError, InputError), locks.locked(path, lambda who: None):
        files.sweep(path.parent, path.stem)
        with files.publishing(path) as draft:
            draft.write_text(text)
