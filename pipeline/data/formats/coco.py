"""COCO's JSON files with keypoints (cocodataset.org/#format-data): images, annotations and categories.

A keypoint is x, y, v: v = 0 is not labelled, v = 1 labelled but not visible, v = 2 labelled and visible. Integers are centres of pixels:
the annotators of COCO clicked pixels. A box [x, y, width, height] goes from edge to edge, measured from the top left corner of the image.
Annotations of crowds (iscrowd) have no keypoints of their own. Images without annotations are images in which there is nothing. Several
files, such as person_keypoints_train2017.json and person_keypoints_val2017.json, are parts of the set.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipeline.data.formats import documents, references, several, written
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.numbers import LARGEST, check_near, number, shown
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels, Part, Reading
from pipeline.errors import InputError, meant
from pipeline.units import counted, printable

CONVENTION = Convention(
    first=0.0,
    upwards=False,
    visibility="A keypoint with v = 0 is missing, one with v = 1 is occluded, and one with v = 2 is visible.",
    boxes=True,
)
_LOOKED_AT = 1 << 16  # bytes at each end, to recognise a file
_DIGITS = 15  # of a name that is an identifier: larger numbers are not exact in every program
_LISTS = ("images", "annotations", "categories")
_SUFFIXES: dict[Part, str] = {"": "", "training": "_train", "validation": "_val", "test": "_test"}


def find(folder: Folder) -> tuple[str, ...]:
    """The JSON files whose ends look like those of COCO's files with keypoints."""
    return tuple(file for file in folder.labels(".json") if _is_coco(documents.ends(folder.path(file), _LOOKED_AT, _LOOKED_AT)))


def _is_coco(ends: str) -> bool:
    known = sum(re.search(rf'"{key}"\s*:\s*\[', ends) is not None for key in _LISTS) + ('"image_id"' in ends)
    return ends.lstrip().startswith("{") and '"keypoints"' in ends and known > 1


@dataclass(frozen=True)
class _Category:
    """The category that is read from a file. skeleton: pairs of names. others: the identifiers of the other categories."""

    id: object
    name: str
    names: tuple[str, ...]
    skeleton: tuple[tuple[str, str], ...]
    others: frozenset[object]


@dataclass
class _Reader:
    """What is read file by file. skipped: what is left out -> how often."""

    folder: Folder
    reading: Reading
    names: tuple[str, ...] = ()
    category: str = ""
    skeleton: tuple[tuple[str, str], ...] = ()
    images: dict[str, LabelledImage] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)


def read(folder: Folder, files: tuple[str, ...], reading: Reading) -> Labels:
    """The instances of the category with keypoints, or of `reading.category` if there are several such categories.

    Raises InputError for a file that is not as described above, with the identifier of the annotation and its image.
    """
    reader, parts = _Reader(folder, reading), several.parts(files)
    instances = {file: _read_file(reader, file, files[0], parts[file]) for file in files}
    skipped = reader.skipped
    notes = [f"{counted(skipped['crowd'], 'annotation')} of crowds left out."] if skipped["crowd"] else []
    notes += written.unlabelled(skipped["unlabelled"])
    notes += [f"{counted(skipped['box'], 'instance')} with a box without an area; the box is not used."] if skipped["box"] else []
    if not any(instances.values()):
        raise InputError(f"{printable(folder.path(files[0]))} has no annotation with a labelled keypoint. Check that it is the right file.")
    images, sourced, skeleton = tuple(reader.images.values()), several.with_sources(instances), reader.skeleton
    return Labels("coco", files, reader.names, images, sourced, skeleton=skeleton, notes=tuple(notes), category=reader.category)


def _read_file(reader: _Reader, file: str, first: str, part: Part) -> list[Instance]:
    folder = reader.folder
    place = printable(folder.path(file))
    content = documents.read_json(folder.path(file))
    for key in _LISTS:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise InputError(f"{place} has no list {key!r}, as COCO's files have. Export the labels again.")
    category = _category(content["categories"], reader.reading.category, place)
    reader.names, reader.category = reader.names or category.names, reader.category or category.name
    reader.skeleton = reader.skeleton or category.skeleton
    several.check_names(reader.names, category.names, first, file)
    entries = _images(content["images"], place)
    names = references.images(folder, [entry["file_name"] for entry in entries.values()], file)
    images = {identifier: names[entry["file_name"]] for identifier, entry in entries.items()}
    for image in images.values():
        several.add_image(reader.images, LabelledImage(image, part), file)
    order = [category.names.index(name) for name in reader.names]
    checked: dict[object, tuple[int, int]] = {}
    found = []
    for identifier, entry, where in _annotations(content["annotations"], category, images, reader.skipped, place):
        if entry["image_id"] not in checked:
            checked[entry["image_id"]] = _size(folder, entries[entry["image_id"]], images[entry["image_id"]], where)
        keypoints, occluded = _keypoints(entry["keypoints"], category.names, where)
        if np.isnan(keypoints).all():
            reader.skipped["unlabelled"] += 1
            continue
        size = checked[entry["image_id"]]
        keypoints = reader.reading.of(CONVENTION).inwards(keypoints, size[1])
        check_near(keypoints, size, where, category.names)
        box = _box(entry.get("bbox"), where)
        reader.skipped["box"] += box is None and bool(entry.get("bbox"))
        one = Instance(images[entry["image_id"]], identifier, keypoints, occluded, box, place=f"{place}, annotation {identifier}")
        found.append(several.reordered(one, order))
    return found


