"""The predictions of a keypoint set of the user's as labels, so that they can be written in a label format."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.data.formats import cells
from pipeline.data.formats.cells import TableRow
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.numbers import number
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels
from pipeline.errors import InputError, meant
from pipeline.units import printable

COLUMNS = ["image", "instance", "keypoint", "x", "y"]
FORMAT = "predictions"  # in place of the name of a label format


def are_in(path: Path) -> bool:
    """Whether a file has predictions, by its header."""
    return path.is_file() and path.suffix.lower() == ".csv" and [row[:5] for row in cells.first_rows(path, 1)] == [COLUMNS]


@dataclass(frozen=True)
class _Value:
    """A row: the sample as image, instance and annotation source, the keypoint, its place as the file has it, and its score."""

    sample: tuple[str, str, str]
    keypoint: int
    point: np.ndarray
    score: float


def read(path: Path, folder: Folder, known: Labels, convention: Convention) -> Labels:
    """The predictions of a file with the columns image, instance, keypoint, x and y.

    Others may follow: `source`, an annotation source, and `score`, how certain the prediction is, from 0 to 1.

    folder: the folder of the set, with its images. known: the labels of the set, whose keypoints, skeleton and category the predictions
    have. convention: that of its label files, which predictions follow.
    Raises InputError if there are no predictions, for an unknown image or keypoint, for a keypoint that is given twice, and for what is
    not a number.
    """
    points: dict[tuple[str, str, str], np.ndarray] = {}
    scores: dict[tuple[str, str, str], np.ndarray] = {}
    header, *rows = cells.rows(path)
    for row, value in zip(rows, _values(header, rows, folder, known.names), strict=True):
        own = points.setdefault(value.sample, np.full((len(known.names), 2), np.nan))
        if not np.isnan(own[value.keypoint]).all():
            name = printable(known.names[value.keypoint])
            raise InputError(f"{row.place}: the keypoint {name} of this instance is there already. Remove one of the rows.")
        own[value.keypoint] = value.point
        scores.setdefault(value.sample, np.full(len(known.names), np.nan))[value.keypoint] = value.score
    if not points:
        raise InputError(f"{printable(path)} has no predictions, because the set has no images to predict.{_held_out(path)}")
    heights = {image: folder.size(image)[1] if convention.upwards else 0 for image, *_ in points}
    certain = "score" in header.cells
    several = len({source for *_, source in points}) > 1
    instances = tuple(
        Instance(
            image,
            name,
            convention.inwards(own, heights[image]),
            np.zeros(len(known.names), bool),
            source=source if several else "",
            place=path.name,
            scores=scores[image, name, source] if certain else None,
        )
        for (image, name, source), own in points.items()
    )
    embedded = {image.name: image.embedded for image in known.images}
    images = tuple(LabelledImage(image, embedded=embedded.get(image)) for image in dict.fromkeys(image for image, *_ in points))
    given = replace(known, format=FORMAT, files=(path.name,), images=images, instances=instances)
    return replace(given, mirror=None, notes=(), model=path.stem)


def _values(header: TableRow, rows: list[TableRow], folder: Folder, names: tuple[str, ...]) -> Iterator[_Value]:
    """Yields what each row says."""
    images, place_of = set(folder.images), {name: index for index, name in enumerate(names)}
    source_at, score_at = (header.cells.index(name) if name in header.cells else None for name in ("source", "score"))
    for row in rows:
        image, instance, name, x, y = row.cells[:5]
        if image not in images:
            raise InputError(f"{row.place}: there is no image {printable(image)} in {printable(folder.root)}. Name the folder of its set.")
        if name not in place_of:
            raise InputError(f"{row.place}: the set has no keypoint {name!r}; {meant(name, names)}")
        (point,) = cells.points([(x, y)], (name,), row.place)
        score = np.nan if score_at is None else _score(row.cells[score_at], row.place)
        source = "" if source_at is None else row.cells[source_at]
        yield _Value((image, instance, source), place_of[name], point, score)


def _score(text: str, place: str) -> float:
    """A score, NaN if it is missing."""
    found = np.nan if cells.is_missing(text) else number(text, place, "score")
    if not np.isnan(found) and not 0 <= found <= 1:
        raise InputError(f"{place}: score is {found:g}, not a number from 0 to 1. Correct it, or leave the cell empty.")
    return found


def _held_out(path: Path) -> str:
    """Where the predictions for held-out samples are, in a sentence; "" if they are not there."""
    beside = path.with_name(path.name.replace("predictions-", "heldout-", 1))
    return f" Those for held-out samples are in {printable(beside)}." if beside != path and beside.is_file() else ""
