"""Optimizers by name."""

import keras

from pipeline.nets.checkup import watched
from pipeline.nets.options import OPTIMIZERS

# Their steps are proportional to the loss, so learning rates known for labels in [-1, 1], such as the tutorial's 0.03, need that loss. The
# others divide by the size of the gradient: for them square pixels keep it well above the epsilon in the denominator.
STEP_WITH_THE_LOSS = ("sgd", "momentum", "nesterov")


def optimizer(name: str, rate, *, momentum: float, momentum_stop: float, weight_decay: float, clip_norm: float, total_steps: int):
    """The optimizer `name`, watched (see checkup). momentum moves linearly to momentum_stop over total_steps (momentum and nesterov only).

    clip_norm: upper bound of the gradient's global norm, 0 for none. weight_decay: adamw only.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}; there are {', '.join(OPTIMIZERS)}")
    common = {"learning_rate": rate, "global_clipnorm": clip_norm or None}
    if name in ("momentum", "nesterov"):
        ramp = keras.optimizers.schedules.PolynomialDecay(momentum, max(1, total_steps), end_learning_rate=momentum_stop)
        return watched(MomentumRamp)(ramp, nesterov=name == "nesterov", **common)
    if name == "adamw":
        adamw = watched(keras.optimizers.AdamW)(weight_decay=weight_decay, **common)
        adamw.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        return adamw
    classes = {"sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adadelta": "Adadelta", "adam": "Adam"}
    return watched(getattr(keras.optimizers, classes[name]))(**common)


class MomentumRamp(keras.optimizers.SGD):
    """SGD whose momentum follows a schedule over optimizer steps. Keras' own takes a constant, compiled into the training step.

    The same steps as Keras' SGD: velocity = momentum * velocity - rate * gradient, which is the step; Nesterov's looks once further.
    """

    def __init__(self, ramp, *, nesterov: bool, **kwargs):
        # Keras keeps velocities for any momentum but 0; its value is not used.
        super().__init__(momentum=1.0, nesterov=nesterov, **kwargs)
        self.ramp = ramp

    def update_step(self, gradient, variable, learning_rate):
        rate = keras.ops.cast(learning_rate, variable.dtype)
        momentum = keras.ops.cast(self.ramp(self.iterations), variable.dtype)
        velocity = self.momentums[self._get_variable_index(variable)]
        self.assign(velocity, momentum * velocity - rate * gradient)
        step = momentum * velocity - rate * gradient if self.nesterov else velocity
        self.assign_add(variable, step)
