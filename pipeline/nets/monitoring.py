"""Monitors a training: the validation RMSE of each epoch, early stopping, and the best weights."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from pipeline.errors import Diverged
from pipeline.nets.trained import History

# Called after each epoch with the history so far.
OnEpoch = Callable[[History], None]


class Validation(keras.callbacks.Callback):
    """Measures the validation RMSE after each epoch, passes it to the next callbacks as `validation_rmse`, and extends the history."""

    def __init__(self, measure: Callable[[], float], on_epoch: OnEpoch, rows: list[tuple]) -> None:
        """measure: returns the validation RMSE of the net. rows: the rows of the history before a resumed training."""
        super().__init__()
        self.measure, self.on_epoch, self.rows = measure, on_epoch, list(rows)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        training = float(np.sqrt(logs["squared_error"]))
        validation = logs["validation_rmse"] = self.measure()
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.rows.append((epoch + 1, training, validation, rate))
        self.on_epoch(History.of(self.rows))


class EarlyStopping(keras.callbacks.Callback):
    """Stops a training whose validation RMSE has not improved for a while, and remembers the weights of the best epoch.

    An epoch counts as an improvement if its RMSE is below (1 - improvement) times that of the last improvement. The training continues for
    max(patience, patience_factor * epoch) epochs after an improvement in `epoch`, so that a late one earns more patience (Bengio 2012,
    "Practical recommendations for gradient-based training", https://arxiv.org/abs/1206.5533). Keras' own EarlyStopping has an absolute
    threshold and a fixed patience. The weights that are kept are those of the lowest RMSE, however small the improvement.

    With patience 0 the training stops only if the RMSE becomes NaN, and the last epoch's weights are kept. The validation faces have then
    selected nothing, so the RMSE on them is an unbiased estimate.
    """

    def __init__(self, net: keras.Model, *, patience: int, patience_factor: float, improvement: float) -> None:
        """patience: epochs. patience_factor: a share of an epoch's number. improvement: a share of the RMSE."""
        super().__init__()
        self.net, self.patience, self.patience_factor, self.improvement = net, patience, patience_factor, improvement
        self.best, self.best_epoch, self.best_weights = np.inf, 0, None
        self.better, self.better_epoch = np.inf, 0
        self.last = np.nan

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.last = value = logs["validation_rmse"]
        if self.patience and value < self.best:
            self.best, self.best_epoch, self.best_weights = value, epoch + 1, self.net.get_weights()
        if value < (1 - self.improvement) * self.better:
            self.better, self.better_epoch = value, epoch + 1
        allowed = max(self.patience, self.patience_factor * self.better_epoch)
        if np.isnan(value) or (self.patience and epoch + 1 - self.better_epoch >= allowed):
            self.model.stop_training = True

    def finish(self, history: History) -> None:
        """Sets the net's weights to those to keep. Raises Diverged, with the history, if the training diverged before there were any."""
        if self.best_weights is not None:
            self.net.set_weights(self.best_weights)
        elif not np.isfinite(self.last):
            advice = "Lower the learning rate (learning-rate) or limit the gradient (clip-norm)."
            raise Diverged(f"The training diverged: the validation RMSE is not finite. {advice}", history)
