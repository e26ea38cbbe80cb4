"""Figures of the inside of a net: its first filters, and its activations for one face."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from pipeline.nets.trained import Trained
from pipeline.results.style import LIGHT

if TYPE_CHECKING:  # it imports Keras
    from pipeline.inference.activations import Activations

# The largest number of maps drawn for a layer: they fill a row and can still be recognised in a picture as wide as a page.
MOST_MAPS = 16
FILTERS_IN_A_ROW = 8
# Inches: the width of the picture, the height of the faces, the side of a map with its gap. The names are to the left of the maps.
WIDTH, FACES, MAP = 12.0, 2.6, 0.66
WEIGHTS = "RdBu_r"  # diverging, white at 0
ACTIVATIONS = "viridis"


def first_filters(net: Trained) -> tuple[str, np.ndarray]:
    """The name and the kernel (h, w, n) of the first convolution; the kernel of a net for colour images is summed over the channels.

    This sum is the kernel's effect on a grey image.
    """
    # Weights that were carried over and new ones are each listed in the net's order.
    path = next(path for path in [*net.carried_over.tolist(), *net.new.tolist()] if net.weights[path].ndim == 4)
    return path.split("/")[0], net.weights[path].sum(axis=2)


def filters(net: str, layer: str, kernel: np.ndarray) -> Figure:
    """A figure of the filters of a layer as images on a common colour scale that is white at 0.

    net, layer: their names, for the title.
    kernel: the filters (h, w, n).
    """
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
        "A filter responds most strongly where the image is bright under red and dark under blue"
    )
    return figure


def activations(net: str, face: str, image: np.ndarray, found: "Activations") -> Figure:
    """A figure of a face and of a net's activations for it, with one row of at most MOST_MAPS maps for each convolution.

    net, face: their names, for the title.
    image: the face, uint8 (side, side).
    """
    figure = Figure(figsize=(WIDTH, FACES + MAP * len(found.maps)))
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(FACES, MAP * len(found.maps)))[:, 0]
    _faces(top, image, found)
    top.text(0.42, 0.6, f"{net}\napplied to {face}", va="bottom", linespacing=1.4, fontsize="x-large")
    top.text(0.42, 0.5, _EXPLANATION, va="top", linespacing=1.4)
    _maps(bottom.add_axes((0, 0, 1, 1)), found.maps)
    return figure


_EXPLANATION = f"""Below: the activations of each convolution, from the image to the output,
with at most the first {MOST_MAPS} maps of a layer.
Each map is scaled from its lowest value (dark) to its highest (light).
A map that is dark everywhere has a single value."""


def _faces(figure: SubFigure, image: np.ndarray, found: "Activations") -> None:
    """Draws the image and, if the net sees only a window of it, the window's outline in the image and the window itself."""
    pictures = [("image", image)]
    if not np.array_equal(found.seen, image):
        pictures.append(("input of the net", found.seen))
    for place, (what, grey) in enumerate(pictures):
        axes = figure.add_axes((0.02 + 0.2 * place, 0.06, 0.17, 0.8))
        axes.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=(0, len(grey), len(grey), 0), interpolation="nearest")
        axes.set_title(f"{what}, {len(grey)} x {len(grey)}", fontsize="medium")
        _frame(axes)
    if len(pictures) > 1:
        outline = np.vstack([found.corners, found.corners[:1]])
        figure.axes[0].plot(*outline.T, color=LIGHT.colours[1], linewidth=2)
        figure.axes[0].set(xlim=(0, len(image)), ylim=(len(image), 0))


def _maps(axes: Axes, maps: dict[str, np.ndarray]) -> None:
    """Draws one row of maps for each layer, with the layer's name and shape to the left."""
    for row, (name, values) in enumerate(maps.items()):
        height, width, channels = values.shape
        axes.text(-0.1, row + 0.47, f"{name}\n{height} x {width} x {channels}", ha="right", va="center", fontsize=9)
        for place in range(min(channels, MOST_MAPS)):
            extent = (place, place + 0.94, row + 0.94, row)
            axes.imshow(_stretched(values[:, :, place]), cmap=ACTIVATIONS, vmin=0, vmax=1, extent=extent, interpolation="nearest")
    axes.set(xlim=(MOST_MAPS - WIDTH / MAP, MOST_MAPS), ylim=(len(maps), 0))
    axes.set_axis_off()


def _stretched(values: np.ndarray) -> np.ndarray:
    """The values scaled from 0 at the lowest to 1 at the highest; 0 everywhere if all are equal."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _frame(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
