"""Optimizers by name, and how the learning rate and the momentum change over a training."""

import keras

from pipeline.nets.checkup import watched
from pipeline.nets.options import OPTIMIZERS, SCHEDULES

# Their steps are proportional to the loss, so learning rates known for labels in [-1, 1], such as the tutorial's 0.03, need that loss. The
# others divide by the size of the gradient: for them square pixels keep it well above the epsilon in the denominator.
STEP_WITH_THE_LOSS = ("sgd", "momentum", "nesterov")


def learning_rate(schedule: str, *, start: float, stop: float, decay: float, warmup: float, epochs: int, steps: int):
    """The learning rate as Keras takes it: a number or a schedule over optimizer steps; `steps` of them make an epoch.

    constant: start. linear: start to stop over all epochs, the tutorial's ramp. inverse: start / (1 + decay * epoch).
    halving: start, to be halved by `callbacks`. cosine: up to start in `warmup` epochs, then half a cosine down to stop.
    """
    schedules, total = keras.optimizers.schedules, max(1, epochs * steps)
    if schedule in ("constant", "halving"):
        return start
    if schedule == "linear":
        return schedules.PolynomialDecay(start, total, end_learning_rate=stop)
    if schedule == "inverse":
        return schedules.InverseTimeDecay(start, decay_steps=steps, decay_rate=decay, staircase=True)
    if schedule == "cosine":
        rising = min(round(warmup * steps), total - 1)
        return schedules.CosineDecay(
            start / max(1, rising), total - rising, alpha=stop / start, warmup_target=start if rising else None, warmup_steps=rising
        )
    raise ValueError(f"unknown schedule {schedule!r}; there are {', '.join(SCHEDULES)}")


def callbacks(schedule: str, *, start: float, halving_patience: int) -> list[keras.callbacks.Callback]:
    """What a schedule needs beside the optimizer: `halving` halves after so many epochs without improvement, down to start / 1024."""
    if schedule != "halving":
        return []
    rules = {"mode": "min", "min_delta": 0, "min_lr": start / 1024}
    return [keras.callbacks.ReduceLROnPlateau("validation_rmse", factor=0.5, patience=halving_patience, **rules)]


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
