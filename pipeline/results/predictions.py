"""All predictions of a run, with the labels where they are known: the record in Predict's artifact."""

from collections.abc import Sequence

import numpy as np

from pipeline.data.tables import Origin
from pipeline.data.testset import UnlabelledSamples
from pipeline.geometry import affine
from pipeline.inference import expected_error
from pipeline.inference.ensemble import ChainPredictions, Spreads
from pipeline.inference.expected_error import ExpectedError, HeldOutErrors
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images
from pipeline.metrics.bootstrap import BOOTSTRAP, bootstrap_interval
from pipeline.metrics.rmse import rmse, rmse_by_source
from pipeline.results import metric_text
from pipeline.results.error_scale import PIXELS, Normalise
from pipeline.results.metric_table import HeldOutLabels, MetricTable, metric_table
from pipeline.results.submission import locations
from pipeline.scatter import Points, points
from pipeline.schema import array, record

PREDICTORS = ("specialists", "base net", "mean shape")  # of an own set
# The fields of ChainPredictions that describe held-out faces.
HELD_OUT = ("validation", "validation_base", "truth", "mean_face", "face", "source", "group")


@record
class Predictions:
    """The predictions of all chains, with the labels where they are known.

    K keypoints, pixels, x then y. A label is NaN where the keypoint is not labelled.
    """

    test: np.ndarray = array(
        "float32", "face keypoint xy", "px", "predictions for the test faces: weighted mean of the base net and the specialists"
    )
    test_base: np.ndarray = array("float32", "face keypoint xy", "px", "the base net's predictions for the test faces")
    test_images: Images = array("uint8", "face row column channel?", "grey level", "test faces")
    test_ids: np.ndarray = array("int64", "face", "", "ImageId of the test faces; numbers from 1 for the samples of an own set")
    validation: np.ndarray = array("float32", "face keypoint xy", "px", "predictions for the validation faces: the same mean")
    validation_base: np.ndarray = array("float32", "face keypoint xy", "px", "the base net's predictions for the validation faces")
    validation_truth: np.ndarray = array("float32", "face keypoint xy", "px", "labels of the validation faces; NaN where not labelled")
    validation_face: np.ndarray = array("int32", "face", "", "row of each validation face in the training file, from 0")
    validation_source: np.ndarray = array("int8", "face", "", "annotation source of each validation face")
    keypoints: np.ndarray = array("text", "keypoint", "", "names of the keypoints")
    sources: np.ndarray = array("text", "source", "", "names of the annotation sources")
    groups: np.ndarray = array("text", "group", "", "names of the specialist groups")
    group_rmse: np.ndarray = array("float32", "group", "px", "validation RMSE on the keypoints of each group")
    group_rmse_base: np.ndarray = array("float32", "group", "px", "validation RMSE of the base net on the keypoints of each group")
    source_rmse: np.ndarray = array("float32", "source", "px", "validation RMSE on the faces of each annotation source")
    rmse: np.ndarray = array("float32", "", "px", "validation RMSE over all labelled values")
    rmse_interval: np.ndarray = array("float32", "bound", "px", "95 % interval of this RMSE, from a bootstrap over duplicate groups")
    rmse_base: np.ndarray = array("float32", "", "px", "validation RMSE of the base net")
    rmse_mean_face: np.ndarray = array("float32", "", "px", "validation RMSE of predicting the mean face of each annotation source")
    row_ids: np.ndarray | None = array("int64", "row", "", "RowId of each row of the submission; absent for an own set")
    locations: np.ndarray | None = array("float32", "row", "px", "Location in each row of the submission; absent for an own set")
    validation_occluded: np.ndarray | None = array(
        "bool", "face keypoint", "", "labelled but not visible, where the label files of an own set say so"
    )
    validation_confidence: np.ndarray | None = array("float32", "face keypoint", "", "height of the heat map's peak for validation samples")
    test_confidence: np.ndarray | None = array("float32", "face keypoint", "", "height of the heat map's peak for the samples to predict")
    metrics: MetricTable | None  # of the validation samples of an own set
    points: Points  # of the test faces; the first plot, which viewers show
    expected_error: ExpectedError | None  # absent if there are too few labels of validation samples
    test_origin: Origin | None  # of the test samples of an own set
    validation_origin: Origin | None  # of the validation samples of an own set

    @property
    def submission(self) -> tuple[np.ndarray, np.ndarray]:
        """RowId and Location of each row of the submission. Raises ValueError for an own set."""
        if self.row_ids is None or self.locations is None:
            raise ValueError("an own set has no lookup table, so there is no submission")
        return self.row_ids, self.locations

    @property
    def pixel(self) -> np.ndarray:
        """The length of a pixel of each validation sample in pixels of its image, float32 (n, 1, 1): errors are given in the latter."""
        if self.validation_origin is None:
            return np.ones((len(self.validation), 1, 1), np.float32)
        return pixel_of(self.validation_origin)


