"""The net that finds faces in photographs, YuNet, for runtimes that take the size of its input from the file."""

from pathlib import Path
from typing import Any

from pipeline.inference.detectors import yunet

STRIDE = 32  # width and height of the input are multiples of it
# Lowest score of a find. In contrast to `keypoints annotate`, a page cannot drop finds on which the nets disagree, and at this score YuNet
# finds no face in the pictures without one of `yunet.SCORE`, and all others.
SCORE = 0.8


def settings() -> dict[str, float]:
    """The numbers with which a page finds faces, see `yunet`."""
    return {
        "coarse": yunet.COARSE,
        "fine": yunet.FINE,
        "large": yunet.LARGE,
        "least": yunet.LEAST,
        "score": SCORE,
        "overlap": yunet.OVERLAP,
        "frame": yunet.KAGGLE_FRAME,
    }


def resizable(path: Path) -> bytes:
    """The ONNX file of YuNet with an input of any height and width.

    The file names one size only, which OpenCV ignores. No operation of the net depends on it.
    """
    import onnx

    model: Any = onnx.load(path)
    (given,) = model.graph.input
    for axis, name in ((2, "H"), (3, "W")):
        given.type.tensor_type.shape.dim[axis].dim_param = name
    for result in model.graph.output:
        result.type.tensor_type.shape.dim[1].dim_param = f"cells_{result.name.rpartition('_')[2]}"
    del model.graph.value_info[:]  # the sizes of everything between
    return bytes(model.SerializeToString(deterministic=True))
