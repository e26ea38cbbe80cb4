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
FIRST = 5  # suspects that the log names


@record
class JudgedLabels:
    """The labelled samples in the order of the label files; K keypoints, pixels of the samples, x then y, NaN where there is none."""

    probability: np.ndarray = array("float32", "face keypoint", "", "probability that the label is wrong; NaN where not labelled")
    rank: np.ndarray = array("int32", "face keypoint", "", "place of the label in the order of suspicion, from 1; 0 where not labelled")
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

    held_out: samples that it lacks are judged by conflicts only. seed: of the mistakes that are made to learn what wrong labels look like.
    """
    samples = judged(faces, held_out)
    found = suspicion(samples, faces.conflict, seed=seed)
    named = Named(faces.keypoint_names.tolist(), faces.source_names.tolist(), _names(faces.row, faces.origin))
    rank = _ranks(found)
    suspicious = (rank > 0) & ((rank <= REVIEWED * rank.max(initial=0)) | (np.nan_to_num(found.probability) >= LEAST))
    return JudgedLabels(
        probability=found.probability.astype(np.float32),
        rank=rank,
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
    """The places int32 (n, K) of the labels in the order of suspicion, from 1; 0 where not labelled."""
    labelled = ~np.isnan(found.probability)
    order = np.lexsort((-found.score[labelled], -found.probability[labelled]))
    places, ranks = np.empty(len(order), np.int32), np.zeros(labelled.shape, np.int32)
    places[order] = np.arange(1, len(order) + 1)
    ranks[labelled] = places
    return ranks


def _names(row: np.ndarray, origin: Origin | None) -> list[str]:
    """The samples for messages: the row of the training table, given as int (n,) from 0, or the image."""
    if origin is None:
        return [f"row {number + 1}" for number in row.tolist()]
    return [printable(name) for name in origin.image.tolist()]


def table(found: JudgedLabels, convention: Convention | None = None) -> pd.DataFrame:
    """One row for each label, the most suspicious first.

    The columns: rank, probability, image, instance, keypoint, source, the label x and y, the prediction, and the reason. The image of a
    row of Kaggle's table is its number, from 1, as in corrections.csv. Coordinates are in pixels of the images, as the label format counts
    them.

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
    """What is to be said about the suspects: how many there are, and the first ones with their reasons."""
    labels, likely = int((found.rank > 0).sum()), int((np.nan_to_num(found.probability) > 0.5).sum())
    told = [f"{likely:,} of {labels:,} labels are more likely wrong than right"]
    samples, keypoints = _names(found.row, found.origin), found.keypoint_names.tolist()
    for rank in range(1, min(FIRST, likely) + 1):
        ((sample, keypoint),) = np.argwhere(found.rank == rank).tolist()
        told.append(
            f"{rank}. {samples[sample]}, {printable(keypoints[keypoint])}, {100 * found.probability[sample, keypoint]:.0f} %:"
            f" {found.reason[sample, keypoint]}"
        )
    return told
