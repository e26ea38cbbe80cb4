"""From a structure, faces and a recipe to a `Trained` net, and from a `Trained` net to keypoints."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np

from pipeline.faces import affine, alignment
from pipeline.keypointset import KeypointSet
from pipeline.lazyrows import Images, chosen
from pipeline.nets import evaluation, monitoring, network, prediction, pretrained, training
from pipeline.nets.checkpoints import Checkpoints
from pipeline.nets.copies import Copies, Faces, Windows
from pipeline.nets.prediction import View
from pipeline.nets.snapshots import Series
from pipeline.nets.structure import Structure
from pipeline.nets.trained import Trained


def train(
    structure: Structure,
    copies: Copies | Windows,
    labelled: Faces,
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
    report: monitoring.Report,
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
    view = _view(len(labelled.images), keypointset, window, alignment.to_frame(base.located, base.target) if window else None)
    known = ~np.isnan(labelled.keypoints[:, indices]).all(axis=(1, 2))
    validation, seen = _seen(labelled, view, held_out & known, indices), dataclasses.replace(keypointset, side=side)
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
    unshifted = _look(net, chosen(labelled.images, asked), view.of(asked), target, keypointset, indices)
    offsets = prediction.source_offsets(unshifted[~held_out], labels[~held_out], source[~held_out])
    predicted = _answers(unshifted + offsets, keypointset, indices)
    validated = evaluation.of_source(predicted, source)[held_out]
    return Trained(
        health=health,
        history=history,
        weights=network.weights(net),
        shapes=network.shapes(net),
        offsets=offsets,
        validation=validated,
        rmse=np.float32(evaluation.rmse(validated, labels[held_out])),
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


def predict(trained: Trained, images: Images, keypointset: KeypointSet, frame: np.ndarray | None) -> np.ndarray:
    """Keypoints float32 (n, S, k, 2) in pixels of images uint8 (n, side, side), as each label source would place them.

    Mirrored averages with the net's offsets, clipped to the image; the k keypoints are `trained.indices`.
    frame (n, 2, 3): the maps that align the faces, see alignment.to_frame; for a specialist with a window.
    """
    indices = trained.indices.tolist()
    view, net = seen(trained, len(images), keypointset, frame), rebuilt(trained, keypointset)
    return _answers(_look(net, images, view, trained.target, keypointset, indices) + trained.offsets, keypointset, indices)


def rebuilt(trained: Trained, keypointset: KeypointSet) -> keras.Model:
    """The net with its trained weights."""
    outputs = {"keypoints": len(trained.indices), "sources": len(keypointset.sources)}
    net = network.build(trained.structure, side=int(trained.side), **outputs)
    network.load(net, trained.weights)
    return net


def seen(trained: Trained, n: int, keypointset: KeypointSet, frame: np.ndarray | None) -> View:
    """What the net sees of n faces, with `frame` as in `predict`; of a base net's two looks the first."""
    window = None if trained.window is None else alignment.Window(trained.window, int(trained.side))
    return _view(n, keypointset, window, frame)


def predict_chain(nets: Iterable[Trained], images: Images, source: np.ndarray, keypointset: KeypointSet) -> list[np.ndarray]:
    """What each net answers for its own keypoints, float32 (n, k, 2) in pixels, of images uint8 (n, side, side) of label sources (n,).

    The first net is the base net: the others look where it has located the faces.
    """
    answers, frame = [], None
    for net in nets:
        by_source = predict(net, images, keypointset, frame)
        if net.target is not None:
            frame = alignment.to_frame(by_source[:, 0], net.target)
        answers.append(evaluation.of_source(by_source, source))
    return answers


def labelled(images: Images, keypoints: np.ndarray, source: np.ndarray) -> Faces:
    """Whole labelled faces as they are."""
    return Faces(images, keypoints, source, np.ones(len(images), np.float32))


def _view(n: int, keypointset: KeypointSet, window: alignment.Window | None, frame: np.ndarray | None) -> View:
    return View(affine.compose(window.matrix, frame), window.side) if window else prediction.whole(n, keypointset.side)


def _look(net: keras.Model, images: Images, view: View, target: np.ndarray | None, keypointset: KeypointSet, indices: list[int]):
    if target is None:
        return prediction.look(net, images, view, keypointset, indices=indices)
    return prediction.look_twice(net, images, keypointset, target)


def _seen(labelled: Faces, view: View, which: np.ndarray, indices: list[int]) -> Faces:
    """Some of the labelled faces as the net sees them; made once where the labelled images are in memory, else for each reading."""
    part = view.of(which)
    images = part.images(chosen(labelled.images, which))
    keypoints = affine.move(labelled.keypoints[which][:, indices], part.matrix).astype(np.float32)
    pixel = (1 / affine.magnification(part.matrix)).astype(np.float32)
    return Faces(images[:] if isinstance(labelled.images, np.ndarray) else images, keypoints, labelled.source[which], pixel)


def _answers(by_source: np.ndarray, keypointset: KeypointSet, indices: list[int]) -> np.ndarray:
    """Keypoints (n, S, k, 2), within the image."""
    return np.clip(prediction.widest_where_unlabelled(by_source, keypointset, indices), 0, keypointset.side)
