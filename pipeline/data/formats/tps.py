"""TPS, the format of tpsDig and of geometric morphometrics: landmarks by number, with the origin at the lower left corner of the image.

A specimen is a line LM= with the number of landmarks, a line x y for each, and lines such as IMAGE=, ID= and SCALE=
(F. J. Rohlf, tpsDig2; https://sbmorphometrics.org). Some programs write a comma for the decimal point.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.data.formats import documents, numbers
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.several import add_image, parts, with_sources
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels, Reading, check_one_source, with_unique_ids
from pipeline.errors import InputError
from pipeline.units import counted, printable

CONVENTION = Convention(
    first=0.5,
    upwards=True,
    visibility="A landmark with two negative coordinates, or with NA, is missing; there is no mark for occluded ones.",
    boxes=False,
)
LARGEST = 64 << 20  # bytes
MOST_LANDMARKS = 10_000
_LINE = re.compile(r"[^\r\n]+")
_IGNORED = ("CURVES", "POINTS", "OUTLINES")  # keys that more coordinates follow
_MISSING = ("NA", "NAN")


def find(folder: Folder) -> tuple[str, ...]:
    """The TPS files: those that begin with a number of landmarks."""
    return tuple(name for name in folder.labels(".tps") if _STARTS.search(documents.beginning(folder.path(name))))


_STARTS = re.compile(r"^\s*LM3?\s*=", re.IGNORECASE | re.MULTILINE)


def read(folder: Folder, files: tuple[str, ...], reading: Reading) -> Labels:
    """The landmarks of TPS files, called "1" to the number of landmarks. Raises InputError for any fault."""
    convention = reading.of(CONVENTION)
    images: dict[str, LabelledImage] = {}
    instances: dict[str, list[Instance]] = {}
    specimens = [(file, specimen) for file in files for specimen in _specimens(folder.path(file))]
    count, part = _landmarks(specimens), parts(files)
    if not count:
        raise InputError(f"{printable(folder.path(files[0]))} has no landmarks. Digitize them first, or leave the file out.")
    names = tuple(str(number) for number in range(1, count + 1))
    for file, specimen in specimens:
        image = folder.image(specimen.image, file, specimen.place)
        add_image(images, LabelledImage(image, part[file]), specimen.place)
        if not specimen.count:
            continue
        size = folder.size(image)
        points = convention.inwards(np.array(specimen.points), size[1])
        numbers.check_near(points, size, f"{specimen.place}, image {image}", names)
        instance = Instance(image, specimen.id, points, np.zeros(count, bool), place=specimen.place)
        instances.setdefault(file, []).append(instance)
    numbered = with_sources({file: with_unique_ids(own) for file, own in instances.items()})
    return Labels("tps", files, names, tuple(images.values()), numbered, notes=_notes(specimens, convention))


def scales(folder: Folder, files: tuple[str, ...]) -> dict[str, float]:
    """The length of a pixel in each image that has a SCALE=, in the unit in which the scale was set: tpsDig multiplies pixels by it."""
    return {
        folder.image(specimen.image, file, specimen.place): specimen.scale
        for file in files
        for specimen in _specimens(folder.path(file))
        if specimen.scale is not None
    }


def write(labels: Labels, folder: Folder, out: Path) -> None:
    """Writes a TPS file. Names of keypoints, boxes and occlusion have no place in it; keypoints are written in their order.

    Raises InputError for a keypoint to the left of its image and below it: with two negative coordinates it would count as missing.
    """
    check_one_source(labels)
    lines = []
    ids = [instance.id for instance in labels.instances]
    are_unique = len(set(ids)) == len(ids) and all(text.isascii() and text.isdigit() for text in ids)
    for number, instance in enumerate(labels.instances):
        points = CONVENTION.outwards(instance.keypoints, folder.size(instance.image)[1])
        lines.append(f"LM={len(points)}")
        for name, (x, y) in zip(labels.names, points, strict=True):
            if x < 0 and y < 0:
                raise InputError(
                    f"The keypoint {name!r} of {printable(instance.image)} lies to the left of the image and below it, where TPS can only "
                    "have missing landmarks. Choose another format."
                )
            lines.append("-1. -1." if math.isnan(x) else f"{_text(x)} {_text(y)}")
        lines += [f"IMAGE={instance.image}", f"ID={instance.id if are_unique else number}"]
    out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _text(value: float) -> str:
    """A coordinate as tpsDig writes it: integers with a point."""
    return f"{value:.9f}".rstrip("0")


@dataclass
class _Specimen:
    """One specimen of a TPS file, as it is read line by line."""

    place: str
    count: int
    points: list[tuple[float, float]] = field(default_factory=list)
    image: str = ""
    id: str = ""
    scale: float | None = None
    has_curves: bool = False

    def check(self) -> None:
        """Raises InputError if it is not complete."""
        if len(self.points) < self.count:
            raise InputError(
                f"{self.place}: {counted(self.count, 'landmark')} should follow, and there are {len(self.points)}. Correct the file."
            )
        if not self.image:
            raise InputError(f"{self.place}: the specimen names no image. Add a line IMAGE= with the name of its file.")

    def add(self, line: str, place: str) -> None:
        """Adds a landmark from its line."""
        words = line.split()
        number = len(self.points) + 1
        if len(words) != 2:
            raise InputError(f"{place}: {numbers.shown(line.strip())} is not x and y of landmark {number}. Correct the file.")
        if any(word.upper() in _MISSING for word in words):
            self.points.append((math.nan, math.nan))
            return
        x, y = (numbers.number(_decimal(word), place, f"{axis} of landmark {number}") for axis, word in zip("xy", words, strict=True))
        self.points.append((math.nan, math.nan) if x < 0 and y < 0 else (x, y))

    def set(self, key: str, value: str, place: str) -> None:
        """Takes over the value of a line KEY=value."""
        if key == "IMAGE":
            self.image = value
        elif key == "ID":
            self.id = value
        elif key == "SCALE":
            self.scale = numbers.number(_decimal(value), place, "SCALE")
            if self.scale <= 0:
                raise InputError(f"{place}: SCALE is {numbers.shown(value)}, not the length of a pixel. Correct it.")
        elif key in _IGNORED:
            self.has_curves = True


def _decimal(text: str) -> str:
    return text if "." in text else text.replace(",", ".")


def _specimens(path: Path) -> Iterator[_Specimen]:
    """Yields the specimens of a TPS file, each complete. Raises InputError."""
    specimen: _Specimen | None = None
    text = documents.text(path, largest=LARGEST)
    number, end = 1, 0
    for found in _LINE.finditer(text):
        number += text.count("\n", end, found.start()) or text.count("\r", end, found.start())
        end = found.end()
        line, place = found[0], f"{printable(path)}, line {number}"
        key, is_value, value = line.partition("=")
        key, value = key.strip().upper(), value.strip()
        if not line.strip():
            continue
        if is_value and key in ("LM", "LM3"):
            if specimen:
                specimen.check()
                yield specimen
            specimen = _Specimen(place, _count(key, value, place))
        elif specimen is None:
            raise InputError(f"{place}: a TPS file begins with the number of landmarks (LM=). Correct the file.")
        elif is_value:
            if len(specimen.points) < specimen.count:
                specimen.check()
            specimen.set(key, value, place)
        elif len(specimen.points) < specimen.count:
            specimen.add(line, place)
        elif not specimen.has_curves:
            raise InputError(f"{place}: there are more landmarks than LM={specimen.count} says. Correct the file.")
    if specimen:
        specimen.check()
        yield specimen


def _count(key: str, value: str, place: str) -> int:
    if key == "LM3":
        raise InputError(f"{place}: LM3 announces landmarks in three dimensions, which no image has. Leave the file out.")
    count = numbers.whole(value, place, key)
    if not 0 <= count <= MOST_LANDMARKS:
        raise InputError(f"{place}: LM is {count}; 0 to {MOST_LANDMARKS:,} landmarks are read. Correct the file.")
    return count


def _landmarks(specimens: list[tuple[str, _Specimen]]) -> int:
    """The number of landmarks, the same in all specimens that have any. Raises InputError."""
    labelled = [specimen for _, specimen in specimens if specimen.count]
    for specimen in labelled:
        if specimen.count != labelled[0].count:
            raise InputError(
                f"{specimen.place}: {counted(specimen.count, 'landmark')}, but {labelled[0].count} in {labelled[0].place}. "
                "All specimens need the same landmarks; give missing ones as -1 -1."
            )
    return labelled[0].count if labelled else 0


def _notes(specimens: list[tuple[str, _Specimen]], convention: Convention) -> tuple[str, ...]:
    notes = []
    if convention.upwards:
        notes.append("y is taken to grow upwards from the lower edge of the image, as tpsDig writes it.")
    if curves := [specimen for _, specimen in specimens if specimen.has_curves]:
        notes.append(f"Curves and outlines are not read ({curves[0].place}, for example).")
    if empty := sum(not specimen.count for _, specimen in specimens):
        notes.append(f"{counted(empty, 'specimen')} without landmarks.")
    if found := [specimen.scale for _, specimen in specimens if specimen.scale is not None]:
        span = f"{min(found):g}" if min(found) == max(found) else f"{min(found):g} to {max(found):g}"
        notes.append(f"{counted(len(found), 'specimen')} with a scale of {span} units per pixel (SCALE).")
    return tuple(notes)
