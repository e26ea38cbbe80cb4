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
from pipeline.faces import dataset as datasets
from pipeline.faces import exploration
from pipeline.faces.dataset import Dataset
from pipeline.keypointset import KeypointSet
from pipeline.nets.trained import Snapshots, Trained
from pipeline.results import curves, gallery, health, weights
from pipeline.results.scores import ANSWERS, Scores
from pipeline.results.style import Picture, Theme, picture, plain
from pipeline.results.submission import Predictions


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
        "counts": lambda: exploration.counts(faces),
        "outliers": lambda: gallery.outliers(faces, shown),
        "conflicts": lambda: gallery.conflicts(faces, shown),
        "twins": lambda: gallery.twins(faces, shown),
        "augmented": lambda: gallery.augmented(faces, copies),
        "nets": lambda: [_net(name, net) for name, net in nets.items()],
        "health": lambda: _health(nets, warnings, snapshots),
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
    environment.filters |= {"px": _px, "words": _words, "clock": units.clock}
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
        *(Row(_words(name), int(count), *values) for name, count, *values in keypoints),
    ]


def _gain(low: float, high: float) -> str:
    """What the interval of the specialists' RMSE less the base net's says."""
    if low <= 0 <= high:
        return f"On the same faces the specialists are between {-low:.2f} px better and {high:.2f} px worse than the base net (95 %)."
    by, than = sorted((abs(low), abs(high))), "better" if high < 0 else "worse"
    return f"On the same faces the specialists are {by[0]:.2f} to {by[1]:.2f} px {than} than the base net alone (95 %)."


def _by_keypoint(scores: Scores) -> Picture:
    own = scores.keypoint_rmse[0]
    hardest, easiest = (_words(scores.keypoints[k]) for k in (np.nanargmax(own), np.nanargmin(own)))
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
    axes.set_yticks(places, [_words(name) for name in scores.keypoints], fontsize="small")
    axes.set(xlabel="RMSE, pixels", xlim=(0, None))
    axes.invert_yaxis()
    plain(axes)
    figure.legend(loc="outside upper center", ncols=len(ANSWERS), frameon=False, fontsize="small", handletextpad=0.3, columnspacing=1.2)


def _curves(nets: dict[str, Trained]) -> list[Picture]:
    """The base net's learning curves and the specialists'."""
    content = curves.curves(nets)
    mean = content.mean_validation_rmse[~np.isnan(content.mean_validation_rmse)]
    words = f"The base net {_reached(nets['base'].history.validation_rmse)}"
    more = f"The specialists: their mean {_reached(mean)}"
    alt = "RMSE in pixels over epochs on a logarithmic scale, training dashed, validation solid."
    draws: list[tuple[str, Callable]] = [(words, curves.draw_base), (more, curves.draw_specialists)]
    return [picture(title, f"{title}. {alt}", partial(_draw_curves, draw=draw, content=content)) for title, draw in draws]


def _reached(rmse: np.ndarray) -> str:
    """What a training came to."""
    came_from = f", from {rmse[0]:.2f} after the first" if len(rmse) > 1 else ""
    return f"reached {_pixels(rmse[-1])} after {units.counted(len(rmse), 'epoch')}{came_from}"


def _draw_curves(figure: Figure, theme: Theme, *, draw: Callable[[Axes, curves.Curves, Theme], None], content: curves.Curves) -> None:
    axes = figure.subplots()
    draw(axes, content, theme)
    axes.set_title("")


@dataclass(frozen=True)
class Layer:
    """A layer with a kernel. output: "" where the artifact does not say. weights: with those of the layer behind it, such as batch norm."""

    name: str
    kernel: str
    output: str
    weights: int


@dataclass(frozen=True)
class Net:
    """A net as the page describes it. side: of its input, pixels; window: part of the aligned face; keypoints: that it answers.

    carried_over: whether it began with another net's weights.
    """

    name: str
    network: str
    side: int
    window: bool
    carried_over: bool
    keypoints: list[str]
    epochs: int
    rmse: float
    layers: list[Layer]

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)


def _net(name: str, net: Trained) -> Net:
    keypoints, epochs = [_words(keypoint) for keypoint in net.keypoints], len(net.history.epoch)
    sees = int(net.side), net.window is not None
    return Net(_words(name), net.structure.network, *sees, len(net.carried_over) > 0, keypoints, epochs, float(net.rmse), layers(net))


def layers(net: Trained) -> list[Layer]:
    """The layers with a kernel, from the image to the output, from the weights' shapes alone; no library has to start for it."""
    # What was carried over and what is new are listed in the net's order, the output layer last.
    found: list[Layer] = []
    for path in [*net.carried_over.tolist(), *net.new.tolist()]:
        name, part = path.split("/")[0], path.split("/")[-1]
        if part == "kernel":
            output = "" if net.shapes is None else _times(net.shapes[name])
            found.append(Layer(name, _kernel(net.weights[path].shape), output, 0))
        if found:
            last = found.pop()
            found.append(Layer(last.name, last.kernel, last.output, last.weights + net.weights[path].size))
    return found


def _kernel(shape: tuple[int, ...]) -> str:
    *window, inputs, outputs = shape
    return f"{_times(window)}, {inputs} → {outputs}" if window else f"{inputs} → {outputs}"


def _times(numbers) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(str(int(number)) for number in numbers)


@dataclass(frozen=True)
class Vitals:
    """The last epoch of a net: lowest and highest value among its layers."""

    name: str
    ratio: tuple[float, float]
    gradient: tuple[float, float]
    spread: tuple[float, float]
    dead: tuple[float, float]


def _health(nets: dict[str, Trained], warnings: dict[str, list[str]], snapshots: Snapshots | None) -> dict[str, Any]:
    """Warnings, figures of the base net and a line for each net."""
    name, first = next(iter(nets.items()))
    lines = [Vitals(_words(name), **health.last(net.health)) for name, net in nets.items()]
    said = [(_words(net), sentence) for net, sentences in warnings.items() for sentence in sentences]
    followed = _followed(snapshots, first.health.layers.tolist()) if snapshots else []
    return {"warnings": said, "net": _words(name), "pictures": health.pictures(first.health), "lines": lines, "weights": followed}


def _followed(snapshots: Snapshots, layers: list[str]) -> list[Picture]:
    """The weights over the epochs that were kept, a picture for every few layers, from the image to the output."""
    return [_over_time(snapshots, layers[start : start + weights.MOST]) for start in range(0, len(layers), weights.MOST)]


def _over_time(snapshots: Snapshots, layers: list[str]) -> Picture:
    title = f"Weights should spread slowly, not run away: {' to '.join(dict.fromkeys((layers[0], layers[-1])))}"
    epochs = ", ".join(map(str, snapshots.epoch))
    alt = f"{title}. A panel for each kernel: mean, spread and extremes of its weights, and a few single ones, after epochs {epochs}."
    kernels = {path: snapshots.weights[path] for path in (layer + weights.KERNEL for layer in layers)}
    return picture(title, alt, partial(weights.weights_over_time, epoch=snapshots.epoch, weights=kernels), size=weights.size(kernels))


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


def _words(name: str) -> str:
    return str(name).replace("_", " ")
