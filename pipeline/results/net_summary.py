"""A net as the report shows it: its layers, and how they behaved during the training."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from pipeline import units
from pipeline.nets.trained import Snapshots, Trained
from pipeline.results import health, weights
from pipeline.results.style import Picture, picture, words

Findings = Mapping[str, list[str]]  # name of a check -> sentences


@dataclass(frozen=True)
class Layer:
    """A layer with a kernel.

    output: the shape of its output as text, or "" where the artifact does not record it.
    weights: the number of its weights and those of the layers up to the next kernel, such as a batch normalisation.
    """

    name: str
    kernel: str
    output: str
    weights: int


@dataclass(frozen=True)
class NetSummary:
    """A net as the page describes it.

    side: width and height of its input, pixels.
    window: whether it sees a window of the aligned face instead of the image.
    carried_over: whether its training started from the weights of another net.
    keypoints: the keypoints that it predicts.
    rmse: its validation RMSE, pixels.
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
        """The number of all its weights."""
        return sum(layer.weights for layer in self.layers)


def net_of(name: str, net: Trained) -> NetSummary:
    """The summary of a net; `name` is its name in the run, such as base or a specialist group."""
    return NetSummary(
        name=words(name),
        network=net.structure.network,
        side=int(net.side),
        window=net.sees_windows,
        carried_over=len(net.carried_over) > 0,
        keypoints=[words(keypoint) for keypoint in net.keypoints],
        epochs=len(net.history.epoch),
        rmse=float(net.rmse),
        layers=layers(net),
    )


def layers(net: Trained) -> list[Layer]:
    """The layers with a kernel, from the image to the output, as found in the shapes of the weights, without loading Keras."""
    # Weights that were carried over and new ones are each listed in the net's order, the output layer last.
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


def _times(numbers: Iterable[int]) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(str(int(number)) for number in numbers)


@dataclass(frozen=True)
class Vitals:
    """The lowest and the highest value among the layers of a net in its last epoch."""

    name: str
    ratio: tuple[float, float]
    gradient: tuple[float, float]
    spread: tuple[float, float]
    dead: tuple[float, float]


# The checks of a training as the page calls them, by their names in `diagnosis.CHECKS`.
CHECKS = {"learning": "learning", "steps": "steps", "gradient": "gradient", "units": "channels", "overfitting": "overfit"}


@dataclass(frozen=True)
class Verdict:
    """What the checks found in the training of a net: the sentences of each check, in the order of CHECKS."""

    name: str
    findings: list[list[str]]


@dataclass(frozen=True)
class HealthSummary:
    """How the trainings went: what was found, figures of the base net, its weights over time, and a line of values for each net.

    found: the result in words.
    """

    found: str
    verdicts: list[Verdict]
    net: str
    pictures: list[Picture]
    weights: list[Picture]
    lines: list[Vitals]

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """Everything that was found, as (net, sentence)."""
        return [(net.name, sentence) for net in self.verdicts for sentences in net.findings for sentence in sentences]


def health_of(nets: Mapping[str, Trained], findings: Mapping[str, Findings], snapshots: Snapshots | None) -> HealthSummary:
    """Summarises the health of the nets, of which the first is the base net.

    findings: those of each net, see `diagnosis.findings`; nothing was found in the training of a net that is missing.
    snapshots: of the base net.
    """
    name, base = next(iter(nets.items()))
    verdicts = [Verdict(words(net), [findings.get(net, {}).get(check, []) for check in CHECKS]) for net in nets]
    return HealthSummary(
        found=_found(verdicts),
        verdicts=verdicts,
        net=words(name),
        pictures=health.pictures(base.health, base.history),
        weights=_followed(snapshots, base.health.layers.tolist()) if snapshots else [],
        lines=[Vitals(words(name), **health.last(net.health)) for name, net in nets.items()],
    )


def _found(verdicts: list[Verdict]) -> str:
    trained = units.counted(len(verdicts), "net")
    problems = [sum(map(len, net.findings)) for net in verdicts]
    if not any(problems):
        return f"No problem found in {trained}"
    return f"{units.counted(sum(problems), 'problem')} found in {sum(map(bool, problems))} of {trained}"


def _followed(snapshots: Snapshots, layers: list[str]) -> list[Picture]:
    """The weights over the epochs of the snapshots, one figure for every few layers, from the image to the output."""
    return [_over_time(snapshots, layers[start : start + weights.MOST]) for start in range(0, len(layers), weights.MOST)]


def _over_time(snapshots: Snapshots, layers: list[str]) -> Picture:
    title = f"Weights should spread slowly and not diverge: {' to '.join(dict.fromkeys((layers[0], layers[-1])))}"
    epochs = ", ".join(map(str, snapshots.epoch))
    alt = f"{title}. Each panel shows the mean, spread and extremes of a kernel's weights, and a few single weights, after epochs {epochs}."
    kernels = {path: snapshots.weights[path] for path in (layer + weights.KERNEL for layer in layers)}
    return picture(title, alt, partial(weights.weights_over_time, epoch=snapshots.epoch, weights=kernels), size=weights.size(kernels))
