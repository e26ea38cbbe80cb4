"""Keypoints as a list of points: the one form in which viewers of HDF5 files draw them."""

import numpy as np

from pipeline.schema import Plot, array, record


@record
class Points:
    """The keypoints of some faces, all in one list, without those that are not known; y upwards, as diagrams have it."""

    keypoint: np.ndarray = array("int16", "point", "", "which of the keypoints, counted from 0")
    x: np.ndarray = array("float32", "point", "px", "x, to the right of the image's left edge")
    y: np.ndarray = array("float32", "point", "px", "height above the image's lower edge")

    PLOT = Plot("keypoint", ("x", "y"))


def points(keypoints: np.ndarray, side: int) -> Points:
    """From keypoints (n, K, 2), x then y from the upper edge, pixels, NaN where not known, of images of side x side pixels."""
    known = ~np.isnan(keypoints).any(axis=2)
    x, y = keypoints[known].astype(np.float32).T
    return Points(np.nonzero(known)[1].astype(np.int16), x, np.float32(side) - y)
