"""What the label files of a keypoint set say, whatever their format: images, and the instances in them with their keypoints.

Coordinates are those of `pipeline.geometry.frame.Frame`: pixels of the upright image, x to the right, y down, and pixel i covers
[i, i + 1). Each module of `pipeline.data.formats` converts between these and the convention of its format.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

import numpy as np

from pipeline.errors import InputError
from pipeline.units import printable

Part = Literal["", "training", "validation", "test"]


@dataclass(frozen=True)
class Convention:
    """How a label format places and describes keypoints.

    first: coordinate of the centre of the first pixel: 0.0 where integers are centres of pixels, 0.5 where 0 is the edge of the image, 1.0
    where pixels are counted from 1. upwards: whether y grows upwards from the lower edge of the image. visibility: what the format says of
    keypoints that are not visible, in a sentence for the documentation. boxes: whether instances may have boxes.
    """

    first: float
    upwards: bool
    visibility: str
    boxes: bool

    def inwards(self, points: np.ndarray, height: float | None = None) -> np.ndarray:
        """Points (..., 2) of the format, in pixels, as pixels of this project. height: of the image, needed if y grows upwards."""
        points = np.asarray(points, np.float64) + (0.5 - self.first)
        return self._turned(points, height)

    def outwards(self, points: np.ndarray, height: float | None = None) -> np.ndarray:
        """The inverse of `inwards`, rounded to nine decimals, so that a coordinate that was read is written as it was."""
        return (self._turned(np.asarray(points, np.float64), height) - (0.5 - self.first)).round(9)

    def _turned(self, points: np.ndarray, height: float | None) -> np.ndarray:
        if not self.upwards:
            return points
        if height is None:
            raise ValueError("the height of the image is needed, because y grows upwards in this format")
        return np.stack([points[..., 0], height - points[..., 1]], axis=-1)


@dataclass(frozen=True)
class LabelledImage:
    """An image that the label files mention.

    name: its path relative to the folder of the set, with slashes. part: the part of the set to which the label files assign it; "" if they
    do not say. embedded: the label file that contains the image and its number in there; None if the image is a file of its own.
    """

    name: str
    part: Part = ""
    embedded: tuple[str, int] | None = None


@dataclass(frozen=True)
class Instance:
    """One object in an image.

    image: the name of its image. id: the label file's identifier of the instance, or its number in the image, from 1. keypoints: float64
    (K, 2), pixels, NaN where not labelled. occluded: bool (K,), labelled but not visible. box: x, y, width and height in pixels, or None.
    source: the annotation source if there are several, see `formats.several.sources`, otherwise "".
    place: the file and the row or entry that it was read from, for messages. scores: of predicted keypoints, float64 (K,), how certain each
    is, from 0 to 1, NaN where that is not known; None for labels.
    """

    image: str
    id: str
    keypoints: np.ndarray
    occluded: np.ndarray
    box: tuple[float, float, float, float] | None = None
    source: str = ""
    place: str = ""
    scores: np.ndarray | None = None

    @property
    def score(self) -> float | None:
        """The mean of the scores that are known, or None."""
        known = [] if self.scores is None else self.scores[~np.isnan(self.scores)].tolist()
        return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Labels:
    """The content of the label files of a set.

    format: the name of the format. files: the label files, relative to the folder of the set. names: the keypoints, in the order of every
    instance's. images: all images that the files mention, also those without an instance. mirror: pairs of keypoints that exchange places
    in a mirrored image, as the files give them; None if they do not. skeleton: pairs of keypoints that are joined by a line. notes: what a
    user should know about how the files were understood, one sentence each. category: what the instances are, in formats that say so;
    otherwise "". model: the name of what has predicted the keypoints; "" for labels, which people have placed.
    """

    format: str
    files: tuple[str, ...]
    names: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    instances: tuple[Instance, ...]
    mirror: tuple[tuple[str, str], ...] | None = None
    skeleton: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    category: str = ""
    model: str = ""

    def keypoints(self) -> np.ndarray:
        """The keypoints of all instances, float64 (n, K, 2), pixels, NaN where not labelled."""
        return np.array([instance.keypoints for instance in self.instances], np.float64).reshape(-1, len(self.names), 2)


@dataclass(frozen=True)
class Reading:
    """What the user says about how label files are read.

    category: the category of a format that has several; "" if there is only one with keypoints. upwards: whether y grows upwards; None
    leaves it to the format. predictions: whether predictions that a file has beside labels, or in their place, are read instead of them.
    """

    category: str = ""
    upwards: bool | None = None
    predictions: bool = False

    def of(self, convention: Convention) -> Convention:
        """The convention of a format, with the direction of y as the user says."""
        return convention if self.upwards is None else replace(convention, upwards=self.upwards)


def arranged(labels: Labels, order: Sequence[int], names: tuple[str, ...]) -> Labels:
    """The labels of a selection of the keypoints, perhaps under other names.

    order: for each keypoint of the result its number in the labels, from 0. names: its name.
    """
    new = {labels.names[number]: name for number, name in zip(order, names, strict=True)}

    def kept(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        return tuple((new[one], new[other]) for one, other in pairs if one in new and other in new)

    chosen = list(order)
    return replace(
        labels,
        names=names,
        instances=tuple(
            replace(
                instance,
                keypoints=instance.keypoints[chosen],
                occluded=instance.occluded[chosen],
                scores=None if instance.scores is None else instance.scores[chosen],
            )
            for instance in labels.instances
        ),
        mirror=None if labels.mirror is None else kept(labels.mirror),
        skeleton=kept(labels.skeleton),
    )


def with_unique_ids(instances: Sequence[Instance]) -> list[Instance]:
    """The instances of a label file: those of an image are numbered from 1 if two of them have the same identifier, or if one has none."""
    ids = [(instance.image, instance.id) for instance in instances]
    doubtful = {image for (image, name), times in Counter(ids).items() if times > 1 or not name}
    numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(1))
    return [replace(each, id=str(next(numbers[each.image]))) if each.image in doubtful else each for each in instances]


def check_one_source(labels: Labels) -> None:
    """Raises InputError if labels are of several annotation sources; few formats can keep these apart."""
    if len(sources := sorted({instance.source for instance in labels.instances})) > 1:
        raise InputError(
            f"The labels are of the annotation sources {printable(', '.join(sources))}, which the format cannot keep apart. "
            "Convert one label file at a time."
        )


def part_of(name: str) -> Part:
    """The part of the set that a path names: a folder, or the beginning or end of a file name, called train, val, test or the like.

    COCO and YOLO divide their sets in this way, as in `train2017/1.jpg`, `images/val/1.jpg` and `annotations/instances_val2017.json`.
    """
    for piece in reversed(name.lower().split("/")):
        words = piece.rsplit(".", 1)[0].replace("-", "_").split("_")
        for word in (words[0], words[-1]):
            bare = word.rstrip("0123456789")
            for part, spellings in _SPELLINGS.items():
                if bare in spellings:
                    return part
    return ""


_SPELLINGS: dict[Part, tuple[str, ...]] = {
    "training": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
