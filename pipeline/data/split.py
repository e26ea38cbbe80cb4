"""The division of labelled faces into a training part and a validation part."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.errors import InputError
from pipeline.units import counted


@dataclass(frozen=True)
class Splitting:
    """How labelled faces are divided into a training part and a validation part.

    validation_share: share of the faces that is held out, above 0 and up to 0.5; it is one of round(1 / validation_share) folds.
    fold: which of the folds is held out, counted from 0.
    twin_correlation: correlation above which two images are near duplicates and stay together, see `duplicates.groups`.
    faces: maximum number of training faces, sampled at random; 0 keeps all. The validation part does not depend on it.
    sequences: what is done with frames of videos: "auto", "blocks" or "random", see `pipeline.data.division`.
    seed: seed of the split and of the sample of faces.
    """

    validation_share: float
    fold: int
    twin_correlation: float
    faces: int
    sequences: str
    seed: int

    @property
    def folds(self) -> int:
        """The number of folds. Raises InputError if there is no such fold or no such share."""
        return _folds(self.validation_share, self.fold)


@dataclass(frozen=True)
class Division:
    """The division of n samples.

    group: int32 (n,), duplicate groups. validation: bool (n,). left_out: bool (n,), samples that are in neither part. notes: sentences on
    what has been found and done.
    """

    group: np.ndarray
    validation: np.ndarray
    left_out: np.ndarray
    notes: tuple[str, ...]


def split(
    source: np.ndarray, group: np.ndarray, *, validation_share: float, fold: int, seed: int, fixed: np.ndarray | None = None
) -> np.ndarray:
    """Chooses the faces that are held out: bool (n,), True for validation.

    No duplicate group is divided, and each annotation source has about the same share of the validation part. The faces are dealt into
    round(1 / validation_share) folds, of which `fold`, counted from 0, is the validation part; the other folds give other splits of the
    same deal.

    source: annotation source of each face, int8 (n,).
    group: duplicate group of each face, int32 (n,).
    fixed: int (n,), the fold of faces that are not dealt, equal for those of one group, and -1 for all others; None: all are dealt.

    Raises InputError if the faces cannot be split as requested.
    """
    folds = _folds(validation_share, fold)
    distinct, largest = len(np.unique(group)), np.bincount(source).max(initial=0)
    if min(distinct, largest) < folds:
        raise InputError(_too_few(validation_share, folds, distinct, largest, len(source)))
    validation = _deal(source, group, folds, seed, np.full(len(source), -1) if fixed is None else fixed) == fold
    if not 0 < validation.sum() < len(source):
        raise InputError(
            f"--Load-fold {fold} of {folds} would hold out {validation.sum():,} of {len(source):,} samples. Choose another fold."
        )
    return validation


def _too_few(share: float, folds: int, distinct: int, largest: int, samples: int) -> str:
    """That there are too few samples for so many folds, and the share that would do.

    distinct: the number of duplicate groups. largest: the number of samples of the annotation source that has most.
    """
    possible = min(distinct, largest)
    if distinct < samples and distinct <= largest:
        found = f"The {samples:,} samples form {counted(distinct, 'group')} of samples that belong together or are nearly the same"
    else:
        found = f"There {'is' if possible == 1 else 'are'} {counted(possible, 'distinct sample')} of one annotation source"
    other = f", or use --Load-validation-share {math.ceil(100 / possible) / 100:g}" if possible > 1 else ""
    return f"--Load-validation-share {share:g} divides the set into {folds} folds. {found}. Label more images{other}."


def _deal(source: np.ndarray, group: np.ndarray, folds: int, seed: int, fixed: np.ndarray) -> np.ndarray:
    """The fold of each face (n,), as dealt by sklearn.model_selection.StratifiedGroupKFold, which took a third of Load's time.

    Each group goes to the fold that leaves the sources most evenly spread over the folds, and among equal choices to the fold with the
    fewest faces. Groups with the most uneven sources come first, and before them those whose fold is fixed, see `split`.
    """
    _, source, faces = np.unique(source, return_inverse=True, return_counts=True)
    names, number = np.unique(group, return_inverse=True)
    counts = np.zeros((len(names), len(faces)))  # number of faces of each group by source
    np.add.at(counts, (number, source), 1)
    shuffled = np.random.RandomState(seed).permutation(len(names))
    order = shuffled[np.argsort(-np.std(counts[shuffled], axis=1), kind="stable")]
    dealt, fold_of, each = np.zeros((folds, len(faces))), np.full(len(names), -1), np.arange(folds)
    fold_of[number] = fixed
    for name in np.flatnonzero(fold_of >= 0):
        dealt[fold_of[name]] += counts[name]
    for name in order[fold_of[order] < 0]:
        options = np.repeat(dealt[None], folds, axis=0)  # the outcome of each choice
        options[each, each] += counts[name]
        fold_of[name] = best = _most_even(_unevenness(options / faces), dealt.sum(axis=1).tolist())
        dealt[best] += counts[name]
    return fold_of[number]


def _unevenness(shares: np.ndarray) -> list[float]:
    """The mean over the sources of numpy.std over the folds, for each option (o, folds, sources); bitwise equal but with less overhead."""
    deviations = shares - np.add.reduce(shares, axis=1, keepdims=True) / shares.shape[1]
    spread = np.sqrt(np.add.reduce(deviations * deviations, axis=1) / shares.shape[1])
    return (np.add.reduce(spread, axis=1) / spread.shape[1]).tolist()


def _most_even(unevenness: list[float], faces: list[float]) -> int:
    best = 0
    for fold in range(1, len(faces)):
        equal = abs(unevenness[fold] - unevenness[best]) <= 1e-8 + 1e-5 * unevenness[best]  # numpy.isclose
        if unevenness[fold] < unevenness[best] or (equal and faces[fold] < faces[best]):
            best = fold
    return best


def _folds(validation_share: float, fold: int) -> int:
    if not 0 < validation_share <= 0.5:
        raise InputError(f"validation-share is {validation_share:g}, but must be above 0 and at most 0.5.")
    folds = round(1 / validation_share)
    if not 0 <= fold < folds:
        raise InputError(f"fold is {fold}, but a validation-share of {validation_share:g} means folds 0 to {folds - 1}.")
    return folds
