"""From photographs to their instances with keypoints, block by block. All positions are in pixels of the upright photograph.

What is predicted for a photograph may depend, in its last digits, on the others of its block. Therefore the blocks are always the same:
BLOCK photographs in the given order, counted from the first one, however the work is divided.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.data.formats import images
from pipeline.inference import instances
from pipeline.inference.instances import SeenInstances
from pipeline.inference.loaded import FACE, LoadedNets, PredictedCrops
from pipeline.progress import OnProgress, ignored
from pipeline.units import printable

# Photographs that are processed together: only their crops are in memory. Detecting their faces takes one core 13 s with YuNet and 130 s
# with the cascade, for photographs of 2 megapixels.
BLOCK = 100
# Nets with at most so many bytes of weights stay built from block to block. Building seven nets takes 3 s.
KEPT = 1 << 30


@dataclass(frozen=True)
class Annotated:
    """A photograph and its n instances.

    size: width and height of the photograph, pixels.
    boxes: float64 (n, 4): x, y, width and height, pixels.
    keypoints: float64 (n, K, 2), pixels, x then y.
    picture: the file with the drawing, or None if there is none.
    error: why the photograph could not be used, or why there is no drawing of its instances, or "".
    reduction: 1, or 2, 4 or 8 if the photograph is so large that it was read, and is drawn, at a fraction of its size.
    expected: float64 (n, K), the expected error of each keypoint, pixels; None if it is not known.
    dropped: what the nets disagree by about each detection that was not taken for a face, as fractions of the side of what they see.
    """

    photo: Path
    size: tuple[int, int]
    boxes: np.ndarray
    keypoints: np.ndarray
    picture: Path | None = None
    error: str = ""
    reduction: int = 1
    expected: np.ndarray | None = None
    dropped: tuple[float, ...] = ()


def of_kept(nets: LoadedNets) -> bool:
    """Whether the nets are small enough to stay built from block to block; see KEPT."""
    return sum(values.nbytes for chain in nets.chains for net in chain for values in net.weights.values()) <= KEPT


@dataclass(frozen=True)
class Annotator:
    """How photographs are annotated: with which nets, and where their instances are.

    box: x, y, width and height of the instance, pixels; None to let a detector find faces, or to take the whole photograph, as the nets
    say. doubt: the largest disagreement of the nets with which a detection is taken for a face, as a fraction of the side of what they
    see. predict: the predictions for crops, in place of those of the nets; None for these.
    """

    nets: LoadedNets
    box: tuple[float, ...] | None = None
    doubt: float = instances.DOUBTFUL
    predict: Callable[[np.ndarray], PredictedCrops] | None = field(default=None, repr=False)

    @property
    def detects(self) -> bool:
        """Whether a detector finds the instances."""
        return self.box is None and self.nets.detector == FACE

    def seen(self, path: Path, name: Path) -> tuple[Annotated, SeenInstances]:
        """The photograph in a file, still without instances, and what the nets see of those that may be in it.

        name: what the photograph is called. Raises InputError if the box is not inside the photograph.
        """
        try:
            photo = images.read_photograph(path)
            boxes = np.array([self.box]) if self.box else None
            if boxes is not None:
                instances.check_inside(boxes, photo.size, "--box")
            seen = instances.shown(photo, self.nets, boxes, detect=True)
        except images.UnreadableError as error:
            return _unusable(name, f"{error}".replace(printable(path), printable(name))), instances.none(self.nets)
        except (OSError, MemoryError) as error:
            failed = "searched for faces" if self.detects else "read"
            why = f"{printable(name)} could not be {failed}: {error or type(error).__name__}"
            return _unusable(name, why), instances.none(self.nets)
        return Annotated(name, photo.size, seen.boxes, np.zeros((0, 0, 2)), reduction=photo.reduction), seen

    def annotated(self, found: Iterable[tuple[Annotated, SeenInstances]], on_net: OnProgress = ignored) -> list[Annotated]:
        """The photographs of a block with their instances and keypoints; of detected faces, those that the nets agree on.

        found: what `seen` gives for each photograph. on_net: called after each net.
        """
        block = list(found)
        cropped = np.concatenate([seen.crops for _, seen in block])
        if not len(cropped):
            return [_in_doubles(annotated, np.zeros((0, 0, 2)), None) for annotated, _ in block]
        predicted = self.predict(cropped) if self.predict else self.nets.predict(cropped, on_net, keep=of_kept(self.nets))
        result, start = [], 0
        for annotated, seen in block:
            own = predicted.of(np.arange(start, start + len(seen.crops)))
            placed = instances.placed(seen, own, self.nets, self.doubt)
            with_boxes = replace(annotated, boxes=placed.boxes, dropped=tuple(placed.dropped.tolist()))
            result.append(_in_doubles(with_boxes, placed.keypoints, placed.expected))
            start += len(seen.crops)
        return result


def in_blocks(annotator: Annotator, photos: Sequence[tuple[Path, str]], on_photo: OnProgress = ignored) -> Iterator[Annotated]:
    """Yields photographs, given by their files and what they are called, with their instances, in blocks of BLOCK.

    on_photo: called after each photograph whose instances have been found.
    """
    for start in range(0, len(photos), BLOCK):
        found = []
        for path, name in photos[start : start + BLOCK]:
            found.append(annotator.seen(path, Path(name)))
            on_photo(1)
        yield from annotator.annotated(found)


def _in_doubles(annotated: Annotated, keypoints: np.ndarray, expected: np.ndarray | None) -> Annotated:
    """The photograph with these keypoints and expected errors as float64, so that it does not matter whether they have been stored."""
    boxes, errors = np.asarray(annotated.boxes, np.float64), None if expected is None else np.asarray(expected, np.float64)
    return replace(annotated, boxes=boxes, keypoints=np.asarray(keypoints, np.float64), expected=errors)


def _unusable(photo: Path, error: str) -> Annotated:
    """A photograph without instances, and why."""
    return Annotated(photo, (0, 0), np.zeros((0, 4)), np.zeros((0, 0, 2)), error=error)
