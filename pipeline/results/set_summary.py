"""A keypoint set of the user's in words: the facts, tables and problems that a terminal and a page show."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from pipeline.data import filenames, problems
from pipeline.data.filenames import NameGroups
from pipeline.data.likeness import Likeness
from pipeline.data.overview import Overview
from pipeline.results.style import words
from pipeline.units import counted, printable

MOST_NAMES, MOST_FILES = 8, 3  # in a line
MOST_EQUAL = 8  # rows of a table for a terminal, one after another
_MODES = {"1": "black and white", "L": "grey", "LA": "grey", "P": "palette", "RGB": "colour", "RGBA": "colour", "CMYK": "CMYK", "F": "grey"}


@dataclass(frozen=True)
class SetSummary:
    """What a page and a terminal show of a set. mirror: how its mirror pairs are known, in a sentence."""

    overview: Overview
    likeness: Likeness
    mirror: str

    @cached_property
    def groupings(self) -> list[NameGroups]:
        """The ways to group the labelled images by their names; a series only if its images resemble their neighbours."""
        found = filenames.groupings(self.overview.labelled)
        return [own for own in found if own.kind != "series" or self.likeness.neighbours_alike(own.members())]

    @property
    def notes(self) -> list[str]:
        """How the files were understood, a sentence for each, apart from the mirror pairs."""
        return [note for note in self.overview.definition.notes if note != self.mirror]

    @cached_property
    def problems(self) -> list[str]:
        """A sentence for each problem and its cure."""
        series = next((own for own in self.groupings if own.kind == "series"), None)
        return problems.problems(self.overview, self.likeness, series)

    @cached_property
    def facts(self) -> dict[str, str]:
        """What the set consists of, by titles of one or two words."""
        labels = self.overview.labels
        return {
            "format": f"{labels.format}: {_files(labels.files)}",
            "images": self._images(),
            "size": self._size(),
            "instances": self._instances(),
            "keypoints": f"{len(labels.names)}: {_listed(labels.names)}",
            "skeleton": f"{counted(len(self._skeleton), 'line')}" if self._skeleton else "none",
            "mirror pairs": self.mirror,
            **({"annotators": self._annotators()} if self.overview.sources else {}),
            "duplicates": self._duplicates(),
            "division": self._division(),
        }

    @property
    def _skeleton(self) -> tuple[tuple[str, str], ...]:
        own = self.overview.definition.keypointset
        return own.skeleton if own else self.overview.labels.skeleton

    def _images(self) -> str:
        overview = self.overview
        text = f"{len(overview.labelled):,} labelled, {len(overview.empty):,} empty, {len(overview.definition.test):,} to predict"
        text += f" ({overview.held_back:,} with labels, which are not trained on)" if overview.held_back else ""
        return text + (f", {len(overview.unreadable):,} that cannot be read" if overview.unreadable else "")

    def _size(self) -> str:
        sizes = Counter(self.overview.sizes.values())
        if not sizes:
            return "unknown"
        (width, height), count = sizes.most_common(1)[0]
        modes = Counter(_MODES.get(mode, "16 bits" if mode.startswith("I") else mode) for mode in self.likeness.modes)
        pixels = ", ".join(name for name, _ in modes.most_common())
        if len(sizes) == 1:
            return f"{width:,} x {height:,}" + (f", {pixels}" if pixels else "")
        every = np.array(list(sizes))
        low, high = every.min(axis=0), every.max(axis=0)
        most = f", mostly {width:,} x {height:,}" if count > 0.5 * sizes.total() else ""
        return f"{low[0]:,} x {low[1]:,} to {high[0]:,} x {high[1]:,}{most}" + (f", {pixels}" if pixels else "")

    def _instances(self) -> str:
        counts = self.overview.instances
        total = sum(number * images for number, images in counts.items())
        if set(counts) <= {1}:
            return f"{total:,}, one in each labelled image"
        first = list(counts.items())[:3]
        each = ", ".join(f"{number} in {counted(images, 'image')}" for number, images in first)
        return f"{total:,}: {each}{f', up to {max(counts)} in one' if len(counts) > len(first) else ''}"

    def _annotators(self) -> str:
        names = ", ".join(map(printable, self.overview.sources))
        distance = self.overview.disagreement
        return names + ("" if np.isnan(distance) else f"; half of their labels are within {distance:.3g} px of each other")

    def _duplicates(self) -> str:
        looked = len(self.likeness.names)
        sample = f" among {looked:,} of {self.likeness.of:,} images" if looked < self.likeness.of else ""
        near = sum(map(len, self.likeness.near))
        if not near:
            return f"none{sample}"
        copies = sum(len(own) - 1 for own in self.likeness.copies)
        return f"{near:,} images in {counted(len(self.likeness.near), 'group')} of near duplicates{sample}, {copies:,} identical"

    def _division(self) -> str:
        parts = self.overview.parts
        if parts:
            return "given: " + ", ".join(f"{count:,} {part}" for part, count in parts.items())
        own = [way(grouping) for grouping in self.groupings]
        if max(self.overview.instances, default=0) > 1:
            own.append("instances of an image stay together")
        return "; ".join(own) or "each image for itself: the names do not say which images belong together"


def way(grouping: NameGroups) -> str:
    """A way to divide images without a leak, in words."""
    name, size = grouping.largest
    what = {"folder": "folder", "series": "numbered series of frames", "prefix": "photograph or person"}[grouping.kind]
    return f"by {what}: {counted(grouping.count, 'group')}, the largest {printable(name) or '.'} with {size:,} images"


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(map(printable, names[:MOST_NAMES])) + (f" and {more:,} more" if more > 0 else "")


def _files(names: tuple[str, ...]) -> str:
    return _listed(names) if len(names) <= MOST_FILES else f"{len(names):,} label files, the first {printable(names[0])}"


def text(summary: SetSummary) -> str:
    """The summary as text for a terminal."""
    facts, table = summary.facts, summary.overview.table
    lines = [f"{title:<13} {value}" for title, value in facts.items()]
    width = max(map(len, ("keypoint", *map(printable, table.names))))
    columns = {"labels": table.labelled, "missing": table.missing, "occluded": table.occluded, "suspicious": table.suspicious}
    lines += ["", f"{'keypoint':<{width}}" + "".join(f"{title:>12}" for title in columns)]
    rows = np.stack(list(columns.values()), axis=1)
    for first, last in _alike(rows):
        for number in dict.fromkeys((first, last)):
            lines.append(f"{printable(table.names[number]):<{width}}" + "".join(f"{count:>12,}" for count in rows[number]))
        if last - first > 1:
            lines.insert(-1, f"... {last - first - 1:,} more with the same numbers")
    if summary.notes:
        lines += ["", *(f"Note: {note}" for note in summary.notes)]
    lines += ["", *(f"Problem: {problem}" for problem in summary.problems)] if summary.problems else ["", "No problems were found."]
    return "\n".join(lines)


def _alike(rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields the first and the last of rows that are shown together: each for itself, but runs of many equal ones."""
    changes = np.flatnonzero(np.diff(rows, axis=0).any(axis=1)) + 1
    for first, end in pairwise([0, *changes.tolist(), len(rows)]):
        if end - first > MOST_EQUAL:
            yield first, end - 1
        else:
            yield from ((number, number) for number in range(first, end))


def side_of(name: str, mirror: tuple[tuple[str, str], ...] | None) -> str:
    """On which side of its mirror pair a keypoint is: "one", "other", or "middle" if it has no pair."""
    for one, other in mirror or ():
        if name in (one, other):
            return "one" if name == one else "other"
    return "middle"


def title(name: str) -> str:
    """The name of a keypoint as a page shows it."""
    return words(printable(name))
