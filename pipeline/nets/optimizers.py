"""Optimizers by name."""

from typing import Any

import keras

from pipeline.nets.health import measuring
from pipeline.nets.network import OUTPUT
from pipeline.nets.options import OPTIMIZERS

# The steps of these optimizers are proportional to the loss, so learning rates known for labels in [-1, 1], such as the tutorial's 0.03,
# need the loss of such labels. The other optimizers divide by the size of the gradient; for them, a loss in square pixels keeps the
# gradient well above the epsilon in the denominator.
STEP_WITH_THE_LOSS = ("sgd", "momentum", "nesterov")
# The first layer of compact and the last one of every net: their kernels have few rows or columns, whose directions differ in importance.
OUTER_LAYERS = {"stem", OUTPUT}


def optimizer(
    name: str, rate: Any, *, momentum: float, momentum_stop: float, weight_decay: float, clip_norm: float, total_steps: int
) -> keras.optimizers.Optimizer:
    """The optimizer `name`, which also measures the health of the layers, see `health.measuring`.

    rate: the learning rate, as `schedules.learning_rate` returns it. momentum: changes linearly to `momentum_stop` over `total_steps`
    (momentum and nesterov only). weight_decay: adamw and muon only. clip_norm: upper bound of the gradient's global norm, 0 for none.
    Raises ValueError for an unknown name.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}; expected one of {', '.join(OPTIMIZERS)}")
    common = {"learning_rate": rate, "global_clipnorm": clip_norm or None}
    if name in ("momentum", "nesterov"):
        ramp = keras.optimizers.schedules.PolynomialDecay(momentum, max(1, total_steps), end_learning_rate=momentum_stop)
        return measuring(MomentumRamp)(ramp, nesterov=name == "nesterov", **common)
    if name in DECAYING:
        decay: dict[str, Any] = {"weight_decay": weight_decay} | ({"adam_weight_decay": weight_decay} if name == "muon" else {})
        decaying = measuring(DECAYING[name])(**decay, **common)
        decaying.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        return decaying
    classes = {"sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adadelta": "Adadelta", "adam": "Adam"}
    return measuring(getattr(keras.optimizers, classes[name]))(**common)


class MomentumRamp(keras.optimizers.SGD):
    """SGD whose momentum follows a schedule over optimizer steps. Keras' own SGD has a constant one, compiled into the training step.

    The formulas are those of Keras' SGD: velocity = momentum * velocity - rate * gradient. The step is the velocity, or with Nesterov
    momentum * velocity - rate * gradient with the new velocity.
    """

    def __init__(self, ramp: Any, *, nesterov: bool, **kwargs: Any) -> None:
        """ramp: a schedule of Keras that gives the momentum at each step. kwargs: of Keras' Optimizer."""
        # Keras keeps velocities for any momentum except 0; the value itself is not used.
        super().__init__(momentum=1.0, nesterov=nesterov, **kwargs)
        self.ramp = ramp

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        rate = keras.ops.cast(learning_rate, variable.dtype)
        momentum = keras.ops.cast(self.ramp(self.iterations), variable.dtype)
        velocity = self.momentums[self._get_variable_index(variable)]
        self.assign(velocity, momentum * velocity - rate * gradient)
        step = momentum * velocity - rate * gradient if self.nesterov else velocity
        self.assign_add(variable, step)


class Muon(keras.optimizers.Muon):
    """Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) for the kernels of hidden convolutions; AdamW for the rest.

    The momentum of a kernel, as a matrix with a row for each value that a filter reads and a column for each filter, is replaced by a
    matrix with the same singular vectors and singular values of about 1: all directions of it change at the same rate. Keras' Muon does so
    only for kernels that are matrices. The changes are scaled as large as those of AdamW (Liu et al. 2025,
    https://arxiv.org/abs/2502.16982), so that both take the same learning rates.
    """

    def __init__(self, **kwargs: Any) -> None:
        """kwargs: of Keras' Muon. The layers that read the image or predict the keypoints are always left to AdamW."""
        super().__init__(exclude_layers=[f"{name}/[a-z]+$" for name in OUTER_LAYERS], **kwargs)

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        place = self._get_variable_index(variable)  # the variable may be one of the backend, which has no path
        if len(variable.shape) <= 2 or not OUTER_LAYERS.isdisjoint(self._trainable_variables[place].path.split("/")):
            super().update_step(gradient, variable, learning_rate)
            return
        rate, momentum = keras.ops.cast(learning_rate, gradient.dtype), self.momentums[place]
        self.assign(momentum, self.momentum * momentum + gradient)
        direction = keras.ops.reshape(gradient + self.momentum * momentum, (-1, variable.shape[-1]))  # Nesterov's
        step = self.lr_adjust(rate * self.zeropower_via_newtonschulz5(direction, self.ns_steps))
        self.assign_sub(variable, keras.ops.reshape(step, variable.shape))

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """The matrix (n, m) after `steps` Newton-Schulz iterations: its singular vectors, with singular values of about 1.

        Keras iterates on the matrix x itself: x becomes x (a + b g + c g^2), where g is the product of its transpose and x. Here g is
        updated instead and the factors are multiplied, so that only two products have n rows. Kernels have up to nine times as many rows
        as columns.
        """
        wide = x.shape[0] < x.shape[1]
        x = keras.ops.transpose(x) if wide else x
        x = x / (keras.ops.norm(x) + 1e-7)
        square, one = keras.ops.matmul(keras.ops.transpose(x), x), keras.ops.eye(x.shape[1], dtype=x.dtype)
        factors = one
        for step in range(steps):
            factor = self.muon_a * one + self.muon_b * square + self.muon_c * keras.ops.matmul(square, square)
            factors = keras.ops.matmul(factors, factor) if step else factor
            if step < steps - 1:
                square = keras.ops.matmul(keras.ops.matmul(factor, square), factor)
        x = keras.ops.matmul(x, factors)
        return keras.ops.transpose(x) if wide else x


# The optimizers with a weight decay.
DECAYING: dict[str, type[keras.optimizers.Optimizer]] = {"adamw": keras.optimizers.AdamW, "muon": Muon}
