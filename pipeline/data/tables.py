"""Samples with what label files say of them, checked and parsed, before anything is derived from it."""

from dataclasses import dataclass

import numpy as np

from pipeline.lazyrows import Images, Index
from pipeline.schema import array, record


@record
class LabelledFaces:
    """The labelled samples of a set, in the order of its label files."""

    images: Images = array("uint8", "face y x channel?", "grey level", "faces, 0 = black to 255 = white")
    keypoints: np.ndarray = array("float32", "face keypoint coordinate", "px", "x then y, NaN where not labelled")


@record
class UnlabelledFaces:
    """The faces of a test table, in its order."""

    image_ids: np.ndarray = array("int64", "face", "", "unique ImageId by which the lookup table refers to the image")
    images: Images = array("uint8", "face y x", "grey level", "faces, 0 = black to 255 = white")


@record
class Lookup:
    """The values that a submission must contain, in the order of the lookup table."""

    row_ids: np.ndarray = array("int64", "row", "", "unique RowId by which the submission refers to the value")
    face: np.ndarray = array("int32", "row", "", "index of the test image, counted from 0")
    keypoint: np.ndarray = array("int16", "row", "", "index of the keypoint, counted from 0")
    axis: np.ndarray = array("int8", "row", "", "coordinate: 0 = x, 1 = y")


@record
class Origin:
    """Where samples were cut from."""

    image: np.ndarray = array("text", "sample", "", "path of the image, relative to the folder of the set")
    instance: np.ndarray = array(
        "text", "sample", "", "identifier of the object in its image, as the label file has it, or its number, from 1"
    )
    size: np.ndarray = array("int32", "sample length", "px", "width and height of the image, upright")
    box: np.ndarray = array("float64", "sample edge", "px", "box of the object: x, y, width and height; NaN where there is none")
    to_original: np.ndarray = array("float64", "sample xy term", "px", "affine map from pixels of the sample to pixels of the image")
    white: np.ndarray = array("int32", "sample", "", "grey level of the file that became 255; 255 for images of eight bits")

    def of(self, index: Index) -> "Origin":
        """The origin of some of the samples."""
        return Origin(*(values[index] for values in vars(self).values()))


@dataclass(frozen=True)
class Given:
    """What the label files of an own set say about its n samples, apart from images and keypoints, and the photographs they are cut from.

    source: int8 (n,), annotation sources. together: int32 (n,), equal for samples that the user keeps together and for those of one image.
    validation: bool (n,), the fixed validation part; None if the split is free. occluded: bool (n, K). origin: where the samples come from.
    photographs: uint8 (m, s, s), each image of the set, grey and squeezed into a square. photograph: int32 (n,), the number of the image
    among these.
    """

    source: np.ndarray
    together: np.ndarray
    validation: np.ndarray | None
    occluded: np.ndarray
    origin: Origin
    photographs: np.ndarray
    photograph: np.ndarray
