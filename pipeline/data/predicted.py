"""The predictions of a keypoint set of the user's as labels, so that they can be written in a label format."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.data.formats import cells
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels
from pipeline.errors import InputError, meant
from pipeline.units import printable

COLUMNS = ["image", "instance", "keypoint", "x", "y"]
FORMAT = "predictions"  # in place of the name of a label format


def are_in(path: Path) -> bool:
    """Whether a file has predictions, by its header."""
    return path.is_file() and path.suffix.lower() == ".csv" and [row[:5] for row in cells.first_rows(path, 1)] == [COLUMNS]


def read(path: Path, folder: Folder, names: tuple[str, ...], convention: Convention) -> Labels:
    """The predictions of a file with the columns image, instance, keypoint, x and y; others may follow, an annotation source among them.

    folder: the folder of the set, with its images. names: the keypoints of the set. convention: that of its label files, which predictions
    follow.
    Raises InputError for an unknown image or keypoint, for a keypoint that is given twice, and for what is not a number.
    """
    known, sizes = set(folder.images), dict[str, tuple[int, int]]()
    found: dict[tuple[str, str, str], np.ndarray] = {}
    header, *rows = cells.rows(path)
    source_at = header.cells.index("source") if "source" in header.cells else None
    for row in rows:
        image, instance, name, x, y = row.cells[:5]
        source = "" if source_at is None else row.cells[source_at]
        if image not in known:
            raise InputError(f"{row.place}: there is no image {printable(image)} in {printable(folder.root)}. Name the folder of its set.")
        if name not in names:
            raise InputError(f"{row.place}: the set has no keypoint {name!r}; {meant(name, names)}")
        points = found.setdefault((image, instance, source), np.full((len(names), 2), np.nan))
        if not np.isnan(points[names.index(name)]).all():
            raise InputError(f"{row.place}: the keypoint {printable(name)} of this instance is there already. Remove one of the rows.")
        points[names.index(name)] = cells.points([(x, y)], (name,), row.place)[0]
        if convention.upwards and image not in sizes:
            sizes[image] = folder.size(image)
    instances = [
        Instance(
            image, instance, convention.inwards(points, sizes.get(image, (0, 0))[1]), np.zeros(len(names), bool), None, source, path.name
        )
        for (image, instance, source), points in found.items()
    ]
    if len({instance.source for instance in instances}) == 1:
        instances = [replace(instance, source="") for instance in instances]
    images = tuple(LabelledImage(image) for image in dict.fromkeys(image for image, *_ in found))
    return Labels(FORMAT, (path.name,), names, images, tuple(instances))
