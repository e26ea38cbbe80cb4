"""From predicted keypoints to Kaggle's submission file."""

from pathlib import Path

import numpy as np
import pandas as pd


def locations(keypoints: np.ndarray, face: np.ndarray, keypoint: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The values that the lookup table asks for, in its order: float32 (m,), pixels.

    keypoints: predictions float32 (n, K, 2), pixels, x then y.
    face, keypoint, axis: the index of each row's value in `keypoints`, (m,).

    Raises ValueError if one of these values is NaN or infinite.
    """
    values = keypoints[face, keypoint, axis]
    if not np.isfinite(values).all():
        raise ValueError(f"{np.sum(~np.isfinite(values))} of {len(values)} values that the lookup table asks for are NaN or infinite")
    return values


def write_csv(path: Path, row_ids: np.ndarray, values: np.ndarray) -> None:
    """Writes Kaggle's format: the columns RowId and Location, in the order of the lookup table, with four decimals."""
    pd.DataFrame({"RowId": row_ids, "Location": values}).to_csv(path, index=False, float_format="%.4f", lineterminator="\n")
