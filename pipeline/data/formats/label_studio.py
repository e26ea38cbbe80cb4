"""The JSON export of Label Studio: tasks with the annotations of people, whose regions are in percent of the image.

A keypoint is a region of type `keypointlabels`. Keypoints with the same `parentID` are an instance, and a rectangle with this identifier
is its box; those of an annotation without one are an instance too (https://labelstud.io/guide/export, /tags/keypointlabels). Uploaded
images are called `/data/upload/1/0a1b2c3d-NAME.jpg`, those of local files `/data/local-files/?d=folder/NAME.jpg`.
"""

import json
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import numpy as np

from pipeline.data.formats import documents, photographs, written
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.numbers import box, check_near, number, shown, whole
from pipeline.data.formats.references import checked_size, images
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels, Reading, part_of, with_unique_ids
from pipeline.errors import InputError
from pipeline.units import printable

CONVENTION = Convention(
    first=0.5,
    upwards=False,
    visibility="A keypoint that is not there is missing; there is no mark for occluded ones.",
    boxes=True,
)
_BLOCK = 1 << 20  # bytes
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")


def find(folder: Folder) -> tuple[str, ...]:
    """The JSON files that are lists of tasks with keypoints, and the labelling configurations (XML) with keypoints."""
    tasks = tuple(name for name in folder.labels(".json") if _has_keypoints(folder.path(name)))
    if not tasks:
        return ()
    configurations = (name for name in folder.files if name.lower().endswith(".xml"))
    return (*tasks, *(name for name in configurations if "<KeyPointLabels" in documents.beginning(folder.path(name), _BLOCK)))


def read(folder: Folder, files: tuple[str, ...], reading: Reading) -> Labels:
    """The instances of all tasks. The keypoints have the order of the labelling configuration, else that in which they first occur.

    If a task has annotations of several people, each is an annotation source; otherwise the first that is not cancelled counts. A task
    without any annotation is not labelled yet, so its image is not mentioned; one with an empty annotation is empty. Predictions are
    ignored unless `reading.predictions`. Raises InputError for any fault.
    """
    exports = [file for file in files if file.lower().endswith(".json")]
    works = [work for file in exports for work in _works(folder, file, "predictions" if reading.predictions else "annotations")]
    keypoints = {id(work): _keypoints(work) for work in works}
    used = tuple(dict.fromkeys(keypoint.label for own in keypoints.values() for keypoint in own))
    if not used:
        raise InputError(
            f"{printable(folder.path(exports[0]))} has no keypoints. Label them with KeyPointLabels, and export again as JSON."
        )
    names = _ordered(folder, files, used)
    found: dict[str, list[Instance]] = {}
    for work in works:
        source = work.annotator if len(exports) == 1 else f"{work.file}: {work.annotator}"
        found.setdefault(source, []).extend(_instances(folder, work, keypoints[id(work)], names, reading))
    mentioned = {work.image: LabelledImage(work.image, part_of(work.file)) for work in works}
    instances = _sourced({source: with_unique_ids(own) for source, own in found.items()})
    return Labels("label_studio", files, names, tuple(mentioned.values()), instances)


def _sourced(found: dict[str, list[Instance]]) -> tuple[Instance, ...]:
    """The instances by annotator, each with the annotator as its source if an image is labelled by two."""
    images = [image for own in found.values() for image in {instance.image for instance in own}]
    shared = len(images) > len(set(images))
    return tuple(replace(instance, source=source) if shared else instance for source, own in found.items() for instance in own)


