"""Corrected values in Kaggle's training table, line by line: its images are most of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pipeline.data import corrected
from pipeline.data.amending.edits import shown
from pipeline.data.corrections import Corrections
from pipeline.data.formats import archives, kaggle
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Collector


def write(table: Path, out: Path, keypointset: KeypointSet, side: int, corrections: Corrections) -> None:
    """Writes a training table, plain or zipped, as the file `out`, in which nothing but the corrected values differs.

    side: width and height of its images, pixels. Raises InputError for a table or corrections that cannot be used, and RuntimeError if what
    is written are not the corrected labels.
    """
    wanted = corrected.of_faces(kaggle.read_training(table, keypointset, side=side, images=Collector(0)), keypointset, corrections)
    cells: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for place, found in corrections.effective.items():
        for axis, value in zip("xy", (found.value.x, found.value.y), strict=True):
            cells[int(place.image)][f"{place.keypoint}_{axis}"] = "" if value is None else shown(value)
    with out.open("wb") as file:
        file.writelines(_amended(_lines(archives.open_csv(table).blocks), cells))
    written = kaggle.read_training(out, keypointset, side=side, images=Collector(0))
    if not np.allclose(written.keypoints, wanted.keypoints, rtol=0, atol=1e-4, equal_nan=True):
        raise RuntimeError("other labels are read from the table that was written")


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a file with their ends, which are LF, or CR in files without any LF."""
    rest, end = b"", b""
    for block in blocks:
        rest += block
        end = end or (b"\n" if b"\n" in rest else b"")
        if end:
            *lines, rest = rest.split(end)
            yield from (line + end for line in lines)
    if rest:
        yield from ([rest] if end else rest.splitlines(keepends=True))


def _amended(lines: Iterator[bytes], cells: dict[int, dict[str, str]]) -> Iterator[bytes]:
    """The lines of a table with other cells. cells: by row, from 1, and column."""
    header = next(lines)
    yield header
    names = [name.strip().strip('"') for name in header.decode("utf-8-sig").rstrip("\r\n").split(",")]
    for row, line in enumerate(lines, start=1):
        if row not in cells:
            yield line
            continue
        content = line.rstrip(b"\r\n")
        fields = content.split(b",")
        for name, text in cells[row].items():
            fields[names.index(name)] = text.encode()
        yield b",".join(fields) + line[len(content) :]
