"""What the stages take by default (or from LUIGI_CONFIG_PATH), for benchmarks that call their work without a workspace."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

import pipeline
from pipeline.data import dataset as datasets
from pipeline.data.formats import archives, kaggle
from pipeline.data.synthetic import rendered
from pipeline.geometry import alignment
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.tasks import sections


def values(stage: type) -> dict:
    """Parameter -> value of a stage; not what tells tasks of one stage apart."""
    apart = ("overrides", "group")
    return {name: parameter.task_value(stage.__name__, name) for name, parameter in stage.get_params() if name not in apart}


def of(kind: type, stage: type, **given):
    """The dataclass `kind`, its fields from the stage's parameters of the same names but for those given."""
    known = values(stage)
    return kind(**given, **{field.name: known[field.name] for field in dataclasses.fields(kind) if field.name not in given})


def faces(folder: Path | None, drawn: int) -> datasets.Dataset:
    """What Load makes of a folder's files; without one: of so many drawn faces and a quarter as many to predict."""
    if folder is None:
        with tempfile.TemporaryDirectory() as made:
            rendered.write_kaggle_files(made, KAGGLE, side=SIDE, training=drawn, test=max(6, drawn // 4), seed=0)
            return faces(Path(made), drawn)
    files = {stem: archives.find_file(folder, stem) for stem in sections.FILES}
    if missing := [names for stem, names in sections.FILES.items() if files[stem] is None]:
        raise SystemExit(f"{folder} lacks {', '.join(missing)}")
    tables = kaggle.read_tables(kaggle.KaggleFiles(*files.values()), KAGGLE, side=SIDE)
    rules = {"splitting": of(datasets.Splitting, pipeline.Load), "cleaning": of(datasets.Cleaning, pipeline.Load)}
    return datasets.assemble(tables, KAGGLE, **rules)


def target(data: datasets.Dataset) -> np.ndarray:
    """Where the keypoints of an aligned face lie (K, 2)."""
    return alignment.upright(data.mean_face[0], KAGGLE, side=SIDE).astype("float32")


def window(data: datasets.Dataset, group: str) -> alignment.Window:
    """What the specialist of a group sees of the aligned face."""
    known = values(pipeline.TrainSpecialist)
    return alignment.window(target(data), KAGGLE.indices(group), **{name: known[name] for name in ("margin", "extent", "zoom")})


def structure(mean: float, std: float, **given):
    """The `Structure` of the base net for faces of this mean and spread, but for the fields given."""
    from pipeline.nets.structure import Structure, normalised

    known = values(pipeline.TrainBase)
    pixels = normalised(known["network"], known["normalisation"], mean=mean, std=std)
    return of(Structure, pipeline.TrainBase, **pixels | given)


def untrained(data: datasets.Dataset, group: str | None = None):
    """A `Trained` net as the base net (group None) or a specialist leaves it, with its first random weights."""
    from pipeline.nets import network
    from pipeline.nets.trained import Health, History, Trained

    seen = window(data, group) if group else None
    indices, sources = KAGGLE.indices(group) if group else list(range(len(KAGGLE.names))), len(KAGGLE.sources)
    side, built_from = seen.side if seen else SIDE, structure(float(data.pixel_mean), float(data.pixel_std))
    net = network.build(built_from, side=side, keypoints=len(indices), sources=sources)
    nothing = np.zeros((0, len(indices), 2), np.float32)
    return Trained(
        health=Health.of([], []),
        history=History.of([]),
        weights=network.weights(net),
        shapes=network.shapes(net),
        offsets=np.zeros((sources, len(indices), 2), np.float32),
        validation=nothing,
        rmse=np.float32(np.nan),
        indices=np.array(indices, np.int32),
        keypoints=np.array([KAGGLE.names[k] for k in indices]),
        side=np.int32(side),
        target=None if group else target(data),
        located=None if group else nothing,
        window=seen.matrix if seen else None,
        structure=built_from,
        carried_over=np.array([], dtype=str),
        new=np.array([], dtype=str),
    )
