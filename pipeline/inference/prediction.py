"""From a chain of trained nets to keypoints."""

from collections.abc import Iterable

import keras
import numpy as np

from pipeline.geometry import alignment
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images
from pipeline.nets import network
from pipeline.nets.sources import of_source
from pipeline.nets.trained import Trained
from pipeline.nets.views import View, predict_as_trained, view_of, within_image


def predict(trained: Trained, images: Images, keypointset: KeypointSet, frame: np.ndarray | None) -> np.ndarray:
    """Keypoints float32 (n, S, k, 2) in pixels of images uint8 (n, side, side), as each label source would place them.

    Mirrored averages with the net's offsets, clipped to the image; the k keypoints are `trained.indices`.
    frame (n, 2, 3): the maps that align the faces, see alignment.to_frame; for a specialist with a window.
    """
    indices = trained.indices.tolist()
    view, net = seen(trained, len(images), keypointset, frame), rebuilt(trained, keypointset)
    return within_image(predict_as_trained(net, images, view, trained.target, keypointset, indices) + trained.offsets, keypointset, indices)


def rebuilt(trained: Trained, keypointset: KeypointSet) -> keras.Model:
    """The net with its trained weights."""
    outputs = {"keypoints": len(trained.indices), "sources": len(keypointset.sources)}
    net = network.build(trained.structure, side=int(trained.side), **outputs)
    network.load(net, trained.weights)
    return net


def seen(trained: Trained, n: int, keypointset: KeypointSet, frame: np.ndarray | None) -> View:
    """What the net sees of n faces, with `frame` as in `predict`; of a base net's two looks the first."""
    window = None if trained.window is None else alignment.Window(trained.window, int(trained.side))
    return view_of(n, keypointset, window, frame)


def predict_chain(nets: Iterable[Trained], images: Images, source: np.ndarray, keypointset: KeypointSet) -> list[np.ndarray]:
    """What each net answers for its own keypoints, float32 (n, k, 2) in pixels, of images uint8 (n, side, side) of label sources (n,).

    The first net is the base net: the others look where it has located the faces.
    """
    answers, frame = [], None
    for net in nets:
        by_source = predict(net, images, keypointset, frame)
        if net.target is not None:
            frame = alignment.to_frame(by_source[:, 0], net.target)
        answers.append(of_source(by_source, source))
    return answers
