"""Corrected values in JSON files: COCO, one file an image, LabelMe and Label Studio."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pipeline.data.amending.edits import DECIMALS, Amendment, Edit, NoPlaceError
from pipeline.data.amending.jsontext import JsonValue
from pipeline.data.formats.folder import Folder
from pipeline.units import printable

_NUMBER = re.compile(r"instance (\d+)$")


def coco(folder: Folder, file: str, text: str, amendments: Sequence[Amendment]) -> Iterator[Edit]:
    """The edits of a file of COCO's. The number of labelled keypoints of an annotation is kept right, if it is there."""
    annotations = {_identifier(each.value, number): each for number, each in enumerate(_root(text).members["annotations"].items, 1)}
    more: dict[int, tuple[JsonValue, int]] = {}
    for amendment in amendments:
        annotation = annotations[amendment.instance.place.rpartition(", annotation ")[2]]
        own = annotation.members["keypoints"].items[3 * amendment.number :][:3]
        state = 0 if amendment.is_missing else 1 if amendment.occluded else 2
        for item, value in zip(own, [0, 0] if amendment.is_missing else [_plain(amendment.x), _plain(amendment.y)], strict=False):
            yield item.replaced(value)
        if own[2].value != state:
            yield own[2].replaced(state)
        labelled = annotation.members.get("num_keypoints")
        if labelled and amendment.is_missing != amendment.was_missing:
            known = more.get(labelled.start, (labelled, 0))[1]
            more[labelled.start] = labelled, known + (1 if amendment.was_missing else -1)
    yield from (labelled.replaced(labelled.value + change) for labelled, change in more.values())


def image_json(folder: Folder, file: str, text: str, amendments: Sequence[Amendment]) -> Iterator[Edit]:
    """The edits of the file of an image."""
    instances = _root(text).members["keypoints"].items
    for amendment in amendments:
        match = _NUMBER.search(amendment.instance.place)
        if not match:
            raise NoPlaceError(f"{amendment.instance.place} is not the place of an instance.")
        point = instances[int(match[1]) - 1].items[amendment.number]
        if amendment.is_missing or amendment.was_missing:
            yield point.replaced([0, 0, 0] if amendment.is_missing else [_plain(amendment.x), _plain(amendment.y), 1])
        else:
            yield from (item.replaced(_plain(value)) for item, value in zip(point.items, (amendment.x, amendment.y), strict=False))


def labelme(folder: Folder, file: str, text: str, amendments: Sequence[Amendment]) -> Iterator[Edit]:
    """The edits of a file of LabelMe's. A keypoint that was missing gets a copy of another shape of its instance."""
    shapes = _root(text).members["shapes"]
    points = [shape for shape in shapes.items if shape.value.get("shape_type") == "point"]
    groups = {_group(shape.value) for shape in points}
    unwanted = []
    for amendment in amendments:
        group = amendment.instance.id if amendment.instance.id in groups else None
        own = {shape.value["label"].strip(): shape for shape in points if _group(shape.value) == group}
        found, staying = own.get(amendment.name), _staying(own, amendment, amendments)
        if amendment.is_missing and found:
            unwanted.append(found)
        elif found:
            x, y = found.members["points"].items[0].items
            yield from (x.replaced(_plain(amendment.x)), y.replaced(_plain(amendment.y)))
            yield from _occluded(found, occluded=amendment.occluded)
        else:
            content: dict[str, Any] = {"label": amendment.name, "points": [[_plain(amendment.x), _plain(amendment.y)]]}
            content["flags"] = {"occluded": True} if amendment.occluded else {}
            content |= {"description": ""} if "description" in staying.members else {}
            yield shapes.added(_like(staying, content), staying)
    yield from shapes.without(unwanted)


def label_studio(folder: Folder, file: str, text: str, amendments: Sequence[Amendment]) -> Iterator[Edit]:
    """The edits of an export of Label Studio's. A keypoint that was missing gets a copy of another region of its instance."""
    regions = list(_regions(_root(text)))
    unwanted: dict[int, tuple[JsonValue, list[JsonValue]]] = {}
    for amendment in amendments:
        result, found_regions = _of_instance(regions, amendment)
        own = {region.value["value"]["keypointlabels"][0]: region for region in found_regions}
        found, staying = own.get(amendment.name), _staying(own, amendment, amendments)
        percent = [round(100 * value / side, DECIMALS) for value, side in zip((amendment.x, amendment.y), amendment.size, strict=True)]
        if amendment.is_missing and found:
            unwanted.setdefault(result.start, (result, []))[1].append(found)
        elif found:
            value = found.members["value"].members
            yield from (value[axis].replaced(_plain(number)) for axis, number in zip("xy", percent, strict=True))
        else:
            like = {**staying.value["value"], "x": percent[0], "y": percent[1], "keypointlabels": [amendment.name]}
            name = f"{staying.value.get('id') or amendment.instance.id}-{amendment.name}"
            yield result.added(_like(staying, {"id": name, "value": like}), staying)
    for result, gone in unwanted.values():
        yield from result.without(gone)


