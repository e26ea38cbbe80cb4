"""Labels that do not seem to be labels: numbers that mark missing ones, columns that are all alike, coordinates that are not in pixels.

A net learns them like any others. With -1 for each missing label of Kaggle's faces, the RMSE is twice as large, without any message. In
Kaggle's table no two faces have a label in common, and each column spans at least 37 of the 96 pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.keypoints.definition import KeypointSet
from pipeline.units import counted

# Certain: 5 % of a keypoint's labels are equal at a place on the border of the image or outside it, where few keypoints can be, or 20 % are
# equal elsewhere, as if a mean had been filled in. Labels that people set to whole pixels are equal in about 4 %: keypoints that scatter by
# 2 pixels in each direction are at the most frequent of them in 1 / (2 pi 2 * 2) of the images. Kaggle's, rounded, in up to 5.8 %.
SHARE_AT_BORDER, SHARE_INSIDE = 0.05, 0.2
FEWEST, FEWEST_INSIDE = 3, 5  # equal labels below which it may be chance
FEWEST_LABELS = 10  # of a column that spans only a few pixels
FEW_PIXELS = 1 / 48  # of the side: 2 pixels of 96
SMALLEST_SIDE = 16  # of images in which coordinates from -1 to 1 cannot be pixels
EMPTY = "Leave the cells of missing labels empty"


def check(label: str, keypoints: np.ndarray, keypointset: KeypointSet, *, side: int) -> None:
    """Raises InputError if labels float32 (n, K, 2) in pixels cannot be labels of images of this side; `label` names the file."""
    table = _Table(keypoints, keypointset, side)
    for fault in (table.unit(), table.marks(certain=True), table.narrow()):
        if fault:
            raise InputError(f"{label}{fault}")


def doubts(keypoints: np.ndarray, keypointset: KeypointSet, *, side: int) -> Iterator[str]:
    """Yields a sentence for each oddity of labels that passed `check`: it may be a mistake, but it may also be right."""
    table = _Table(keypoints, keypointset, side)
    for doubt in (table.marks(certain=False), table.repeated(), table.collapsed()):
        if doubt:
            yield doubt.removeprefix(", ")


@dataclass(frozen=True)
class _Equal:
    """What too many faces have in common.

    columns, value: the columns and what they contain, as text. count, labels: in how many rows, of how many that are labelled.
    certain: whether it can be nothing but a mistake.
    """

    columns: str
    value: str
    count: int
    labels: int
    certain: bool

    def __str__(self) -> str:
        return f"{self.columns}: {self.count:,} of {self.labels:,} labelled rows have {self.value}"


@dataclass(frozen=True)
class _Table:
    """Labels float32 (n, K, 2) in pixels of images of this side, NaN where missing. The methods describe a fault, or return ""."""

    keypoints: np.ndarray
    keypointset: KeypointSet
    side: int

    def unit(self) -> str:
        """Coordinates relative to the size of the image, from -1 to 1 or from 0 to 1."""
        values = self.keypoints[~np.isnan(self.keypoints)]
        if self.side < SMALLEST_SIDE or not len(values) or (np.abs(values) <= 1).mean() < 0.95 or np.ptp(values) == 0:
            return ""
        return (
            f": the coordinates are from {values.min():.3g} to {values.max():.3g}, so they do not seem to be pixels. "
            f"Convert them to pixels of the images, from 0 to {self.side}."
        )

    def marks(self, *, certain: bool) -> str:
        """Many labels of a keypoint at the same place."""
        found = [equal for equal in self._equal if equal.certain == certain]
        if not found:
            return ""
        others = f" (likewise {len(found) - 1} more)" if len(found) > 1 else ""
        meaning = "as if that marked or replaced missing labels" if certain else "which may mark missing labels"
        return f", {found[0]}{others}, {meaning}. {EMPTY}{'' if certain else ', if so'}."

    def narrow(self) -> str:
        """A column with all its labels within a few pixels."""
        for column, values in zip(self.keypointset.columns, self.keypoints.reshape(len(self.keypoints), -1).T, strict=True):
            known = values[~np.isnan(values)]
            if len(known) >= FEWEST_LABELS and (width := np.ptp(known)) <= FEW_PIXELS * self.side:
                return (
                    f", column {column}: all {len(known):,} labels are from {known.min():.4g} to {known.max():.4g}, within {width:.2g} px, "
                    f"so they do not seem to be labels. Check their unit and meaning. {EMPTY}."
                )
        return ""

    def repeated(self) -> str:
        """Many labels that are those of the row before, as if missing ones had been filled in from there."""
        same = (self.keypoints[1:] == self.keypoints[:-1]).all(axis=2).sum(axis=0)
        known = (~np.isnan(self.keypoints).any(axis=2)).sum(axis=0)
        many = np.flatnonzero((same >= FEWEST_LABELS) & (same > SHARE_INSIDE * known))
        if not len(many):
            return ""
        name, first = self.keypointset.names[many[0]], f"{same[many[0]]:,} of {known[many[0]]:,} labelled rows"
        others = f" (likewise {len(many) - 1} more)" if len(many) > 1 else ""
        filled = f"have the values of the row before{others}, as if these had been filled in"
        return f"columns {name}_x and {name}_y: {first} {filled}. {EMPTY}, if so."

    def collapsed(self) -> str:
        """Faces with all their labels at nearly the same place."""
        known, limit = ~np.isnan(self.keypoints).any(axis=2, keepdims=True), FEW_PIXELS * self.side
        extent = np.where(known, self.keypoints, -np.inf).max(axis=1) - np.where(known, self.keypoints, np.inf).min(axis=1)
        rows = np.flatnonzero((known.sum(axis=(1, 2)) >= 3) & (extent.max(axis=1) <= limit))
        if not len(rows):
            return ""
        which = f"{counted(len(rows), 'row')} (the first is row {rows[0] + 1}) {'has' if len(rows) == 1 else 'have'}"
        return f"{which} all labels within {limit:.2g} px. {EMPTY}, or correct them."

    @cached_property
    def _equal(self) -> list[_Equal]:
        """For each keypoint the place that too many faces have in common, or else the coordinate."""
        found: list[_Equal] = []
        for name, labels in zip(self.keypointset.names, np.swapaxes(self.keypoints, 0, 1), strict=True):
            both, columns = (
                self._same_place(name, labels),
                (self._same_coordinate(f"{name}_{axis}", labels[:, n]) for n, axis in enumerate("xy")),
            )
            found += [equal for equal in (both, *columns) if equal][:1]
        return found

    def _same_place(self, name: str, labels: np.ndarray) -> _Equal | None:
        known = labels[~np.isnan(labels).any(axis=1)]
        border = self._at_border(known).any(axis=1)
        for part, fewest, certain, doubtful in (
            (known[border], FEWEST, SHARE_AT_BORDER, 0.0),
            (known[~border], FEWEST_INSIDE, SHARE_INSIDE, SHARE_INSIDE / 2),
        ):
            place, count = _most_frequent(np.ascontiguousarray(part).view(np.complex64).ravel())
            if count >= fewest and count > doubtful * len(known):
                text = f"({place.real:g}, {place.imag:g})"
                return _Equal(f"columns {name}_x and {name}_y", text, count, len(known), count > certain * len(known))
        return None

    def _same_coordinate(self, column: str, values: np.ndarray) -> _Equal | None:
        """The most frequent value of a column outside the image, which is certain, or at its border, where labels may have been clipped."""
        known = values[~np.isnan(values)]
        value, count = _most_frequent(known[self._at_border(known)])
        if count < FEWEST or count <= SHARE_AT_BORDER * len(known):
            return None
        return _Equal(f"column {column}", f"{value:g}", count, len(known), bool(value < 0 or value > self.side))

    def _at_border(self, values: np.ndarray) -> np.ndarray:
        return (values <= 0) | (values >= self.side - 1)


def _most_frequent(values: np.ndarray) -> tuple[Any, int]:
    """The most frequent value and how often it occurs; None and 0 if there are no values."""
    if not len(values):
        return None, 0
    distinct, counts = np.unique(values, return_counts=True)
    most = int(counts.argmax())
    return distinct[most], int(counts[most])
