"""Checkpoints: the complete state of a training after an epoch as named arrays, from which a killed training resumes.

Keras' own BackupAndRestore saves weights, optimizer and epoch. The result also depends on the state of early stopping, of the schedule and
of the random generators. Where checkpoints are stored is up to the caller.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from pipeline.nets import monitoring
from pipeline.nets.health import MeasureHealth
from pipeline.nets.trained import Health, History
from pipeline.schema import array, record

# What callbacks carry from epoch to epoch besides the best weights; all of these are plain numbers.
REMEMBERED = {
    monitoring.EarlyStopping: ("best", "best_epoch", "better", "better_epoch", "last"),
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
}


@record
class Checkpoint:
    """The state of a training after an epoch."""

    health: Health
    history: History
    # All values in one array: writing a data set for each of 150 variables would take three times as long.
    names: np.ndarray = array("text", "variable", "", "names of the variables of the net and the optimizer")
    variables: np.ndarray = array("float32", "value", "", "values of these variables, one variable after another")
    counters: dict[str, np.ndarray] = array("int64", "", "", "step count of the optimizer, states of the random generators")
    best_weights: np.ndarray = array(
        "float32", "value", "", "weights of the net in its best epoch, one after another; empty if that is the last epoch"
    )
    callbacks: dict[str, np.ndarray] = array("float64", "", "", "state of early stopping and of the schedule")
    device: np.ndarray = array("text", "", "", "device that the training ran on")


@dataclass
class Checkpoints:
    """Decides when to save checkpoints: a killed training loses at most `seconds` of training, or one epoch if that is longer.

    save: called with each checkpoint. device: the training device, recorded in each checkpoint. latest: the checkpoint to resume from, None
    for a training that starts from the beginning. By default nothing is ever saved.
    """

    save: Callable[[Checkpoint], None] = lambda state: None
    seconds: float = math.inf
    device: str = ""
    latest: Checkpoint | None = None
    saved: float = field(default_factory=lambda: time.monotonic())  # time of the last checkpoint

    def rows(self) -> list[tuple]:
        """The rows of the history up to the checkpoint to resume from; none at the beginning."""
        return self.latest.history.rows() if self.latest else []

    def health(self) -> Health | None:
        """The health of the epochs up to the checkpoint to resume from; None at the beginning."""
        return self.latest.health if self.latest else None

    def take(self) -> Checkpoint | None:
        """Returns the checkpoint to resume from and forgets it, so that its arrays do not stay in memory."""
        latest, self.latest = self.latest, None
        return latest


class SaveCheckpoints(keras.callbacks.Callback):
    """Restores the state of a training when it begins, and saves checkpoints after its epochs; must be the last of the callbacks."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        log: monitoring.Validation,
        measure_health: MeasureHealth,
        stateful: list[keras.callbacks.Callback],
    ) -> None:
        """stateful: the callbacks that have an entry in REMEMBERED; the first of them is the early stopping."""
        super().__init__()
        self.checkpoints, self.log, self.measure_health, self.stateful = checkpoints, log, measure_health, stateful
        self.epoch_began = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        # Not earlier: Keras' own callbacks reset themselves when a training begins.
        if latest := self.checkpoints.take():
            _restore(latest, self.model, self.stateful)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch_began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        now = time.monotonic()
        # Would the next epoch, if it takes as long as this one, end too late?
        late = now - self.checkpoints.saved + (now - self.epoch_began) > self.checkpoints.seconds
        # A training that stops here has no next epoch.
        if late and not self.model.stop_training:
            self.checkpoints.save(self._state())
            self.checkpoints.saved = time.monotonic()

    def _state(self) -> Checkpoint:
        values = {name: np.asarray(variable) for name, variable in _variables(self.model).items()}
        floats = {name: value for name, value in values.items() if value.dtype.kind == "f"}
        stopping = self.stateful[0]
        return Checkpoint(
            health=self.measure_health.health,
            history=History.of(self.log.rows),
            names=np.array(list(floats)),
            variables=_joined(floats.values()),
            counters={name: value.astype(np.int64) for name, value in values.items() if name not in floats},
            best_weights=_joined([] if _is_best(stopping, len(self.log.rows)) else stopping.best_weights or []),
            callbacks={name: np.array(getattr(callback, own), np.float64) for name, callback, own in _remembered(self.stateful)},
            device=np.array(self.checkpoints.device),
        )


def _restore(checkpoint: Checkpoint, trainer: keras.Model, stateful: list[keras.callbacks.Callback]) -> None:
    variables, names = _variables(trainer), checkpoint.names.tolist()
    if different := variables.keys() ^ {*names, *checkpoint.counters}:
        raise ValueError(f"checkpoint of another training: {sorted(different)} exist only in one of the two")
    values = dict(zip(names, _parted(checkpoint.variables, [variables[name] for name in names]), strict=True)) | checkpoint.counters
    for name, variable in variables.items():
        variable.assign(values[name].astype(variable.dtype))
    for name, callback, own in _remembered(stateful):
        setattr(callback, own, float(checkpoint.callbacks[name]))
    if _is_best(stateful[0], len(checkpoint.history.epoch)):
        stateful[0].best_weights = trainer.net.get_weights()
    else:
        stateful[0].best_weights = _parted(checkpoint.best_weights, trainer.net.weights) if len(checkpoint.best_weights) else None


def _joined(values: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *(np.ravel(value) for value in values)], dtype=np.float32)


def _parted(joined: np.ndarray, variables: list[keras.Variable]) -> list[np.ndarray]:
    """The inverse of `_joined`: the value of each variable."""
    ends = np.cumsum([math.prod(variable.shape) for variable in variables])
    if len(joined) != ends[-1]:
        raise ValueError(f"checkpoint of another training: it has {len(joined):,} values, but the variables take {ends[-1]:,}")
    parts = np.split(joined, ends[:-1])
    return [part.reshape(variable.shape) for part, variable in zip(parts, variables, strict=True)]


def _is_best(stopping: monitoring.EarlyStopping, epochs: int) -> bool:
    """Whether the last epoch is the best. Its weights are then those of the net, and the weights of a large net are not written twice."""
    return stopping.best_epoch == epochs


def _variables(trainer: keras.Model) -> dict[str, keras.Variable]:
    """Everything that training steps change, by name; the optimizer must be built.

    Neither the samples on the device, which are placed again, nor the metrics, which start anew in each epoch. The names are the same in
    every process, whereas Keras numbers optimizers and random generators in the order in which they are created.
    """
    known = {id(variable) for variable in [*trainer.weights, *trainer.metrics_variables]}
    random = [variable for variable in trainer.variables if id(variable) not in known]
    return {
        **{f"net/{variable.path}": variable for variable in trainer.net.weights},
        **{f"random/{number}": variable for number, variable in enumerate(random)},
        **{f"optimizer/{number}/{variable.name}": variable for number, variable in enumerate(trainer.optimizer.variables)},
    }


def _remembered(stateful: list[keras.callbacks.Callback]) -> list[tuple[str, keras.callbacks.Callback, str]]:
    """(name in the checkpoint, callback, attribute) of everything that the callbacks carry from epoch to epoch."""
    return [(f"{type(callback).__name__}/{own}", callback, own) for callback in stateful for own in REMEMBERED[type(callback)]]
