"""The weights that a training starts from."""

from dataclasses import dataclass
from pathlib import Path

import keras

from pipeline.nets import network, pretrained
from pipeline.nets.trained import Trained


@dataclass(frozen=True)
class Fresh:
    """Random weights, as the net's initialisation draws them."""

    def apply(self, net: keras.Model, indices: list[int]) -> tuple[list[str], list[str]]:
        """Changes nothing; returns (paths of the weights that were carried over, paths of the new ones)."""
        return [], [variable.path for variable in net.weights]


@dataclass(frozen=True)
class FromImageNet:
    """The ImageNet weights of a net of keras.applications, from a file as `pretrained.fetched` returns it."""

    weights: Path

    def apply(self, net: keras.Model, indices: list[int]) -> tuple[list[str], list[str]]:
        """Loads the file into the net; returns (paths of the weights that were carried over, paths of the new ones)."""
        return pretrained.load(net, self.weights)


@dataclass(frozen=True)
class FromBase:
    """The weights of a trained base net, with its outputs for the keypoints of the new net (`keep_head`) or with a new output layer."""

    base: Trained
    keep_head: bool

    def apply(self, net: keras.Model, indices: list[int]) -> tuple[list[str], list[str]]:
        """Loads the weights into the net, which predicts the keypoints `indices` of the set.

        Returns (paths of the weights that were carried over, paths of the new ones).
        """
        outputs = [self.base.indices.tolist().index(k) for k in indices] if self.keep_head else None
        return network.transfer(net, self.base.weights, outputs=outputs)


Start = Fresh | FromImageNet | FromBase
