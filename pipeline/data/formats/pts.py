"""Landmark files of 300-W and its kin: one .pts file for each face, with or without a header.

    version: 1
    n_points: 68
    {
    47.823 93.842
    ...
    }

`NAME.pts` belongs to the image `NAME.jpg` (or .png, ...) in its folder. If there is no such image, `NAME_2.pts` belongs to `NAME.jpg`
or, as in AFW, where the faces of a photograph are numbered, to `NAME_1.jpg`. Pixels are counted from 1, as in MATLAB
(menpo:menpo/io/input/landmark.py).
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.data.formats import documents
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.numbers import check_near, number, shown, whole
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels, Part, Reading, check_one_source, part_of
from pipeline.errors import InputError
from pipeline.units import counted, printable

CONVENTION = Convention(
    first=1.0,
    upwards=False,
    visibility="A keypoint with nan nan is missing; there is no mark for occluded ones.",
    boxes=False,
)
_LARGEST = 1 << 20  # bytes of a file, thousands of points
_BEGINNING = re.compile(r"\s*(version\b|n_points\b|\{|[-+.\d]\S*[ \t]+[-+.\d]\S*[ \t]*(\n|\r|$))", re.IGNORECASE)
_HEADER = re.compile(r"(\w+)\s*:\s*(\S*)\s*$")
_NUMBERED = re.compile(r"(.*)_(\d+)$")


def find(folder: Folder) -> tuple[str, ...]:
    """The .pts files, if one of them begins as landmark files do. (Clouds of points in space have three numbers in a line.)"""
    names = folder.labels(".pts")
    return names if any(_BEGINNING.match(documents.beginning(folder.path(name), 200)) for name in names) else ()


def read(folder: Folder, files: tuple[str, ...], reading: Reading) -> Labels:
    """The faces of all files. Keypoints are called 1, 2, ...; folders that are called test or the like divide the set.

    Raises InputError for files that are not landmark files, files with different numbers of points, and files without an image.
    """
    convention = reading.of(CONVENTION)
    points = {file: _points(folder, file) for file in files}
    _check_counts(folder, points)
    names = tuple(str(index + 1) for index in range(max((len(each) for each in points.values()), default=0)))
    stems = _Stems.of(folder)
    faces: defaultdict[str, list[str]] = defaultdict(list)
    for file in files:
        faces[stems.image(folder, file)].append(file)
    instances = []
    for image, own in sorted(faces.items()):
        width, height = folder.size(image)
        for index, file in enumerate(sorted(own, key=_order), 1):
            keypoints = convention.inwards(points[file], height)
            check_near(keypoints, (width, height), f"{printable(folder.path(file))}, image {printable(image)}", names)
            instances.append(Instance(image, str(index), keypoints, np.zeros(len(names), bool), place=file))
    parts = _parts(sorted(faces))
    notes = () if not any(parts.values()) else ("The names of the folders divide the set into parts.",)
    return Labels("pts", files, names, tuple(LabelledImage(image, part) for image, part in parts.items()), tuple(instances), notes=notes)


def write(labels: Labels, folder: Folder, out: Path) -> None:
    """Writes a folder of .pts files with the names and subfolders of the images. Put the images, or links to them, beside them.

    Further faces of an image get a number: `NAME_2.pts`. Images without a face have no file.
    Raises InputError if two images differ only in their suffixes, or if the labels are of several annotation sources.
    """
    check_one_source(labels)
    taken = Counter(_stem(image.name) for image in labels.images)
    for stem, times in taken.items():
        if times > 1:
            raise InputError(
                f"Two images are called {printable(stem)} but for their suffixes, so they would share a .pts file. Rename one."
            )
    faces: defaultdict[str, list[Instance]] = defaultdict(list)
    for instance in labels.instances:
        faces[_stem(instance.image)].append(instance)
    out.mkdir(parents=True, exist_ok=True)
    for stem, own in faces.items():
        free = (name for index in count(2) if (name := f"{stem}_{index}") not in taken)
        for name, instance in zip(chain([stem], free), own, strict=False):
            points = CONVENTION.outwards(instance.keypoints)
            lines = ["version: 1", f"n_points: {len(points)}", "{", *(f"{x} {y}" for x, y in points.tolist()), "}", ""]
            path = out / f"{name}.pts"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines), encoding="utf-8")


def _points(folder: Folder, file: str) -> np.ndarray:
    """The points of a file as it has them, float64 (K, 2); NaN where both numbers are."""
    place = printable(folder.path(file))
    lines = [line.strip() for line in documents.text(folder.path(file), largest=_LARGEST).splitlines()]
    stated, points = None, []
    for row, line in enumerate(lines, 1):
        where = f"{place}, line {row}"
        if line in ("", "{", "}"):
            continue
        if header := _HEADER.match(line):
            if header[1].lower() == "n_points":
                stated = whole(header[2], where, "n_points")
            continue
        values = line.split()
        if len(values) != 2:
            raise InputError(f"{where}: {shown(line)} is not a point, which has two numbers. Correct the line.")
        if [value.lower() for value in values] == ["nan", "nan"]:
            points.append((np.nan, np.nan))
        else:
            points.append(
                (number(values[0], where, f"x of point {len(points) + 1}"), number(values[1], where, f"y of point {len(points) + 1}"))
            )
    if stated is not None and stated != len(points):
        raise InputError(
            f"{place}: n_points is {stated}, but the file has {counted(len(points), 'point')}. It may be cut off; copy it again."
        )
    if not points:
        raise InputError(f"{place} has no points. Copy it again, or remove it.")
    return np.array(points, np.float64)


def _check_counts(folder: Folder, points: dict[str, np.ndarray]) -> None:
    """Raises InputError if files have different numbers of points."""
    counts = Counter(len(each) for each in points.values())
    if len(counts) > 1:
        (usual, times), (other, _) = counts.most_common(2)
        example, odd = (next(file for file, each in points.items() if len(each) == size) for size in (usual, other))
        raise InputError(
            f"{printable(folder.path(odd))} has {counted(other, 'point')}, but {counted(times, 'file')}, such as {printable(example)}, "
            f"{'has' if times == 1 else 'have'} {usual}. A set has the same keypoints everywhere; keep one kind of files in the folder."
        )


@dataclass(frozen=True)
class _Stems:
    """The images of a folder by their stems, with their folders: the exact stems, and those without a final number."""

    exact: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    unnumbered: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, folder: Folder) -> "_Stems":
        stems = cls()
        for name in folder.images:
            stem = _stem(name)
            stems.exact[stem].append(name)
            if numbered := _NUMBERED.match(stem):
                stems.unnumbered[numbered[1]].append(name)
        return stems

    def image(self, folder: Folder, file: str) -> str:
        """The image of a .pts file. Raises InputError if there is none, or if there are several."""
        stem, place = _stem(file), printable(folder.path(file))
        numbered = _NUMBERED.match(stem)
        found = self.exact.get(stem)
        if not found and numbered:
            found = self.exact.get(numbered[1]) or self.unnumbered.get(numbered[1])
        if not found:
            raise InputError(
                f"{place}: there is no image {printable(stem)} (.jpg, .png, ...) in the folder of the set. "
                "Put the image beside its .pts file, or remove the file."
            )
        if len(found) > 1:
            raise InputError(f"{place} could belong to {found[0]} or {found[1]}. Give it the name of its image, or remove one of them.")
        return found[0]


def _stem(name: str) -> str:
    """A path without its suffix."""
    return str(PurePosixPath(name).with_suffix(""))


def _order(file: str) -> tuple[str, int]:
    """The key by which the faces of an image are sorted: NAME, NAME_1, NAME_2, ..., NAME_10."""
    numbered = _NUMBERED.match(_stem(file))
    return (numbered[1], int(numbered[2])) if numbered else (_stem(file), 0)


def _parts(images: list[str]) -> dict[str, Part]:
    """The parts of images by the names of their folders, if these set a part aside; otherwise "" for all."""
    parts = {image: part_of(str(PurePosixPath(image).parent)) for image in images}
    return parts if {"test", "validation"} & set(parts.values()) else dict.fromkeys(images, "")