def write(labels: Labels, folder: Folder, out: Path) -> None:
    """Writes a folder with tasks.json, to be imported into a project with the configuration label_config.xml beside it.

    The tasks name images as local files relative to the folder of the set, which has to be LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT. Each
    annotation source is an annotator. Where an image has several instances, one without a box gets the smallest box around its keypoints,
    because keypoints are grouped by a region. Instances without keypoints have no place in the format, nor have occlusion and parts.
    Predictions become pre-annotations (https://labelstud.io/guide/predictions), which an annotator sees and corrects.
    """
    own: defaultdict[str, defaultdict[str, list[Instance]]] = defaultdict(lambda: defaultdict(list))
    for instance in labels.instances:
        if not np.isnan(instance.keypoints).all():
            own[instance.image][instance.source].append(instance)
    sources = sorted({instance.source for instance in labels.instances} - {""})
    tasks = []
    for number_, image in enumerate(labels.images, 1):
        size = folder.size(image.name)
        kind, drawn = "predictions" if labels.model else "annotations", []
        for source, instances in own[image.name].items() or [("", [])]:
            by = {"completed_by": {"id": sources.index(source) + 1, "email": source}} if source else {}
            drawn.append({**(_predicted_by(labels.model, instances) if labels.model else by), "result": _results(labels, instances, size)})
        tasks.append({"id": number_, "data": {"image": f"/data/local-files/?d={quote(image.name)}"}, kind: drawn})
    out.mkdir(parents=True, exist_ok=True)
    (out / "tasks.json").write_text(json.dumps(tasks, indent=1, ensure_ascii=False), encoding="utf-8")
    root = ET.Element("View")
    ET.SubElement(root, "Image", name="image", value="$image")
    keypoints = ET.SubElement(root, "KeyPointLabels", name="keypoints", toName="image")
    for name in labels.names:
        ET.SubElement(keypoints, "Label", value=name)
    ET.SubElement(ET.SubElement(root, "RectangleLabels", name="boxes", toName="image"), "Label", value=written.category(labels))
    ET.indent(root)
    ET.ElementTree(root).write(out / "label_config.xml", encoding="utf-8")


def _predicted_by(model: str, instances: list[Instance]) -> dict[str, Any]:
    """What a prediction says of its model: its name, and the mean of the scores, by which tasks can be sorted, if they are known."""
    scores = [instance.score for instance in instances if instance.score is not None]
    return {"model_version": model, **({"score": round(sum(scores) / len(scores), 6)} if scores else {})}


@dataclass(frozen=True)
class _Work:
    """An annotation: what one person has drawn on the image of one task."""

    file: str
    image: str
    annotator: str
    place: str
    regions: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class _Keypoint:
    """A keypoint. parent: the region that it belongs to; "" if it has none. point: in percent. stated: size of the image, pixels."""

    label: str
    parent: str
    point: tuple[float, float]
    stated: tuple[int, int]


def _has_keypoints(path: Path) -> bool:
    """Whether a JSON file is a list of tasks, or of what they contain, in which keypoints occur somewhere."""
    start = documents.beginning(path, 1 << 16)
    if not start.lstrip().startswith("[") or not ('"annotations"' in start or '"keypointlabels"' in start):
        return False
    sought, last = b'"keypointlabels"', b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if sought in last + block:
                return True
            last = block[-len(sought) :]
    return False


def _works(folder: Folder, file: str, kind: str) -> list[_Work]:
    """The annotations of a file that count: one for each task and annotator, and one without regions for a task of cancelled ones only.

    kind: annotations, or predictions in their place.
    """
    place, tasks = printable(folder.path(file)), documents.read_json(folder.path(file))
    if not isinstance(tasks, list):
        raise InputError(f"{place} is not a list of tasks. Export the labels again as JSON.")
    counting = []
    for index, task in enumerate(tasks, 1):
        where = f"{place}, task {shown(task.get('id', index))}" if isinstance(task, dict) else f"{place}, task {index}"
        annotations = task.get(kind) if isinstance(task, dict) else None
        if annotations is None and isinstance(task, dict) and isinstance(task.get("predictions"), list):
            raise InputError(f"{where} has only predictions, which are not labels. Check them in Label Studio, and export again as JSON.")
        if not isinstance(annotations, list) or not all(isinstance(each, dict) for each in annotations):
            raise InputError(f"{where} has no list of annotations. Export the labels again as JSON, not as JSON-MIN.")
        if annotations:
            kept: dict[str, Any] = {}
            for annotation in annotations:
                if not annotation.get("was_cancelled"):
                    kept.setdefault(_annotator(annotation), annotation.get("result"))
            counting += [(where, _image(task, where), annotator, result) for annotator, result in (kept or {"": []}).items()]
    texts = {text: _in_folder(folder, text, file) for _, text, _, _ in counting}
    found = images(folder, dict.fromkeys(texts.values()), file)
    works = []
    for where, text, annotator, result in counting:
        if not isinstance(result, list) or not all(isinstance(region, dict) for region in result):
            raise InputError(
                f"{where}: the result of an annotation is {shown(result)}, not a list of regions. Export the labels again as JSON."
            )
        image = found[texts[text]]
        works.append(_Work(file, image, annotator, f"{where}, image {printable(image)}", tuple(result)))
    return works


