"""Loads the nets of a run, or of files of nets, into memory, so that they are ready to predict."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.support import chains, reading
from pipeline.commands.support.addresses import locate
from pipeline.commands.support.chains import Nets
from pipeline.errors import InputError
from pipeline.inference.loaded import LoadedNets
from pipeline.store.run.stage import Stage
from pipeline.store.workspace import files as stored_files
from pipeline.tasks import packfiles
from pipeline.units import printable

if TYPE_CHECKING:
    from pipeline.results.predictions import Predictions


@dataclass(frozen=True)
class Chosen:
    """Nets that are ready to predict.

    said: sentences on what they are; () for those of the selected run. only_drawn: whether they were trained on faces that the program
    drew. files: the files that they were read from.
    """

    nets: LoadedNets
    said: tuple[str, ...] = ()
    only_drawn: bool = False
    files: tuple[Path, ...] = ()

    @property
    def key(self) -> str:
        """What distinguishes these nets from others: a digest of their files, and of what the selected data set says about them."""
        nets = self.nets
        told = [nets.keypointset.names, nets.base_share, nets.source, nets.detector]
        return hashlib.sha256(json.dumps([*map(stored_files.sha256, self.files), told]).encode()).hexdigest()


def of_files(files: Nets) -> Chosen:
    """The nets of a run or of an artifact. Raises InputError as `loaded`."""
    paths = [path for chain in files.chains for path in chain] + ([files.predicted] if files.predicted else [])
    return Chosen(loaded(files), (files.source,) if files.source else (), files.saw_only_drawn_faces, tuple(paths))


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
    paths = tuple(path for one in found for path in one.files)
    return Chosen(nets, (*(line for one in found for line in one.said), ensemble), all(one.only_drawn for one in found), paths)


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
    return Chosen(nets, (f"Predicting with the nets of {printable(path)}.",), bool(pack.data.drawn), (path,))


def loaded(files: Nets) -> LoadedNets:
    """The nets of these files, ready to predict; see `trainednets.ready`. Raises InputError if an artifact cannot be read."""
    from pipeline.nets.trained import Trained
    from pipeline.tasks import trainednets

    chains = tuple(tuple(reading.load(path, Trained) for path in chain) for chain in files.chains)
    return trainednets.ready(chains, files.base_share, _predictions(files))


def _predictions(files: Nets) -> "Predictions | None":
    """What was predicted with these nets; None if that is not known or cannot be read."""
    from pipeline.results.predictions import Predictions

    if files.predicted is None:
        return None
    try:
        return reading.load(files.predicted, Predictions)
    except InputError:  # the nets can predict without it
        return None
