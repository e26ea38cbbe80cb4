"""Nets in memory that are ready to predict: what they predict, how an image must be shown to them, and their predictions.

Keras is imported only by `LoadedNets.predict`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.data import samples
from pipeline.errors import InputError
from pipeline.geometry import crops
from pipeline.inference import detection
from pipeline.inference.expected_error import ErrorModel
from pipeline.keypoints.definition import KeypointSet
from pipeline.nets.trained import Trained
from pipeline.progress import OnProgress, ignored

if TYPE_CHECKING:
    import keras

FACE = "face"  # the detector of keypoints.toml, and what it finds


class SampleFrame(NamedTuple):
    """The size of the samples that nets were trained on: width and height in pixels, and 1 channel (grey) or 3 (RGB)."""

    side: int
    channels: int

    @property
    def colour(self) -> bool:
        """Whether the samples are in colour."""
        return self.channels == 3


@dataclass(frozen=True)
class PredictedCrops:
    """Predictions for n crops; means over the chains.

    keypoints: float (n, K, 2), pixels of the crops, x then y. doubt: float (n,), pixels of the crops, the disagreement of the nets; a base
    net without specialists does not disagree. expected: float (n, K), expected errors, pixels of the crops; None if they are not known.
    """

    keypoints: np.ndarray
    doubt: np.ndarray
    expected: np.ndarray | None = None

    def of(self, rows: np.ndarray) -> "PredictedCrops":
        """The predictions for some of the crops."""
        return PredictedCrops(self.keypoints[rows], self.doubt[rows], None if self.expected is None else self.expected[rows])


@dataclass(frozen=True)
class LoadedNets:
    """Nets that are ready to predict.

    chains: the nets of each chain, its base net first. keypointset: what they predict; its skeleton joins keypoints in drawings.
    base_share: the weight of the base net in the mean with a specialist, 0 to 1. frame: of the crops that they predict for. source: the
    annotation source whose convention the predictions follow, counted from 0. detector: "face", or None if each image is one instance.
    error_model: of the expected errors; None if it is not known. origins: of each chain the file that it is from, as messages call it, or
    ""; () if no chain is from a file of nets.
    """

    chains: tuple[tuple[Trained, ...], ...]
    keypointset: KeypointSet
    base_share: float
    frame: SampleFrame
    source: int = 0
    detector: str | None = None
    error_model: ErrorModel | None = None
    origins: tuple[str, ...] = ()
    _kept: "dict[int, keras.Model]" = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def noun(self) -> str:
        """What an instance is called."""
        return FACE if self.detector == FACE else "instance"

    @property
    def lines(self) -> tuple[tuple[int, int], ...]:
        """Pairs of keypoints, counted from 0, that drawings join."""
        index = self.keypointset.names.index
        return tuple((index(one), index(other)) for one, other in self.keypointset.skeleton)

    def squares(self, boxes: np.ndarray) -> np.ndarray:
        """The squares (n, 3) that the nets see of instances in boxes (n, 4), pixels; see `crops`."""
        return crops.scaled(crops.around(boxes), detection.FRAME if self.detector == FACE else samples.BOX_FRAME)

    def predict(self, cropped: np.ndarray, on_net: OnProgress = ignored, *, keep: bool = False) -> PredictedCrops:
        """The predictions for crops, uint8 (n, side, side) or, of nets that see colour, (n, side, side, 3), of the side of the frame.

        on_net: called after each net. keep: whether the nets stay in Keras for later calls, which then need not build and compile them;
        otherwise one net at a time is in memory. `nets.device.prepare` must have been called before.

        Raises ValueError for crops of another shape, and InputError for nets whose weights do not fit their structure.
        """
        from pipeline.inference import ensemble, prediction

        expected = (self.frame.side, self.frame.side, 3)[: 3 if self.frame.colour else 2]
        if cropped.shape[1:] != expected:
            raise ValueError(f"the crops have the shape {cropped.shape[1:]}, but the nets see {expected}")

        def counted(nets: tuple[Trained, ...]) -> Iterator[Trained]:
            for net in nets:
                yield net
                on_net(1)

        source, rebuild = np.full(len(cropped), self.source), self._kept_net if keep else self._net
        keypoints, doubt, spreads = [], [], []
        for nets in self.chains:
            averaged = prediction.predict_chain(counted(nets), cropped, source, self.keypointset, rebuild=rebuild)
            predictions = [found.keypoints for found in averaged]
            keypoints.append(ensemble.combined(nets, predictions, base_share=self.base_share))
            doubt.append(ensemble.disagreement(nets, predictions))
            spreads.append(ensemble.spreads(nets, averaged))
        mean = ensemble.Spreads.joined(spreads, lambda parts: np.mean(parts, axis=0))
        errors = None if self.error_model is None else self.error_model.expected(mean, source)
        return PredictedCrops(np.mean(keypoints, axis=0), np.mean(doubt, axis=0), errors)

    def _kept_net(self, trained: Trained, keypointset: KeypointSet) -> "keras.Model":
        """See `_net`; built at the first call."""
        if id(trained) not in self._kept:
            self._kept[id(trained)] = self._net(trained, keypointset)
        return self._kept[id(trained)]

    def _net(self, trained: Trained, keypointset: KeypointSet) -> "keras.Model":
        """A net with its trained weights. Raises InputError if they do not fit its structure, as in a file that was put together."""
        from pipeline.inference import prediction

        try:
            return prediction.rebuilt(trained, keypointset)
        except (ValueError, TypeError, ArithmeticError) as error:
            of = ", ".join(keypointset.names[index] for index in trained.indices)
            raise InputError(
                f"The weights of the net for {of}{self._place(trained)} do not fit its structure, so it is no net of this program. Use"
                " other nets."
            ) from error

    def _place(self, trained: Trained) -> str:
        """The file of nets that a net is from, for messages."""
        own = [name for chain, name in zip(self.chains, self.origins, strict=False) if name and any(net is trained for net in chain)]
        return f" in {own[0]}" if own else ""
