"""Samples as a page shows them: which ones, with which marks, and what their captions say."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.data.dataset import Dataset, labels
from pipeline.data.tables import Origin
from pipeline.geometry import affine, alignment, augmentation
from pipeline.geometry.augmentation import AugmentedVersions
from pipeline.keypoints.definition import KeypointSet
from pipeline.results.marked import DOT, RING, WARNING, Face, Mark, Shown
from pipeline.results.predictions import Predictions, pixel_of
from pipeline.results.scores import Scores, face_rmse
from pipeline.results.style import words
from pipeline.results.wording import wording
from pipeline.units import printable

CROWDED = 15  # of more keypoints than this, a circle has its number only where there is room
ROOM = 9, 4  # width and height of a number, in units of the size of letters

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
    view = Shown.of(images[place], origin, place)
    return _compared(view, predicted, truth, skeleton, caption=f"{error:.2f} px, {name}{apart}", what=f"{source} labels")


def to_predict(predictions: Predictions, ids: np.ndarray, skeleton: Skeleton = ()) -> list[Face]:
    """Samples to predict, with dots at the predictions; ids: their ImageIds, or numbers from 1 for those of an own set."""
    places = [int(np.flatnonzero(predictions.test_ids == number)[0]) for number in ids]
    nothing, origin = np.full(predictions.test.shape[1:], np.nan), predictions.test_origin
    found = []
    for place in places:
        caption = f"ImageId {predictions.test_ids[place]}" if origin is None else _named(origin, place)
        view = Shown.of(predictions.test_images[place], origin, place)
        what = "test face" if origin is None else "sample to predict"
        found.append(_compared(view, predictions.test[place], nothing, skeleton, caption=caption, what=what))
    return found


def outliers(faces: Dataset, shown: int) -> list[Face]:
    """The samples with the worst suspected labels: those farthest from where the sample's other keypoints predict them."""
    distance = np.where(faces.outlier, faces.outlier_distance, 0)
    rows = np.argsort(-distance.max(axis=1), kind="stable")[:shown].tolist()
    return [_suspected(faces, row, distance[row]) for row in rows if distance[row].any()]


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


