"""What there is to say about labels, and the order in which samples are reviewed.

A `Judgement` may come from anything that doubts labels: predictions of nets that were not trained on them, a rule, probabilities of being
wrong. The page knows nothing else of where doubts come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Judgement:
    """Doubts about the labels of n samples with K keypoints each.

    title: what the samples are ranked by, as a phrase that follows "ranked by". score: float (n, K), the larger the more doubtful, NaN
    where nothing is known. reasons: why a label is doubtful, a sentence, by sample and keypoint. predictions: float (n, K, 2), pixels of
    the images, where the keypoints should be instead, NaN where that is not known.
    """

    title: str
    score: np.ndarray
    reasons: dict[tuple[int, int], str] = field(default_factory=dict)
    predictions: np.ndarray | None = None


@dataclass(frozen=True)
class Ranking:
    """Several judgements of the same samples, the most telling first.

    count: the number of samples.
    """

    judgements: Sequence[Judgement]
    count: int

    def by(self, sample: int) -> str:
        """What gives a sample its rank, in words."""
        first = self._first(sample)
        return f"ranked by {first.title}" if first else "in the order of the label files"

    def order(self) -> np.ndarray:
        """The samples, int (n,), in the order in which they are reviewed.

        Those that the first judgement knows come first, by the score of their most doubtful label; then those that only the second knows,
        and so on; then the others in their own order.
        """
        left, found = np.ones(self.count, bool), [np.zeros(0, np.intp)]
        for judgement in self.judgements:
            worst = np.nan_to_num(judgement.score, nan=-np.inf).max(axis=1, initial=-np.inf)
            known = np.flatnonzero(left & (worst > -np.inf))
            found.append(known[np.argsort(-worst[known], kind="stable")])
            left[known] = False
        return np.concatenate([*found, np.flatnonzero(left)])

    def doubtful(self, sample: int) -> int | None:
        """The most doubtful keypoint of a sample; None if nothing is known of it."""
        first = self._first(sample)
        return int(np.nanargmax(first.score[sample])) if first else None

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

    def _first(self, sample: int) -> Judgement | None:
        """The first judgement that knows something about a sample."""
        return next((judgement for judgement in self.judgements if not np.isnan(judgement.score[sample]).all()), None)


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
