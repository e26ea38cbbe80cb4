"""Trained nets of the selected data set as nets that are ready to predict."""

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.keypoints.definition import KeypointSet
from pipeline.tasks.sections import dataset

if TYPE_CHECKING:
    from pipeline.inference.expected_error import ErrorModel
    from pipeline.inference.loaded import LoadedNets
    from pipeline.nets.trained import Trained
    from pipeline.results.predictions import Predictions


def ready(chains: "tuple[tuple[Trained, ...], ...]", base_share: float, predictions: "Predictions | None") -> "LoadedNets":
    """The nets of chains, ready to predict.

    A net stores neither skeleton nor detector. They are those of the selected data set if it has the same keypoints.

    base_share: the weight of the base net in the mean. predictions: what was predicted with these nets, for the errors to be expected.
    """
    from pipeline.inference.loaded import FACE, LoadedNets, SampleFrame

    base, chosen = chains[0][0], dataset().definition()
    keypointset, frame = base.keypointset.restored(), SampleFrame(int(base.stored), base.structure.channels)
    own = LoadedNets(chains, keypointset, base_share, frame, error_model=_error_model(predictions, keypointset))
    if chosen.keypointset is None or chosen.keypointset.names != keypointset.names:
        return own
    predict = chosen.settings.get("predict", "")
    return replace(
        own,
        keypointset=replace(keypointset, skeleton=chosen.keypointset.skeleton),
        detector=FACE if chosen.settings.get("detector") == FACE else None,
        source=keypointset.source_names.index(predict) if predict in keypointset.source_names else 0,
    )


def _error_model(predictions: "Predictions | None", keypointset: KeypointSet) -> "ErrorModel | None":
    """The model of the errors of these nets on held-out samples; None if it is not known, or if it does not fit the keypoints."""
    found = None if predictions is None else predictions.expected_error
    fits = found is not None and found.model.levels.shape == (len(keypointset.sources), len(keypointset.names))
    return found.model if found is not None and fits else None
