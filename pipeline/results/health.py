"""Figures of the health of a training: the behaviour of its layers in each epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter, StrMethodFormatter

from pipeline.nets import diagnosis
from pipeline.nets.trained import Health, History
from pipeline.results.style import End, Picture, Theme, label_ends, picture, plain

# Steps beyond the usual limits by more than this factor are told apart from those just beyond them.
FAR = 10.0
# What the colours of the map of the steps mean, in the order of `Theme.steps`.
LENGTHS = ("far shorter", "shorter", "usual", "longer", "far longer")
# Layers whose names fit next to the map.
MOST_NAMES = 20
STROKES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))

Scale = Callable[[Axes, np.ndarray], None]


@dataclass(frozen=True)
class Quantity:
    """A quantity that a figure shows over the epochs: its field of `Health`, its name on the axis, the figure's title and its scale."""

    field: str
    unit: str
    title: str
    scale: Scale


def pictures(health: Health, history: History) -> list[Picture]:
    """A map of the steps of all layers, then figures of ratio, gradient, activations and dead channels, as far as they have values.

    Dead channels have a figure only if there are any.
    """
    shown = [one for one in QUANTITIES if np.isfinite(getattr(health, one.field)).any()]
    if not (health.dead > 0).any():
        shown = [one for one in shown if one.field != "dead"]
    usual = diagnosis.usual_steps(history.learning_rate)
    maps = [_map_of_steps(health, usual)] if np.isfinite(health.ratio).any() else []
    return maps + [_picture(health, usual, one) for one in shown]


def last(health: Health) -> dict[str, tuple[float, float]]:
    """The lowest and the highest value among the layers in the last epoch, by name of the array; NaN where there are no values."""
    return {name: _extremes(getattr(health, name)) for name in ("ratio", "gradient", "spread", "dead")}


