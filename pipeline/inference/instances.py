"""The instances of a photograph: where they are, what nets see of them, and their predicted keypoints in pixels of the photograph."""

from dataclasses import dataclass, field

import numpy as np

from pipeline.data import samples
from pipeline.data.formats.images import Photograph
from pipeline.errors import InputError
from pipeline.geometry import crops
from pipeline.inference import detection
from pipeline.inference.loaded import FACE, LoadedNets, PredictedCrops

# Disagreement between the base net and the specialists, as a fraction of the side of the samples, above which a detection is not taken for
# a face. 99 % of Kaggle's faces that YuNet finds have at most 0.94/96, and its five finds in pictures without a face at least 1.57/96; of
# the cascade's 17, four have less than the limit (bench/framing.py).
DOUBTFUL = 0.016


@dataclass(frozen=True)
class SeenInstances:
    """What nets see of the n instances of a photograph.

    size: width and height of the photograph, pixels. boxes: float64 (n, 4), x, y, width and height, pixels. squares: float64 (n, 3), what
    was cut out, x, y and side, pixels. crops: uint8 (n, side, side[, 3]). detected: whether a detector found the instances.
    """

    size: tuple[int, int]
    boxes: np.ndarray
    squares: np.ndarray
    crops: np.ndarray
    detected: bool


@dataclass(frozen=True)
class PlacedInstances:
    """Predicted instances of a photograph.

    All in pixels of the photograph. boxes: float64 (n, 4), x, y, width and height. keypoints: float (n, K, 2), x then y. expected: float
    (n, K), expected errors; None if they are not known. dropped: float64 (m,), the disagreement of the nets about detections that are left
    out because of it, as fractions of the side of what the nets see.
    """

    boxes: np.ndarray
    keypoints: np.ndarray
    expected: np.ndarray | None = None
    dropped: np.ndarray = field(default_factory=lambda: np.zeros(0))


def shown(photo: Photograph, nets: LoadedNets, boxes: np.ndarray | None = None, *, detect: bool) -> SeenInstances:
    """What the nets see of a photograph: of each of the boxes (n, 4), pixels; without boxes, of each detected face, or of the whole image.

    detect: whether to search for faces if the nets are for faces and there are no boxes.
    """
    detected = detect and boxes is None and nets.detector == FACE
    if detected:
        boxes = detection.find(photo.image)[:, [0, 1, 2, 2]] * photo.reduction
    if boxes is None:
        boxes, squares = np.array([[0.0, 0.0, *photo.size]]), np.array([samples.whole(photo.size)])
    else:
        squares = nets.squares(boxes)
    cut = crops.crop(photo.image, squares / photo.reduction, nets.frame.side, colour=nets.frame.colour)
    return SeenInstances(photo.size, boxes, squares, cut, detected)


def none(nets: LoadedNets) -> SeenInstances:
    """What the nets see of a photograph without instances."""
    nothing = np.zeros((0, nets.frame.side, nets.frame.side, 3)[: 4 if nets.frame.colour else 3], np.uint8)
    return SeenInstances((0, 0), np.zeros((0, 4)), np.zeros((0, 3)), nothing, detected=False)


def placed(seen: SeenInstances, predicted: PredictedCrops, nets: LoadedNets, doubtful: float = DOUBTFUL) -> PlacedInstances:
    """The instances with their keypoints; a detected face on which the nets disagree, or that another detection shows, is left out.

    predicted: the predictions for the crops of `seen`. doubtful: the largest disagreement with which a detection is taken for a face, as a
    fraction of the side of what the nets see.
    """
    side = nets.frame.side
    keypoints = crops.to_photo(predicted.keypoints, seen.squares, side)
    expected = None if predicted.expected is None else predicted.expected * (seen.squares[:, 2:] / side)
    if not seen.detected:
        return PlacedInstances(seen.boxes, keypoints, expected)
    distinct = detection.distinct(crops.around(seen.boxes), keypoints, predicted.doubt)
    doubt = predicted.doubt / side
    faces = [face for face in distinct if doubt[face] <= doubtful]
    dropped = np.array([doubt[face] for face in distinct if doubt[face] > doubtful])
    return PlacedInstances(seen.boxes[faces], keypoints[faces], None if expected is None else expected[faces], dropped)


def check_inside(boxes: np.ndarray, size: tuple[int, int], what: str) -> None:
    """Raises InputError for a box (x, y, width, height) that is not within an image of this size, or smaller than a pixel, or not finite.

    what: the name of the boxes for the message, such as "--box".
    """
    for box in boxes:
        x, y, width, height = box.tolist()
        if not (min(x, y) >= 0 and min(width, height) >= 1 and x + width <= size[0] and y + height <= size[1]):
            given = ",".join(f"{value:g}" for value in box)
            raise InputError(
                f"{what} {given} must be at least one pixel large and within the photograph, which has {size[0]} x {size[1]} pixels."
            )
