"""Learning curves: RMSE over epochs as arrays and as Matplotlib figures; no pyplot, so nothing global and no display."""

from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from pipeline.nets.trained import Trained, padded
from pipeline.results.style import LIGHT, End, Theme, label_ends, plain
from pipeline.schema import Plot, array, record


@record
class Curves:
    """The learning curves of the base net and its specialists, one row each, padded with NaN to the longest training."""

    names: np.ndarray = array("text", "net", "", "base, then the specialists")
    outputs: np.ndarray = array("int32", "net", "", "number of values that the net predicts")
    epoch: np.ndarray = array("int32", "epoch", "", "epoch, counted from 1")
    training_rmse: np.ndarray = array("float32", "net epoch", "px", "RMSE on the augmented training faces; NaN after the last epoch")
    validation_rmse: np.ndarray = array("float32", "net epoch", "px", "RMSE on the validation faces; NaN after the last epoch")
    mean_training_rmse: np.ndarray = array("float32", "epoch", "px", "root mean square of the specialists, weighted by number of outputs")
    mean_validation_rmse: np.ndarray = array("float32", "epoch", "px", "root mean square of the specialists, weighted by number of outputs")

    PLOT = Plot("validation_rmse", (".", "epoch"), "spectrum", beside=("training_rmse",))


def curves(nets: dict[str, Trained]) -> Curves:
    """Lines up the histories of nets by name, of which the first is the base net.

    The mean of the specialists is the root of the mean square, weighted by their outputs: the RMSE of all together. A net that stopped
    early keeps its last value in it. Without specialists it is NaN.
    """
    epochs = [len(net.history.epoch) for net in nets.values()]
    longest, last = max(epochs), max(epochs[1:], default=0)
    outputs = np.array([2 * len(net.indices) for net in nets.values()], np.int32)
    training = np.stack([padded(net.history.training_rmse, longest) for net in nets.values()])
    validation = np.stack([padded(net.history.validation_rmse, longest) for net in nets.values()])
    return Curves(
        np.array(list(nets)),
        outputs,
        np.arange(1, longest + 1, dtype=np.int32),
        training,
        validation,
        _weighted(training[1:], outputs[1:], last),
        _weighted(validation[1:], outputs[1:], last),
    )


def learning_curves(content: Curves) -> Figure:
    """RMSE over epochs: the base net on the left, the specialists and their weighted mean on the right."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    draw_learning_curves(figure, content)
    return figure


def draw_learning_curves(figure: FigureBase, content: Curves) -> None:
    """Draws them into a figure or a part of one.

    Training dashed, validation solid, a dot at the best epoch; beside each picture the RMSE there.
    """
    left, right = figure.subplots(1, 2)
    draw_base(left, content, LIGHT)
    draw_specialists(right, content, LIGHT)
    figure.legend(handles=_key(), loc="outside lower center", ncols=3, frameon=False, fontsize="medium")


def draw_base(axes: Axes, content: Curves, theme: Theme) -> None:
    """The base net's curves."""
    _panel(axes, "Base net: all keypoints", [replace(_nets(content, theme)[0], width=2.0)])


def draw_specialists(axes: Axes, content: Curves, theme: Theme) -> None:
    """The specialists' curves and their mean; without specialists nothing."""
    _, *specialists = _nets(content, theme)
    mean = NetCurve("weighted mean", content.mean_training_rmse, content.mean_validation_rmse, theme.ink, 2.6)
    if specialists:
        _panel(axes, "Specialists: a few keypoints each", [*specialists, mean])
    else:
        axes.set_axis_off()


def _nets(content: Curves, theme: Theme) -> list["NetCurve"]:
    colours = [theme.ink, *islice(cycle(theme.colours), len(content.names) - 1)]
    return [
        NetCurve(name.replace("_", " "), content.training_rmse[row], content.validation_rmse[row], colours[row], 1.3)
        for row, name in enumerate(content.names)
    ]


