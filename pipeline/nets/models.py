"""From a structure, faces and a recipe to a `Trained` net, and from a `Trained` net to keypoints."""

import contextlib
from dataclasses import dataclass

import keras
import numpy as np

from pipeline.keypointset import KeypointSet
from pipeline.nets import evaluation, monitoring, network, prediction, training
from pipeline.nets.checkpoints import Checkpoints
from pipeline.nets.trained import Trained


@dataclass(frozen=True)
class Structure:
    """What a fresh net needs beside the number of its outputs; see the tasks' parameters."""

    network: str
    l1: float
    l2: float
    dropout: float
    pixel_mean: float
    pixel_std: float


def train(
    structure: Structure,
    copies: training.Copies,
    plain: training.Faces,
    validation: training.Faces,
    recipe: training.Recipe,
    *,
    keypointset: KeypointSet,
    base: Trained | None,
    head: training.Recipe | None,
    seed: int,
    report: monitoring.Report,
    checkpoints: Checkpoints | None = None,
) -> Trained:
    """Trains a net on the augmented copies, from scratch or, as a specialist, from the weights of `base` with a new output layer.

    head: how the new output layer trains at first, alone: the gradients of an untrained one would spoil the weights that it was given
    (measured: mouth 1.81 px without, 1.66 with; None leaves it out).
    checkpoints: see training.fit.
    plain: the training faces as they are, for the offsets; validation: faces for early stopping and the reported RMSE. The keypoints of
    both have all of the set's keypoints; the net predicts `copies.indices`.
    """
    indices = copies.indices
    net = _build(structure, keypointset, keypoints=len(indices))
    carried, new = network.transfer(net, base.weights) if base else ([], [variable.path for variable in net.weights])
    plain, validation = _only(plain, indices), _only(validation, indices)
    checkpoints = checkpoints or Checkpoints()
    common = {"keypointset": keypointset, "seed": seed, "report": report, "checkpoints": checkpoints}
    phases, history = [head, recipe] if head and head.epochs else [recipe], None
    for number, phase in list(enumerate(phases))[checkpoints.phase() :]:
        with _only_output_trains(net) if phase is head else contextlib.nullcontext():
            history = training.fit(net, copies, validation, phase, earlier=history, phase=number, **common)

    unshifted = prediction.predict(net, plain.images, keypointset, indices=indices, mirrored=True)
    offsets = prediction.source_offsets(unshifted, plain.keypoints, plain.source)
    predicted = _answers(net, validation.images, validation.source, offsets, keypointset, indices)
    return Trained(
        history=history,
        weights=network.weights(net),
        offsets=offsets,
        validation=predicted,
        rmse=np.float32(evaluation.rmse(predicted, validation.keypoints)),
        indices=np.array(indices, np.int32),
        keypoints=np.array([keypointset.names[k] for k in indices]),
        network=np.array(structure.network),
        pixel_mean=np.float32(structure.pixel_mean),
        pixel_std=np.float32(structure.pixel_std),
        carried_over=np.array(carried, dtype=str),
        new=np.array(new, dtype=str),
    )


def predict(trained: Trained, images: np.ndarray, source: np.ndarray, keypointset: KeypointSet) -> np.ndarray:
    """Keypoints float32 (n, k, 2) in pixels of images uint8 (n, side, side), as the label source of each face (n,) would place them.

    The mirrored average with the net's offsets, clipped to the image; the k keypoints are `trained.indices`.
    """
    structure = Structure(str(trained.network), 0.0, 0.0, 0.0, float(trained.pixel_mean), float(trained.pixel_std))
    net = _build(structure, keypointset, keypoints=len(trained.indices))
    network.load(net, trained.weights)
    return _answers(net, images, source, trained.offsets, keypointset, trained.indices.tolist())


def _answers(
    net: keras.Model, images: np.ndarray, source: np.ndarray, offsets: np.ndarray, keypointset: KeypointSet, indices: list[int]
) -> np.ndarray:
    """Keypoints (n, k, 2) of each face's own source, within the image."""
    by_source = prediction.predict(net, images, keypointset, indices=indices, mirrored=True) + offsets
    own = evaluation.of_source(prediction.widest_where_unlabelled(by_source, keypointset, indices), source)
    return np.clip(own, 0, keypointset.side)


@contextlib.contextmanager
def _only_output_trains(net: keras.Model):
    """All layers but the output layer keep their weights and their batch statistics."""
    frozen = [layer for layer in net.layers if layer.name != network.OUTPUT]
    for layer in frozen:
        layer.trainable = False
    yield
    for layer in frozen:
        layer.trainable = True


def _build(structure: Structure, keypointset: KeypointSet, *, keypoints: int) -> keras.Model:
    return network.build(
        structure.network,
        side=keypointset.side,
        keypoints=keypoints,
        sources=len(keypointset.sources),
        pixel_mean=structure.pixel_mean,
        pixel_std=structure.pixel_std,
        l1=structure.l1,
        l2=structure.l2,
        dropout=structure.dropout,
    )


def _only(faces: training.Faces, indices: list[int]) -> training.Faces:
    return training.Faces(faces.images, faces.keypoints[:, indices], faces.source)
