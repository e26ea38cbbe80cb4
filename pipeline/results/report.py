"""The page of a run: from its records to one HTML file that needs nothing else. What it looks like stands in report.html beside this."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline import units
from pipeline.data import dataset as datasets
from pipeline.data import summary
from pipeline.data.dataset import Dataset
from pipeline.keypoints.definition import KeypointSet
from pipeline.nets.trained import Snapshots, Trained
from pipeline.results import curves, gallery
from pipeline.results.net_summary import health_of, net_of
from pipeline.results.predictions import Predictions
from pipeline.results.scores import ANSWERS, Scores
from pipeline.results.style import Picture, Theme, picture, plain, words


@dataclass(frozen=True)
class Made:
    """A stage that the page rests on. parameters: name -> (value, default). seconds, ended: None where no log tells."""

    stage: str
    key: str
    parameters: dict[str, tuple[Any, Any]]
    seconds: float | None
    ended: str | None


@dataclass(frozen=True)
class Origin:
    """What was run. faces: where they come from. files: name -> SHA-256 of the files that were read. chains: of nets, see Predict.

    adopted: stages whose results were kept in spite of an edit of their code.
    """

    faces: str
    files: dict[str, str]
    stages: list[Made]
    versions: dict[str, str]
    device: str | None
    chains: int
    adopted: list[str]


def parts(
    scores: Scores,
    predictions: Predictions,
    data_sets: list[Dataset],
    copies,
    nets: dict[str, Trained],
    origin: Origin,
    *,
    warnings: dict[str, list[str]],
    snapshots: Snapshots | None,
    keypointset: KeypointSet,
) -> dict[str, Callable[[], Any]]:
    """What the template shows, by its names; each is still to be made, which takes seconds where figures are drawn.

    data_sets: of each chain. nets: the base net, then the specialists, of the first chain. copies: of the one face of its data set that
    `gallery.example` names (`augmentation.Copies`). warnings: net -> sentences on its training. snapshots: of the
    base net's weights, where its training kept some.
    """
    shown, faces, held_out = len(scores.best), data_sets[0], datasets.held_out(data_sets, lambda faces: faces.images)
    return {
        "scores": lambda: scores,
        "rows": lambda: _rows(scores),
        "gain": lambda: _gain(*scores.gain.tolist()),
        "by_keypoint": lambda: _by_keypoint(scores),
        "best": lambda: gallery.validation(held_out, predictions, scores.best),
        "typical": lambda: gallery.validation(held_out, predictions, scores.typical),
        "worst": lambda: gallery.validation(held_out, predictions, scores.worst),
        "tests": lambda: gallery.tests(predictions, scores.tests),
        "validation_faces": lambda: len(predictions.validation_face),
        "errors": lambda: gallery.errors(held_out, faces.mean_face[0], predictions, scores, keypointset),
        "curves": lambda: _curves(nets),
        "faces": lambda: faces,
        "counts": lambda: summary.counts(faces),
        "outliers": lambda: gallery.outliers(faces, shown),
        "conflicts": lambda: gallery.conflicts(faces, shown),
        "twins": lambda: gallery.twins(faces, shown),
        "augmented": lambda: gallery.augmented(faces, copies),
        "nets": lambda: [net_of(name, net) for name, net in nets.items()],
        "health": lambda: health_of(nets, warnings, snapshots),
        "parameters": lambda: _parameters(origin.stages),
        "origin": lambda: origin,
    }


def page(made: dict[str, Any]) -> str:
    """The page as HTML, of all `parts` when they are made."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"px": _px, "words": words, "clock": units.clock}
    return environment.get_template("report.html").render(made)


@dataclass(frozen=True)
class Row:
    """A line of the table of results. values: the RMSE of each answer. count: values that are compared."""

    name: str
    count: int
    values: np.ndarray
    interval: np.ndarray
    kind: str = ""


def _rows(scores: Scores) -> list[Row]:
    sources = zip(scores.sources, scores.source_values, scores.source_rmse.T, scores.source_interval, strict=True)
    keypoints = zip(scores.keypoints, scores.keypoint_values, scores.keypoint_rmse.T, scores.keypoint_interval, strict=True)
    everything = Row("all values", int(scores.keypoint_values.sum()), scores.rmse, scores.interval, "total")
    return [
        everything,
        *(Row(f"{name} labels", int(count), *values, "source") for name, count, *values in sources),
        *(Row(words(name), int(count), *values) for name, count, *values in keypoints),
    ]