def _staying(own: dict[str, JsonValue], amendment: Amendment, amendments: Sequence[Amendment]) -> JsonValue:
    """A keypoint of an instance that is not removed, after which another one can be added. own: its keypoints by name."""
    gone = {each.name for each in amendments if each.instance is amendment.instance and each.is_missing}
    found = next((own[name] for name in reversed(own) if name not in gone), None)
    if found is None and not amendment.is_missing:
        raise NoPlaceError(f"{amendment.instance.place}: no keypoint of the instance stays at its place.")
    return found or next(iter(own.values()))


def _root(text: str) -> JsonValue:
    return JsonValue(text, 1 if text.startswith("\ufeff") else 0)


def _plain(value: float) -> float:
    """A number as a JSON file should show it."""
    rounded = round(float(value), DECIMALS)
    return int(rounded) if rounded.is_integer() else rounded


def _identifier(annotation: Any, number: int) -> str:
    """The name that COCO's reader gives to an annotation."""
    given = annotation.get("id")
    if isinstance(given, bool) or not isinstance(given, int | str):
        return f"{number} in order"
    return printable(given) if isinstance(given, str) else str(given)


def _group(shape: Any) -> str | None:
    """The group of a shape, as LabelMe's reader names it."""
    given = shape.get("group_id")
    return None if given in (None, "") else printable(given)


def _occluded(shape: JsonValue, *, occluded: bool) -> Iterator[Edit]:
    """The edits that mark a point of LabelMe's as occluded or as visible."""
    flags, described = shape.members.get("flags"), shape.members.get("description")
    content = flags.value if flags and isinstance(flags.value, dict) else {}
    by_word = bool(described) and str(described.value).strip().lower() == "occluded" if described else False
    if occluded == (by_word or content.get("occluded") is True):
        return
    if described and by_word:
        yield described.replaced("")
    if flags is None:
        yield Edit(shape.end - 1, shape.end - 1, f', "flags": {json.dumps({"occluded": occluded})}')
    elif occluded or content.get("occluded") is True:
        rest = {name: value for name, value in content.items() if name != "occluded"}
        yield flags.replaced({**rest, "occluded": True} if occluded else rest)


def _like(shape: JsonValue, values: dict[str, Any]) -> str:
    """The text of an object with other values for some of its members, and those members that it does not have."""
    there = {name: value for name, value in values.items() if name in shape.members}
    edits = [shape.members[name].replaced(value) for name, value in there.items()]
    text = shape.text[shape.start : shape.end]
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start - shape.start] + edit.text + text[edit.end - shape.start :]
    new = "".join(f", {json.dumps(name)}: {json.dumps(value)}" for name, value in values.items() if name not in there)
    return text[:-1] + new + "}" if new else text


def _regions(root: JsonValue) -> Iterator[tuple[str, JsonValue, JsonValue]]:
    """Yields the keypoints of all annotations that count: the task, the list that has the keypoint, and the keypoint."""
    for number, task in enumerate(root.items, 1):
        for annotation in task.members["annotations"].items:
            result = annotation.members.get("result")
            if annotation.value.get("was_cancelled") or result is None:
                continue
            for region in result.items:
                if region.value.get("type") == "keypointlabels":
                    yield str(task.value.get("id", number)), result, region


def _of_instance(regions: list[tuple[str, JsonValue, JsonValue]], amendment: Amendment) -> tuple[JsonValue, list[JsonValue]]:
    """The list that has the keypoints of an instance, and these: those of its task that are at the same places."""
    match = re.search(r", task (.+?), image ", amendment.instance.place)
    task = match[1].strip("'") if match else ""
    groups: dict[tuple[int, str], tuple[JsonValue, list[JsonValue]]] = {}
    for own, result, region in regions:
        if own == task:
            key = (result.start, str(region.value.get("parentID") or ""))
            groups.setdefault(key, (result, []))[1].append(region)
    known = amendment.instance.keypoints[~np.isnan(amendment.instance.keypoints).any(axis=1)]
    for result, own_regions in groups.values():
        places = np.array([[region.value["value"][axis] for axis in "xy"] for region in own_regions], np.float64) / 100 * amendment.size
        if len(places) == len(known) and all(np.abs(places - point).sum(axis=1).min() < 1e-6 for point in known):
            return result, own_regions
    raise NoPlaceError(f"{amendment.instance.place}: the annotation is not found.")
