"""Matplotlib figures from arrays; no pyplot, so nothing global and no display."""

from dataclasses import dataclass, replace
from itertools import cycle, islice, pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from pipeline.described import array

BLACK = "#000000"
# Okabe and Ito's palette for all kinds of colour vision (https://jfly.uni-koeln.de/color/), without the yellow, which is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


@dataclass(frozen=True)
class Curves:
    """The learning curves of the base net and its specialists, one row each, padded with NaN to the longest training."""

    names: np.ndarray = array("text", "net", "", "base, then the specialists")
    outputs: np.ndarray = array("int32", "net", "", "number of values that the net predicts")
    epoch: np.ndarray = array("int32", "epoch", "", "epoch, counted from 1")
    training_rmse: np.ndarray = array("float32", "net epoch", "px", "RMSE on the augmented training faces; NaN after the last epoch")
    validation_rmse: np.ndarray = array("float32", "net epoch", "px", "RMSE on the validation faces; NaN after the last epoch")
    mean_training_rmse: np.ndarray = array("float32", "epoch", "px", "root mean square of the specialists, weighted by number of outputs")
    mean_validation_rmse: np.ndarray = array("float32", "epoch", "px", "root mean square of the specialists, weighted by number of outputs")

    PLOT = ("validation_rmse", (".", "epoch"))


def curves(histories: dict[str, tuple[int, np.ndarray, np.ndarray]]) -> Curves:
    """Lines up histories: name -> (number of outputs, training RMSE (e,), validation RMSE (e,)); the first is the base net.

    The mean of the specialists is the root of the mean square, weighted by their outputs: the RMSE of all together. A net that stopped
    early keeps its last value in it. Without specialists it is NaN.
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
    """RMSE over epochs: the base net on the left, the specialists and their weighted mean on the right."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    draw_learning_curves(figure, content)
    return figure


def draw_learning_curves(figure: FigureBase, content: Curves) -> None:
    """Draws them into a figure or a part of one.

    Training dashed, validation solid, a dot at the best epoch (whose weights the net keeps); beside each picture the RMSE there.
    """
    left, right = figure.subplots(1, 2)
    colours = [BLACK, *islice(cycle(COLOURS), len(content.names) - 1)]
    nets = [
        Net(name.replace("_", " "), content.training_rmse[row], content.validation_rmse[row], colours[row], 1.3)
        for row, name in enumerate(content.names)
    ]
    mean = Net("weighted mean", content.mean_training_rmse, content.mean_validation_rmse, BLACK, 2.6)
    _panel(left, "Base net: all keypoints", [replace(nets[0], width=2.0)])
    if len(nets) > 1:
        _panel(right, "Specialists: from the base net's weights", [*nets[1:], mean])
    else:
        right.set_axis_off()
    figure.legend(handles=_key(), loc="outside lower center", ncols=3, frameon=False, fontsize="medium")


def draw_nets(figure: FigureBase, title: str, nets: list["Net"]) -> None:
    """Draws the curves of some nets into one panel."""
    _panel(figure.subplots(), title, nets)
    figure.legend(handles=_key(), loc="outside lower center", ncols=3, frameon=False, fontsize="medium")


def save_png(figure: Figure, path) -> None:
    """Writes the figure; the same figure gives the same bytes."""
    figure.savefig(path, dpi=120, metadata={"Software": None})


@dataclass(frozen=True)
class Net:
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


def _panel(axes: Axes, title: str, nets: list[Net]) -> None:
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
    _labels(axes, nets)
    _ticks(axes)
    axes.set(title=title, xlabel="epoch", ylabel="RMSE, pixels")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _ticks(axes: Axes) -> None:
    """Whole epochs; plain numbers on the logarithmic axis, round ones where it spans much and evenly spaced ones where it spans little."""
    low, high = axes.get_ylim()
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1, steps=(1, 2, 5, 10)))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)) if high > 3 * low else MaxNLocator(7))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _labels(axes: Axes, nets: list[Net]) -> None:
    """Names and best RMSEs beside the ends of the validation curves, moved apart where they would overlap."""
    low, high = np.log(axes.get_ylim())
    ends = np.array([(np.log(net.validation[~np.isnan(net.validation)][-1]) - low) / (high - low) for net in nets])
    for net, end, place in zip(nets, np.clip(ends, 0, 1), _apart(np.clip(ends, 0, 1), 0.055), strict=True):
        axes.annotate(
            f"{net.name} {net.validation[net.best]:.2f}",
            (1, end),
            (1.04, place),
            xycoords="axes fraction",
            color=net.colour,
            weight="bold" if net.width > 2 else "normal",
            verticalalignment="center",
            arrowprops={"arrowstyle": "-", "color": net.colour, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)},
        )


def _apart(places: np.ndarray, gap: float) -> np.ndarray:
    """Places, in 0..1 if they fit, at least `gap` apart, in the same order and near where they were."""
    result = places.copy()
    order = np.argsort(places, kind="stable")
    for below, above in pairwise(order):
        result[above] = max(result[above], result[below] + gap)
    ceiling = max(1.0, gap * (len(places) - 1))
    for number, index in enumerate(order[::-1]):
        result[index] = min(result[index], ceiling - number * gap)
    return result


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


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    return np.pad(values.astype(np.float32), (0, length - len(values)), constant_values=np.nan)


def _weighted(rows: np.ndarray, outputs: np.ndarray, last: int) -> np.ndarray:
    """Root mean square over nets, weighted by their outputs; a net that stopped early stays at its last value; NaN after the last epoch."""
    mean = np.full(rows.shape[1], np.nan, np.float32)
    if len(rows):
        filled = np.array([np.where(np.isnan(row), row[~np.isnan(row)][-1], row) for row in rows])
        mean[:last] = np.sqrt(np.average(np.square(filled), axis=0, weights=outputs))[:last]
    return mean
