"""CVAT XML 1.1 with skeletons, for images and for videos whose frames are image files.

The labels in `<meta>` define the skeletons: keypoints are the labels whose `<parent>` is the skeleton, and the lines between them are in
its drawing, `<svg>`. An image has `<skeleton>` elements with `<points label="nose" outside="0" occluded="0" points="x,y">`. In a video,
these belong to a frame of a `<track>`, either as children of the skeleton or as tracks of their own inside the track
(cvat:cvat/apps/dataset_manager/formats/cvat.py). Frame 10 of a video is the image frame_000010.png, or one with another suffix.
"""

import math
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.data.formats import documents, written
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.numbers import box, check_near, number, shown, whole
from pipeline.data.formats.references import checked_size, images
from pipeline.data.formats.several import with_sources
from pipeline.data.labels import (
    Convention,
    Instance,
    LabelledImage,
    Labels,
    Part,
    Reading,
    check_one_source,
    part_of,
    with_unique_ids,
)
from pipeline.errors import InputError, meant
from pipeline.units import printable

CONVENTION = Convention(
    first=0.5,
    upwards=False,
    visibility='A keypoint with outside="1" is missing, and one with occluded="1" is occluded.',
    boxes=True,
)
_BEGINNING = 1 << 20  # bytes; the labels are defined before the first image
_SKELETON = re.compile(r"<type>\s*skeleton\s*</type>|<skeleton\b")
_NODE, _EDGE = (re.compile(rf"<{tag}\b[^>]*>") for tag in ("circle", "line"))
_SUBSETS: dict[Part, str] = {"training": "Train", "validation": "Validation", "test": "Test"}


def find(folder: Folder) -> tuple[str, ...]:
    """The XML files that define or contain skeletons."""
    return tuple(name for name in folder.labels(".xml") if _is_cvat(documents.beginning(folder.path(name), _BEGINNING)))


def read(folder: Folder, files: tuple[str, ...], reading: Reading) -> Labels:
    """The skeletons of one label. An image without one is empty; of a video, only frames with a skeleton are mentioned.

    A box with the group of a skeleton is its box. Raises InputError for any fault, and if there are several labels and none is chosen.
    """
    kinds: dict[str, _Kind] = {}
    parts: dict[str, Part] = {}
    entries: dict[str, list[_Picture]] = {}
    for file in files:
        root, place = documents.read_xml(folder.path(file)), printable(folder.path(file))
        for kind in _kinds(root, place):
            if kinds.setdefault(kind.label, kind).names != kind.names:
                raise InputError(
                    f"{place} defines other keypoints of {printable(kind.label)!r} than {kinds[kind.label].place}. Divide the set."
                )
        own = [*_of_images(root, place), *_of_tracks(root, place)]
        names = _located(folder, own, file)
        entries[file] = [entry.of(names[entry.image]) for entry in own]
        for entry in entries[file]:
            parts.setdefault(entry.image, entry.part or part_of(file))
    kind = _chosen(kinds, [figure for own in entries.values() for entry in own for figure in entry.figures], reading)
    instances = {
        file: with_unique_ids([each for entry in own for each in _instances(folder, kind, entry, reading)]) for file, own in entries.items()
    }
    labelled = tuple(LabelledImage(name, part) for name, part in parts.items())
    return Labels("cvat", files, kind.names, labelled, with_sources(instances), skeleton=kind.edges, category=kind.label)


def write(labels: Labels, folder: Folder, out: Path) -> None:
    """Writes an XML file of "CVAT for images 1.1", to be uploaded to a task that has the images and the label of the skeleton.

    The label is that of the label files if they are CVAT's or COCO's, otherwise `object`. The box of an instance is one called `box` with
    the same group. Predictions have the source `auto`. Raises InputError if the labels are of several annotation sources.
    """
    check_one_source(labels)
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    defined = ET.SubElement(ET.SubElement(ET.SubElement(root, "meta"), "task"), "labels")
    label, placed_by = written.category(labels), "auto" if labels.model else "manual"
    _define(defined, label, "skeleton", svg=_drawing(labels))
    for name in labels.names:
        _define(defined, name, "points", parent=label)
    if any(instance.box for instance in labels.instances):
        _define(defined, "box", "rectangle")
    own: defaultdict[str, list[Instance]] = defaultdict(list)
    for instance in labels.instances:
        own[instance.image].append(instance)
    group = 0
    for index, image in enumerate(labels.images):
        width, height = folder.size(image.name)
        facts = {"id": str(index), "name": image.name, "width": str(width), "height": str(height)}
        element = ET.SubElement(root, "image", facts | ({"subset": _SUBSETS[image.part]} if image.part else {}))
        for instance in own[image.name]:
            group += 1
            _add(element, label, labels.names, instance, {"source": placed_by, "z_order": "0", "group_id": str(group)})
    ET.indent(root)
    ET.ElementTree(root).write(out, encoding="utf-8", xml_declaration=True)