def _category(categories: list[Any], wanted: str, place: str) -> _Category:
    """The wanted category, or the only one with keypoints. Raises InputError if there is none, or if it is not clear which is meant."""
    for entry in categories:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not _is_key(entry.get("id")):
            raise InputError(f"{place}: the category {shown(entry)} has no name or no identifier. Export the labels again.")
    usable = {entry["name"]: entry for entry in categories if entry.get("keypoints")}
    if not usable:
        raise InputError(f"{place}: no category has names of keypoints. Export the annotations as COCO keypoints.")
    if wanted and wanted not in usable:
        raise InputError(f"{place} has no category {wanted!r} with keypoints; {printable(meant(wanted, usable))}")
    if len(usable) > 1 and not wanted:
        raise InputError(
            f"{place} has several categories with keypoints: {', '.join(map(printable, usable))}. Name one with --dataset-category."
        )
    entry = usable[wanted or next(iter(usable))]
    names = entry["keypoints"]
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise InputError(
            f"{place}: the keypoints of the category {shown(entry['name'])} are not a list of different names. Correct the list."
        )
    others = frozenset(other["id"] for other in categories if other["id"] != entry["id"])
    return _Category(entry["id"], entry["name"], tuple(names), _skeleton(entry.get("skeleton"), names), others)


def _skeleton(lines: Any, names: list[str]) -> tuple[tuple[str, str], ...]:
    """The pairs of names. Keypoints are counted from 1, or from 0 if a line says so, as those of Datumaro do; faulty lines are left out."""
    pairs = [line for line in lines if isinstance(line, list) and len(line) == 2] if isinstance(lines, list) else []
    pairs = [pair for pair in pairs if all(type(index) is int for index in pair) and pair[0] != pair[1]]
    first = 0 if any(0 in pair for pair in pairs) else 1
    return tuple((names[a - first], names[b - first]) for a, b in pairs if min(a, b) >= first and max(a, b) - first < len(names))


