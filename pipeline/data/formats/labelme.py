"""LabelMe: a JSON file for each image, with points named by their keypoints (https://github.com/wkentaro/labelme).

Points and a rectangle that share a `group_id` are one instance. 0 is the edge of the image.
"""

import itertools
import json
import posixpath
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipeline.data.formats import documents, numbers
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.several import add_image, parts, with_sources
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels, Reading, check_one_source
from pipeline.errors import InputError, meant
from pipeline.units import counted, printable

CONVENTION = Convention(
    first=0.5,
    upwards=False,
    visibility='A point with the flag or the description "occluded" is labelled but hidden; a keypoint without a point is missing.',
    boxes=True,
)
_KEYS = re.compile(r'"(shapes|imagePath|imageData)"\s*:')


def find(folder: Folder) -> tuple[str, ...]:
    """The JSON files that begin as LabelMe's."""
    return tuple(name for name in folder.labels(".json") if _is_labelme(documents.beginning(folder.path(name))))


def _is_labelme(text: str) -> bool:
    return text.lstrip().startswith("{") and bool(_KEYS.search(text))


def read(folder: Folder, files: tuple[str, ...], reading: Reading) -> Labels:
    """The points of LabelMe files. Keypoints are in the order in which the files first name them.

    With a category, only instances whose rectangle has that label are read. Files in different folders that label the same image are
    annotation sources. Raises InputError for any fault.
    """
    found = [_LabelmeFile(folder, file) for file in files]
    _check_once(found)
    names = tuple(dict.fromkeys(name for each in found for group in each.groups.values() for name in group.points))
    if not names:
        raise InputError(f"{found[0].place} has no points. Create some in LabelMe, or leave the file out.")
    convention, part = reading.of(CONVENTION), parts([each.folder for each in found])
    images: dict[str, LabelledImage] = {}
    instances: dict[str, list[Instance]] = {}
    for each in found:
        add_image(images, LabelledImage(each.image, part[each.folder]), each.place)
        own = instances.setdefault(each.folder, [])
        own += [each.instance(key, names, convention) for key, group in each.groups.items() if group.is_wanted(reading.category)]
    if reading.category and not any(instances.values()):
        labels = sorted({group.category for each in found for group in each.groups.values()} - {""})
        known = meant(reading.category, labels) if labels else "no points share a group_id with a rectangle."
        raise InputError(f"{printable(folder.root)}: no rectangle with points has the label {reading.category!r}; {known}")
    return Labels("labelme", files, names, tuple(images.values()), with_sources(instances), notes=_notes(found))


def write(labels: Labels, folder: Folder, out: Path) -> None:
    """Writes a folder with a JSON file for each image, in the same folders below it as the images, for which LabelMe looks beside it."""
    check_one_source(labels)
    own: dict[str, list[Instance]] = {image.name: [] for image in labels.images}
    for instance in labels.instances:
        own[instance.image].append(instance)
    stems = Counter(PurePosixPath(image.name).with_suffix("").as_posix().lower() for image in labels.images)
    for image in labels.images:
        name = PurePosixPath(image.name)
        is_alone = stems[name.with_suffix("").as_posix().lower()] == 1
        path = out / (name.with_suffix(".json") if is_alone else name.with_name(f"{name.name}.json"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_document(own[image.name], labels.names, image.name, folder.size(image.name)), indent=2) + "\n")


def _document(own: list[Instance], names: tuple[str, ...], image: str, size: tuple[int, int]) -> dict[str, Any]:
    """The content of the file of an image."""
    has_numbers = all(re.fullmatch("[0-9]{1,9}", instance.id) for instance in own) and len({instance.id for instance in own}) == len(own)
    shapes = []
    for number, instance in enumerate(own, 1):
        group = None if len(own) == 1 and instance.id == "1" else int(instance.id) if has_numbers else number
        if instance.box:
            x, y, width, height = instance.box
            corners = CONVENTION.outwards(np.array([(x, y), (x + width, y + height)]))
            shapes.append(_shape("instance", corners, group, "rectangle"))
        points = CONVENTION.outwards(instance.keypoints)
        for name, point, is_occluded in zip(names, points, instance.occluded, strict=True):
            if not np.isnan(point).any():
                shapes.append(_shape(name, point[None], group, "point", is_occluded))
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": PurePosixPath(image).name,
        "imageData": None,
        "imageHeight": size[1],
        "imageWidth": size[0],
    }


