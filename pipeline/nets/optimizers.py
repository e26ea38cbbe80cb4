"""Optimizers by name."""

from typing import Any

import keras

from pipeline.nets.health import measuring
from pipeline.nets.options import OPTIMIZERS

# The steps of these optimizers are proportional to the loss, so learning rates known for labels in [-1, 1], such as the tutorial's 0.03,
# need the loss of such labels. The other optimizers divide by the size of the gradient; for them, a loss in square pixels keeps the
# gradient well above the epsilon in the denominator.
STEP_WITH_THE_LOSS = ("sgd", "momentum", "nesterov")


def optimizer(
    name: str, rate: Any, *, momentum: float, momentum_stop: float, weight_decay: float, clip_norm: float, total_steps: int
) -> keras.optimizers.Optimizer:
    """The optimizer `name`, which also measures the health of the layers, see `health.measuring`.

    rate: the learning rate, as `schedules.learning_rate` returns it. momentum: changes linearly to `momentum_stop` over `total_steps`
    (momentum and nesterov only). weight_decay: adamw only. clip_norm: upper bound of the gradient's global norm, 0 for none.
    Raises ValueError for an unknown name.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}; expected one of {', '.join(OPTIMIZERS)}")
    common = {"learning_rate": rate, "global_clipnorm": clip_norm or None}
    if name in ("momentum", "nesterov"):
        ramp = keras.optimizers.schedules.PolynomialDecay(momentum, max(1, total_steps), end_learning_rate=momentum_stop)
        return measuring(MomentumRamp)(ramp, nesterov=name == "nesterov", **common)
    if name == "adamw":
        adamw = measuring(keras.optimizers.AdamW)(weight_decay=weight_decay, **common)
        adamw.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        return adamw
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
