"""YOLO-pose, the format of Ultralytics: data.yaml, and a text file of normalised coordinates for each image.

data.yaml names the images of each part (`train`, `val`, `test`: folders or lists), the number of keypoints (`kpt_shape`), those that a
mirrored image exchanges (`flip_idx`) and the classes (`names`). The labels of `images/train/a.jpg` are in `labels/train/a.txt`, an object a
line: class, centre, width and height of the box, then x y or x y visibility for each keypoint
(ultralytics:ultralytics/data/utils.py, check_det_dataset, img2label_paths and verify_image_label).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

import numpy as np

from pipeline.data.formats import documents
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.numbers import box, check_near, number, shown, whole
from pipeline.data.formats.references import images
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels, Part, Reading, check_one_source
from pipeline.errors import InputError, meant
from pipeline.units import counted, printable

CONVENTION = Convention(
    first=0.5,
    upwards=False,
    visibility="A keypoint with v = 0 is missing, one with v = 1 is occluded, and one with v = 2 is visible. Two values 0 0 are missing.",
    boxes=True,
)
_LARGEST = 16 << 20  # bytes of a text file
_MOST_KEYPOINTS = 10_000
_SHAPE, _SPLIT = (re.compile(rf"^['\"]?{key}['\"]?\s*:", re.MULTILINE) for key in ("kpt_shape", "(train|val|test)"))
# In the order of preference, if an image is in several.
_SPLITS: dict[str, Part] = {"train": "training", "val": "validation", "test": "test"}
_LISTED = {part: split for split, part in _SPLITS.items()} | {"": "train"}


def find(folder: Folder) -> tuple[str, ...]:
    """The descriptions of sets with keypoints, which are YAML files, and all text files."""
    described = tuple(name for name in folder.labels(".yaml", ".yml") if _is_description(folder.path(name)))
    return (*described, *(name for name in folder.files if name.lower().endswith(".txt"))) if described else ()


def read(folder: Folder, files: tuple[str, ...], reading: Reading) -> Labels:
    """The objects of one class with their boxes. Images without a label file, or with an empty one, have no instance.

    Raises InputError for any fault, if there are several descriptions, and if several classes have labels and none is chosen.
    """
    described = [file for file in files if not file.lower().endswith(".txt")]
    if len(described) != 1:
        what = f"{printable(described[0])} and {printable(described[1])} describe" if described else "No data.yaml describes"
        raise InputError(f"{what} a set in {printable(folder.root)}. Name one: --dataset-path FOLDER/data.yaml")
    description = _Description.read(folder, described[0])
    texts = frozenset(files)
    parts, sources, notes = _images(folder, description, texts)
    objects = [each for image, candidates in sources.items() for each in _objects(folder, description, image, candidates, texts)]
    if not objects:
        example = _label_of(next(iter(sources)))
        raise InputError(
            f"{description.place}: none of its {counted(len(sources), 'image')} has labels, which would be in files such as {example}. "
            "Add them."
        )
    chosen = _category(description, objects, reading)
    instances = tuple(_instance(folder, description, each, reading) for each in objects if each.category == chosen)
    labelled = tuple(LabelledImage(image, part) for image, part in parts.items())
    return Labels("yolo", files, description.names, labelled, instances, mirror=description.mirror, notes=notes)


def write(labels: Labels, folder: Folder, out: Path) -> None:
    """Writes a folder with data.yaml, a list of the images of each part (train.txt, ...), and labels/.

    Put the images, or links to them, into its folder `images`, with their subfolders; images whose names already have a folder `images`
    in them go into the folder itself. An instance without a box gets the smallest box around its keypoints. Without validation images, the
    training images serve as such, as Ultralytics needs some. Raises InputError if the labels are of several annotation sources.
    """
    import yaml

    check_one_source(labels)
    lists: dict[str, list[str]] = {}
    for image in labels.images:
        lists.setdefault(_LISTED[image.part], []).append(f"./{_placed(image.name)}\n")
    description: dict[str, Any] = {split: f"{split}.txt" if split in lists else "train.txt" for split in ("train", "val")}
    description |= {"test": "test.txt"} if "test" in lists else {}
    description["kpt_shape"] = [len(labels.names), 3]
    if labels.mirror is not None:
        description["flip_idx"] = _permutation(labels.names, labels.mirror)
    description |= {"names": {0: "object"}, "kpt_names": {0: list(labels.names)}}
    out.mkdir(parents=True, exist_ok=True)
    (out / "data.yaml").write_text(yaml.safe_dump(description, sort_keys=False, allow_unicode=True), encoding="utf-8")
    for split in dict.fromkeys(("train", *lists)):
        (out / f"{split}.txt").write_text("".join(lists.get(split, [])), encoding="utf-8")
    lines: dict[str, list[str]] = {}
    for instance in labels.instances:
        lines.setdefault(_label_of(_placed(instance.image)), []).append(_line(instance, folder.size(instance.image)))
    for name, own in lines.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("".join(own), encoding="utf-8")


@dataclass(frozen=True)
class _Description:
    """What data.yaml says. splits: the parts of the set, with the folders, lists and images of each. values: of each keypoint, 2 or 3."""

    file: str
    place: str
    path: str
    splits: dict[Part, tuple[str, ...]]
    names: tuple[str, ...]
    values: int
    mirror: tuple[tuple[str, str], ...] | None
    categories: dict[int, str]

    @classmethod
    def read(cls, folder: Folder, file: str) -> "_Description":
        place, content = printable(folder.path(file)), documents.read_yaml(folder.path(file))
        if not isinstance(content, dict):
            raise InputError(f"{place} is not a mapping of names to values. Correct the file.")
        shape = content.get("kpt_shape")
        if not isinstance(shape, list) or len(shape) != 2 or shape[1] not in (2, 3) or shape[0] not in range(1, _MOST_KEYPOINTS + 1):
            raise InputError(
                f"{place}: kpt_shape is {shown(shape)}. Write the number of keypoints and 2 or 3 values for each, such as [17, 3]."
            )
        categories = _categories(place, content.get("names"))
        names = _names(place, content.get("kpt_names"), int(shape[0]))
        splits = {part: _entries(place, split, content.get(split)) for split, part in _SPLITS.items()}
        path = content.get("path") or ""
        if not isinstance(path, str):
            raise InputError(f"{place}: path is {shown(path)}, not the name of a folder. Correct it.")
        mirror = _mirror(place, content["flip_idx"], names) if content.get("flip_idx") is not None else None
        return cls(file, place, path, splits, names, int(shape[1]), mirror, categories)


def _is_description(path: Path) -> bool:
    """Whether a YAML file describes a set with keypoints. (Those of nets have kpt_shape too.)"""
    text = documents.beginning(path, documents.LARGEST_YAML)
    return bool(_SHAPE.search(text) and _SPLIT.search(text))


def _entries(place: str, split: str, value: object) -> tuple[str, ...]:
    """The folders, lists and images of a part."""
    entries: list[Any] = value if isinstance(value, list) else [] if value is None else [value]
    for entry in entries:
        if not isinstance(entry, str):
            raise InputError(f"{place}: {split} is {shown(value)}, not the name of a folder or list of images. Correct it.")
    return tuple(entry for entry in entries if entry.strip())


def _categories(place: str, value: object) -> dict[int, str]:
    """The names of the classes by number; none if they are not given."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, int) for key in value):
        raise InputError(f"{place}: names is {shown(value)}. Write the classes as a list, or by their numbers.")
    return {key: str(name) for key, name in value.items()}


