"""What the artifacts of a workspace say against the labels of a set: predictions of nets that did not see them, and the rules of Load."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.commands.support import reading
from pipeline.commands.support.last_run import Run
from pipeline.data import corrected
from pipeline.data.tables import Origin
from pipeline.store.hdf5 import artifacts
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import runlog
from pipeline.tasks.data import Load

if TYPE_CHECKING:
    from pipeline.review.judgement import Judgement
    from pipeline.review.samples import ReviewedSamples


def judgements(samples: "ReviewedSamples", load: Load, selected: Run) -> "list[Judgement]":
    """What is known about the labels of the samples, the most telling first; of artifacts that were made from the same files."""
    numbers = {samples.name(number): number for number in range(len(samples))}
    loaded, predicted = _artifacts(load, selected)
    found = [_by_predictions(predicted, samples, numbers)] if predicted else []
    found += [_by_rules(loaded, samples, numbers)] if loaded else []
    return [judgement for judgement in found if not np.isnan(judgement.score).all()]


def _artifacts(load: Load, selected: Run) -> tuple[Path | None, Path | None]:
    """The artifacts of Load and Predict of the selected run, or of the last run that was made from the same files.

    Corrections make them stale, but what they say about the other labels remains true.
    """
    wanted, root = (load.provenance["files"], load.provenance["inputs"]), workspace_root()
    runs = [selected.artifacts, *(entry.get("artifacts") or {} for entry in reversed(runlog.entries(root / "models")))]
    for made in runs:
        path, predicted = root / made.get("Load", ""), root / made.get("Predict", "")
        if not (path.is_file() and predicted.is_file() and artifacts.is_sound(path) and artifacts.is_sound(predicted)):
            continue
        made_from = artifacts.attributes(path).get("made_from", {})
        if (made_from.get("files"), made_from.get("inputs")) == wanted:
            return path, predicted
    return (load.path if artifacts.is_sound(load.path) else None), None


def _by_predictions(path: Path, samples: "ReviewedSamples", numbers: dict[tuple[str, str], int]) -> "Judgement":
    """The distances between labels and held-out predictions, for the samples that were held out."""
    from pipeline.geometry import affine
    from pipeline.results.predictions import Predictions
    from pipeline.review.judgement import by_distance

    found = reading.load(path, Predictions)
    placed, pixel = found.validation.astype(np.float64), np.ones(len(found.validation))
    if (origin := found.validation_origin) is not None:
        placed, pixel = affine.move(placed, origin.to_original), affine.magnification(origin.to_original)
    at = _numbers(samples, numbers, found.validation_face, origin, found.sources[found.validation_source])
    predictions, size = np.full(samples.keypoints.shape, np.nan), np.ones(len(samples))
    if [*found.keypoints.tolist()] == [*samples.keypointset.names]:
        known = at >= 0
        predictions[at[known]], size[at[known]] = placed[known], pixel[known]
    return by_distance(predictions, samples.keypoints, size)


def _by_rules(path: Path, samples: "ReviewedSamples", numbers: dict[tuple[str, str], int]) -> "Judgement":
    """The doubtful labels that Load has found."""
    from pipeline.data.dataset import Dataset
    from pipeline.review.judgement import by_rules

    found = reading.load(path, Dataset)
    at = _numbers(samples, numbers, found.row, found.origin, found.source_names[found.source])
    shape, known = samples.keypoints.shape[:2], at >= 0
    outlier, distance, conflict = np.zeros(shape, bool), np.full(shape, np.nan), np.zeros(shape, bool)
    if [*found.keypoint_names.tolist()] == [*samples.keypointset.names]:
        outlier[at[known]], distance[at[known]], conflict[at[known]] = (
            values[known] for values in (found.outlier, found.outlier_distance, found.conflict)
        )
    return by_rules(outlier, distance, conflict)


def _numbers(
    samples: "ReviewedSamples", numbers: dict[tuple[str, str], int], row: np.ndarray, origin: Origin | None, source: np.ndarray
) -> np.ndarray:
    """The numbers of samples of an artifact, int (m,), -1 for those that the label files do not have."""
    if origin is None:
        names = [(str(number + 1), corrected.INSTANCE) for number in row.tolist()]
    else:
        names = [
            (image, own if (image, own) in numbers else f"{own}@{of}")
            for image, own, of in zip(origin.image.tolist(), origin.instance.tolist(), source.tolist(), strict=True)
        ]
    return np.array([numbers.get(name, -1) for name in names], np.intp)
