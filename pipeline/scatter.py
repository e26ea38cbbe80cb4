"""Keypoints as a list of points, the only form in which viewers of HDF5 files plot them."""

import numpy as np

from pipeline.schema import Plot, array, record


@record
class Points:
    """The known keypoints of several images in one list, with y pointing upwards as in diagrams."""

    keypoint: np.ndarray = array("int16", "point", "", "index of the keypoint, from 0")
    x: np.ndarray = array("float32", "point", "px", "distance from the left edge of the image")
    y: np.ndarray = array("float32", "point", "px", "height above the lower edge of the image")

    PLOT = Plot("keypoint", ("x", "y"))


def points(keypoints: np.ndarray, side: int) -> Points:
    """The list of points for keypoints (n, K, 2): x and y in pixels, y from the upper edge, NaN where unknown.

    side: the height of the images in pixels.
    """
    known = ~np.isnan(keypoints).any(axis=2)
    x, y = keypoints[known].astype(np.float32).T
    return Points(np.nonzero(known)[1].astype(np.int16), x, np.float32(side) - y)
