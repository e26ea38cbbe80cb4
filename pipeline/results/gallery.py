"""Samples as a page shows them: which ones, with which marks, and what their captions say."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise, takewhile
from typing import Any

import numpy as np

from pipeline.data.dataset import Dataset, labels
from pipeline.data.tables import Origin
from pipeline.geometry import augmentation
from pipeline.geometry.augmentation import AugmentedVersions
from pipeline.results.marked import DOT, RING, WARNING, Face, Shown
from pipeline.results.predictions import Predictions, pixel_of
from pipeline.results.scores import face_rmse
from pipeline.results.style import words
from pipeline.results.wording import wording
from pipeline.units import printable

LONGEST = 36  # characters of the name of an image in a caption

Skeleton = tuple[tuple[int, int], ...]  # pairs of keypoints, counted from 0, that are joined by a line


def validation(images: np.ndarray, predictions: Predictions, rows: np.ndarray, skeleton: Skeleton = ()) -> list[Face]:
    """Validation samples with rings at the labels and dots at the predictions.

    images: all validation samples, uint8 (n, side, side[, 3]).
    rows: the samples to show, as rows of the training table.
    """
    places = np.searchsorted(predictions.validation_face, rows).tolist()
    return [_held_out(images, predictions, place, skeleton) for place in places]


def _held_out(images: np.ndarray, predictions: Predictions, place: int, skeleton: Skeleton) -> Face:
    """A validation sample; its error is in pixels of its image."""
    predicted, truth = predictions.validation[place], predictions.validation_truth[place]
    (error,) = face_rmse(predicted[None], truth[None]) * predictions.pixel[place].ravel()
    source, origin = str(predictions.sources[predictions.validation_source[place]]), predictions.validation_origin
    name = f"row {predictions.validation_face[place] + 1}" if origin is None else _named(origin, place)
    apart = f", {source} labels" if origin is not None and len(predictions.sources) > 1 else ""
    view = _around(Shown.of(images[place], origin, place), origin, place, predicted, truth)
    return _compared(view, predicted, truth, skeleton, caption=f"{error:.2f} px, {name}{apart}", what=f"{source} labels")


def to_predict(predictions: Predictions, ids: np.ndarray, skeleton: Skeleton = ()) -> list[Face]:
    """Samples to predict, with dots at the predictions and their expected error, if it is known.

    ids: their ImageIds, or numbers from 1 for those of an own set.
    """
    places = [int(np.flatnonzero(predictions.test_ids == number)[0]) for number in ids]
    nothing, origin = np.full(predictions.test.shape[1:], np.nan), predictions.test_origin
    found = []
    for place in places:
        caption = f"ImageId {predictions.test_ids[place]}" if origin is None else _named(origin, place)
        if predictions.expected_error is not None:
            caption += f", expected {np.sqrt(np.square(predictions.expected_error.test[place]).mean()):.2f} px"
        view = _around(Shown.of(predictions.test_images[place], origin, place), origin, place, predictions.test[place])
        what = "test face" if origin is None else "sample to predict"
        found.append(_compared(view, predictions.test[place], nothing, skeleton, caption=caption, what=what))
    return found


def outliers(faces: Dataset, shown: int, skeleton: Skeleton = ()) -> list[Face]:
    """The samples with the worst suspected labels: those farthest from where the sample's other keypoints predict them."""
    distance = np.where(faces.outlier, faces.outlier_distance, 0)
    rows = np.argsort(-distance.max(axis=1), kind="stable")[:shown].tolist()
    return [_suspected(faces, row, distance[row], skeleton) for row in rows if distance[row].any()]


