"""The formats of exported nets: each module writes its files and runs them."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError

STEM = "keypoints"  # the name of the files without suffix
Run = Callable[[np.ndarray], np.ndarray]  # images uint8 (n, s, s[, 3]) -> keypoints float32 (n, K, 2)
EXTRA = "pip install 'keypoints[export]'"
UNAVAILABLE = {
    "tfjs": "TensorFlow.js' converter does not work with these versions of Keras and TensorFlow; onnxruntime-web runs --format onnx.",
    "coreml": "Core ML's converter does not work with these versions of Keras and TensorFlow; ONNX Runtime runs --format onnx on Apple's"
    " devices.",
}


@dataclass(frozen=True)
class Format:
    """A format of exported nets.

    module: writes and runs it, see `module_of`. packages: what it imports. any_side: whether its files take images of any side.
    """

    module: str
    packages: tuple[str, ...]
    any_side: bool


FORMATS = {
    "onnx": Format("onnx_file", ("tf2onnx", "onnx", "onnxruntime"), True),
    "litert": Format("litert_file", ("ai_edge_litert",), False),
    "openvino": Format("openvino_file", ("tf2onnx", "onnx", "openvino"), True),
    "keras": Format("keras_file", (), False),
}


def format_of(name: str) -> Format:
    """The format with this name. Raises InputError if there is none, or if a package is missing that it needs."""
    if name in UNAVAILABLE:
        raise InputError(f"--format {name} is not available: {UNAVAILABLE[name]}")
    if name not in FORMATS:
        raise InputError(f"--format {name}: the choices are {', '.join(FORMATS)}.")
    return available(name, f"--format {name}")


def available(name: str, what: str) -> Format:
    """A format of FORMATS. Raises InputError if a package is missing that it needs; `what` is what needs it, the subject of the message."""
    found = FORMATS[name]
    if missing := [package for package in found.packages if importlib.util.find_spec(package) is None]:
        raise InputError(f"{what} needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: {EXTRA}")
    return found


def module_of(chosen: Format) -> Any:
    """The module of a format, with two functions.

    write(folder, chains, nets, values): writes the files, named after STEM, into a folder; `values` are the metadata.
    load(folder): a `Run` that uses the files on one thread.
    """
    return importlib.import_module(f"pipeline.export.{chosen.module}")


def main_file(name: str, folder: Path) -> Path:
    """The file that users of the format name."""
    suffixes = {"onnx": ".onnx", "litert": ".tflite", "openvino": ".xml", "keras": ".keras"}
    return folder / f"{STEM}{suffixes[name]}"
