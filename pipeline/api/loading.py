"""Finished nets in memory: those of a workspace, of an artifact, or several of either as an ensemble."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.api import figures
from pipeline.api.predicting import KeypointNets
from pipeline.errors import InputError
from pipeline.store.workspace import runlog
from pipeline.units import printable

if TYPE_CHECKING:
    from pipeline.inference.loaded import LoadedNets

    Source = str | os.PathLike[str]


def load_nets(nets: "Source | Iterable[Source]") -> KeypointNets:
    """Loads finished nets into memory.

    nets: a workspace, of which the last finished run that predicted is meant; a file that `keypoints pack` has written; an artifact of
    Predict, or of TrainBase for the base net without specialists; or several of these, whose predictions are averaged.

    Raises InputError if there is no such file or folder, if it has no finished nets or is damaged, and if several nets predict different
    keypoints or see images differently.
    """
    if not isinstance(nets, str | os.PathLike | Iterable):
        raise InputError(f"nets is of the type {type(nets).__name__}. Give a workspace, a file, or a list of them.")
    paths = [nets] if isinstance(nets, str | os.PathLike) else list(nets)
    if wrong := [path for path in paths if not isinstance(path, str | os.PathLike)]:
        raise InputError(f"{wrong[0]!r:.60} is not the path of nets. Give a workspace, a file, or a list of them.")
    if not paths:
        raise InputError("There are no nets to load. Give a workspace, a file, or a list with at least one of them.")
    figures.keep_settings()
    from pipeline.inference import packs

    each = [_loaded(Path(path).expanduser()) for path in paths]
    return KeypointNets(each[0] if len(each) == 1 else packs.merged(each, [printable(path) for path in paths]))


def _loaded(path: Path) -> "LoadedNets":
    """The nets of a workspace, an artifact, or a file of `keypoints pack`."""
    from pipeline.commands.support import ancestry, chains, loading
    from pipeline.commands.support.last_run import Run
    from pipeline.tasks import packfiles

    if not path.exists():
        raise InputError(f"{printable(path)} does not exist. Give a workspace, a file of `keypoints pack`, or an artifact of Predict.")
    if path.is_file() and packfiles.is_pack_file(path):
        return loading.of_pack(path).nets
    artifact, root = (_of_workspace(path), path) if path.is_dir() else (path.absolute(), ancestry.root_of(path))
    run = Run.selected_by([f"--workspace-root={root.absolute()}"])
    # What the data set of the run says is known only while Luigi's parameters have the values of that run.
    with run.stages():
        return loading.loaded(chains.chosen(str(artifact), []))


def _of_workspace(workspace: Path) -> Path:
    """The artifact of the last finished run that predicted; if none has, the base net of the last one that trained it.

    Raises InputError if there is neither.
    """
    made = [entry.get("artifacts", {}) for entry in runlog.entries(workspace / "models") if entry.get("event") == "end"]
    if not made:
        raise InputError(f"No run has finished in {printable(workspace)}. Run Predict there first, or name another folder.")
    files = [workspace.absolute() / own[stage] for stage in ("Predict", "TrainBase") for own in reversed(made) if stage in own]
    if not (found := next((file for file in files if file.is_file()), None)):
        raise InputError(f"The finished runs in {printable(workspace)} made no nets, or these were removed. Run Predict there.")
    return found