def pixel_of(origin: Origin) -> np.ndarray:
    """The length of a pixel of each sample in pixels of its image, float32 (n, 1, 1)."""
    return affine.magnification(origin.to_original).astype(np.float32)[:, None, None]


def predictions(
    samples: UnlabelledSamples, keypointset: KeypointSet, chains: Sequence[ChainPredictions], normalise: Normalise = PIXELS
) -> Predictions:
    """Combines the chains: their mean for the test faces, and for each held-out face the prediction of the chain that held it out.

    samples: the samples to predict. normalise: what the errors of an own set are divided by. All RMSE are in pixels of the images that the
    samples were cut from.
    """
    held_out = _held_out(chains)
    source, origin = held_out["source"], _origin(chains)
    pixel = 1 if origin is None else pixel_of(origin)
    validation, base, truth, mean_face = (held_out[name] * pixel for name in ("validation", "validation_base", "truth", "mean_face"))
    test = np.mean([chain.test for chain in chains], axis=0)
    by_group = [keypointset.indices(group) for group in keypointset.groups]
    return Predictions(
        test=test,
        test_base=np.mean([chain.test_base for chain in chains], axis=0),
        test_images=samples.images,
        test_ids=np.arange(1, len(samples.images) + 1) if samples.image_id is None else samples.image_id,
        validation=held_out["validation"],
        validation_base=held_out["validation_base"],
        validation_truth=held_out["truth"],
        validation_face=held_out["face"],
        validation_source=source,
        keypoints=np.array(keypointset.names),
        sources=np.array(keypointset.source_names),
        groups=np.array(list(keypointset.groups)),
        group_rmse=np.array([rmse(validation[:, k], truth[:, k]) for k in by_group], np.float32),
        group_rmse_base=np.array([rmse(base[:, k], truth[:, k]) for k in by_group], np.float32),
        source_rmse=rmse_by_source(validation, truth, source, len(keypointset.sources)).astype(np.float32),
        rmse=np.array(rmse(validation, truth), np.float32),
        rmse_interval=np.array(_interval(validation, truth, held_out["group"]), np.float32),
        rmse_base=np.array(rmse(base, truth), np.float32),
        rmse_mean_face=np.array(rmse(mean_face, truth), np.float32),
        row_ids=samples.lookup_row,
        locations=_locations(test, samples),
        validation_occluded=_of_all(chains, "occluded"),
        validation_confidence=_of_all(chains, "confidence"),
        test_confidence=_mean_confidence(chains),
        expected_error=_expected_error(chains, samples, np.linalg.norm(validation - truth, axis=2), len(keypointset.sources)),
        metrics=_metrics(chains, (validation, base, mean_face), keypointset, normalise),
        points=points(test, samples.images.shape[1]),
        test_origin=samples.origin,
        validation_origin=origin,
    )


def _locations(test: np.ndarray, samples: UnlabelledSamples) -> np.ndarray | None:
    """The values that a lookup table asks for; None for an own set."""
    if samples.lookup_sample is None or samples.lookup_keypoint is None or samples.lookup_axis is None:
        return None
    return locations(test, samples.lookup_sample, samples.lookup_keypoint, samples.lookup_axis)


def _held_out(chains: Sequence[ChainPredictions]) -> dict[str, np.ndarray]:
    """The held-out faces of all chains by the names of HELD_OUT, in the order of the training table."""
    order = _order(chains)
    return {name: np.concatenate([getattr(chain, name) for chain in chains])[order] for name in HELD_OUT}


def _metrics(
    chains: Sequence[ChainPredictions], predicted: Sequence[np.ndarray], keypointset: KeypointSet, normalise: Normalise
) -> MetricTable | None:
    """The metrics of an own set; None for Kaggle's faces. predicted: of each of the PREDICTORS, (n, K, 2), pixels of the images."""
    origin, held_out, confidence = _origin(chains), _held_out(chains), _of_all(chains, "confidence")
    if origin is None:
        return None
    labels = HeldOutLabels(
        truth=held_out["truth"] * pixel_of(origin),
        source=held_out["source"],
        group=held_out["group"],
        occluded=_of_all(chains, "occluded"),
        score=np.ones(len(held_out["truth"])) if confidence is None else confidence.mean(axis=1, dtype=np.float64),
        origin=origin,
        scale=normalise.scale(held_out["truth"], origin, keypointset.names),
    )
    return metric_table(labels, dict(zip(PREDICTORS, predicted, strict=True)), keypointset)


