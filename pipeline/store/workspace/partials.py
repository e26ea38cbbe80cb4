"""What an unfinished stage leaves: files like artifacts, NAME.checkpoint-NNNN.h5 and NAME.snapshot-NNNN.h5 beside the NAME.h5 to come."""

import re
from pathlib import Path

from pipeline.store.workspace.names import UNFINISHED


def path(artifact: Path, kind: str, number: int) -> Path:
    return artifact.with_name(f"{artifact.stem}.{kind}-{number:04}.h5")


def of(artifact: Path, kinds: tuple[str, ...] = UNFINISHED) -> list[Path]:
    """Those of an artifact, the highest number first, without those that were set aside."""
    name = re.compile(rf"{re.escape(artifact.stem)}\.({'|'.join(kinds)})-(\d+)\.h5")
    found = {path: match for path in artifact.parent.glob(f"{artifact.stem}.*.h5") if (match := name.fullmatch(path.name))}
    return sorted(found, key=lambda path: (int(found[path][2]), path), reverse=True)


def drop(artifact: Path) -> None:
    """Removes those of an artifact that is in place, or that is not to be."""
    for left in of(artifact):
        left.unlink(missing_ok=True)
