"""What there is to say about labels, and the order in which samples are reviewed.

A `Judgement` may come from anything that doubts labels: predictions of nets that were not trained on them, a rule, probabilities of being
wrong. It may also say which samples to label next. The page knows nothing else of where judgements come from, and offers each of them as
an order of the samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

IN_FILES = "the order of the label files"


@dataclass(frozen=True)
class Judgement:
    """Doubts about the labels of n samples with K keypoints each, or how much their labels are wanted.

    title: what the samples are ranked by, as a phrase that follows "ranked by"; each judgement has another one. score: float (n, K), the
    larger the earlier, NaN where nothing is known. reasons: why a label is doubtful, a sentence, by sample and keypoint. predictions: float
    (n, K, 2), pixels of the images, where the keypoints should be instead, NaN where that is not known. wanted: whether it says which
    samples to label next, instead of which labels are doubtful. overall: float (n,), by which samples are ranked unless a keypoint is
    chosen, the larger the earlier, NaN where nothing is known; None: by their largest score.
    """

    title: str
    score: np.ndarray
    reasons: Mapping[tuple[int, int], str] = field(default_factory=dict)
    predictions: np.ndarray | None = None
    wanted: bool = False
    overall: np.ndarray | None = None

    def worst(self, keypoint: int | None) -> np.ndarray:
        """The score of each sample, float (n,), -inf where nothing is known: that of a keypoint, or that of the whole sample."""
        if keypoint is None and self.overall is not None:
            return np.nan_to_num(self.overall, nan=-np.inf)
        score = self.score if keypoint is None else self.score[:, [keypoint]]
        found: np.ndarray = np.nan_to_num(score, nan=-np.inf).max(axis=1, initial=-np.inf)
        return found


class RankedBy(NamedTuple):
    """What samples are ranked by. title: of a judgement; "" for all of them. keypoint: whose score counts; None for the largest one."""

    title: str = ""
    keypoint: int | None = None


EVERYTHING = RankedBy()


@dataclass(frozen=True)
class Ranking:
    """Several judgements of the same samples, the most telling first.

    count: the number of samples.
    """

    judgements: Sequence[Judgement]
    count: int

    @property
    def titles(self) -> list[str]:
        """What samples can be ranked by, apart from all judgements together: each of them, and the order of the label files."""
        return [*(judgement.title for judgement in self.judgements), IN_FILES]

    def by(self, sample: int, ranked: RankedBy = EVERYTHING) -> str:
        """What gives a sample its rank, in words."""
        first = self._first(sample, ranked)
        return f"ranked by {first.title}" if first else f"in {IN_FILES}"

    def order(self, ranked: RankedBy = EVERYTHING) -> np.ndarray:
        """The samples, int (n,), in the order in which they are reviewed.

        Those that the first judgement knows come first, by their scores; then those that only the second knows,
        and so on; then the others in their own order. Of a single judgement, those that it does not know come last.
        """
        left, found = np.ones(self.count, bool), [np.zeros(0, np.intp)]
        for judgement in self._counting(ranked):
            worst = judgement.worst(ranked.keypoint)
            known = np.flatnonzero(left & (worst > -np.inf))
            found.append(known[np.argsort(-worst[known], kind="stable")])
            left[known] = False
        return np.concatenate([*found, np.flatnonzero(left)])

    def doubtful(self, sample: int, ranked: RankedBy = EVERYTHING) -> int | None:
        """The most doubtful keypoint of a sample, or the one by which samples are ranked; None if nothing is known of it."""
        if ranked.keypoint is not None:
            return ranked.keypoint
        first = self._first(sample, ranked) or self._first(sample, EVERYTHING)
        return int(np.nanargmax(first.score[sample])) if first and not first.wanted else None

    def reasons(self, sample: int, keypoint: int) -> list[str]:
        """Why a label is doubtful."""
        found = (judgement.reasons.get((sample, keypoint)) for judgement in self.judgements)
        return [reason for reason in found if reason]

    def prediction(self, sample: int) -> np.ndarray | None:
        """Where the keypoints of a sample should be, float (K, 2), pixels of its image, NaN where that is not known."""
        for judgement in self.judgements:
            if judgement.predictions is not None and not np.isnan(judgement.predictions[sample]).all():
                return judgement.predictions[sample]
        return None

    def _counting(self, ranked: RankedBy) -> list[Judgement]:
        """The judgements that give the samples their ranks. Together, those about labels count: nobody doubts a label that is not there."""
        if not ranked.title:
            return [judgement for judgement in self.judgements if not judgement.wanted]
        return [judgement for judgement in self.judgements if judgement.title == ranked.title]

    def _first(self, sample: int, ranked: RankedBy) -> Judgement | None:
        """The first judgement that gives a sample its rank."""
        return next((one for one in self._counting(ranked) if not np.isnan(one.score[sample]).all()), None)


def by_distance(predictions: np.ndarray, labels: np.ndarray, size: np.ndarray) -> Judgement:
    """The distance between each label and the prediction of nets that were not trained on it.

    predictions, labels: float (n, K, 2), pixels of the images, NaN where there is none. size: float (n,), the side of each sample in pixels
    of its image: samples are ranked by the distance relative to it.
    """
    distance = np.linalg.norm(predictions - labels, axis=2)
    reasons = {
        (sample, keypoint): f"The label is {distance[sample, keypoint]:.1f} px from the prediction of nets that were not trained on it."
        for sample, keypoint in np.argwhere(~np.isnan(distance)).tolist()
    }
    return Judgement("the distance between label and held-out prediction", distance / size[:, None], reasons, predictions)


def by_rules(outlier: np.ndarray, distance: np.ndarray, conflict: np.ndarray) -> Judgement:
    """The labels that Load finds doubtful.

    outlier: bool (n, K), far from where the sample's other labels suggest. distance: float (n, K), how far, pixels of the samples.
    conflict: bool (n, K), contradicted by the label of an identical image.
    """
    score = np.where(conflict, 2.0, np.where(outlier, 1 + distance / (1 + np.nanmax(distance, initial=0.0)) / 2, np.nan))
    reasons = {}
    for sample, keypoint in np.argwhere(outlier | conflict).tolist():
        told = ["The label of an identical image contradicts this one."] if conflict[sample, keypoint] else []
        if outlier[sample, keypoint]:
            told.append(f"The other labels of the sample suggest a place {distance[sample, keypoint]:.1f} px away.")
        reasons[sample, keypoint] = " ".join(told)
    return Judgement("the rules by which Load finds doubtful labels", score, reasons)
