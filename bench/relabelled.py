"""Writes other labels as a file of corrections, and a part of Kaggle's table as a folder of its own."""

import csv
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chain
import numpy as np

from pipeline.data import corrections
from pipeline.data.corrections import Change, LabelValue
from pipeline.data.dataset import Dataset
from pipeline.data.formats import archives
from pipeline.quality.suspects import OutOfFold
from pipeline.store.workspace import locks

TESTS = 2  # test faces of a part of Kaggle's table, because a folder must have some


@dataclass(frozen=True)
class Labels:
    """Other labels of some samples of a data set.

    rows: int (m,), indices of the samples. points: float (m, K, 2), pixels of the images, NaN for missing ones. chosen: bool (m, K), which
    of them are other labels. why: a remark for each sample.
    """

    rows: np.ndarray
    points: np.ndarray
    chosen: np.ndarray
    why: Sequence[str]


def unpredicted(faces: Dataset) -> OutOfFold:
    """The predictions for a data set for which nothing has been predicted."""
    return OutOfFold(np.zeros(0, int), np.zeros((0, *faces.keypoints.shape[1:])), None)


def write(file: Path, flags: list[str], faces: Dataset, labels: Labels) -> None:
    """Appends other labels to a file of corrections, whose values they replace. flags: those with which `faces` was loaded."""
    from pipeline.commands.review import _samples
    from pipeline.commands.support.doubts import _numbers

    with chain.task("Load", flags):
        samples: Any = _samples()
        names = {samples.name(number): number for number in range(len(samples))}
        rows = labels.rows
        origin = None if faces.origin is None else faces.origin.of(rows)
        numbers = _numbers(samples, names, faces.row[rows], origin, faces.source_names[faces.source[rows]])
        standing = corrections.read(file).by_place
        for at, keypoint in np.argwhere(labels.chosen).tolist():
            own, point = int(numbers[at]), labels.points[at, keypoint]
            place, original = samples.place(own, keypoint), samples.original(own, keypoint)
            old = standing[place].value if place in standing else original
            new = LabelValue() if np.isnan(point).any() else LabelValue.at(*samples.outwards(own, *point.tolist()))
            if not old.same(new):
                corrections.append(file, Change(place, old, new, why=labels.why[at]), original, _locked)


def _locked(file: Path) -> AbstractContextManager[None]:
    return locks.locked(file, lambda who: None)


def write_part(folder: Path, rows: np.ndarray, out: Path) -> None:
    """Writes rows of Kaggle's training table, counted from 0, as a folder with Kaggle's files, and the first test faces.

    Lines are copied as they are.
    """
    out.mkdir(parents=True, exist_ok=True)
    header, *lines = _lines(folder, "training")
    (out / "training.csv").write_bytes(header + b"".join(lines[row] for row in rows.tolist()))
    (out / "test.csv").write_bytes(b"".join(_lines(folder, "test")[: TESTS + 1]))
    header, *lines = _lines(folder, "IdLookupTable")
    column = next(csv.reader([header.decode()])).index("ImageId")
    wanted = [line for line in lines if int(next(csv.reader([line.decode()]))[column]) <= TESTS]
    (out / "IdLookupTable.csv").write_bytes(header + b"".join(wanted))


def _lines(folder: Path, stem: str) -> list[bytes]:
    """The lines of one of Kaggle's files, each with its end."""
    file = archives.find_file(folder, stem)
    if file is None:
        raise SystemExit(f"{folder} has no {stem}.csv or {stem}.zip.")
    lines = b"".join(archives.open_csv(file).blocks).splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines[-1] += b"\n"
    return lines
