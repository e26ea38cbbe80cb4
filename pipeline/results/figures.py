"""Matplotlib figures from arrays; no pyplot, so nothing global and no display."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from pipeline.described import array


@dataclass(frozen=True)
class Curves:
    """The learning curves of the base net and its specialists, one row each, padded with NaN to the longest training."""

    names: np.ndarray = array("text", "net", "", "base, then the specialists")
    outputs: np.ndarray = array("int32", "net", "", "number of values that the net predicts")
    epoch: np.ndarray = array("int32", "epoch", "", "epoch, counted from 1")
    training_rmse: np.ndarray = array("float32", "net epoch", "px", "RMSE on the augmented training faces; NaN after the last epoch")
    validation_rmse: np.ndarray = array("float32", "net epoch", "px", "RMSE on the validation faces; NaN after the last epoch")
    mean_training_rmse: np.ndarray = array("float32", "epoch", "px", "mean of the specialists, weighted by number of outputs")
    mean_validation_rmse: np.ndarray = array("float32", "epoch", "px", "mean of the specialists, weighted by number of outputs")

    PLOT = ("validation_rmse", (".", "epoch"))


def curves(histories: dict[str, tuple[int, np.ndarray, np.ndarray]]) -> Curves:
    """Lines up histories: name -> (number of outputs, training RMSE (e,), validation RMSE (e,)); the first is the base net.

    A net that stopped early keeps its last value in the weighted mean of the specialists.
    """
    longest = max(len(validation) for _, _, validation in histories.values())
    outputs = np.array([n for n, _, _ in histories.values()], np.int32)
    training = np.stack([_padded(values, longest) for _, values, _ in histories.values()])
    validation = np.stack([_padded(values, longest) for _, _, values in histories.values()])
    last = max((len(values) for _, values, _ in list(histories.values())[1:]), default=0)
    return Curves(
        np.array(list(histories)),
        outputs,
        np.arange(1, longest + 1, dtype=np.int32),
        training,
        validation,
        _weighted(training[1:], outputs[1:], last),
        _weighted(validation[1:], outputs[1:], last),
    )


def learning_curves(content: Curves) -> Figure:
    """RMSE over epochs: the base net on the left, the specialists and their weighted mean on the right; training dashed, validation solid."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    best = np.nanmin(content.validation_rmse[0])
    _pair(left, content.epoch, content.training_rmse[0], content.validation_rmse[0], "C0", f"base net (best {best:.2f})")
    for row, name in list(enumerate(content.names))[1:]:
        label = f"{name.replace('_', ' ')} (best {np.nanmin(content.validation_rmse[row]):.2f})"
        _pair(right, content.epoch, content.training_rmse[row], content.validation_rmse[row], f"C{row}", label, width=1.2)
    label = f"weighted mean (best {np.nanmin(content.mean_validation_rmse):.2f})"
    _pair(right, content.epoch, content.mean_training_rmse, content.mean_validation_rmse, "black", label, width=2.4)
    left.set_title("Base net: all keypoints")
    right.set_title("Specialists: from the base net's weights")
    left.set_ylabel("RMSE, pixels")
    everything = np.concatenate([content.training_rmse, content.validation_rmse])
    for axes, rows in ((left, [0]), (right, range(1, len(content.names)))):
        shown = content.validation_rmse[list(rows)]
        axes.set_xlabel("epoch")
        axes.set_xlim(0.5, max(2, int((~np.isnan(shown)).sum(axis=1).max())) + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        axes.legend(loc="upper right", fontsize="small", title="solid: validation, dashed: training", title_fontsize="small")
    left.set_ylim(*_limits(everything))
    return figure


def save_png(figure: Figure, path) -> None:
    """Writes the figure; the same figure gives the same bytes."""
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _pair(axes, epoch, training, validation, colour, label, width=1.8) -> None:
    axes.plot(epoch, training, "--", color=colour, linewidth=width * 0.7, alpha=0.8)
    axes.plot(epoch, validation, "-", color=colour, linewidth=width, label=label, marker="o" if len(epoch) == 1 else None)


def _limits(values: np.ndarray) -> tuple[float, float]:
    """From a little below the lowest value to where the first epochs' large errors no longer squeeze the rest."""
    known = values[~np.isnan(values)]
    low, high = known.min(), max(np.quantile(known, 0.95), 1.5 * np.median(known))
    return max(0.0, low - 0.1 * (high - low)), high + 0.1 * (high - low)


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    return np.pad(values.astype(np.float32), (0, length - len(values)), constant_values=np.nan)


def _weighted(rows: np.ndarray, outputs: np.ndarray, last: int) -> np.ndarray:
    """Mean over nets, weighted by their outputs; a net that stopped early stays at its last value; NaN after the last epoch of all."""
    filled = np.array([np.where(np.isnan(row), row[~np.isnan(row)][-1], row) for row in rows]) if len(rows) else rows
    mean = np.sqrt(np.average(np.square(filled), axis=0, weights=outputs)) if len(rows) else np.full(rows.shape[1], np.nan)
    mean = mean.astype(np.float32)
    mean[last:] = np.nan
    return mean
