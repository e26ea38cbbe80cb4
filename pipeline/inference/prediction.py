"""Prediction of keypoints with trained nets: with a single net, and with a chain of a base net and its specialists."""

from collections.abc import Callable, Iterable

import keras
import numpy as np

from pipeline.geometry import alignment
from pipeline.inference import elsewhere
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images
from pipeline.nets import forward, network
from pipeline.nets.averaged import Averaged
from pipeline.nets.sight import AlignedWindow, KeypointWindows, Located, Sight, WholeImage, located_at
from pipeline.nets.trained import Trained


def rebuilt(trained: Trained, keypointset: KeypointSet) -> keras.Model:
    """The net with its trained weights."""
    keypoints, sources = len(trained.indices), len(keypointset.sources)
    net = network.build(trained.structure, side=int(trained.side), keypoints=keypoints, sources=sources)
    network.load(net, trained.weights)
    return net


# Gives the net of a training; `rebuilt`, or a function that remembers the nets.
Rebuild = Callable[[Trained, KeypointSet], keras.Model]


def predict(
    trained: Trained, images: Images, keypointset: KeypointSet, found: Located | None = None, *, rebuild: Rebuild = rebuilt
) -> Averaged:
    """Predicts the keypoints of images uint8 (n, s, s) or (n, s, s, 3) of any side s with a trained net.

    Returns keypoints (n, S, k, 2), in pixels of the images, for each of S annotation sources; the k keypoints are `trained.indices`. The
    predictions are averaged with those for the mirror images, include the offsets of the sources, and are clipped to the image. Doubtful
    ones of a base net are replaced where `elsewhere.SearchElsewhere` finds the sample at another place; without mirror images nothing tells
    which are doubtful.
    found: where the base net has found the samples; only a specialist that sees windows needs it.
    """
    indices, net, side = trained.indices.tolist(), rebuild(trained, keypointset), images.shape[1]
    seen = sight(trained, found, side=side)
    predicted = forward.predict_sight(net, images, seen, keypointset, indices=indices)
    if isinstance(seen, WholeImage) and seen.target is not None and seen.refine and keypointset.mirror is not None:
        predicted = elsewhere.SearchElsewhere(net, images, keypointset, seen, seen.target).improved(predicted)
    offsets = trained.offsets if side == trained.stored else trained.offsets * np.float32(side / trained.stored)
    return predicted.shifted(offsets, keypointset, indices, side=side)


def sight(trained: Trained, found: Located | None, *, side: int) -> Sight:
    """What the net sees of images of side x side pixels.

    found: see `predict`. Raises ValueError if it is missing for a net that sees windows.
    """
    scale = int(trained.frame) / side
    if not trained.sees_windows:
        return WholeImage(int(trained.side), trained.target, scale, bool(trained.refined))
    if found is None:
        raise ValueError("a net that sees windows of the image needs to know where the base net has found the sample")
    looks = 1 if trained.looks is None else int(trained.looks)
    if trained.window is not None:
        return AlignedWindow(alignment.Window(trained.window, int(trained.side)), found.aligning, scale, looks)
    zooms, located = tuple(np.array(trained.zooms).tolist()), found.located[:, trained.indices]
    return KeypointWindows(int(trained.side), zooms, found.aligning, located, scale, looks)


def predict_chain(
    nets: Iterable[Trained], images: Images, source: np.ndarray, keypointset: KeypointSet, *, rebuild: Rebuild = rebuilt
) -> list[Averaged]:
    """Predicts the keypoints of images uint8 (n, s, s) or (n, s, s, 3) with each net of a chain.

    nets: the base net, which locates the faces for the others, and then the specialists. source: int8 (n,), the annotation source whose
    convention each prediction follows. Returns for each net keypoints (n, k, 2), in pixels of the images.
    """
    predictions: list[Averaged] = []
    found = None
    for net in nets:
        by_source = predict(net, images, keypointset, found, rebuild=rebuild)
        if net.target is not None:
            found = located_at(net, by_source.keypoints[:, 0], side=images.shape[1])
        predictions.append(by_source.of_source(source))
    return predictions
