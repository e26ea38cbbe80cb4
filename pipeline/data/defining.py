"""How the definition of a set is found: from its label files, its keypoints.toml, and what the user says on the command line.

The `settings` of a definition, each only if it is known:

- `upwards`: whether y grows upwards in the label files; `category`: the category of labels that have several;
- `predict`: the annotation source whose convention predictions follow;
- `normalise`: {"pair": names}, {"box": True}, {"mm_per_pixel": number} or {"file": path};
- `detector`: "none" or "face"; `boxes`: the path of a CSV file, see `pipeline.data.beside`;
- `group_by`: a regular expression for the names of images, or `groups`: the path of a CSV file.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import beside, grouping, mirror, samples
from pipeline.data.definition import Asked, Definition
from pipeline.data.formats import unsupported
from pipeline.data.formats.catalogue import FORMATS, format_module
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Labels, Part, Reading, arranged
from pipeline.errors import InputError, cause
from pipeline.keypoints import file as files
from pipeline.keypoints.file import KeypointFile, Pairs
from pipeline.units import counted, printable

RARELY = 0.05  # share of the images with several instances up to which these may be a mistake


def define(asked: Asked) -> Definition:
    """The definition of a set. It never raises for anything that the user can resolve: that is the definition's `fault`."""
    folder = Folder(Path(asked.path))
    try:
        folder = _place(Path(asked.path))
        return _defined(folder, asked)
    except (InputError, OSError) as error:
        if (fault := cause(error)) is None:
            raise
        return Definition(asked.format, fault=str(fault), root=str(folder.root), only=folder.only)


def keypoint_file(asked: Asked, folder: Folder) -> KeypointFile:
    """What keypoints.toml says; nothing if there is none. Raises InputError if it cannot be read."""
    if asked.keypoints:
        return files.read(Path(asked.keypoints))
    beside_label = folder.path(folder.only).parent if folder.only else folder.root
    paths = (beside_label / files.NAME, folder.root / files.NAME)
    return next((files.read(path) for path in paths if path.is_file()), KeypointFile())


def read_labels(folder: Folder, name: str, reading: Reading) -> Labels:
    """The labels in a folder. Of several formats for the same images, those of the format that says most; a note names the others.

    name: the format; "" to recognise it. Raises InputError if there are none, if different formats label different images, or if they
    cannot be read.
    """
    found: dict[str, tuple[str, ...]] = {}
    for each in (name,) if name else FORMATS:
        taken = {file for others in found.values() for file in others}
        if own := tuple(file for file in format_module(each).find(folder) if file not in taken):
            found[each] = own
    if not found:
        raise InputError(_nothing(folder, name))
    (first, own), *others = found.items()
    labels: Labels = format_module(first).read(folder, own, reading)
    notes = [_compared(folder, labels, format_module(other).read, files_of, reading) for other, files_of in others]
    return replace(labels, notes=(*labels.notes, *notes))


def _nothing(folder: Folder, name: str) -> str:
    """That there are no labels, and what to do."""
    where = printable(folder.path(folder.only))
    if name:
        return f"{where} has no labels in the format {name}. Name another format, or leave out --dataset-format."
    others = unsupported.unreadable(folder) if not folder.only else ""
    if not folder.only and not folder.images:
        return f"{where} has neither labels nor images of known formats. {others or 'Name the folder of a keypoint set.'}"
    return f"{where} has no labels in a known format: {', '.join(FORMATS)}. {others or 'Convert the labels to one of them.'}"


def _compared(folder: Folder, labels: Labels, read: Any, own: tuple[str, ...], reading: Reading) -> str:
    """A note about label files that are not used, because there are richer ones for the same images."""
    files_are = f"{printable(own[0])}{f' and {len(own) - 1} more' if len(own) > 1 else ''} {'are' if len(own) > 1 else 'is'}"
    try:
        others: Labels = read(folder, own, reading)
    except InputError as error:
        return f"{files_are} not used, because {printable(labels.files[0])} is read, and cannot be read: {error}"
    if not {image.name for image in labels.images} & {image.name for image in others.images}:
        raise InputError(
            f"{printable(labels.files[0])} ({labels.format}) and {printable(own[0])} ({others.format}) label different images. "
            "Name one of these files, or its format with --dataset-format."
        )
    return f"{files_are} not used, because {printable(labels.files[0])} has labels of the same images in a richer format ({labels.format})."


