"""The table of metrics in words: as text for the log, and its most important figures in a line."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.results.metric_table import MetricTable
from pipeline.units import printable

MOST_IMPORTANT = (("distance", "px"), ("NME", "%"), ("distance", "mm"), ("SDR 2 mm", "%"), ("OKS-AP", "%"))
NARROWEST = 6  # characters of a column
BOUNDS = ("95 % interval, from", "to")


def digits(name: str, unit: str) -> int:
    """The number of decimals with which a metric is shown."""
    return 1 if unit == "%" and name != "NME" else 2


@dataclass(frozen=True)
class MetricLine:
    """A line of the table as text: a part of the labels, how many there are, and a cell for each metric. kind: see `MetricTable`."""

    title: str
    kind: str
    labels: str
    cells: list[str]


def blocks(table: MetricTable) -> list[tuple[str, list[MetricLine]]]:
    """The lines of each predictor, without single keypoints. Those of the first have the intervals that there are below their values."""
    found = []
    for number, predictor in enumerate(table.predictors.tolist()):
        lines = []
        for row in np.flatnonzero(table.kinds != "keypoint").tolist():
            lines.append(_line(table, number, row))
            if number == 0 and not np.isnan(table.interval[row]).all():
                bounds = zip(BOUNDS, table.interval[row].T, strict=True)
                lines += [MetricLine(word, "bound", "", _cells(table, values)) for word, values in bounds]
        found.append((predictor, lines))
    return found


def keypoints(table: MetricTable) -> list[MetricLine]:
    """The lines of single keypoints, of the first predictor."""
    return [_line(table, 0, row) for row in np.flatnonzero(table.kinds == "keypoint").tolist()]


def _line(table: MetricTable, predictor: int, row: int) -> MetricLine:
    kind = str(table.kinds[row])
    title = printable(table.rows[row]) + {"source": " labels", "visibility": " keypoints"}.get(kind, "")
    return MetricLine(title, kind, f"{table.labels[row]:,}", _cells(table, table.values[predictor, row]))


def text(table: MetricTable) -> str:
    """The table as text, without the rows of single keypoints."""
    all_blocks = blocks(table)
    width = max(len(line.title) for _, own in all_blocks for line in own) + 6
    columns = [max(len(name), NARROWEST) + 2 for name in table.metrics.tolist()]

    def joined(title: str, labels: str, cells: Sequence[str]) -> str:
        own = "".join(f"{cell:>{column}}" for cell, column in zip(cells, columns, strict=True))
        return f"{title:<{width}}{labels:>8}{own}"

    lines = [joined("held-out samples", "labels", table.metrics.tolist()), joined("", "", table.units.tolist())]
    for predictor, own in all_blocks:
        lines.append(predictor)
        lines += [joined(("    " if line.kind == "bound" else "  ") + line.title, line.labels, line.cells) for line in own]
    return "\n".join([*lines, *notes(table)])


def notes(table: MetricTable) -> list[str]:
    """What a reader should know about the columns, a sentence for each."""
    found = ["Values in px are in pixels of the original images. Intervals come from a bootstrap over duplicate groups."]
    if length := str(table.length):
        found.append(f"NME and PCK divide distances by {length}.")
    return found


def headline(table: MetricTable) -> str:
    """The most important metrics of the first predictor over all keypoints, with their intervals."""
    cells = zip(*(_cells(table, values) for values in (table.values[0, 0], *table.interval[0].T)), strict=True)
    named = zip(zip(table.metrics.tolist(), table.units.tolist(), strict=True), cells, strict=True)
    return ", ".join(
        f"{'mean distance' if name == 'distance' else name} {value} {unit} ({low} to {high})"
        for (name, unit), (value, low, high) in named
        if (name, unit) in MOST_IMPORTANT
    )


def _cells(table: MetricTable, values: np.ndarray) -> list[str]:
    """The values (metric,) as text."""
    pairs = zip(table.metrics.tolist(), table.units.tolist(), values.tolist(), strict=True)
    return ["-" if np.isnan(value) else f"{value:.{digits(name, unit)}f}" for name, unit, value in pairs]
