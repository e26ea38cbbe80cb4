"""How likely each label of a set is wrong: learned from mistakes that are made on purpose in the labels of the same set.

A classifier tells labels with such mistakes from the labels as they are, by the figures of `evidence`. The labels as they are contain
wrong ones too, so the classifier learns from positive and unlabelled examples (Elkan and Noto, Learning classifiers from only positive and
unlabeled data, KDD 2008). If r is the density of mistakes with some score, relative to that of all labels, and w is the share of wrong
labels, then labels with this score are wrong with the probability w r. The share w is estimated from the half of the mistakes that are the
most obvious: hardly any right label has such a score, so the labels that do are half of the wrong ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.quality import evidence, mistakes
from pipeline.quality.evidence import Judged, Usual
from pipeline.quality.mistakes import KINDS, Victim

SAMPLES = 4000  # samples with mistakes to learn from
ATTEMPTS = 20  # kinds of mistakes that are tried on a sample
ASSUMED = 0.2  # share of samples with a mistake for the classifier, which only ranks labels
MOST = 0.3  # share of wrong labels that is believed at most
SUREST = 0.99  # probability that is given at most
IN_CONFLICT = 0.5  # of two contradicting labels one is wrong
# Below this number of labels a linear model finds more than boosted trees, see bench/README.md.
FEW = 5000
# The direction in which each of the figures makes a label more suspicious; 0 where that depends on the others.
DIRECTIONS = (1, 1, 0, 1, 0, 1, 0, -1, 0, 1, 1, 1, 1, 1)


@dataclass(frozen=True)
class Made:
    """A set with mistakes that were made on purpose in the samples `rows`, int (m,).

    judged: the m samples. wrong: bool (m, K). size: float (m, K), how far wrong labels are moved, a fraction of the side; NaN where there
    was no label. kind: text (m,), the kinds of mistakes.
    """

    rows: np.ndarray
    judged: Judged
    wrong: np.ndarray
    size: np.ndarray
    kind: np.ndarray


@dataclass(frozen=True)
class Probabilities:
    """What is thought of n samples with K keypoints.

    probability: float (n, K), of being wrong; NaN where not labelled or not judged. score: float (n, K), by which labels with equal
    probabilities are ranked. share: the estimated share of wrong labels.
    """

    probability: np.ndarray
    score: np.ndarray
    share: float


def with_mistakes(judged: Judged, rows: np.ndarray, rng: np.random.Generator) -> Made:
    """The samples `rows` with a mistake each, of all KINDS in turn in a random order; samples that cannot have any are left out."""
    kinds, made = rng.permutation(list(KINDS)).tolist(), []
    for number, row in enumerate(rows.tolist()):
        others = np.flatnonzero((judged.twin != judged.twin[row]) & (judged.source == judged.source[row]))
        other = judged.labels[rng.choice(others)] if len(others) else np.full_like(judged.labels[row], np.nan)
        victim = Victim(judged.labels[row], other, judged.mirror)
        for attempt in range(ATTEMPTS if len(victim.known) else 0):
            kind = kinds[number % len(kinds) if not attempt else rng.integers(len(kinds))]
            if (mistaken := mistakes.make(kind, victim, rng)) is not None:
                made.append((row, kind, mistaken))
                break
    kept = np.array([row for row, _, _ in made], np.intp)
    found = [one for _, _, one in made]
    shape = (len(found), *judged.labels.shape[1:])
    changed = evidence.relabelled(judged.of(kept), np.array([one.labels for one in found]).reshape(shape))
    wrong, size = (np.array([getattr(one, name) for one in found]).reshape(shape[:2]) for name in ("wrong", "size"))
    return Made(kept, changed, wrong, size, np.array([kind for _, kind, _ in made], "U40"))


def suspicion(judged: Judged, conflict: np.ndarray, *, seed: int) -> Probabilities:
    """How likely each label is wrong.

    judged: labels of samples without predictions are judged only where they are in conflict. conflict: bool (n, K), contradicted by the
    label of an identical image. seed: of the mistakes.
    """
    usual = Usual.of(judged)
    known = judged.known & ~np.isnan(judged.predictions).any(axis=2)
    probability, score, share = np.where(judged.known & conflict, 0.0, np.nan), np.full(known.shape, -np.inf), 0.0
    if known.any():
        own, rows = evidence.figures(judged, usual)[known], np.nonzero(known)[0]
        made, made_rows, weights = _examples(judged, usual, seed)
        half = np.isin(judged.twin, _half(judged.twin))
        scores, made_scores = _cross_fitted((own, half[rows]), (made, half[made_rows]), ASSUMED * weights, seed)
        share = _share(scores, made_scores)
        probability[known] = _calibrated(scores, made_scores, share)
        score[known] = scores
    either = 1 - (1 - probability) * np.where(conflict, 1 - IN_CONFLICT, 1)
    return Probabilities(either, score, share)


def _half(twin: np.ndarray) -> np.ndarray:
    """A random half of the objects; always the same for the same numbers."""
    objects = np.unique(twin)
    return np.random.default_rng(0).permutation(objects)[: len(objects) // 2]


def _examples(judged: Judged, usual: Usual, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels with mistakes: their figures (m, F), their samples (m,), and their weights (m,).

    Together they weigh as if every sample had one mistake. All mistakes weigh the same, whether one label of a sample is wrong or all are:
    if all labels did, the mistakes that are hard to find, those of single labels, would hardly count.
    """
    predicted = np.flatnonzero(~np.isnan(judged.predictions).all(axis=(1, 2)) & judged.known.any(axis=1))
    found, rows, shares, samples = [], [], [], 0
    for round_ in range(max(1, -(-SAMPLES // len(predicted)))):
        rng = np.random.default_rng([seed, round_])
        made = with_mistakes(judged, rng.permutation(predicted)[:SAMPLES], rng)
        there = made.wrong & ~np.isnan(made.judged.predictions).any(axis=2)
        sample = np.nonzero(there)[0]
        found.append(evidence.figures(made.judged, usual)[there])
        rows.append(made.rows[sample])
        shares.append(1 / there.sum(axis=1)[sample])
        samples += len(made.rows)
    share = np.concatenate(shares)
    return np.concatenate(found), np.concatenate(rows), len(predicted) / max(samples, 1) * share / (share.mean() if len(share) else 1)


def _cross_fitted(
    own: tuple[np.ndarray, np.ndarray], made: tuple[np.ndarray, np.ndarray], weights: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The scores of labels as they are and of those with mistakes, by a classifier that was fitted to the other half of the objects.

    own, made: figures (m, F), and whether the labels belong to the one half, bool (m,). weights: those of labels with mistakes (m,); a
    label as it is has 1.
    """
    results = np.zeros(len(own[0])), np.zeros(len(made[0]))
    for part in (True, False):
        taught = [values[half != part] for values, half in (own, made)]
        if not all(len(values) for values in taught):
            continue
        score = _fitted(taught[0], taught[1], weights[made[1] != part], seed)
        for result, (values, half) in zip(results, (own, made), strict=True):
            if (half == part).any():
                result[half == part] = score(values[half == part])
    return results


def _fitted(own: np.ndarray, made: np.ndarray, weights: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """A classifier that gives figures (m, F) a score (m,), higher for those that resemble mistakes, whose weights are given."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # takes a second to import
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    values, is_made = np.concatenate([own, made]), np.arange(len(own) + len(made)) >= len(own)
    weights = np.concatenate([np.ones(len(own)), weights])
    if len(own) < FEW:
        linear = make_pipeline(StandardScaler(), PolynomialFeatures(2), StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
        linear.fit(values, is_made, logisticregression__sample_weight=weights)
        return lambda figures: np.asarray(linear.decision_function(figures))
    trees = HistGradientBoostingClassifier(
        max_iter=150,
        max_leaf_nodes=15,
        l2_regularization=1.0,
        monotonic_cst=list(DIRECTIONS),
        early_stopping=False,
        random_state=seed,
    ).fit(values, is_made, sample_weight=weights)
    return lambda figures: np.asarray(trees.decision_function(figures))


def _share(scores: np.ndarray, made: np.ndarray) -> float:
    """The share of wrong labels: twice that of the labels with a higher score than half of the mistakes."""
    above = (scores > np.median(made)).sum()
    return float(min(2 * max(above, 0.5) / len(scores), MOST))


def _calibrated(scores: np.ndarray, made: np.ndarray, share: float) -> np.ndarray:
    """The probabilities (m,) of being wrong of labels with these scores, which rise with the score."""
    from sklearn.isotonic import IsotonicRegression

    weights = np.concatenate([np.ones(len(scores)), np.full(len(made), share * len(scores) / len(made))])
    is_made = np.arange(len(weights)) >= len(scores)
    among = IsotonicRegression(out_of_bounds="clip").fit(np.concatenate([scores, made]), is_made, sample_weight=weights).predict(scores)
    return np.clip(among / np.maximum(1 - among, 1e-9), 0, SUREST)
