"""OpenVINO's intermediate representation: two files, of which the first has the metadata."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.export import onnx_file
from pipeline.export.formats import STEM, Run
from pipeline.export.metadata import as_texts
from pipeline.export.nets import Net
from pipeline.inference.loaded import LoadedNets

# On processors with bfloat16 OpenVINO computes in it by default.
PRECISE = {"INFERENCE_PRECISION_HINT": "f32"}


def write(folder: Path, chains: list[list[Net]], nets: LoadedNets, values: dict[str, Any]) -> None:
    """Writes the graph of nets, made from the ONNX file, which takes images of any side."""
    import openvino

    with tempfile.TemporaryDirectory() as place:
        onnx_file.write(Path(place), chains, nets, values)
        model = openvino.Core().read_model(Path(place) / f"{STEM}.onnx")
    # OpenVINO numbers the operations that it adds across all models that the process has read.
    for number, operation in enumerate(model.get_ordered_ops()):
        if operation.get_type_name() not in ("Parameter", "Result"):
            operation.set_friendly_name(f"{operation.get_type_name()}_{number}")
    for name, value in as_texts(values).items():
        model.set_rt_info(value, [STEM, name])
    for name, value in PRECISE.items():
        model.set_rt_info(value, ["runtime_options", name])
    openvino.serialize(model, folder / f"{STEM}.xml", folder / f"{STEM}.bin")  # `save_model` would store the weights as float16


def load(folder: Path) -> Run:
    """Runs the files on one thread."""
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(folder / f"{STEM}.xml", "CPU", {**PRECISE, "INFERENCE_NUM_THREADS": 1})

    def run(images: np.ndarray) -> np.ndarray:
        return compiled(images)[0]

    return run
