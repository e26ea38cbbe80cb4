"""Artifacts that are kept in spite of a change of code. Each adoption has a record of its own: models/adopted/STEM-KEY.json.

The record says that the artifact STEM-ADOPTED.h5 replaces the one that the present code would make under KEY. It applies for as long as the
former exists and the latter does not. A stage that is made from an adopted artifact has the key of the file that was read, ADOPTED, among
its inputs, not KEY. Therefore every provenance remains true, and equal keys mean equal bytes with or without adoptions: a result that was
made from that file before the change stays up to date, and a genuine rerun leads to different keys. Only the replacement of KEY by ADOPTED
is outside this guarantee. Hence no artifact can contain it: `keypoints status`, `keypoints inspect`, the run log and the summary of a run
read it from the record.
"""

import json
from pathlib import Path
from typing import NamedTuple

from pipeline.store.workspace import console, files

FOLDER = Path("models") / "adopted"


class Adoption(NamedTuple):
    """The record of an adoption.

    stage: the address of the stage.
    key: the key of the provenance with the new code.
    adopted: the key of the artifact that is used instead.
    date: when it was adopted.
    in_spite_of: the changes of code, one line each.
    """

    stage: str
    key: str
    adopted: str
    date: str
    in_spite_of: list[str]

    def __str__(self) -> str:
        return f"on {self.date} in spite of: {'; '.join(self.in_spite_of)}"


def path(root: Path, stem: str, key: str) -> Path:
    """The file of a record in the workspace `root`."""
    return root / FOLDER / f"{stem}-{key}.json"


def record(file: Path, adoption: Adoption) -> None:
    """Writes a record."""
    with files.publishing(file) as draft:
        draft.write_text(json.dumps(adoption._asdict(), indent=2) + "\n")


def followed(root: Path, folder: str, stem: str, key: str) -> Adoption | None:
    """The adoption by which another artifact in a folder of the workspace `root` replaces STEM-KEY.h5; None if there is none."""
    if (root / folder / f"{stem}-{key}.h5").exists():
        return None
    adoption = read(path(root, stem, key))
    return adoption if adoption and (root / folder / f"{stem}-{adoption.adopted}.h5").exists() else None


def read(file: Path) -> Adoption | None:
    """A record; None if it does not exist or, with a warning, if it is unusable."""
    try:
        adoption = Adoption(**json.loads(file.read_text(encoding="utf-8")))
        if not (adoption.adopted.isalnum() and f"-{adoption.key}." in file.name and str(adoption)):
            raise ValueError(adoption)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        console.warn_once(f"{file} is not the record of an adoption, or it is damaged. It is ignored.")
        return None
    return adoption


def all_records(root: Path) -> list[Adoption]:
    """All usable records of a workspace."""
    return [adoption for file in sorted((root / FOLDER).glob("*.json")) if (adoption := read(file))]
