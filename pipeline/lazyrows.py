"""Arrays of so many rows that memory may not hold them: read, or made, when they are asked for.

Who takes images takes either kind, an array or `LazyRows`: both have `len`, `shape` and `dtype`, and give an array for a slice, a mask or
the numbers of some rows.
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

BLOCK_BYTES = 16 << 20  # that are read or made at once
BLOCK_ROWS = 128  # or a multiple of it: a block fills the batches of a prediction, and the chunks of a file


class LazyRows(ABC):
    """shape: the number of rows, then the shape of each. dtype: as in numpy."""

    def __init__(self, shape: tuple[int, ...], dtype):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)

    @abstractmethod
    def take(self, rows: np.ndarray) -> np.ndarray:
        """The rows of these numbers (m,), in their order: (m, ...)."""

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __getitem__(self, index) -> np.ndarray:
        """One row, or those of a slice, a mask (n,) or numbers (m,): an array in memory."""
        rows = np.arange(len(self))[index]
        if rows.ndim == 0:
            return self.take(rows[None])[0]
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for part in blocks(taken):
            taken[part] = self.take(rows[part])
        return taken


Images = np.ndarray | LazyRows


class Selected(LazyRows):
    """Some rows of others, by their numbers."""

    def __init__(self, rows: Images, index: np.ndarray):
        super().__init__((len(index), *rows.shape[1:]), rows.dtype)
        self.rows, self.index = rows, index

    def take(self, rows):
        return self.rows[self.index[rows]]


class Spilled(LazyRows):
    """Rows in a temporary file without a name: nothing is left of it when the process ends, however it ends."""

    def __init__(self, folder: Path | None, row_shape: tuple[int, ...], dtype):
        super().__init__((0, *row_shape), dtype)
        self.file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (open for as long as its rows are of use)
        weakref.finalize(self, self.file.close)
        self.row_bytes = prod(row_shape) * self.dtype.itemsize

    def append(self, block: np.ndarray) -> None:
        rest = memoryview(np.ascontiguousarray(block).reshape(-1).view(np.uint8))
        while rest:
            rest = rest[self.file.write(rest) :]
        self.shape = (len(self) + len(block), *self.shape[1:])

    def take(self, rows):
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for part, run in runs(rows):
            content = os.pread(self.file.fileno(), (run.stop - run.start) * self.row_bytes, run.start * self.row_bytes)
            taken[part] = np.frombuffer(content, self.dtype).reshape(-1, *self.shape[1:])
        return taken


class Collector:
    """Puts together rows that come in blocks: in memory or, where they are more than `limit` bytes, in a temporary file in `folder`."""

    def __init__(self, limit: float = float("inf"), folder: Path | None = None):
        self.limit, self.folder, self.size = limit, folder, 0
        self.blocks: list[np.ndarray] = []
        self.spilled: Spilled | None = None

    def add(self, block: np.ndarray) -> None:
        """Rows (m, ...) behind those before, all of one shape and dtype."""
        self.blocks.append(block)
        self.size += block.nbytes
        if self.size > self.limit:
            if self.spilled is None:
                self.spilled = Spilled(self.folder, block.shape[1:], block.dtype)
            for waiting in self.blocks:
                self.spilled.append(waiting)
            self.blocks.clear()

    def rows(self) -> Images:
        """All that was added, at least one block."""
        return np.concatenate(self.blocks) if self.spilled is None else self.spilled


def chosen(rows: Images, index) -> Images:
    """The rows of a slice, a mask or numbers; lazy ones stay lazy."""
    return rows[index] if isinstance(rows, np.ndarray) else Selected(rows, np.arange(len(rows))[index])


def in_blocks(rows: Images) -> Iterator[tuple[slice, np.ndarray]]:
    """All rows, block by block, each with its place among them; of no rows an empty block."""
    for part in blocks(rows):
        yield part, rows[part]


def each(rows: Images) -> Iterator[np.ndarray]:
    """All rows, one by one."""
    for _, block in in_blocks(rows):
        yield from block


def blocks(rows: Images) -> Iterator[slice]:
    """Places of the rows, about BLOCK_BYTES in a block, a multiple of BLOCK_ROWS; of no rows an empty one."""
    count = block_rows(rows.shape[1:], rows.dtype)
    for start in range(0, max(1, len(rows)), count):
        yield slice(start, min(start + count, len(rows)))


def block_rows(row_shape: tuple[int, ...], dtype) -> int:
    """How many rows make a block."""
    return max(1, BLOCK_BYTES // max(1, prod(row_shape) * np.dtype(dtype).itemsize) // BLOCK_ROWS) * BLOCK_ROWS


def runs(rows: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Row numbers (m,) as runs of consecutive ones: places among the m, and the rows that stand there."""
    edges = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    for start, stop in pairwise(edges):
        if start < stop:
            yield slice(start, stop), slice(int(rows[start]), int(rows[stop - 1]) + 1)
