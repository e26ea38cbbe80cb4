"""Reading keypoint sets: the labelled instances of any label format, each with the pixels of its image."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.data.definition import Asked, Definition
from pipeline.errors import InputError
from pipeline.tasks import kaggle
from pipeline.tasks.data import SIDE
from pipeline.tasks.sections import KAGGLES
from pipeline.units import printable

if TYPE_CHECKING:
    from pipeline.data.ownset import OwnSet
    from pipeline.data.samples import ImageSource


@dataclass(frozen=True, eq=False)
class Sample:
    """A labelled instance and where it is.

    image: the name of its image: the path relative to the folder of the set, with slashes, or the number of a row of Kaggle's table, from
    1. instance: the label file's identifier of the instance, or its number in the image, from 1. names: the K keypoints. keypoints: float64
    (K, 2), pixels of the upright image, x then y, NaN where not labelled; pixel i covers [i, i + 1). occluded: bool (K,), labelled but not
    visible. skeleton: pairs of keypoints, counted from 0, that drawings join by a line. box: x, y, width and height in pixels, or None.
    part: training, validation or test; "" if nothing divides the set. source: the annotation source; "" if there is only one.
    path: the file of the image; None if a label file contains the image.
    """

    image: str
    instance: str
    names: tuple[str, ...]
    keypoints: np.ndarray
    occluded: np.ndarray
    skeleton: tuple[tuple[int, int], ...] = ()
    box: tuple[float, float, float, float] | None = None
    part: str = ""
    source: str = ""
    path: Path | None = None
    _pixels: Callable[[], np.ndarray] = field(kw_only=True, repr=False)

    def pixels(self) -> np.ndarray:
        """The upright image, uint8 (H, W, 3), or (H, W) of Kaggle's grey images. It is read from its file at each call.

        Raises InputError if it cannot be read.
        """
        return self._pixels()


def read(path: str | os.PathLike[str], *, format: str = "", category: str = "", keypoints: str | os.PathLike[str] = "") -> Iterator[Sample]:
    """Reads the labels of a keypoint set, and returns an iterator over its labelled instances, sorted by image.

    path: the folder of the set, or its label file. Kaggle's files are read too: their folder, the zip file, or the training table.
    format: the label format by its name in docs/keypoint-sets.md, if it is not recognised. category: the category to read, if the label
    files have several. keypoints: the file that completes what the labels say; by default keypoints.toml in the folder.

    Instances without a labelled keypoint are left out. No image is read until `Sample.pixels` is called.

    Raises InputError if there are no labels, or if they cannot be read.
    """
    place = Path(path).expanduser()
    if format in ("", KAGGLES.format) and (table := _kaggles_table(place)):
        return _rows(table)
    from pipeline.data import defining, ownset

    definition = defining.define(Asked(str(place), str(keypoints and Path(keypoints).expanduser()), format, category))
    return _instances(ownset.opened(definition, test=True))


def _kaggles_table(place: Path) -> Path | None:
    """Kaggle's training table in a folder or a zip file, or the file itself if it is one; None if it is none of these."""
    if kaggle.is_kind(Path.is_dir, place):
        if not kaggle.are_in(place):
            return None
        table = kaggle.find(place, "training") or kaggle.find(place / kaggle.PACK, "training")
        if not table:
            raise InputError(f"{printable(place)} lacks {kaggle.FILES['training']}. Download it from {kaggle.KAGGLE_PAGE}.")
        return table
    if not kaggle.is_kind(Path.is_file, place):
        return None
    if place.suffix.lower() == ".zip":
        return kaggle.inside(place, "training")
    # Faces that the program draws are in such files as render-KEY.training.csv.
    return place if place.name.lower().endswith("training.csv") and kaggle.is_table(place) else None


def _rows(table: Path) -> Iterator[Sample]:
    """The rows of Kaggle's training table that have a label."""
    from pipeline.data import dataset
    from pipeline.data.formats.catalogue import format_module

    keypointset = KAGGLES.keypointset
    assert keypointset is not None
    read = format_module(KAGGLES.format).read_training(table, keypointset, side=SIDE)
    source = dataset.sources(~np.isnan(read.keypoints).any(axis=2), keypointset)
    return (
        Sample(
            str(row + 1),
            "1",
            keypointset.names,
            points,
            np.zeros(len(points), bool),
            source=keypointset.source_names[source[row]],
            _pixels=partial(np.array, read.images[row]),
        )
        for row, points in enumerate(read.keypoints.astype(np.float64))
        if not np.isnan(points).all()
    )


def _instances(found: "OwnSet") -> Iterator[Sample]:
    """The labelled instances of an own set, those of its test images among them."""
    from pipeline.data import samples

    definition, index = found.definition, found.keypointset.names.index
    test = frozenset(definition.test)
    instances = [*found.instances, *(instance for instance in samples.usable(found.labels) if instance.image in test)]
    skeleton = tuple((index(one), index(other)) for one, other in found.keypointset.skeleton)
    for instance in sorted(instances, key=lambda instance: instance.image):
        yield Sample(
            instance.image,
            instance.id,
            found.keypointset.names,
            instance.keypoints,
            instance.occluded,
            skeleton,
            instance.box,
            "test" if instance.image in test else _part(definition, instance.image),
            instance.source,
            None if instance.image in found.source.of else found.folder.path(instance.image),
            _pixels=partial(_pixels, found.source, instance.image),
        )


def _part(definition: Definition, image: str) -> str:
    """The part of a labelled image that is not a test image; "" if nothing divides the set."""
    return definition.parts.get(image, "training") if definition.parts else ""


def _pixels(source: "ImageSource", image: str) -> np.ndarray:
    """An image as an array. Raises InputError if it cannot be read in full."""
    photo = source.read(image)
    if photo.reduction > 1:
        raise InputError(
            f"{printable(image)} is too large to be read in full: {photo.size[0]:,} x {photo.size[1]:,} pixels. Reduce it first."
        )
    return np.array(photo.image)
