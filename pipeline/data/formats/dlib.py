"""The XML files of dlib and of its tool imglab: boxes with named parts, in whole pixels (http://dlib.net/imaging.html).

A coordinate is the number of a pixel, whose centre is meant. A box covers the pixels from `left` to `left + width - 1`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

import numpy as np

from pipeline.data.formats import documents, numbers
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.several import add_image, parts, with_sources
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels, Reading, check_one_source, part_of
from pipeline.errors import InputError, meant
from pipeline.units import printable

CONVENTION = Convention(
    first=0.0,
    upwards=False,
    visibility="A part that a box does not have is missing; there is no mark for occluded parts. Boxes with ignore='1' are skipped.",
    boxes=True,
)


def find(folder: Folder) -> tuple[str, ...]:
    """The XML files that begin as those of imglab."""
    return tuple(name for name in folder.labels(".xml") if _is_dlib(documents.beginning(folder.path(name))))


def _is_dlib(text: str) -> bool:
    return "<dataset" in text and ("<image" in text or "imglab" in text)


def read(folder: Folder, files: tuple[str, ...], reading: Reading) -> Labels:
    """The parts of the boxes in imglab's files, in the order of dlib: by number if all names are numbers, otherwise by name.

    With a category, only boxes with that label are read. A file without train or test in its name that repeats others which have it, as
    300-W's does, is left out. Raises InputError for any fault.
    """
    found = {file: _ImglabFile(folder, file) for file in files}
    boxes = {file: [box for box in each.boxes if box.parts and reading.category in ("", box.label)] for file, each in found.items()}
    if reading.category and not any(boxes.values()):
        labels = sorted({box.label for each in found.values() for box in each.boxes if box.parts} - {""})
        known = meant(reading.category, labels) if labels else "no box with parts has a label."
        raise InputError(f"{printable(folder.root)}: no box with parts has the label {reading.category!r}; {known}")
    names = _ordered({name for own in boxes.values() for box in own for name in box.parts})
    if not names:
        raise InputError(f"{printable(folder.path(files[0]))} has no box with parts. Add some with imglab --parts, or leave the file out.")
    convention = reading.of(CONVENTION)
    instances = {file: [box.instance(names, convention) for box in own] for file, own in boxes.items()}
    repeated = _repeated(instances)
    kept = {file: own for file, own in instances.items() if file not in repeated}
    images: dict[str, LabelledImage] = {}
    for file, part in parts(tuple(kept)).items():
        for image in found[file].images:
            add_image(images, LabelledImage(image, part), found[file].place)
    notes = (*(f"{file} repeats what other files contain: not read." for file in repeated), *_notes(found.values()))
    return Labels("dlib", files, names, tuple(images.values()), with_sources(kept), notes=notes)


def write(labels: Labels, folder: Folder, out: Path) -> None:
    """Writes an XML file. dlib reads integers only: a keypoint is written as the pixel that contains it, and a box as the pixels it covers.

    An instance without a box gets the box of its keypoints, because in this format parts belong to boxes.
    """
    check_one_source(labels)
    own: dict[str, list[Instance]] = {image.name: [] for image in labels.images}
    for instance in labels.instances:
        own[instance.image].append(instance)
    lines = ["<?xml version='1.0' encoding='UTF-8'?>", "<dataset>", "<name>keypoints</name>", "<images>"]
    for image, instances in own.items():
        lines.append(f"  <image file={quoteattr(image)}>")
        for instance in instances:
            lines += _box_lines(instance, labels.names)
        lines.append("  </image>")
    lines += ["</images>", "</dataset>"]
    out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _box_lines(instance: Instance, names: tuple[str, ...]) -> Iterator[str]:
    """Yields the lines of a box with its parts; none if there are neither."""
    pixels = np.floor(instance.keypoints)
    known = pixels[~np.isnan(pixels).any(axis=1)]
    if instance.box:
        x, y, width, height = instance.box
        low, high = np.floor([x, y]), np.ceil([x + width, y + height])
    elif len(known):
        low, high = known.min(0), known.max(0) + 1
    else:
        return
    (left, top), (width, height) = low.astype(int), np.maximum(high - low, 1).astype(int)
    yield f"    <box top='{top}' left='{left}' width='{width}' height='{height}'>"
    for name, (x, y) in sorted(zip(names, pixels, strict=True), key=lambda named: named[0]):
        if not np.isnan(x):
            yield f"      <part name={quoteattr(name)} x='{int(x)}' y='{int(y)}'/>"
    yield "    </box>"


class _ImglabBox:
    """One box of a file, in the file's own coordinates. Raises InputError for any fault in it."""

    def __init__(self, element: Element, image: str, size: tuple[int, int], place: str) -> None:
        self.image, self.size, self.place = image, size, place
        self.is_ignored = element.get("ignore", "0").strip() not in ("0", "", "false")
        self.label = (element.findtext("label") or "").strip()
        self.id = ""
        self.parts: dict[str, tuple[float, float]] = {}
        if self.is_ignored:
            return
        left, top, width, height = (
            numbers.whole(element.get(key), place, f"{key} of the box") for key in ("left", "top", "width", "height")
        )
        if width <= 0 or height <= 0:
            raise InputError(f"{place}: the box is {width} x {height} pixels. Draw it again with imglab, or remove it.")
        self.box = (float(left), float(top), float(width), float(height))
        for part in element.iter("part"):
            name = part.get("name", "").strip()
            if not name:
                raise InputError(f"{place}: a part has no name. Name it with imglab --parts, or remove it.")
            if name in self.parts:
                raise InputError(f"{place}: a second part {name!r} in the same box. Remove one of them.")
            self.parts[name] = (
                numbers.number(part.get("x"), place, f"x of the part {name!r}"),
                numbers.number(part.get("y"), place, f"y of the part {name!r}"),
            )

    def instance(self, names: tuple[str, ...], convention: Convention) -> Instance:
        """The instance with these keypoints."""
        points = np.array([self.parts.get(name, (np.nan, np.nan)) for name in names])
        keypoints = convention.inwards(points, self.size[1])
        numbers.check_near(keypoints, self.size, f"{self.place}, image {self.image}", names)
        x, y, width, height = self.box
        if convention.upwards:
            y = self.size[1] - y - height
        box = numbers.box(np.array([(x, y), (x + width, y + height)]), self.size, f"{self.place}, image {self.image}")
        return Instance(self.image, self.id, keypoints, np.zeros(len(names), bool), box, place=self.place)


