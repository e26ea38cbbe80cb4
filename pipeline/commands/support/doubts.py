"""What the artifacts of a workspace say against the labels of a set: predictions of nets that did not see them, and the rules of Load."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.commands.support import reading
from pipeline.commands.support.last_run import Run
from pipeline.data import corrected
from pipeline.data.tables import Origin
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import provenance
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import ExternalFile, workspace_root
from pipeline.store.workspace import names, runlog
from pipeline.tasks import labelfiles

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset
    from pipeline.quality.suspects import JudgedLabels
    from pipeline.results.predictions import Predictions
    from pipeline.review.judgement import Judgement
    from pipeline.review.samples import ReviewedSamples


def judgements(samples: "ReviewedSamples", selected: Run) -> "list[Judgement]":
    """What is known about the labels of the samples, the most telling first; of artifacts that were made from the same files."""
    numbers = {samples.name(number): number for number in range(len(samples))}
    loaded, predicted = _artifacts(selected)
    judged = _suspects()
    found = [_by_suspects(judged, samples, numbers)] if judged else []
    found += _by_predictions(predicted, samples, numbers) if predicted else []
    found += [_by_rules(loaded, samples, numbers)] if loaded else []
    return [judgement for judgement in found if not np.isnan(judgement.score).all()]


def _artifacts(selected: Run) -> tuple[Path | None, Path | None]:
    """The artifacts of Load and Predict of the selected run, or of the last run that was made from the same files, or only the last Load.

    Corrections make them stale, but what they say about the other labels remains true.
    """
    root, usable = workspace_root(), _loads()
    for made in [selected.artifacts, *(entry.get("artifacts") or {} for entry in reversed(runlog.entries(root / "models")))]:
        loaded, predicted = root / made.get("Load", ""), root / made.get("Predict", "")
        if loaded in usable and predicted.is_file() and artifacts.is_sound(predicted):
            return loaded, predicted
    return next(iter(usable), None), None


def _suspects() -> "JudgedLabels | None":
    """What the latest artifact of Suspects for the present files has, if there is one. Corrections make it stale, see `_artifacts`.

    An artifact of an older version of the program, which lacks something, is passed over.
    """
    root, usable = workspace_root(), _loads()
    for path in sorted(names.artifacts(root / "submissions", "suspects"), key=lambda path: -path.stat().st_mtime_ns):
        if artifacts.is_sound(path):
            key = artifacts.attributes(path).get("made_from", {}).get("inputs", {}).get("Load", "")
            if root / "data" / f"load-{key}.h5" in usable:
                from pipeline.quality.suspects import JudgedLabels  # imports scikit-learn, which takes long

                with contextlib.suppress(InputError):
                    return reading.load(path, JudgedLabels)
    return None


def _by_suspects(found: "JudgedLabels", samples: "ReviewedSamples", numbers: dict[tuple[str, str], int]) -> "Judgement":
    """The probabilities of being wrong, with the order of the samples, the reasons and the predictions."""
    from pipeline.review.judgement import Judgement

    score, reasons = np.full(samples.keypoints.shape[:2], np.nan), {}
    overall = np.full(len(samples), np.nan)
    predictions = np.full(samples.keypoints.shape, np.nan)
    if [*found.keypoint_names.tolist()] == [*samples.keypointset.names]:
        at = _numbers(samples, numbers, found.row, found.origin, found.source_names[found.source])
        known, labelled = at >= 0, found.rank > 0
        # Among labels with equal probabilities the rank decides.
        score[at[known]] = np.where(labelled, found.probability + 1e-6 * (1 - found.rank / found.rank.max(initial=1)), np.nan)[known]
        overall[at[known]] = np.where(found.sample_rank > 0, -found.sample_rank.astype(float), np.nan)[known]
        predictions, _ = _placed(found.predictions, found.origin, at, samples)
        told = np.argwhere((found.reason != "") & known[:, None]).tolist()
        reasons = {(int(at[row]), keypoint): str(found.reason[row, keypoint]) for row, keypoint in told}
    return Judgement("how likely the labels are wrong", score, reasons, predictions, overall=overall)


def faces() -> "Dataset | None":
    """Kaggle's or the drawn faces with their labels as given, from an artifact of Load, which is read faster than a table; or None.

    Their images stay in the artifact.
    """
    from pipeline.data.dataset import Dataset

    for path, made_from in _loads().items():
        if not made_from.get("facts") and made_from["parameters"]["faces"] == 0:
            return reading.load(path, Dataset)
    return None


def _loads() -> dict[Path, dict[str, Any]]:
    """The artifacts of Load that were made from the present files, with what they were made from, the latest first."""
    paths = sorted(names.artifacts(workspace_root() / "data", "load"), key=lambda path: -path.stat().st_mtime_ns)
    if not paths:
        return {}
    required = labelfiles.required().values()
    files = provenance.numbered((task.title, task.digest()) for task in required if isinstance(task, ExternalFile))
    inputs = {task.address: task.key for task in required if isinstance(task, Stage)}
    found = {}
    for path in paths:
        if artifacts.is_sound(path):
            made_from = artifacts.attributes(path).get("made_from", {})
            if (made_from.get("files"), made_from.get("inputs")) == (files, inputs):
                found[path] = made_from
    return found


def _by_predictions(path: Path, samples: "ReviewedSamples", numbers: dict[tuple[str, str], int]) -> "list[Judgement]":
    """What the predictions say: how far labels are from them, where samples were held out, and how uncertain they are without a label."""
    from pipeline.results.predictions import Predictions
    from pipeline.review.judgement import by_distance

    found = reading.load(path, Predictions)
    if [*found.keypoints.tolist()] != [*samples.keypointset.names]:
        return []
    source = found.sources[found.validation_source]
    at = _numbers(samples, numbers, found.validation_face, found.validation_origin, source)
    predictions, size = _placed(found.validation, found.validation_origin, at, samples)
    distances = by_distance(predictions, samples.keypoints, size)
    return [distances] if found.test_origin is None else [distances, _wanted(found, samples, numbers)]


def _wanted(found: "Predictions", samples: "ReviewedSamples", numbers: dict[tuple[str, str], int]) -> "Judgement":
    """How uncertain the predictions for samples without a label are: their expected errors relative to the size of the sample, or else the
    heights of the peaks of their heat maps.
    """
    from pipeline.review.judgement import Judgement

    source = np.full(len(found.test), samples.keypointset.source_names[0])
    at = _numbers(samples, numbers, np.arange(len(found.test)), found.test_origin, source)
    predictions, size = _placed(found.test, found.test_origin, at, samples)
    known, uncertain = at >= 0, np.full(samples.keypoints.shape[:2], np.nan)
    title = "the uncertainty of the prediction, to label next"
    if found.expected_error is not None:
        title = "the expected error of the prediction, to label next"
        uncertain[at[known]] = found.expected_error.test[known] / size[at[known], None]
    elif found.test_confidence is not None:
        uncertain[at[known]] = 1 - found.test_confidence[known]
    uncertain[~np.isnan(samples.keypoints).all(axis=(1, 2))] = np.nan
    return Judgement(title, uncertain, {}, predictions, wanted=True)


def _placed(points: np.ndarray, origin: Origin | None, at: np.ndarray, samples: "ReviewedSamples") -> tuple[np.ndarray, np.ndarray]:
    """Predictions for the samples, float (n, K, 2), pixels of the images, NaN where there are none, and the lengths of a pixel of them.

    points: (m, K, 2), pixels of the samples. at: int (m,), the numbers of the samples, -1 for others.
    """
    from pipeline.geometry import affine

    placed, pixel = points.astype(np.float64), np.ones(len(points))
    if origin is not None:
        placed, pixel = affine.move(placed, origin.to_original), affine.magnification(origin.to_original)
    predictions, size, known = np.full(samples.keypoints.shape, np.nan), np.ones(len(samples)), at >= 0
    predictions[at[known]], size[at[known]] = placed[known], pixel[known]
    return predictions, size


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
