"""Figures of the health of a training: the behaviour of its layers in each epoch."""

from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter, StrMethodFormatter

from pipeline.nets.trained import Health
from pipeline.results.style import End, Picture, Theme, label_ends, picture, plain

# In a healthy training, a step changes the weights by about a thousandth of their size; a factor of three either way is still fine.
HEALTHY = (3e-4, 3e-3)


def pictures(health: Health) -> list[Picture]:
    """The figures of update ratio, gradients, activations and dead channels, without those that have no values."""
    kinds = [
        ("ratio", "update / weight", "Each step should change a layer's weights by about a thousandth", _log),
        ("gradient", "norm of the gradient", "Gradients should neither vanish nor explode from layer to layer", _log),
        ("activation", "mean activation", "Mean activations should settle", _linear),
        ("spread", "standard deviation", "Activations should keep their spread from layer to layer", _log),
        ("dead", "dead channels", "Channels that are 0 everywhere no longer learn", _share),
    ]
    return [_picture(health, *kind) for kind in kinds if np.isfinite(getattr(health, kind[0])).any()]


def last(health: Health) -> dict[str, tuple[float, float]]:
    """The lowest and the highest value among the layers in the last epoch, by name of the array; NaN where there are no values."""
    return {name: _extremes(getattr(health, name)) for name in ("ratio", "gradient", "spread", "dead")}


def _extremes(values: np.ndarray) -> tuple[float, float]:
    known = values[-1][np.isfinite(values[-1])] if len(values) else values.ravel()
    return (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)


def _picture(health: Health, name: str, unit: str, title: str, scale: Callable[[Axes, np.ndarray], None]) -> Picture:
    low, high = last(health)[name] if name != "activation" else _extremes(health.activation)
    alt = f"{title}. {unit} over epochs, one curve for each of {len(health.layers)} layers; in the last epoch {low:.2g} to {high:.2g}."
    return picture(title, alt, partial(_draw, health=health, name=name, unit=unit, scale=scale))


def _draw(figure: Figure, theme: Theme, *, health: Health, name: str, unit: str, scale: Callable[[Axes, np.ndarray], None]) -> None:
    """Draws a labelled curve for each layer that has values, dark near the image and light near the output."""
    axes, values = figure.subplots(), getattr(health, name)
    known = [row for row in range(len(health.layers)) if np.isfinite(values[:, row]).any()]
    colours = theme.of_depth(len(known))
    for row, colour in zip(known, colours, strict=True):
        axes.plot(np.arange(1, len(values) + 1), values[:, row], color=colour, linewidth=1.3, marker="." if len(values) == 1 else None)
    scale(axes, values[:, known])
    if name == "ratio":
        axes.axhspan(*HEALTHY, color=theme.colours[2], alpha=0.15, linewidth=0)
        axes.axhline(1e-3, color=theme.colours[2], linewidth=1, linestyle=":")
    axes.set(xlabel="epoch", ylabel=unit)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    plain(axes)
    ends = [End(_last(values[:, row]), str(health.layers[row]), colour) for row, colour in zip(known, colours, strict=True)]
    label_ends(axes, ends, fontsize="small")


def _last(values: np.ndarray) -> float:
    return float(values[np.isfinite(values)][-1])


def _log(axes: Axes, values: np.ndarray) -> None:
    known = values[np.isfinite(values) & (values > 0)]
    if not known.size:
        _linear(axes, values)
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0.7 * known.min(), 1.4 * known.max())


def _linear(axes: Axes, values: np.ndarray) -> None:
    known = values[np.isfinite(values)]
    margin = 0.05 * (np.ptp(known) or 1.0)
    axes.set_ylim(known.min() - margin, known.max() + margin)


def _share(axes: Axes, values: np.ndarray) -> None:
    axes.set_ylim(-0.02, max(0.1, 1.05 * np.nanmax(values)))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
