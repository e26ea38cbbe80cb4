"""Figures of the inside of a net: its first filters, and its activations for one face."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from pipeline.nets.trained import Trained
from pipeline.results.style import LIGHT, own_settings

if TYPE_CHECKING:  # it imports Keras
    from pipeline.inference.activations import Activations

FILTERS_IN_A_ROW = 8
# Numbers of maps in a row: of those with a number, of those with a name, and of those that are too many to be numbered.
NUMBERED, NAMED, MANY = 32, 8, 64
# More maps than this are drawn without numbers.
MOST_NUMBERS = 5000
# Inches: the width of the picture, the height of the faces, the column with the names of the layers, the gap between two layers.
WIDTH, FACES, NAMES, GAP = 12.0, 2.6, 1.4, 0.18
LETTERS = 52  # of a line of the title
WEIGHTS = "RdBu_r"  # diverging, white at 0
ACTIVATIONS = "viridis"


def first_filters(net: Trained) -> tuple[str, np.ndarray]:
    """The name and the kernel (h, w, n) of the first convolution; the kernel of a net for colour images is summed over the channels.

    This sum is the kernel's effect on a grey image.
    """
    # Weights that were carried over and new ones are each listed in the net's order.
    path = next(path for path in [*net.carried_over.tolist(), *net.new.tolist()] if net.weights[path].ndim == 4)
    return path.split("/")[0], net.weights[path].sum(axis=2)


@own_settings()
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


@own_settings()
def activations(net: str, face: str, image: np.ndarray, found: "Activations", outputs: Sequence[str] = ()) -> Figure:
    """A figure of a face and of all activations of a net for it: a block of maps for each convolution, from the image to the output.

    net, face: their names, for the title.
    image: the face, uint8 (side, side).
    outputs: the names of the maps of the last convolution, if it is the net's output; other maps have numbers.
    """
    blocks = _blocks(found.maps, outputs)
    height = sum(block.height + GAP for block in blocks)
    figure = Figure(figsize=(WIDTH, FACES + height))
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(FACES, height))[:, 0]
    _faces(top, image, found)
    lines = [net, *textwrap.wrap(f"applied to {face}", LETTERS, break_on_hyphens=False)]
    top.text(0.42, 0.6, "\n".join(lines), va="bottom", linespacing=1.4, fontsize="x-large")
    top.text(0.42, 0.5, _EXPLANATION, va="top", linespacing=1.4)
    axes = bottom.add_axes((0, 0, 1, 1))
    start = 0.0
    for block in blocks:
        _draw_block(axes, block, start)
        start += block.height + GAP
    axes.set(xlim=(0, WIDTH), ylim=(height, 0), aspect="equal")
    axes.set_axis_off()
    return figure


_EXPLANATION = """Below: the activations of each convolution, from the image to the output.
Each map is scaled from its lowest value (dark) to its highest (light).
A map that is dark everywhere has a single value."""


@dataclass(frozen=True)
class _Block:
    """The maps (height, width, n) of a layer, with the names of the maps, if any, and the number of maps in a row."""

    layer: str
    maps: np.ndarray
    names: Sequence[str]
    columns: int

    @property
    def side(self) -> float:
        """The side of a map with its gap, inches."""
        return (WIDTH - NAMES - 0.1) / self.columns

    @property
    def row(self) -> float:
        """The height of a row of maps and of the names above them, inches."""
        return self.side + (0.1 + 0.1 * max(name.count("\n") for name in self.names) if self.names else 0.0)

    @property
    def height(self) -> float:
        """The height of all rows, and at least that of the layer's name, inches."""
        return max(0.36, self.row * -(-self.maps.shape[-1] // self.columns))


def _blocks(maps: dict[str, np.ndarray], outputs: Sequence[str]) -> list[_Block]:
    many = sum(values.shape[-1] for values in maps.values()) > MOST_NUMBERS
    blocks = [_Block(layer, values, () if many else _numbers(values), MANY if many else NUMBERED) for layer, values in maps.items()]
    if outputs:
        last = blocks.pop()
        blocks.append(_Block(last.layer, last.maps, outputs, NAMED))
    return blocks


def _numbers(maps: np.ndarray) -> list[str]:
    return [str(number + 1) for number in range(maps.shape[-1])]


def _draw_block(axes: Axes, block: _Block, start: float) -> None:
    """Draws a layer's maps in rows, one image for each row, below `start` inches, with the layer's name and shape to the left."""
    height, width, channels = block.maps.shape
    axes.text(NAMES - 0.15, start, f"{block.layer}\n{height} x {width} x {channels}", ha="right", va="top", fontsize=9)
    shrunk = 0.94 * block.side
    for first in range(0, channels, block.columns):
        row = range(first, min(first + block.columns, channels))
        bottom = start + block.row * (first // block.columns + 1)
        image = _side_by_side([_stretched(block.maps[:, :, place]) for place in row])
        extent = (NAMES, NAMES + block.side * len(row), bottom - block.side + shrunk, bottom - block.side)
        axes.imshow(image, cmap=ACTIVATIONS, vmin=0, vmax=1, extent=extent, interpolation="nearest")
        if block.names:
            size = 5.5 if block.columns == NUMBERED else 6.5
            for column, place in enumerate(row):
                axes.text(NAMES + block.side * column, bottom - block.side - 0.015, block.names[place], fontsize=size, va="bottom")


def _side_by_side(maps: list[np.ndarray]) -> np.ndarray:
    """Maps (height, width) in a row, with a gap of NaN to the right of each that is a sixteenth as wide as the map: (height, n)."""
    width = maps[0].shape[1]
    # Each value is repeated, so that the gap is a whole number of columns.
    return np.concatenate([np.pad(np.repeat(one, 16, axis=1), ((0, 0), (0, width)), constant_values=np.nan) for one in maps], axis=1)


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


def _stretched(values: np.ndarray) -> np.ndarray:
    """The values scaled from 0 at the lowest to 1 at the highest; 0 everywhere if all are equal."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _frame(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
