"""From a structure, samples and a recipe to a `Trained` net, evaluated on the samples that it was not trained on."""

from dataclasses import dataclass

import keras
import numpy as np

from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import chosen
from pipeline.metrics.rmse import rmse
from pipeline.nets import forward, network, training
from pipeline.nets.samples import Labelled, Versions
from pipeline.nets.sight import AlignedWindow, Sight
from pipeline.nets.sources import of_source, source_offsets, within_image
from pipeline.nets.start import Start
from pipeline.nets.structure import Structure
from pipeline.nets.trained import Trained


@dataclass(frozen=True)
class TrainingJob:
    """One training: of what, on what, and how.

    labelled: its held-out samples are for early stopping and the reported RMSE, the others give the offsets of the annotation sources.
    indices: which keypoints of the set the net predicts. start: the first weights. sight: what the net sees of the labelled samples.
    """

    structure: Structure
    labelled: Labelled
    recipe: training.Recipe
    indices: list[int]
    start: Start
    sight: Sight


def train(job: TrainingJob, versions: Versions, *, keypointset: KeypointSet, hooks: training.Hooks) -> Trained:
    """Trains a net, in each epoch on the next of the augmented versions, and evaluates it on all labelled samples.

    versions: of the training part, with the keypoints `job.indices`. See `training.fit` for the hooks and for what is raised.
    """
    labelled, sight, indices = job.labelled, job.sight, job.indices
    net = network.build(job.structure, side=sight.side, keypoints=len(indices), sources=len(keypointset.sources))
    carried, new = job.start.apply(net, indices)
    known = ~np.isnan(labelled.keypoints[:, indices]).all(axis=(1, 2))
    validation = labelled.seen(sight.view(len(labelled.images)), labelled.held_out & known, indices)
    history, health = training.fit(net, versions, validation, job.recipe, keypointset=keypointset, hooks=hooks)
    evaluation = _evaluated(net, job, keypointset)
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
        target=sight.target,
        located=evaluation.located,
        window=sight.window.matrix if isinstance(sight, AlignedWindow) else None,
        structure=job.structure,
        carried_over=np.array(carried, dtype=str),
        new=np.array(new, dtype=str),
    )


@dataclass(frozen=True)
class _Evaluation:
    """What a trained net predicts for the labelled samples; the fields are those of `Trained`."""

    offsets: np.ndarray
    validation: np.ndarray
    rmse: float
    located: np.ndarray | None


def _evaluated(net: keras.Model, job: TrainingJob, keypointset: KeypointSet) -> _Evaluation:
    """Predicts the labelled samples, and measures the offsets of the annotation sources and the RMSE.

    A sample of the training part without a label says nothing about the offsets. But a base net (its sight has a target) also locates
    the faces for its specialists, so it predicts all of them.
    """
    labelled, sight, indices = job.labelled, job.sight, job.indices
    known = ~np.isnan(labelled.keypoints[:, indices]).all(axis=(1, 2))
    wanted = labelled.held_out | known if sight.target is None else np.ones_like(known)
    labels, source, held_out = labelled.keypoints[wanted][:, indices], labelled.source[wanted], labelled.held_out[wanted]
    unshifted = forward.predict_sight(net, chosen(labelled.images, wanted), sight.of(wanted), keypointset, indices=indices)
    offsets = source_offsets(unshifted[~held_out], labels[~held_out], source[~held_out])
    predicted = within_image(unshifted + offsets, keypointset, indices, side=labelled.images.shape[-1])
    validation = of_source(predicted, source)[held_out]
    located = None if sight.target is None else predicted[:, 0]
    return _Evaluation(offsets, validation, rmse(validation, labels[held_out]), located)
