"""Files with the partial results of an unfinished stage: NAME.checkpoint-NNNN.h5 and NAME.snapshot-NNNN.h5, in the folder of NAME.h5."""

import re
from collections.abc import Iterable
from pathlib import Path

from pipeline.store.workspace.names import UNFINISHED


def path(artifact: Path, kind: str, number: int) -> Path:
    """The file of one partial result of an artifact; `kind` is "checkpoint" or "snapshot"."""
    return artifact.with_name(f"{artifact.stem}.{kind}-{number:04}.h5")


def of(artifact: Path, kinds: tuple[str, ...] = UNFINISHED) -> list[Path]:
    """The partial results of an artifact, the highest number first. Quarantined files are not listed."""
    return named(artifact, (path.name for path in artifact.parent.glob(f"{artifact.stem}.*.h5")), kinds)


def named(artifact: Path, names: Iterable[str], kinds: tuple[str, ...] = UNFINISHED) -> list[Path]:
    """The paths of those file names that stand for partial results of an artifact, the highest number first."""
    name = re.compile(rf"{re.escape(artifact.stem)}\.({'|'.join(kinds)})-(\d+)\.h5")
    found = {artifact.with_name(each): match for each in names if (match := name.fullmatch(each))}
    return sorted(found, key=lambda path: (int(found[path][2]), path), reverse=True)


def drop(artifact: Path) -> None:
    """Removes the partial results of an artifact that has been published or is no longer wanted."""
    for left in of(artifact):
        left.unlink(missing_ok=True)