def twins(faces: Dataset, shown: int) -> list[Face]:
    """Two samples from each of the largest duplicate groups; `shown` samples at most."""
    sizes, one = np.bincount(faces.duplicate_group), wording(faces).one
    groups = [group for group in np.argsort(-sizes, kind="stable")[: shown // 2] if sizes[group] > 1]
    return [
        _labelled(faces, row, f"{_name(faces, row)}, one of {sizes[group]}", f"a {one} of a duplicate group")
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


def augmented(faces: Dataset, versions: AugmentedVersions) -> list[Face]:
    """The example without augmentation, then its augmented versions, see `example_versions`."""
    row, one = int(np.flatnonzero(~faces.validation)[example(faces)]), wording(faces).one
    original = Shown(faces.images[row], np.zeros(2), faces.images.shape[1])  # with its padding, which the versions have too
    shown = [original.face(original.marks("truth", faces.keypoints[row], RING), "original", f"the {one} before augmentation")]
    for number, (image, keypoints) in enumerate(zip(versions.images, versions.keypoints, strict=True), start=1):
        view = Shown(image, np.zeros(2), len(image))
        shown.append(view.face(view.marks("truth", keypoints, RING), f"version {number}", f"augmented version {number} of the {one}"))
    return shown


def errors(images: np.ndarray, mean_face: np.ndarray, predictions: Predictions, scores: Scores, keypointset: KeypointSet) -> list[Face]:
    """The mean of the validation samples of each annotation source, aligned by their predictions, with circles as large as the errors.

    images: all validation samples, uint8 (n, side, side[, 3]).
    mean_face: the mean shape that the samples are aligned to, (K, 2), pixels of the samples.
    """
    side = images.shape[1]
    target = alignment.upright(mean_face, keypointset, side=side)
    matrices = alignment.aligning(predictions.validation, target)
    many = "faces" if predictions.validation_origin is None else "samples"
    found = []
    for number, (name, error) in enumerate(zip(scores.sources, scores.error_by_place, strict=True)):
        ours = predictions.validation_source == number
        if not ours.any() or np.isnan(error).all():
            continue
        mean = affine.warp(images[ours], matrices[ours], side).mean(axis=0)
        labelled = f"{name} labels, " if len(scores.sources) > 1 else ""
        caption = f"{labelled}{ours.sum():,} {many}"
        found.append(_circles(mean, target, error, float(predictions.pixel[ours].mean()), caption))
    return found


def _circles(mean: np.ndarray, target: np.ndarray, error: np.ndarray, pixel: float, caption: str) -> Face:
    """The mean of aligned samples (side, side[, 3]) with a circle for each keypoint. pixel: that of the samples, in those of the images."""
    view = Shown(mean, np.zeros(2), len(mean))
    known = np.flatnonzero(~np.isnan(error))
    above = dict(zip(known.tolist(), _crowded_below(target[known]).tolist(), strict=True))
    numbers = target.copy()
    numbers[known, 1] += [(-error[k] if above[k] else error[k]) / pixel for k in known.tolist()]
    numbered = known if len(known) <= CROWDED else _with_room(numbers, known[np.argsort(-error[known], kind="stable")], view.unit)
    marks = [
        Mark("error", *view.place(target[k]), float(error[k]) / pixel, f"{error[k]:.1f}" if k in numbered else "", above[k])
        for k in known.tolist()
    ]
    radii = f"{error[known].min():.1f} to {error[known].max():.1f} px"
    return view.face(marks, caption, f"Mean of aligned samples ({caption}) with a circle at each keypoint; the radii are {radii}")


def _with_room(places: np.ndarray, order: np.ndarray, unit: float) -> list[int]:
    """The keypoints of `order` whose numbers do not overlap with that of an earlier one. places: of the numbers (K, 2), pixels."""
    chosen: list[int] = []
    for k in order.tolist():
        if not (np.abs(places[chosen] - places[k]) < np.array(ROOM) * unit).all(axis=1).any():
            chosen.append(k)
    return chosen


def _crowded_below(points: np.ndarray) -> np.ndarray:
    """Which of the points (n, 2) have their nearest vertical neighbour below them, so that their label belongs above them.

    Vertical neighbours are points whose distance in y is at least that in x.
    """
    offset = points[None] - points[:, None]
    beside = np.abs(offset[..., 0]) > np.abs(offset[..., 1])
    distance = np.where(beside, np.inf, np.linalg.norm(offset, axis=2))
    np.fill_diagonal(distance, np.inf)
    nearest = distance.argmin(axis=1)
    return np.isfinite(distance.min(axis=1)) & (offset[np.arange(len(points)), nearest, 1] > 0)


def _compared(view: Shown, predicted: np.ndarray, truth: np.ndarray, skeleton: Skeleton, *, caption: str, what: str) -> Face:
    known = ~np.isnan(truth).any(axis=1)
    marks = view.marks("truth", truth, RING) + view.marks("predicted", predicted, DOT)
    alt = f"{what}: {caption}; {known.sum()} labels, {len(predicted)} predictions"
    return view.face(marks, caption, alt, links=view.lines(zip(predicted, truth, strict=True)), bones=view.bones(predicted, skeleton))


def _suspected(faces: Dataset, row: int, distance: np.ndarray) -> Face:
    worst = int(distance.argmax())
    pixels = distance[worst] * _pixel(faces, row)
    caption = f"{words(faces.keypoint_names[worst])}, {pixels:.0f} px off; {_name(faces, row)}"
    what = f"a label far from where the other keypoints of the {wording(faces).one} predict it"
    return _labelled(faces, row, caption, what, distance > 0)


def _contradicted(faces: Dataset, distance: float, row: int, other: int, which: np.ndarray) -> Face:
    view, both = _view(faces, row), (faces.keypoints[row, which], faces.keypoints[other, which])
    marks = [mark for points in both for mark in view.marks("suspect", points, WARNING)]
    rows = f"rows {faces.row[row] + 1} and {faces.row[other] + 1}"
    names = rows if faces.origin is None else f"{_name(faces, row)} and {_name(faces, other)}"
    caption = f"{names}, {distance * _pixel(faces, row):.0f} px apart"
    return view.face(marks, caption, f"One image with two contradicting labels: {caption}", links=view.lines(zip(*both, strict=True)))


def _labelled(faces: Dataset, row: int, caption: str, what: str, suspect: np.ndarray | None = None) -> Face:
    view, points = _view(faces, row), faces.keypoints[row]
    doubted = np.zeros(len(points), bool) if suspect is None else suspect
    # All keypoints of the sample count for the size of the marks.
    marks = view.marks("truth", np.where(doubted[:, None], np.nan, points), RING)
    marks += view.marks("suspect", np.where(doubted[:, None], points, np.nan), WARNING)
    return view.face(marks, caption, f"{what}: {caption}")


def _view(faces: Dataset, row: int) -> Shown:
    return Shown.of(faces.images[row], faces.origin, row)


def _pixel(faces: Dataset, row: int) -> float:
    """The length of a pixel of a sample, in pixels of its image."""
    return 1.0 if faces.origin is None else float(pixel_of(faces.origin)[row, 0, 0])


def _name(faces: Dataset, row: int) -> str:
    """A labelled sample by its row in the training table, or by its image."""
    return f"row {faces.row[row] + 1}" if faces.origin is None else _named(faces.origin, row)


def _named(origin: Origin, place: int) -> str:
    """A sample of an own set by its image, and by its instance if there are images with several."""
    image, instance = printable(str(origin.image[place])), printable(str(origin.instance[place]))
    several = len(set(zip(origin.image.tolist(), origin.instance.tolist(), strict=True))) > len(set(origin.image.tolist()))
    return f"{image}, instance {instance}" if several else image
