"""Which keypoints exchange places in a mirrored image: guessed from their names, and believed only if the labels agree.

A wrong pair teaches wrong labels without any error, so a doubtful guess means that images are not mirrored at all.
"""

import re
from dataclasses import dataclass

import numpy as np

from pipeline.data.shapes import aligned, few, mean_shape, normalised
from pipeline.keypoints.file import NAME, Pairs
from pipeline.units import counted

FEWEST = 5  # labelled samples with which a guess can be verified
# A true exchange of places makes mirrored samples fit the mean shape better than none by this factor, and nearly as well as the samples do.
BETTER, AS_GOOD = 0.8, 1.25
EXACT = 1e-6  # a distance of a thousandth of the size, which is no difference

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
SIDES = {**_OPPOSITES, **{right: left for left, right in _OPPOSITES.items()}}


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
        return self.samples >= FEWEST and self.exchanged <= min(BETTER * self.mirrored, AS_GOOD * self.plain + EXACT)

    @property
    def is_symmetric(self) -> bool:
        """Whether mirrored samples look like others although nothing is exchanged."""
        return self.samples >= FEWEST and self.mirrored <= AS_GOOD * self.plain + EXACT


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
    such = f"pairs such as {pairs[0][0]} and {pairs[0][1]}"
    if not fit.agree:
        return None, f"Images are not mirrored: the names suggest {such}, but the labels do not confirm them. {_REMEDY}"
    return pairs, f"Images are mirrored: the names suggest {such}, and {counted(fit.samples, 'sample')} confirm them."


def known(keypoints: np.ndarray, names: tuple[str, ...], given: Pairs | None) -> tuple[Pairs | None, str]:
    """As `found`, but pairs that the label files give are preferred, if the labels confirm them; None if they give none.

    Many programs write into every file that there are no pairs, whatever it contains. That needs a confirmation, whereas pairs that too few
    samples could confirm are believed.
    """
    if given is None:
        return found(keypoints, names)
    fit = residuals(keypoints, names, given)
    if fit.samples < FEWEST and given:
        return given, "Mirror pairs are those of the label files."
    if _confirmed(fit, given):
        which = "Mirror pairs are those of the label files" if given else "A mirrored image exchanges no keypoints, as the label files say"
        return given, f"{which}, and {counted(fit.samples, 'sample')} confirm it."
    own, why = found(keypoints, names)
    return own, f"The mirror pairs of the label files are not used, because the labels do not confirm them. {why}"


def doubt(keypoints: np.ndarray, names: tuple[str, ...], pairs: Pairs) -> str:
    """A sentence if the labels contradict the pairs of keypoints.toml, which count nevertheless; otherwise ""."""
    fit = residuals(keypoints, names, pairs)
    if fit.samples < FEWEST or _confirmed(fit, pairs):
        return ""
    what = "the mirror pairs" if pairs else "that a mirrored image exchanges no keypoints, as"
    says = f"of {NAME}" if pairs else f"{NAME} says"
    return f"The labels do not confirm {what} {says}; {counted(fit.samples, 'sample')} would differ from mirrored ones."


def _confirmed(fit: Residuals, pairs: Pairs) -> bool:
    return fit.agree if pairs else fit.is_symmetric


def guessed(names: tuple[str, ...]) -> tuple[Pairs, tuple[str, ...]]:
    """The pairs of keypoints whose names differ only by the side, and the keypoints whose name has a side but that have no such partner.

    Numbers in names may differ, as in paw1LH and paw4RH, unless several keypoints would then have the same name.
    """
    partners: dict[str, str] = {}
    for numbers in (True, False):
        divided = {name: words(name, numbers=numbers) for name in names}
        by_words: dict[tuple[str, ...], list[str]] = {}
        for name, parts in divided.items():
            by_words.setdefault(parts, []).append(name)
        for name, parts in divided.items():
            other = by_words.get(tuple(SIDES.get(part, part) for part in parts), [])
            if len(other) == len(by_words[parts]) == 1 and other[0] != name:
                partners[name] = other[0]
        if partners:
            break
    pairs = tuple((name, other) for name, other in partners.items() if names.index(name) < names.index(other))
    alone = (name for name in names if name not in partners and {part.lower() for part in _PART.findall(name)} & SIDES.keys())
    return pairs, tuple(alone)


def words(name: str, *, numbers: bool) -> tuple[str, ...]:
    """The words of a name in lower case, with "left" and "right" separated, as in leftear."""
    parts = [
        word
        for part in _PART.findall(name)
        for word in re.findall(r"^(?:left|right)|(?:left|right)$|.+?(?=(?:left|right)?$)", part.lower())
    ]
    return tuple(word for word in parts if numbers or not word.isdigit())


def residuals(keypoints: np.ndarray, names: tuple[str, ...], pairs: Pairs) -> Residuals:
    """How well samples fit their mean shape, plain, mirrored, and mirrored with pairs exchanged.

    keypoints: (n, K, 2), pixels, NaN where not labelled. Samples without a complete pair, if there are pairs, with fewer than three labels,
    or with all labels at one place are left out, because they say nothing.
    """
    number = {name: index for index, name in enumerate(names)}
    order = np.arange(len(names))
    for one, other in pairs:
        order[[number[one], number[other]]] = number[other], number[one]
    known = np.isfinite(keypoints).all(axis=2)
    paired = (known & known[:, order] & (order != np.arange(len(names)))).any(axis=1)
    usable = keypoints[(paired if pairs else True) & (known.sum(axis=1) >= 3)]
    shapes = normalised(few(usable))
    if len(shapes) < FEWEST:
        return Residuals(0.0, 0.0, 0.0, len(shapes))
    mean = mean_shape(shapes)
    mirrored = shapes * [-1, 1]
    plain, without, exchanged = (_residual(each, mean) for each in (shapes, mirrored, mirrored[:, order]))
    return Residuals(plain, without, exchanged, len(shapes))


def _residual(shapes: np.ndarray, mean: np.ndarray) -> float:
    """The median over the samples of the mean squared distance from the mean shape."""
    squared = np.square(aligned(shapes, mean) - mean).sum(axis=2)
    enough = np.isfinite(squared).sum(axis=1) >= 3
    return float(np.median(np.nanmean(squared[enough], axis=1))) if enough.any() else np.inf