def _origin(chains: Sequence[ChainPredictions]) -> Origin | None:
    """The origin of the held-out samples of all chains, in the order of the label files; None for Kaggle's faces."""
    origins = [chain.origin for chain in chains if chain.origin is not None]
    if not origins:
        return None
    return Origin(*(np.concatenate(parts) for parts in zip(*(vars(origin).values() for origin in origins), strict=True))).of(_order(chains))


def _of_all(chains: Sequence[ChainPredictions], name: str) -> np.ndarray | None:
    """What all chains say about held-out samples, in the order of the training table; None if a chain does not say it."""
    values = [value for chain in chains if (value := getattr(chain, name)) is not None]
    return np.concatenate(values)[_order(chains)] if len(values) == len(chains) else None


def _mean_confidence(chains: Sequence[ChainPredictions]) -> np.ndarray | None:
    values = [chain.test_confidence for chain in chains if chain.test_confidence is not None]
    return np.mean(values, axis=0) if len(values) == len(chains) else None


def _expected_error(
    chains: Sequence[ChainPredictions], samples: UnlabelledSamples, errors: np.ndarray, sources: int
) -> ExpectedError | None:
    """The expected errors, from those of the held-out faces (n, K), NaN where not labelled, in pixels of the images.

    The spreads of a test face are the means over the chains.
    """
    own, tests = [chain.spreads for chain in chains], [chain.test_spreads for chain in chains]
    known, known_tests = [one for one in own if one is not None], [one for one in tests if one is not None]
    if len(known) < len(chains) or len(known_tests) < len(chains):
        return None
    held_out, origin = _held_out(chains), _origin(chains)
    spreads = Spreads.joined(known, np.concatenate).of(_order(chains))
    test_spreads = Spreads.joined(known_tests, lambda parts: np.mean(parts, axis=0))
    predicted = expected_error.Predicted(spreads, held_out["source"], _pixel(origin, len(errors)))
    test = expected_error.Predicted(test_spreads, samples.source, _pixel(samples.origin, len(samples.source)))
    return expected_error.expected_error(HeldOutErrors(predicted, errors, held_out["group"], sources, samples.images.shape[1]), test)


def _pixel(origin: Origin | None, n: int) -> np.ndarray:
    """The length of a pixel of each sample in pixels of its image, float32 (n, 1)."""
    return np.ones((n, 1), np.float32) if origin is None else pixel_of(origin)[:, :, 0]


def _order(chains: Sequence[ChainPredictions]) -> np.ndarray:
    return np.argsort(np.concatenate([chain.face for chain in chains]))


def _interval(predicted: np.ndarray, truth: np.ndarray, group: np.ndarray) -> tuple[float, float]:
    return bootstrap_interval(predicted, truth, group, **BOOTSTRAP, rng=np.random.default_rng(0))


def table(predictions: Predictions) -> str:
    """The accuracy on the validation samples as text: the table of metrics of an own set, and the RMSE for Kaggle's faces.

    The RMSE is given overall, by specialist group and by annotation source, compared with the base net.
    """
    if predictions.metrics is not None:
        return metric_text.text(predictions.metrics)
    sources = [f"{name} {value:.2f}" for name, value in zip(predictions.sources, predictions.source_rmse, strict=True)]
    lines = [f"{'validation RMSE, px':<24}{'specialists':>12}{'base net':>10}{'mean shape':>11}"]
    lines.append(f"{'all keypoints':<24}{predictions.rmse:12.3f}{predictions.rmse_base:10.3f}{predictions.rmse_mean_face:11.3f}")
    rows = zip(predictions.groups, predictions.group_rmse, predictions.group_rmse_base, strict=True)
    lines += [f"{'  ' + name:<24}{own:12.3f}{base:10.3f}" for name, own, base in rows]
    low, high = predictions.rmse_interval
    lines += [f"by annotation source: {', '.join(sources)}"] if len(sources) > 1 else []
    return "\n".join([*lines, f"95 % interval over all keypoints, bootstrap over duplicate groups: {low:.2f} to {high:.2f}"])
