"""ONNX files, in canonical form and with metadata."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.export import graph
from pipeline.export.formats import STEM, Run
from pipeline.export.metadata import as_texts
from pipeline.export.nets import Net
from pipeline.inference.loaded import LoadedNets

OPSET = 18  # of ONNX, which onnxruntime-web and all others have


def write(folder: Path, chains: list[list[Net]], nets: LoadedNets, values: dict[str, Any]) -> None:
    """Writes the graph of nets, which takes images of any side."""
    import tf2onnx

    from pipeline.export.canonical import canonical

    function = graph.function(chains, nets, side=None)
    model, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
    made = canonical(_named(model), as_texts(values))
    (folder / f"{STEM}.onnx").write_bytes(made.SerializeToString(deterministic=True))


def load(folder: Path) -> Run:
    """Runs the file on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / f"{STEM}.onnx"), options, providers=["CPUExecutionProvider"])

    def run(images: np.ndarray) -> np.ndarray:
        return session.run(["keypoints"], {"images": images})[0]

    return run


def _named(model: Any) -> Any:
    """The model with the names of its input, output and dynamic axes."""
    (given,), (result,) = model.graph.input, model.graph.output
    renamed = {given.name: "images", result.name: "keypoints"}
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = renamed.get(name, name)
    given.name, result.name = "images", "keypoints"
    for value, names in ((given, ("N", "H", "W")), (result, ("N",))):
        for axis, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            axis.dim_param = name
    return model
