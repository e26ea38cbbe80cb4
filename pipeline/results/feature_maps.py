"""Figures of what is inside a net: its first filters, and its activations for one face."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.nets.trained import Trained
from pipeline.results.style import LIGHT

# Of a layer, at most so many are drawn: they fill a row, and a picture as wide as a page still shows them.
MOST_MAPS = 16
FILTERS_IN_A_ROW = 8
# Inches: the whole picture's width, the height of the faces, the side of a map with its gap. To the left of the maps stand their names.
WIDTH, FACES, MAP = 12.0, 2.6, 0.66
WEIGHTS = "RdBu_r"  # diverging, white at 0
ACTIVATIONS = "viridis"


def first_filters(net: Trained) -> tuple[str, np.ndarray]:
    """Name and kernel (h, w, n) of the convolution that looks at the image itself; of a net for colours what a grey image makes of it."""
    # What was carried over and what is new are listed in the net's order.
    path = next(path for path in [*net.carried_over.tolist(), *net.new.tolist()] if net.weights[path].ndim == 4)
    return path.split("/")[0], net.weights[path].sum(axis=2)


def filters(net: str, layer: str, kernel: np.ndarray) -> Figure:
    """The filters of a layer, kernel (h, w, n), as images on one scale of colours that is white at 0. net: how the title names it."""
    height, width, number = kernel.shape
    rows = -(-number // FILTERS_IN_A_ROW)
    figure = Figure(figsize=(10, 0.8 + 1.3 * rows), layout="constrained")
    largest = np.abs(kernel).max() or 1.0
    every = figure.subplots(rows, FILTERS_IN_A_ROW, squeeze=False)
    for axes in every.flat[number:]:
        axes.set_axis_off()
    for place, axes in enumerate(every.flat[:number]):
        image = axes.imshow(kernel[:, :, place], cmap=WEIGHTS, vmin=-largest, vmax=largest, interpolation="nearest")
        axes.set_title(f"{place + 1}", fontsize=9, pad=3)
        _frame(axes)
    figure.colorbar(image, ax=every, label="weight", shrink=0.8, pad=0.02)
    figure.suptitle(
        f"{net}, layer {layer}: {number} filters of {height} x {width} pixels\n"
        "A filter answers most where the image is bright under red and dark under blue"
    )
    return figure


def activations(net: str, face: str, image: np.ndarray, look) -> Figure:
    """What a net makes of a face: the image (s, s), and below it the maps of each convolution, the first MOST_MAPS of each in a row.

    look: `nets.insides.Look`. net, face: how the title names them.
    """
    figure = Figure(figsize=(WIDTH, FACES + MAP * len(look.maps)))
    top, bottom = figure.subfigures(2, 1, height_ratios=(FACES, MAP * len(look.maps)))
    _faces(top, image, look)
    top.text(0.42, 0.6, f"{net}\nat work on {face}", va="bottom", linespacing=1.4, fontsize="x-large")
    top.text(0.42, 0.5, _EXPLANATION, va="top", linespacing=1.4)
    _maps(bottom.add_axes((0, 0, 1, 1)), look.maps)
    return figure


_EXPLANATION = f"""Below: activations, from the layer next to the image down to the output;
at most the first {MOST_MAPS} maps of a layer.
Each map from its lowest value (dark) to its highest (light);
all dark: the same everywhere."""


def _faces(figure, image: np.ndarray, look) -> None:
    """The image with the outline of what the net sees, and, if that is another picture, what it sees."""
    pictures = [("the image", image)] if np.array_equal(look.seen, image) else [("the image", image), ("what the net sees", look.seen)]
    for place, (what, grey) in enumerate(pictures):
        axes = figure.add_axes((0.02 + 0.2 * place, 0.06, 0.17, 0.8))
        axes.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=(0, len(grey), len(grey), 0), interpolation="nearest")
        axes.set_title(f"{what}, {len(grey)} x {len(grey)}", fontsize="medium")
        _frame(axes)
    if len(pictures) > 1:
        outline = np.vstack([look.corners, look.corners[:1]])
        figure.axes[0].plot(*outline.T, color=LIGHT.colours[1], linewidth=2)
        figure.axes[0].set(xlim=(0, len(image)), ylim=(len(image), 0))


def _maps(axes: Axes, maps: dict[str, np.ndarray]) -> None:
    """One row for each layer, with its name and shape before it."""
    for row, (name, values) in enumerate(maps.items()):
        height, width, channels = values.shape
        axes.text(-0.1, row + 0.47, f"{name}\n{height} x {width} x {channels}", ha="right", va="center", fontsize=9)
        for place in range(min(channels, MOST_MAPS)):
            extent = (place, place + 0.94, row + 0.94, row)
            axes.imshow(_stretched(values[:, :, place]), cmap=ACTIVATIONS, vmin=0, vmax=1, extent=extent, interpolation="nearest")
    axes.set(xlim=(MOST_MAPS - WIDTH / MAP, MOST_MAPS), ylim=(len(maps), 0))
    axes.set_axis_off()


def _stretched(values: np.ndarray) -> np.ndarray:
    """From 0 at the lowest to 1 at the highest; 0 where all are equal."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _frame(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
