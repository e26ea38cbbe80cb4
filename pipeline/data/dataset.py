"""From the parsed tables to the one data set that every stage shares: label sources, duplicates, the split, labels left out, statistics."""

from collections.abc import Callable, Iterable

import numpy as np

from pipeline.data import duplicates, outliers
from pipeline.data.split import split
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images, Selected, chosen, each
from pipeline.progress import OnProgress, ignored
from pipeline.schema import Plot, array, record


@record
class Dataset:
    """Labelled faces, all or some, in the order of the training table, faces to predict in the order of the test table, what is asked for.

    The label sources are numbered in the order of the KeypointSet.
    """

    images: Images = array("uint8", "face y x", "grey level", "labelled faces, training and validation, in the table's order")
    keypoints: np.ndarray = array("float32", "face keypoint coordinate", "px", "labels as given, x then y, NaN where not labelled")
    row: np.ndarray = array("int32", "face", "", "row of the training table, counted from 0")
    source: np.ndarray = array("int8", "face", "", "label source: which group of people labelled the face")
    copy: np.ndarray = array("int32", "face", "", "number of the image: equal for exactly equal images")
    duplicate_group: np.ndarray = array("int32", "face", "", "duplicate group: equal for near twins, which the split keeps together")
    validation: np.ndarray = array("bool", "face", "", "held out for validation; the rest is the training part")
    complete: np.ndarray = array("bool", "face", "", "every keypoint is labelled")
    outlier: np.ndarray = array("bool", "face keypoint", "", "label far from where the face's other keypoints put it")
    outlier_distance: np.ndarray = array(
        "float32", "face keypoint", "px", "from the prediction by the face's others, NaN where not labelled"
    )
    conflict: np.ndarray = array("bool", "face keypoint", "", "label contradicted by the label of an exactly equal image")
    dropped: np.ndarray = array("bool", "face keypoint", "", "label of the training part that is not trained on")
    labelled: np.ndarray = array("int32", "source keypoint", "", "number of labels as given")
    mean_face: np.ndarray = array("float32", "source keypoint coordinate", "px", "mean of the labels trained on")
    pixel_mean: np.ndarray = array("float32", "", "grey level", "mean of the training part's pixels")
    pixel_std: np.ndarray = array("float32", "", "grey level", "standard deviation of the training part's pixels, 1 if they are all equal")
    test_images: Images = array("uint8", "test_face y x", "grey level", "faces to predict, in the table's order")
    test_ids: np.ndarray = array("int64", "test_face", "", "ImageId of the faces to predict")
    test_source: np.ndarray = array("int8", "test_face", "", "label source, from the keypoints that are asked for")
    lookup_row: np.ndarray = array("int64", "row", "", "RowId of the values asked for, in the lookup table's order")
    lookup_face: np.ndarray = array("int32", "row", "", "which of the test faces, counted from 0")
    lookup_keypoint: np.ndarray = array("int16", "row", "", "which of the keypoints, counted from 0")
    lookup_axis: np.ndarray = array("int8", "row", "", "which coordinate: 0 = x, 1 = y")
    keypoint_names: np.ndarray = array("text", "keypoint", "", "names of the keypoints")
    source_names: np.ndarray = array("text", "source", "", "names of the label sources")

    PLOT = Plot("images", (".", ".", "."), "image")


def sources(labelled: np.ndarray, keypointset: KeypointSet) -> np.ndarray:
    """Label source of each face: the last one whose keypoints cover all that the face has labelled (or asked for).

    labelled bool (n, K) -> int8 (n,).
    """
    if labelled.shape[1:] != (len(keypointset.names),):
        raise ValueError(f"labelled must be (n, {len(keypointset.names)}), it is {labelled.shape}")
    source = np.zeros(len(labelled), np.int8)
    for number, names in enumerate(keypointset.sources.values()):
        foreign = ~np.isin(keypointset.names, names)
        source[~labelled[:, foreign].any(axis=1)] = number
    return source


