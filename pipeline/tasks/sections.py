"""Configuration sections that are not stages: where the data come from, what trains, how often a training is saved."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import luigi

from pipeline.data.definition import Definition
from pipeline.errors import InputError
from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.store.run.parameters import real, whole
from pipeline.store.run.targets import ExternalFile, expanded, refuse_empty, workspace_root

Record = TypeVar("Record")

KAGGLE_PAGE = "https://www.kaggle.com/c/facial-keypoints-detection/data"
PACK = "facial-keypoints-detection.zip"  # Kaggle's "Download all"
RENDERED = "run with --dataset-path rendered"
FILES = {"training": "training.csv or training.zip", "test": "test.csv or test.zip", "IdLookupTable": "IdLookupTable.csv"}
KAGGLES = Definition(format="kaggle", keypointset=KAGGLE)


class dataset(luigi.Config):  # the name of its section and flag: --dataset-path
    """Where the faces come from."""

    path = luigi.Parameter(
        default="auto",
        description="folder with training.csv, test.csv (or .zip) and IdLookupTable.csv, or Kaggle's zip file with all of them;"
        " rendered: faces drawn by the program; auto: data/ of the workspace if it contains one of these files, otherwise rendered",
    )

    def definition(self) -> Definition:
        """What the set is, as far as it is known before its images are read."""
        return KAGGLES

    def keypointset(self) -> KeypointSet:
        """The keypoint set. Raises InputError if the labels cannot be read."""
        found = self.definition()
        if found.keypointset is None:
            raise InputError(found.fault)
        return found.keypointset

    def groups(self) -> tuple[str, ...]:
        """The names of the specialist groups; none if the labels cannot be read."""
        return self.definition().groups

    def folder(self) -> Path | None:
        """The folder of the user's files, or the zip file with all of them; None for rendered faces.

        Raises InputError for an empty path, which is what an unset variable of a shell gives, and for another file.
        """
        refuse_empty(self.path, "--dataset-path")
        if self.path == "rendered":
            return None
        folder = workspace_root() / "data" if self.path == "auto" else expanded(self.path, "--dataset-path")
        if _is(Path.is_file, folder) and folder.suffix.lower() != ".zip":
            raise InputError(f"--dataset-path {folder} is a file; name the folder that contains it, or Kaggle's {PACK}.")
        if not _is(Path.is_dir, folder):
            return folder if self.path != "auto" else None
        if any(_found(folder, stem) for stem in FILES):
            return folder
        if _is(Path.is_file, folder / PACK):
            return folder / PACK
        return folder if self.path != "auto" else None

    def files(self, folder: Path) -> dict[str, ExternalFile]:
        """The three files of a folder by stem, whether they exist or not. A zip file with all of them is a single task."""
        if folder.suffix.lower() == ".zip" and not _is(Path.is_dir, folder):
            advice = f"Name Kaggle's {PACK} or a folder with the files of {KAGGLE_PAGE}, or {RENDERED}."
            return dict.fromkeys(FILES, ExternalFile(path=str(folder), advice=advice))
        found = {stem: _found(folder, stem) for stem in FILES}
        lacking = [stem for stem in FILES if not found[stem]]
        subject, advice = folder, f"Name a folder with the files of {KAGGLE_PAGE}, or {RENDERED}."
        if lacking and _is(Path.is_dir, folder):
            *names, last = [FILES[stem] for stem in lacking]
            subject = folder / f"{lacking[0]}.csv"
            advice = f"Put {', '.join(names)}{' and ' if names else ''}{last} of {KAGGLE_PAGE} into {folder}, or {RENDERED}."
        said = {"advice": advice, "subject": str(subject)}
        return {stem: ExternalFile(path=str(path or folder / f"{stem}.csv"), **said) for stem, path in found.items()}


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    """Whether a path is of a kind, Path.is_file or Path.is_dir; not if it may not be looked at."""
    try:
        return kind(path)
    except PermissionError:
        return False


def _found(folder: Path, stem: str) -> Path | None:
    from pipeline.data.formats import archives

    return archives.find_file(folder, stem)


def inside(path: Path, stem: str) -> Path:
    """The path of one of Kaggle's files: `path` itself or, if that is the zip file with all of them, the path of the file inside.

    Raises InputError if the zip file lacks the file.
    """
    if path.suffix.lower() != ".zip" or path.stem == stem:
        return path
    if not (found := _found(path, stem)):
        raise InputError(f"{path} lacks {FILES[stem]}; give Kaggle's complete {PACK}, or a folder with the three files.")
    return found


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