def _place(path: Path) -> Folder:
    """The folder of a set, given by itself or by a label file in it. The images of a label file may be beside its folder.

    Raises InputError if there is no such file.
    """
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise InputError(f"{printable(path)} does not exist. Name the folder of a keypoint set, or its label file.")
    path = path.absolute()
    own = Folder(path.parent, path.name)
    above = path.parent.parent
    if own.images or above in (Path.home(), Path(above.anchor), path.parent):
        return own
    wider = Folder(above, f"{path.parent.name}/{path.name}")
    return wider if wider.images else own


def _defined(folder: Folder, asked: Asked) -> Definition:
    """The definition. Raises InputError."""
    file = keypoint_file(asked, folder)
    reading = Reading(asked.category, {"": None, "upper-left": False, "lower-left": True}[file.origin])
    labels = read_labels(folder, asked.format, reading)
    if not samples.usable(labels):
        raise InputError(f"{printable(folder.path(labels.files[0]))} labels no keypoint in any image. Label some images first.")
    chosen = file.selection(labels.names)
    labels = arranged(labels, chosen.order, chosen.names)
    keypoints = labels.keypoints()
    sources = tuple(source for source in dict.fromkeys(instance.source for instance in labels.instances) if source)
    pairs, note = _pairs(file, labels, keypoints)
    groups = {} if file.groups is not None else grouping.guessed(keypoints, labels.names, pairs)
    title = folder.root.absolute().name
    keypointset = file.keypointset(labels.names, title=title, mirror=pairs, groups=groups, sources=sources, skeleton=labels.skeleton)
    uses = _uses(folder, labels, asked)
    most = Counter((instance.image, instance.source) for instance in samples.usable(labels))
    _check_grouping(file, uses.labelled)
    around = _around(labels, uses, file, folder)
    return Definition(
        labels.format,
        labels.files,
        uses.labelled,
        uses.test,
        keypointset,
        settings=_settings(file, keypointset.names, tuple(keypointset.sources), reading),
        notes=(*labels.notes, *note, *_notes(labels, uses, file, most, around)),
        root=str(folder.root),
        only=folder.only,
        order=chosen.order,
        parts=uses.parts,
        sources=sources,
        instances=max(most.values()),
        around=around,
    )


def _pairs(file: KeypointFile, labels: Labels, keypoints: Any) -> tuple[Pairs | None, tuple[str, ...]]:
    """The mirror pairs, and notes on how they are known: given by keypoints.toml, or else by the label files, or guessed from names."""
    if file.mirror is not None:
        given = file.pairs(labels.names)
        doubt = "" if given is None else mirror.doubt(keypoints, labels.names, given)
        return given, (doubt,) if doubt else ()
    pairs, note = mirror.known(keypoints, labels.names, labels.mirror)
    return pairs, (note,)


def _settings(file: KeypointFile, names: tuple[str, ...], sources: tuple[str, ...], reading: Reading) -> dict[str, Any]:
    """The settings of the definition."""
    normaliser = file.normaliser(names)
    given = (
        {
            "pair": normaliser.pair,
            "box": normaliser.box,
            "mm_per_pixel": normaliser.mm_per_pixel,
            "file": normaliser.file and str(file.beside(normaliser.file)),
        }
        if normaliser
        else {}
    )
    is_table = file.group_by.lower().endswith(".csv")
    found = {
        "upwards": reading.upwards,
        "category": reading.category,
        "predict": file.source_to_predict(sources),
        "normalise": {name: value for name, value in given.items() if value},
        "detector": file.detector,
        "boxes": file.boxes and str(file.beside(file.boxes)),
        "groups": is_table and str(file.beside(file.group_by)),
        "group_by": not is_table and file.group_by,
    }
    return {name: value for name, value in found.items() if value or (name == "upwards" and value is not None)}


@dataclass(frozen=True)
class _Uses:
    """Which images are for what, as in a definition."""

    labelled: tuple[str, ...]
    test: tuple[str, ...]
    parts: dict[str, str]


