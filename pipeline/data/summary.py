"""The content of a data set in numbers: faces, labels, duplicates, and labels that are not used for training."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.data.dataset import Dataset
from pipeline.data.testset import UnlabelledSamples
from pipeline.units import counted, printable


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
class ImageCounts:
    """Numbers of images of an own set.

    images: all of them. annotated: those that several annotation sources label. several: those with several instances. repeated: those that
    are identical with an earlier one. grouped: those in groups of near duplicates or of images that the user keeps together; `groups` is
    the number of these, `largest` the size of the largest.
    """

    images: int
    annotated: int
    several: int
    repeated: int
    grouped: int
    groups: int
    largest: int

    @property
    def sentences(self) -> list[str]:
        """What the split keeps together."""
        found = []
        if self.annotated:
            found.append(f"{self._of(self.annotated)} labelled by several annotation sources, whose samples of one image stay together.")
        if self.several:
            has = self._of(self.several).removesuffix(" are").removesuffix(" is")
            found.append(f"{has} {'has' if self.several == 1 else 'have'} several instances, which stay together.")
        if self.repeated:
            found.append(f"{counted(self.repeated, 'image')} {'repeats' if self.repeated == 1 else 'repeat'} an earlier one.")
        if self.grouped:
            groups = f"{counted(self.groups, 'group')} of up to {counted(self.largest, 'image')}"
            found.append(f"{self.grouped:,} images are near duplicates or belong together: {groups}, which are not divided.")
        else:
            found.append("No image is nearly the same as another one or belongs to a group of images.")
        return found

    def _of(self, count: int) -> str:
        if count == self.images:
            return f"All {count:,} images are" if count > 1 else "The only image is"
        return f"{count:,} of {self.images:,} images {'is' if count == 1 else 'are'}"


@dataclass(frozen=True)
class Counts:
    """The numbers of a data set.

    of_images: those of the images of an own set; None for Kaggle's faces, of which each has its own image.
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
    of_images: ImageCounts | None


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
        of_images=_images(dataset, dataset.origin.image) if dataset.origin else None,
    )


def _images(dataset: Dataset, names: np.ndarray) -> ImageCounts:
    """Counts images. names: those of the samples' images."""
    every, first, image = np.unique(names, return_index=True, return_inverse=True)
    by_source = np.unique(np.stack([image, dataset.source]), axis=1, return_counts=True)
    (labelled, _), instances = by_source
    same = np.unique(np.stack([dataset.copy, image]), axis=1)  # sorted by copy
    repeats = same[1, 1:][same[0, 1:] == same[0, :-1]]
    sizes = np.bincount(dataset.duplicate_group[first])
    return ImageCounts(
        images=len(every),
        annotated=int(np.sum(np.bincount(labelled) > 1)),
        several=len(np.unique(labelled[instances > 1])),
        repeated=len(np.unique(repeats)),
        grouped=int(sizes[sizes > 1].sum()),
        groups=int(np.sum(sizes > 1)),
        largest=int(sizes.max()),
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
    return [*([] if dataset.notes is None else dataset.notes.tolist()), *_unbalanced(dataset), f"\n{table(dataset)}"]


def _unbalanced(dataset: Dataset) -> Iterator[str]:
    """Warnings of annotation sources that one of the parts lacks."""
    for own in counts(dataset).faces if dataset.origin else ():
        part, why = ("training", "nothing is learned of it") if own.validation else ("validation", "errors on it are not known")
        if (own.training == 0) != (own.validation == 0):
            which = f"{printable(own.source)} ({counted(own.training + own.validation, 'sample')})"
            yield f"warning: the {part} part has no sample of the annotation source {which}, so that {why}. Label more images of it."


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
    if found.of_images:
        yield from found.of_images.sentences
    else:
        yield f"identical images: {found.copies:,} samples repeat the image of an earlier one"
        yield f"near duplicates: {found.twins:,} samples in {found.groups:,} groups, of up to {found.largest}"
    yield f"not used for training: {found.dropped:,} labels of {found.dropped_faces:,} samples (outliers, conflicts)"
