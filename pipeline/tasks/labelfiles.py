"""The label files of the set and what they say, without the stage that reads them: to make a stage takes longer, because it has a key."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import luigi

from pipeline.data.definition import READER
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.tasks import own
from pipeline.tasks.data import Render
from pipeline.tasks.kaggle import files, inside
from pipeline.tasks.sections import dataset

if TYPE_CHECKING:
    from pipeline.data.corrections import Corrections
    from pipeline.data.ownset import OwnSet
    from pipeline.data.tables import LabelledFaces


def required() -> dict[str, luigi.Task]:
    """What Load requires: the files with the labels, or the stage that draws faces."""
    if dataset().is_own:
        return own.files(test=False)
    folder = dataset().folder()
    return {"training": files(folder)["training"]} if folder else {"rendered": Render()}


def own_set() -> "OwnSet":
    """A set of the user's with the labels that its files have."""
    found: OwnSet = importlib.import_module(READER).opened(dataset().definition(), test=False)
    return found


def labelled_faces() -> "LabelledFaces":
    """The faces of Kaggle's table or the drawn ones, whose images are in a temporary file."""
    from pipeline.data.formats.catalogue import format_module
    from pipeline.lazyrows import Collector

    faces: LabelledFaces = format_module("kaggle").read_training(training_table(), KAGGLE, side=SIDE, images=Collector(0))
    return faces


def training_table() -> Path:
    """The table with the labelled faces, Kaggle's or that of the drawn ones."""
    folder = dataset().folder()
    return inside(Path(files(folder)["training"].path), "training") if folder else Render().sibling(".training.csv")


def write_training_table(table: Path, out: Path, corrections: "Corrections") -> None:
    """Writes Kaggle's training table with corrected labels, see `pipeline.data.amending.kaggle`."""
    from pipeline.data.amending import kaggle

    kaggle.write(table, out, KAGGLE, SIDE, corrections)
