"""A figure of how the weights of a net change during a training."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.results.style import Theme, plain

COLUMNS = 2  # fits the screen of a phone
MOST = 8  # kernels in one figure
KERNEL = "/kernel"
FOLLOWED = 3  # single weights of each kernel


def weights_over_time(figure: Figure, theme: Theme, *, epoch: np.ndarray, weights: dict[str, np.ndarray]) -> None:
    """Draws a panel for each kernel: mean, standard deviation and extremes of its weights, and a few single weights.

    figure: an empty figure of the size that `size` returns.
    epoch: the epochs (e,), counted from 1.
    weights: `variable.path` -> the weights after each epoch (e, ...). Only kernels are shown, in the order given.
    """
    kernels = _kernels(epoch, weights)
    panels = figure.subplots(-(-len(kernels) // COLUMNS), COLUMNS, squeeze=False, sharex=True).ravel()
    for axes, (layer, values) in zip(panels, kernels.items(), strict=False):
        _panel(axes, theme, epoch, values, layer)
    for above, axes in enumerate(panels[len(kernels) :], start=len(kernels) - COLUMNS):
        axes.set_axis_off()
        panels[above].tick_params(labelbottom=True)
    figure.supxlabel("epoch")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=1, frameon=False, fontsize="small")


def size(weights: dict[str, np.ndarray]) -> tuple[float, float]:
    """Width and height in inches of a figure of these weights' kernels."""
    return 2.4 * COLUMNS, 0.8 + 1.7 * -(-sum(path.endswith(KERNEL) for path in weights) // COLUMNS)


def _kernels(epoch: np.ndarray, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The kernels by layer, (e, n)."""
    return {path.removesuffix(KERNEL): values.reshape(len(epoch), -1) for path, values in weights.items() if path.endswith(KERNEL)}


def _panel(axes: Axes, theme: Theme, epoch: np.ndarray, values: np.ndarray, layer: str) -> None:
    """Draws one kernel's weights (e, n)."""
    mean, spread = values.mean(axis=1), values.std(axis=1)
    axes.fill_between(epoch, values.min(axis=1), values.max(axis=1), color=theme.ink, alpha=0.08, linewidth=0, label="smallest to largest")
    axes.fill_between(epoch, mean - spread, mean + spread, color=theme.ink, alpha=0.16, linewidth=0, label="mean and standard deviation")
    # A single point of a line is invisible without a marker.
    axes.plot(epoch, mean, color=theme.ink, linewidth=1.5, marker=".")
    for number, (place, colour) in enumerate(zip(_followed(values.shape[1]), theme.colours, strict=False)):
        axes.plot(epoch, values[:, place], color=colour, linewidth=1, marker=".", label="" if number else "single weights, evenly spaced")
    axes.set_title(f"{layer}, {values.shape[1]:,} weights", fontsize="small")
    axes.tick_params(labelsize="small")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    plain(axes)


def _followed(count: int) -> Iterable[int]:
    """The positions of a few evenly spaced weights among `count`."""
    return np.unique(np.linspace(0, count - 1, FOLLOWED + 2).astype(int)[1:-1])