def two_trainings(titles: tuple[str, str], rmse: list[tuple[np.ndarray, np.ndarray]]) -> Figure:
    """The curves of two trainings in one picture; rmse: (training, validation) of each."""
    nets = [NetCurve(title, *pair, colour, 1.6) for title, pair, colour in zip(titles, rmse, LIGHT.colours, strict=False)]
    figure = Figure(figsize=(9, 5), layout="constrained")
    _panel(figure.subplots(), "RMSE over epochs", nets)
    figure.legend(handles=_key(), loc="outside lower center", ncols=3, frameon=False, fontsize="medium")
    return figure


@dataclass(frozen=True)
class NetCurve:
    """How one net is drawn: RMSE (e,) of training and validation in pixels, NaN after the last epoch."""

    name: str
    training: np.ndarray
    validation: np.ndarray
    colour: str
    width: float

    @property
    def best(self) -> int:
        """The epoch, from 0, with the lowest validation RMSE."""
        return int(np.nanargmin(self.validation))

    @property
    def end(self) -> End:
        """Where its validation curve ends; its name and its best RMSE."""
        last = self.validation[~np.isnan(self.validation)][-1]
        return End(last, f"{self.name} {self.validation[self.best]:.2f}", self.colour, bold=self.width > 2)


def _panel(axes: Axes, title: str, nets: list[NetCurve]) -> None:
    epochs = max(int(np.flatnonzero(~np.isnan(net.validation))[-1]) + 1 for net in nets)
    axes.set_yscale("log")
    axes.set_ylim(*_limits(np.concatenate([values for net in nets for values in (net.training, net.validation)])))
    axes.set_xlim(max(0.5, 1 - 0.02 * epochs), 1.02 * epochs)
    for net in nets:
        epoch = np.arange(1, len(net.validation) + 1)
        # A dash is no line yet: a training of one epoch is a mark.
        axes.plot(epoch, net.training, "--", color=net.colour, linewidth=0.7 * net.width, marker="_" if epochs == 1 else None)
        axes.plot(epoch, net.validation, "-", color=net.colour, linewidth=net.width)
        axes.plot(net.best + 1, net.validation[net.best], "o", color=net.colour, markersize=3 + net.width)
    label_ends(axes, [net.end for net in nets])
    _ticks(axes)
    axes.set(title=title, xlabel="epoch", ylabel="RMSE, pixels")
    plain(axes)


def _ticks(axes: Axes) -> None:
    """Whole epochs; plain numbers on the logarithmic axis, round ones where it spans much and evenly spaced ones where it spans little."""
    low, high = axes.get_ylim()
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1, steps=(1, 2, 5, 10)))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)) if high > 3 * low else MaxNLocator(7))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _key() -> list[Line2D]:
    """What the kinds of line mean."""
    return [
        Line2D([], [], color="0.3", linestyle="-", linewidth=2, label="validation"),
        Line2D([], [], color="0.3", linestyle="--", label="training, on augmented faces"),
        Line2D([], [], color="0.3", linestyle="none", marker="o", label="best epoch, its RMSE at the margin"),
    ]


def _limits(values: np.ndarray) -> tuple[float, float]:
    """For a logarithmic axis: from a little below the lowest value to the highest, or to 12 times the lowest if a first epoch is beyond."""
    known = values[np.isfinite(values) & (values > 0)]
    low, high = (known.min(), known.max()) if known.size else (1.0, 10.0)
    return 0.92 * low, 1.08 * min(high, 12 * low)


def _weighted(rows: np.ndarray, outputs: np.ndarray, last: int) -> np.ndarray:
    """Root mean square over nets, weighted by their outputs; a net that stopped early stays at its last value; NaN after the last epoch."""
    mean = np.full(rows.shape[1], np.nan, np.float32)
    if len(rows):
        filled = np.array([np.where(np.isnan(row), row[~np.isnan(row)][-1], row) for row in rows])
        mean[:last] = np.sqrt(np.average(np.square(filled), axis=0, weights=outputs))[:last]
    return mean
