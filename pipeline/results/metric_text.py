"""The table of metrics in words: as text for the log, and its most important figures in a line."""

from collections.abc import Sequence

import numpy as np

from pipeline.results.metric_table import MetricTable
from pipeline.units import printable

MOST_IMPORTANT = (("distance", "px"), ("NME", "%"), ("distance", "mm"), ("SDR 2 mm", "%"), ("OKS-AP", "%"))
NARROWEST = 6  # characters of a column
BOUNDS = ("95 % interval, from", "to")


def digits(name: str, unit: str) -> int:
    """The number of decimals with which a metric is shown."""
    return 1 if unit == "%" and name != "NME" else 2


def row_title(table: MetricTable, row: int) -> str:
    """What a row is about, in words."""
    after = {"source": " labels", "visibility": " keypoints"}
    return printable(table.rows[row]) + after.get(str(table.kinds[row]), "")


def text(table: MetricTable) -> str:
    """The table as text, without the rows of single keypoints."""
    shown = np.flatnonzero(table.kinds != "keypoint").tolist()
    titles = [row_title(table, row) for row in shown]
    width = max(map(len, (*titles, *BOUNDS))) + 4
    columns = [max(len(name), NARROWEST) + 2 for name in table.metrics.tolist()]

    def line(name: str, labels: str, cells: Sequence[str]) -> str:
        own = "".join(f"{cell:>{column}}" for cell, column in zip(cells, columns, strict=True))
        return f"{name:<{width}}{labels:>8}{own}"

    lines = [line("held-out samples", "labels", table.metrics.tolist()), line("", "", table.units.tolist())]
    for number, predictor in enumerate(table.predictors.tolist()):
        lines.append(predictor)
        for row, title in zip(shown, titles, strict=True):
            lines.append(line(f"  {title}", f"{table.labels[row]:,}", cells_of(table, table.values[number, row])))
            if row == number == 0:
                lines += [
                    line(f"    {word}", "", cells_of(table, bound)) for word, bound in zip(BOUNDS, table.interval[row].T, strict=True)
                ]
    return "\n".join([*lines, *notes(table)])


def notes(table: MetricTable) -> list[str]:
    """What a reader should know about the columns, a sentence for each."""
    found = ["Values in px are in pixels of the original images. The interval comes from a bootstrap over duplicate groups."]
    if length := str(table.length):
        found.append(f"NME and PCK divide distances by {length}.")
    return found


def headline(table: MetricTable) -> str:
    """The most important metrics of the first predictor over all keypoints, with their intervals."""
    cells = zip(*(cells_of(table, values) for values in (table.values[0, 0], *table.interval[0].T)), strict=True)
    named = zip(zip(table.metrics.tolist(), table.units.tolist(), strict=True), cells, strict=True)
    return ", ".join(
        f"{'mean distance' if name == 'distance' else name} {value} {unit} ({low} to {high})"
        for (name, unit), (value, low, high) in named
        if (name, unit) in MOST_IMPORTANT
    )


def cells_of(table: MetricTable, values: np.ndarray) -> list[str]:
    """The values (metric,) as text."""
    pairs = zip(table.metrics.tolist(), table.units.tolist(), values.tolist(), strict=True)
    return ["-" if np.isnan(value) else f"{value:.{digits(name, unit)}f}" for name, unit, value in pairs]
