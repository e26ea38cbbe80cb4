"""Samples of an own set: square crops around the labelled instances and around what is to be predicted, each with its way back.

A sample is cut around the box of its instance, around its keypoints, or is the whole image. Which of these is the same for all samples of a
set, because a net must see the images to predict as it saw those that it was trained on.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from PIL import Image

from pipeline.data import filenames
from pipeline.data.formats import images
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Instance, Labels
from pipeline.data.tables import Given, LabelledFaces, Origin
from pipeline.data.testset import UnlabelledSamples
from pipeline.errors import InputError
from pipeline.geometry import affine, crops
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Collector, Images
from pipeline.progress import OnProgress, ignored
from pipeline.units import printable

# Side of a crop relative to the longer side of the instance's box, or of the box around its keypoints.
BOX_FRAME, KEYPOINT_FRAME = 1.25, 1.6
# A crop has at least this share of the shorter side of its image: the box around a single keypoint has no size.
SMALLEST_SHARE = 0.125
SQUEEZED = 48  # side of the small pictures by which images are compared; all of them are in memory

Box = tuple[float, float, float, float]  # x, y, width and height, pixels


@dataclass(frozen=True)
class Wanted:
    """One sample to cut: its image, the identifier and box of its instance, and its square (x, y, side); None for the whole image."""

    image: str
    instance: str
    square: tuple[float, float, float] | None
    box: Box | None = None


@dataclass(frozen=True)
class Cut:
    """Samples that were cut: images uint8 (n, side, side[, 3]), and where they come from.

    photographs: uint8 (m, 48, 48), the images of the set from which they were cut, grey and squeezed. photograph: int32 (n,), the number
    of each sample's image among these.
    """

    images: Images
    origin: Origin
    photographs: np.ndarray
    photograph: np.ndarray

    @property
    def to_sample(self) -> np.ndarray:
        """The maps float64 (n, 2, 3) from pixels of the images to pixels of the samples."""
        return affine.inverse(self.origin.to_original)


@dataclass(frozen=True)
class ImageSource:
    """The images of a set: a folder, and the images that label files contain.

    embedded: reads such an image, given the folder, its label file and its number. of: label file and number of each of them, by name.
    sizes: the sizes that were asked for.
    """

    folder: Folder
    embedded: Callable[[Folder, str, int], bytes] | None = None
    of: dict[str, tuple[str, int]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of an image, upright, pixels. Raises UnreadableError if it cannot be read."""
        if name not in self.sizes:
            self.sizes[name] = self.read(name).size if name in self.of else self.folder.size(name)
        return self.sizes[name]

    def read(self, name: str) -> images.Photograph:
        """An image. Raises UnreadableError if it cannot be read."""
        if name not in self.of or self.embedded is None:
            return images.read_photograph(self.folder.path(name))
        file, number = self.of[name]
        return images.decoded(self.embedded(self.folder, file, number), f"{self.folder.path(file)}, image {name}")


def framing(labels: Sequence[Instance], to_predict: Sequence[str], boxes: Collection[str]) -> str:
    """What samples are cut around: "box", "keypoints" or "image".

    labels: the labelled instances. to_predict: the images to predict. boxes: the images with known boxes.
    """
    if all(instance.box for instance in labels) and all(name in boxes for name in to_predict):
        return "box"
    instances = Counter((instance.image, instance.source) for instance in labels)
    return "image" if max(instances.values(), default=0) <= 1 else "keypoints"


def square_of(instance: Instance, around: str, size: tuple[int, int]) -> tuple[float, float, float]:
    """The square (x, y, side) of an instance in an image of this size, pixels. around: see `framing`."""
    if around == "image":
        return whole(size)
    box, frame = instance.box, BOX_FRAME
    if box is None:
        known = instance.keypoints[~np.isnan(instance.keypoints).any(axis=1)]
        low, high = known.min(axis=0), known.max(axis=0)
        box, frame = (*low.tolist(), *(high - low).tolist()), KEYPOINT_FRAME
    side = max(frame * max(box[2:]), SMALLEST_SHARE * min(size))
    return box[0] + box[2] / 2 - side / 2, box[1] + box[3] / 2 - side / 2, side


def whole(size: tuple[int, int]) -> tuple[float, float, float]:
    """The smallest square that contains an image of this size, with the same centre."""
    side = max(size)
    return (size[0] - side) / 2, (size[1] - side) / 2, float(side)


def usable(labels: Labels) -> tuple[Instance, ...]:
    """The instances with at least one labelled keypoint, each once: one that repeats another of its image is left out."""
    found: dict[tuple[str, str, bytes], Instance] = {}
    for instance in labels.instances:
        if not np.isnan(instance.keypoints).all():
            found.setdefault((instance.image, instance.source, instance.keypoints.tobytes()), instance)
    return tuple(found.values())


def squares_of(instances: Sequence[Instance], around: str, source: ImageSource) -> list[Wanted]:
    """The samples to cut for these instances, in their order."""
    return [Wanted(each.image, each.id, square_of(each, around, source.size(each.image)), each.box) for each in instances]


