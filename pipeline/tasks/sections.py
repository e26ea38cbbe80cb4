"""Configuration sections that are not stages: where the data come from, what trains, how often a training is saved."""

from pathlib import Path

import luigi

from pipeline.data.definition import Asked, Definition
from pipeline.errors import InputError
from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.store.run.keyed import per_build
from pipeline.store.run.parameters import real, whole
from pipeline.store.run.targets import expanded, refuse_empty, workspace_root
from pipeline.tasks import kaggle
from pipeline.tasks.definitions import defined
from pipeline.tasks.kaggle import FILES, PACK, find, is_kind, is_table

OF_OWN_SETS = ("keypoints", "format", "category", "test", "split")
KAGGLES = Definition(format="kaggle", keypointset=KAGGLE, settings={"detector": "face"})


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
        if not is_kind(Path.is_dir, place):
            if not is_kind(Path.is_file, place) or place.suffix.lower() == ".zip":
                return None
            if place.stem in FILES and is_table(place):
                raise InputError(f"--dataset-path {place} is a file; name the folder that contains it, or Kaggle's {PACK}.")
            return place
        if kaggle.are_in(place):
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
        if not is_kind(Path.is_dir, folder):
            return folder if self.path != "auto" else None
        if any(find(folder, stem) for stem in FILES):
            return folder
        if is_kind(Path.is_file, folder / PACK):
            return folder / PACK
        return folder if self.path != "auto" else None


class device(luigi.Config):
    """The device that trains and predicts."""

    threads = whole(0, "number of CPU threads of the backend; 0: one for each core", 0)


class checkpoint(luigi.Config):
    """The state from which a killed training resumes."""

    seconds = real(30.0, "checkpoint interval: a killed training loses at most this many seconds, or one epoch if that is longer", 0.0)
