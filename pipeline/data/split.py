"""Which faces are held out for validation."""

import numpy as np

from pipeline.errors import InputError


def split(source: np.ndarray, group: np.ndarray, *, validation_share: float, fold: int, seed: int) -> np.ndarray:
    """Which faces are held out: no duplicate group on both sides, the sources in equal shares.

    source int8 (n,), group int32 (n,) -> bool (n,), True = validation. The faces are dealt into round(1 / validation_share) folds; `fold`,
    from 0, is the validation part, so that the other folds give other splits of the same deal.
    Raises InputError where the numbers cannot be met.
    """
    folds = _folds(validation_share, fold)
    distinct, largest = len(np.unique(group)), np.bincount(source).max(initial=0)
    if min(distinct, largest) < folds:
        raise InputError(
            f"A validation share of {validation_share:g} makes {folds} folds and needs as many different faces of one label source, the "
            f"training table has {distinct} different faces and at most {largest} of one source: give more faces or a larger "
            f"validation-share."
        )
    validation = _deal(source, group, folds, seed) == fold
    if not 0 < validation.sum() < len(source):
        raise InputError(f"Fold {fold} of {folds} has {validation.sum()} of {len(source)} faces: choose another fold or validation-share.")
    return validation


def _deal(source: np.ndarray, group: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Number of the fold of each face (n,): as sklearn.model_selection.StratifiedGroupKFold deals, which took a third of Load's time.

    Group by group, those first whose sources are most uneven, to the fold that leaves each source most evenly spread over the folds; among
    equals to the one with the fewest faces.
    """
    _, source, faces = np.unique(source, return_inverse=True, return_counts=True)
    names, number = np.unique(group, return_inverse=True)
    counts = np.zeros((len(names), len(faces)))  # of each group, by source
    np.add.at(counts, (number, source), 1)
    shuffled = np.random.RandomState(seed).permutation(len(names))
    order = shuffled[np.argsort(-np.std(counts[shuffled], axis=1), kind="stable")]
    dealt, fold_of, each = np.zeros((folds, len(faces))), np.empty(len(names), int), np.arange(folds)
    for name in order:
        options = np.repeat(dealt[None], folds, axis=0)  # what each choice would lead to
        options[each, each] += counts[name]
        fold_of[name] = best = _most_even(_unevenness(options / faces), dealt.sum(axis=1).tolist())
        dealt[best] += counts[name]
    return fold_of[number]


def _unevenness(shares: np.ndarray) -> list[float]:
    """Of each option (o, folds, sources): numpy.std over the folds, mean over the sources, to the last bit, without what std asks first."""
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


def _folds(validation_share, fold):
    if not 0 < validation_share <= 0.5:
        raise InputError(f"validation-share is {validation_share:g}: give a share of the faces above 0 and up to 0.5.")
    folds = round(1 / validation_share)
    if not 0 <= fold < folds:
        raise InputError(f"fold is {fold}: a validation-share of {validation_share:g} makes {folds} folds, counted from 0.")
    return folds