def cut(
    wanted: Sequence[Wanted], source: ImageSource, *, side: int, channels: str, images_to: Collector, on_progress: OnProgress = ignored
) -> Cut:
    """Cuts samples, in their order. Each image is read once if its samples follow each other.

    side: the stored side, pixels. images_to: an empty collector for the samples. on_progress: receives the numbers of samples.

    Raises InputError for an image that cannot be read.
    """
    maps, whites, sizes, numbers = [], [], [], []
    photographs: list[np.ndarray] = []
    for name, group in groupby(wanted, key=lambda sample: sample.image):
        own = list(group)
        photo = source.read(name)
        numbers += [len(photographs)] * len(own)
        photographs.append(_squeezed(photo.image))
        squares = np.array([sample.square or whole(photo.size) for sample in own])
        images_to.add(crops.crop(photo.image, squares / photo.reduction, side, colour=channels == "colour"))
        maps += [[[square[2] / side, 0, square[0]], [0, square[2] / side, square[1]]] for square in squares.tolist()]
        whites += [photo.white] * len(own)
        sizes += [photo.size] * len(own)
        on_progress(len(own))
    origin = Origin(
        image=np.array([sample.image for sample in wanted], dtype=str),
        instance=np.array([sample.instance for sample in wanted], dtype=str),
        size=np.array(sizes, np.int32).reshape(-1, 2),
        box=np.array([sample.box or (np.nan,) * 4 for sample in wanted], np.float64).reshape(-1, 4),
        to_original=np.array(maps, np.float64).reshape(-1, 2, 3),
        white=np.array(whites, np.int32),
    )
    shape = (0, side, side, 3) if channels == "colour" else (0, side, side)
    return Cut(
        images_to.rows() if wanted else np.zeros(shape, np.uint8),
        origin,
        np.stack(photographs) if wanted else np.zeros((0, SQUEEZED, SQUEEZED), np.uint8),
        np.array(numbers, np.int32),
    )


def _squeezed(image: Image.Image) -> np.ndarray:
    """An image as a small grey square, for comparisons."""
    small = image.resize((SQUEEZED, SQUEEZED), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(small.convert("L"))


@dataclass(frozen=True)
class Parts:
    """How an own set may be divided.

    validation: the images of the fixed validation part; None if the split is free. together: for each image a name that is equal for
    images that must not be divided.
    """

    validation: frozenset[str] | None
    together: dict[str, str]


def labelled(instances: Sequence[Instance], cut_out: Cut, keypointset: KeypointSet, parts: Parts) -> tuple[LabelledFaces, Given]:
    """Labelled samples, and what the label files say about them apart from images and keypoints.

    instances: in the order of the samples that were cut; their keypoints are those of the set.

    Raises InputError for a keypoint far outside its image.
    """
    points = np.array([instance.keypoints for instance in instances], np.float64)
    sources = list(keypointset.source_names)
    names = [_unit(instance.image, parts) for instance in instances]
    validation = None if parts.validation is None else np.array([instance.image in parts.validation for instance in instances])
    given = Given(
        source=np.array([sources.index(instance.source) if instance.source in sources else 0 for instance in instances], np.int8),
        together=np.unique(names, return_inverse=True)[1].astype(np.int32),
        validation=validation,
        occluded=np.array([instance.occluded for instance in instances], bool),
        origin=cut_out.origin,
        photographs=cut_out.photographs,
        photograph=cut_out.photograph,
    )
    return LabelledFaces(cut_out.images, affine.move(points, cut_out.to_sample).astype(np.float32)), given


def _unit(image: str, parts: Parts) -> str:
    """The name of what is not divided: a group of the user's, or the photograph, of which Roboflow exports several augmented versions."""
    return f"group {parts.together[image]}" if image in parts.together else f"image {filenames.photograph(image)}"


def check_places(instances: Sequence[Instance], names: Sequence[str], source: ImageSource) -> None:
    """Raises InputError for the first keypoint that is more than half an image away from its image."""
    for name, group in groupby(instances, key=lambda instance: instance.image):
        size = np.array(source.size(name))
        for instance in group:
            outside = (instance.keypoints < -size / 2) | (instance.keypoints > 1.5 * size)
            if outside.any():
                k = int(np.flatnonzero(outside.any(axis=1))[0])
                x, y = instance.keypoints[k]
                raise InputError(
                    f"{instance.place or printable(name)}: the keypoint {names[k]} is at x {x:g}, y {y:g}, far outside the image "
                    f"{printable(name)} of {size[0]} x {size[1]} pixels. Correct it, or remove it if it is not labelled."
                )


def to_predict(
    images_to_predict: Sequence[str], boxes: dict[str, list[tuple[str, Box]]], around: str, source: ImageSource
) -> Iterator[Wanted]:
    """The samples to cut for images to predict: one for each box where samples are cut around boxes, otherwise the whole image.

    boxes: identifier and box of each instance, by image.
    """
    for name in images_to_predict:
        known = boxes.get(name) if around != "image" else None
        if not known:
            yield Wanted(name, "1", None)
            continue
        size = source.size(name)
        nothing = np.zeros((0, 2))
        for identifier, box in known:
            instance = Instance(name, identifier, nothing, np.zeros(0, bool), box)
            yield Wanted(name, identifier, square_of(instance, "box", size), box)


def unlabelled(cut_out: Cut, keypointset: KeypointSet, source: str) -> UnlabelledSamples:
    """The samples to predict. source: the annotation source whose convention the predictions follow."""
    number = keypointset.source_names.index(source) if source in keypointset.source_names else 0
    return UnlabelledSamples(
        images=cut_out.images,
        source=np.full(len(cut_out.images), number, np.int8),
        image_id=None,
        lookup_row=None,
        lookup_sample=None,
        lookup_keypoint=None,
        lookup_axis=None,
        source_names=np.array(keypointset.source_names),
        origin=cut_out.origin,
    )
