"""What label formats write in the same way, and what their readers say in the same way."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from pipeline.data.labels import Instance, LabelledImage, Labels
from pipeline.errors import InputError
from pipeline.units import counted, printable


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file with line ends as they are in the text, and the folders that it needs. Raises OSError if that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")


def write_tables(labels: Labels, out: Path, text: Callable[[Sequence[Instance]], str], *, prefix: str = "") -> None:
    """Writes the file `out` if its name has a suffix, otherwise a CSV file in the folder `out` for each annotation source.

    text: returns the content of the file with these instances. prefix: of the names of the files in the folder.
    Raises InputError for several sources and one file.
    """
    check_sources(labels, out)
    for source in sorted({one.source for one in labels.instances}) or [""]:
        path = out if out.suffix else out / f"{prefix}{source.replace('/', '_') or 'labels'}.csv"
        write_text(path, text([one for one in labels.instances if one.source == source]))


def check_sources(labels: Labels, out: Path) -> None:
    """Raises InputError if the labels of several annotation sources would be written into one file, which has a suffix."""
    sources = sorted({one.source for one in labels.instances})
    if out.suffix and len(sources) > 1:
        raise InputError(
            f"{printable(out)} cannot hold the labels of several annotation sources ({', '.join(map(printable, sources))}). Name a folder."
        )


def category(labels: Labels) -> str:
    """What the instances are called in a format that has categories: as in the label files, so that an existing project knows it."""
    return labels.category or "object"


def by_image(labels: Labels, instances: Sequence[Instance]) -> dict[LabelledImage, list[Instance]]:
    """All images of the labels, in their order, each with those of the instances that it has."""
    found: dict[str, list[Instance]] = {image.name: [] for image in labels.images}
    for one in instances:
        found[one.image].append(one)
    return {image: found[image.name] for image in labels.images}


def plain(values: Iterable[float]) -> list[float]:
    """Numbers as a JSON or CSV file should show them: with up to nine decimals, and whole ones as integers; NaN stays."""
    rounded = [round(float(value), 9) for value in values]
    return [int(value) if value.is_integer() else value for value in rounded]


def box(instance: Instance) -> tuple[float, float, float, float]:
    """The box of an instance, or the smallest one that contains the pixels of its keypoints: x, y, width and height in pixels."""
    if instance.box is not None:
        return instance.box
    (left, top), (right, bottom) = np.nanmin(instance.keypoints, axis=0) - 0.5, np.nanmax(instance.keypoints, axis=0) + 0.5
    return left, top, right - left, bottom - top


def unlabelled(count: int) -> tuple[str, ...]:
    """The note about instances that are left out because none of their keypoints are labelled."""
    return (f"{counted(count, 'instance')} without a labelled keypoint left out.",) if count else ()
