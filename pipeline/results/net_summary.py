"""A net as the report shows it: its layers, and how they fared during the training."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from pipeline.nets.trained import Snapshots, Trained
from pipeline.results import health, weights
from pipeline.results.style import Picture, picture, words


@dataclass(frozen=True)
class Layer:
    """A layer with a kernel. output: "" where the artifact does not say. weights: with those of the layer behind it, such as batch norm."""

    name: str
    kernel: str
    output: str
    weights: int


@dataclass(frozen=True)
class NetSummary:
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


def net_of(name: str, net: Trained) -> NetSummary:
    keypoints, epochs = [words(keypoint) for keypoint in net.keypoints], len(net.history.epoch)
    sees = int(net.side), net.window is not None
    return NetSummary(words(name), net.structure.network, *sees, len(net.carried_over) > 0, keypoints, epochs, float(net.rmse), layers(net))


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


def health_of(nets: dict[str, Trained], warnings: dict[str, list[str]], snapshots: Snapshots | None) -> dict[str, Any]:
    """Warnings, figures of the base net and a line for each net."""
    name, first = next(iter(nets.items()))
    lines = [Vitals(words(name), **health.last(net.health)) for name, net in nets.items()]
    said = [(words(net), sentence) for net, sentences in warnings.items() for sentence in sentences]
    followed = _followed(snapshots, first.health.layers.tolist()) if snapshots else []
    return {"warnings": said, "net": words(name), "pictures": health.pictures(first.health), "lines": lines, "weights": followed}


def _followed(snapshots: Snapshots, layers: list[str]) -> list[Picture]:
    """The weights over the epochs that were kept, a picture for every few layers, from the image to the output."""
    return [_over_time(snapshots, layers[start : start + weights.MOST]) for start in range(0, len(layers), weights.MOST)]


def _over_time(snapshots: Snapshots, layers: list[str]) -> Picture:
    title = f"Weights should spread slowly, not run away: {' to '.join(dict.fromkeys((layers[0], layers[-1])))}"
    epochs = ", ".join(map(str, snapshots.epoch))
    alt = f"{title}. A panel for each kernel: mean, spread and extremes of its weights, and a few single ones, after epochs {epochs}."
    kernels = {path: snapshots.weights[path] for path in (layer + weights.KERNEL for layer in layers)}
    return picture(title, alt, partial(weights.weights_over_time, epoch=snapshots.epoch, weights=kernels), size=weights.size(kernels))
