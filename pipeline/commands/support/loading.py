"""Loads the nets of a run, or of files of nets, into memory, so that they are ready to predict."""

from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.commands.support import chains, packfiles, reading
from pipeline.commands.support.addresses import locate
from pipeline.commands.support.chains import Nets
from pipeline.errors import InputError
from pipeline.inference.expected_error import ErrorModel
from pipeline.inference.loaded import FACE, LoadedNets, SampleFrame
from pipeline.keypoints.definition import KeypointSet
from pipeline.store.run.stage import Stage
from pipeline.tasks.sections import dataset
from pipeline.units import printable


@dataclass(frozen=True)
class Chosen:
    """Nets that are ready to predict.

    said: sentences on what they are; () for those of the selected run. only_drawn: whether they were trained on faces that the program
    drew.
    """

    nets: LoadedNets
    said: tuple[str, ...] = ()
    only_drawn: bool = False


def of_files(files: Nets) -> Chosen:
    """The nets of a run or of an artifact. Raises InputError as `loaded`."""
    return Chosen(loaded(files), (files.source,) if files.source else (), files.saw_only_drawn_faces)


def chosen(given: list[str], stages: list[Stage]) -> Chosen:
    """The nets of files that `keypoints pack` has written or of artifacts, given as for `addresses.locate`; several are an ensemble.

    Raises InputError if one cannot be used, or if they do not predict the same.
    """
    found = [_one(what, stages) for what in given]
    if len(found) == 1:
        return found[0]
    from pipeline.inference import packs

    nets = packs.merged([one.nets for one in found], [printable(what) for what in given])
    ensemble = f"They form an ensemble of {len(nets.chains)} chains."
    return Chosen(nets, (*(line for one in found for line in one.said), ensemble), all(one.only_drawn for one in found))


def _one(what: str, stages: list[Stage]) -> Chosen:
    path = locate(what, stages)
    if not packfiles.is_pack(reading.attributes(path)):
        return of_files(chains.chosen(what, stages))
    return of_pack(path)


def of_pack(path: Path) -> Chosen:
    """The nets of a file that `keypoints pack` has written. Raises InputError as `packfiles.read`, and for nets that do not fit."""
    pack = packfiles.read(path)
    try:
        nets = pack.loaded(printable(path))
    except InputError as error:
        raise InputError(f"{printable(path)} cannot be used. {error}") from None
    return Chosen(nets, (f"Predicting with the nets of {printable(path)}.",), bool(pack.data.drawn))


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
