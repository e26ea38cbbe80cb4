"""One JSON file for each image, with boxes and keypoints: {"bboxes": [[x1, y1, x2, y2], ...], "keypoints": [[[x, y, v], ...], ...]}.

Tutorials of torchvision's Keypoint R-CNN use it. The image has the stem of the label file: images/1.jpg belongs to annotations/1.json.
The keypoints have no names; here they are numbered from 1. The visibility v is 1 for labelled keypoints and 0 for missing ones, and may be
left out. Keypoints are at the centres of pixels, as albumentations and OpenCV take them; boxes go from edge to edge.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.formats import documents, written
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.numbers import number, shown
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels, Reading, part_of
from pipeline.errors import InputError
from pipeline.units import counted, printable

CONVENTION = Convention(
    first=0.0,
    upwards=False,
    visibility="A keypoint with v = 0 is missing, and one with v = 1 is visible; there is no mark for occluded ones.",
    boxes=True,
)
LARGEST = 16 << 20  # bytes of one label file
_LOOKED_AT = 1 << 16  # bytes at each end, to recognise a label file
_KEYS = [re.compile(rf'"{key}"\s*:\s*\[') for key in ("bboxes", "keypoints")]


def find(folder: Folder) -> tuple[str, ...]:
    """The label files of this format. Next to one of them, every JSON file with the name of an image counts too, so that none is missed
    because it is damaged."""
    files = folder.labels(".json")
    sure = {file for file in files if all(key.search(_ends(folder.path(file))) for key in _KEYS)}
    places = {file.rpartition("/")[0] for file in sure}
    return tuple(file for file in files if file in sure or (file.rpartition("/")[0] in places and folder.beside(file)))


def _ends(path: Path) -> str:
    return ends if (ends := documents.ends(path, _LOOKED_AT, _LOOKED_AT)).lstrip().startswith("{") else ""


def read(folder: Folder, files: tuple[str, ...], reading: Reading) -> Labels:
    """The labels of all files. The part of the set is that which the folders of a label file name, such as train/annotations.

    Raises InputError for a file that is not as described above, for one without its image, and for different numbers of keypoints.
    """
    images: dict[str, LabelledImage] = {}
    instances: list[Instance] = []
    parts = {file: part_of(file.rpartition("/")[0]) for file in files}
    split = len(set(parts.values())) > 1
    for file in files:
        if (image := folder.beside(file)) is None:
            raise InputError(f"{printable(folder.path(file))} has no image of the same name. Add the image, or remove the label file.")
        if image in images:
            raise InputError(f"{printable(folder.path(file))} is a second label file of the image {printable(image)}. Remove one of them.")
        images[image] = LabelledImage(image, parts[file] if split else "")
        found = _instances(
            documents.read_json(folder.path(file), largest=LARGEST), image, f"{printable(folder.path(file))} ({printable(image)})"
        )
        for one in found:
            first = instances[0] if instances else one
            if len(one.keypoints) != len(first.keypoints):
                raise InputError(
                    f"{one.place} has {counted(len(one.keypoints), 'keypoint')} but {first.place} has {len(first.keypoints)}. "
                    "Every instance needs all keypoints; write [0, 0, 0] for a missing one."
                )
            instances.append(one)
    labelled = [instance for instance in instances if np.isfinite(instance.keypoints).any()]
    names = tuple(str(index + 1) for index in range(len(labelled[0].keypoints) if labelled else 0))
    if not labelled:
        raise InputError(f"{printable(folder.root)}: none of {counted(len(files), 'label file')} has a keypoint. Check the label files.")
    notes = written.unlabelled(len(instances) - len(labelled))
    return Labels("image_json", files, names, tuple(images.values()), tuple(labelled), notes=notes)


def _instances(content: Any, image: str, place: str) -> list[Instance]:
    boxes, keypoints = (content.get(key) if isinstance(content, dict) else None for key in ("bboxes", "keypoints"))
    if not isinstance(boxes, list) or not isinstance(keypoints, list):
        raise InputError(f'{place}: "bboxes" and "keypoints" must be two lists. Export the labels again.')
    if len(boxes) != len(keypoints):
        raise InputError(
            f"{place} has the boxes of {counted(len(boxes), 'instance')} and the keypoints of {len(keypoints)}. Give each one both."
        )
    return [
        _instance(box, points, (image, str(index + 1)), f"{place}, instance {index + 1}")
        for index, (box, points) in enumerate(zip(boxes, keypoints, strict=True))
    ]


def _instance(box: Any, points: Any, identity: tuple[str, str], place: str) -> Instance:
    if not isinstance(box, list) or len(box) != 4:
        raise InputError(f"{place}: the box is {shown(box)}, not [x1, y1, x2, y2]. Correct it.")
    x1, y1, x2, y2 = (number(value, place, f"{what} of the box") for value, what in zip(box, ("x1", "y1", "x2", "y2"), strict=True))
    if x2 <= x1 or y2 <= y1:
        raise InputError(f"{place}: the box {shown(box)} is empty; it must be [x1, y1, x2, y2] with x1 < x2 and y1 < y2. Correct it.")
    if not isinstance(points, list) or not points:
        raise InputError(f"{place}: its keypoints are {shown(points)}, not a list of [x, y, v]. Correct it.")
    places = np.array([_point(point, place, f"the keypoint {index + 1}") for index, point in enumerate(points)])
    return Instance(*identity, CONVENTION.inwards(places), np.zeros(len(places), bool), (x1, y1, x2 - x1, y2 - y1), place=place)


def _point(point: Any, place: str, what: str) -> tuple[float, float]:
    if not isinstance(point, list) or len(point) not in (2, 3):
        raise InputError(f"{place}: {what} is {shown(point)}, not [x, y, v]. Correct it.")
    x, y = number(point[0], place, f"x of {what}"), number(point[1], place, f"y of {what}")
    visible = number(point[2], place, f"the visibility of {what}") if len(point) == 3 else 1
    if visible not in (0, 1):
        raise InputError(
            f"{place}: {what} has the visibility {shown(point[2])}. Write 1 for a keypoint that is labelled and 0 for one that is missing."
        )
    return (x, y) if visible else (np.nan, np.nan)


def write(labels: Labels, folder: Folder, out: Path) -> None:
    """Writes one label file for each image into the folder `out`, in which it has the image's path with the suffix .json.

    An instance without a box gets the one around its keypoints. Raises InputError if two images differ in their suffixes only.
    """
    files: dict[str, str] = {}
    for image, found in written.by_image(labels, labels.instances).items():
        file = image.name.rsplit(".", 1)[0] + ".json"
        if (other := files.setdefault(file, image.name)) != image.name:
            raise InputError(f"The images {other} and {image.name} would have the same label file. Rename one of them.")
        content = {"bboxes": [_corners(one) for one in found], "keypoints": [_points(one) for one in found]}
        written.write_text(out / file, json.dumps(content))


def _corners(instance: Instance) -> list[float]:
    x, y, width, height = written.box(instance)
    return written.plain([x, y, x + width, y + height])


def _points(instance: Instance) -> list[list[float]]:
    return [[0, 0, 0] if np.isnan(x) else [*written.plain([x, y]), 1] for x, y in CONVENTION.outwards(instance.keypoints)]
