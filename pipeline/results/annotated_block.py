"""Annotated photographs as a record of arrays, so that finished blocks and parts outlive the process that made them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.results.annotating import Annotated
from pipeline.schema import array, record


@record
class AnnotatedBlock:
    """Some photographs and all their instances; the instances are in the order of the photographs."""

    photo: np.ndarray = array("text", "photo", "", "the photograph, as the tables call it; bytes that are not UTF-8 are escaped")
    size: np.ndarray = array("int64", "photo side", "px", "width and height; 0 if the photograph could not be read")
    reduction: np.ndarray = array("int64", "photo", "", "pixels of the photograph per pixel in which it was read")
    error: np.ndarray = array("text", "photo", "", "why the photograph could not be used; empty if it could")
    instances: np.ndarray = array("int64", "photo", "", "number of instances")
    doubts: np.ndarray = array("int64", "photo", "", "number of detections that were left out because the nets disagree about them")
    box: np.ndarray = array("float64", "instance side", "px", "x, y, width and height")
    keypoints: np.ndarray = array("float64", "instance keypoint xy", "px", "predicted keypoints")
    expected: np.ndarray | None = array("float64", "instance keypoint", "px", "expected error of each keypoint")
    doubt: np.ndarray = array("float64", "detection", "", "disagreement about each detection left out, as a fraction of the crop's side")
    names: np.ndarray = array("text", "keypoint", "", "names of the keypoints")
    noun: np.ndarray = array("text", "", "", "what an instance is called, such as face")


def shown(path: Path) -> str:
    """A path as text, with escapes for bytes of its name that are not UTF-8."""
    return _escaped(str(path))


def _escaped(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def stored(found: Sequence[Annotated], names: tuple[str, ...], noun: str) -> AnnotatedBlock:
    """The record of some photographs, without their pictures. names: of the keypoints. noun: what an instance is called."""
    with_any = [one for one in found if len(one.boxes)]
    known = [one.expected for one in with_any if one.expected is not None]
    return AnnotatedBlock(
        photo=np.array([shown(one.photo) for one in found], dtype=str),
        size=np.array([one.size for one in found], np.int64).reshape(-1, 2),
        reduction=np.array([one.reduction for one in found], np.int64),
        error=np.array([_escaped(one.error) for one in found], dtype=str),
        instances=np.array([len(one.boxes) for one in found], np.int64),
        doubts=np.array([len(one.dropped) for one in found], np.int64),
        box=np.concatenate([np.zeros((0, 4)), *(one.boxes for one in with_any)]),
        keypoints=np.concatenate([np.zeros((0, len(names), 2)), *(one.keypoints for one in with_any)]),
        expected=np.concatenate(known) if known else None,
        doubt=np.array([doubt for one in found for doubt in one.dropped], np.float64),
        names=np.array(names, dtype=str),
        noun=np.array(noun),
    )


def restored(block: AnnotatedBlock, photos: Sequence[Path] | None = None) -> list[Annotated]:
    """The photographs of a record. photos: their paths, in place of those of the record."""
    ends, last = np.cumsum(block.instances), np.cumsum(block.doubts)
    found = []
    for number, name in enumerate(block.photo.tolist()):
        own = slice(int(ends[number] - block.instances[number]), int(ends[number]))
        doubts = block.doubt[int(last[number] - block.doubts[number]) : int(last[number])]
        width, height = block.size[number].tolist()
        annotated = Annotated(
            Path(name) if photos is None else photos[number],
            (width, height),
            block.box[own],
            block.keypoints[own],
            error=str(block.error[number]),
            reduction=int(block.reduction[number]),
            expected=None if block.expected is None or not block.instances[number] else block.expected[own],
            dropped=tuple(doubts.tolist()),
        )
        found.append(annotated)
    return found
