"""The samples to predict: the content of LoadTest's artifact."""

import numpy as np

from pipeline.data.dataset import sources
from pipeline.data.tables import Lookup, Origin, UnlabelledFaces
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images
from pipeline.schema import Plot, array, record


@record
class UnlabelledSamples:
    """The samples to predict, in the order of the test table or, for an own set, of the names of the images.

    The values of a lookup table are those of a submission to Kaggle. An own set has an origin instead.
    """

    images: Images = array("uint8", "sample y x channel?", "grey level", "samples to predict")
    source: np.ndarray = array("int8", "sample", "", "annotation source whose convention the predictions follow")
    image_id: np.ndarray | None = array("int64", "sample", "", "ImageId of Kaggle's test table")
    lookup_row: np.ndarray | None = array("int64", "row", "", "RowId of the values to predict, in the lookup table's order")
    lookup_sample: np.ndarray | None = array("int32", "row", "", "index of the sample, counted from 0")
    lookup_keypoint: np.ndarray | None = array("int16", "row", "", "index of the keypoint, counted from 0")
    lookup_axis: np.ndarray | None = array("int8", "row", "", "coordinate: 0 = x, 1 = y")
    source_names: np.ndarray = array("text", "source", "", "names of the annotation sources")
    origin: Origin | None

    PLOT = Plot("images", (".", ".", "."), "image")


def requested(test: UnlabelledFaces, lookup: Lookup, keypointset: KeypointSet) -> UnlabelledSamples:
    """The samples of a test table, with the values that a lookup table asks for.

    The source of a sample is the last one that has all of its requested keypoints.
    """
    asked = np.zeros((len(test.images), len(keypointset.names)), bool)
    asked[lookup.face, lookup.keypoint] = True
    return UnlabelledSamples(
        images=test.images,
        source=sources(asked, keypointset),
        image_id=test.image_ids,
        lookup_row=lookup.row_ids,
        lookup_sample=lookup.face,
        lookup_keypoint=lookup.keypoint,
        lookup_axis=lookup.axis,
        source_names=np.array(keypointset.source_names),
        origin=None,
    )


def table(test: UnlabelledSamples) -> str:
    """The numbers of samples to predict, by annotation source, as text for the log."""
    counts = np.bincount(test.source, minlength=len(test.source_names)).tolist()
    by_source = ", ".join(f"{name} {count:,}" for name, count in zip(test.source_names.tolist(), counts, strict=True))
    values = "" if test.lookup_row is None else f"; {len(test.lookup_row):,} values to predict"
    return f"{len(test.images):,} test samples ({by_source}){values}"
