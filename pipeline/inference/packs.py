"""Packs: all nets of a run in one record that can be taken elsewhere, with what they predict and how accurate they were.

A pack holds no training images and nothing about single samples.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from pipeline.errors import InputError
from pipeline.inference.expected_error import ErrorModel
from pipeline.inference.loaded import FACE, LoadedNets, SampleFrame
from pipeline.inference.measured import Accuracy
from pipeline.keypoints.definition import RESERVED
from pipeline.keypoints.stored import StoredSet
from pipeline.nets.plausible import LARGEST_SIDE, MOST_LOOKS, is_plausible
from pipeline.nets.structure import Structure
from pipeline.nets.trained import Health, History, Trained
from pipeline.schema import array, record


@record
class PackedNet:
    """What is needed to predict with a trained net: the fields of `Trained` of the same names. S annotation sources, K keypoints."""

    structure: Structure
    weights: dict[str, np.ndarray] = array("float32", "", "", "weight of the net")
    offsets: np.ndarray = array("float32", "source keypoint xy", "px", "constant offset of each annotation source")
    indices: np.ndarray = array("int32", "keypoint", "", "indices, in the keypoint set, of the keypoints that the net predicts")
    side: np.int32 = array("int32", "", "px", "width and height of the net's input")
    frame: np.int32 = array("int32", "", "px", "width and height of the frame that the base net sees")
    stored: np.int32 = array("int32", "", "px", "width and height of the samples of the training, whose pixels are the unit of offsets")
    target: np.ndarray | None = array("float32", "keypoint xy", "px", "keypoints of an aligned sample in the frame; of a base net")
    refined: np.bool_ = array("bool", "", "", "whether the predictions are refined, if there is a target")
    window: np.ndarray | None = array("float64", "xy term", "", "affine map from the aligned sample to the input of a specialist")
    zooms: np.ndarray | None = array(
        "float64", "pass", "", "pixels of a window per pixel of the aligned frame, of each pass of a specialist"
    )
    looks: np.int32 | None = array("int32", "", "", "number of views over which predictions of a specialist are averaged")

    @classmethod
    def of(cls, net: Trained) -> "PackedNet":
        """The part of a trained net that predicts."""
        return cls(**{field.name: getattr(net, field.name) for field in dataclasses.fields(cls)})

    def restored(self, keypointset: StoredSet) -> Trained:
        """The trained net, with a record of its training that is empty."""
        own, nothing = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}, np.array([], dtype=str)
        return Trained(
            **own,
            keypointset=keypointset,
            history=History.of([]),
            health=Health.of([], []),
            shapes=None,
            validation=np.zeros((0, len(self.indices), 2), np.float32),
            validation_spread=None,
            rmse=np.float32(np.nan),
            keypoints=keypointset.names[self.indices],
            located=None,
            carried_over=nothing,
            new=nothing,
        )


@record
class TrainingData:
    """What the nets of a pack were trained on, without any of it."""

    drawn: np.bool_ = array("bool", "", "", "whether the program drew the images")
    samples: np.ndarray = array("int32", "source", "", "number of samples of each annotation source, held-out ones included")
    held_out: np.int32 = array("int32", "", "", "number of samples on which the accuracy was measured")


@record
class Pack:
    """The nets of a run, or a base net, and all that is needed to predict with them elsewhere.

    Nets are named NUMBER-base and NUMBER-GROUP, where NUMBER is that of their chain, from 001.
    """

    keypointset: StoredSet
    nets: dict[str, PackedNet]
    base_share: np.float64 = array("float64", "", "", "weight of the base net in the mean with a specialist")
    source: np.int32 = array("int32", "", "", "annotation source whose convention predictions follow, from 0")
    detector: np.ndarray = array("text", "", "", "what finds the instances in a photograph; empty: the whole photograph is one")
    error_model: ErrorModel | None
    accuracy: Accuracy
    data: TrainingData
    licence: np.ndarray = array("text", "", "", "licence of the nets, in the words of whoever packed them")
    intended_use: np.ndarray = array("text", "use", "", "what the nets are meant for, in the same person's words")

    @property
    def chains(self) -> list[list[PackedNet]]:
        """The nets of each chain, its base net first.

        Raises InputError if a chain has no base net, or a net does not fit the keypoint set or its own weights.
        """
        found: dict[str, dict[str, PackedNet]] = {}
        for name, net in sorted(self.nets.items()):
            number, _, role = name.partition("-")
            found.setdefault(number, {})[role] = net
        if not found or any(RESERVED not in chain for chain in found.values()):
            raise InputError("The file has a chain of nets without a base net, so it is no file of nets of this program.")
        if any(not _fits(net, self.keypointset) for net in self.nets.values()):
            raise InputError("The file has a net that does not fit its keypoint set, so it is no file of nets of this program.")
        if unlike := [name for name, net in sorted(self.nets.items()) if not _is_buildable(net)]:
            raise InputError(f"The weights of the net {unlike[0]} do not have the sizes that its settings require, so it was not built.")
        return [[chain.pop(RESERVED), *chain.values()] for chain in found.values()]

    def loaded(self, origin: str = "") -> LoadedNets:
        """The nets, ready to predict. origin: what messages call the file. Raises InputError if they contradict each other."""
        chains, keypointset = self.chains, self.keypointset.restored()
        base = chains[0][0]
        if not 0 <= int(self.source) < len(keypointset.sources):
            raise InputError("The file names an annotation source that its keypoint set does not have.")
        return LoadedNets(
            chains=tuple(tuple(net.restored(self.keypointset) for net in chain) for chain in chains),
            keypointset=keypointset,
            base_share=float(self.base_share),
            frame=SampleFrame(int(base.stored), base.structure.channels),
            source=int(self.source),
            detector=FACE if str(self.detector) == FACE else None,
            error_model=self.error_model,
            origins=(origin,) * len(chains),
        )


def packed_nets(nets: LoadedNets, roles: Sequence[Sequence[str]]) -> dict[str, PackedNet]:
    """The nets by their names in a `Pack`. roles: of each chain, the group of each net, "base" first."""
    return {
        f"{number:03}-{role}": PackedNet.of(net)
        for number, (chain, own) in enumerate(zip(nets.chains, roles, strict=True), start=1)
        for net, role in zip(chain, own, strict=True)
    }


def merged(nets: Sequence[LoadedNets], names: Sequence[str]) -> LoadedNets:
    """An ensemble of the chains of several packs. Its expected errors are not known, because each model holds for the nets of its pack.

    names: what messages call the packs. Raises InputError if they do not predict the same.
    """
    first, *others = nets
    for other, name in zip(others, names[1:], strict=True):
        if difference := _difference(first, other):
            raise InputError(f"{names[0]} and {name} cannot be combined, because {difference}.")
    shares = {one.base_share for one in nets if any(len(chain) > 1 for chain in one.chains)} or {first.base_share}
    if len(shares) > 1:
        given = ", ".join(f"{share:g}" for share in sorted(shares))
        raise InputError(f"{' and '.join(names)} cannot be combined, because their base nets have different weights in the mean: {given}.")
    every = tuple(chain for one in nets for chain in one.chains)
    model = first.error_model if not others else None
    origins = tuple(origin for one in nets for origin in one.origins or ("",) * len(one.chains))
    return dataclasses.replace(first, chains=every, base_share=shares.pop(), error_model=model, origins=origins)


def _difference(one: LoadedNets, other: LoadedNets) -> str:
    """Why the predictions of two packs cannot be averaged; empty if they can be."""
    sets = one.keypointset, other.keypointset
    if sets[0].names != sets[1].names:
        unlike = [name for first, second in (sets, sets[::-1]) for name in first.names if name not in second.names]
        return f"their keypoints differ{f': only one has {unlike[0]!r}' if unlike else ' in their order'}"
    if sets[0].sources != sets[1].sources or one.source != other.source:
        return "their annotation sources differ"
    if sets[0].mirror != sets[1].mirror:
        return "their mirror pairs differ"
    if one.frame != other.frame:
        return "their nets see samples of different sizes or colours"
    return "only one of them detects faces" if one.detector != other.detector else ""


def _fits(net: PackedNet, keypointset: StoredSet) -> bool:
    """Whether the arrays of a net have the lengths that the keypoint set and each other require."""
    keypoints, sources = len(keypointset.names), len(keypointset.source_names)
    known = len(net.indices) > 0 and bool(((net.indices >= 0) & (net.indices < keypoints)).all())
    targeted = net.target is None or net.target.shape == (keypoints, 2)
    return known and targeted and net.offsets.shape == (sources, len(net.indices), 2) and bool(min(net.side, net.frame, net.stored) > 0)


def _is_buildable(net: PackedNet) -> bool:
    """Whether the net, and what it is shown, is no larger than its weights and the largest images allow."""
    looks = 1 if net.looks is None else int(net.looks)
    sides = min(int(net.frame), int(net.stored)) > 0 and max(int(net.frame), int(net.stored)) <= LARGEST_SIDE
    return sides and 0 < looks <= MOST_LOOKS and is_plausible(net.structure, int(net.side), net.weights)