def assemble(
    training,
    test,
    lookup,
    keypointset: KeypointSet,
    *,
    validation_share: float,
    fold: int,
    faces: int,
    seed: int,
    clean: bool,
    twin_correlation: float,
    outlier_deviations: float,
    outlier_pixels: float,
    conflict_pixels: float,
    report: OnProgress = ignored,
) -> Dataset:
    """The data set from the three parsed tables (csvfiles.read_training, read_test, read_lookup).

    faces: keep at most so many of the training part, chosen at random, all if 0; the validation part stays as it is.
    clean: leave outliers and conflicting labels of the training part out of training; validation labels always stay as they are.
    twin_correlation: see duplicates.groups; outlier_deviations, outlier_pixels: see outliers.outliers; conflict_pixels: outliers.conflicts.
    report: told how many faces have been compared with the others, which takes longest.
    Raises InputError where the faces cannot be split as asked.
    """
    labelled = ~np.isnan(training.keypoints).any(axis=2)
    source = sources(labelled, keypointset)
    copy = duplicates.copies(training.images)
    group = duplicates.groups(training.images, correlation=twin_correlation, copy=copy, report=report)
    validation = split(source, group, validation_share=validation_share, fold=fold, seed=seed)
    outlier, distance = outliers.outliers(training.keypoints, source, deviations=outlier_deviations, pixels=outlier_pixels)
    conflict = outliers.conflicts(training.keypoints, copy, pixels=conflict_pixels)
    dropped = (outlier | conflict) & ~validation[:, None] & clean
    used = _used(validation, faces, seed)
    keypoints, source, validation, dropped = (values[used] for values in (training.keypoints, source, validation, dropped))
    images = chosen(training.images, used)
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
        mean_face=_mean_face(_without(keypoints, dropped)[~validation], source[~validation], keypointset, images.shape[-1]),
        **_pixel_statistics(Selected(images, np.flatnonzero(~validation))),
        **_asked_for(test, lookup, keypointset),
        keypoint_names=np.array(keypointset.names),
        source_names=np.array(keypointset.source_names),
    )


def labels(dataset: Dataset) -> np.ndarray:
    """The labels to train on and to validate with: float32 (n, K, 2) pixels, NaN where not labelled or dropped from the training part."""
    return _without(dataset.keypoints, dataset.dropped)


def held_out(data_sets: Iterable[Dataset], value: Callable[[Dataset], Images]) -> np.ndarray:
    """value(data set) (n, ...) of the faces that each of the data sets holds out, in the order of the training table."""
    parts = [(faces.row[faces.validation], value(faces)[faces.validation]) for faces in data_sets]
    rows, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return values[np.argsort(rows)]


def _used(validation, faces, seed):
    """The faces that stay, as an index: all, or the validation part and so many of the others."""
    rest = np.flatnonzero(~validation)
    if not 0 < faces < len(rest):
        return slice(None)
    chosen = np.random.default_rng([seed, 1]).permutation(rest)[:faces]  # fewer faces are some of more faces
    return np.sort(np.concatenate([chosen, np.flatnonzero(validation)]))


def _without(keypoints, dropped):
    return np.where(dropped[..., None], np.float32(np.nan), keypoints)


def _by_source(values, source, keypointset):
    """Sums over the faces of each source: (n, ...) -> (S, ...)."""
    return np.stack([values[source == number].sum(axis=0) for number in range(len(keypointset.sources))])


def _mean_face(keypoints, source, keypointset, side):
    """Mean label by source (S, K, 2); where a source has none the mean of all, where nobody has one the middle of the image."""
    there = ~np.isnan(keypoints).any(axis=2, keepdims=True)
    sums = _by_source(np.where(there, keypoints, 0).astype(np.float64), source, keypointset)
    counts = _by_source(there, source, keypointset)
    overall = np.where(counts.sum(axis=0) > 0, sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1), side / 2)
    return np.where(counts > 0, sums / np.maximum(counts, 1), overall).astype(np.float32)


def _asked_for(test, lookup, keypointset):
    """The fields that describe what is to be predicted."""
    asked = np.zeros((len(test.images), len(keypointset.names)), bool)
    asked[lookup.face, lookup.keypoint] = True
    return {
        "test_images": test.images,
        "test_ids": test.image_ids,
        "test_source": sources(asked, keypointset),
        "lookup_row": lookup.row_ids,
        "lookup_face": lookup.face,
        "lookup_keypoint": lookup.keypoint,
        "lookup_axis": lookup.axis,
    }


def _pixel_statistics(images):
    """The fields of the mean and standard deviation: exact, from the histogram of the grey levels."""
    histogram = sum(np.bincount(image.ravel(), minlength=256) for image in each(images))
    grey = np.arange(256)
    mean = (histogram * grey).sum() / histogram.sum()
    std = np.sqrt((histogram * (grey - mean) ** 2).sum() / histogram.sum())
    return {"pixel_mean": np.array(mean, np.float32), "pixel_std": np.array(std or 1, np.float32)}
