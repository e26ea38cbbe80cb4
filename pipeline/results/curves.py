"""Learning curves: RMSE over epochs, as arrays and as Matplotlib figures. They need neither pyplot's global state nor a display."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from pipeline import units
from pipeline.nets.trained import Trained, padded
from pipeline.results.style import LIGHT, End, Picture, Theme, label_ends, own_settings, picture, pixels, plain, words
from pipeline.schema import Plot, array, record

# The names of two trainings that are compared.
ORDINALS = ("first", "second")

PIXELS = "pixels"


@record
class Curves:
    """The learning curves of the base net and its specialists, one row each, padded with NaN to the longest training."""

    names: np.ndarray = array("text", "net", "", "names of the nets: base, then the specialists")
    outputs: np.ndarray = array("int32", "net", "", "number of values that the net predicts")
    epoch: np.ndarray = array("int32", "epoch", "", "epoch, counted from 1")
    training_rmse: np.ndarray = array("float32", "net epoch", "px", "RMSE on the augmented training faces; NaN after the last epoch")
    validation_rmse: np.ndarray = array("float32", "net epoch", "px", "RMSE on the validation faces; NaN after the last epoch")
    mean_training_rmse: np.ndarray = array(
        "float32", "epoch", "px", "training RMSE of the specialists: root mean square weighted by outputs"
    )
    mean_validation_rmse: np.ndarray = array(
        "float32", "epoch", "px", "validation RMSE of the specialists: root mean square weighted by outputs"
    )

    PLOT = Plot("validation_rmse", (".", "epoch"), "spectrum", beside=("training_rmse",))


def stored_pixels(net: Trained) -> str:
    """The unit of the RMSE of a training on samples of an own set, in words: their size differs from that in the images."""
    return f"{PIXELS} of samples of {net.stored} x {net.stored}"


Draw = Callable[[Axes, Curves, Theme], None]


def curves(nets: Mapping[str, Trained]) -> Curves:
    """Lines up the histories of the nets by epoch; the first net is the base net.

    The mean of the specialists is the root mean square, weighted by the number of their outputs, which is the RMSE of all their outputs
    together. A net that stopped early counts with its last value. Without specialists the mean is NaN.
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


@own_settings()
def learning_curves(content: Curves, unit: str = PIXELS) -> Figure:
    """A figure of the RMSE over epochs: the base net on the left, the specialists and their weighted mean on the right.

    unit: that of the RMSE, in words.
    """
    figure = Figure(figsize=(12, 5), layout="constrained")
    draw_learning_curves(figure, content, unit)
    return figure


def draw_learning_curves(figure: FigureBase, content: Curves, unit: str = PIXELS) -> None:
    """Draws the learning curves into a figure or a part of one.

    Training curves are dashed and validation curves solid. A dot marks the best epoch, and the margin gives the RMSE there.
    """
    left, right = figure.subplots(1, 2)
    draw_base(left, content, LIGHT)
    draw_specialists(right, content, LIGHT)
    for axes in (left, right):
        axes.set_ylabel(f"RMSE, {unit}")
    figure.legend(handles=_key(), loc="outside lower center", ncols=3, frameon=False, fontsize="medium")


def draw_base(axes: Axes, content: Curves, theme: Theme) -> None:
    """Draws the base net's curves."""
    _panel(axes, "Base net: all keypoints", [replace(_nets(content, theme)[0], width=2.0)])


def draw_specialists(axes: Axes, content: Curves, theme: Theme) -> None:
    """Draws the specialists' curves and their mean; hides the axes if there are no specialists."""
    _, *specialists = _nets(content, theme)
    mean = NetCurve("weighted mean", content.mean_training_rmse, content.mean_validation_rmse, theme.ink, 2.6)
    if specialists:
        _panel(axes, "Specialists: a few keypoints each", [*specialists, mean])
    else:
        axes.set_axis_off()


def _nets(content: Curves, theme: Theme) -> list["NetCurve"]:
    colours = [theme.ink, *islice(cycle(theme.colours), len(content.names) - 1)]
    return [
        NetCurve(words(name), content.training_rmse[row], content.validation_rmse[row], colours[row], 1.3)
        for row, name in enumerate(content.names)
    ]


def pictures(nets: Mapping[str, Trained], unit: str = PIXELS) -> list[Picture]:
    """The learning curves of the base net and those of the specialists, if any, each as a figure of a page.

    unit: that of the RMSE, in words.
    """
    content, base = curves(nets), next(iter(nets.values()))
    mean = content.mean_validation_rmse[~np.isnan(content.mean_validation_rmse)]
    alt = f"RMSE in {unit} over epochs on a logarithmic scale; training is dashed, validation solid."
    draws: list[tuple[str, Draw]] = [(f"The base net {_reached(base.history.validation_rmse)}", draw_base)]
    if mean.size:
        draws.append((f"The mean of the specialists {_reached(mean)}", draw_specialists))
    return [picture(title, f"{title}. {alt}", partial(_draw, draw=draw, content=content, unit=unit)) for title, draw in draws]


