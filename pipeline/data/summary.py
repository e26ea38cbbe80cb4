"""The content of a data set in numbers: faces, labels, duplicates, and labels that are not used for training."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.data.dataset import Dataset
from pipeline.data.testset import UnlabelledSamples


@dataclass(frozen=True)
class FaceCounts:
    """Numbers of faces of an annotation source. `complete` counts the labelled faces that have a label for every keypoint."""

    source: str
    training: int
    validation: int
    test: int
    complete: int


@dataclass(frozen=True)
class LabelCounts:
    """Numbers of labels of a keypoint: as given, by annotation source, and those not used for training because of the two rules."""

    keypoint: str
    by_source: list[int]
    outliers: int
    conflicts: int


@dataclass(frozen=True)
class Counts:
    """The numbers of a data set.

    copies: faces whose image is identical to that of an earlier face.
    twins: faces in duplicate groups of more than one face; `groups` is the number of these, `largest` the size of the largest.
    dropped: labels that are not used for training; `dropped_faces` is the number of faces that have such labels.
    """

    faces: list[FaceCounts]
    labels: list[LabelCounts]
    copies: int
    twins: int
    groups: int
    largest: int
    dropped: int
    dropped_faces: int


def counts(dataset: Dataset, test: UnlabelledSamples | None = None) -> Counts:
    """Counts faces, labels and duplicates. test: the samples to predict, if they are known."""
    sizes = np.bincount(dataset.duplicate_group)
    return Counts(
        faces=[_faces(dataset, test, number, name) for number, name in enumerate(dataset.source_names.tolist())],
        labels=[_labels(dataset, number, name) for number, name in enumerate(dataset.keypoint_names.tolist())],
        copies=len(dataset.copy) - len(np.unique(dataset.copy)),
        twins=int(sizes[sizes > 1].sum()),
        groups=int(np.sum(sizes > 1)),
        largest=int(sizes.max()),
        dropped=int(dataset.dropped.sum()),
        dropped_faces=int(dataset.dropped.any(axis=1).sum()),
    )


def _faces(dataset: Dataset, test: UnlabelledSamples | None, number: int, name: str) -> FaceCounts:
    ours, to_predict = dataset.source == number, np.zeros(0, bool) if test is None else test.source == number
    parts = ours & ~dataset.validation, ours & dataset.validation, to_predict, ours & dataset.complete
    return FaceCounts(name, *(int(part.sum()) for part in parts))


def _labels(dataset: Dataset, number: int, name: str) -> LabelCounts:
    out, against = ((dataset.dropped & kind)[:, number].sum() for kind in (dataset.outlier, dataset.conflict))
    return LabelCounts(name, dataset.labelled[:, number].tolist(), int(out), int(against))


def lines(dataset: Dataset) -> list[str]:
    """What the log says of a data set: the notes on its division, and the table of its counts."""
    return [*([] if dataset.notes is None else dataset.notes.tolist()), f"\n{table(dataset)}"]


def table(dataset: Dataset) -> str:
    """The counts as a table of text, for the log."""
    found = counts(dataset)
    return "\n".join([*_faces_table(found), "", *_labels_table(found), "", *_last_lines(found)])


def _faces_table(found: Counts) -> Iterator[str]:
    yield f"{'samples':<28}{'training':>11}{'validation':>11}{'complete':>11}"
    for own in found.faces:
        yield _line(f"  {own.source}", [own.training, own.validation, own.complete])


def _labels_table(found: Counts) -> Iterator[str]:
    yield f"{'labels':<28}" + "".join(f"{own.source:>11}" for own in found.faces) + f"{'outliers':>11}{'conflicts':>11}"
    rows = [[*own.by_source, own.outliers, own.conflicts] for own in found.labels]
    for own, row in zip(found.labels, rows, strict=True):
        yield _line(f"  {own.keypoint}", row)
    yield _line("  all", [sum(column) for column in zip(*rows, strict=True)])


def _line(title: str, numbers: list[int]) -> str:
    return f"{title:<28}" + "".join(f"{number:>11,}" for number in numbers)


def _last_lines(found: Counts) -> Iterator[str]:
    yield f"identical images: {found.copies:,} samples repeat the image of an earlier one"
    yield f"near duplicates: {found.twins:,} samples in {found.groups:,} groups, of up to {found.largest}"
    yield f"not used for training: {found.dropped:,} labels of {found.dropped_faces:,} samples (outliers, conflicts)"
