"""What is in a data set, in numbers: faces, labels, what is there more than once, what is not trained on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.data.dataset import Dataset


@dataclass(frozen=True)
class FaceCounts:
    """Those of a label source. complete: with every keypoint labelled, of training and validation."""

    source: str
    training: int
    validation: int
    test: int
    complete: int


@dataclass(frozen=True)
class Labels:
    """Those of a keypoint, by label source, as given; outliers, conflicts: those of them that are not trained on."""

    keypoint: str
    by_source: list[int]
    outliers: int
    conflicts: int


@dataclass(frozen=True)
class Counts:
    """copies: faces that repeat another one's image; twins: in how many `groups` how many faces are, and in the `largest`.

    dropped: labels that are not trained on, of how many faces.
    """

    faces: list[FaceCounts]
    labels: list[Labels]
    copies: int
    twins: int
    groups: int
    largest: int
    dropped: int
    dropped_faces: int


def counts(dataset: Dataset) -> Counts:
    """Counts faces, labels and duplicates."""
    sizes = np.bincount(dataset.duplicate_group)
    return Counts(
        faces=[_faces(dataset, number, name) for number, name in enumerate(dataset.source_names.tolist())],
        labels=[_labels(dataset, number, name) for number, name in enumerate(dataset.keypoint_names.tolist())],
        copies=len(dataset.copy) - len(np.unique(dataset.copy)),
        twins=int(sizes[sizes > 1].sum()),
        groups=int(np.sum(sizes > 1)),
        largest=int(sizes.max()),
        dropped=int(dataset.dropped.sum()),
        dropped_faces=int(dataset.dropped.any(axis=1).sum()),
    )


def _faces(dataset: Dataset, number: int, name: str) -> FaceCounts:
    ours = dataset.source == number
    parts = ours & ~dataset.validation, ours & dataset.validation, dataset.test_source == number, ours & dataset.complete
    return FaceCounts(name, *(int(part.sum()) for part in parts))


def _labels(dataset: Dataset, number: int, name: str) -> Labels:
    out, against = ((dataset.dropped & kind)[:, number].sum() for kind in (dataset.outlier, dataset.conflict))
    return Labels(name, dataset.labelled[:, number].tolist(), int(out), int(against))


def table(dataset: Dataset) -> str:
    """The counts as a table to print."""
    found = counts(dataset)
    return "\n".join([*_faces_table(found), "", *_labels_table(found), "", *_last_lines(found)])


def _faces_table(found: Counts) -> Iterator[str]:
    yield f"{'faces':<28}{'training':>11}{'validation':>11}{'test':>11}{'complete':>11}"
    for own in found.faces:
        yield _line(f"  {own.source}", [own.training, own.validation, own.test, own.complete])


def _labels_table(found: Counts) -> Iterator[str]:
    yield f"{'labels':<28}" + "".join(f"{own.source:>11}" for own in found.faces) + f"{'outliers':>11}{'conflicts':>11}"
    rows = [[*own.by_source, own.outliers, own.conflicts] for own in found.labels]
    for own, row in zip(found.labels, rows, strict=True):
        yield _line(f"  {own.keypoint}", row)
    yield _line("  all", [sum(column) for column in zip(*rows, strict=True)])


def _line(title: str, numbers: list[int]) -> str:
    return f"{title:<28}" + "".join(f"{number:>11,}" for number in numbers)


def _last_lines(found: Counts) -> Iterator[str]:
    yield f"exact copies: {found.copies:,} faces repeat another one's image"
    yield f"near twins: {found.twins:,} faces in {found.groups:,} groups, the largest of {found.largest}"
    yield f"not trained on: {found.dropped:,} labels of {found.dropped_faces:,} faces (outliers, conflicts)"
