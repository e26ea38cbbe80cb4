"""Learning rate schedules by name."""

from typing import Any

import keras

from pipeline.nets.options import SCHEDULES


def learning_rate(schedule: str, *, start: float, stop: float, decay: float, warmup: float, epochs: int, steps: int) -> Any:
    """The learning rate in the form that Keras takes: a number, or a schedule over optimizer steps, `steps` of which make an epoch.

    constant: `start`. linear: from `start` to `stop` over all epochs, as in the tutorial. inverse: start / (1 + decay * epoch).
    halving: `start`, which `callbacks` halve. cosine: rises to `start` in `warmup` epochs and then falls to `stop` along half a cosine.
    Raises ValueError for an unknown schedule.
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
    raise ValueError(f"unknown schedule {schedule!r}; expected one of {', '.join(SCHEDULES)}")


def callbacks(schedule: str, *, start: float, halving_patience: int) -> list[keras.callbacks.Callback]:
    """The callbacks that a schedule needs: halving halves the rate after `halving_patience` epochs without improvement, to start / 1024."""
    if schedule != "halving":
        return []
    rules = {"mode": "min", "min_delta": 0, "min_lr": start / 1024}
    return [keras.callbacks.ReduceLROnPlateau("validation_rmse", factor=0.5, patience=halving_patience, **rules)]