def _annotator(annotation: dict[str, Any]) -> str:
    """The e-mail address or number of the person who made an annotation; "" if it is not known."""
    by = annotation.get("completed_by")
    if isinstance(by, dict):
        by = by.get("email") or by.get("id")
    return "" if by is None else printable(by)


def _image(task: dict[str, Any], place: str) -> str:
    """What a task says of its image: `image`, or the only value of its data with the suffix of an image."""
    data = task.get("data")
    values = data if isinstance(data, dict) else {}
    if isinstance(values.get("image"), str):
        return str(values["image"])
    suffixes = photographs.suffixes()
    found = [value for value in values.values() if isinstance(value, str) and PurePosixPath(_path(value)).suffix.lower() in suffixes]
    if len(found) != 1:
        raise InputError(f"{place}: its data has {len(found) or 'no'} values that name an image. Call the image of each task `image`.")
    return found[0]


def _path(text: str) -> str:
    """The path of an image from its address."""
    try:
        address = urlsplit(text)
    except ValueError:
        return text
    if given := parse_qs(address.query).get("d"):
        return given[0]
    return unquote(address.path) if address.scheme or text.startswith("/") else text


def _in_folder(folder: Folder, text: str, file: str) -> str:
    """The path of an image, without the hash that Label Studio puts before the names of uploaded images, unless it has it in the folder."""
    path = _path(text)
    start, slash, name = path.rpartition("/")
    if _UPLOADED.match(name) and folder.find(path, file) is None:
        return f"{start}{slash}{name[9:]}"
    return path


def _keypoints(work: _Work) -> list[_Keypoint]:
    """The keypoints of an annotation. Raises InputError for any fault."""
    found = []
    for region in work.regions:
        if region.get("type") != "keypointlabels":
            continue
        value = region.get("value")
        labels = value.get("keypointlabels") if isinstance(value, dict) else None
        if not isinstance(value, dict) or not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
            raise InputError(f"{work.place}: a keypoint has the labels {shown(labels)}, not one label. Correct it, or remove the keypoint.")
        what = f"of the keypoint {printable(labels[0])!r}"
        if region.get("image_rotation"):
            raise InputError(
                f"{work.place}: the image was rotated by {shown(region['image_rotation'])} degrees in Label Studio. "
                "Turn it back there, or rotate the image file and label it again."
            )
        x, y = (number(value.get(axis), work.place, f"{axis} {what}") for axis in "xy")
        width, height = (whole(region.get(f"original_{side}"), work.place, f"original_{side} {what}") for side in ("width", "height"))
        found.append(_Keypoint(labels[0], str(region.get("parentID") or ""), (x, y), (width, height)))
    return found


def _ordered(folder: Folder, files: tuple[str, ...], used: tuple[str, ...]) -> tuple[str, ...]:
    """The keypoints in the order of the first configuration that has all of them, with its other ones; else as they are."""
    for file in files:
        if file.lower().endswith(".xml"):
            root = documents.read_xml(folder.path(file))
            labels = [label.get("value") or "" for group in root.iter("KeyPointLabels") for label in group.iter("Label")]
            if set(used) <= set(labels):
                return tuple(dict.fromkeys(label for label in labels if label))
    return used


