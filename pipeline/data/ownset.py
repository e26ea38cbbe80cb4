"""An own set, read from its label files and images according to its definition."""

import functools
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import beside, doubtful, samples
from pipeline.data.dataset import Divide
from pipeline.data.definition import Definition
from pipeline.data.division import divided
from pipeline.data.formats.catalogue import format_module
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Convention, Instance, Labels, Reading, arranged
from pipeline.data.samples import Box, ImageSource
from pipeline.data.tables import Given, LabelledFaces
from pipeline.data.testset import UnlabelledSamples
from pipeline.errors import InputError
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Collector
from pipeline.progress import OnProgress
from pipeline.units import printable


@dataclass(frozen=True)
class OwnSet:
    """A set whose label files have been read.

    labels: with the keypoints of the set, in its order. folder: that of the set.
    """

    definition: Definition
    keypointset: KeypointSet
    labels: Labels
    folder: Folder

    @cached_property
    def instances(self) -> tuple[Instance, ...]:
        """The instances to train with: those with a label, in images that are not test images. Sorted by image."""
        wanted = frozenset(self.definition.labelled)
        own = [instance for instance in samples.usable(self.labels) if instance.image in wanted]
        if path := self.definition.settings.get("boxes"):
            own = list(beside.boxed(own, self._given_boxes, Path(path)))
        return tuple(sorted(own, key=lambda instance: instance.image))

    @cached_property
    def source(self) -> ImageSource:
        """Where the images are read from."""
        of = {image.name: image.embedded for image in self.labels.images if image.embedded}
        return ImageSource(self.folder, getattr(format_module(self.definition.format), "frame", None), of)

    @cached_property
    def _given_boxes(self) -> dict[str, list[beside.Box]]:
        """The boxes of the file that keypoints.toml names; none if there is no such file."""
        path = self.definition.settings.get("boxes")
        return beside.boxes(Path(path), self.folder, (*self.source.of, *self.definition.test)) if path else {}

    @cached_property
    def boxes(self) -> dict[str, list[tuple[str, Box]]]:
        """Identifier and box of each instance that has one, by image: those of the file of boxes, or else of the label files."""
        if self._given_boxes:
            return {
                image: [(box.instance or str(n), box.box) for n, box in enumerate(own, start=1)] for image, own in self._given_boxes.items()
            }
        found: defaultdict[str, list[tuple[str, Box]]] = defaultdict(list)
        for instance in self.labels.instances:
            if instance.box and instance.source in ("", self.keypointset.source_names[0]):
                found[instance.image].append((instance.id, instance.box))
        return dict(found)

    @cached_property
    def squares(self) -> np.ndarray:
        """The squares (n, 3) of the labelled samples, x, y and side, pixels. Raises InputError for an image that cannot be read."""
        return np.array([sample.square for sample in self._wanted])

    @cached_property
    def _wanted(self) -> list[samples.Wanted]:
        return samples.squares_of(self.instances, self.definition.around, self.source)

    def labelled(self, side: int, channels: str, images_to: Collector, on_progress: OnProgress) -> tuple[LabelledFaces, Given]:
        """The labelled samples. side: at which they are stored, pixels. channels: "grey" or "colour".

        Raises InputError for images and keypoints that cannot be used.
        """
        samples.check_places(self.instances, self.keypointset.names, self.source)
        cut = samples.cut(self._wanted, self.source, side=side, channels=channels, images_to=images_to, on_progress=on_progress)
        return samples.labelled(self.instances, cut, self.keypointset, self.parts)

    def to_predict(self, shape: tuple[int, ...], images_to: Collector, on_progress: OnProgress) -> UnlabelledSamples:
        """The samples to predict. shape: that of a labelled sample, (side, side) or (side, side, 3)."""
        wanted = list(samples.to_predict(self.definition.test, self.boxes, self.definition.around, self.source))
        channels = "grey" if len(shape) == 2 else "colour"
        cut = samples.cut(wanted, self.source, side=shape[0], channels=channels, images_to=images_to, on_progress=on_progress)
        return samples.unlabelled(cut, self.keypointset, self.definition.settings.get("predict", ""))

    def doubts(self) -> list[str]:
        """Sentences about labels that may be wrong, see `doubtful.check`. Raises InputError for those that can only be wrong."""
        form, own = convention(self.definition), self.instances
        sizes = np.array([self.source.size(instance.image) for instance in own], np.float64)
        points = np.array([instance.keypoints for instance in own], np.float64)
        given = np.array([form.outwards(each, height) for each, (_, height) in zip(points, sizes.tolist(), strict=True)])
        return doubtful.check(doubtful.Placed(self.keypointset.names, given, points, sizes, own, form.visibility))

    @property
    def several_per_image(self) -> str:
        """What a user should know if images to predict may contain several instances that are not told apart; otherwise ""."""
        if self.definition.instances <= 1 or not self.definition.test or self.definition.around == "box":
            return ""
        return (
            "The images to predict have no boxes, and images of this set have several instances. One instance per image is predicted. "
            "To predict all of them, let boxes in keypoints.toml name a CSV file with the columns image, x, y, width and height."
        )

    @cached_property
    def parts(self) -> samples.Parts:
        """How the set may be divided."""
        named = self.definition.parts
        validation = frozenset(image for image, part in named.items() if part == "validation")
        return samples.Parts(validation or None, self._together())

    def _together(self) -> dict[str, str]:
        """Image -> name of the images that must not be divided. An image without such a name is on its own."""
        settings = self.definition.settings
        if path := settings.get("groups"):
            return beside.groups(Path(path), self.folder, self.source.of)
        if not (pattern := settings.get("group_by")):
            return {}
        found = {image: re.search(pattern, image) for image in self.definition.labelled}
        return {image: match.group(1) for image, match in found.items() if match and match.group(1) is not None}


def opened(definition: Definition, *, test: bool) -> OwnSet:
    """Reads the label files of a set, see `Definition.label_files`.

    Raises InputError if they cannot be read, or if the set has no instance to train with.
    """
    if definition.keypointset is None:
        raise InputError(definition.fault)
    folder, settings = Folder(Path(definition.root), definition.only), definition.settings
    reading = Reading(settings.get("category", ""), settings.get("upwards"))
    labels = format_module(definition.format).read(folder, definition.label_files(test=test), reading)
    found = OwnSet(definition, definition.keypointset, arranged(labels, definition.order, definition.keypointset.names), folder)
    if not found.instances:
        raise InputError(f"{printable(folder.root)}: no image that is not a test image has a labelled keypoint. Label some images.")
    return found


def divider(given: Given) -> Divide:
    """Divides the samples of which the label files say this."""
    return functools.partial(divided, given)


def convention(definition: Definition) -> Convention:
    """How the label format of a set places keypoints, with what the user says about it."""
    settings = definition.settings
    given: Convention = format_module(definition.format).CONVENTION
    return Reading(settings.get("category", ""), settings.get("upwards")).of(given)


def normalise(definition: Definition) -> tuple[dict[str, Any], dict[str, float]]:
    """What errors are divided by, as keypoints.toml says, and the millimetres per pixel by image if it names a file of them.

    Raises InputError if the file cannot be used.
    """
    setting = dict(definition.settings.get("normalise", {}))
    if not (path := setting.get("file")):
        return setting, {}
    return setting, beside.scales(Path(path), Folder(Path(definition.root), definition.only), definition.labelled)