def lengths(ratio: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Which of LENGTHS each step has, as an index: int (e, layers), -1 where the ratio is NaN.

    ratio: length of the steps as a share of the weights (e, layers).
    usual: its usual limits (2, e).
    """
    low, high = usual[:, :, None]
    reached = [ratio >= low / FAR, ratio >= low, ratio > high, ratio > high * FAR]
    return np.where(np.isnan(ratio), -1, np.sum(reached, axis=0))


def _extremes(values: np.ndarray) -> tuple[float, float]:
    known = values[-1][np.isfinite(values[-1])] if len(values) else values.ravel()
    return (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)


# ---- the map of the steps --------------------------------------------------------------------------------------------------------------


def _map_of_steps(health: Health, usual: np.ndarray) -> Picture:
    found = lengths(health.ratio, usual)
    share = np.mean(found[found >= 0] == LENGTHS.index("usual"))
    title = f"{int(100 * share)}\N{NO-BREAK SPACE}% of the steps have the length that is usual at their learning rate"
    alt = f"{title}. A map of {len(health.layers)} layers by {len(found)} epochs; colours tell shorter from usual and from longer steps."
    height = 1.2 + max(0.16 * min(len(health.layers), MOST_NAMES), 0.06 * len(health.layers))
    return picture(title, alt, partial(_draw_map, layers=health.layers, found=found), size=(4.4, height))


def _draw_map(figure: Figure, theme: Theme, *, layers: np.ndarray, found: np.ndarray) -> None:
    """Draws a row for each layer, the first at the top, in which neighbouring epochs of the same colour are one bar."""
    axes = figure.subplots()
    for row, steps in enumerate(found.T):
        start = 0.5
        for length, epochs in groupby(steps.tolist()):
            width = len(list(epochs))
            if length >= 0:
                axes.broken_barh([(start, width)], (row - 0.5, 1.0), facecolor=theme.steps[length], linewidth=0)
            start += width
    every = -(-len(layers) // MOST_NAMES)
    axes.set_yticks(range(0, len(layers), every), layers[::every].tolist(), fontsize="small")
    axes.set(xlim=(0.5, len(found) + 0.5), ylim=(len(layers) - 0.5, -0.5), xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.tick_params(left=False)
    axes.spines[:].set_visible(False)
    key = [Patch(facecolor=colour, label=length) for colour, length in zip(theme.steps, LENGTHS, strict=True)]
    narrow = {"handlelength": 1, "handletextpad": 0.4, "columnspacing": 1}
    figure.legend(handles=key, loc="outside upper center", ncols=len(key), frameon=False, fontsize="small", **narrow)


# ---- curves ----------------------------------------------------------------------------------------------------------------------------


def _picture(health: Health, usual: np.ndarray, what: Quantity) -> Picture:
    low, high = _extremes(getattr(health, what.field))
    curves = f"{what.unit} over epochs, for three layers and as the range of all {len(health.layers)}"
    alt = f"{what.title}. {curves}; in the last epoch {low:.2g} to {high:.2g}."
    return picture(what.title, alt, partial(_draw, health=health, usual=usual, what=what))


def _draw(figure: Figure, theme: Theme, *, health: Health, usual: np.ndarray, what: Quantity) -> None:
    """Draws a labelled curve for each of three layers over the range of all layers, and the usual range if there is one."""
    axes, values = figure.subplots(), getattr(health, what.field)
    epochs, ends = np.arange(1, len(values) + 1), []
    known = np.flatnonzero(np.isfinite(values).any(axis=0))
    what.scale(axes, np.concatenate([values[:, known], usual.T], axis=1) if what.field == "ratio" else values[:, known])
    low, high = np.nanmin(values[:, known], axis=1), np.nanmax(values[:, known], axis=1)
    axes.fill_between(epochs, low, high, color=theme.ink, alpha=0.1, linewidth=0)
    if what.field == "ratio":
        colour = theme.colours[2]
        axes.fill_between(epochs, *usual, facecolor=colour, alpha=0.15, edgecolor=colour, linewidth=0)
        ends.append(End(float(np.sqrt(usual[:, -1].prod())), "usual", colour))
    layers = _worst(values, known) if what.field == "dead" else _spread_out(known)
    for row, colour, stroke in zip(layers, (theme.colours[0], theme.colours[1], theme.colours[3]), STROKES, strict=False):
        mark = "." if len(values) == 1 else None
        axes.plot(epochs, values[:, row], color=colour, linewidth=1.8, linestyle=stroke, marker=mark)
        ends.append(End(_last(values[:, row]), str(health.layers[row]), colour))
    axes.set(xlabel="epoch", ylabel=what.unit, xlim=(min(1, 0.99 * epochs[0]), max(epochs[-1], 1.01)))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    plain(axes)
    label_ends(axes, ends, fontsize="small")


def _spread_out(known: np.ndarray) -> list[int]:
    """The first, the middle and the last of the layers with values, each once."""
    return list(dict.fromkeys(known[[0, len(known) // 2, -1]].tolist()))


def _worst(values: np.ndarray, known: np.ndarray) -> list[int]:
    """The three of the layers with the highest values at any time, highest first."""
    order: list[int] = known[np.argsort(-np.nanmax(values[:, known], axis=0), kind="stable")].tolist()
    return order[:3]


def _last(values: np.ndarray) -> float:
    return float(values[np.isfinite(values)][-1])


def _log(axes: Axes, values: np.ndarray) -> None:
    known = values[np.isfinite(values) & (values > 0)]
    if not known.size:
        _linear(axes, values)
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if known.max() < 300 * known.min() else (1,)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0.7 * known.min(), 1.4 * known.max())


def _linear(axes: Axes, values: np.ndarray) -> None:
    known = values[np.isfinite(values)]
    margin = 0.05 * (np.ptp(known) or 1.0)
    axes.set_ylim(known.min() - margin, known.max() + margin)


def _share(axes: Axes, values: np.ndarray) -> None:
    highest = max(0.1, 1.05 * np.nanmax(values))
    axes.set_ylim(-0.02 * highest, highest)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


QUANTITIES = (
    Quantity("ratio", "update / weight", "Steps should become shorter only as the learning rate falls", _log),
    Quantity("gradient", "norm of the gradient", "Gradients should neither vanish nor explode from layer to layer", _log),
    Quantity("activation", "mean activation", "Mean activations should settle", _linear),
    Quantity("spread", "standard deviation", "Activations should keep their spread from layer to layer", _log),
    Quantity("dead", "dead channels", "Channels that are 0 everywhere no longer learn: the layers with most of them", _share),
)
