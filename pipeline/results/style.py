"""What all figures share: colours on light and on dark paper, names at the ends of curves, a figure as part of a page."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Theme:
    """Colours of a figure. ink: text and what matters most. colours: of curves. depth: the part of the colour map that can be seen."""

    ink: str
    colours: tuple[str, ...]
    depth: tuple[float, float]

    def of_depth(self, count: int) -> list:
        """Colours from a net's first layer to its last."""
        return list(matplotlib.colormaps["viridis"](np.linspace(*self.depth, count)))

    def applied(self):
        """A context in which new figures have this ink and no paper of their own."""
        inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
        none = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
        # Text stays text, in the reader's fonts; the salt makes the names inside the SVG the same every time.
        svg = {"svg.fonttype": "none", "svg.hashsalt": "keypoints"}
        # A grid that is faint on either paper.
        return matplotlib.rc_context({**dict.fromkeys(inked, self.ink), **dict.fromkeys(none, "none"), **svg, "grid.color": "#808080"})


# Okabe and Ito's palette for all kinds of colour vision (https://jfly.uni-koeln.de/color/), without the yellow, which is faint on white;
# on dark paper its blue and its green are lighter.
LIGHT = Theme("#000000", ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"), (0.0, 0.8))
DARK = Theme("#e8e6e3", ("#4da3e0", "#f07f3c", "#2fc79a", "#dd9cc0", "#f0b429", "#8fd0f5"), (0.25, 1.0))


@dataclass(frozen=True)
class Picture:
    """A figure in a page: what to see in it, what it shows for those who can't see it, and its two versions as data URIs."""

    title: str
    alt: str
    light: str
    dark: str


def picture(title: str, alt: str, draw: Callable[[Figure, Theme], None], *, size: tuple[float, float] = (4.4, 3.5)) -> Picture:
    """Draws a figure twice. size: inches; 4.4 are as wide as a phone's page at a readable size of the letters."""
    return Picture(title, alt, *(_svg(draw, theme, size) for theme in (LIGHT, DARK)))


def save_png(figure: Figure, path) -> None:
    """Writes the figure; the same figure gives the same bytes."""
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _svg(draw: Callable[[Figure, Theme], None], theme: Theme, size: tuple[float, float]) -> str:
    with theme.applied(), io.BytesIO() as file:
        figure = Figure(figsize=size, layout="constrained")
        draw(figure, theme)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        return data_uri(file.getvalue(), "image/svg+xml")


def data_uri(content: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def plain(axes: Axes) -> None:
    """A faint grid, no box."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


@dataclass(frozen=True)
class End:
    """Where a curve ends, in data coordinates, and what stands beside it."""

    y: float
    text: str
    colour: object
    bold: bool = False


def label_ends(axes: Axes, ends: list[End], *, gap: float = 0.055, **text) -> None:
    """Writes beside the right edge what each curve is, moved apart where that would overlap. The limits are set before."""
    scale = np.log if axes.get_yscale() == "log" else np.asarray
    low, high = scale(axes.get_ylim())
    with np.errstate(divide="ignore"):  # a 0 on a logarithmic axis stands at its lower end
        height = np.clip([(scale(end.y) - low) / (high - low) for end in ends], 0, 1)
    for end, from_, to in zip(ends, height, apart(height, gap), strict=True):
        axes.annotate(
            end.text,
            (1, from_),
            (1.04, to),
            xycoords="axes fraction",
            color=end.colour,
            weight="bold" if end.bold else "normal",
            verticalalignment="center",
            arrowprops={"arrowstyle": "-", "color": end.colour, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)},
            **text,
        )


def apart(places: np.ndarray, gap: float) -> np.ndarray:
    """Places, in 0..1 if they fit, at least `gap` apart, in the same order and near where they were."""
    result = places.copy()
    order = np.argsort(places, kind="stable")
    for below, above in pairwise(order):
        result[above] = max(result[above], result[below] + gap)
    ceiling = max(1.0, gap * (len(places) - 1))
    for number, index in enumerate(order[::-1]):
        result[index] = min(result[index], ceiling - number * gap)
    return result


def words(name: str) -> str:
    return str(name).replace("_", " ")
