"""Configuration sections that are no stages: where the data come from, what trains, how often a training is saved."""

import dataclasses
from pathlib import Path

import luigi

from pipeline.keypoints.kaggle import KAGGLE
from pipeline.store.run.parameters import real, whole
from pipeline.store.run.targets import ExternalFile, expanded, workspace_root

GROUPS = tuple(KAGGLE.groups)


KAGGLE_PAGE = "https://www.kaggle.com/c/facial-keypoints-detection/data"


FILES = {"training": "training.csv or training.zip", "test": "test.csv or test.zip", "IdLookupTable": "IdLookupTable.csv"}


class dataset(luigi.Config):  # the name of its section and flag: --dataset-path
    """Where the faces come from."""

    path = luigi.Parameter(
        default="auto",
        description="folder with training.csv, test.csv (or .zip) and IdLookupTable.csv; rendered: faces drawn by the program;"
        " auto: the workspace's data/ if one of those files is in it, else rendered",
    )

    def folder(self) -> Path | None:
        """The folder of the user's files, None for rendered faces."""
        if self.path == "rendered":
            return None
        if self.path != "auto":
            return expanded(self.path, "--dataset-path")
        folder = workspace_root() / "data"
        return folder if any(_found(folder, stem) for stem in FILES) else None

    def files(self) -> dict[str, ExternalFile]:
        """The three files by stem, whether they are there or not."""
        folder, files = self.folder(), {}
        for stem, names in FILES.items():
            advice = f"Put {names} of {KAGGLE_PAGE} into {folder}, or run with --dataset-path rendered."
            files[stem] = ExternalFile(path=str(_found(folder, stem) or folder / f"{stem}.csv"), advice=advice)
        return files


def _found(folder: Path, stem: str) -> Path | None:
    from pipeline.data.formats import archives

    return archives.find_file(folder, stem)


class device(luigi.Config):
    """What trains and predicts."""

    threads = whole(0, "CPU threads of the backend; 0 is one for each core", 0)


class checkpoint(luigi.Config):
    """What a killed training goes on from."""

    seconds = real(30.0, "a kill costs at most so many seconds of training, or an epoch if that is longer", 0.0)


def from_parameters(kind: type, task: luigi.Task, **given):
    """The dataclass `kind`, its fields from the task's parameters of the same names but for those given."""
    return kind(**given, **{field.name: getattr(task, field.name) for field in dataclasses.fields(kind) if field.name not in given})
