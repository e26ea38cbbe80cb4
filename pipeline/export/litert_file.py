"""LiteRT files (TensorFlow Lite) with metadata."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.export import graph
from pipeline.export.formats import STEM, Run
from pipeline.export.metadata import as_json
from pipeline.export.nets import Net
from pipeline.inference.loaded import LoadedNets

ENTRY = "keypoints.json"  # the name of the metadata in the file


def write(folder: Path, chains: list[list[Net]], nets: LoadedNets, values: dict[str, Any]) -> None:
    """Writes the graph of nets, which takes images of the side of the samples."""
    import tensorflow as tf

    function = graph.function(chains, nets, side=nets.frame.side)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], function)
    (folder / f"{STEM}.tflite").write_bytes(_with_metadata(converter.convert(), as_json(values)))


def load(folder: Path) -> Run:
    """Runs the file on one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / f"{STEM}.tflite"), num_threads=1)
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(images: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(given["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    return run


def _with_metadata(content: bytes, document: str) -> bytes:
    """The file with a document as the metadata ENTRY, see `Metadata` in TensorFlow Lite's schema."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(document.encode(), np.uint8)
    entry.name, entry.buffer = ENTRY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(content) + len(document) + 1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
