"""From labelled samples to the data set that all stages share: annotation sources, duplicates, the split, rejected labels, statistics."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from pipeline.data import duplicates, outliers, shapes
from pipeline.data.split import Division, Splitting, split
from pipeline.data.tables import Given, LabelledFaces, Origin
from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.stored import StoredSet
from pipeline.lazyrows import Images, Selected, chosen, each
from pipeline.progress import OnProgress, ignored
from pipeline.schema import Plot, array, record

# If more labels of an own set than this share are outliers, its keypoints do not follow one shape, and none of them counts as an outlier.
MOST_OUTLIERS = 0.02


# Divides samples, given with their annotation sources int8 (n,) and the numbers of their images int32 (n,), equal for identical ones.
Divide = Callable[[LabelledFaces, np.ndarray, np.ndarray, Splitting, OnProgress], Division]


@dataclass(frozen=True)
class Cleaning:
    """Which labels are rejected as wrong. Only labels of the training part are ever dropped.

    clean: whether outliers and conflicting labels of the training part are dropped.
    outlier_deviations, outlier_pixels: the limits of `outliers.outliers`, in standard deviations and in pixels.
    conflict_pixels: the limit of `outliers.conflicts`, pixels.
    """

    clean: bool
    outlier_deviations: float
    outlier_pixels: float
    conflict_pixels: float


@record
class Dataset:
    """Labelled samples in the order of the label files.

    There may be fewer of them than the label files have, see `Splitting.faces`. Annotation sources are numbered in the order of the
    keypoint set.
    """

    images: Images = array("uint8", "face y x channel?", "grey level", "labelled faces, training and validation, in the table's order")
    keypoints: np.ndarray = array("float32", "face keypoint coordinate", "px", "labels as given, x then y, NaN where not labelled")
    row: np.ndarray = array("int32", "face", "", "row of the training table, counted from 0")
    source: np.ndarray = array("int8", "face", "", "annotation source: which group of people labelled the face")
    copy: np.ndarray = array("int32", "face", "", "number of the image, equal for identical images")
    duplicate_group: np.ndarray = array("int32", "face", "", "duplicate group, equal for near duplicates, which the split keeps together")
    validation: np.ndarray = array("bool", "face", "", "held out for validation; the rest is the training part")
    complete: np.ndarray = array("bool", "face", "", "every keypoint is labelled")
    outlier: np.ndarray = array("bool", "face keypoint", "", "label far from its prediction by the face's other labels")
    outlier_distance: np.ndarray = array("float32", "face keypoint", "px", "distance from that prediction, NaN where not labelled")
    conflict: np.ndarray = array("bool", "face keypoint", "", "label contradicted by the label of an identical image")
    dropped: np.ndarray = array("bool", "face keypoint", "", "label of the training part that is not used for training")
    labelled: np.ndarray = array("int32", "source keypoint", "", "number of labels as given")
    mean_face: np.ndarray = array("float32", "source keypoint coordinate", "px", "mean of the labels used for training")
    typical: np.ndarray | None = array("float32", "keypoint coordinate", "px", "typical shape of an own set, see `pipeline.data.shapes`")
    pixel_mean: np.ndarray = array("float32", "", "grey level", "mean of the training part's pixels")
    pixel_std: np.ndarray = array("float32", "", "grey level", "standard deviation of the training part's pixels, 1 if they are all equal")
    keypoint_names: np.ndarray = array("text", "keypoint", "", "names of the keypoints")
    source_names: np.ndarray = array("text", "source", "", "names of the annotation sources")
    occluded: np.ndarray | None = array("bool", "face keypoint", "", "labelled but not visible, where the label files say so")
    keypointset: StoredSet  # without groups and skeleton, and of an own set without its name: they do not make the data set stale
    origin: Origin | None
    notes: np.ndarray | None = array("text", "note", "", "sentences on how an own set was divided, if there is something to say")

    PLOT = Plot("images", (".", ".", "."), "image")


def sources(labelled: np.ndarray, keypointset: KeypointSet) -> np.ndarray:
    """Annotation source int8 (n,) of each face: the last one that has all of the face's labelled (or requested) keypoints.

    labelled: bool (n, K), whether each keypoint is labelled (or requested).

    Raises ValueError for another number of keypoints than the keypoint set has.
    """
    if labelled.shape[1:] != (len(keypointset.names),):
        raise ValueError(f"labelled must have the shape (n, {len(keypointset.names)}), not {labelled.shape}")
    source = np.zeros(len(labelled), np.int8)
    for number, names in enumerate(keypointset.sources.values()):
        foreign = ~np.isin(keypointset.names, names)
        source[~labelled[:, foreign].any(axis=1)] = number
    return source


def assemble(
    training: LabelledFaces,
    keypointset: KeypointSet,
    *,
    splitting: Splitting,
    cleaning: Cleaning,
    given: Given | None = None,
    divide: Divide | None = None,
    on_progress: OnProgress = ignored,
) -> Dataset:
    """Derives the data set from labelled samples. Raises InputError if they cannot be split as requested.

    given: what the label files of an own set say; None for Kaggle's tables. divide: None: by duplicate groups. on_progress: receives the
    numbers of samples that have been compared with the others, which takes longest.
    """
    labelled = ~np.isnan(training.keypoints).any(axis=2)
    source = given.source if given else sources(labelled, keypointset)
    copy = duplicates.copies(training.images)
    division = (divide or by_duplicates)(training, source, copy, splitting, on_progress)
    group, validation = division.group, division.validation
    outlier, distance = _outliers(training.keypoints, source, cleaning, own=given is not None)
    conflict = outliers.conflicts(training.keypoints, _pairs(copy, source) if given else copy, pixels=cleaning.conflict_pixels)
    dropped = (outlier | conflict) & ~validation[:, None] & cleaning.clean
    used = _used(validation, division.left_out, splitting.faces, splitting.seed)
    keypoints, source, validation, dropped = (values[used] for values in (training.keypoints, source, validation, dropped))
    images, taught = chosen(training.images, used), _without(keypoints, dropped)[~validation]
    return Dataset(
        images=images,
        keypoints=keypoints,
        row=np.arange(len(labelled), dtype=np.int32)[used],
        source=source,
        copy=copy[used],
        duplicate_group=group[used],
        validation=validation,
        complete=labelled[used].all(axis=1),
        outlier=outlier[used],
        outlier_distance=distance[used],
        conflict=conflict[used],
        dropped=dropped,
        labelled=_by_source(labelled[used], source, keypointset).astype(np.int32),
        mean_face=_mean_face(taught, source[~validation], keypointset, images.shape[1]),
        typical=_typical(taught, keypointset, images.shape[1]) if given else None,
        **_pixel_statistics(Selected(images, np.flatnonzero(~validation))),
        keypoint_names=np.array(keypointset.names),
        source_names=np.array(keypointset.source_names),
        occluded=given.occluded[used] if given else None,
        keypointset=StoredSet.of(replace(keypointset, name=keypointset.name if given is None else "own set", groups={}, skeleton=())),
        origin=given.origin.of(used) if given else None,
        notes=np.array(division.notes) if division.notes else None,
    )


def by_duplicates(training: LabelledFaces, source: np.ndarray, copy: np.ndarray, splitting: Splitting, on_progress: OnProgress) -> Division:
    """Divides samples by duplicate groups: the division of Kaggle's faces."""
    group = duplicates.groups(training.images, correlation=splitting.twin_correlation, copy=copy, on_progress=on_progress)
    validation = split(source, group, validation_share=splitting.validation_share, fold=splitting.fold, seed=splitting.seed)
    return Division(group, validation, np.zeros(len(group), bool), ())


