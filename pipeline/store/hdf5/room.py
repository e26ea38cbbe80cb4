"""Whether an artifact has room, asked before its arrays are written: on the disk, and in the number of pieces that its layout may have."""

import errno
import os
import shutil
from math import prod
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.store.hdf5 import bytereader
from pipeline.store.workspace import files, names


class Room:
    """The room for one artifact.

    path: where the artifact will be.
    """

    def __init__(self, path: Path):
        self.path, self.bytes, self.pieces = path, 0, 0

    def claim(self, shape: tuple[int, ...], itemsize: int, chunk: tuple[int, ...]) -> None:
        """Adds an array that will be written, with the shape of its chunks.

        Raises WriteError, which `files.room_for` turns into an InputError, if the disk has too little space for this array and those that
        were claimed before, and InputError if they have more chunks than `layout.survey` accepts.
        """
        self.bytes += prod(shape) * itemsize
        chunks = prod(-(-length // own) for length, own in zip(shape, chunk, strict=True)) if chunk else 1
        self.pieces += chunks + chunks // 31  # and the nodes of a tree whose nodes have at least 32 children
        if self.pieces > bytereader.MOST:
            raise InputError(
                f"{self.path.name} would have more than {bytereader.MOST:,} pieces, which is the limit of an artifact. Use fewer or smaller"
                " samples; for stored augmented versions, a smaller --Augment-copies, or 0 to draw them anew in each epoch."
            )
        if self.bytes > self._free():
            raise files.WriteError(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), self.bytes)

    def _free(self) -> int:
        """The bytes that are free for the artifact, those of the part of it that has been written among them."""
        draft = names.draft(self.path)
        return shutil.disk_usage(self.path.parent).free + (draft.stat().st_size if draft.exists() else 0)


def of(group: Any) -> Room | None:
    """The room of the artifact that an open group is written to; None for a file of another origin."""
    return _rooms.get(group.file.id)


def opened(file: Any, path: Path) -> None:
    """Notes where an open `h5py.File` will be published."""
    _rooms[file.id] = Room(path)


def closed(file: Any) -> None:
    """Forgets an open `h5py.File`, before it is closed."""
    _rooms.pop(file.id, None)


_rooms: dict[Any, Room] = {}
