"""Arrays with so many rows that they may not fit in memory: rows are read or computed when they are needed.

Functions that take images accept both kinds, arrays and `LazyRows`. Both have a length, a shape and a dtype, and return an array for a
slice, a mask or indices of rows.
"""

import os
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

Index = int | slice | np.ndarray

BLOCK_BYTES = 16 << 20  # read or computed at once
# Or a multiple of it: a block consists of whole batches of a prediction and whole chunks of a file. Of large rows it is a part of it.
BLOCK_ROWS = 128


class LazyRows(ABC):
    """Rows that are not in memory.

    shape: the number of rows, followed by the shape of a row.
    dtype: the dtype of the rows.
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)

    @abstractmethod
    def take(self, rows: np.ndarray) -> np.ndarray:
        """The rows (m, ...) with these indices (m,), in this order."""

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """The number of values."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The number of bytes that an array of all rows would have."""
        return self.size * self.dtype.itemsize

    def __getitem__(self, index: Index) -> np.ndarray:
        """One row, or the rows of a slice, a mask (n,) or indices (m,), as an array in memory."""
        rows = np.arange(len(self))[index]
        if rows.ndim == 0:
            return self.take(rows[None])[0]
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for part in blocks(taken):
            taken[part] = self.take(rows[part])
        return taken


# Images (n, height, width), or any other rows, in either form.
Images = np.ndarray | LazyRows


class Selected(LazyRows):
    """Some of the rows of others, selected by indices (m,)."""

    def __init__(self, rows: Images, index: np.ndarray):
        super().__init__((len(index), *rows.shape[1:]), rows.dtype)
        self.rows, self.index = rows, index

    def __getitem__(self, index: Index) -> np.ndarray:
        # One row of an array is not copied: a window of a large image needs only a small part of it.
        return self.rows[int(self.index[index])] if isinstance(index, int) else super().__getitem__(index)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The rows (m, ...) with these indices (m,), in this order."""
        return self.rows[self.index[rows]]


def in_memory(rows: Images) -> bool:
    """Whether rows are an array, or some of the rows of an array."""
    return isinstance(rows, np.ndarray) or (isinstance(rows, Selected) and in_memory(rows.rows))


class Spilled(LazyRows):
    """Rows in a temporary file without a name, which disappears when the process ends, however it ends.

    folder: where to create the file; None is the system's folder for temporary files.
    row_shape: the shape of a row.
    """

    def __init__(self, folder: Path | None, row_shape: tuple[int, ...], dtype: npt.DTypeLike):
        super().__init__((0, *row_shape), dtype)
        self.file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (open for as long as its rows are needed)
        weakref.finalize(self, self.file.close)
        self.row_bytes = prod(row_shape) * self.dtype.itemsize

    def append(self, block: np.ndarray) -> None:
        """Adds rows (m, ...)."""
        rest = np.ascontiguousarray(block).reshape(-1).view(np.uint8).data
        while rest:
            rest = rest[self.file.write(rest) :]
        self.shape = (len(self) + len(block), *self.shape[1:])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The rows (m, ...) with these indices (m,), in this order."""
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for part, run in runs(rows):
            content = os.pread(self.file.fileno(), (run.stop - run.start) * self.row_bytes, run.start * self.row_bytes)
            taken[part] = np.frombuffer(content, self.dtype).reshape(-1, *self.shape[1:])
        return taken


class Collector:
    """Concatenates blocks of rows, in memory or, if they have more than `limit` bytes, in a temporary file in `folder`."""

    def __init__(self, limit: float = float("inf"), folder: Path | None = None):
        self.limit, self.folder, self.size = limit, folder, 0
        self.blocks: list[np.ndarray] = []
        self.spilled: Spilled | None = None

    def add(self, block: np.ndarray) -> None:
        """Appends rows (m, ...). All blocks must have the same row shape and dtype."""
        self.blocks.append(block)
        self.size += block.nbytes
        if self.size > self.limit:
            if self.spilled is None:
                self.spilled = Spilled(self.folder, block.shape[1:], block.dtype)
            for waiting in self.blocks:
                self.spilled.append(waiting)
            self.blocks.clear()

    def rows(self) -> Images:
        """All rows. At least one block must have been added."""
        return np.concatenate(self.blocks) if self.spilled is None else self.spilled


def chosen(rows: Images, index: Index) -> Images:
    """The rows of a slice, a mask (n,) or indices (m,). Lazy rows stay lazy."""
    return rows[index] if isinstance(rows, np.ndarray) else Selected(rows, np.arange(len(rows))[index])


def in_blocks(rows: Images) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields all rows in blocks, each with its position. If there are no rows, one empty block."""
    for part in blocks(rows):
        yield part, rows[part]


def each(rows: Images) -> Iterator[np.ndarray]:
    """Yields all rows one by one."""
    for _, block in in_blocks(rows):
        yield from block


def blocks(rows: Images) -> Iterator[slice]:
    """Yields the positions of blocks of `block_rows` rows. If there are no rows, one empty slice."""
    count = block_rows(rows.shape[1:], rows.dtype)
    for start in range(0, max(1, len(rows)), count):
        yield slice(start, min(start + count, len(rows)))


def block_rows(row_shape: tuple[int, ...], dtype: npt.DTypeLike) -> int:
    """The number of rows of a block of about BLOCK_BYTES: a multiple of BLOCK_ROWS or, if so many do not fit, a power of two."""
    fitting = BLOCK_BYTES // max(1, prod(row_shape) * np.dtype(dtype).itemsize)
    return fitting // BLOCK_ROWS * BLOCK_ROWS or 1 << max(0, fitting.bit_length() - 1)


def runs(rows: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Splits row indices (m,) into runs of consecutive rows; yields the positions of each run among the m, and its rows."""
    edges = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    for start, stop in pairwise(edges):
        if start < stop:
            yield slice(start, stop), slice(int(rows[start]), int(rows[stop - 1]) + 1)
