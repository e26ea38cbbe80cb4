"""How a net's weights change over a training, as a matplotlib Figure; from arrays, as `figures`."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.results.style import LIGHT

COLUMNS = 4
FOLLOWED = 3  # single weights of each kernel


def weights_over_time(epoch: np.ndarray, weights: dict[str, np.ndarray]) -> Figure:
    """A panel for each kernel: mean, standard deviation and extremes of its weights, and a few single ones.

    epoch (e,), counted from 1. weights: `variable.path` -> (e, ...), of which the kernels are shown, in the order given.
    """
    kernels = {path.removesuffix("/kernel"): values.reshape(len(epoch), -1) for path, values in weights.items() if path.endswith("/kernel")}
    rows = -(-len(kernels) // COLUMNS)
    figure = Figure(figsize=(13, 0.6 + 2.3 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False, sharex=True).ravel()
    for axes, (layer, values) in zip(panels, kernels.items(), strict=False):
        _panel(axes, epoch, values, layer)
    for above, axes in enumerate(panels[len(kernels) :], start=len(kernels) - COLUMNS):
        axes.set_axis_off()
        panels[above].tick_params(labelbottom=True)
    figure.supxlabel("epoch")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def _panel(axes: Axes, epoch: np.ndarray, values: np.ndarray, layer: str) -> None:
    """values (e, n)."""
    mean, spread = values.mean(axis=1), values.std(axis=1)
    axes.fill_between(epoch, values.min(axis=1), values.max(axis=1), color="0.93", label="smallest to largest")
    axes.fill_between(epoch, mean - spread, mean + spread, color="0.8", label="mean and standard deviation")
    # A line of one epoch would show nothing.
    axes.plot(epoch, mean, color=LIGHT.ink, linewidth=1.5, marker=".")
    for number, (place, colour) in enumerate(zip(_followed(values.shape[1]), LIGHT.colours, strict=False)):
        axes.plot(epoch, values[:, place], color=colour, linewidth=1, marker=".", label="" if number else "single weights, evenly chosen")
    axes.set_title(f"{layer}, {values.shape[1]:,} weights", fontsize="medium")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _followed(count: int) -> Iterable[int]:
    """Places of a few weights among so many."""
    return np.unique(np.linspace(0, count - 1, FOLLOWED + 2).astype(int)[1:-1])
