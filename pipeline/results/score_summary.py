"""The scores as the report shows them: the rows of its table, a sentence about the specialists' gain, a figure by keypoint."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from pipeline.results.scores import Scores
from pipeline.results.style import Picture, Theme, picture, pixels, plain, words
from pipeline.results.wording import FACES, Wording

LONGEST = 24  # characters of a keypoint's name in a figure


@dataclass(frozen=True)
class ScoreRow:
    """A row of the table of results.

    `values` (3,) are the RMSE of each predictor and `interval` (2,) that of the specialists, pixels; `count` is the number of labelled
    values. `kind` is the row's CSS class.
    """

    name: str
    count: int
    values: np.ndarray
    interval: np.ndarray
    kind: str = ""


def rows(scores: Scores) -> list[ScoreRow]:
    """One row for all values, then one for each annotation source, if there are several, and one for each keypoint."""
    everything = ScoreRow("all values", int(scores.keypoint_values.sum()), scores.rmse, scores.interval, "total")
    sources = zip(scores.sources, scores.source_values, scores.source_rmse.T, scores.source_interval, strict=True)
    keypoints = zip(scores.keypoints, scores.keypoint_values, scores.keypoint_rmse.T, scores.keypoint_interval, strict=True)
    by_source = [ScoreRow(f"{name} labels", int(count), values, interval, "source") for name, count, values, interval in sources]
    return [
        everything,
        *(by_source if len(by_source) > 1 else []),
        *(ScoreRow(words(name), int(count), values, interval) for name, count, values, interval in keypoints),
    ]


def gain(low: float, high: float, *, noun: Wording = FACES) -> str:
    """A sentence about the interval of the specialists' RMSE minus the base net's, pixels; below 0 the specialists are better."""
    if low <= 0 <= high:
        difference = f"between {-low:.2f} px better and {high:.2f} px worse"
    else:
        least, most = sorted((abs(low), abs(high)))
        difference = f"{least:.2f} to {most:.2f} px {'better' if high < 0 else 'worse'}"
    return f"On the same {noun.many}, the specialists are {difference} than the base net (95 % interval)."


def by_keypoint(scores: Scores) -> Picture:
    """The figure of each keypoint's RMSE with its interval; the title names the easiest and the hardest keypoint."""
    own = scores.keypoint_rmse[0]
    hardest, easiest = (_spoken(scores.keypoints[k]) for k in (np.nanargmax(own), np.nanargmin(own)))
    title = f"Most accurate: {easiest}, {pixels(np.nanmin(own))}. Least accurate: {hardest}, {pixels(np.nanmax(own))}"
    compared = f"RMSE of each keypoint with its 95 % interval, compared with the base net and the {scores.predictors[2]}"
    alt = f"{title}. {compared}. The table has the numbers."
    return picture(title, alt, partial(_draw_by_keypoint, scores=scores), size=(4.4, 0.9 + 0.26 * len(own)))


def _draw_by_keypoint(figure: Figure, theme: Theme, *, scores: Scores) -> None:
    """A line for each keypoint: its interval, and a mark for each predictor."""
    axes, places = figure.subplots(), np.arange(len(scores.keypoints))
    styles = (("o", theme.colours[0], 6), ("|", theme.ink, 11), ("x", theme.colours[1], 5))
    axes.hlines(places, *scores.keypoint_interval.T, color=theme.colours[0], linewidth=3, alpha=0.4)
    for name, values, (marker, colour, size) in zip(scores.predictors, scores.keypoint_rmse, styles, strict=True):
        axes.plot(values, places, marker, color=colour, markersize=size, label=name)
    axes.set_yticks(places, [_short(words(name)) for name in scores.keypoints], fontsize="small")
    axes.set(xlabel="RMSE, pixels", xlim=(0, None))
    axes.set_ylim(len(places) - 0.3, -0.7)
    plain(axes)
    figure.legend(
        loc="outside upper center", ncols=len(scores.predictors), frameon=False, fontsize="small", handletextpad=0.3, columnspacing=1.2
    )


def _spoken(name: str) -> str:
    """A name in a sentence; a numbered keypoint says that it is one."""
    return f"keypoint {name}" if name.isdecimal() else words(name)


def _short(name: str) -> str:
    """A name that leaves most of the figure to the curves."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