def _gain(low: float, high: float) -> str:
    """What the interval of the specialists' RMSE less the base net's says."""
    if low <= 0 <= high:
        return f"On the same faces the specialists are between {-low:.2f} px better and {high:.2f} px worse than the base net (95 %)."
    by, than = sorted((abs(low), abs(high))), "better" if high < 0 else "worse"
    return f"On the same faces the specialists are {by[0]:.2f} to {by[1]:.2f} px {than} than the base net alone (95 %)."


def _by_keypoint(scores: Scores) -> Picture:
    own = scores.keypoint_rmse[0]
    hardest, easiest = (words(scores.keypoints[k]) for k in (np.nanargmax(own), np.nanargmin(own)))
    title = f"Best found: {easiest}, {_pixels(np.nanmin(own))}. Worst: {hardest}, {_pixels(np.nanmax(own))}"
    alt = f"{title}. RMSE of each keypoint with its 95 % interval, beside the base net alone and the mean face; numbers in the table."
    return picture(title, alt, partial(_draw_by_keypoint, scores=scores), size=(4.4, 0.9 + 0.26 * len(own)))


def _draw_by_keypoint(figure: Figure, theme: Theme, *, scores: Scores) -> None:
    """A line for each keypoint: its interval, and a mark for each answer."""
    axes, places = figure.subplots(), np.arange(len(scores.keypoints))
    styles = (("o", theme.colours[0], 6), ("|", theme.ink, 11), ("x", theme.colours[1], 5))
    axes.hlines(places, *scores.keypoint_interval.T, color=theme.colours[0], linewidth=3, alpha=0.4)
    for name, values, (marker, colour, size) in zip(ANSWERS, scores.keypoint_rmse, styles, strict=True):
        axes.plot(values, places, marker, color=colour, markersize=size, label=name)
    axes.set_yticks(places, [words(name) for name in scores.keypoints], fontsize="small")
    axes.set(xlabel="RMSE, pixels", xlim=(0, None))
    axes.invert_yaxis()
    plain(axes)
    figure.legend(loc="outside upper center", ncols=len(ANSWERS), frameon=False, fontsize="small", handletextpad=0.3, columnspacing=1.2)


def _curves(nets: dict[str, Trained]) -> list[Picture]:
    """The base net's learning curves and the specialists'."""
    content = curves.curves(nets)
    mean = content.mean_validation_rmse[~np.isnan(content.mean_validation_rmse)]
    reached = f"The base net {_reached(nets['base'].history.validation_rmse)}"
    more = f"The specialists: their mean {_reached(mean)}"
    alt = "RMSE in pixels over epochs on a logarithmic scale, training dashed, validation solid."
    draws: list[tuple[str, Callable]] = [(reached, curves.draw_base), (more, curves.draw_specialists)]
    return [picture(title, f"{title}. {alt}", partial(_draw_curves, draw=draw, content=content)) for title, draw in draws]


def _reached(rmse: np.ndarray) -> str:
    """What a training came to."""
    came_from = f", from {rmse[0]:.2f} after the first" if len(rmse) > 1 else ""
    return f"reached {_pixels(rmse[-1])} after {units.counted(len(rmse), 'epoch')}{came_from}"


def _draw_curves(figure: Figure, theme: Theme, *, draw: Callable[[Axes, curves.Curves, Theme], None], content: curves.Curves) -> None:
    axes = figure.subplots()
    draw(axes, content, theme)
    axes.set_title("")


def _parameters(stages: list[Made]) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Stage -> name -> (value, default); stages of a kind that have the same but for what tells them apart stand there once."""
    found: dict[str, dict[str, tuple[Any, Any]]] = {}
    for made in stages:
        kind, *identity = made.stage.split(":")
        own = {name: (value, default) for name, (value, default) in made.parameters.items() if value not in identity}
        number = 2
        while found.setdefault(kind, own) != own:
            kind, number = f"{made.stage.split(':')[0]} #{number}", number + 1
    return {kind: own for kind, own in found.items() if own}


def _px(value: float) -> str:
    return "\N{EN DASH}" if np.isnan(value) else f"{value:.2f}"


def _pixels(value: float) -> str:
    return f"{value:.2f}\N{NO-BREAK SPACE}px"
