"""The labels of a set with the probability that each is wrong: the record in the artifact of Suspects, and its table."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.corrected import INSTANCE
from pipeline.data.dataset import Dataset
from pipeline.data.labels import Convention
from pipeline.data.tables import Origin
from pipeline.geometry import affine
from pipeline.quality.evidence import Judged
from pipeline.quality.reasons import Explanations, Named
from pipeline.quality.suspicion import Probabilities, suspicion
from pipeline.schema import Plot, array, record
from pipeline.units import printable

# Labels have a reason if they are among this share of the most suspicious ones, or if their probability of being wrong is so large.
REVIEWED, LEAST = 0.03, 0.02
FIRST = 5  # samples that the log names,
TOLD = 0.3  # if so many of their labels are wrong at least, expected
SEVERAL = 1.5  # expected number of wrong labels from which there are several


@record
class JudgedLabels:
    """The labelled samples in the order of the label files; K keypoints, pixels of the samples, x then y, NaN where there is none."""

    probability: np.ndarray = array("float32", "face keypoint", "", "probability that the label is wrong; NaN where not judged")
    rank: np.ndarray = array("int32", "face keypoint", "", "place of the label in the order of suspicion, from 1; 0 where not judged")
    expected_wrong: np.ndarray = array("float32", "face", "", "expected number of wrong labels of the sample; NaN if none was judged")
    sample_rank: np.ndarray = array("int32", "face", "", "place of the sample in the order of suspicion, from 1; 0 if not judged")
    reason: np.ndarray = array("text", "face keypoint", "", "why the label may be wrong; empty where it is hardly suspicious")
    keypoints: np.ndarray = array("float32", "face keypoint xy", "px", "the labels that were judged")
    predictions: np.ndarray = array("float32", "face keypoint xy", "px", "predictions of nets that were not trained on the sample")
    row: np.ndarray = array("int32", "face", "", "row of the training table, counted from 0")
    source: np.ndarray = array("int8", "face", "", "annotation source")
    keypoint_names: np.ndarray = array("text", "keypoint", "", "names of the keypoints")
    source_names: np.ndarray = array("text", "source", "", "names of the annotation sources")
    share: np.ndarray = array("float32", "", "", "estimated share of wrong labels")
    origin: Origin | None

    PLOT = Plot("probability", (".", "."), "image")


@dataclass(frozen=True)
class OutOfFold:
    """What nets predict for m samples that they were not trained on.

    row: int (m,), of the training table, from 0. keypoints: float (m, K, 2), pixels of the samples. expected: float (m, K), the expected
    error, pixels of the images; None if it is not known.
    """

    row: np.ndarray
    keypoints: np.ndarray
    expected: np.ndarray | None


def judged(faces: Dataset, held_out: OutOfFold) -> Judged:
    """The samples of a data set as `evidence` judges them."""
    side, shape, origin = faces.images.shape[1], faces.keypoints.shape, faces.origin
    at = np.searchsorted(faces.row, held_out.row)
    predictions, expected = np.full(shape, np.nan), np.full(shape[:2], np.nan)
    predictions[at] = held_out.keypoints
    place, image, twin = np.tile([0.0, 0.0, side], (shape[0], 1)), faces.copy, faces.copy
    if origin is not None:
        scale = affine.magnification(origin.to_original)
        place = np.stack([origin.to_original[:, 0, 2], origin.to_original[:, 1, 2], side * scale], axis=1)
        image = np.unique(origin.image, return_inverse=True)[1]
        twin = _same_objects(origin, faces.copy)
    if held_out.expected is not None:
        expected[at] = held_out.expected / place[at, 2:]
    keypointset = faces.keypointset.restored()
    return Judged(
        labels=faces.keypoints.astype(np.float64) / side,
        predictions=predictions / side,
        expected=expected,
        source=faces.source.astype(np.intp),
        twin=twin,
        image=image,
        place=place,
        mirror=keypointset.mirror_order if keypointset.mirror else None,
    )


def _same_objects(origin: Origin, copy: np.ndarray) -> np.ndarray:
    """A number int (n,) for each object: samples of one image and instance show the same one, and so do identical ones."""
    from pipeline.data.duplicates import joined

    names = np.char.add(np.char.add(origin.image.astype(str), "\n"), origin.instance.astype(str))
    return joined(copy, np.unique(names, return_inverse=True)[1])


def suspects(faces: Dataset, held_out: OutOfFold, *, seed: int) -> JudgedLabels:
    """Judges all labels of a data set.

    held_out: of samples that it lacks only labels in conflict are judged. seed: of the mistakes that are made to learn what wrong labels
    look like.
    """
    samples = judged(faces, held_out)
    found = suspicion(samples, faces.conflict, seed=seed)
    named = Named(faces.keypoint_names.tolist(), faces.source_names.tolist(), _names(faces.row, faces.origin))
    rank = _ranks(found)
    suspicious = (rank > 0) & ((rank <= REVIEWED * rank.max(initial=0)) | (np.nan_to_num(found.probability) >= LEAST))
    return JudgedLabels(
        probability=found.probability.astype(np.float32),
        rank=rank,
        expected_wrong=_expected_wrong(found).astype(np.float32),
        sample_rank=_sample_ranks(found),
        reason=Explanations(samples, faces.conflict, named).texts(suspicious),
        keypoints=faces.keypoints,
        predictions=(samples.predictions * faces.images.shape[1]).astype(np.float32),
        row=faces.row,
        source=faces.source,
        keypoint_names=faces.keypoint_names,
        source_names=faces.source_names,
        share=np.array(found.share, np.float32),
        origin=faces.origin,
    )


def _ranks(found: Probabilities) -> np.ndarray:
    """The places int32 (n, K) of the labels in the order of suspicion, from 1; 0 where not judged."""
    return _places(found.probability, -found.score)


def _expected_wrong(found: Probabilities) -> np.ndarray:
    """The expected number of wrong labels of each sample, float (n,): the sum of their probabilities, which need not be independent."""
    return np.where(np.isnan(found.probability).all(axis=1), np.nan, np.nansum(found.probability, axis=1))


def _sample_ranks(found: Probabilities) -> np.ndarray:
    """The places int32 (n,) of the samples in the order of suspicion, from 1; 0 if none was judged.

    The largest probability decides, and among samples with the same one the expected number of wrong labels. The latter does not decide by
    itself: with many keypoints, small doubts about all labels of a difficult image would exceed a single label that is certainly wrong.
    """
    expected = _expected_wrong(found)
    largest = np.where(np.isnan(expected), np.nan, np.nan_to_num(found.probability).max(axis=1, initial=0))
    return _places(largest, -found.score.max(axis=1, initial=-np.inf), -expected)


def _places(value: np.ndarray, *then: np.ndarray) -> np.ndarray:
    """The places int32 of the values, from 1 for the largest; 0 for NaN. Equal ones are ordered by the last of `then`, and so on."""
    there = ~np.isnan(value)
    order = np.lexsort((*(other[there] for other in then), -value[there]))
    places, ranks = np.empty(len(order), np.int32), np.zeros(there.shape, np.int32)
    places[order] = np.arange(1, len(order) + 1)
    ranks[there] = places
    return ranks


def _names(row: np.ndarray, origin: Origin | None) -> list[str]:
    """The samples for messages: the row of the training table, given as int (n,) from 0, or the image."""
    if origin is None:
        return [f"row {number + 1}" for number in row.tolist()]
    return [printable(name) for name in origin.image.tolist()]


def table(found: JudgedLabels, convention: Convention | None = None) -> pd.DataFrame:
    """One row for each label, the most suspicious first.

    The columns: rank, probability, image, instance, keypoint, source, the label x and y, the prediction, the reason, and the rank of the
    sample with the expected number of its wrong labels. The image of a row of Kaggle's table is its number, from 1, as in corrections.csv.
    Coordinates are in pixels of the images, as the label format counts them.

    convention: of the label format; None for Kaggle's faces.
    """
    sample, keypoint = np.nonzero(found.rank)
    order = np.argsort(found.rank[sample, keypoint], kind="stable")
    sample, keypoint = sample[order], keypoint[order]
    labels, predictions = (_placed(points.astype(np.float64), found.origin, convention) for points in (found.keypoints, found.predictions))
    origin = found.origin
    image, instance = (found.row + 1, np.full(len(found.row), INSTANCE)) if origin is None else (origin.image, origin.instance)
    return pd.DataFrame(
        {
            "rank": found.rank[sample, keypoint],
            "probability": found.probability[sample, keypoint],
            "image": image[sample],
            "instance": instance[sample],
            "keypoint": found.keypoint_names[keypoint],
            "source": found.source_names[found.source[sample]],
            "x": labels[sample, keypoint, 0],
            "y": labels[sample, keypoint, 1],
            "predicted_x": predictions[sample, keypoint, 0],
            "predicted_y": predictions[sample, keypoint, 1],
            "reason": found.reason[sample, keypoint],
            "sample_rank": found.sample_rank[sample],
            "expected_wrong": found.expected_wrong[sample],
        }
    )


def _placed(points: np.ndarray, origin: Origin | None, convention: Convention | None) -> np.ndarray:
    """Points (n, K, 2) of samples in pixels of the images, as the label format counts them."""
    if origin is None or convention is None:
        return points
    heights = origin.size[:, 1].astype(np.float64).tolist()
    moved = affine.move(points, origin.to_original)
    return np.array([convention.outwards(own, height) for own, height in zip(moved, heights, strict=True)]).reshape(points.shape)


def write_csv(found: JudgedLabels, convention: Convention | None, path: Path) -> None:
    """Writes the table: UTF-8, Unix line ends, numbers to three decimals."""
    table(found, convention).to_csv(path, index=False, float_format="%.3f", lineterminator="\n")


def lines(found: JudgedLabels) -> list[str]:
    """What is to be said about the suspects: how many there are, and the first samples with the reason against their worst label."""
    labels, likely = int((found.rank > 0).sum()), int((np.nan_to_num(found.probability) > 0.5).sum())
    told = [f"{likely:,} of {labels:,} labels are more likely wrong than right"]
    names, expected = _names(found.row, found.origin), np.nan_to_num(found.expected_wrong)
    first = np.argsort(found.sample_rank, kind="stable")[(found.sample_rank == 0).sum() :]
    for rank, sample in enumerate(first[: min(FIRST, int((expected >= TOLD).sum()))].tolist(), 1):
        told.append(f"{rank}. {names[sample]}: {_worst(found, sample)}")
    return told


def _worst(found: JudgedLabels, sample: int) -> str:
    """How many labels of a sample are probably wrong, and what speaks against the most suspicious one."""
    ranked = np.flatnonzero(found.rank[sample])
    keypoint = int(ranked[found.rank[sample, ranked].argmin()])
    probability, expected = 100 * found.probability[sample, keypoint], found.expected_wrong[sample]
    many = f"about {expected:.0f} of {len(ranked)} labels are wrong, first of all " if expected >= SEVERAL else ""
    return f"{many}{printable(str(found.keypoint_names[keypoint]))}, {probability:.0f} %: {found.reason[sample, keypoint]}"