def _names(place: str, value: object, count: int) -> tuple[str, ...]:
    """The names of the keypoints, which are given as a list, or as a list for each class; 1, 2, ... if they are not given."""
    if isinstance(value, dict):
        lists = list(value.values())
        if any(other != lists[0] for other in lists):
            raise InputError(f"{place}: kpt_names differ between the classes. One set has the same keypoints everywhere; divide the set.")
        value = lists[0] if lists else None
    if value is None:
        return tuple(str(index + 1) for index in range(count))
    names = tuple(str(name) for name in value) if isinstance(value, list) else ()
    if len(names) != count or len(set(names)) != count:
        raise InputError(f"{place}: kpt_names is {shown(value)}. Write a list of {count} different names, as many as kpt_shape says.")
    return names


def _mirror(place: str, value: object, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The pairs of flip_idx, which says for each keypoint which one it is in the mirrored image."""
    count = len(names)
    if not isinstance(value, list) or len(value) != count or not all(isinstance(index, int) and index in range(count) for index in value):
        raise InputError(f"{place}: flip_idx is {shown(value)}. Write {count} numbers from 0 to {count - 1}, one for each keypoint.")
    for index, other in enumerate(value):
        if value[other] != index:
            raise InputError(
                f"{place}: flip_idx exchanges keypoint {index} with {other}, but {other} with {value[other]}. "
                "Exchanged keypoints are pairs; correct the list."
            )
    return tuple((names[index], names[other]) for index, other in enumerate(value) if index < other)


def _images(
    folder: Folder, description: _Description, files: frozenset[str]
) -> tuple[dict[str, Part], dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Parts of the images, by name; the files in which the labels of each may be; and notes. Raises InputError if images are missing."""
    parts: dict[str, Part] = {}
    sources: dict[str, tuple[str, ...]] = {}
    notes, several = [], set()
    for split, part in _SPLITS.items():
        for entry in description.splits[part]:
            found = list(_of_entry(folder, description, entry, files))
            if not found and part != "test":
                raise InputError(
                    f"{description.place}: {split} names {printable(entry)[:200]}, in which there is no image. "
                    "Correct it, or remove the line."
                )
            if not found:
                notes.append(f"There are no test images: {printable(entry)[:200]} is not there, or is empty.")
            for image, *candidates in found:
                several |= {image} if parts.setdefault(image, part) != part else set()
                sources.setdefault(image, tuple(candidates))
    if several:
        notes.append(f"Where several of train, val and test name an image, the first of them counts: {counted(len(several), 'image')}.")
    if not parts:
        raise InputError(f"{description.place} names no images. Add a line such as train: images/train")
    return parts, sources, tuple(notes)


def _of_entry(folder: Folder, description: _Description, entry: str, files: frozenset[str]) -> Iterator[tuple[str, ...]]:
    """Yields the images of a folder or a list, each followed by the files in which its labels may be."""
    for place in _places(description, entry):
        if place in files:
            own = documents.text(folder.path(place), largest=_LARGEST).splitlines()
            texts = [line.strip() for line in own if line.strip()]
            base = PurePosixPath(place).parent
            for text, name in images(folder, texts, place).items():
                yield name, _label_of(normpath(base / text)), *_labels_of(name)
            return
        prefix = f"{place}/" if place else ""
        if found := [name for name in folder.images if name == place or name.startswith(prefix)]:
            for name in found:
                yield name, *_labels_of(name)
            return


def _places(description: _Description, entry: str) -> Iterator[str]:
    """Yields where an entry may be, relative to the folder of the set: data.yaml may have been written on another computer.

    Leading folders of `path`, and of an absolute entry, may be left out, and a `..` at the beginning leads nowhere.
    """
    own = _components(entry)
    absolute = entry.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", entry)
    parts = own if absolute else _components(f"{description.path}/{entry}")
    needed = min(1 if absolute else len(own), len(parts))
    base = _components(str(PurePosixPath(description.file).parent))
    for start in range(len(parts) - needed + 1):
        for root in (base, []):
            yield "/".join([*root, *parts[start:]])


def _components(path: str) -> list[str]:
    """The folders of a path of any system, without those that lead upwards or nowhere."""
    return [part for part in normpath(path.strip().replace("\\", "/")).split("/") if part not in ("", ".", "..")]


def _label_of(image: str) -> str:
    """The label file of an image: the last folder `images` in its path is `labels` instead."""
    *folders, name = image.split("/")
    if "images" in folders:
        folders[len(folders) - 1 - folders[::-1].index("images")] = "labels"
    return "/".join([*folders, str(PurePosixPath(name).with_suffix(".txt"))])


def _labels_of(image: str) -> tuple[str, str]:
    """The files in which the labels of an image may be: where Ultralytics looks, and beside the image."""
    return _label_of(image), str(PurePosixPath(image).with_suffix(".txt"))


@dataclass(frozen=True)
class _Object:
    """A line of a label file. values: the box and the keypoints. file: the label file, relative to the folder of the set."""

    image: str
    category: int
    values: np.ndarray
    file: str
    row: int


def _objects(
    folder: Folder, description: _Description, image: str, candidates: tuple[str, ...], files: frozenset[str]
) -> Iterator[_Object]:
    """Yields the objects of an image."""
    file = next((name for name in candidates if name in files), None)
    if file is None:
        return
    expected = 4 + len(description.names) * description.values
    for row, line in enumerate(documents.text(folder.path(file), largest=_LARGEST).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        place = f"{printable(folder.path(file))}, line {row}"
        if len(words) != expected + 1:
            raise InputError(
                f"{place}: {counted(len(words), 'value')}, but with a kpt_shape of {len(description.names)}, {description.values} "
                f"a line has {expected + 1}: class, box and keypoints. Correct the line, or kpt_shape."
            )
        category = whole(words[0], place, "the class")
        if description.categories and category not in description.categories:
            raise InputError(f"{place}: there is no class {category} in the names of {description.place}. Add it there, or correct it.")
        yield _Object(image, category, _values(words[1:], place, description), file, row)


def _values(words: list[str], place: str, description: _Description) -> np.ndarray:
    """The numbers of a line after the class. Raises InputError, with the keypoint, if one is not a number."""
    try:
        values = np.array(list(map(float, words)))
        if np.isfinite(values).all() and not any("_" in word for word in words):
            return values
    except ValueError:
        pass
    labels = [f"{what} of the box" for what in ("x", "y", "the width", "the height")]
    labels += [
        f"{what} of the keypoint {name!r}" for name in description.names for what in ("x", "y", "the visibility")[: description.values]
    ]
    return np.array([number(word, place, what) for word, what in zip(words, labels, strict=True)])


def _category(description: _Description, objects: list[_Object], reading: Reading) -> int:
    """The class that is read. Raises InputError if the chosen one does not exist, or if none is chosen and several have labels."""
    by_name = {name: key for key, name in description.categories.items()}
    if reading.category:
        if reading.category not in by_name:
            raise InputError(f"{description.place} has no class {printable(reading.category)!r}; {meant(reading.category, by_name)}")
        return by_name[reading.category]
    used = sorted({each.category for each in objects})
    if len(used) > 1:
        choices = ", ".join(description.categories.get(key, str(key)) for key in used)
        raise InputError(f"{description.place} has several classes with labels: {printable(choices)}. Choose one with --dataset-category.")
    return used[0]


def _instance(folder: Folder, description: _Description, each: _Object, reading: Reading) -> Instance:
    """An object in pixels of its image."""
    size, convention = folder.size(each.image), reading.of(CONVENTION)
    entry = f"{each.file}, line {each.row}"
    place = f"{printable(folder.path(each.file))}, line {each.row}, image {printable(each.image)}"
    rows = each.values[4:].reshape(len(description.names), description.values)
    states = rows[:, 2] if description.values == 3 else np.where((rows == 0).all(axis=1), 0, 2)
    for name, state in zip(description.names, states.tolist(), strict=True):
        if state not in (0, 1, 2):
            raise InputError(f"{place}: the visibility of the keypoint {name!r} is {state:g}, not 0, 1 or 2. Correct it.")
    points = np.where(states[:, None] == 0, np.nan, convention.inwards(rows[:, :2] * size, size[1]))
    check_near(points, size, place, description.names)
    centre, extent = each.values[:2] * size, each.values[2:4] * size
    corners = convention.inwards(np.array([centre - extent / 2, centre + extent / 2]), size[1])
    if (extent < 0).any():
        raise InputError(f"{place}: the box has a negative width or height. Correct it.")
    return Instance(each.image, str(each.row), points, states == 1, box(corners, size, place), place=entry)


def _placed(image: str) -> str:
    """Where an image of a written set belongs."""
    return image if "images" in image.split("/")[:-1] else f"images/{image}"


def _permutation(names: tuple[str, ...], mirror: tuple[tuple[str, str], ...]) -> list[int]:
    """flip_idx: for each keypoint, its number in the mirrored image."""
    partners = dict(mirror) | {other: name for name, other in mirror}
    return [names.index(partners.get(name, name)) for name in names]


def _line(instance: Instance, size: tuple[int, int]) -> str:
    """An instance as a line of a label file."""
    points = CONVENTION.outwards(instance.keypoints)
    labelled = ~np.isnan(points).any(axis=1)
    if instance.box is not None:
        low, extent = np.array(instance.box[:2]), np.array(instance.box[2:])
    elif labelled.any():
        low = points[labelled].min(axis=0)
        extent = points[labelled].max(axis=0) - low
    else:
        low, extent = np.zeros(2), np.array(size, np.float64)
    states = np.where(labelled, np.where(instance.occluded, 1, 2), 0)
    values = [*((low + extent / 2) / size), *(extent / size)]
    keypoints = (f"{x:.12g} {y:.12g} {state}" for (x, y), state in zip(np.where(labelled[:, None], points / size, 0), states, strict=True))
    return " ".join(["0", *(f"{value:.12g}" for value in values), *keypoints]) + "\n"
