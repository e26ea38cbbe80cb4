"""The weights that a training starts from: fresh ones, those of ImageNet, of a base net, or of a net from before the set grew."""

from dataclasses import dataclass
from pathlib import Path

import keras

from pipeline.keypoints.definition import KeypointSet
from pipeline.nets import network, pretrained
from pipeline.nets.options import ANY_SIDE
from pipeline.nets.structure import Structure
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


@dataclass(frozen=True)
class FromEarlier:
    """The weights of a base net that was trained before the set had grown. Its outputs belong to keypoints and sources of the same names.

    A keypoint that it does not predict has a fresh output; a source that it does not know begins like the first one.
    """

    earlier: Trained
    keypointset: KeypointSet

    def apply(self, net: keras.Model, indices: list[int]) -> tuple[list[str], list[str]]:
        """Loads the weights into the net; returns (paths of the weights that were carried over, paths of the new ones)."""
        known = {name: place for place, name in enumerate(self.earlier.keypoints.tolist())}
        keypoints = [known.get(self.keypointset.names[k]) for k in indices]
        named = self.earlier.keypointset.source_names.tolist()
        sources = [named.index(name) if name in named else 0 for name in self.keypointset.source_names]
        # A net that does not distinguish the sources has one output for all.
        sources = sources if net.output_shape[1] > 1 or len(sources) == 1 else [0]
        return network.continue_from(net, self.earlier.weights, count=len(known), keypoints=keypoints, sources=sources)


def unfit(earlier: Trained, structure: Structure, keypointset: KeypointSet, *, side: int) -> str:
    """Why a net of this structure, with an input of side x side pixels, cannot start from an earlier net; "" if it can."""
    if earlier.target is None:
        return "it is a specialist. Name a base net"
    for name in ("network", "filters", "kernel", "pool", "activation", "hidden", "channels"):
        if (before := getattr(earlier.structure, name)) != (now := getattr(structure, name)):
            return f"its {name} is {before} and not {now}. Use the same structure"
    if structure.network not in ANY_SIDE and int(earlier.side) != side:
        return f"it takes images of {earlier.side} x {earlier.side} pixels and not {side} x {side}. Use the same --Augment-side"
    if not {*earlier.keypoints.tolist()} & {*keypointset.names}:
        return "it predicts none of the keypoints of this set. Keypoints are matched by name"
    return ""


Start = Fresh | FromImageNet | FromBase | FromEarlier
