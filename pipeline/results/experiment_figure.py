"""The figure of an experiment: the learning curves of its variations, and where each seed ended."""

from itertools import cycle, islice, product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.results.style import LIGHT, plain

# Colours first, then other dashes: what lies next to each other in the table is told apart by colour.
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)))


def compared(content) -> Figure:
    """Of a `Comparison`: on the left the validation RMSE over epochs, on the right what each seed ended with, the best at the top."""
    rows = len(content.variations)
    trained = content.epoch.size > 0
    figure = Figure(figsize=(13 if trained else 8, max(4.0, 1.6 + 0.34 * rows)), layout="constrained")
    axes = figure.subplots(1, 2 if trained else 1, width_ratios=(1, 1) if trained else None, squeeze=False)[0]
    looks = list(islice(cycle((colour, dash) for dash, colour in product(DASHES, (LIGHT.ink, *LIGHT.colours))), rows))
    if trained:
        _curves(axes[0], content, looks)
    _ends(axes[-1], content, looks)
    figure.suptitle(str(content.question) or f"Experiment {content.name}", fontsize="large")
    return figure


def _curves(axes: Axes, content, looks) -> None:
    """One line a seed; the best variation lies on top."""
    for row in reversed(range(len(looks))):
        colour, dash = looks[row]
        axes.plot(content.epoch, content.validation_rmse[row].T, color=colour, linestyle=dash, linewidth=2.2 if row == 0 else 1.1)
    known = content.validation_rmse[np.isfinite(content.validation_rmse)]
    if known.size:  # the first epochs of a slow one would press all others together
        best = known.min()
        axes.set_ylim(best - 0.1 * (min(known.max(), 4 * best) - best) - 1e-3, 1.02 * min(known.max(), 4 * best))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.set(title="Validation RMSE, a line for each seed", xlabel="epoch", ylabel="RMSE, pixels")
    plain(axes)


def _ends(axes: Axes, content, looks) -> None:
    """Dots for the seeds, a bar for their mean; the names say the mean and the minutes of a training."""
    places = -np.arange(len(looks))
    for place, row, mean, (colour, _) in zip(places, content.rmse, content.mean, looks, strict=True):
        axes.plot(row, np.full(len(row), place), "o", color=colour, markersize=6, alpha=0.75, clip_on=False)
        axes.plot([mean], [place], "|", color=colour, markersize=16, markeredgewidth=2.5)
    axes.set_yticks(places, [_said(content, row) for row in range(len(looks))])
    for label, (colour, _) in zip(axes.get_yticklabels(), looks, strict=True):
        label.set_color(colour)
    axes.set_ylim(places.min() - 0.6, 0.6)
    axes.set(title="At the end: dots are seeds, bars their mean", xlabel="RMSE, pixels")
    axes.grid(alpha=0.25, axis="x")
    axes.tick_params(left=False)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _said(content, row: int) -> str:
    minutes = np.nanmean(content.seconds[row]) / 60 if np.isfinite(content.seconds[row]).any() else np.nan
    time = f", {minutes:.1f} min" if np.isfinite(minutes) else ""
    ended = sorted(set(content.ended[row]) - {"done"})
    end = f"{content.mean[row]:.2f} px" if np.isfinite(content.mean[row]) else " and ".join(ended) or "no figure"
    return f"{content.variations[row]}: {end}{time}"
