"""An array of images that stays in its artifact until its rows are asked for."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

from pipeline.lazyrows import LazyRows, runs


class Stored(LazyRows):
    """opened: gives the open `h5py.File` for each reading; name: of the array in it."""

    def __init__(self, opened: Callable[[], AbstractContextManager], name: str, shape: tuple[int, ...], dtype):
        super().__init__(shape, dtype)
        self.opened, self.name = opened, name

    def take(self, rows):
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        with self.opened() as file:
            for part, run in runs(rows):
                file[self.name].read_direct(taken, run, part)
        return taken