def _is_key(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _images(entries: list[Any], place: str) -> dict[object, dict[str, Any]]:
    """Identifier -> entry of an image."""
    found: dict[object, dict[str, Any]] = {}
    names: set[str] = set()
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or not _is_key(entry.get("id")) or not isinstance(entry.get("file_name"), str):
            raise InputError(f'{place}: entry {index + 1} of "images" has no id or no file_name. Export the labels again.')
        if entry["id"] in found or entry["file_name"] in names:
            raise InputError(
                f"{place}: the image {shown(entry['file_name'])} or its id {shown(entry['id'])} occurs twice. Remove one of them."
            )
        found[entry["id"]] = entry
        names.add(entry["file_name"])
    return found


def _size(folder: Folder, entry: Mapping[str, Any], image: str, where: str) -> tuple[int, int]:
    """Width and height of an image. Raises InputError if the label file says otherwise."""
    width, height = entry.get("width"), entry.get("height")
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        return references.checked_size(folder, image, (width, height), where)
    return folder.size(image)


def _annotations(
    entries: list[Any], category: _Category, images: Mapping[object, str], skipped: Counter[str], place: str
) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Identifier, entry and place of the annotations of a category that have keypoints."""
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InputError(f'{place}: entry {index + 1} of "annotations" is {shown(entry)}. Export the labels again.')
        given = entry.get("id")
        identifier = printable(given) if isinstance(given, str) else str(given) if _is_key(given) else f"{index + 1} in order"
        if identifier in seen:
            raise InputError(f"{place}: the annotation {identifier} occurs twice. Give each annotation an id of its own.")
        seen.add(identifier)
        for key, known in (("category_id", category.others | {category.id}), ("image_id", images)):
            if not _is_key(entry.get(key)) or entry[key] not in known:
                raise InputError(
                    f"{place}, annotation {identifier}: there is no entry for its {key} {shown(entry.get(key))}. "
                    "Add the entry, or remove the annotation."
                )
        if entry["category_id"] != category.id:
            continue
        if entry.get("iscrowd"):
            skipped["crowd"] += 1
        elif not entry.get("keypoints"):
            skipped["unlabelled"] += 1
        else:
            yield identifier, entry, f"{place}, annotation {identifier} ({printable(images[entry['image_id']])})"


def _keypoints(values: Any, names: tuple[str, ...], place: str) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints, float64 (K, 2), NaN where not labelled, and whether they are occluded, bool (K,)."""
    if not isinstance(values, list) or len(values) != 3 * len(names):
        has = f"{len(values)} values" if isinstance(values, list) else shown(values)
        raise InputError(f"{place}: its keypoints are {has}, not x, y and v for each of {len(names)}. Correct the list.")
    try:
        if not {type(value) for value in values} <= {int, float}:
            raise ValueError
        found = np.array(values, np.float64).reshape(-1, 3)
    except (ValueError, OverflowError):
        whats = [f"{axis} of the keypoint {shown(name)}" for name in names for axis in "xyv"]
        found = np.array([number(value, place, what) for value, what in zip(values, whats, strict=True)]).reshape(-1, 3)
    visible, points = found[:, 2], found[:, :2]
    if not (set(visible.tolist()) <= {0, 1, 2} and np.abs(points).max() <= LARGEST):
        for name, (x, y, v) in zip(names, zip(*[iter(values)] * 3, strict=True), strict=True):
            for axis, value in zip("xyv", (x, y, v), strict=True):
                number(value, place, f"{axis} of the keypoint {shown(name)}")
            if v not in (0, 1, 2):
                raise InputError(f"{place}: v of the keypoint {shown(name)} is {shown(v)}, not 0, 1 or 2. Correct it.")
    return np.where(visible[:, None] > 0, points, np.nan), visible == 1


def _box(values: Any, place: str) -> tuple[float, float, float, float] | None:
    """The box; None if there is none, or if it has no area, as some of COCO's."""
    if not values:
        return None
    if not isinstance(values, list) or len(values) != 4:
        raise InputError(f"{place}: bbox is {shown(values)}, not [x, y, width, height]. Correct it.")
    x, y, width, height = (
        number(value, place, f"{what} of bbox") for value, what in zip(values, ("x", "y", "width", "height"), strict=True)
    )
    return (x, y, width, height) if width > 0 and height > 0 else None


def write(labels: Labels, folder: Folder, out: Path) -> None:
    """Writes the file `out` if its name has a suffix, otherwise the folder `out` with a file for each part and annotation source.

    One file does not say which image is in which part of the set. An instance without a box gets the one around its keypoints. The category
    is called as in the label files, otherwise object. An image gets the number that its name is, if all names are numbers, as COCO's are.
    Annotations of predictions have a score, so that their list is one of results. Raises InputError for several sources in one file, and
    for an image whose size cannot be read.
    """
    written.check_sources(labels, out)
    sources = sorted({one.source for one in labels.instances}) or [""]
    parts: list[Part | None] = [None] if out.suffix else list(dict.fromkeys(image.part for image in labels.images))
    for source in sources:
        for part in parts:
            own = [one for one in labels.instances if one.source == source]
            images = {image: found for image, found in written.by_image(labels, own).items() if part is None or image.part == part}
            name = f"keypoints{'_' * bool(source)}{source.replace('/', '_')}{_SUFFIXES[part or '']}.json"
            written.write_text(out if out.suffix else out / name, json.dumps(_content(labels, folder, images)))


def _content(labels: Labels, folder: Folder, images: Mapping[LabelledImage, list[Instance]]) -> dict[str, Any]:
    numbers = {name: index for index, name in enumerate(labels.names, 1)}
    skeleton = [[numbers[a], numbers[b]] for a, b in labels.skeleton]
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    identifiers = [one.id for found in images.values() for one in found]
    keep = len(set(identifiers)) == len(identifiers) and all(identifier.isdecimal() for identifier in identifiers)
    for image_id, (image, found) in zip(_image_ids(images), images.items(), strict=True):
        width, height = folder.size(image.name)
        entries.append({"id": image_id, "file_name": image.name, "width": width, "height": height})
        for one in found:
            missing = np.isnan(one.keypoints[:, 0])
            visible = np.where(missing, 0, np.where(one.occluded, 1, 2))
            points = np.where(missing[:, None], 0, CONVENTION.outwards(one.keypoints))
            box = written.box(one)
            annotations.append(
                {
                    "id": int(one.id) if keep else len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "keypoints": written.plain(np.column_stack([points, visible]).ravel()),
                    "num_keypoints": int((~missing).sum()),
                    "bbox": written.plain(box),
                    "area": round(box[2] * box[3], 6),
                    "iscrowd": 0,
                    **({} if one.score is None else {"score": round(one.score, 6)}),
                }
            )
    name = written.category(labels)
    category = {"id": 1, "name": name, "supercategory": name, "keypoints": list(labels.names), "skeleton": skeleton}
    info = {"info": {"description": labels.model}} if labels.model else {}
    return {**info, "images": entries, "annotations": annotations, "categories": [category]}


def _image_ids(images: Iterable[LabelledImage]) -> list[int]:
    """The identifiers of the images: their names, if these are different numbers, otherwise numbers from 1."""
    stems = [PurePosixPath(image.name).stem for image in images]
    numbers = [int(stem) for stem in stems if stem.isascii() and stem.isdecimal() and len(stem) <= _DIGITS]
    return numbers if len(set(numbers)) == len(stems) else list(range(1, len(stems) + 1))
