"""What a training shows and when it stops: the validation RMSE of each epoch, early stopping, the best weights."""

from collections.abc import Callable

import keras
import numpy as np

from pipeline.errors import Diverged
from pipeline.nets.trained import History

# Told after each epoch: the history up to it.
OnEpoch = Callable[[History], None]


class Validation(keras.callbacks.Callback):
    """After each epoch measures the validation RMSE, hands it on as `validation_rmse`, keeps a row of the history and reports."""

    def __init__(self, measure: Callable[[], float], report: OnEpoch, rows: list[tuple]):
        """rows: of the epochs before."""
        super().__init__()
        self.measure, self.report, self.rows = measure, report, list(rows)

    def on_epoch_end(self, epoch, logs=None):
        training = float(np.sqrt(logs["squared_error"]))
        validation = logs["validation_rmse"] = self.measure()
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.rows.append((epoch + 1, training, validation, rate))
        self.report(History.of(self.rows))


class EarlyStopping(keras.callbacks.Callback):
    """Stops when the validation RMSE has not improved for long, and remembers the weights of the best epoch.

    An epoch is better when its RMSE is below (1 - improvement) times the best so far. Training goes on for at least
    max(patience, patience_factor * best epoch) epochs after the best one: a late best epoch earns more patience
    (Bengio 2012, "Practical recommendations for gradient-based training", https://arxiv.org/abs/1206.5533).
    Keras' own EarlyStopping has an absolute threshold and a fixed patience. The weights kept are those of the lowest RMSE, however small
    the improvement. patience 0 stops only when the RMSE is no number any more and keeps the last epoch's weights: then the validation
    faces have chosen nothing, and the RMSE on them is an honest estimate.
    """

    def __init__(self, net: keras.Model, *, patience: int, patience_factor: float, improvement: float):
        super().__init__()
        self.net, self.patience, self.patience_factor, self.improvement = net, patience, patience_factor, improvement
        self.best, self.best_epoch, self.best_weights = np.inf, 0, None
        self.better, self.better_epoch = np.inf, 0
        self.last = np.nan

    def on_epoch_end(self, epoch, logs=None):
        self.last = value = logs["validation_rmse"]
        if self.patience and value < self.best:
            self.best, self.best_epoch, self.best_weights = value, epoch + 1, self.net.get_weights()
        if value < (1 - self.improvement) * self.better:
            self.better, self.better_epoch = value, epoch + 1
        allowed = max(self.patience, self.patience_factor * self.better_epoch)
        if np.isnan(value) or (self.patience and epoch + 1 - self.better_epoch >= allowed):
            self.model.stop_training = True

    def finish(self, history: History) -> None:
        """Leaves the net with the weights to keep; Diverged, with the history, if there are none because the training diverged."""
        if self.best_weights is not None:
            self.net.set_weights(self.best_weights)
        elif not np.isfinite(self.last):
            advice = "Choose a lower learning-rate or a clip-norm."
            raise Diverged(f"The training diverged: the validation RMSE is no number. {advice}", history)
