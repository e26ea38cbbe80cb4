"""The predictions for an own set as tables: keypoints in the pixels of the original images, as the label format counts them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.labels import Convention
from pipeline.data.tables import Origin
from pipeline.geometry import affine
from pipeline.results.predictions import Predictions

COLUMNS = ("image", "instance", "keypoint", "x", "y")


def predicted(predictions: Predictions, convention: Convention) -> pd.DataFrame:
    """One row for each keypoint of each sample to predict, with the COLUMNS; no rows if there are none."""
    if predictions.test_origin is None:
        raise ValueError("only an own set has an origin")
    return _table(predictions.test_origin, predictions.test, predictions.keypoints, convention)


def held_out(predictions: Predictions, convention: Convention, scale: "ErrorScale | None") -> pd.DataFrame:
    """One row for each keypoint of each held-out sample: the COLUMNS, the annotation source, the label, and its distance in pixels.

    With an error scale, the distance follows once more, as a share of its length or in millimetres. The columns of the label and the
    distances are NaN where the keypoint is not labelled.
    """
    origin = predictions.validation_origin
    if origin is None:
        raise ValueError("only an own set has an origin")
    table = _table(origin, predictions.validation, predictions.keypoints, convention)
    truth = _table(origin, predictions.validation_truth, predictions.keypoints, convention)
    table["source"] = np.repeat(predictions.sources[predictions.validation_source], len(predictions.keypoints))
    table["label_x"], table["label_y"] = truth["x"], truth["y"]
    table["distance"] = np.hypot(table["x"] - truth["x"], table["y"] - truth["y"])
    if scale:
        table[scale.column] = table["distance"] / np.repeat(scale.lengths, len(predictions.keypoints))
    return table


@dataclass(frozen=True)
class ErrorScale:
    """What errors are divided by, apart from pixels.

    lengths: float64 (n,), of each held-out sample, pixels; NaN where it is not known. words: what the length is; "" for millimetres.
    """

    lengths: np.ndarray
    words: str

    @property
    def column(self) -> str:
        """The column of the normalised distances."""
        return "relative_distance" if self.words else "distance_mm"

    def summary(self, table: pd.DataFrame) -> str:
        """The mean distances of the held-out samples in words."""
        pixels, mean = table["distance"].mean(), table[self.column].mean()
        normalised = f"{100 * mean:.2f} % of {self.words}" if self.words else f"{mean:.3f} mm"
        return f"mean distance of held-out keypoints: {pixels:.2f} px, {normalised}"


def error_scale(predictions: Predictions, setting: Mapping[str, Any], scales: Mapping[str, float]) -> ErrorScale | None:
    """The length that a set's definition names; None if it names none.

    setting: `normalise` of the definition's settings. scales: millimetres per pixel by image, if the setting is a file of them. The size of
    a box is the square root of its area.
    """
    origin = predictions.validation_origin
    if origin is None or not setting:
        return None
    if pair := setting.get("pair"):
        names = predictions.keypoints.tolist()
        one, other = (predictions.validation_truth[:, names.index(name)] for name in pair)
        apart = np.linalg.norm(one.astype(np.float64) - other, axis=1) * predictions.pixel[:, 0, 0]
        return ErrorScale(np.where(apart > 0, apart, np.nan), f"the distance from {pair[0]} to {pair[1]}")
    if setting.get("box"):
        area = origin.box[:, 2] * origin.box[:, 3]
        return ErrorScale(np.sqrt(np.where(area > 0, area, np.nan)), "the size of the box")
    sizes = [scales.get(image, np.nan) if "file" in setting else setting["mm_per_pixel"] for image in origin.image.tolist()]
    return ErrorScale(1 / np.array(sizes, np.float64), "")


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
