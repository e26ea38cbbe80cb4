"""Images as a page shows them: the unchanged image, with marks over it at positions in the image's own pixels."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image

from pipeline.data.dataset import Dataset, labels
from pipeline.geometry import affine, alignment, augmentation
from pipeline.geometry.augmentation import AugmentedVersions
from pipeline.keypoints.definition import KeypointSet
from pipeline.results.predictions import Predictions
from pipeline.results.scores import Scores, face_rmse
from pipeline.results.style import data_uri, words

# Radii of marks, pixels of the image.
DOT, RING, WARNING = 1.3, 2.0, 3.4


@dataclass(frozen=True)
class Mark:
    """A circle, with its centre and radius in pixels of the image.

    kind: truth, predicted, suspect or error, which decides on its colour.
    text: a label above or below the circle.
    """

    kind: str
    x: float
    y: float
    radius: float
    text: str = ""
    above: bool = False


@dataclass(frozen=True)
class Face:
    """An image with its marks.

    image: a data URI. size: its width and height, pixels.
    links: lines as x1, y1, x2, y2, pixels of the image.
    boxes: rectangles as x, y, width, height, pixels of the image.
    alt: a text for readers who cannot see the image.
    """

    image: str
    size: tuple[int, int]
    marks: list[Mark]
    links: list[tuple[float, float, float, float]]
    caption: str
    alt: str
    boxes: tuple[tuple[float, float, float, float], ...] = ()


def validation(images: np.ndarray, predictions: Predictions, rows: np.ndarray) -> list[Face]:
    """Validation faces with rings at the labels and dots at the predictions.

    images: all validation faces, uint8 (n, side, side).
    rows: the faces to show, as rows of the training table.
    """
    places = np.searchsorted(predictions.validation_face, rows)
    predicted, truth = predictions.validation[places], predictions.validation_truth[places]
    captions = [f"{error:.2f} px, row {row + 1}" for error, row in zip(face_rmse(predicted, truth), rows, strict=True)]
    sources = predictions.sources[predictions.validation_source[places]]
    return [
        _compared(images[place], own, label, caption, f"{source} labels")
        for place, own, label, caption, source in zip(places, predicted, truth, captions, sources, strict=True)
    ]


def tests(predictions: Predictions, ids: np.ndarray) -> list[Face]:
    """Test faces with dots at the predictions; ids: their ImageIds."""
    places = [int(np.flatnonzero(predictions.test_ids == number)[0]) for number in ids]
    nothing = np.full(predictions.test.shape[1:], np.nan)
    return [
        _compared(predictions.test_images[place], predictions.test[place], nothing, f"ImageId {predictions.test_ids[place]}", "test face")
        for place in places
    ]


def outliers(faces: Dataset, shown: int) -> list[Face]:
    """The faces with the worst suspected labels: those farthest from where the face's other keypoints predict them."""
    distance = np.where(faces.outlier, faces.outlier_distance, 0)
    rows = np.argsort(-distance.max(axis=1), kind="stable")[:shown]
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
    """Two faces from each of the largest duplicate groups; `shown` faces at most."""
    sizes = np.bincount(faces.duplicate_group)
    groups = [group for group in np.argsort(-sizes, kind="stable")[: shown // 2] if sizes[group] > 1]
    return [
        _labelled(faces, row, f"row {faces.row[row] + 1}, one of {sizes[group]}", "a face that occurs more than once")
        for group in groups
        for row in np.flatnonzero(faces.duplicate_group == group)[:2]
    ]


def example(faces: Dataset) -> int:
    """The face that shows augmentation, as an index of the training part, see `augmentation.example`."""
    return augmentation.example(labels(faces)[~faces.validation])


def example_versions(versions: Mapping[str, Any], faces: Dataset, count: int) -> AugmentedVersions:
    """The first augmented versions of the example face: images (count, side, side) and keypoints (count, K, 2).

    versions: the arrays of AugmentedVersions of the training part by name, in memory or in an open file, of which only these are read.
    """
    # If each epoch of the training draws its own versions, this face is the only one.
    place = example(faces) if versions["images"].shape[1] > 1 else 0
    return AugmentedVersions(versions["images"][:count, place], versions["keypoints"][:count, place])


def augmented(faces: Dataset, versions: AugmentedVersions) -> list[Face]:
    """The example face without augmentation, then its augmented versions, see `example_versions`."""
    row = np.flatnonzero(~faces.validation)[example(faces)]
    shown = [_labelled(faces, row, "original", "the face before augmentation")]
    for number, (image, keypoints) in enumerate(zip(versions.images, versions.keypoints, strict=True), start=1):
        marks = _marks("truth", keypoints, RING)
        shown.append(Face(_png(image), _size(image), marks, [], f"version {number}", f"augmented version {number} of the face"))
    return shown


def errors(images: np.ndarray, mean_face: np.ndarray, predictions: Predictions, scores: Scores, keypointset: KeypointSet) -> list[Face]:
    """The mean of the validation faces of each annotation source, aligned by their predictions, with circles as large as the errors.

    images: all validation faces, uint8 (n, side, side).
    mean_face: the mean face that the faces are aligned to, (K, 2), pixels.
    """
    side = images.shape[-1]
    target = alignment.upright(mean_face, keypointset, side=side)
    matrices = alignment.aligning(predictions.validation, target)
    return [
        _mean_face(affine.warp(images[ours], matrices[ours], side), target, error, name)
        for number, (name, error) in enumerate(zip(scores.sources, scores.error_by_place, strict=True))
        if (ours := predictions.validation_source == number).any() and not np.isnan(error).all()
    ]


def _mean_face(images: np.ndarray, target: np.ndarray, error: np.ndarray, source: str) -> Face:
    known = np.flatnonzero(~np.isnan(error))
    above = _crowded_below(target[known])
    marks = [Mark("error", *_place(target[k]), float(error[k]), f"{error[k]:.1f}", bool(up)) for k, up in zip(known, above, strict=True)]
    caption = f"{source} labels, {len(images):,} faces"
    radii = f"{error[known].min():.1f} to {error[known].max():.1f} px"
    alt = f"Mean of {len(images)} aligned faces with a circle at each keypoint; the radii are {radii}"
    return Face(_png(images.mean(axis=0)), _size(images[0]), marks, [], caption, alt)


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


def _compared(image: np.ndarray, predicted: np.ndarray, truth: np.ndarray, caption: str, what: str) -> Face:
    known = ~np.isnan(truth).any(axis=1)
    links = [(*_place(a), *_place(t)) for a, t in zip(predicted[known], truth[known], strict=True)]
    marks = _marks("truth", truth, RING) + _marks("predicted", predicted, DOT)
    return Face(_png(image), _size(image), marks, links, caption, f"{what}: {caption}; {known.sum()} labels, {len(predicted)} predictions")


def _suspected(faces: Dataset, row: int, distance: np.ndarray) -> Face:
    worst = int(distance.argmax())
    caption = f"{words(faces.keypoint_names[worst])}, {distance[worst]:.0f} px off; row {faces.row[row] + 1}"
    return _labelled(faces, row, caption, "a label far from the position that the face's other keypoints predict", distance > 0)


def _contradicted(faces: Dataset, distance: float, row: int, other: int, which: np.ndarray) -> Face:
    both = faces.keypoints[row, which], faces.keypoints[other, which]
    links = [(*_place(a), *_place(b)) for a, b in zip(*both, strict=True)]
    marks = [mark for points in both for mark in _marks("suspect", points, WARNING)]
    caption = f"rows {faces.row[row] + 1} and {faces.row[other] + 1}, {distance:.0f} px apart"
    return Face(
        _png(faces.images[row]), _size(faces.images[row]), marks, links, caption, f"One image with two contradicting labels: {caption}"
    )


def _labelled(faces: Dataset, row: int, caption: str, what: str, suspect: np.ndarray | None = None) -> Face:
    points, suspect = faces.keypoints[row], np.zeros(faces.keypoints.shape[1], bool) if suspect is None else suspect
    marks = _marks("truth", points[~suspect], RING) + _marks("suspect", points[suspect], WARNING)
    return Face(_png(faces.images[row]), _size(faces.images[row]), marks, [], caption, f"{what}: {caption}")


def _marks(kind: str, points: np.ndarray, radius: float) -> list[Mark]:
    return [Mark(kind, *_place(point), radius) for point in points if not np.isnan(point).any()]


def _place(point: np.ndarray) -> tuple[float, float]:
    """A position rounded to tenths of a pixel, which the eye cannot tell apart and which makes the page a third shorter."""
    x, y = point.round(1).tolist()
    return round(x, 1), round(y, 1)


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _png(image: np.ndarray) -> str:
    with io.BytesIO() as file:
        Image.fromarray(image.round().astype(np.uint8)).save(file, "PNG", optimize=True)
        return data_uri(file.getvalue(), "image/png")
