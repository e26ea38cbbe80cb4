"""Trains a net from a structure, samples and a recipe, and evaluates it on the samples that it was not trained on."""

from dataclasses import dataclass

import keras
import numpy as np

from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.stored import StoredSet
from pipeline.lazyrows import chosen
from pipeline.metrics.rmse import rmse
from pipeline.nets import forward, network, training
from pipeline.nets.samples import Labelled, Versions, any_labelled
from pipeline.nets.sight import AlignedWindow, Sight
from pipeline.nets.sources import of_source, source_offsets, within_image
from pipeline.nets.start import Start
from pipeline.nets.structure import Structure
from pipeline.nets.trained import Trained


@dataclass(frozen=True)
class TrainingJob:
    """Which net to train, on which samples, and how.

    labelled: the held-out samples serve for early stopping and the reported RMSE, the others for the offsets of the annotation sources.
    indices: the keypoints of the set that the net predicts. start: the initial weights. sight: what the net sees of the labelled samples.
    """

    structure: Structure
    labelled: Labelled
    recipe: training.Recipe
    indices: list[int]
    start: Start
    sight: Sight
    keypointset: KeypointSet


def train(job: TrainingJob, versions: Versions, *, hooks: training.Hooks) -> Trained:
    """Trains a net, in each epoch on the next augmented version, and evaluates it on the labelled samples.

    versions: augmented versions of the training part with the keypoints `job.indices`. Hooks and exceptions are those of `training.fit`.
    """
    labelled, sight, indices, keypointset = job.labelled, job.sight, job.indices, job.keypointset
    net = network.build(job.structure, side=sight.side, keypoints=len(indices), sources=len(keypointset.sources))
    carried, new = job.start.apply(net, indices)
    known = any_labelled(labelled.keypoints, indices)
    validation = labelled.seen(sight.view(len(labelled.images)), labelled.held_out & known, indices)
    history, health = training.fit(net, versions, validation, job.recipe, keypointset=keypointset, hooks=hooks)
    evaluation = _evaluated(net, job)
    return Trained(
        health=health,
        history=history,
        weights=network.weights(net),
        shapes=network.shapes(net),
        offsets=evaluation.offsets,
        validation=evaluation.validation,
        rmse=np.float32(evaluation.rmse),
        indices=np.array(indices, np.int32),
        keypoints=np.array([keypointset.names[k] for k in indices]),
        side=np.int32(sight.side),
        frame=np.int32(round(sight.scale * labelled.images.shape[1])),
        stored=np.int32(labelled.images.shape[1]),
        target=sight.target,
        located=evaluation.located,
        window=sight.window.matrix if isinstance(sight, AlignedWindow) else None,
        structure=job.structure,
        keypointset=StoredSet.of(keypointset),
        carried_over=np.array(carried, dtype=str),
        new=np.array(new, dtype=str),
    )


@dataclass(frozen=True)
class _Evaluation:
    """The results of a trained net on the labelled samples; the fields are those of `Trained`."""

    offsets: np.ndarray
    validation: np.ndarray
    rmse: float
    located: np.ndarray | None


def _evaluated(net: keras.Model, job: TrainingJob) -> _Evaluation:
    """Predicts the labelled samples, and measures the offsets of the annotation sources and the RMSE.

    Training samples without a label for the net's keypoints contribute nothing to the offsets and are left out, except for a base net (its
    sight has a target), which also locates all faces for its specialists.
    """
    labelled, sight, indices, keypointset = job.labelled, job.sight, job.indices, job.keypointset
    known = any_labelled(labelled.keypoints, indices)
    wanted = labelled.held_out | known if sight.target is None else np.ones_like(known)
    labels, source, held_out = labelled.keypoints[wanted][:, indices], labelled.source[wanted], labelled.held_out[wanted]
    unshifted = forward.predict_sight(net, chosen(labelled.images, wanted), sight.of(wanted), keypointset, indices=indices)
    offsets = source_offsets(unshifted[~held_out], labels[~held_out], source[~held_out])
    predicted = within_image(unshifted + offsets, keypointset, indices, side=labelled.images.shape[1])
    validation = of_source(predicted, source)[held_out]
    located = None if sight.target is None else predicted[:, 0]
    return _Evaluation(offsets, validation, rmse(validation, labels[held_out]), located)
