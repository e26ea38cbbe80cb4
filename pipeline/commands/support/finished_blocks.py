"""The finished blocks of an unfinished `keypoints annotate`, so that the same command continues there after it was killed."""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.results.annotated_block import AnnotatedBlock
from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import fingerprints, provenance
from pipeline.store.workspace import files

FOLDER = ".unfinished"
# The code on which the content of a block depends.
CODE = ("pipeline.results.annotating", "pipeline.results.annotations")


@dataclass(frozen=True)
class FinishedBlocks:
    """Blocks in a folder within the output folder, each in a file that is named after what it was made from.

    out: the output folder. made_from: what all blocks have in common: the nets and the settings, as values that JSON takes.
    """

    out: Path
    made_from: list[Any]

    @property
    def folder(self) -> Path:
        """The folder of the blocks, which exists only while a command is unfinished."""
        return self.out / FOLDER

    def path(self, photos: Sequence[Path], targets: Sequence[Path]) -> Path:
        """The file of the block with these photographs and their pictures, as the photographs are now."""
        shown = [(str(photo), _digest(photo), target.name) for photo, target in zip(photos, targets, strict=True)]
        common = [self.made_from, fingerprints.module_fingerprint(CODE), provenance.backend()]
        return self.folder / f"block-{hashlib.sha256(json.dumps([common, shown]).encode()).hexdigest()[:32]}.h5"

    def load(self, path: Path) -> AnnotatedBlock | None:
        """The block in a file; None if there is none, or if it is damaged."""
        with contextlib.suppress(OSError, artifacts.Damaged):
            return artifacts.load(path, AnnotatedBlock)
        return None

    def save(self, path: Path, block: AnnotatedBlock) -> None:
        """Writes a block. Raises InputError if the disk is full."""
        with artifacts.writing(path, {"stage": "Block"}) as file:
            artifacts.put(file, block)

    def drop(self) -> None:
        """Removes all blocks: the command has finished."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _digest(photo: Path) -> str:
    try:
        return files.sha256(photo)
    except OSError as error:
        return files.reason(error)
