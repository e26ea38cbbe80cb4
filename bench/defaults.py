"""The defaults of the stages (or their values from LUIGI_CONFIG_PATH), for benchmarks that call the stages' work without a workspace."""

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import pipeline
from pipeline.data import dataset as datasets
from pipeline.data.formats import archives, kaggle
from pipeline.data.split import Splitting
from pipeline.data.synthetic import rendered
from pipeline.geometry import alignment
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.keypoints.stored import StoredSet
from pipeline.store.run.parameters import or_usual
from pipeline.tasks import kaggle as kaggle_files

if TYPE_CHECKING:
    import keras

    from pipeline.nets.structure import Structure
    from pipeline.nets.trained import Trained

ALL_KEYPOINTS = list(range(len(KAGGLE.names)))


def values(stage: type) -> dict[str, Any]:
    """The value of each parameter of a stage, except those that distinguish several tasks of the stage."""
    distinguishing = ("overrides", "group")
    found = {name: parameter.task_value(stage.__name__, name) for name, parameter in stage.get_params() if name not in distinguishing}
    return {name: or_usual(stage, name, value) for name, value in found.items()}


def of(kind: type, stage: type, **given: Any) -> Any:
    """An instance of the dataclass `kind`; fields that are not given have the values of the stage's parameters with the same names.

    Lengths are in pixels of images of SIDE x SIDE pixels.
    """
    known = {"frame_pixel": 1.0, **values(stage)}
    known |= {name: known[name] * SIDE for name in ("shift", "robust_from") if name in known}
    known |= {name.replace("distance", "pixels"): value * SIDE for name, value in known.items() if name.endswith("_distance")}
    fields = [field for field in dataclasses.fields(kind) if field.name not in given]
    return kind(**given, **{field.name: known.get(field.name, field.default) for field in fields})


def files(folder: Path) -> kaggle.KaggleFiles:
    """Kaggle's files in a folder; exits if one of them is missing."""
    found = {stem: archives.find_file(folder, stem) for stem in kaggle_files.FILES}
    if missing := [names for stem, names in kaggle_files.FILES.items() if found[stem] is None]:
        raise SystemExit(f"{folder} lacks {', '.join(missing)}.")
    return kaggle.KaggleFiles(*(path for path in found.values() if path))


def dataset(folder: Path | None, drawn: int) -> datasets.Dataset:
    """The data set that Load makes of a folder with Kaggle's files.

    Without a folder it consists of `drawn` labelled faces drawn by the program and a quarter as many test faces.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as made:
            rendered.write_kaggle_files(made, KAGGLE, side=SIDE, training=drawn, test=max(6, drawn // 4), seed=0)
            return dataset(Path(made), drawn)
    samples = kaggle.read_training(files(folder).training, KAGGLE, side=SIDE)
    rules = {"splitting": of(Splitting, pipeline.Load), "cleaning": of(datasets.Cleaning, pipeline.Load)}
    return datasets.assemble(samples, KAGGLE, **rules)


def target(data: datasets.Dataset) -> np.ndarray:
    """Where the keypoints of an aligned face lie, float32 (K, 2) in pixels."""
    return alignment.upright(data.mean_face[0], KAGGLE, side=SIDE).astype("float32")


def window(data: datasets.Dataset, group: str) -> alignment.Window:
    """The window of the aligned face that the specialist of a group sees."""
    known = values(pipeline.TrainSpecialist)
    lengths = {name: known[name] * SIDE for name in ("margin", "extent")}
    return alignment.window(target(data), KAGGLE.indices(group), zoom=known["zoom"], **lengths)


def structure(mean: float, std: float, **given: Any) -> "Structure":
    """The `Structure` of the base net for pixels with this mean and standard deviation, except for the given fields."""
    from pipeline.nets.structure import Structure, normalised

    known = values(pipeline.TrainBase)
    pixels = normalised(known["network"], known["normalisation"], mean=mean, std=std) | {"channels": 1}
    return of(Structure, pipeline.TrainBase, **pixels | given)


def net(data: datasets.Dataset, **given: Any) -> "keras.Model":
    """A base net for all keypoints with fresh weights; `given` are fields of its `Structure`. The same call gives the same weights."""
    import keras

    from pipeline.nets import network

    keras.utils.set_random_seed(0)
    built_from = structure(float(data.pixel_mean), float(data.pixel_std), **given)
    return network.build(built_from, side=SIDE, keypoints=len(KAGGLE.names), sources=len(KAGGLE.sources), trains=True)


def untrained(data: datasets.Dataset, group: str | None = None) -> "Trained":
    """What TrainBase, or TrainSpecialist for a group, would save of a net with fresh weights."""
    from pipeline.nets import network
    from pipeline.nets.trained import Health, History, Trained

    seen = window(data, group) if group else None
    indices, sources = KAGGLE.indices(group) if group else ALL_KEYPOINTS, len(KAGGLE.sources)
    side, built_from = seen.side if seen else SIDE, structure(float(data.pixel_mean), float(data.pixel_std))
    fresh = network.build(built_from, side=side, keypoints=len(indices), sources=sources)
    nothing = np.zeros((0, len(indices), 2), np.float32)
    return Trained(
        health=Health.of([], []),
        history=History.of([]),
        weights=network.weights(fresh),
        shapes=network.shapes(fresh),
        offsets=np.zeros((sources, len(indices), 2), np.float32),
        validation=nothing,
        validation_spread=None,
        rmse=np.float32(np.nan),
        indices=np.array(indices, np.int32),
        keypoints=np.array([KAGGLE.names[k] for k in indices]),
        side=np.int32(side),
        frame=np.int32(SIDE),
        stored=np.int32(SIDE),
        target=None if group else target(data),
        refined=np.bool_(not group),
        located=None if group else nothing,
        window=seen.matrix if seen else None,
        structure=built_from,
        keypointset=StoredSet.of(KAGGLE),
        carried_over=np.array([], dtype=str),
        new=np.array([], dtype=str),
    )
