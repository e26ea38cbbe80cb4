"""Mistakes as people and programs make them in labels, made on purpose.

They serve to learn what wrong labels look like, and to test whether wrong labels are found.

Coordinates are fractions of the side of a sample, x then y, NaN where not labelled.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SINGLE = (0.05, 0.1)  # how far a single label is shifted
WHOLE = (0.05, 0.15)  # range of the distance by which a whole shape is shifted
JITTER = (0.04, 0.08)  # range of the standard deviation of noise
NEIGHBOUR = (0.15, 0.6)  # range of the distance of another object
SIZE = 1.5  # of another object: by at most this factor larger or smaller
OUTSIDE = 0.25  # how far outside the sample labels of another object are at most
SCALING = (1.15, 1.5)  # range of the factor of one axis, or its inverse
LEAST = 1e-6  # a label that moves less is not wrong


@dataclass(frozen=True)
class Mistaken:
    """A sample with a mistake in its labels.

    labels: float (K, 2), with the mistake. wrong: bool (K,), which labels are wrong. size: float (K,), how far they are from where they
    were; NaN where there was no label.
    """

    labels: np.ndarray
    wrong: np.ndarray
    size: np.ndarray


@dataclass(frozen=True)
class Victim:
    """A sample in which a mistake is made.

    labels: float (K, 2). other: float (K, 2), the labels of another image. mirror: for each keypoint the one that takes its place in a
    mirrored image; None if none are exchanged.
    """

    labels: np.ndarray
    other: np.ndarray
    mirror: tuple[int, ...] | None

    @property
    def known(self) -> np.ndarray:
        """The labelled keypoints, by their numbers."""
        return np.flatnonzero(~np.isnan(self.labels).any(axis=1))


def _direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def _sides_exchanged(victim: Victim, rng: np.random.Generator) -> np.ndarray | None:
    return None if victim.mirror is None else victim.labels[list(victim.mirror)]


def _two_exchanged(victim: Victim, rng: np.random.Generator) -> np.ndarray | None:
    if len(victim.known) < 2:
        return None
    labels, pair = victim.labels.copy(), rng.choice(victim.known, 2, replace=False)
    labels[pair] = labels[pair[::-1]]
    return labels


def _one_shifted(distance: float) -> Callable[[Victim, np.random.Generator], np.ndarray]:
    def shifted(victim: Victim, rng: np.random.Generator) -> np.ndarray:
        labels = victim.labels.copy()
        labels[rng.choice(victim.known)] += distance * _direction(rng)
        return labels

    return shifted


def _at_zero(victim: Victim, rng: np.random.Generator) -> np.ndarray:
    labels = victim.labels.copy()
    labels[rng.choice(victim.known)] = 0
    return labels


def _of_another(victim: Victim, rng: np.random.Generator) -> np.ndarray:
    return np.where(np.isnan(victim.labels), np.nan, victim.other)


def _one_axis_scaled(victim: Victim, rng: np.random.Generator) -> np.ndarray:
    factor, axis = rng.uniform(*SCALING) ** rng.choice([-1, 1]), rng.integers(2)
    labels = victim.labels.copy()
    labels[:, axis] = 0.5 + factor * (labels[:, axis] - 0.5)
    return labels


def _jitter(victim: Victim, rng: np.random.Generator) -> np.ndarray:
    return victim.labels + rng.normal(0, rng.uniform(*JITTER), victim.labels.shape)


def _all_shifted(victim: Victim, rng: np.random.Generator) -> np.ndarray:
    return victim.labels + rng.uniform(*WHOLE) * _direction(rng)


def _on_a_neighbour(victim: Victim, rng: np.random.Generator) -> np.ndarray:
    """Labels of another object beside the sample's own, with the same pose."""
    centre, size = np.nanmean(victim.labels, axis=0), SIZE ** rng.uniform(-1, 1)
    moved = centre + size * (victim.labels - centre) + rng.uniform(*NEIGHBOUR) * _direction(rng)
    return np.clip(moved, -OUTSIDE, 1 + OUTSIDE)


def _in_the_centre(victim: Victim, rng: np.random.Generator) -> np.ndarray:
    labels = victim.labels.copy()
    missing = np.flatnonzero(np.isnan(labels).any(axis=1))
    labels[rng.choice(missing if len(missing) else victim.known)] = 0.5
    return labels


def _mirrored(victim: Victim, rng: np.random.Generator) -> np.ndarray:
    """Labels of the mirrored image: to nets that mirror their samples, it is the same whether the image or the labels are mirrored."""
    flipped = np.stack([1 - victim.labels[:, 0], victim.labels[:, 1]], axis=1)
    return flipped if victim.mirror is None else flipped[list(victim.mirror)]


KINDS: dict[str, Callable[[Victim, np.random.Generator], np.ndarray | None]] = {
    "left and right exchanged": _sides_exchanged,
    "two keypoints exchanged": _two_exchanged,
    "one keypoint shifted by 5 %": _one_shifted(SINGLE[0]),
    "one keypoint shifted by 10 %": _one_shifted(SINGLE[1]),
    "one keypoint at 0, 0": _at_zero,
    "labels of another image": _of_another,
    "image mirrored, labels not": _mirrored,
    "one axis scaled": _one_axis_scaled,
    "jitter": _jitter,
    "all keypoints shifted": _all_shifted,
    "labels of a neighbour": _on_a_neighbour,
    "missing keypoint in the centre": _in_the_centre,
}


def make(kind: str, victim: Victim, rng: np.random.Generator) -> Mistaken | None:
    """The sample with a mistake of this kind, one of KINDS; None if the sample cannot have it.

    `left and right exchanged` needs mirror pairs, `two keypoints exchanged` two labels. A label is wrong if it has moved, or if there was
    none.
    """
    labels = KINDS[kind](victim, rng)
    if labels is None:
        return None
    size = np.linalg.norm(labels - victim.labels, axis=1)
    wrong = ~np.isnan(labels).any(axis=1) & ~(size <= LEAST)
    return Mistaken(labels, wrong, np.where(wrong, size, np.nan)) if wrong.any() else None
