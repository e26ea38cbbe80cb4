"""The samples that are reviewed: their labels as the label files have them, and their pictures, which are read when they are asked for."""

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from pipeline.data import corrected, samples
from pipeline.data.corrections import LabelPlace, LabelValue
from pipeline.data.labels import Convention
from pipeline.data.ownset import OwnSet
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images

LOSSLESS = 1 << 19  # pixels, up to which pictures are sent without loss
QUALITY = 92  # of JPEG for larger pictures
MARGIN = 1.1  # side of the part of an image that is shown first, relative to that of the sample


@dataclass(frozen=True)
class SentPicture:
    """A picture as it is sent to the browser: the bytes of a PNG or JPEG file, and which of these it is."""

    content: bytes
    kind: str

    @classmethod
    def of(cls, image: Image.Image) -> "SentPicture":
        """The picture of an image."""
        file, lossless = io.BytesIO(), image.width * image.height <= LOSSLESS
        if lossless:
            image.save(file, "PNG", compress_level=1)
        else:
            image.save(file, "JPEG", quality=QUALITY)
        return cls(file.getvalue(), "image/png" if lossless else "image/jpeg")


class ReviewedSamples(ABC):
    """n samples of a set and the labels in its files; coordinates are in pixels of the images.

    keypointset: the set. keypoints: float64 (n, K, 2), NaN where not labelled. occluded: bool (n, K). has_occluded: whether labels can be
    marked as occluded. Samples without any label are the last ones.
    """

    keypointset: KeypointSet
    keypoints: np.ndarray
    occluded: np.ndarray
    has_occluded: bool

    def __len__(self) -> int:
        return len(self.keypoints)

    @abstractmethod
    def name(self, sample: int) -> tuple[str, str]:
        """The image and the instance of a sample, as corrections name them."""

    @abstractmethod
    def size(self, sample: int) -> tuple[int, int]:
        """Width and height of the image of a sample, pixels."""

    @abstractmethod
    def square(self, sample: int) -> tuple[float, float, float]:
        """The square (x, y, side) of a sample in its image, pixels."""

    @abstractmethod
    def picture(self, sample: int) -> SentPicture:
        """The image of a sample. Raises InputError if it cannot be read."""

    @abstractmethod
    def outwards(self, sample: int, x: float, y: float) -> tuple[float, float]:
        """A point in the image of a sample in the label format's own pixels."""

    @abstractmethod
    def inwards(self, sample: int, x: float, y: float) -> tuple[float, float]:
        """The inverse of `outwards`."""

    def place(self, sample: int, keypoint: int) -> LabelPlace:
        """How corrections name a label."""
        return LabelPlace(*self.name(sample), self.keypointset.names[keypoint])

    def original(self, sample: int, keypoint: int) -> LabelValue:
        """The value of a label in the label files."""
        x, y = self.keypoints[sample, keypoint].tolist()
        if np.isnan(x) or np.isnan(y):
            return LabelValue()
        return LabelValue.at(*self.outwards(sample, x, y), occluded=bool(self.occluded[sample, keypoint]))


class TableSamples(ReviewedSamples):
    """The labelled faces of a table of Kaggle's: images uint8 (n, side, side), which may stay in a file."""

    has_occluded = False

    def __init__(self, images: Images, keypoints: np.ndarray, keypointset: KeypointSet) -> None:
        self.images, self.keypointset = images, keypointset
        self.keypoints, self.occluded = keypoints.astype(np.float64), np.zeros(keypoints.shape[:2], bool)

    def name(self, sample: int) -> tuple[str, str]:
        """The row of the table, from 1."""
        return str(sample + 1), corrected.INSTANCE

    def size(self, sample: int) -> tuple[int, int]:
        """The side of the images, twice."""
        return self.images.shape[2], self.images.shape[1]

    def square(self, sample: int) -> tuple[float, float, float]:
        """The whole image."""
        return samples.whole(self.size(sample))

    def picture(self, sample: int) -> SentPicture:
        """The image in the table."""
        return SentPicture.of(Image.fromarray(self.images[np.array([sample])][0]))

    def outwards(self, sample: int, x: float, y: float) -> tuple[float, float]:
        """Both are the same."""
        return x, y

    inwards = outwards


class OwnSamples(ReviewedSamples):
    """The samples of a set of the user's: the labelled ones, and those that can get their first label.

    form: how its label format places keypoints. free: whether images that the label files do not mention can be labelled.
    """

    has_occluded = True

    def __init__(self, own: OwnSet, form: Convention, *, free: bool) -> None:
        self.own, self.form, self.keypointset = own, form, own.keypointset
        self.instances = (*own.instances, *corrected.unlabelled(own, free=free))
        self.keypoints = np.array([instance.keypoints for instance in self.instances], np.float64)
        self.occluded = np.array([instance.occluded for instance in self.instances], bool)

    @cached_property
    def _names(self) -> Sequence[tuple[str, str]]:
        every = self.own.labels.instances
        known = {(one.image, one.id, one.source): name for one, name in zip(every, corrected.instance_names(every), strict=True)}
        return [(one.image, known.get((one.image, one.id, one.source), one.id)) for one in self.instances]

    def name(self, sample: int) -> tuple[str, str]:
        """The image and the identifier of the instance."""
        return self._names[sample]

    def size(self, sample: int) -> tuple[int, int]:
        """As in the head of the image file."""
        return self.own.source.size(self.instances[sample].image)

    def square(self, sample: int) -> tuple[float, float, float]:
        """What the nets would see of the image."""
        instance, around = self.instances[sample], self.own.definition.around
        is_bare = instance.box is None and np.isnan(instance.keypoints).all()
        return samples.square_of(instance, "image" if is_bare else around, self.size(sample))

    def picture(self, sample: int) -> SentPicture:
        """The whole image, upright; a very large one is reduced."""
        return SentPicture.of(self.own.source.read(self.instances[sample].image).image)

    def outwards(self, sample: int, x: float, y: float) -> tuple[float, float]:
        """By the convention of the label format."""
        moved = self.form.outwards(np.array([x, y]), self._height(sample)).tolist()
        return moved[0], moved[1]

    def inwards(self, sample: int, x: float, y: float) -> tuple[float, float]:
        """By the convention of the label format."""
        moved = self.form.inwards(np.array([x, y]), self._height(sample)).tolist()
        return moved[0], moved[1]

    def _height(self, sample: int) -> float | None:
        return self.size(sample)[1] if self.form.upwards else None