def _typical(keypoints: np.ndarray, keypointset: KeypointSet, side: int) -> np.ndarray:
    return shapes.typical(keypoints, None if keypointset.mirror is None else keypointset.mirror_order, side)


def _outliers(keypoints: np.ndarray, source: np.ndarray, cleaning: Cleaning, *, own: bool) -> tuple[np.ndarray, np.ndarray]:
    """The results of `outliers.outliers`; for an own set whose keypoints do not follow one shape there are none."""
    outlier, distance = outliers.outliers(keypoints, source, deviations=cleaning.outlier_deviations, pixels=cleaning.outlier_pixels)
    if own and outlier.sum() > MOST_OUTLIERS * (~np.isnan(distance)).sum():
        return np.zeros_like(outlier), distance
    return outlier, distance


def _pairs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A number int32 (n,) for each different pair of the values. Annotators of an own set may disagree without a conflict."""
    return np.unique(np.stack([one, other]), axis=1, return_inverse=True)[1].reshape(-1).astype(np.int32)


def labels(dataset: Dataset) -> np.ndarray:
    """The labels for training and validation: float32 (n, K, 2), pixels, NaN where not labelled or dropped from the training part."""
    return _without(dataset.keypoints, dataset.dropped)


def held_out(data_sets: Iterable[Dataset], value: Callable[[Dataset], Images]) -> np.ndarray:
    """value(data set) (n, ...) of the faces that each data set holds out, together, in the order of the training table."""
    parts = [(faces.row[faces.validation], value(faces)[faces.validation]) for faces in data_sets]
    rows, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return values[np.argsort(rows)]


def _used(validation: np.ndarray, left_out: np.ndarray, faces: int, seed: int) -> np.ndarray | slice:
    """The faces that stay, as an index: all that are not left out, or the validation part and at most `faces` others."""
    rest = np.flatnonzero(~validation & ~left_out)
    if not 0 < faces < len(rest):
        return np.flatnonzero(~left_out) if left_out.any() else slice(None)
    sample = np.random.default_rng([seed, 1]).permutation(rest)[:faces]  # a smaller sample is part of a larger one
    return np.sort(np.concatenate([sample, np.flatnonzero(validation)]))


def _without(keypoints: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    return np.where(dropped[..., None], np.float32(np.nan), keypoints)


def _by_source(values: np.ndarray, source: np.ndarray, keypointset: KeypointSet) -> np.ndarray:
    """Sums over the faces of each annotation source: (n, ...) -> (S, ...)."""
    return np.stack([values[source == number].sum(axis=0) for number in range(len(keypointset.sources))])


def _mean_face(keypoints: np.ndarray, source: np.ndarray, keypointset: KeypointSet, side: int) -> np.ndarray:
    """Mean label by annotation source float32 (S, K, 2).

    If a source has no label of a keypoint it is the mean of all sources, and if there is no label at all the middle of the image.
    """
    known = ~np.isnan(keypoints).any(axis=2, keepdims=True)
    sums = _by_source(np.where(known, keypoints, 0).astype(np.float64), source, keypointset)
    counts = _by_source(known, source, keypointset)
    overall = np.where(counts.sum(axis=0) > 0, sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1), side / 2)
    return np.where(counts > 0, sums / np.maximum(counts, 1), overall).astype(np.float32)


def _pixel_statistics(images: Images) -> dict[str, np.ndarray]:
    """The fields with mean and standard deviation of all pixels, computed exactly from the histogram of the grey levels."""
    histogram = sum((np.bincount(image.ravel(), minlength=256) for image in each(images)), start=np.zeros(256, np.int64))
    grey = np.arange(256)
    mean = (histogram * grey).sum() / histogram.sum()
    std = np.sqrt((histogram * (grey - mean) ** 2).sum() / histogram.sum())
    return {"pixel_mean": np.array(mean, np.float32), "pixel_std": np.array(std or 1, np.float32)}