def _instances(folder: Folder, work: _Work, keypoints: list[_Keypoint], names: tuple[str, ...], reading: Reading) -> Iterator[Instance]:
    """Yields the instances of an annotation."""
    if not keypoints:
        return
    size, convention = folder.size(work.image), reading.of(CONVENTION)
    groups: defaultdict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for keypoint in keypoints:
        _check_shape(folder, work, keypoint, size)
        if keypoint.label in groups[keypoint.parent]:
            raise InputError(
                f"{work.place}: the keypoint {printable(keypoint.label)!r} occurs twice in an instance. "
                "Group the keypoints of each instance under a rectangle in Label Studio, or remove one."
            )
        groups[keypoint.parent][keypoint.label] = keypoint.point
    for parent, own in groups.items():
        percent = np.array([own.get(name, (np.nan, np.nan)) for name in names])
        points = convention.inwards(percent / 100 * size, size[1])
        check_near(points, size, work.place, names)
        corners = _corners(work, parent, size)
        around = None if corners is None else box(convention.inwards(corners, size[1]), size, work.place)
        place = work.place.removeprefix(f"{printable(folder.root)}/")
        yield Instance(work.image, parent, points, np.zeros(len(names), bool), around, place=place)


def _check_shape(folder: Folder, work: _Work, keypoint: _Keypoint, size: tuple[int, int]) -> None:
    """Raises InputError if the image has another ratio of its sides than the one that was labelled."""
    (width, height), (stated_width, stated_height) = size, keypoint.stated
    if abs(width * stated_height - height * stated_width) > max(width, height, stated_width, stated_height):
        checked_size(folder, work.image, keypoint.stated, work.place)


def _corners(work: _Work, parent: str, size: tuple[int, int]) -> np.ndarray | None:
    """The corners of a rectangle, float64 (4, 2), pixels; None if there is no rectangle with this identifier.

    It is rotated clockwise around its first corner.
    """
    value = next((region.get("value") for region in work.regions if parent and region.get("id") == parent), None)
    if not isinstance(value, dict) or not {"x", "y", "width", "height"} <= set(value):
        return None
    keys = ("x", "y", "width", "height")
    x, y, width, height = (number(value[key], work.place, f"{key} of the box") / 100 * size[key in ("y", "height")] for key in keys)
    turn = np.exp(1j * np.radians(number(value.get("rotation") or 0, work.place, "rotation of the box")))
    corners = complex(x, y) + turn * np.array([0, width, complex(0, height), complex(width, height)])
    return np.stack([corners.real, corners.imag], axis=-1)


def _results(labels: Labels, instances: list[Instance], size: tuple[int, int]) -> list[dict[str, Any]]:
    """The regions of an annotation."""
    common = {"to_name": "image", "image_rotation": 0, "original_width": size[0], "original_height": size[1]}
    regions: list[dict[str, Any]] = []
    for index, instance in enumerate(instances, 1):
        points = CONVENTION.outwards(instance.keypoints)
        area = instance.box
        if area is None and len(instances) > 1:
            low, high = np.nanmin(points, axis=0).tolist(), np.nanmax(points, axis=0).tolist()
            area = (low[0], low[1], high[0] - low[0], high[1] - low[1])
        group = {} if area is None else {"parentID": f"instance{index}"}
        if area is not None:
            x, y, width, height = ((100 * np.array(area)) / (*size, *size)).tolist()
            value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [written.category(labels)]}
            regions.append({"id": f"instance{index}", "type": "rectanglelabels", "from_name": "boxes", "value": value, **common})
        scores = np.full(len(points), np.nan) if instance.scores is None else instance.scores
        for name, (x, y), score in zip(labels.names, (100 * points / size).tolist(), scores.tolist(), strict=True):
            if not np.isnan(x):
                certain = {} if np.isnan(score) else {"score": score}
                value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [name]}
                key = f"instance{index}-{name}"
                regions.append(
                    {"id": key, "type": "keypointlabels", "from_name": "keypoints", "value": value, **group, **certain, **common}
                )
    return regions
