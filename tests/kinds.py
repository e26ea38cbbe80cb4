"""A small artifact of each kind that the pipeline writes, with random arrays as its dataclass describes them."""

import dataclasses
import typing
from pathlib import Path

import numpy as np

from pipeline.data.dataset import Dataset
from pipeline.data.synthetic.rendered import Truth
from pipeline.experiments.outcomes import Comparison, Outcome
from pipeline.geometry.augmentation import AugmentedVersions
from pipeline.nets.trained import Snapshots, Trained
from pipeline.results.curves import Curves
from pipeline.results.predictions import Predictions
from pipeline.results.scores import Scores
from pipeline.store.hdf5 import artifacts, contents
from pipeline.store.workspace import files

KINDS = {
    kind.__name__: kind
    for kind in (Truth, Dataset, AugmentedVersions, Trained, Snapshots, Curves, Predictions, Scores, Outcome, Comparison)
}
SIBLINGS = {Truth: (".training.csv", ".test.csv"), Curves: (".png",), Predictions: (".csv",), Comparison: (".csv", ".png")}
LENGTHS = {"version": 3, "x": 8, "y": 8, "row": 8, "column": 8, "xy": 2, "coordinate": 2}  # of these axes; all others have length 5


def write(kind: type, folder: Path) -> Path:
    """Writes an artifact KIND-0123456789.h5 and the files that are published with it, with the same bytes every time."""
    rng, path = np.random.default_rng(0), folder / f"{kind.__name__.lower()}-0123456789.h5"
    siblings = [path.with_suffix(suffix) for suffix in SIBLINGS.get(kind, ())]
    for sibling in siblings:
        with files.publishing(sibling) as draft:
            draft.write_bytes(rng.bytes(300))
    made_from = {"stage": kind.__name__, "parameters": {"seed": 0}, "inputs": {"Load": "0123456789"}, "code": {"a.py": "0" * 16}}
    with artifacts.writing(path, {"stage": kind.__name__, "key": "0123456789", "made_from": made_from}, siblings) as file:
        if kind is AugmentedVersions:
            whole = vars(filled(kind, rng))
            artifacts.put_versions(file, kind, ({name: value[n] for name, value in whole.items()} for n in range(3)), 3)
        elif kind is Snapshots:
            for _ in range(3):
                contents.append(file, filled(kind, rng))
        else:
            artifacts.put(file, filled(kind, rng))
    return path


def filled(kind: type, rng: np.random.Generator):
    """An instance of a record with random arrays."""
    hints = typing.get_type_hints(kind)
    return kind(**{field.name: _value(field, hints[field.name], rng) for field in dataclasses.fields(kind)})


def _value(field: dataclasses.Field, hint, rng: np.random.Generator):
    for kind in (hint, *typing.get_args(hint)):  # an optional record is there
        if dataclasses.is_dataclass(kind):
            return filled(kind, rng)
    description = field.metadata["array"]
    shape = tuple(LENGTHS.get(axis, 5) for axis in description.axes if not axis.endswith("?"))
    if any(typing.get_origin(kind) is dict for kind in (hint, *typing.get_args(hint))):
        return {name: _random(description.dtype, shape or (4, 3), rng) for name in ("stem/kernel", "stem_norm/gamma", "keypoints/bias")}
    return _random(description.dtype, shape, rng)


def _random(dtype: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    numbers = rng.integers(0, 2 if dtype == "bool" else 100, shape)
    return np.char.add("name ", numbers.astype(str)) if dtype == "text" else numbers.astype(dtype)
