"""Labels of a set of the user's that do not seem to be labels: marks of missing ones, and coordinates that are not in pixels.

A net learns them like any others, see `pipeline.data.formats.placeholders`, which checks Kaggle's tables.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.formats.placeholders import FEWEST, FEWEST_INSIDE, SHARE_AT_BORDER, SHARE_INSIDE
from pipeline.data.labels import Instance
from pipeline.errors import InputError
from pipeline.units import printable

BORDER = 1.0  # pixels: labels so close to the border of their image, or outside of it, are few
# A keypoint that lies in a corner of some images lies near it in others: then labels in the corner may be right. Share of the longer side.
NEAR = 0.1
SHARE_OF_FRACTIONS = 0.95  # of the coordinates from -1 to 1, above which they are fractions of the image's size
SMALLEST_SIDE = 16  # of images in which coordinates from -1 to 1 cannot be pixels


@dataclass(frozen=True)
class Placed:
    """The labels of instances.

    names: the keypoints. given: float64 (n, K, 2), as the label files have them. keypoints: the same in pixels of the images. sizes:
    float64 (n, 2), width and height of each instance's image. instances: the n instances, for messages. way_out: what the label format
    says of missing keypoints, in a sentence.
    """

    names: Sequence[str]
    given: np.ndarray
    keypoints: np.ndarray
    sizes: np.ndarray
    instances: Sequence[Instance]
    way_out: str


def check(labels: Placed) -> list[str]:
    """Sentences about labels that may be wrong but may also be right. Raises InputError for those that can only be wrong."""
    _check_unit(labels)
    doubts = []
    for number in range(len(labels.names)):
        for sentence, is_certain in _repeated(labels, number):
            if is_certain:
                raise InputError(sentence)
            doubts.append(sentence)
    return doubts


def _check_unit(labels: Placed) -> None:
    values = labels.given[~np.isnan(labels.given)]
    if not len(values) or labels.sizes.min() < SMALLEST_SIDE or np.ptp(values) == 0:
        return
    if (np.abs(values) <= 1).mean() >= SHARE_OF_FRACTIONS:
        raise InputError(
            f"{_place(labels.instances[0])}: the coordinates of the set are from {values.min():.3g} to {values.max():.3g}, "
            "so they seem to be fractions of the image. Convert them to pixels."
        )


def _repeated(labels: Placed, number: int) -> Iterator[tuple[str, bool]]:
    """Yields a sentence about a keypoint with many labels at the same place, and whether these can only be marks of missing ones."""
    known = np.flatnonzero(~np.isnan(labels.given[:, number]).any(axis=1))
    points, sizes = labels.keypoints[known, number], labels.sizes[known]
    at_border = ((points <= BORDER) | (points >= sizes - BORDER)).any(axis=1)
    for part, fewest, share, can_be_certain in (
        (at_border, FEWEST, SHARE_AT_BORDER, True),
        (~at_border, FEWEST_INSIDE, SHARE_INSIDE, False),
    ):
        rows = known[part]
        if not len(rows):
            continue
        (x, y), count = Counter(map(tuple, labels.given[rows, number].tolist())).most_common(1)[0]
        if count < fewest or count <= share * len(known):
            continue
        same = (labels.given[known, number] == (x, y)).all(axis=1)
        others = np.linalg.norm(points[~same] - points[same][0], axis=1) / sizes[~same].max(axis=1)
        is_certain = can_be_certain and not (others < NEAR).any()
        yield (
            f"{_place(labels.instances[int(known[same][0])])}: {count:,} of {len(known):,} labels of {printable(labels.names[number])} are "
            f"at ({x:g}, {y:g}), {'as if that marked' if is_certain else 'which may mark'} missing ones. "
            f"{'Mark' if is_certain else 'If so, mark'} these as the label format does: {labels.way_out}",
            is_certain,
        )


def _place(instance: Instance) -> str:
    return printable(instance.place or instance.image)