class _ImglabFile:
    """One file: its images and its boxes. Raises InputError for any fault in it."""

    def __init__(self, folder: Folder, file: str) -> None:
        self.place = printable(folder.path(file))
        root = documents.read_xml(folder.path(file))
        if root.tag != "dataset":
            raise InputError(f"{self.place}: the file is a <{printable(root.tag)[:40]}>, not a <dataset> of imglab. Leave it out.")
        self.images: dict[str, None] = {}
        self.boxes: list[_ImglabBox] = []
        self.ignored = 0
        count: Counter[str] = Counter()
        for number, element in enumerate(root.iter("image"), 1):
            text = element.get("file") or ""
            place = f"{self.place}, image {number}"
            if not text.strip():
                raise InputError(f"{place}: the attribute file is missing. Name the image file, or remove the element.")
            image = folder.image(text, file, place)
            self.images[image] = None
            size = folder.size(image)
            for position, child in enumerate(element.iter("box"), 1):
                box = _ImglabBox(child, image, size, f"{place}, box {position}")
                count[image] += 1
                box.id = str(count[image])
                self.ignored += box.is_ignored
                if not box.is_ignored:
                    self.boxes.append(box)


def _ordered(names: set[str]) -> tuple[str, ...]:
    if all(name.isascii() and name.isdigit() and len(name) < 10 for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _repeated(instances: dict[str, list[Instance]]) -> list[str]:
    """The files without a part in their name all of whose instances are in files that have one."""

    def content(files: Iterable[str]) -> set[tuple[str, bytes]]:
        return {(instance.image, instance.keypoints.tobytes()) for file in files for instance in instances[file]}

    divided = content(file for file in instances if part_of(file))
    return [file for file in instances if not part_of(file) and instances[file] and content([file]) <= divided]


def _notes(found: Iterable[_ImglabFile]) -> Iterator[str]:
    files = list(found)
    if ignored := sum(each.ignored for each in files):
        yield f"Boxes with ignore='1' are not read ({ignored:,})."
    if bare := sum(not box.parts for each in files for box in each.boxes):
        yield f"Boxes without parts are not read ({bare:,})."