@dataclass(frozen=True)
class _Kind:
    """A label that is a skeleton. edges: pairs of names of keypoints."""

    label: str
    place: str
    names: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Figure:
    """A skeleton in an image. points: its keypoints, by label. box: left, top, right and bottom, as the file has them."""

    label: str
    id: str
    place: str
    points: tuple[tuple[str, ET.Element], ...]
    box: ET.Element | None


@dataclass(frozen=True)
class _Picture:
    """An image or a frame. size: what the file says of its size, if it does."""

    image: str
    place: str
    part: Part
    size: tuple[int, int] | None
    is_frame: bool
    figures: tuple[_Figure, ...]

    def of(self, image: str) -> "_Picture":
        """The entry with the name of its image in the folder."""
        return _Picture(image, self.place, self.part, self.size, self.is_frame, self.figures)


def _is_cvat(text: str) -> bool:
    """Whether a file that begins like this is one of CVAT with skeletons."""
    return "<annotations" in text and bool(_SKELETON.search(text))


def _kinds(root: ET.Element, place: str) -> Iterator[_Kind]:
    """Yields the skeletons that a file defines. Raises InputError if two keypoints of one have the same name."""
    labels = [
        (_text(label, "name"), _text(label, "type"), _text(label, "parent"), _text(label, "svg")) for label in root.iterfind("meta//label")
    ]
    parents = {parent for _, _, parent, _ in labels if parent}
    for label, kind, _, svg in labels:
        if kind != "skeleton" and label not in parents:
            continue
        names = tuple(name for name, _, parent, _ in labels if parent == label)
        if not names or len(set(names)) < len(names):
            raise InputError(
                f"{place}: the skeleton {printable(label)!r} has no keypoints, or two of the same name. "
                "Correct its label in CVAT, and export again."
            )
        yield _Kind(label, place, names, _edges(svg, names))