def _reached(rmse: np.ndarray) -> str:
    """What a training with this RMSE (e,) after each epoch has reached."""
    came_from = f", starting from {rmse[0]:.2f} after the first" if len(rmse) > 1 else ""
    return f"reached {pixels(rmse[-1])} after {units.counted(len(rmse), 'epoch')}{came_from}"


def _draw(figure: Figure, theme: Theme, *, draw: Draw, content: Curves, unit: str) -> None:
    axes = figure.subplots()
    draw(axes, content, theme)
    axes.set_title("")
    axes.set_ylabel(f"RMSE, {unit}")


@own_settings()
def two_trainings(differences: Sequence[str], rmse: Sequence[tuple[np.ndarray, np.ndarray]]) -> Figure:
    """A figure of the curves of two trainings, which are called first and second.

    differences: for each training, what distinguishes it from the other.
    rmse: the training and the validation RMSE (e,) of each, pixels.
    """
    colours = LIGHT.colours[:2]
    nets = [NetCurve(name, *pair, colour, 1.6) for name, pair, colour in zip(ORDINALS, rmse, colours, strict=True)]
    figure = Figure(figsize=(9, 5), layout="constrained")
    _panel(figure.subplots(), "", nets)
    named = [
        Line2D([], [], color=colour, linewidth=2, label="\n".join(wrap(f"{name}: {difference}", 110)))
        for name, difference, colour in zip(ORDINALS, differences, colours, strict=True)
    ]
    figure.legend(handles=named, loc="outside upper left", frameon=False, fontsize="medium")
    figure.legend(handles=_key(), loc="outside lower center", ncols=3, frameon=False, fontsize="medium")
    return figure


@dataclass(frozen=True)
class NetCurve:
    """A net's curves and how to draw them: training and validation RMSE (e,), pixels, NaN after the last epoch."""

    name: str
    training: np.ndarray
    validation: np.ndarray
    colour: str
    width: float

    @property
    def best(self) -> int:
        """The epoch with the lowest validation RMSE, counted from 0."""
        return int(np.nanargmin(self.validation))

    @property
    def end(self) -> End:
        """The end of the validation curve, labelled with the net's name and its lowest RMSE."""
        last = self.validation[~np.isnan(self.validation)][-1]
        return End(last, f"{self.name} {self.validation[self.best]:.2f}", self.colour, bold=self.width > 2)


def _panel(axes: Axes, title: str, nets: list[NetCurve]) -> None:
    epochs = max(int(np.flatnonzero(~np.isnan(net.validation))[-1]) + 1 for net in nets)
    axes.set_yscale("log")
    axes.set_ylim(*_limits(np.concatenate([values for net in nets for values in (net.training, net.validation)])))
    axes.set_xlim(max(0.5, 1 - 0.02 * epochs), 1.02 * epochs)
    for net in nets:
        epoch = np.arange(1, len(net.validation) + 1)
        # A single point of a dashed line is invisible, so a training of one epoch is drawn as a mark.
        axes.plot(epoch, net.training, "--", color=net.colour, linewidth=0.7 * net.width, marker="_" if epochs == 1 else None)
        axes.plot(epoch, net.validation, "-", color=net.colour, linewidth=net.width)
        axes.plot(net.best + 1, net.validation[net.best], "o", color=net.colour, markersize=3 + net.width)
    label_ends(axes, [net.end for net in nets])
    _ticks(axes)
    axes.set(title=title, xlabel="epoch", ylabel=f"RMSE, {PIXELS}")
    plain(axes)


def _ticks(axes: Axes) -> None:
    """Labels whole epochs and plain RMSE values: round ones where the logarithmic axis spans much, else evenly spaced ones."""
    low, high = axes.get_ylim()
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1, steps=(1, 2, 5, 10)))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)) if high > 3 * low else MaxNLocator(7))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _key() -> list[Line2D]:
    """The legend's entries: what each kind of line means."""
    return [
        Line2D([], [], color="0.3", linestyle="-", linewidth=2, label="validation"),
        Line2D([], [], color="0.3", linestyle="--", label="training, on augmented versions"),
        Line2D([], [], color="0.3", linestyle="none", marker="o", label="best epoch, with its RMSE in the margin"),
    ]


def _limits(values: np.ndarray) -> tuple[float, float]:
    """The limits of a logarithmic axis: just below the lowest value and just above the highest, but at most 13 times the lowest.

    A first epoch may be far above all others.
    """
    known = values[np.isfinite(values) & (values > 0)]
    low, high = (known.min(), known.max()) if known.size else (1.0, 10.0)
    return 0.92 * low, 1.08 * min(high, 12 * low)


def _weighted(rows: np.ndarray, outputs: np.ndarray, last: int) -> np.ndarray:
    """The mean of `curves`: (e,) from rows (nets, e), NaN after the epoch `last`."""
    mean = np.full(rows.shape[1], np.nan, np.float32)
    if len(rows):
        filled = np.array([np.where(np.isnan(row), row[~np.isnan(row)][-1], row) for row in rows])
        mean[:last] = np.sqrt(np.average(np.square(filled), axis=0, weights=outputs))[:last]
    return mean
