"""Keypoints in the forms in which notebooks have them: arrays, tables with the columns NAME_x and NAME_y, and samples."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.api.reading import Sample
from pipeline.errors import InputError
from pipeline.metrics import rmse as metric
from pipeline.units import printable

if TYPE_CHECKING:
    from typing import TypeAlias

    import pandas as pd

    Keypoints: TypeAlias = np.ndarray | pd.DataFrame | Sequence[Sample]

EXPECTED_ERROR = "_expected_error"  # the end of the names of columns with expected errors


def rmse(predicted: "Keypoints", truth: "Keypoints") -> float:
    """Root mean squared error over all x and y values whose truth is not NaN. The metric of Kaggle's Facial Keypoints Detection.

    predicted, truth: arrays (n, K, 2), tables with the columns NAME_x and NAME_y such as `KeypointNets.predict` returns, or lists of
    samples; pixels. Rows are compared in their order, keypoints by their names where both have names.

    Returns pixels; NaN if nothing is labelled. Raises InputError if numbers of rows, names or shapes differ, and if a prediction is NaN
    where the truth is not.

    >>> rmse(np.array([[[3.0, 4.0]]]), np.array([[[0.0, 4.0]]]))
    2.1213203435596424
    """
    (names, ours), (others, theirs) = named_points(predicted, "predicted"), named_points(truth, "truth")
    if names and others:
        if unknown := [name for name in names if name not in others] or [name for name in others if name not in names]:
            raise InputError(f"Only one of predicted and truth has the keypoint {unknown[0]}. Compare the same keypoints.")
        theirs = theirs[:, [others.index(name) for name in names]]
    if ours.shape != theirs.shape:
        raise InputError(f"predicted has the shape {ours.shape}, and truth {theirs.shape}. Give a row of predicted for each row of truth.")
    if len(missing := np.argwhere(np.isnan(ours) & ~np.isnan(theirs))):
        row, keypoint, _ = missing[0].tolist()
        which = names[keypoint] if names else f"number {keypoint}"
        raise InputError(f"predicted is NaN in row {row} for the keypoint {which}, which truth has. Leave such rows out of both.")
    return metric.rmse(ours, theirs)


def named_points(values: Any, what: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Keypoints float64 (n, K, 2) and their names; no names if they are not known.

    values: as for `rmse`, or those of a single instance: an array (K, 2), a row of a table, or a sample. what: a name for messages.
    Raises InputError for anything else.
    """
    if isinstance(values, Sample):
        values = [values]
    if hasattr(values, "columns"):
        return _of_table(values.columns, values, what)
    if hasattr(values, "index") and hasattr(values, "to_numpy"):  # a row of a table
        return _of_table(values.index, values, what)
    if isinstance(values, list | tuple) and values and isinstance(values[0], Sample):
        names = values[0].names
        if other := [each for each in values if not isinstance(each, Sample) or each.names != names]:
            raise InputError(f"{what}: the entries must be samples with the same keypoints, unlike {other[0]!r:.60}.")
        return names, np.array([sample.keypoints for sample in values], np.float64)
    try:
        points = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.ndim not in (2, 3) or points.shape[-1] != 2:
        shape = f", of the shape {np.shape(values)}" if isinstance(values, np.ndarray) else ""
        raise InputError(
            f"{what} is of the type {type(values).__name__}{shape}. Give keypoints as an array (n, K, 2), a table or a list of samples."
        )
    return (), points.reshape(-1, *points.shape[-2:])


def _of_table(columns: Any, values: Any, what: str) -> tuple[tuple[str, ...], np.ndarray]:
    """The keypoints of a table whose columns are NAME_x and NAME_y for each keypoint, or of one of its rows; without expected errors."""
    coordinates = [not str(column).endswith(EXPECTED_ERROR) for column in columns]
    given = [str(column) for column in columns[coordinates]]
    names = tuple(column[:-2] for column in given[::2])
    expected = [f"{name}_{axis}" for name in names for axis in "xy"]
    if not given or given != expected:
        wrong = next((column for column, right in zip(given, expected, strict=False) if column != right), "none")
        raise InputError(
            f"{what} is a table with other columns than NAME_x and NAME_y of each keypoint, in turn: {printable(wrong)} is the first."
            " Select these columns."
        )
    try:
        points = values.to_numpy(np.float64)[..., coordinates]
    except (TypeError, ValueError):
        raise InputError(f"{what}: not all values are numbers. Give a table of coordinates in pixels.") from None
    return names, points.reshape(-1, len(names), 2)
