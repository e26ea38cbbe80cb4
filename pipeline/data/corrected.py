"""Labels with the user's corrections, see `pipeline.data.corrections`. The label files stay as they are."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from pipeline.data import samples
from pipeline.data.corrections import Correction, Corrections, LabelPlace, LabelValue
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels
from pipeline.data.tables import LabelledFaces
from pipeline.errors import InputError, meant
from pipeline.keypoints.definition import KeypointSet
from pipeline.units import printable

if TYPE_CHECKING:
    from pipeline.data.ownset import OwnSet

INSTANCE = "1"  # of each row of a table of Kaggle's


def of_faces(faces: LabelledFaces, keypointset: KeypointSet, corrections: Corrections) -> LabelledFaces:
    """The labelled faces of a table of Kaggle's with their corrections. The image of a correction is the row, counted from 1.

    Raises InputError, with the line of the file, for a correction of a label that the table does not have, for one that replaces another
    value than the table has, and for an occluded keypoint, which the format cannot express.
    """
    keypoints = faces.keypoints.copy()
    for place, found in corrections.effective.items():
        number = _keypoint(corrections, found, place, keypointset.names)
        row = int(place.image) - 1 if place.image.isascii() and place.image.isdecimal() else -1
        if not 0 <= row < len(keypoints) or place.instance != INSTANCE:
            raise InputError(
                f"{_line(corrections, found)}: the training table has no {_image(place)}. Its images are the rows 1 to "
                f"{len(keypoints)}, with one instance {INSTANCE} each. {OTHER_SET}"
            )
        if found.value.occluded:
            raise InputError(
                f"{_line(corrections, found)}: the labels of Kaggle's tables cannot be occluded. Let it be missing, or delete the line."
            )
        x, y = keypoints[row, number].tolist()
        _check_original(corrections, found, place, LabelValue.at(x, y))
        keypoints[row, number] = _point(found.value)
    return dataclasses.replace(faces, keypoints=keypoints)


def of_set(own: "OwnSet", corrections: Corrections, form: Convention, *, free: bool) -> "OwnSet":
    """A set of the user's with the corrections of its labels. Samples without a label get those that corrections give them.

    form: how its label format places keypoints. free: whether images that the label files do not mention may get labels; they may not if
    the user has said which images are for tests. Raises InputError as `of_labels` does.
    """
    wanted = {(place.image, place.instance) for place in corrections.effective}
    new = [instance for instance in unlabelled(own, free=free) if (instance.image, instance.id) in wanted]
    known = {image.name for image in own.labels.images}
    images = [LabelledImage(name) for name in dict.fromkeys(instance.image for instance in new) if name not in known]
    labels = dataclasses.replace(own.labels, images=(*own.labels.images, *images), instances=(*own.labels.instances, *new))
    labelled = (*own.definition.labelled, *(image.name for image in images))
    return dataclasses.replace(
        own,
        labels=of_labels(labels, corrections, form, own.source.size),
        definition=dataclasses.replace(own.definition, labelled=labelled),
    )


def unlabelled(own: "OwnSet", *, free: bool) -> list[Instance]:
    """The samples that can get their first label: instances without one, in images in which the label files have no instance.

    free: whether images that the label files do not mention are among them.
    """
    with_instance = {instance.image for instance in own.labels.instances}
    mentioned = {image.name for image in own.labels.images}
    names = [name for name in own.definition.labelled if name not in with_instance]
    names += [name for name in own.definition.test if name not in mentioned] if free else []
    source = own.keypointset.source_names[0] if own.definition.sources else ""
    count = len(own.keypointset.names)
    nothing, visible = np.full((count, 2), np.nan), np.zeros(count, bool)
    return [
        Instance(wanted.image, wanted.instance, nothing, visible, wanted.box, source, place=wanted.image)
        for wanted in samples.to_predict(names, own.boxes, own.definition.around, own.source)
    ]


def of_labels(labels: Labels, corrections: Corrections, form: Convention, size: Callable[[str], tuple[int, int]]) -> Labels:
    """The labels of an own set with their corrections.

    form: how its label format places keypoints. size: width and height of an image, pixels. Of instances that repeat another one without a
    correction the result has the first, as `samples.usable` keeps it.

    Raises InputError, with the line of the file, for a correction of a label that the files do not have, and for one that replaces another
    value than they have.
    """
    places, names = named(labels), tuple(dict.fromkeys(image.name for image in labels.images))
    by_instance: defaultdict[int, list[tuple[int, LabelPlace, Correction]]] = defaultdict(list)
    for place, found in corrections.effective.items():
        number = _keypoint(corrections, found, place, labels.names)
        if (at := places.get((place.image, place.instance))) is None:
            hint = "" if place.image in names else f" The set has no such image; {meant(place.image, names[:20])}"
            raise InputError(f"{_line(corrections, found)}: the labels have no {_image(place)}.{printable(hint)} {OTHER_SET}")
        by_instance[at].append((number, place, found))
    kept = {id(instance) for instance in samples.usable(labels)}
    instances = []
    for at, instance in enumerate(labels.instances):
        if at in by_instance:
            instances.append(_amended(instance, by_instance[at], corrections, form, size(instance.image)[1]))
        elif id(instance) in kept:
            instances.append(instance)
    return dataclasses.replace(labels, instances=tuple(instances))


def named(labels: Labels) -> dict[tuple[str, str], int]:
    """The number of each instance, from 0, by its image and the name that corrections give to the instance in it."""
    return {
        (instance.image, name): at
        for at, (instance, name) in enumerate(zip(labels.instances, instance_names(labels.instances), strict=True))
    }


def instance_names(instances: Iterable[Instance]) -> list[str]:
    """The name of each instance in its image: its identifier, and its annotation source where several have labelled the same image."""
    own = list(instances)
    times = Counter((instance.image, instance.id) for instance in own)
    return [f"{each.id}@{each.source}" if times[each.image, each.id] > 1 else each.id for each in own]


OTHER_SET = "Delete the line; if the corrections are of another set, name another file with --dataset-corrections."


def _amended(
    instance: Instance, own: Iterable[tuple[int, LabelPlace, Correction]], corrections: Corrections, form: Convention, height: int
) -> Instance:
    keypoints, occluded = instance.keypoints.copy(), instance.occluded.copy()
    given = form.outwards(keypoints, height)
    for number, place, found in own:
        x, y = given[number].tolist()
        _check_original(corrections, found, place, LabelValue.at(x, y, occluded=bool(occluded[number])))
        keypoints[number] = form.inwards(_point(found.value), height)
        occluded[number] = found.value.occluded
    return dataclasses.replace(instance, keypoints=keypoints, occluded=occluded)


def _point(value: LabelValue) -> np.ndarray:
    """The coordinates of a value, float64 (2,), NaN if it is missing."""
    return np.array([np.nan if value.x is None else value.x, np.nan if value.y is None else value.y])


def _keypoint(corrections: Corrections, found: Correction, place: LabelPlace, names: tuple[str, ...]) -> int:
    """The number of the keypoint of a correction."""
    if place.keypoint not in names:
        raise InputError(
            f"{_line(corrections, found)}: there is no keypoint {printable(place.keypoint)}; {printable(meant(place.keypoint, names))} "
            f"{OTHER_SET}"
        )
    return names.index(place.keypoint)


def _check_original(corrections: Corrections, found: Correction, place: LabelPlace, label: LabelValue) -> None:
    if not label.same(found.original):
        first = next(change for change in corrections.changes if change.place == place)
        raise InputError(
            f"{printable(corrections.path)}, line {first.line} replaces {found.original} of {place}, but the label files have {label} "
            "there. They have changed since; delete the line, or write the present value as old."
        )


def _line(corrections: Corrections, found: Correction) -> str:
    return f"{printable(corrections.path)}, line {found.last.line}"


def _image(place: LabelPlace) -> str:
    return f"image {printable(place.image)} with an instance {printable(place.instance)}"
