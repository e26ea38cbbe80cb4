"""The weights that a training starts from: fresh ones, those of ImageNet, or those of a base net."""

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
    """The weights of a trained base net.

    keep_head: whether the output layer is taken over, reduced to the keypoints of the new net, or initialised freshly.
    """

    base: Trained
    keep_head: bool

    def apply(self, net: keras.Model, indices: list[int]) -> tuple[list[str], list[str]]:
        """Loads the weights into the net, which predicts the keypoints `indices` of the set.

        Returns (paths of the weights that were carried over, paths of the new ones). Raises ValueError if the net differs from the base
        net in anything but its outputs.
        """
        outputs = [self.base.indices.tolist().index(k) for k in indices] if self.keep_head else None
        return network.transfer(net, self.base.weights, outputs=outputs)


Start = Fresh | FromImageNet | FromBase
