"""Trains a net from a structure, samples and a recipe, and evaluates it on the samples that it was not trained on."""

from dataclasses import dataclass, replace

import keras
import numpy as np

from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.stored import StoredSet
from pipeline.lazyrows import chosen
from pipeline.metrics.rmse import rmse
from pipeline.nets import forward, network, training
from pipeline.nets.averaged import Averaged
from pipeline.nets.samples import Labelled, Versions, any_labelled, seen
from pipeline.nets.sight import AlignedWindow, KeypointWindows, Sight, WholeImage
from pipeline.nets.sources import source_offsets
from pipeline.nets.start import Start
from pipeline.nets.structure import Structure
from pipeline.nets.trained import Trained


@dataclass(frozen=True)
class TrainingJob:
    """Which net to train, on which samples, and how.

    labelled: the held-out samples serve for early stopping and the reported RMSE, the others for the offsets of the annotation sources.
    indices: the keypoints of the set that the net predicts. start: the initial weights. sight: what the net sees of the labelled samples.
    may_drop_refinement: whether predictions are refined only if that makes those of the held-out samples better.
    """

    structure: Structure
    labelled: Labelled
    recipe: training.Recipe
    indices: list[int]
    start: Start
    sight: Sight
    keypointset: KeypointSet
    may_drop_refinement: bool = False


def train(job: TrainingJob, versions: Versions, *, hooks: training.Hooks) -> Trained:
    """Trains a net, in each epoch on the next augmented version, and evaluates it on the labelled samples.

    versions: augmented versions of the training part with the keypoints `job.indices`. Hooks and exceptions are those of `training.fit`.
    """
    labelled, sight, indices, keypointset = job.labelled, job.sight, job.indices, job.keypointset
    net = network.build(job.structure, side=sight.side, keypoints=len(indices), sources=len(keypointset.sources), trains=True)
    carried, new = job.start.apply(net, indices)
    known = any_labelled(labelled.keypoints, indices)
    validation = seen(labelled, sight, labelled.held_out & known, indices)
    history, health = training.fit(net, versions, validation, job.recipe, keypointset=keypointset, hooks=hooks)
    sight = _chosen_sight(net, job)
    evaluation = _evaluated(net, replace(job, sight=sight))
    return Trained(
        health=health,
        history=history,
        weights=network.weights(net),
        shapes=network.shapes(net),
        offsets=evaluation.offsets,
        validation=evaluation.validation.keypoints,
        validation_spread=evaluation.validation.spread,
        rmse=np.float32(evaluation.rmse),
        indices=np.array(indices, np.int32),
        keypoints=np.array([keypointset.names[k] for k in indices]),
        side=np.int32(sight.side),
        frame=np.int32(round(sight.scale * labelled.images.shape[1])),
        stored=np.int32(labelled.images.shape[1]),
        target=sight.target,
        refined=np.bool_(isinstance(sight, WholeImage) and sight.target is not None and sight.refine),
        located=evaluation.located,
        window=sight.window.matrix if isinstance(sight, AlignedWindow) else None,
        zooms=np.array(sight.zooms) if isinstance(sight, KeypointWindows) else None,
        looks=np.int32(sight.looks) if not isinstance(sight, WholeImage) and sight.looks > 1 else None,
        structure=job.structure,
        keypointset=StoredSet.of(keypointset),
        carried_over=np.array(carried, dtype=str),
        new=np.array(new, dtype=str),
    )


def _chosen_sight(net: keras.Model, job: TrainingJob) -> Sight:
    """The sight of the trained net: without refinement, if that is to be decided and it makes the held-out samples worse."""
    sight, labelled, indices = job.sight, job.labelled, job.indices
    if not (job.may_drop_refinement and isinstance(sight, WholeImage) and sight.target is not None):
        return sight
    which = labelled.held_out & any_labelled(labelled.keypoints, indices)
    images, labels, source = chosen(labelled.images, which), labelled.keypoints[which][:, indices], labelled.source[which]
    options = [replace(sight, refine=refine) for refine in (True, False)]
    errors = [
        rmse(forward.predict_sight(net, images, option, job.keypointset, indices=indices).of_source(source).keypoints, labels)
        for option in options
    ]
    return options[int(errors[1] < errors[0])]


@dataclass(frozen=True)
class _Evaluation:
    """The results of a trained net on the labelled samples; the fields are those of `Trained`, with `validation_spread` in `validation`."""

    offsets: np.ndarray
    validation: Averaged
    rmse: float
    located: np.ndarray | None


# Samples of the training part for which a net predicts windows around each keypoint to measure the offsets: enough for a mean to 3 %.
MOST_FOR_OFFSETS = 1000


def few(mask: np.ndarray) -> np.ndarray:
    """A mask (n,) of at most MOST_FOR_OFFSETS of those that a mask has, evenly spread."""
    chosen = np.flatnonzero(mask)
    found = np.zeros_like(mask)
    found[chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), MOST_FOR_OFFSETS)).astype(int)]] = True
    return found


def _evaluated(net: keras.Model, job: TrainingJob) -> _Evaluation:
    """Predicts the labelled samples, and measures the offsets of the annotation sources and the RMSE.

    Training samples without a label for the net's keypoints contribute nothing to the offsets and are left out, except for a base net (its
    sight has a target), which also locates all faces for its specialists.
    """
    labelled, sight, indices, keypointset = job.labelled, job.sight, job.indices, job.keypointset
    known = any_labelled(labelled.keypoints, indices)
    wanted = labelled.held_out | known if sight.target is None else np.ones_like(known)
    if isinstance(sight, KeypointWindows):
        wanted &= labelled.held_out | few(wanted)
    labels, source, held_out = labelled.keypoints[wanted][:, indices], labelled.source[wanted], labelled.held_out[wanted]
    unshifted = forward.predict_sight(net, chosen(labelled.images, wanted), sight.of(wanted), keypointset, indices=indices)
    offsets = source_offsets(unshifted.keypoints[~held_out], labels[~held_out], source[~held_out])
    predicted = unshifted.shifted(offsets, keypointset, indices, side=labelled.images.shape[1])
    validation = predicted.of_source(source)[held_out]
    located = None if sight.target is None else predicted.keypoints[:, 0]
    return _Evaluation(offsets, validation, rmse(validation.keypoints, labels[held_out]), located)
