"""What a killed training goes on from: its whole state after an epoch as named arrays, and back.

Keras' own BackupAndRestore keeps weights, optimizer and epoch. The result depends on more: early stopping, the schedule, the states of the
random generators. Where the arrays lie is no matter of this module.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import keras
import numpy as np

from pipeline.nets import monitoring
from pipeline.nets.checkup import Checkup
from pipeline.nets.trained import Health, History
from pipeline.schema import array, record

# What callbacks carry from epoch to epoch, beside the best weights; all plain numbers.
REMEMBERED = {
    monitoring.EarlyStopping: ("best", "best_epoch", "better", "better_epoch", "last"),
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
}


@record
class Checkpoint:
    """The state of a training after an epoch."""

    health: Health
    history: History
    # One after another: a dataset for each of 150 would take three times as long to write.
    names: np.ndarray = array("text", "variable", "", "the variables of net and optimizer")
    variables: np.ndarray = array("float32", "value", "", "their values, one variable after another")
    counters: dict[str, np.ndarray] = array("int64", "", "", "steps of the optimizer, state of a random generator")
    best_weights: np.ndarray = array("float32", "value", "", "the net's weights in its best epoch, likewise; none if that is the last one")
    callbacks: dict[str, np.ndarray] = array("float64", "", "", "what early stopping and the schedule remember")
    device: np.ndarray = array("text", "", "", "what trained")


@dataclass
class Checkpoints:
    """Hands checkpoints on to `save` in time: so that a kill costs at most an epoch or `seconds` of training, whichever is longer.

    latest: the one to go on from, None to begin. device: what trains, noted in each. Without arguments it never saves.
    """

    save: Callable[[Checkpoint], None] | None = None
    seconds: float = math.inf
    device: str = ""
    latest: Checkpoint | None = None
    saved: float = field(default_factory=lambda: time.monotonic())

    def rows(self) -> list[tuple]:
        """The history's rows with which a training begins or goes on."""
        return self.latest.history.rows() if self.latest else []

    def health(self) -> Health | None:
        """That of the epochs before."""
        return self.latest.health if self.latest else None

    def take(self) -> Checkpoint | None:
        """The one to go on from, once: its arrays need not stay in memory."""
        latest, self.latest = self.latest, None
        return latest


class Keeper(keras.callbacks.Callback):
    """Puts a training's state back when it begins and hands it on after its epochs; must be the last of the callbacks.

    stateful: the callbacks that REMEMBERED knows, early stopping first.
    """

    def __init__(self, checkpoints: Checkpoints, log: monitoring.Validation, checkup: Checkup, stateful: list):
        super().__init__()
        self.checkpoints, self.log, self.checkup, self.stateful, self.epoch_began = checkpoints, log, checkup, stateful, 0.0

    def on_train_begin(self, logs=None):
        # Not earlier: Keras' own callbacks forget everything when a training begins.
        if latest := self.checkpoints.take():
            _restore(latest, self.model, self.stateful)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch_began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        now = time.monotonic()
        # Would the next epoch, as long as this one, end too late?
        late = now - self.checkpoints.saved + (now - self.epoch_began) > self.checkpoints.seconds
        # A training that stops here has no next epoch to begin.
        if late and not self.model.stop_training:
            self.checkpoints.save(self._state())
            self.checkpoints.saved = time.monotonic()

    def _state(self) -> Checkpoint:
        values = {name: np.asarray(variable) for name, variable in _variables(self.model).items()}
        floats = {name: value for name, value in values.items() if value.dtype.kind == "f"}
        stopping = self.stateful[0]
        return Checkpoint(
            health=self.checkup.health,
            history=History.of(self.log.rows),
            names=np.array(list(floats)),
            variables=_joined(floats.values()),
            counters={name: value.astype(np.int64) for name, value in values.items() if name not in floats},
            best_weights=_joined([] if _is_best(stopping, self.log.rows) else stopping.best_weights or []),
            callbacks={name: np.float64(getattr(callback, own)) for name, callback, own in _remembered(self.stateful)},
            device=np.array(self.checkpoints.device),
        )


def _restore(checkpoint: Checkpoint, trainer: keras.Model, stateful: list) -> None:
    variables, names = _variables(trainer), checkpoint.names.tolist()
    if different := variables.keys() ^ {*names, *checkpoint.counters}:
        raise ValueError(f"checkpoint of another training: {sorted(different)} are in one of them alone")
    values = dict(zip(names, _parted(checkpoint.variables, [variables[name] for name in names]), strict=True)) | checkpoint.counters
    for name, variable in variables.items():
        variable.assign(values[name].astype(variable.dtype))
    for name, callback, own in _remembered(stateful):
        setattr(callback, own, float(checkpoint.callbacks[name]))
    if _is_best(stateful[0], checkpoint.history.epoch):
        stateful[0].best_weights = trainer.net.get_weights()
    else:
        stateful[0].best_weights = _parted(checkpoint.best_weights, trainer.net.weights) if len(checkpoint.best_weights) else None


def _joined(values: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.float32([]), *(np.ravel(value) for value in values)], dtype=np.float32)


def _parted(joined: np.ndarray, variables: list[keras.Variable]) -> list[np.ndarray]:
    """The values of each variable."""
    ends = np.cumsum([math.prod(variable.shape) for variable in variables])
    if len(joined) != ends[-1]:
        raise ValueError(f"checkpoint of another training: {len(joined):,} values, the variables take {ends[-1]:,}")
    parts = np.split(joined, ends[:-1])
    return [part.reshape(variable.shape) for part, variable in zip(parts, variables, strict=True)]


def _is_best(stopping: monitoring.EarlyStopping, epochs) -> bool:
    """Whether the last epoch is the best: its weights are the net's, and of a large net they are not written twice."""
    return stopping.best_epoch == len(epochs)


def _variables(trainer: keras.Model) -> dict[str, keras.Variable]:
    """All that training steps change, by name; the optimizer is built. Not the faces, which are brought, nor metrics, which begin anew.

    The names are the same in every process: Keras numbers optimizers and random generators as they are made.
    """
    known = {id(variable) for variable in [*trainer.weights, *trainer.metrics_variables]}
    random = [variable for variable in trainer.variables if id(variable) not in known]
    return {
        **{f"net/{variable.path}": variable for variable in trainer.net.weights},
        **{f"random/{number}": variable for number, variable in enumerate(random)},
        **{f"optimizer/{number}/{variable.name}": variable for number, variable in enumerate(trainer.optimizer.variables)},
    }


def _remembered(stateful: list) -> list[tuple[str, keras.callbacks.Callback, str]]:
    """(name in the checkpoint, callback, attribute)."""
    return [(f"{type(callback).__name__}/{own}", callback, own) for callback in stateful for own in REMEMBERED[type(callback)]]
