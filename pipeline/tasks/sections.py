"""Configuration sections that are not stages: where the data come from, what trains, how often a training is saved."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import luigi

from pipeline.data.definition import Asked, Definition
from pipeline.errors import InputError
from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.store.run.keyed import per_build
from pipeline.store.run.parameters import real, whole
from pipeline.store.run.targets import ExternalFile, expanded, refuse_empty, workspace_root
from pipeline.tasks.definitions import defined

Record = TypeVar("Record")

KAGGLE_PAGE = "https://www.kaggle.com/c/facial-keypoints-detection/data"
PACK = "facial-keypoints-detection.zip"  # Kaggle's "Download all"
RENDERED = "run with --dataset-path rendered"
FILES = {"training": "training.csv or training.zip", "test": "test.csv or test.zip", "IdLookupTable": "IdLookupTable.csv"}
OF_OWN_SETS = ("keypoints", "format", "category", "test", "split")
KAGGLES = Definition(format="kaggle", keypointset=KAGGLE)


class dataset(luigi.Config):  # the name of its section and flag: --dataset-path
    """Where the samples come from."""

    path = luigi.Parameter(
        default="auto",
        description="folder or label file of a keypoint set, in any of the label formats of docs/keypoint-sets.md; or folder with Kaggle's"
        " training.csv, test.csv (or .zip) and IdLookupTable.csv, or Kaggle's zip file with all of them;"
        " rendered: faces drawn by the program; auto: data/ of the workspace if it contains one of Kaggle's files, otherwise rendered",
    )
    keypoints = luigi.Parameter(
        default="", description="own set: file that completes what the labels say; empty: keypoints.toml in the folder, if there is one"
    )
    format = luigi.Parameter(default="", description="own set: label format, by its name in docs/keypoint-sets.md; empty: recognised")
    category = luigi.Parameter(default="", description="own set: category of the labels, where there are several with keypoints")
    test = luigi.Parameter(
        default="", description="own set: folder with the images to predict; empty: images in the set's folder without labels"
    )
    split = luigi.Parameter(
        default="", description="own set: CSV file with the columns image and part (training, validation or test), which fixes the parts"
    )

    @property
    def is_own(self) -> bool:
        """Whether the set is one of the user's own: neither Kaggle's files nor faces drawn by the program."""
        return self.definition().format != KAGGLES.format

    def definition(self) -> Definition:
        """What the set is, as far as it is known before its images are read."""
        return self._definition

    @per_build
    def _definition(self) -> Definition:
        if not (place := self._own_place()):
            self._refuse_own_settings()
            return KAGGLES
        given = {name: getattr(self, name) for name in OF_OWN_SETS}
        paths = {name: str(expanded(given[name], f"--dataset-{name}")) for name in ("keypoints", "test", "split") if given[name]}
        return defined(Asked(str(place), **{**given, **paths}))

    def _own_place(self) -> Path | None:
        """The folder or label file of an own set; None for Kaggle's files, drawn faces, and an empty or missing folder."""
        if self.path in ("auto", "rendered") or not self.path.strip():
            return None
        place = expanded(self.path, "--dataset-path")
        if self.format and self.format != KAGGLES.format:
            return place
        if not _is(Path.is_dir, place):
            return place if _is(Path.is_file, place) and place.suffix.lower() != ".zip" else None
        if any(_found(place, stem) for stem in FILES) or _is(Path.is_file, place / PACK):
            return None
        return place if next(place.iterdir(), None) else None

    def _refuse_own_settings(self) -> None:
        """Raises InputError if a setting is given that only an own set has."""
        for name in OF_OWN_SETS:
            if (value := getattr(self, name).strip()) and (name, value) != ("format", KAGGLES.format):
                raise InputError(f"--dataset-{name} {value} has an effect only for a keypoint set of your own. Leave it out.")

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
        """The folder of Kaggle's files, or the zip file with all of them; None for rendered faces.

        Raises InputError for an empty path, which is what an unset variable of a shell gives.
        """
        refuse_empty(self.path, "--dataset-path")
        if self.path == "rendered":
            return None
        folder = workspace_root() / "data" if self.path == "auto" else expanded(self.path, "--dataset-path")
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
