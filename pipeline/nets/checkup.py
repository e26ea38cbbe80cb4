"""How a net's layers fare while it trains, for `trained.Health`: measured beside the training, which it changes in nothing."""

import keras
import numpy as np
from keras import layers, ops

from pipeline.nets import device, network
from pipeline.nets.trained import Health

# Faces on which the activations are looked at.
FACES = 32
# Values of a kernel whose changes are looked at: rows, evenly chosen. Of the kfkd net's largest kernel, 15.5 million values, all would cost
# 8 % of a training step (`bench/training.py step`).
LOOKED_AT = 1 << 18


def watched(optimizer: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """The same optimizer, adding up in each step how strong the gradient in each kernel was and how far the kernel moved.

    The sums are variables of its own: on every backend these are part of the training step, and of a checkpoint.
    """

    class Watched(optimizer):
        def build(self, variables):
            if self.built:
                return
            super().build(variables)
            self.places = [place for place, variable in enumerate(variables) if len(variable.shape) > 1]
            self.kernels = [variables[place].path for place in self.places]
            self.gradient, self.update = (self.add_variable((len(self.places),), name=name) for name in ("gradient", "update"))

        def apply(self, grads, trainable_variables=None):
            if not self.built:
                self.build(list(trainable_variables))
            kernels = [self._trainable_variables[place] for place in self.places]
            before = device.apart([_looked_at(kernel) for kernel in kernels])
            norms = [ops.sqrt(ops.sum(ops.square(gradient))) for gradient in device.apart([grads[place] for place in self.places])]
            super().apply(grads, trainable_variables)
            after = device.apart([_looked_at(kernel) for kernel in kernels])
            moves = [ops.mean(ops.abs(new - old)) for new, old in zip(after, before, strict=True)]
            self.assign_add(self.gradient, ops.convert_to_tensor(norms))
            self.assign_add(self.update, ops.convert_to_tensor(moves))

    return Watched


def _looked_at(kernel: keras.Variable):
    return kernel[:: -(-int(np.prod(kernel.shape)) // LOOKED_AT)]


class Checkup(keras.callbacks.Callback):
    """Adds a row to a training's health after each epoch; the optimizer is a `watched` one and built.

    images uint8 (n, side, side): the first of them are what the activations are looked at with. health: of the epochs before.
    """

    def __init__(self, net: keras.Model, images: np.ndarray, health: Health | None):
        super().__init__()
        self.layers = [layer for layer in net.layers if isinstance(layer, layers.Conv2D | layers.Dense)]
        self.ends = [network.activation(net, layer) for layer in self.layers]
        self.activations, self.images = keras.Model(net.input, [end.output for end in self.ends]), images[:FACES].astype(np.float32)
        self.rows = health.rows() if health else []

    @property
    def health(self) -> Health:
        return Health.of([layer.name for layer in self.layers], self.rows)

    def on_epoch_begin(self, epoch, logs=None):
        for sums in (self.model.optimizer.gradient, self.model.optimizer.update):
            sums.assign(np.zeros(sums.shape, np.float32))

    def on_epoch_end(self, epoch, logs=None):
        # Compiled, which takes as long as seven of these calls: its layers one by one take more than twice as long each time.
        seen = self.activations.predict_on_batch(self.images)
        self.rows.append(np.vstack([self._kernels(), np.transpose([*map(_measured, self.ends, seen)])]).astype(np.float32))

    def _kernels(self) -> np.ndarray:
        """weight, update, ratio and gradient (4, layer)."""
        optimizer = self.model.optimizer
        places = [optimizer.kernels.index(layer.kernel.path) for layer in self.layers]
        gradient, update = (np.asarray(sums)[places] / self.params["steps"] for sums in (optimizer.gradient, optimizer.update))
        weight = np.array([np.abs(np.asarray(layer.kernel)).mean() for layer in self.layers])
        return np.array([weight, update, np.divide(update, weight, out=np.full_like(weight, np.nan), where=weight > 0), gradient])


def _measured(end: layers.Layer, values: np.ndarray) -> tuple[float, float, float]:
    """Mean, standard deviation, and share of the channels that are 0 everywhere, NaN if no ReLU makes them so."""
    rectifies = getattr(end, "activation", None) is keras.activations.relu
    silent = values.max(axis=tuple(range(values.ndim - 1))) <= 0
    return values.mean(), values.std(), silent.mean() if rectifies else np.nan