def _shape(label: str, points: np.ndarray, group: int | None, kind: str, is_occluded: bool = False) -> dict[str, Any]:
    return {
        "label": label,
        "points": points.tolist(),
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": {"occluded": True} if is_occluded else {},
        "mask": None,
    }


@dataclass
class _LabelmeGroup:
    """The points with one group_id and the rectangle that they share, in the file's own coordinates."""

    points: dict[str, tuple[float, float]] = field(default_factory=dict)
    occluded: set[str] = field(default_factory=set)
    box: tuple[float, float, float, float] | None = None
    category: str = ""

    def is_wanted(self, category: str) -> bool:
        """Whether it is an instance, of this category if one is given."""
        return bool(self.points) and category in ("", self.category)


class _LabelmeFile:
    """One LabelMe file: its image and its groups of shapes. Raises InputError for any fault in it."""

    def __init__(self, folder: Folder, file: str) -> None:
        self.file, self.place = file, printable(folder.path(file))
        self.folder = posixpath.dirname(file) or "root"
        content = documents.read_json(folder.path(file))
        if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
            raise InputError(f"{self.place}: the file has no list of shapes, as LabelMe's files do. Save it with LabelMe, or leave it out.")
        self.image = self._image(folder, content)
        self.size = folder.size(self.image)
        self._check_size(content)
        self.groups: dict[str | None, _LabelmeGroup] = {}
        self.ignored: Counter[str] = Counter()
        for number, shape in enumerate(content["shapes"], 1):
            self._add(shape, f"{self.place}, shape {number}")

    def instance(self, key: str | None, names: tuple[str, ...], convention: Convention) -> Instance:
        """The instance of a group."""
        group = self.groups[key]
        points = np.array([group.points.get(name, (np.nan, np.nan)) for name in names])
        keypoints = convention.inwards(points, self.size[1])
        numbers.check_near(keypoints, self.size, f"{self.place}, image {self.image}", names)
        box = None
        if group.box:
            corners = convention.inwards(np.array(group.box).reshape(2, 2), self.size[1])
            box = numbers.box(corners, self.size, f"{self.place}, image {self.image}")
        id = next(str(number) for number in itertools.count(1) if str(number) not in self.groups) if key is None else key
        return Instance(self.image, id, keypoints, np.array([name in group.occluded for name in names], bool), box, place=self.place)

    def _image(self, folder: Folder, content: dict[str, Any]) -> str:
        text = content.get("imagePath")
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{self.place}: imagePath is {numbers.shown(text)}, not the name of an image. Correct it.")
        parent = PurePosixPath(self.file).parent
        # Beside the file, or in the folder of the same name elsewhere.
        name = posixpath.normpath(parent / text.replace("\\", "/"))
        found = folder.find(name, "")
        if found is None and isinstance(content.get("imageData"), str):
            raise InputError(
                f"{self.place}: the image {printable(text)[:200]} is only inside the file. Save it beside the file, for example with "
                f"labelme_export_json {printable(PurePosixPath(self.file).name)}"
            )
        return found or folder.image(text, self.file, self.place)

    def _check_size(self, content: dict[str, Any]) -> None:
        given = content.get("imageWidth"), content.get("imageHeight")
        if None not in given and given != self.size:
            shown = " x ".join(numbers.shown(each) for each in given)
            raise InputError(
                f"{self.place}: the labels are for an image of {shown} pixels, and {self.image} has {self.size[0]} x {self.size[1]} when "
                "upright. Use the image that was labelled."
            )

    def _add(self, shape: Any, place: str) -> None:
        if not isinstance(shape, dict):
            raise InputError(f"{place}: {numbers.shown(shape)} is not a shape. Save the file with LabelMe again.")
        kind = shape.get("shape_type", "polygon")
        if kind not in ("point", "rectangle"):
            self.ignored[numbers.shown(kind).strip("'")] += 1
            return
        label = shape.get("label")
        if not isinstance(label, str) or not label.strip():
            raise InputError(f"{place}: the label is {numbers.shown(label)}, not a name. Give the shape a label.")
        group = self.groups.setdefault(self._key(shape, place), _LabelmeGroup())
        points = self._points(shape, place, label)
        if kind == "point":
            self._add_point(group, label.strip(), points, place)
            if _is_occluded(shape):
                group.occluded.add(label.strip())
        else:
            self._add_box(group, label.strip(), points, place)

    def _key(self, shape: dict[str, Any], place: str) -> str | None:
        key = shape.get("group_id")
        if key is not None and (isinstance(key, bool) or not isinstance(key, int | str)):
            raise InputError(f"{place}: group_id is {numbers.shown(key)}, not a number. Correct it.")
        return None if key in (None, "") else printable(key)

    def _points(self, shape: dict[str, Any], place: str, label: str) -> list[tuple[float, float]]:
        points = shape.get("points")
        if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
            raise InputError(f"{place}: the points of {label!r} are {numbers.shown(points)}, not pairs of x and y. Correct them.")
        place_of = [(numbers.number(x, place, f"x of {label!r}"), numbers.number(y, place, f"y of {label!r}")) for x, y in points]
        if len(place_of) not in ((1,) if shape["shape_type"] == "point" else (2, 4)):
            raise InputError(f"{place}: the {shape['shape_type']} {label!r} has {counted(len(place_of), 'point')}. Draw it again.")
        return place_of

    def _add_point(self, group: _LabelmeGroup, label: str, points: list[tuple[float, float]], place: str) -> None:
        if label in group.points:
            raise InputError(
                f"{place}: a second {label!r} in the same instance of {self.image}. Remove it, or give the points of each instance a "
                "group_id of their own."
            )
        group.points[label] = points[0]

    def _add_box(self, group: _LabelmeGroup, label: str, points: list[tuple[float, float]], place: str) -> None:
        if group.box:
            raise InputError(f"{place}: a second rectangle in the same instance of {self.image}. Give each a group_id of its own.")
        (left, top), (right, bottom) = np.min(points, axis=0), np.max(points, axis=0)
        if left == right or top == bottom:
            raise InputError(f"{place}: the rectangle {label!r} has no area. Draw it again, or remove it.")
        group.box, group.category = (float(left), float(top), float(right), float(bottom)), label


def _is_occluded(shape: dict[str, Any]) -> bool:
    flags, description = shape.get("flags"), shape.get("description")
    is_described = isinstance(description, str) and description.strip().lower() == "occluded"
    return is_described or (isinstance(flags, dict) and flags.get("occluded") is True)


def _check_once(found: list[_LabelmeFile]) -> None:
    """Raises InputError if two files in one folder label the same image."""
    known: dict[tuple[str, str], str] = {}
    for each in found:
        other = known.setdefault((each.folder, each.image), each.file)
        if other != each.file:
            raise InputError(f"{each.place} labels the image {each.image}, as {printable(other)} does. Remove one of the two files.")


def _notes(found: list[_LabelmeFile]) -> tuple[str, ...]:
    notes = []
    ignored = sum((each.ignored for each in found), Counter[str]())
    if ignored:
        kinds = ", ".join(f"{count:,} of type {kind}" for kind, count in sorted(ignored.items())[:5])
        notes.append(f"Shapes other than points and rectangles are not read ({kinds}).")
    if boxes := sum(not group.points for each in found for group in each.groups.values()):
        notes.append(f"{counted(boxes, 'rectangle')} without points in the same group: not read.")
    return tuple(notes)
