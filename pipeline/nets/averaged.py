"""Predictions that are means of several predictions, and how far apart these are. Kept free of Keras."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.keypoints.definition import KeypointSet
from pipeline.nets import sources


@dataclass(frozen=True)
class Averaged:
    """Predictions that are means: over an image and its mirror image, over alignments, and over looks.

    keypoints: float32 (n, ..., k, 2), pixels of the images. spread: float32 (n, ..., k), the root mean square distance of the averaged
    predictions from their mean, pixels; 0 where only one was made.
    """

    keypoints: np.ndarray
    spread: np.ndarray

    def __getitem__(self, index: Any) -> "Averaged":
        """Some of the predictions, by an index that leaves the last axis of the keypoints as it is."""
        return Averaged(self.keypoints[index], self.spread[index])

    def of_source(self, source: np.ndarray) -> "Averaged":
        """The predictions for the own source of each image, see `sources.of_source`."""
        return Averaged(sources.of_source(self.keypoints, source), sources.of_source(self.spread, source))

    def shifted(self, offsets: np.ndarray, keypointset: KeypointSet, indices: list[int], *, side: int) -> "Averaged":
        """The final predictions: with the offsets (S, k, 2) of the sources, see `sources.within_image`."""
        keypoints = sources.within_image(self.keypoints + offsets, keypointset, indices, side=side)
        return Averaged(keypoints, sources.widest_where_unlabelled(self.spread, keypointset, indices))

    def replaced(self, rows: np.ndarray, by: "Averaged") -> "Averaged":
        """The predictions with those for the images `rows` (m,) replaced."""
        keypoints, spread = self.keypoints.copy(), self.spread.copy()
        keypoints[rows], spread[rows] = by.keypoints, by.spread
        return Averaged(keypoints, spread)


def mean_of(parts: Sequence[Averaged]) -> Averaged:
    """The mean of several predictions of the same keypoints, each of which is itself the mean of equally many.

    Its squared spread is the mean of the squared spreads of the parts plus that of their squared distances from the mean.
    """
    if len(parts) == 1:
        return parts[0]
    keypoints = sum((part.keypoints for part in parts[1:]), start=parts[0].keypoints) / len(parts)
    squares = [part.spread**2 + np.square(part.keypoints - keypoints).sum(axis=-1) for part in parts]
    return Averaged(keypoints, np.sqrt(np.mean(squares, axis=0)))