def _uses(folder: Folder, labels: Labels, asked: Asked) -> _Uses:
    """Which images are for what. Test images are those of the folder that the user names, or else those that a split file or the label
    files say, and all images that the label files do not mention.

    Raises InputError if no labelled image is left to train with.
    """
    part: dict[str, Part] = {image.name: image.part for image in labels.images}
    unmentioned = [image for image in folder.images if image not in part]
    if asked.split:
        part |= beside.parts(Path(asked.split), folder, tuple(part))
    if asked.test:
        test = _images_of(Path(asked.test), folder.root)
    else:
        test = [*(image for image, own in part.items() if own == "test"), *(image for image in unmentioned if image not in part)]
    labelled = tuple(image.name for image in labels.images if part[image.name] != "test" and image.name not in set(test))
    used = set(labelled)
    labelled_parts = {part[instance.image] for instance in samples.usable(labels) if instance.image in used}
    if not labelled_parts:
        raise InputError(f"All labelled images of {printable(folder.root)} are test images. Leave some to train with.")
    if labelled_parts == {"validation"}:
        raise InputError(f"All labelled images of {printable(folder.root)} are in the validation part. Leave some to train with.")
    parts = {image: str(own) for image, own in part.items() if image in used and own}
    # Without a labelled image in a validation part the set is not divided, except for its test images.
    return _Uses(labelled, tuple(dict.fromkeys(test)), parts if "validation" in labelled_parts else {})


def _check_grouping(file: KeypointFile, labelled: tuple[str, ...]) -> None:
    """Raises InputError if the regular expression of group-by fits the path of no image: then it would have no effect."""
    if file.group_by and not file.group_by.lower().endswith(".csv") and not any(re.search(file.group_by, image) for image in labelled):
        raise file.fault(
            "group-by", f"the regular expression fits the path of no labelled image, such as {printable(labelled[0])}. Correct it."
        )


def _around(labels: Labels, uses: _Uses, file: KeypointFile, folder: Folder) -> str:
    """What samples are cut around, see `samples.framing`."""
    used = frozenset(uses.labelled)
    own = tuple(instance for instance in samples.usable(labels) if instance.image in used)
    boxes: Collection[str] = {instance.image for instance in labels.instances if instance.box}
    if file.boxes:
        path = file.beside(file.boxes)
        given = beside.boxes(path, folder, (*(image.name for image in labels.images), *uses.test))
        own, boxes = beside.boxed(own, given, path), given
    return samples.framing(own, uses.test, boxes)


def _notes(labels: Labels, uses: _Uses, file: KeypointFile, most: Counter[tuple[str, str]], around: str) -> Iterator[str]:
    """What a user should know about instances that repeat others, about images with several of them, and about boxes that are not used.

    most: the number of instances of an image, of one annotation source.
    """
    labelled = sum(not np.isnan(instance.keypoints).all() for instance in labels.instances)
    if repeated := labelled - most.total():
        yield f"{counted(repeated, 'instance')} with the same labels as another one of the same image left out."
    several = [image for (image, _), count in most.items() if count > 1]
    if several and len(several) <= RARELY * len(most):
        yield (
            f"{counted(len(several), 'image')} of {len(most):,} {'has' if len(several) == 1 else 'have'} several instances; "
            f"the first is {printable(several[0])}. Remove all but one of them if that is a mistake."
        )
    if len(sources := {instance.source for instance in labels.instances}) > 1:
        which = printable(", ".join(sorted(sources)))
        yield f"The labels are of several annotation sources: {which}. To use only one, name its file instead of the folder."
    if around == "image" and (file.boxes or all(instance.box for instance in labels.instances)):
        yield "Samples are whole images, because boxes are not known for all images, including those to predict."


def _images_of(path: Path, root: Path) -> list[str]:
    """The images of a folder that the user names, relative to the folder of the set. Raises InputError if there are none."""
    if not path.is_dir():
        raise InputError(f"--dataset-test {printable(path)} is not a folder. Name the folder of the images to predict.")
    images = Folder(path).images
    if not images:
        raise InputError(f"--dataset-test {printable(path)} has no images of known formats. Name the folder of the images to predict.")
    prefix = os.path.relpath(path.absolute(), root.absolute()).replace(os.sep, "/")
    return [image if prefix == "." else f"{prefix}/{image}" for image in images]
