"""From trained nets to keypoints: of one net, and of a chain of a base net and its specialists."""

from collections.abc import Iterable

import keras
import numpy as np

from pipeline.geometry import alignment
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images
from pipeline.nets import forward, network
from pipeline.nets.sight import AlignedWindow, Sight, WholeImage
from pipeline.nets.sources import of_source, within_image
from pipeline.nets.trained import Trained


def predict(trained: Trained, images: Images, keypointset: KeypointSet, aligning: np.ndarray | None = None) -> np.ndarray:
    """Keypoints float32 (n, S, k, 2) in pixels of images uint8 (n, s, s), for each of S annotation sources.

    Mirrored averages with the offsets of the net, clipped to the image; the k keypoints are `trained.indices`.
    aligning: the maps float64 (n, 2, 3) that align the faces, for a specialist that sees a window; see `sight`.
    """
    indices, net = trained.indices.tolist(), rebuilt(trained, keypointset)
    predicted = forward.predict_sight(net, images, sight(trained, aligning), keypointset, indices=indices)
    return within_image(predicted + trained.offsets, keypointset, indices, side=images.shape[-1])


def rebuilt(trained: Trained, keypointset: KeypointSet) -> keras.Model:
    """The net with its trained weights."""
    outputs = {"keypoints": len(trained.indices), "sources": len(keypointset.sources)}
    net = network.build(trained.structure, side=int(trained.side), **outputs)
    network.load(net, trained.weights)
    return net


def sight(trained: Trained, aligning: np.ndarray | None) -> Sight:
    """What the net sees of images. aligning: see `predict`; ValueError if a net that sees a window has none."""
    if trained.window is None:
        return WholeImage(int(trained.side), trained.target)
    if aligning is None:
        raise ValueError("a net that sees a window of the aligned face needs the maps that align the faces")
    return AlignedWindow(alignment.Window(trained.window, int(trained.side)), aligning)


def predict_chain(nets: Iterable[Trained], images: Images, source: np.ndarray, keypointset: KeypointSet) -> list[np.ndarray]:
    """The keypoints that each net of a chain predicts, float32 (n, k, 2) in pixels of images uint8 (n, s, s).

    source: (n,), the annotation source whose convention to follow. The first net is the base net; it locates the faces for the others.
    """
    predictions, aligning = [], None
    for net in nets:
        by_source = predict(net, images, keypointset, aligning)
        if net.target is not None:
            aligning = alignment.aligning(by_source[:, 0], net.target)
        predictions.append(of_source(by_source, source))
    return predictions
