"""Arrays of images that remain in their artifact until rows of them are needed."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.lazyrows import LazyRows, runs


class StoredRows(LazyRows):
    """The rows of a dataset in an artifact.

    opened: opens the artifact as an `h5py.File`, once per reading.
    name: the dataset's path in the file.
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[Any]], name: str, shape: tuple[int, ...], dtype: npt.DTypeLike):
        super().__init__(shape, dtype)
        self.opened, self.name = opened, name

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The rows (m, ...) with these indices (m,), in this order."""
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        with self.opened() as file:
            for part, run in runs(rows):
                file[self.name].read_direct(taken, run, part)
        return taken
