"""Files of Keras that consist of its own layers and operations, so that `keras.saving.load_model` reads them without this package."""

import json
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipeline.export import graph
from pipeline.export.formats import STEM, Run
from pipeline.export.metadata import as_json
from pipeline.export.nets import Net
from pipeline.inference.loaded import LoadedNets

ENTRY = "keypoints.json"  # the name of the metadata in the archive
WHEN = (1980, 1, 1, 0, 0, 0)  # the earliest date of an archive, in place of that of the export


def write(folder: Path, chains: list[list[Net]], nets: LoadedNets, values: dict[str, Any]) -> None:
    """Writes the graph of nets, which takes images of the side of the samples."""
    keras.backend.clear_session()  # which begins to count the names of operations anew
    colour = (3,) if nets.frame.colour else ()
    images = keras.Input((nets.frame.side, nets.frame.side, *colour), dtype="uint8", name="images")
    model = keras.Model(images, graph.outputs(images, chains, nets.base_share), name="keypoints")
    with tempfile.TemporaryDirectory() as place:
        made = Path(place) / f"{STEM}.keras"
        model.save(made)
        with zipfile.ZipFile(made) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
    content["config.json"] = _renumbered(content["config.json"])
    content["metadata.json"] = json.dumps({**json.loads(content["metadata.json"]), "date_saved": ""}).encode()
    content[ENTRY] = as_json(values).encode()
    with zipfile.ZipFile(folder / f"{STEM}.keras", "w") as archive:
        for name in sorted(content):
            archive.writestr(zipfile.ZipInfo(name, WHEN), content[name])


def load(folder: Path) -> Run:
    """Runs the file; the number of threads is that of the process."""
    model = keras.saving.load_model(folder / f"{STEM}.keras", compile=False)

    def run(images: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict_on_batch(images))

    return run


def _renumbered(config: bytes) -> bytes:
    """The configuration with the objects that it shares counted, instead of by their addresses in memory."""
    numbers: dict[str, int] = {}
    pattern = re.compile(r'("shared_object_id": )(\d+)')
    return pattern.sub(lambda match: f"{match[1]}{numbers.setdefault(match[2], len(numbers))}", config.decode()).encode()