def _edges(svg: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The lines of a drawing between keypoints, in pairs of names."""
    nodes = {_attribute(node, "data-node-id"): _attribute(node, "data-label-name") for node in _NODE.findall(svg)}
    ends = [(nodes.get(_attribute(edge, "data-node-from")), nodes.get(_attribute(edge, "data-node-to"))) for edge in _EDGE.findall(svg)]
    return tuple((one, other) for one, other in ends if one in names and other in names and one is not None and other is not None)


def _attribute(tag: str, name: str) -> str:
    """An attribute of a tag of a drawing."""
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&") if found else ""


def _of_images(root: ET.Element, place: str) -> Iterator[_Picture]:
    """Yields the images of a file."""
    for element in root.iterfind("image"):
        name = element.get("name") or ""
        where = f"{place}, image {printable(name)}"
        size = whole(element.get("width"), where, "width"), whole(element.get("height"), where, "height")
        boxes = _boxes(element, where)
        figures = []
        for index, skeleton in enumerate(element.iterfind("skeleton"), 1):
            points = tuple((each.get("label") or "", each) for each in skeleton.iterfind("points"))
            own = boxes.get(skeleton.get("group_id") or "0")
            figures.append(_Figure(skeleton.get("label") or "", str(index), f"{where}, skeleton {index}", points, own))
        yield _Picture(name, where, part_of(element.get("subset") or ""), size, False, tuple(figures))


def _boxes(image: ET.Element, place: str) -> dict[str, ET.Element]:
    """The boxes of an image by their groups, where these have one box and one skeleton."""
    members: defaultdict[str, list[ET.Element]] = defaultdict(list)
    for element in image:
        if element.tag in ("box", "skeleton") and element.get("group_id") not in (None, "", "0"):
            members[element.get("group_id") or ""].append(element)
    pairs = {group: {each.tag: each for each in own} for group, own in members.items() if len(own) == 2}
    return {group: pair["box"] for group, pair in pairs.items() if len(pair) == 2 and _is_upright(pair["box"], place)}


def _is_upright(element: ET.Element, place: str) -> bool:
    """Whether a box is not rotated."""
    return number(element.get("rotation") or 0, place, "rotation of the box") == 0


def _of_tracks(root: ET.Element, place: str) -> Iterator[_Picture]:
    """Yields the frames of a file in which skeletons are."""
    figures: defaultdict[int, list[_Figure]] = defaultdict(list)
    for track in root.iterfind("track"):
        label, name = track.get("label") or "", track.get("id") or ""
        where = f"{place}, track {printable(name)}"
        parts: defaultdict[int, list[tuple[str, ET.Element]]] = defaultdict(list)
        for inner in track.iterfind("track"):
            for each in inner.iterfind("points"):
                parts[whole(each.get("frame"), where, "frame")].append((inner.get("label") or "", each))
        for skeleton in track.iterfind("skeleton"):
            frame = whole(skeleton.get("frame"), where, "frame")
            points = (*((each.get("label") or "", each) for each in skeleton.iterfind("points")), *parts[frame])
            if skeleton.get("outside") != "1" and any(each.get("outside") != "1" for _, each in points):
                figures[frame].append(_Figure(label, name, f"{where}, frame {frame}", points, None))
    sides = [root.findtext(f"meta//original_size/{side}") for side in ("width", "height")]
    size = (whole(sides[0], place, "width"), whole(sides[1], place, "height")) if all(sides) else None
    for frame, own in sorted(figures.items()):
        yield _Picture(f"frame_{frame:06}", f"{place}, frame {frame}", "", size, True, tuple(own))


def _located(folder: Folder, entries: list[_Picture], file: str) -> dict[str, str]:
    """The images of entries, by what the file says of them. Raises InputError if images are not there."""
    frames = {entry.image for entry in entries if entry.is_frame}
    suffixes: dict[str, str] = {}
    for name in folder.images:
        path = PurePosixPath(name)
        if path.stem in frames and (path.stem not in suffixes or path.is_relative_to(PurePosixPath(file).parent)):
            suffixes[path.stem] = path.suffix
    texts = {entry.image: entry.image + suffixes.get(entry.image, ".png") if entry.is_frame else entry.image for entry in entries}
    found = images(folder, texts.values(), file)
    return {image: found[text] for image, text in texts.items()}


def _chosen(kinds: dict[str, _Kind], figures: list[_Figure], reading: Reading) -> _Kind:
    """The skeleton that is read. Raises InputError if the chosen one does not exist, or if none is chosen and several are used."""
    for figure in figures:
        if figure.label not in kinds:
            raise InputError(
                f"{figure.place}: the label {printable(figure.label)!r} is not defined as a skeleton in <meta>. Export the labels again."
            )
    place = next(iter(kinds.values())).place if kinds else "The file"
    if reading.category:
        if reading.category not in kinds:
            raise InputError(f"{place} has no skeleton {printable(reading.category)!r}; {meant(reading.category, kinds)}")
        return kinds[reading.category]
    used = [label for label in kinds if label in {figure.label for figure in figures}]
    if len(used) > 1:
        raise InputError(f"{place} has several skeletons: {printable(', '.join(used))}. Choose one with --dataset-category.")
    if not used:
        raise InputError(f"{place} has no skeletons. Label keypoints as a skeleton in CVAT, and export them as CVAT 1.1.")
    return kinds[used[0]]


def _instances(folder: Folder, kind: _Kind, entry: _Picture, reading: Reading) -> Iterator[Instance]:
    """Yields the skeletons of an image that are of one label."""
    figures = [figure for figure in entry.figures if figure.label == kind.label]
    if not figures:
        return
    size = checked_size(folder, entry.image, entry.size, entry.place) if entry.size else folder.size(entry.image)
    convention = reading.of(CONVENTION)
    for figure in figures:
        points, occluded = np.full((len(kind.names), 2), np.nan), np.zeros(len(kind.names), bool)
        seen: set[str] = set()
        for label, element in figure.points:
            if label not in kind.names or label in seen:
                what = "occurs twice" if label in seen else f"is not one of {', '.join(kind.names)}"
                raise InputError(f"{figure.place}: the keypoint {printable(label)!r} {printable(what)[:300]}. Correct it in CVAT.")
            seen.add(label)
            if element.get("outside") != "1":
                index = kind.names.index(label)
                points[index] = convention.inwards(_point(element, figure.place, label), size[1])
                occluded[index] = element.get("occluded") == "1"
        check_near(points, size, figure.place, kind.names)
        corners = None if figure.box is None else convention.inwards(_corners(figure.box, figure.place), size[1])
        around = None if corners is None else box(corners, size, figure.place)
        yield Instance(entry.image, figure.id, points, occluded, around, place=figure.place.removeprefix(f"{printable(folder.root)}/"))


def _point(element: ET.Element, place: str, label: str) -> np.ndarray:
    """The coordinates of a keypoint, float64 (2,), as the file has them."""
    values = (element.get("points") or "").split(",")
    what = f"of the keypoint {printable(label)!r}"
    if len(values) != 2:
        raise InputError(f"{place}: the points {what} are {shown(element.get('points') or '')}, not x,y. Correct them.")
    return np.array([number(value, place, f"{axis} {what}") for axis, value in zip("xy", values, strict=True)])


def _corners(element: ET.Element, place: str) -> np.ndarray:
    """Two corners of a box, float64 (2, 2), as the file has them."""
    return np.array([number(element.get(side), place, f"{side} of the box") for side in ("xtl", "ytl", "xbr", "ybr")]).reshape(2, 2)


def _text(element: ET.Element, tag: str) -> str:
    """The text of a child, without the space around it."""
    return (element.findtext(tag) or "").strip()


def _define(labels: ET.Element, name: str, kind: str, *, parent: str = "", svg: str = "") -> None:
    """Adds the definition of a label."""
    label = ET.SubElement(labels, "label")
    ET.SubElement(label, "name").text = name
    ET.SubElement(label, "type").text = kind
    ET.SubElement(label, "attributes")
    if svg:
        ET.SubElement(label, "svg").text = svg
    if parent:
        ET.SubElement(label, "parent").text = parent


def _drawing(labels: Labels) -> str:
    """The drawing of a skeleton: keypoints on a circle, and lines between them. CVAT takes it as the first shape of a new skeleton."""
    angles = [2 * math.pi * index / len(labels.names) for index in range(len(labels.names))]
    places = {name: (50 + 40 * math.sin(angle), 50 - 40 * math.cos(angle)) for name, angle in zip(labels.names, angles, strict=True)}
    numbers = {name: index for index, name in enumerate(labels.names, 1)}
    root = ET.Element("svg")
    for one, other in labels.skeleton:
        (x1, y1), (x2, y2) = places[one], places[other]
        ends = {"x1": f"{x1:.2f}", "y1": f"{y1:.2f}", "x2": f"{x2:.2f}", "y2": f"{y2:.2f}"}
        nodes = {"data-type": "edge", "data-node-from": str(numbers[one]), "data-node-to": str(numbers[other])}
        ET.SubElement(root, "line", {**ends, "stroke": "black", "stroke-width": "0.5", **nodes})
    for name, (x, y) in places.items():
        node = {
            "data-type": "element node",
            "data-element-id": str(numbers[name]),
            "data-node-id": str(numbers[name]),
            "data-label-name": name,
        }
        ET.SubElement(root, "circle", {"r": "1.5", "stroke": "black", "fill": "#b3b3b3", "cx": f"{x:.2f}", "cy": f"{y:.2f}", **node})
    return "".join(ET.tostring(element, encoding="unicode", short_empty_elements=False) for element in root)


def _add(image: ET.Element, label: str, names: tuple[str, ...], instance: Instance, facts: dict[str, str]) -> None:
    """Adds an instance to an image; missing keypoints lie in the middle of the others, because CVAT wants all of them to be somewhere.

    label: of the skeleton. facts: the source, the order and the group of the shapes; only a skeleton with a box needs the group.
    """
    common = {name: value for name, value in facts.items() if name != "group_id"}
    grouped = {} if instance.box is None else {"group_id": facts["group_id"]}
    if instance.box is not None:
        x, y, width, height = instance.box
        (left, top), (right, bottom) = CONVENTION.outwards(np.array([(x, y), (x + width, y + height)])).tolist()
        sides = {"xtl": str(left), "ytl": str(top), "xbr": str(right), "ybr": str(bottom)}
        ET.SubElement(image, "box", {"label": "box", "occluded": "0", **sides, **common, **grouped})
    skeleton = ET.SubElement(image, "skeleton", {"label": label, "occluded": "0", "points": "", **common, **grouped})
    points = CONVENTION.outwards(instance.keypoints)
    missing = np.isnan(points).any(axis=1)
    middle = points[~missing].mean(axis=0) if not missing.all() else np.zeros(2)
    for index, name in enumerate(names):
        x, y = (middle if missing[index] else points[index]).tolist()
        states = {"occluded": str(int(instance.occluded[index])), "outside": str(int(missing[index]))}
        ET.SubElement(skeleton, "points", {"label": name, **states, "points": f"{x},{y}", **common})
