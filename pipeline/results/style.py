"""What all figures share: colours for light and dark backgrounds, labels at the ends of curves, figures as parts of a page."""

import base64
import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """A context, or the decorator of a function that returns a figure, in which matplotlib has its defaults.

    The settings of the user (matplotlibrc, a notebook) would give other figures under the same key. Afterwards they apply again.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


@dataclass(frozen=True)
class Theme:
    """The colours of a figure.

    ink: for text and for what matters most.
    colours: for curves and their labels.
    steps: for values far below, below, within, above and far above what is usual.
    """

    ink: str
    colours: tuple[str, ...]
    steps: tuple[str, str, str, str, str]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """A context in which new figures have this ink and a transparent background."""
        inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
        transparent = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
        # Text stays text, in the reader's fonts; the salt makes the identifiers in the SVG the same every time.
        svg = {"svg.fonttype": "none", "svg.hashsalt": "keypoints"}
        options: dict[Any, Any] = dict.fromkeys(inked, self.ink) | dict.fromkeys(transparent, "none") | svg
        # This grid is faint on either background.
        with own_settings(), matplotlib.rc_context(options | {"grid.color": "#808080"}):
            yield


# Every colour has a contrast of at least 4.5 to 1 with its background (WCAG 2.2, 1.4.3), so that a label may have the colour of its curve.
# The hues are those of the palette by Okabe and Ito for all kinds of colour vision (https://jfly.uni-koeln.de/color/), darker or lighter
# where necessary, and with violet instead of its second blue.
LIGHT = Theme(
    "#1b1d21",
    ("#0067b0", "#b84a00", "#00785a", "#a8356f", "#806000", "#5a4fbf"),
    steps=("#0a3d75", "#2f7fc4", "#dfe4ea", "#c2570c", "#6b2700"),
)
DARK = Theme(
    "#e8e6e3",
    ("#4da3e0", "#f07f3c", "#2fc79a", "#dd9cc0", "#f0b429", "#b3a6f5"),
    steps=("#d6ebff", "#5aa9ec", "#2b313b", "#e8782f", "#ffe0c2"),
)


@dataclass(frozen=True)
class Picture:
    """A figure of a page: its title, a text for readers who cannot see it, and a light and a dark version as data URIs."""

    title: str
    alt: str
    light: str
    dark: str


def picture(title: str, alt: str, draw: Callable[[Figure, Theme], None], *, size: tuple[float, float] = (4.4, 3.5)) -> Picture:
    """Draws a figure in both versions.

    size: inches; a figure 4.4 inches wide fits the screen of a phone with letters of a readable size.
    """
    return Picture(title, alt, *(_svg(draw, theme, size) for theme in (LIGHT, DARK)))


def save_png(figure: Figure, path: Path) -> None:
    """Writes the figure as PNG; the same figure gives the same bytes."""
    with own_settings():
        figure.savefig(path, dpi=120, metadata={"Software": None})


def _svg(draw: Callable[[Figure, Theme], None], theme: Theme, size: tuple[float, float]) -> str:
    with theme.applied(), io.BytesIO() as file:
        figure = Figure(figsize=size, layout="constrained")
        draw(figure, theme)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        return data_uri(file.getvalue(), "image/svg+xml")


def data_uri(content: bytes, mime: str) -> str:
    """The content of a file as a data URI."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def plain(axes: Axes) -> None:
    """Gives the axes a faint grid and removes the upper and the right spine."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


@dataclass(frozen=True)
class End:
    """The end of a curve: its y in data coordinates, and the text and the colour of its label."""

    y: float
    text: str
    colour: object
    bold: bool = False


def label_ends(axes: Axes, ends: list[End], *, gap: float = 0.055, fontsize: str | None = None) -> None:
    """Labels the curves to the right of the axes, with a line from each label to its curve.

    Labels that would overlap are moved apart to `gap`, a fraction of the axes' height. The axes' limits must not change afterwards.
    """
    scale = np.log if axes.get_yscale() == "log" else np.asarray
    low, high = scale(axes.get_ylim())
    with np.errstate(divide="ignore"):  # on a logarithmic axis, 0 is labelled at the lower end
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
            fontsize=fontsize,
        )


def apart(places: np.ndarray, gap: float) -> np.ndarray:
    """The places (n,), moved at least `gap` apart in the same order, each near where it was; within 0 to 1 if they fit."""
    result = places.copy()
    order = np.argsort(places, kind="stable")
    for below, above in pairwise(order):
        result[above] = max(result[above], result[below] + gap)
    ceiling = max(1.0, gap * (len(places) - 1))
    for number, index in enumerate(order[::-1]):
        result[index] = min(result[index], ceiling - number * gap)
    return result


def words(name: str) -> str:
    """An identifier as words: nose tip for nose_tip."""
    return str(name).replace("_", " ")


def pixels(value: float) -> str:
    """A length with its unit, which a line break never separates from it."""
    return f"{value:.2f}\N{NO-BREAK SPACE}px"
