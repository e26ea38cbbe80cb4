"""Configuration sections that are not stages: where the data come from, what trains, how often a training is saved."""

import dataclasses
from pathlib import Path
from typing import Any, TypeVar

import luigi

from pipeline.keypoints.kaggle import KAGGLE
from pipeline.store.run.parameters import real, whole
from pipeline.store.run.targets import ExternalFile, expanded, workspace_root

Record = TypeVar("Record")

GROUPS = tuple(KAGGLE.groups)
KAGGLE_PAGE = "https://www.kaggle.com/c/facial-keypoints-detection/data"
FILES = {"training": "training.csv or training.zip", "test": "test.csv or test.zip", "IdLookupTable": "IdLookupTable.csv"}


class dataset(luigi.Config):  # the name of its section and flag: --dataset-path
    """Where the faces come from."""

    path = luigi.Parameter(
        default="auto",
        description="folder with training.csv, test.csv (or .zip) and IdLookupTable.csv; rendered: faces drawn by the program;"
        " auto: data/ of the workspace if it contains one of these files, otherwise rendered",
    )

    def folder(self) -> Path | None:
        """The folder of the user's files, None for rendered faces."""
        if self.path == "rendered":
            return None
        if self.path != "auto":
            return expanded(self.path, "--dataset-path")
        folder = workspace_root() / "data"
        return folder if any(_found(folder, stem) for stem in FILES) else None

    def files(self, folder: Path) -> dict[str, ExternalFile]:
        """The three files of a folder by stem, whether they exist or not."""
        files = {}
        for stem, names in FILES.items():
            advice = f"Put {names} of {KAGGLE_PAGE} into {folder}, or run with --dataset-path rendered."
            files[stem] = ExternalFile(path=str(_found(folder, stem) or folder / f"{stem}.csv"), advice=advice)
        return files


def _found(folder: Path, stem: str) -> Path | None:
    from pipeline.data.formats import archives

    return archives.find_file(folder, stem)


class device(luigi.Config):
    """The device that trains and predicts."""

    threads = whole(0, "number of CPU threads of the backend; 0: one for each core", 0)


class checkpoint(luigi.Config):
    """The state from which a killed training resumes."""

    seconds = real(30.0, "checkpoint interval: a killed training loses at most this many seconds, or one epoch if that is longer", 0.0)


def from_parameters(kind: type[Record], task: Any, **given: Any) -> Record:
    """An instance of the dataclass `kind`: fields that are not given have the values of the task's parameters of the same names."""
    names = [field.name for field in dataclasses.fields(kind) if field.name not in given]  # type: ignore[arg-type]  # a dataclass
    return kind(**given, **{name: getattr(task, name) for name in names})
