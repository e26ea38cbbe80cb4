"""Keypoint sets of the user's, for the commands that need no run."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from pipeline.data import defining, mirror
from pipeline.data.definition import Asked, Definition
from pipeline.data.embedded import FolderWithFrames
from pipeline.data.formats import archives
from pipeline.data.formats.catalogue import format_module
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Convention, Labels, Reading, arranged
from pipeline.errors import InputError
from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.file import NAME, KeypointFile
from pipeline.store.workspace.called import called
from pipeline.units import counted, printable

NUMBERED = ("pts", "tps", "image_json")  # formats whose files do not name keypoints


@dataclass(frozen=True)
class UnderstoodSet:
    """A set of the user's as far as it is known without a run.

    labels: with the keypoints that keypoints.toml selects, and its names. as_given: those of the label files. said: keypoints.toml. mirror:
    how the mirror pairs are known, a sentence.
    """

    folder: FolderWithFrames
    definition: Definition
    keypointset: KeypointSet
    labels: Labels
    as_given: Labels
    convention: Convention
    said: KeypointFile
    mirror: str

    @property
    def has_the_names_of_its_files(self) -> bool:
        """Whether the keypoints are those of the label files, whose formats may number them only."""
        in_order = self.definition.order == tuple(range(len(self.as_given.names)))
        return self.labels is self.as_given or (in_order and self.as_given.format in NUMBERED)


def understood(asked: Asked) -> UnderstoodSet:
    """Reads the labels of a set. Raises InputError if there are none, or if they cannot be read."""
    if asked.format:
        format_module(asked.format)
    definition = defining.define(asked)
    if definition.keypointset is None:
        _refuse_kaggles_files(asked.path)
        raise InputError(definition.fault)
    folder = Folder(Path(definition.root), definition.only)
    said = defining.keypoint_file(asked, folder)
    module = format_module(definition.format)
    reading = Reading(definition.settings.get("category", ""), definition.settings.get("upwards"))
    as_given: Labels = module.read(folder, definition.files, reading)
    unchanged = definition.order == tuple(range(len(as_given.names))) and definition.keypointset.names == as_given.names
    labels = as_given if unchanged else arranged(as_given, definition.order, definition.keypointset.names)
    sentence = _mirror(said, labels, definition.keypointset)
    all_images = FolderWithFrames(folder, labels, getattr(module, "frame", _no_frame))
    return UnderstoodSet(all_images, definition, definition.keypointset, labels, as_given, reading.of(module.CONVENTION), said, sentence)


def _refuse_kaggles_files(path: str) -> None:
    if any(archives.find_file(Path(path), stem) for stem in ("training", "test", "IdLookupTable")):
        told = called("luigi", "--module", "pipeline", "Report", "--dataset-path", shlex.quote(path))
        raise InputError(f"{printable(path)} has Kaggle's files, whose format is known. `{told}` describes their content.")


def _no_frame(folder: Folder, file: str, number: int) -> bytes:
    raise RuntimeError(f"{file} contains image {number}, but its format has no function that reads it")


def _mirror(said: KeypointFile, labels: Labels, keypointset: KeypointSet) -> str:
    """How the mirror pairs are known."""
    pairs = counted(len(keypointset.mirror or ()), "pair")
    if said.mirror is not None:
        if keypointset.mirror is None:
            return f"Images are never mirrored, as {NAME} says."
        return f"{pairs}, as {NAME} says." if keypointset.mirror else f"A mirrored image exchanges no keypoints, as {NAME} says."
    return mirror.known(labels.keypoints(), labels.names, labels.mirror)[1]
