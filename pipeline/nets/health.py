"""Measures the health of a net's layers during its training, see `trained.Health`, without any influence on the training."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pipeline.lazyrows import Images
from pipeline.nets import device, network
from pipeline.nets.trained import Health

FACES = 32  # samples on which activations are measured: one batch
# Number of values of a kernel whose changes are measured, in evenly spaced rows. All 15.5 million values of the kfkd net's largest kernel
# would cost 8 % of a training step (`bench/training_step.py`).
MEASURED_VALUES = 1 << 18


def measuring(optimizer: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """A subclass of the optimizer that also sums up, over steps, the gradient norm of each kernel and the mean change of the kernel.

    The sums are the optimizer's own variables, so that on every backend they are part of the training step and of a checkpoint.
    """

    class Measuring(optimizer):
        def build(self, variables: list[keras.Variable]) -> None:
            if self.built:
                return
            super().build(variables)
            self.places = [place for place, variable in enumerate(variables) if len(variable.shape) > 1]
            self.kernels = [variables[place].path for place in self.places]
            self.gradient, self.update = (self.add_variable((len(self.places),), name=name) for name in ("gradient", "update"))

        def apply(self, grads: list, trainable_variables: Any = None) -> None:
            if not self.built:
                self.build(list(trainable_variables))
            kernels = [self._trainable_variables[place] for place in self.places]
            before = device.isolated([_measured_values(kernel) for kernel in kernels])
            norms = [ops.sqrt(ops.sum(ops.square(gradient))) for gradient in device.isolated([grads[place] for place in self.places])]
            super().apply(grads, trainable_variables)
            after = device.isolated([_measured_values(kernel) for kernel in kernels])
            moves = [ops.mean(ops.abs(new - old)) for new, old in zip(after, before, strict=True)]
            self.assign_add(self.gradient, ops.convert_to_tensor(norms))
            self.assign_add(self.update, ops.convert_to_tensor(moves))

    return Measuring


def _measured_values(kernel: keras.Variable) -> Any:
    """Evenly spaced rows of the kernel, a backend tensor."""
    return kernel[:: -(-int(np.prod(kernel.shape)) // MEASURED_VALUES)]


class MeasureHealth(keras.callbacks.Callback):
    """Adds a row to the health of a training after each epoch. The optimizer must come from `measuring` and be built."""

    def __init__(self, net: keras.Model, images: Images, health: Health | None) -> None:
        """images: uint8 (n, side, side); activations are measured on the first of them. health: of the epochs before, None for none."""
        super().__init__()
        self.layers = [layer for layer in net.layers if isinstance(layer, layers.Conv2D | layers.Dense)]
        self.ends = [network.activation(net, layer) for layer in self.layers]
        self.activations, self.images = keras.Model(net.input, [end.output for end in self.ends]), images[:FACES].astype(np.float32)
        self.rows = health.rows() if health else []

    @property
    def health(self) -> Health:
        """The health of all epochs so far."""
        return Health.of([layer.name for layer in self.layers], self.rows)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        for sums in (self.model.optimizer.gradient, self.model.optimizer.update):
            sums.assign(np.zeros(sums.shape, np.float32))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        # Compilation takes as long as seven of these calls, but calling the layers one by one takes more than twice as long each time.
        seen = self.activations.predict_on_batch(self.images)
        self.rows.append(np.vstack([self._kernels(), np.transpose([*map(_measured, self.ends, seen)])]).astype(np.float32))

    def _kernels(self) -> np.ndarray:
        """The rows weight, update, ratio and gradient, (4, layer)."""
        optimizer = self.model.optimizer
        places = [optimizer.kernels.index(layer.kernel.path) for layer in self.layers]
        gradient, update = (np.asarray(sums)[places] / self.params["steps"] for sums in (optimizer.gradient, optimizer.update))
        weight = np.array([np.abs(np.asarray(layer.kernel)).mean() for layer in self.layers])
        return np.array([weight, update, np.divide(update, weight, out=np.full_like(weight, np.nan), where=weight > 0), gradient])


def _measured(end: layers.Layer, values: np.ndarray) -> tuple[float, float, float]:
    """Mean, standard deviation, and the share of channels that are 0 everywhere; the last is NaN for a layer without ReLU."""
    rectifies = getattr(end, "activation", None) is keras.activations.relu
    silent = values.max(axis=tuple(range(values.ndim - 1))) <= 0
    return values.mean(), values.std(), silent.mean() if rectifies else np.nan
