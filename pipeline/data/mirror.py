"""Which keypoints exchange places in a mirrored image: guessed from their names, and believed only if the labels agree.

A wrong pair teaches wrong labels without any error, so a doubtful guess means that images are not mirrored at all.
"""

import re
from dataclasses import dataclass

import numpy as np

from pipeline.keypoints.file import NAME, Pairs
from pipeline.units import counted

FEWEST = 5  # labelled samples with which a guess can be verified
MOST = 2000  # samples that are looked at
# A true exchange of places makes mirrored samples fit the mean shape better than none by this factor, and nearly as well as the samples do.
BETTER, AS_GOOD = 0.8, 1.25

_REMEDY = f"Give pairs in {NAME} if they may be."

# Words and numbers in a name, divided by other signs and by capitals.
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# A part of a name that says left, and what it is on the other side; of one letter only where names are divided by capitals or other signs.
_OPPOSITES = {
    "left": "right",
    "l": "r",
    "lt": "rt",
    "lh": "rh",
    "lf": "rf",
    "lb": "rb",
    "lm": "rm",
    "fl": "fr",
    "hl": "hr",
    "bl": "br",
    "ml": "mr",
}
_SIDES = {**_OPPOSITES, **{right: left for left, right in _OPPOSITES.items()}}


@dataclass(frozen=True)
class Residuals:
    """Mean squared distances from the mean shape, after alignment, as a fraction of its size.

    plain: of the samples. mirrored: of mirrored samples. exchanged: of mirrored samples whose pairs have exchanged places. worst: of the
    pairs, the one that gains least by its exchange if all others are exchanged, as the quotient of its distances with and without.
    samples: their number.
    """

    plain: float
    mirrored: float
    exchanged: float
    samples: int

    @property
    def agree(self) -> bool:
        """Whether the pairs are true."""
        return self.samples >= FEWEST and self.exchanged <= min(BETTER * self.mirrored, AS_GOOD * self.plain)


def found(keypoints: np.ndarray, names: tuple[str, ...]) -> tuple[Pairs | None, str]:
    """The mirror pairs of a set, None if its images must not be mirrored, and a sentence that says how they are known or what is lacking.

    keypoints: (n, K, 2), pixels, NaN where not labelled.
    """
    pairs, alone = guessed(names)
    if not pairs:
        return None, f"Images are not mirrored, because no names of keypoints differ by left and right only. {_REMEDY}"
    if alone:
        return None, f"Images are not mirrored, because {alone[0]!r} has no partner on the other side. {_REMEDY}"
    fit = residuals(keypoints, names, pairs)
    if fit.samples < FEWEST:
        return None, f"Images are not mirrored, because too few samples have labels that could confirm mirror pairs. {_REMEDY}"
    one, other = pairs[0]
    if fit.agree:
        return (
            pairs,
            f"{counted(len(pairs), 'mirror pair')} by name, such as {one} and {other}, confirmed by {counted(fit.samples, 'sample')}.",
        )
    return (
        None,
        f"Images are not mirrored: the names suggest pairs such as {one} and {other}, but the labels do not confirm them. {_REMEDY}",
    )


def guessed(names: tuple[str, ...]) -> tuple[Pairs, tuple[str, ...]]:
    """The pairs of keypoints whose names differ only by the side, and the keypoints whose name has a side but that have no such partner.

    Numbers in names may differ, as in paw1LH and paw4RH, unless several keypoints would then have the same name.
    """
    partners: dict[str, str] = {}
    for numbers in (True, False):
        words = {name: _words(name, numbers=numbers) for name in names}
        by_words: dict[tuple[str, ...], list[str]] = {}
        for name, parts in words.items():
            by_words.setdefault(parts, []).append(name)
        for name, parts in words.items():
            other = by_words.get(tuple(_SIDES.get(part, part) for part in parts), [])
            if len(other) == len(by_words[parts]) == 1 and other[0] != name:
                partners[name] = other[0]
        if partners:
            break
    pairs = tuple((name, other) for name, other in partners.items() if names.index(name) < names.index(other))
    alone = (name for name in names if name not in partners and {part.lower() for part in _PART.findall(name)} & _SIDES.keys())
    return pairs, tuple(alone)


