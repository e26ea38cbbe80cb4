"""From predicted keypoints to Kaggle's submission, and to one table of what was predicted and how well."""

import numpy as np
import pandas as pd


def locations(keypoints: np.ndarray, face: np.ndarray, keypoint: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The value asked for by each row of the lookup table: float32 (m,), pixels.

    keypoints (n, K, 2); face, keypoint and axis (m,) indices. ValueError if one of them is not a number.
    """
    values = keypoints[face, keypoint, axis]
    if not np.isfinite(values).all():
        raise ValueError(f"{np.sum(~np.isfinite(values))} of {len(values)} values asked for were not predicted")
    return values


def write_csv(path, row_ids: np.ndarray, values: np.ndarray) -> None:
    """Kaggle's format: RowId,Location, in the order of the lookup table; four decimals."""
    pd.DataFrame({"RowId": row_ids, "Location": values}).to_csv(path, index=False, float_format="%.4f", lineterminator="\n")
