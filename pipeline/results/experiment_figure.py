"""The figure of an experiment: the learning curves of its variations, and the final RMSE of each seed."""

from collections.abc import Sequence
from itertools import cycle, islice, product
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.results.style import LIGHT, own_settings, plain

# All colours come before the next dash pattern, so that neighbours in the table differ in colour.
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)))
NOTE = (
    "RMSE during the training, in which each face is predicted once. The table ranks the variations by their finished nets,\n"
    "whose predictions are averaged with those for the mirrored faces and are somewhat better."
)
Look = tuple[str, Any]  # colour and dash pattern of a variation


class ComparedTrainings(Protocol):
    """What the figure needs of an experiment's record, the best of its v variations first, with s seeds and e epochs.

    Every RMSE is measured on the validation faces, in pixels. It is NaN where a training diverged and after a training's last epoch.
    """

    @property
    def name(self) -> np.ndarray:
        """The name of the experiment."""

    @property
    def question(self) -> np.ndarray:
        """The question that the experiment answers, or ""."""

    @property
    def variations(self) -> np.ndarray:
        """What distinguishes each variation (v,)."""

    @property
    def epoch(self) -> np.ndarray:
        """The epochs (e,), counted from 1."""

    @property
    def validation_rmse(self) -> np.ndarray:
        """RMSE after each epoch (v, s, e)."""

    @property
    def rmse(self) -> np.ndarray:
        """RMSE at the end of each training (v, s)."""

    @property
    def seconds(self) -> np.ndarray:
        """Duration of each training (v, s), NaN where unknown."""

    @property
    def ended(self) -> np.ndarray:
        """How each training ended (v, s): done, diverged or pruned."""


@own_settings()
def compared(content: ComparedTrainings) -> Figure:
    """A figure of the validation RMSE over epochs on the left and of the RMSE of each seed at the end on the right.

    Both sides show the same kind of RMSE: the one that is measured after each epoch. The variations are in the order of the record. Without
    any epochs there is only the right side, with the RMSE of the stage.
    """
    rows = len(content.variations)
    trained = content.epoch.size > 0
    figure = Figure(figsize=(13 if trained else 8, max(4.0, 1.6 + 0.34 * rows)), layout="constrained")
    axes = figure.subplots(1, 2 if trained else 1, width_ratios=(1, 1) if trained else None, squeeze=False)[0]
    looks = list(islice(cycle((colour, dash) for dash, colour in product(DASHES, (LIGHT.ink, *LIGHT.colours))), rows))
    if trained:
        _curves(axes[0], content, looks)
    _ends(axes[-1], content, looks)
    if trained:
        figure.supxlabel(NOTE, fontsize="small")
    figure.suptitle(str(content.question) or f"Experiment {content.name}", fontsize="large")
    return figure


def _curves(axes: Axes, content: ComparedTrainings, looks: Sequence[Look]) -> None:
    """Draws one line for each seed, the best variation on top of the others."""
    for row in reversed(range(len(looks))):
        colour, dash = looks[row]
        axes.plot(content.epoch, content.validation_rmse[row].T, color=colour, linestyle=dash, linewidth=2.2 if row == 0 else 1.1)
    known = content.validation_rmse[np.isfinite(content.validation_rmse)]
    if known.size:  # otherwise the first epochs of a slow training squeeze all curves together
        best = known.min()
        axes.set_ylim(best - 0.1 * (min(known.max(), 4 * best) - best) - 1e-3, 1.02 * min(known.max(), 4 * best))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.set(title="Validation RMSE, one line for each seed", xlabel="epoch", ylabel="RMSE, pixels")
    plain(axes)


def _ends(axes: Axes, content: ComparedTrainings, looks: Sequence[Look]) -> None:
    """Draws a dot for each seed and a bar for their mean; the labels give the mean and the duration of a training."""
    places, rmse = -np.arange(len(looks)), at_the_end(content)
    for place, row, mean, (colour, _) in zip(places, rmse, rmse.mean(axis=1), looks, strict=True):
        axes.plot(row, np.full(len(row), place), "o", color=colour, markersize=6, alpha=0.75, clip_on=False)
        axes.plot([mean], [place], "|", color=colour, markersize=16, markeredgewidth=2.5)
    axes.set_yticks(places, [_label(content, row, mean) for row, mean in enumerate(rmse.mean(axis=1))])
    for label, (colour, _) in zip(axes.get_yticklabels(), looks, strict=True):
        label.set_color(colour)
    axes.set_ylim(places.min() - 0.6, 0.6)
    axes.set(title="At the end: dots are seeds, bars are their means", xlabel="validation RMSE, pixels")
    axes.grid(alpha=0.25, axis="x")
    axes.tick_params(left=False)
    axes.spines[["top", "right", "left"]].set_visible(False)


def at_the_end(content: ComparedTrainings) -> np.ndarray:
    """The RMSE (v, s) after the last epoch of each training, or that of the stage if there are no epochs; NaN where there is no result."""
    if not content.epoch.size:
        return content.rmse
    epochs = np.where(np.isfinite(content.validation_rmse), np.arange(content.epoch.size), 0).max(axis=2)
    last = np.take_along_axis(content.validation_rmse, epochs[:, :, None], axis=2)[:, :, 0]
    return np.where(np.isnan(content.rmse), np.nan, last)


def _label(content: ComparedTrainings, row: int, mean: float) -> str:
    minutes = np.nanmean(content.seconds[row]) / 60 if np.isfinite(content.seconds[row]).any() else np.nan
    time = f", {minutes:.1f} min" if np.isfinite(minutes) else ""
    ended = sorted(set(content.ended[row]) - {"done"})
    end = f"{mean:.2f} px" if np.isfinite(mean) else " and ".join(ended) or "no RMSE"
    return f"{content.variations[row]}: {end}{time}"
