"""Why labels are suspicious, in words."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.quality import evidence
from pipeline.quality.evidence import FIGURES, Judged, Usual

CLEAR = 0.7  # logarithm of a ratio of distances from which another explanation is believed
AT_CORNER = 1e-3  # fraction of the side within which a label counts as being in the corner of its image
FAR = 4.0  # times the usual distance, from which two labels of an object count as different
WIDE = 1.6  # logarithm of 1 + a relative distance that is unusual
COHERENT = 0.5  # a sample is shifted as a whole if what remains of the distances is less than this share of them


@dataclass(frozen=True)
class Named:
    """Names for reasons: keypoints (K,), annotation sources (S,), and the samples (n,), such as "row 7" or "a.png"."""

    keypoints: list[str]
    sources: list[str]
    samples: list[str]


@dataclass(frozen=True)
class Explanations:
    """Finds the most likely explanation of each wrong label among those that `evidence` knows.

    conflict: bool (n, K), contradicted by the label of an identical image.
    """

    judged: Judged
    conflict: np.ndarray
    named: Named

    @cached_property
    def _usual(self) -> Usual:
        return Usual.of(self.judged)

    @cached_property
    def _figures(self) -> dict[str, np.ndarray]:
        return dict(zip(FIGURES, np.moveaxis(evidence.figures(self.judged, self._usual), 2, 0), strict=True))

    @cached_property
    def _moved(self) -> np.ndarray:
        """From predictions to labels, float (n, K, 2), pixels of the images."""
        judged = self.judged
        return (judged.labels - judged.predictions - self._usual.offset[judged.source]) * judged.place[:, None, 2:]

    def texts(self, suspicious: np.ndarray) -> np.ndarray:
        """The reasons, text (n, K), "" for labels that are not suspicious. suspicious: bool (n, K)."""
        found = np.full(suspicious.shape, "", dtype=object)
        for sample, keypoint in np.argwhere(suspicious).tolist():
            found[sample, keypoint] = self.text(sample, keypoint)
        return found.astype(str)

    def text(self, sample: int, keypoint: int) -> str:
        """Why the label of a keypoint of a sample may be wrong, in one to three sentences."""
        likely = self._whole(sample) or self._single(sample, keypoint)
        return " ".join([*self._conflicts(sample, keypoint), *likely, *self._distance(sample, keypoint)])

    def _value(self, name: str, sample: int, keypoint: int = 0) -> float:
        return float(self._figures[name][sample, keypoint])

    def _conflicts(self, sample: int, keypoint: int) -> list[str]:
        """Other samples of the same object whose labels are elsewhere."""
        told = []
        judged = self.judged
        for other in np.flatnonzero(judged.twin == judged.twin[sample]).tolist():
            points = [judged.labels[row, keypoint] * judged.place[row, 2] + judged.place[row, :2] for row in (sample, other)]
            apart = float(np.linalg.norm(points[0] - points[1]))
            own_source = judged.source[other] == judged.source[sample]
            if other == sample or not apart > FAR * self._usual.distance[judged.source[sample], keypoint] * judged.place[sample, 2]:
                continue
            if own_source and self.conflict[sample, keypoint]:
                told.append(f"The label of the identical image ({self.named.samples[other]}) is {apart:.1f} px away.")
            elif not own_source:
                told.append(f"The label of {self.named.sources[judged.source[other]]} is {apart:.1f} px away.")
        return told[:1]

    def _whole(self, sample: int) -> list[str]:
        """What may be wrong with all labels of a sample."""
        if self._value("the sample fits another object of the image better", sample) > CLEAR:
            return ["The labels fit another object of the image better."]
        if self._value("the sample fits its mirror image better", sample) > CLEAR:
            return ["The labels fit the mirror image of the sample better."]
        order = self.judged.mirror
        moved = self._moved[sample]
        if order is not None and self._opposite_sides(sample, list(order)):
            return ["The labels of left and right seem to be exchanged."]
        known = ~np.isnan(moved).any(axis=1)
        if known.sum() < 3:
            return []
        shift = np.median(moved[known], axis=0)
        left = np.linalg.norm(moved[known] - shift, axis=1).mean()
        far = np.linalg.norm(moved[known], axis=1).mean()
        if left < COHERENT * far and self._value("shift of the whole sample", sample) > WIDE:
            return [f"All labels of the sample are shifted by about {shift[0]:.1f} px in x and {shift[1]:.1f} px in y."]
        relative = self._figures["distance from the prediction, relative to the expected error"][sample][known]
        if np.median(relative) <= WIDE:
            return []
        return ["Most labels of the sample are far from the predictions, as if they belonged to another image."]

    def _opposite_sides(self, sample: int, order: list[int]) -> bool:
        pairs = np.array(order) != np.arange(len(order))
        own, aim = self.judged.labels[sample], self.judged.predictions[sample]
        now, then = (np.linalg.norm(own - target, axis=1)[pairs] for target in (aim, aim[order]))
        known = ~np.isnan(now)
        return bool(known.any() and np.mean(then[known] < now[known] / 2) > COHERENT)

    def _single(self, sample: int, keypoint: int) -> list[str]:
        """What may be wrong with one label."""
        judged = self.judged
        label = judged.labels[sample, keypoint]
        if (np.abs(label * judged.place[sample, 2] + judged.place[sample, :2]) <= AT_CORNER * judged.place[sample, 2]).all():
            return ["The label is in the corner of the image, at 0, 0."]
        if self._value("nearer to the prediction of another keypoint", sample, keypoint) > CLEAR:
            apart = np.linalg.norm(judged.predictions[sample] - label, axis=1)
            apart[keypoint] = np.inf
            return [f"The label is where {self.named.keypoints[int(np.nanargmin(apart))]} is predicted."]
        if self._value("distance from where the other labels suggest", sample, keypoint) > WIDE:
            return ["The other labels of the sample suggest another place."]
        return []

    def _distance(self, sample: int, keypoint: int) -> list[str]:
        judged = self.judged
        far = float(np.linalg.norm(self._moved[sample, keypoint]))
        usual = float(self._usual.distance[judged.source[sample], keypoint] * judged.place[sample, 2])
        if np.isnan(far):
            return []
        return [f"The label is {far:.1f} px from the prediction of nets that were not trained on it; {usual:.1f} px are usual."]
