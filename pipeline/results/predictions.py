"""All predictions of a run beside the labels: the record of Predict's artifact."""

import numpy as np

from pipeline.inference.ensemble import ChainPredictions
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images
from pipeline.metrics.bootstrap import BOOTSTRAP, bootstrap_interval
from pipeline.metrics.rmse import rmse, rmse_by_source
from pipeline.results.submission import locations
from pipeline.scatter import Points, points
from pipeline.schema import array, record

# What `predictions` puts in the order of the faces.
HELD_OUT = ("validation", "validation_base", "truth", "mean_face", "face", "source", "group")


@record
class Predictions:
    """All predictions of the chain beside the truth where it is known. K keypoints; NaN: not labelled."""

    test: np.ndarray = array(
        "float32", "face keypoint xy", "px", "keypoints of the test faces: the specialists' with a share of the base net's"
    )
    test_base: np.ndarray = array("float32", "face keypoint xy", "px", "base net's keypoints of the test faces")
    test_images: Images = array("uint8", "face row column", "grey level", "test faces")
    test_ids: np.ndarray = array("int64", "face", "", "ImageId of the test faces")
    validation: np.ndarray = array("float32", "face keypoint xy", "px", "keypoints of the validation faces, likewise")
    validation_base: np.ndarray = array("float32", "face keypoint xy", "px", "base net's keypoints of the validation faces")
    validation_truth: np.ndarray = array("float32", "face keypoint xy", "px", "labels of the validation faces; NaN where not labelled")
    validation_face: np.ndarray = array("int32", "face", "", "row of each validation face in the training file, from 0")
    validation_source: np.ndarray = array("int8", "face", "", "label source of the validation faces")
    keypoints: np.ndarray = array("text", "keypoint", "", "names of the keypoints")
    sources: np.ndarray = array("text", "source", "", "names of the label sources")
    groups: np.ndarray = array("text", "group", "", "names of the specialists")
    group_rmse: np.ndarray = array("float32", "group", "px", "validation RMSE on each specialist's keypoints")
    group_rmse_base: np.ndarray = array("float32", "group", "px", "validation RMSE of the base net on each specialist's keypoints")
    source_rmse: np.ndarray = array("float32", "source", "px", "validation RMSE on each label source")
    rmse: np.ndarray = array("float32", "", "px", "validation RMSE, all labelled values")
    rmse_interval: np.ndarray = array("float32", "bound", "px", "95 % interval of that RMSE, bootstrap over duplicate groups")
    rmse_base: np.ndarray = array("float32", "", "px", "validation RMSE of the base net")
    rmse_mean_face: np.ndarray = array("float32", "", "px", "validation RMSE of always answering each source's mean face")
    row_ids: np.ndarray = array("int64", "row", "", "RowId of the submission")
    locations: np.ndarray = array("float32", "row", "px", "Location of the submission")
    points: Points  # of the test faces


def predictions(faces, keypointset: KeypointSet, chains: list[ChainPredictions]) -> Predictions:
    """The mean of what the chains say of the test faces, and what each says of the faces that it was not trained on.

    faces: the data set of any of the chains, for what is asked.
    """
    held_out = {name: np.concatenate([getattr(part, name) for part in chains]) for name in HELD_OUT}
    order = np.argsort(held_out["face"])
    held_out = {name: values[order] for name, values in held_out.items()}
    validation, base, truth, source = (held_out[name] for name in ("validation", "validation_base", "truth", "source"))
    test = np.mean([part.test for part in chains], axis=0)
    by_group = [keypointset.indices(group) for group in keypointset.groups]
    return Predictions(
        test=test,
        test_base=np.mean([part.test_base for part in chains], axis=0),
        test_images=faces.test_images,
        test_ids=faces.test_ids,
        validation=validation,
        validation_base=base,
        validation_truth=truth,
        validation_face=held_out["face"],
        validation_source=source,
        keypoints=np.array(keypointset.names),
        sources=np.array(keypointset.source_names),
        groups=np.array(list(keypointset.groups)),
        group_rmse=np.array([rmse(validation[:, k], truth[:, k]) for k in by_group], np.float32),
        group_rmse_base=np.array([rmse(base[:, k], truth[:, k]) for k in by_group], np.float32),
        source_rmse=rmse_by_source(validation, truth, source, len(keypointset.sources)).astype(np.float32),
        rmse=np.float32(rmse(validation, truth)),
        rmse_interval=np.array(_interval(validation, truth, held_out["group"]), np.float32),
        rmse_base=np.float32(rmse(base, truth)),
        rmse_mean_face=np.float32(rmse(held_out["mean_face"], truth)),
        row_ids=faces.lookup_row,
        locations=locations(test, faces.lookup_face, faces.lookup_keypoint, faces.lookup_axis),
        points=points(test, faces.images.shape[-1]),
    )


def _interval(predicted: np.ndarray, truth: np.ndarray, group: np.ndarray) -> tuple[float, float]:
    return bootstrap_interval(predicted, truth, group, **BOOTSTRAP, rng=np.random.default_rng(0))


def table(predictions: Predictions) -> str:
    """Validation RMSE in pixels for people: overall, each label source, each specialist beside the base net."""
    sources = [f"{name} {value:.2f}" for name, value in zip(predictions.sources, predictions.source_rmse, strict=True)]
    lines = [f"{'validation RMSE, px':<24}{'specialists':>12}{'base net':>10}{'mean face':>11}"]
    lines.append(f"{'all keypoints':<24}{predictions.rmse:12.3f}{predictions.rmse_base:10.3f}{predictions.rmse_mean_face:11.3f}")
    rows = zip(predictions.groups, predictions.group_rmse, predictions.group_rmse_base, strict=True)
    lines += [f"{'  ' + name:<24}{own:12.3f}{base:10.3f}" for name, own, base in rows]
    low, high = predictions.rmse_interval
    lines.append(f"by label source: {', '.join(sources)}")
    return "\n".join([*lines, f"95 % interval over all keypoints, bootstrap over duplicate groups: {low:.2f} to {high:.2f}"])
