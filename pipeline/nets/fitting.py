"""From a structure, faces and a recipe to a `Trained` net, and from a `Trained` net to keypoints."""

import dataclasses
from pathlib import Path

import numpy as np

from pipeline.geometry import alignment
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images, chosen
from pipeline.metrics.rmse import rmse
from pipeline.nets import monitoring, network, pretrained, training
from pipeline.nets.checkpoints import Checkpoints
from pipeline.nets.samples import DrawnWindows, Samples, StoredVersions
from pipeline.nets.snapshots import Series
from pipeline.nets.sources import of_source, source_offsets
from pipeline.nets.structure import Structure
from pipeline.nets.trained import Trained
from pipeline.nets.views import predict_as_trained, seen_part, view_of, within_image


def train(
    structure: Structure,
    copies: StoredVersions | DrawnWindows,
    labelled: Samples,
    held_out: np.ndarray,
    recipe: training.Recipe,
    *,
    keypointset: KeypointSet,
    base: Trained | None,
    target: np.ndarray | None,
    window: alignment.Window | None,
    keep_head: bool,
    scratch: bool,
    imagenet: Path | None,
    seed: int,
    report: monitoring.OnEpoch,
    checkpoints: Checkpoints | None = None,
    snapshots: Series | None = None,
) -> Trained:
    """Trains a net on the augmented copies, from fresh weights, ImageNet's or, as a specialist, from the weights of `base`.

    labelled: all labelled faces as they are, with all of the set's keypoints, the net predicts `copies.indices`; held_out (n,): the
    validation faces among them, for early stopping and the reported RMSE, the others give the offsets.
    target: for a base net, see prediction.look_twice. window: for a specialist that looks where `base` has located the face.
    keep_head: a specialist also begins with the base net's outputs for its keypoints; otherwise with a new output layer.
    scratch: it begins with fresh weights, and owes the base net nothing but where to look.
    imagenet: the file of the weights that a base net begins with, see pretrained.fetched; None: with fresh ones.
    checkpoints, snapshots: see training.fit.
    """
    indices, side = copies.indices, window.side if window else keypointset.side
    net = network.build(structure, side=side, keypoints=len(indices), sources=len(keypointset.sources))
    carried, new = [], [variable.path for variable in net.weights]
    if imagenet:
        carried, new = pretrained.load(net, imagenet)
    if base and not scratch:
        outputs = [base.indices.tolist().index(k) for k in indices] if keep_head else None
        carried, new = network.transfer(net, base.weights, outputs=outputs)
    view = view_of(len(labelled.images), keypointset, window, alignment.to_frame(base.located, base.target) if window else None)
    known = ~np.isnan(labelled.keypoints[:, indices]).all(axis=(1, 2))
    validation, seen = seen_part(labelled, view, held_out & known, indices), dataclasses.replace(keypointset, side=side)
    history, health = training.fit(
        net,
        copies,
        validation,
        recipe,
        keypointset=seen,
        seed=seed,
        report=report,
        checkpoints=checkpoints,
        snapshots=snapshots,
    )

    # Of the faces to train on, those without a label tell nothing about the offsets; but a base net locates all, for its specialists.
    asked = held_out | known if target is None else np.ones_like(known)
    labels, source, held_out = labelled.keypoints[asked][:, indices], labelled.source[asked], held_out[asked]
    unshifted = predict_as_trained(net, chosen(labelled.images, asked), view.of(asked), target, keypointset, indices)
    offsets = source_offsets(unshifted[~held_out], labels[~held_out], source[~held_out])
    predicted = within_image(unshifted + offsets, keypointset, indices)
    validated = of_source(predicted, source)[held_out]
    return Trained(
        health=health,
        history=history,
        weights=network.weights(net),
        shapes=network.shapes(net),
        offsets=offsets,
        validation=validated,
        rmse=np.float32(rmse(validated, labels[held_out])),
        indices=np.array(indices, np.int32),
        keypoints=np.array([keypointset.names[k] for k in indices]),
        side=np.int32(side),
        target=target,
        located=None if target is None else predicted[:, 0],
        window=window.matrix if window else None,
        structure=structure,
        carried_over=np.array(carried, dtype=str),
        new=np.array(new, dtype=str),
    )


def labelled(images: Images, keypoints: np.ndarray, source: np.ndarray) -> Samples:
    """Whole labelled faces as they are."""
    return Samples(images, keypoints, source, np.ones(len(images), np.float32))
