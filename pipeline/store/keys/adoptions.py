"""Results kept in spite of a change of code, each on the record in a file of its own: models/adopted/STEM-KEY.json.

It says that the artifact STEM-ADOPTED.h5 stands for the one that the code as it is now would make under KEY. It is followed as long as that
artifact is there and none of KEY is. What is made from an adopted artifact has among its inputs the key of the file that was read, ADOPTED,
and not KEY. So every recipe goes on telling the truth and equal keys mean equal bytes, adopted or not: what was made from that file before
the edit stays current, and what a genuine rerun leads to has other keys. Only the step from KEY to ADOPTED is outside that promise. Thus it
can stand in no artifact: `keypoints status` and `inspect`, the run log and a run's last words look it up here.
"""

import json
from pathlib import Path
from typing import NamedTuple

from pipeline.store.workspace import console, files

FOLDER = Path("models") / "adopted"


class Adoption(NamedTuple):
    """stage: its address. key: of the recipe with the new code. adopted: of the artifact. in_spite_of: changes of code, one line each."""

    stage: str
    key: str
    adopted: str
    date: str
    in_spite_of: list[str]

    def __str__(self):
        return f"on {self.date} in spite of: {'; '.join(self.in_spite_of)}"


def path(root: Path, stem: str, key: str) -> Path:
    return root / FOLDER / f"{stem}-{key}.json"


def record(file: Path, adoption: Adoption) -> None:
    with files.publishing(file) as draft:
        draft.write_text(json.dumps(adoption._asdict(), indent=2) + "\n")


def followed(root: Path, folder: str, stem: str, key: str) -> Adoption | None:
    """The adoption by which another artifact of a workspace's folder stands for STEM-KEY.h5, None if there is none."""
    if (root / folder / f"{stem}-{key}.h5").exists():
        return None
    adoption = read(path(root, stem, key))
    return adoption if adoption and (root / folder / f"{stem}-{adoption.adopted}.h5").exists() else None


def read(file: Path) -> Adoption | None:
    """A record; None if there is none or it can't be read, which is said."""
    try:
        adoption = Adoption(**json.loads(file.read_text(encoding="utf-8")))
        if not (adoption.adopted.isalnum() and f"-{adoption.key}." in file.name and str(adoption)):
            raise ValueError(adoption)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        console.warn_once(f"{file} is not the record of an adoption, or damaged. It is not followed.")
        return None
    return adoption


def all_records(root: Path) -> list[Adoption]:
    return [adoption for file in sorted((root / FOLDER).glob("*.json")) if (adoption := read(file))]
