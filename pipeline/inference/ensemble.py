"""A base net and its specialists, combined into one prediction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.dataset import Dataset
from pipeline.data.tables import Origin
from pipeline.nets.averaged import Averaged
from pipeline.nets.trained import Trained


@dataclass(frozen=True)
class Spreads:
    """How far apart the predictions of a chain are for each keypoint of n samples: float32 (n, K), pixels of the samples.

    base and specialist: of the predictions that each of these nets averages, see `Averaged`. between: the distance between the two nets.
    The last two are NaN for keypoints that have no specialist.
    """

    base: np.ndarray
    specialist: np.ndarray
    between: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["Spreads"], join: Callable[[list[np.ndarray]], np.ndarray]) -> "Spreads":
        """The spreads of several chains, joined by a function of the list of their arrays, such as their mean."""
        return cls(*(join(list(values)) for values in zip(*(vars(part).values() for part in parts), strict=True)))

    def of(self, chosen: np.ndarray) -> "Spreads":
        """The spreads for some of the samples, given by a mask (n,) or by their indices."""
        return Spreads(*(values[chosen] for values in vars(self).values()))


@dataclass(frozen=True)
class ChainPredictions:
    """What one chain, a base net and its specialists, predicts for the test faces and for the faces that it was not trained on.

    All keypoints are (n, K, 2), pixels, x then y. `test` and `validation` are the chain's predictions, `test_base` and `validation_base`
    those of its base net. `truth` has the labels of the held-out faces, NaN where not labelled, and `mean_face` the mean face of each
    one's annotation source. `face`, `source` and `group` (n,) are the held-out faces' rows in the training table, their annotation
    sources and their duplicate groups. `origin` is where the held-out samples of an own set were cut from, and `occluded` (n, K) which of
    their keypoints are labelled but not visible. `confidence` and `test_confidence` (n, K) are the heights of the heat maps' peaks, 0 to
    1, for the held-out and the test faces; None if the nets do not give them. `spreads` and `test_spreads` are those of the nets for the
    held-out and the test faces; the former is None if a net was trained before nets kept them.
    """

    test: np.ndarray
    test_base: np.ndarray
    validation: np.ndarray
    validation_base: np.ndarray
    truth: np.ndarray
    mean_face: np.ndarray
    face: np.ndarray
    source: np.ndarray
    group: np.ndarray
    origin: Origin | None = None
    occluded: np.ndarray | None = None
    confidence: np.ndarray | None = None
    test_confidence: np.ndarray | None = None
    spreads: Spreads | None = None
    test_spreads: Spreads | None = None


def chain_predictions(dataset: Dataset, nets: Sequence[Trained], tests: Sequence[Averaged], *, base_share: float) -> ChainPredictions:
    """Combines the predictions of a base net and its specialists, see `combined`.

    dataset: the data set that they were trained on.
    nets: the base net, then one specialist for each group, in the order of the keypoint set's groups.
    tests: what each net predicts for the test faces, keypoints (n, k, 2), pixels.
    """
    held_out, keypoints = dataset.validation, [found.keypoints for found in tests]
    stored = [Averaged(net.validation, net.validation_spread) for net in nets if net.validation_spread is not None]
    return ChainPredictions(
        test=combined(nets, keypoints, base_share=base_share),
        test_base=keypoints[0],
        validation=combined(nets, [net.validation for net in nets], base_share=base_share),
        validation_base=nets[0].validation,
        truth=dataset.keypoints[held_out],
        mean_face=dataset.mean_face[dataset.source[held_out]],
        face=dataset.row[held_out],
        source=dataset.source[held_out],
        group=dataset.duplicate_group[held_out],
        origin=dataset.origin.of(held_out) if dataset.origin else None,
        occluded=None if dataset.occluded is None else dataset.occluded[held_out],
        spreads=spreads(nets, stored) if len(stored) == len(nets) else None,
        test_spreads=spreads(nets, tests),
    )


def combined(nets: Sequence[Trained], predictions: Sequence[np.ndarray], *, base_share: float) -> np.ndarray:
    """The weighted mean of what a base net and its specialists predict: keypoints (n, K, 2), pixels.

    nets: the base net, then the specialists.
    predictions: (n, k, 2) of each net, pixels.
    base_share: the weight of the base net in the mean, 0 to 1; the specialist of a keypoint has the rest.
    """
    base, *specialists = predictions
    keypoints = base.copy()
    for net, own in zip(nets[1:], specialists, strict=True):
        keypoints[:, net.indices] = base_share * base[:, net.indices] + (1 - base_share) * own
    return keypoints


def disagreement(nets: Sequence[Trained], predictions: Sequence[np.ndarray]) -> np.ndarray:
    """How far apart a base net and its specialists place the keypoints of each face: root mean square over its values (n,), pixels.

    nets and predictions are those of `combined`.
    """
    return np.sqrt(np.square(combined(nets, predictions, base_share=0) - predictions[0]).mean(axis=(1, 2)))


def spreads(nets: Sequence[Trained], predictions: Sequence[Averaged]) -> Spreads:
    """How far apart the predictions of a base net and its specialists are. The arguments are those of `combined`."""
    base, *specialists = predictions
    specialist, between = np.full_like(base.spread, np.nan), np.full_like(base.spread, np.nan)
    for net, own in zip(nets[1:], specialists, strict=True):
        specialist[:, net.indices] = own.spread
        between[:, net.indices] = np.linalg.norm(own.keypoints - base.keypoints[:, net.indices], axis=2)
    return Spreads(base.spread, specialist, between)