def _words(name: str, *, numbers: bool) -> tuple[str, ...]:
    """The words of a name in lower case, with "left" and "right" separated, as in leftear."""
    words = [
        word
        for part in _PART.findall(name)
        for word in re.findall(r"^(?:left|right)|(?:left|right)$|.+?(?=(?:left|right)?$)", part.lower())
    ]
    return tuple(word for word in words if numbers or not word.isdigit())


def residuals(keypoints: np.ndarray, names: tuple[str, ...], pairs: Pairs) -> Residuals:
    """How well samples fit their mean shape, plain, mirrored, and mirrored with pairs exchanged.

    keypoints: (n, K, 2), pixels, NaN where not labelled. Samples without a complete pair, with fewer than three labels, or with all labels
    at one place are left out, because they say nothing.
    """
    number = {name: index for index, name in enumerate(names)}
    order = np.arange(len(names))
    for one, other in pairs:
        order[[number[one], number[other]]] = number[other], number[one]
    known = np.isfinite(keypoints).all(axis=2)
    paired = (known & known[:, order] & (order != np.arange(len(names)))).any(axis=1)
    usable = keypoints[paired & (known.sum(axis=1) >= 3)]
    shapes = _normalised(usable[np.linspace(0, len(usable) - 1, min(len(usable), MOST)).astype(int)])
    if len(shapes) < FEWEST:
        return Residuals(0.0, 0.0, 0.0, len(shapes))
    mean = _mean(shapes)
    mirrored = shapes * [-1, 1]
    plain, without, exchanged = (_residual(each, mean) for each in (shapes, mirrored, mirrored[:, order]))
    return Residuals(plain, without, exchanged, len(shapes))


def _normalised(keypoints: np.ndarray) -> np.ndarray:
    """The samples with their centres at 0 and their keypoints at a mean squared distance of 1 from it."""
    if not len(keypoints):
        return keypoints
    points = keypoints - np.nanmean(keypoints, axis=1, keepdims=True)
    size = np.sqrt(np.nanmean(np.square(points).sum(axis=2), axis=1))
    return points[size > 1e-6] / size[size > 1e-6, None, None]


def _mean(shapes: np.ndarray, rounds: int = 5) -> np.ndarray:
    """The mean shape (K, 2): the generalised Procrustes analysis of Gower 1975, with keypoints missing."""
    known = np.isfinite(shapes).all(axis=2)
    mean = shapes[known.sum(axis=1).argmax()]
    for _ in range(rounds):
        aligned = _aligned(shapes, mean)
        counts = np.isfinite(aligned[..., 0]).sum(axis=0)
        total = np.nansum(aligned, axis=0)
        mean = np.where(counts[:, None] > 0, total / np.maximum(counts, 1)[:, None], np.nan)
        mean = mean - np.nanmean(mean, axis=0)
        mean = mean / np.sqrt(np.nanmean(np.square(mean).sum(axis=1)))
    return mean


def _aligned(shapes: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The samples (n, K, 2), rotated, scaled and moved to be as close as possible to the target (K, 2), on the keypoints of both."""
    z, aim = shapes[..., 0] + 1j * shapes[..., 1], np.broadcast_to(target[:, 0] + 1j * target[:, 1], shapes.shape[:2])
    both = np.isfinite(z) & np.isfinite(aim)
    count = np.maximum(both.sum(axis=1, keepdims=True), 1)
    centre, goal = (np.where(both, each, 0).sum(axis=1, keepdims=True) / count for each in (z, aim))
    moved, wanted = (np.where(both, each, 0) for each in (z - centre, aim - goal))
    size = np.square(np.abs(moved)).sum(axis=1, keepdims=True)
    factor = (wanted * moved.conj()).sum(axis=1, keepdims=True) / np.maximum(size, 1e-12)
    placed = (z - centre) * factor + goal
    return np.stack([placed.real, placed.imag], axis=2)


def _residual(shapes: np.ndarray, mean: np.ndarray) -> float:
    """The median over the samples of the mean squared distance from the mean shape."""
    squared = np.square(_aligned(shapes, mean) - mean).sum(axis=2)
    enough = np.isfinite(squared).sum(axis=1) >= 3
    return float(np.median(np.nanmean(squared[enough], axis=1))) if enough.any() else np.inf
