"""Loads the nets of a run into memory, so that they are ready to predict."""

from dataclasses import replace

from pipeline.commands.support import reading
from pipeline.commands.support.chains import Nets
from pipeline.errors import InputError
from pipeline.inference.expected_error import ErrorModel
from pipeline.inference.loaded import FACE, LoadedNets, SampleFrame
from pipeline.keypoints.definition import KeypointSet
from pipeline.tasks.sections import dataset


def loaded(files: Nets) -> LoadedNets:
    """The nets of these files, ready to predict.

    A net stores neither skeleton nor detector. They are those of the selected data set if it has the same keypoints.
    Raises InputError if an artifact cannot be read.
    """
    from pipeline.nets.trained import Trained

    chains = tuple(tuple(reading.load(path, Trained) for path in chain) for chain in files.chains)
    base, chosen = chains[0][0], dataset().definition()
    keypointset, frame = base.keypointset.restored(), SampleFrame(int(base.stored), base.structure.channels)
    own = LoadedNets(chains, keypointset, files.base_share, frame, error_model=_error_model(files, keypointset))
    if chosen.keypointset is None or chosen.keypointset.names != keypointset.names:
        return own
    predict = chosen.settings.get("predict", "")
    return replace(
        own,
        keypointset=replace(keypointset, skeleton=chosen.keypointset.skeleton),
        detector=FACE if chosen.settings.get("detector") == FACE else None,
        source=keypointset.source_names.index(predict) if predict in keypointset.source_names else 0,
    )


def _error_model(files: Nets, keypointset: KeypointSet) -> ErrorModel | None:
    """The model of the errors of these nets on held-out samples; None if it is not known, or the predictions cannot be read."""
    from pipeline.results.predictions import Predictions

    if files.predicted is None:
        return None
    try:
        found = reading.load(files.predicted, Predictions).expected_error
    except InputError:  # the nets can predict without it
        return None
    fits = found is not None and found.model.levels.shape == (len(keypointset.sources), len(keypointset.names))
    return found.model if found is not None and fits else None
