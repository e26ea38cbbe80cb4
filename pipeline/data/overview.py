"""What a keypoint set of the user's consists of, in numbers: images, instances, labels, and values that do not seem to be labels."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pipeline.data.definition import Definition
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Convention, Instance, Labels
from pipeline.errors import InputError
from pipeline.progress import OnProgress, ignored

# What a label may be that marks a missing one, and how a table calls it.
KINDS = ("0", "-1", "outside")


@dataclass(frozen=True)
class Suspicion:
    """Labels of a keypoint that do not seem to be labels.

    kind: one of KINDS: both coordinates are 0, or -1, or the label is outside the image. count: how many there are. place: where the first
    one is: file and row or entry, and image.
    """

    keypoint: str
    kind: str
    count: int
    place: str


@dataclass(frozen=True)
class KeypointTable:
    """Labels by keypoint; arrays int64 (K,). missing: instances without a label of it. suspicious: the sum over the suspicions."""

    names: tuple[str, ...]
    labelled: np.ndarray
    missing: np.ndarray
    occluded: np.ndarray
    suspicious: np.ndarray


@dataclass(frozen=True)
class Overview:
    """A set of the user's with the numbers that describe it.

    labels: without those of test images, which are not trained on. held_back: the number of test images that are labelled.
    convention: how its label files place keypoints. sizes: width and height of each upright image that could be read, labelled or test,
    pixels. unreadable: why others could not be read.
    """

    folder: Folder
    definition: Definition
    labels: Labels
    convention: Convention
    sizes: dict[str, tuple[int, int]]
    unreadable: dict[str, str]
    held_back: int

    @cached_property
    def empty(self) -> tuple[str, ...]:
        """The images that the label files mention without an instance."""
        used = {instance.image for instance in self.labels.instances}
        return tuple(name for name in self.definition.labelled if name not in used)

    @cached_property
    def labelled(self) -> tuple[str, ...]:
        """The images with an instance."""
        used = {instance.image for instance in self.labels.instances}
        return tuple(name for name in self.definition.labelled if name in used)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The annotation sources; none if there is only one."""
        return tuple(name for name in dict.fromkeys(instance.source for instance in self.labels.instances) if name)

    @cached_property
    def disagreement(self) -> float:
        """The median distance between the labels of the first two annotation sources, pixels; NaN if they have none in common.

        Only images with one instance are compared.
        """
        one, other = ({i.image: i.keypoints for i in self.labels.instances if i.source == name} for name in (*self.sources, "", "")[:2])
        both = [np.linalg.norm(one[image] - other[image], axis=1) for image in one if image in other and 1 in self.instances]
        distances = np.concatenate(both) if both else np.empty(0)
        return float(np.nanmedian(distances)) if np.isfinite(distances).any() else np.nan

    @cached_property
    def instances(self) -> dict[int, int]:
        """Number of instances in an image, of one annotation source -> number of such images."""
        found = Counter((instance.image, instance.source) for instance in self.labels.instances)
        most: dict[str, int] = {}
        for (image, _), count in found.items():
            most[image] = max(most.get(image, 0), count)
        return dict(sorted(Counter(most.values()).items()))

    @cached_property
    def parts(self) -> dict[str, int]:
        """Part to which the user or the label files assign images -> number of images; {} if they do not."""
        found = Counter(self.definition.parts.get(name, "training") for name in self.definition.labelled)
        return {part: found[part] for part in ("training", "validation")} if self.definition.parts else {}

    @cached_property
    def keypoints(self) -> np.ndarray:
        """The keypoints of all instances, float64 (n, K, 2), pixels, NaN where not labelled."""
        return self.labels.keypoints()

    @cached_property
    def table(self) -> KeypointTable:
        """Labels, missing and occluded ones and suspicious ones of each keypoint."""
        names, known = self.labels.names, ~np.isnan(self.keypoints).any(axis=2)
        occluded = np.array([instance.occluded for instance in self.labels.instances], bool).reshape(-1, len(names))
        suspicious = Counter[str]()
        for suspicion in self.suspicions:
            suspicious[suspicion.keypoint] += suspicion.count
        return KeypointTable(
            names,
            known.sum(axis=0),
            (~known).sum(axis=0),
            (occluded & known).sum(axis=0),
            np.array([suspicious[name] for name in names], int),
        )

    @cached_property
    def suspicions(self) -> tuple[Suspicion, ...]:
        """Labels that may not be labels, by keypoint and kind. A label of which one coordinate only is 0 or -1 may be right."""
        convention, own = self.convention, self.labels.instances
        sizes = np.array([self.sizes.get(instance.image, (np.inf, np.inf)) for instance in own]).reshape(-1, 2)
        given = self.keypoints.copy()
        for points, (_, height) in zip(given, sizes, strict=True):
            points[:] = convention.outwards(points, height)
        with np.errstate(invalid="ignore"):  # NaN is not labelled
            zero, minus = (given == 0).all(axis=2), (given == -1).all(axis=2)
            outside = ((self.keypoints < 0) | (self.keypoints > sizes[:, None])).any(axis=2) & ~zero & ~minus
        found = []
        for number, name in enumerate(self.labels.names):
            for kind, where in zip(KINDS, (zero, minus, outside), strict=True):
                if rows := np.flatnonzero(where[:, number]).tolist():
                    found.append(Suspicion(name, kind, len(rows), place(own[rows[0]])))
        return tuple(found)


def place(instance: Instance) -> str:
    """Where an instance was read from, for messages."""
    return f"{instance.place}, image {instance.image}" if instance.place else f"image {instance.image}"


def overview(folder: Folder, definition: Definition, labels: Labels, convention: Convention, on_progress: OnProgress = ignored) -> Overview:
    """The overview of a set. Only the beginning of each image file is read; an image that cannot be read is no fault here.

    definition: without a fault. labels: what its label files say. convention: how they place keypoints. on_progress: called with 1 after
    each image.
    """
    sizes, unreadable = {}, {}
    for name in dict.fromkeys((*(image.name for image in labels.images), *definition.test)):
        try:
            sizes[name] = folder.size(name)
        except InputError as error:
            unreadable[name] = str(error)
        on_progress(1)
    test = set(definition.test)
    own = tuple(instance for instance in labels.instances if instance.image not in test)
    held_back = len({instance.image for instance in labels.instances} & test)
    return Overview(folder, definition, replace(labels, instances=own), convention, sizes, unreadable, held_back)
