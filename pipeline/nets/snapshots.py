"""Snapshots: the weights of a net after every so many epochs of its training and after the last."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from pipeline.nets import network
from pipeline.nets.trained import Snapshots


@dataclass(frozen=True)
class Series:
    """After every `every`th epoch and after the last, `save` is told the weights and the epoch's number."""

    every: int
    save: Callable[[Snapshots, int], None]


class TakeSnapshots(keras.callbacks.Callback):
    """Takes a series of snapshots; after what may stop the training, before what keeps the state to go on from."""

    def __init__(self, net: keras.Model, series: Series):
        super().__init__()
        self.net, self.series = net, series

    def on_epoch_end(self, epoch, logs=None):
        number = epoch + 1
        if number % self.series.every == 0 or number == self.params["epochs"] or self.model.stop_training:
            weights = {path: value[None] for path, value in network.weights(self.net).items()}
            self.series.save(Snapshots(np.array([number], np.int32), weights), number)
