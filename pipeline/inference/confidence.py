"""How certain the predictions of a chain are: the heights of the peaks of its base net's heat maps."""

from dataclasses import replace

import numpy as np

from pipeline.data.dataset import Dataset
from pipeline.data.testset import UnlabelledSamples
from pipeline.inference import prediction
from pipeline.inference.ensemble import ChainPredictions
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images, Selected
from pipeline.nets.peaks import peaks
from pipeline.nets.sources import of_source
from pipeline.nets.trained import Trained


def with_confidence(chain: ChainPredictions, base: Trained, dataset: Dataset, test: UnlabelledSamples) -> ChainPredictions:
    """The predictions of a chain with the confidence of its base net, if that has heat maps.

    base: the base net. dataset: the data set that the chain was trained on. test: the samples to predict.
    """
    keypointset, held_out = dataset.keypointset.restored(), np.flatnonzero(dataset.validation)
    return replace(
        chain,
        confidence=confidence(base, Selected(dataset.images, held_out), dataset.source[held_out], keypointset),
        test_confidence=confidence(base, test.images, test.source, keypointset),
    )


def confidence(base: Trained, images: Images, source: np.ndarray, keypointset: KeypointSet) -> np.ndarray | None:
    """How certain a base net is of each keypoint in images uint8 (n, s, s) or (n, s, s, 3), float32 (n, K), 0 to 1.

    It is that of the first look at the whole image, see `peaks`; None if the net has no heat maps. source: (n,), the annotation source
    whose heat maps count for each image.
    """
    seen = prediction.sight(base, None, side=images.shape[1]).view(len(images)).images(images)
    found = peaks(prediction.rebuilt(base, keypointset), seen, len(keypointset.sources))
    return None if found is None else of_source(found, source)
