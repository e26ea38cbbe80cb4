"""What a file of exported nets says about itself."""

import json
from dataclasses import dataclass
from typing import Any

from pipeline.data import samples
from pipeline.inference import detection
from pipeline.inference.loaded import FACE, LoadedNets
from pipeline.nets.forward import MOST_ALIGNMENTS

VERSION = 1  # of the metadata


@dataclass(frozen=True)
class Facts:
    """What nets do not know of themselves.

    part: "whole" or "base". data: what they were trained on. licence: of the nets, empty if it is not known.
    """

    part: str
    data: str
    licence: str = ""


def metadata(nets: LoadedNets, facts: Facts, *, side: int | None) -> dict[str, Any]:
    """The metadata: texts, numbers and lists by name.

    side: width and height of the images that the file takes; None if it takes images of any side.
    """
    keypointset, channels = nets.keypointset, nets.frame.channels
    size = "H, W" if side is None else f"{side}, {side}"
    margin = detection.FRAME if nets.detector == FACE else samples.BOX_FRAME
    return {
        "version": VERSION,
        "keypoint_set": keypointset.name,
        "keypoints": list(keypointset.names),
        "lines": [list(pair) for pair in nets.lines],
        "input": f"images, uint8 (N, {size}{', 3' if nets.frame.colour else ''}), {'RGB' if nets.frame.colour else 'grey levels'}",
        "output": f"keypoints, float32 (N, {len(keypointset.names)}, 2), x and y in pixels of the images",
        "pixels": "Pixel i covers the interval from i to i + 1: the image begins at 0, and the centre of its first pixel is 0.5.",
        "side": "any; images must be square" if side is None else side,
        "stored_side": nets.frame.side,
        "channels": channels,
        "crop": "the whole instance" if nets.detector is None else f"the square around the {nets.noun} that a detector finds, enlarged",
        "crop_margin": margin,
        "convention": keypointset.source_names[nets.source],
        "part": facts.part,
        "chains": len(nets.chains),
        "base_share": nets.base_share,
        "alignments": MOST_ALIGNMENTS,
        "search": "none: a sample that no alignment finds is not searched for in parts of the image",
        "data": facts.data,
        "licence": facts.licence,
    }


def as_texts(values: dict[str, Any]) -> dict[str, str]:
    """The metadata with texts as they are and everything else as JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def as_json(values: dict[str, Any]) -> str:
    """The metadata as a JSON document."""
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