def conflicts(faces: Dataset, shown: int) -> list[Face]:
    """Images whose labels contradict those of an equal image, those farthest apart first, with both labels joined by lines."""
    found: list[tuple[float, int, int, np.ndarray]] = []
    for copy in np.unique(faces.copy[faces.conflict.any(axis=1)]):
        rows = np.flatnonzero(faces.copy == copy).tolist()
        for row, other in pairwise(rows):
            apart = np.where(faces.conflict[row], np.linalg.norm(faces.keypoints[row] - faces.keypoints[other], axis=1), np.nan)
            if not np.isnan(apart).all():
                found.append((float(np.nanmax(apart)), row, other, np.flatnonzero(apart > 0)))
    found.sort(key=lambda pair: -pair[0])
    return [_contradicted(faces, *pair) for pair in found[:shown]]


def twins(faces: Dataset, shown: int, skeleton: Skeleton = ()) -> list[Face]:
    """Two samples from each of the largest duplicate groups; `shown` samples at most."""
    sizes, one = np.bincount(faces.duplicate_group), wording(faces).one
    groups = [group for group in np.argsort(-sizes, kind="stable")[: shown // 2] if sizes[group] > 1]
    return [
        _labelled(faces, row, f"{_name(faces, row)}, one of {sizes[group]}", f"a {one} of a duplicate group", skeleton=skeleton)
        for group in groups
        for row in np.flatnonzero(faces.duplicate_group == group)[:2].tolist()
    ]


def example(faces: Dataset) -> int:
    """The sample that shows augmentation, as an index of the training part, see `augmentation.example`."""
    return augmentation.example(labels(faces)[~faces.validation])


def example_versions(versions: Mapping[str, Any], faces: Dataset, count: int) -> AugmentedVersions:
    """The first augmented versions of the example: images (count, side, side) and keypoints (count, K, 2).

    versions: the arrays of AugmentedVersions of the training part by name, in memory or in an open file, of which only these are read.
    """
    # If each epoch of the training draws its own versions, this sample is the only one.
    place = example(faces) if versions["images"].shape[1] > 1 else 0
    return AugmentedVersions(versions["images"][:count, place], versions["keypoints"][:count, place])


def augmented(faces: Dataset, versions: AugmentedVersions, skeleton: Skeleton = ()) -> list[Face]:
    """The example without augmentation, then its augmented versions, see `example_versions`."""
    row, one = int(np.flatnonzero(~faces.validation)[example(faces)]), wording(faces).one
    pictures = [(faces.images[row], faces.keypoints[row]), *zip(versions.images, versions.keypoints, strict=True)]
    shown = []
    for number, (image, keypoints) in enumerate(pictures):
        view = Shown(image, np.zeros(2), len(image))  # with its padding, which the versions have too
        caption = f"version {number}" if number else "original"
        what = f"augmented version {number} of the {one}" if number else f"the {one} before augmentation"
        shown.append(view.face(view.marks("truth", keypoints, RING), caption, what, bones=view.bones(keypoints, skeleton)))
    return shown


def _around(view: Shown, origin: Origin | None, place: int, *points: np.ndarray) -> Shown:
    """The view of a sample, reduced to the surroundings of these points if it is a whole image and they are only a small part of it."""
    if origin is None:
        return view
    (scale, _, x), (_, _, y) = origin.to_original[place].tolist()
    width, height = origin.size[place].tolist()
    is_whole = max(x, y) <= 0 and x + scale * view.side >= width and y + scale * view.side >= height
    return view.near(*points) if is_whole else view


def _compared(view: Shown, predicted: np.ndarray, truth: np.ndarray, skeleton: Skeleton, *, caption: str, what: str) -> Face:
    known = ~np.isnan(truth).any(axis=1)
    marks = view.marks("truth", truth, RING) + view.marks("predicted", predicted, DOT)
    alt = f"{what}: {caption}; {known.sum()} labels, {len(predicted)} predictions"
    return view.face(marks, caption, alt, links=view.lines(zip(predicted, truth, strict=True)), bones=view.bones(predicted, skeleton))


def _suspected(faces: Dataset, row: int, distance: np.ndarray, skeleton: Skeleton) -> Face:
    worst = int(distance.argmax())
    pixels = distance[worst] * _pixel(faces, row)
    caption = f"{words(faces.keypoint_names[worst])}, {pixels:.0f} px off; {_name(faces, row)}"
    what = f"a label far from where the other keypoints of the {wording(faces).one} predict it"
    return replace(_labelled(faces, row, caption, what, suspect=distance > 0, skeleton=skeleton), command=_review(faces, row))


def _contradicted(faces: Dataset, distance: float, row: int, other: int, which: np.ndarray) -> Face:
    both = faces.keypoints[row, which], faces.keypoints[other, which]
    view = _view(faces, row, *both)
    marks = [mark for points in both for mark in view.marks("suspect", points, WARNING)]
    rows = f"rows {faces.row[row] + 1} and {faces.row[other] + 1}"
    names = rows if faces.origin is None else f"{_name(faces, row)} and {_name(faces, other)}"
    caption = f"{names}, {distance * _pixel(faces, row):.0f} px apart"
    shown = view.face(marks, caption, f"One image with two contradicting labels: {caption}", links=view.lines(zip(*both, strict=True)))
    return replace(shown, command=_review(faces, row))


def _labelled(faces: Dataset, row: int, caption: str, what: str, *, suspect: np.ndarray | None = None, skeleton: Skeleton = ()) -> Face:
    points = faces.keypoints[row]
    view = _view(faces, row, points)
    doubted = np.zeros(len(points), bool) if suspect is None else suspect
    # All keypoints of the sample count for the size of the marks.
    marks = view.marks("truth", np.where(doubted[:, None], np.nan, points), RING)
    marks += view.marks("suspect", np.where(doubted[:, None], points, np.nan), WARNING)
    return view.face(marks, caption, f"{what}: {caption}", bones=view.bones(points, skeleton))


def _view(faces: Dataset, row: int, *points: np.ndarray) -> Shown:
    return _around(Shown.of(faces.images[row], faces.origin, row), faces.origin, row, *points)


def _pixel(faces: Dataset, row: int) -> float:
    """The length of a pixel of a sample, in pixels of its image."""
    return 1.0 if faces.origin is None else float(pixel_of(faces.origin)[row, 0, 0])


def _name(faces: Dataset, row: int) -> str:
    """A labelled sample by its row in the training table, or by its image."""
    return f"row {faces.row[row] + 1}" if faces.origin is None else _named(faces.origin, row)


def _review(faces: Dataset, row: int) -> str:
    """The command that opens the review page with a sample."""
    name = [str(faces.row[row] + 1)]
    if faces.origin is not None:
        image, instance = str(faces.origin.image[row]), str(faces.origin.instance[row])
        of_image = faces.origin.image == image
        by_others = (of_image & (faces.origin.instance == instance)).sum() > 1
        several = [f"{instance}@{faces.source_names[faces.source[row]]}" if by_others else instance] if of_image.sum() > 1 else []
        name = [image, *several]
    return shlex.join(["keypoints", "review", "--sample", *name])


def _named(origin: Origin, place: int) -> str:
    """A sample of an own set by its image, without the folder of all images, and by its instance if there are images with several."""
    names = origin.image.tolist()
    image = printable(names[place][len(_common_folder(names)) :])
    half = LONGEST // 2
    short = image if len(image) <= LONGEST else f"{image[:half]}\N{HORIZONTAL ELLIPSIS}{image[-half:]}"
    several = len(set(zip(names, origin.instance.tolist(), strict=True))) > len(set(names))
    return f"{short}, instance {printable(str(origin.instance[place]))}" if several else short


def _common_folder(names: list[str]) -> str:
    """The folder of all these images, with a slash at its end, or ""."""
    least, most = (name.split("/")[:-1] for name in (min(names), max(names)))
    return "".join(f"{one}/" for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(least, most, strict=False)))
