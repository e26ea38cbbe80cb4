"""Snapshots: the weights of a net at regular intervals during its training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from pipeline.nets import network
from pipeline.nets.trained import Snapshots


@dataclass(frozen=True)
class Series:
    """When to take snapshots: after every `every` epochs and after the last. save: called with the snapshot and the epoch's number."""

    every: int
    save: Callable[[Snapshots, int], None]


class TakeSnapshots(keras.callbacks.Callback):
    """Takes a series of snapshots. Must come after the callbacks that may stop the training and before the one that saves checkpoints."""

    def __init__(self, net: keras.Model, series: Series) -> None:
        super().__init__()
        self.net, self.series = net, series

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        number = epoch + 1
        if number % self.series.every == 0 or number == self.params["epochs"] or self.model.stop_training:
            weights = {path: value[None] for path, value in network.weights(self.net).items()}
            self.series.save(Snapshots(np.array([number], np.int32), weights), number)
