"""The predictions for an own set as tables: keypoints in the pixels of the original images, as the label format counts them."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.labels import Convention
from pipeline.data.tables import Origin
from pipeline.geometry import affine
from pipeline.results.error_scale import PIXELS, Normalise
from pipeline.results.predictions import Predictions

COLUMNS = ("image", "instance", "keypoint", "x", "y")


def predicted(predictions: Predictions, convention: Convention) -> pd.DataFrame:
    """One row for each keypoint of each sample to predict, with the COLUMNS; no rows if there are none.

    Score and expected error follow if they are known. The score is the net's confidence, 0 to 1. The expected error is in pixels of the
    image.
    """
    if predictions.test_origin is None:
        raise ValueError("only an own set has an origin")
    table = _table(predictions.test_origin, predictions.test, predictions.keypoints, convention)
    if predictions.test_confidence is not None:
        table["score"] = predictions.test_confidence.ravel()
    if predictions.expected_error is not None:
        table["expected_error"] = predictions.expected_error.test.ravel()
    return table


def held_out(predictions: Predictions, convention: Convention, normalise: Normalise = PIXELS) -> pd.DataFrame:
    """One row for each keypoint of each held-out sample: the COLUMNS, the annotation source, the label, and its distance in pixels.

    The score and the expected error follow if they are known, see `predicted`.

    Where the label files say which labelled keypoints are not visible, the column occluded is 1 for these and 0 for others. If errors are
    normalised, the distance follows once more, as a share of a length or in millimetres. The columns of the label and the distances are
    NaN where the keypoint is not labelled.
    """
    origin = predictions.validation_origin
    if origin is None:
        raise ValueError("only an own set has an origin")
    table = _table(origin, predictions.validation, predictions.keypoints, convention)
    truth = _table(origin, predictions.validation_truth, predictions.keypoints, convention)
    table["source"] = np.repeat(predictions.sources[predictions.validation_source], len(predictions.keypoints))
    table["label_x"], table["label_y"] = truth["x"], truth["y"]
    table["distance"] = np.hypot(table["x"] - truth["x"], table["y"] - truth["y"])
    if predictions.validation_confidence is not None:
        table["score"] = predictions.validation_confidence.ravel()
    if predictions.expected_error is not None:
        table["expected_error"] = predictions.expected_error.validation.ravel()
    if predictions.validation_occluded is not None:
        table["occluded"] = predictions.validation_occluded.ravel().astype(np.int8)
    if scale := normalise.scale(predictions.validation_truth, origin, predictions.keypoints.tolist()):
        column = "relative_distance" if scale.words else "distance_mm"
        table[column] = table["distance"] / np.repeat(scale.lengths, len(predictions.keypoints))
    return table


def _table(origin: Origin, keypoints: np.ndarray, names: np.ndarray, convention: Convention) -> pd.DataFrame:
    """keypoints: (n, K, 2), in pixels of the samples."""
    points = affine.move(keypoints.astype(np.float64), origin.to_original)
    heights = origin.size[:, 1].astype(np.float64)
    placed = [convention.outwards(own, height) for own, height in zip(points, heights.tolist(), strict=True)]
    count = len(names)
    xy = np.array(placed).reshape(-1, 2)
    columns = (np.repeat(origin.image, count), np.repeat(origin.instance, count), np.tile(names, len(points)), xy[:, 0], xy[:, 1])
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Writes a table with coordinates to three decimals, UTF-8 and Unix line ends."""
    table.to_csv(path, index=False, float_format="%.3f", lineterminator="\n")
