"""The prediction of trained nets as a function of tensors: what `LoadedNets.predict` computes, for a graph.

Only the search of `nets.forward` for samples that no alignment finds is left out, because it costs as much as the predictions for ten
others, and whether it takes place depends on the other samples of a batch. Everything else is repeated step by step, the rounding of
sampled grey levels included.
"""

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from pipeline.export import sampling
from pipeline.export.nets import Inputs, Net
from pipeline.export.sampling import Places, Similarity
from pipeline.geometry import alignment
from pipeline.inference.loaded import LoadedNets
from pipeline.nets.forward import FAR_APART, MOST_ALIGNMENTS


class Found(NamedTuple):
    """What a base net has found in n images.

    points: (n, S * K), pixels of the images. view: (n, 1), the maps that align the samples; None if the net has no target.
    """

    points: Places
    view: Similarity | None


def built(nets: LoadedNets) -> list[list[Net]]:
    """The nets of each chain, ready for `outputs`."""
    return [[Net.of(trained, nets, f"net{i}_{j}") for j, trained in enumerate(chain)] for i, chain in enumerate(nets.chains)]


def outputs(images: Any, chains: list[list[Net]], base_share: float) -> Any:
    """The predictions float32 (n, K, 2), pixels, for images uint8 (n, s, s) or (n, s, s, 3), whose side s may be dynamic.

    See `LoadedNets.predict`.
    """
    seen = Inputs(images)
    points, *others = [_chain(seen, nets, base_share) for nets in chains]
    for other in others:
        points = Places(points.x + other.x, points.y + other.y)
    return ops.stack([points.x / len(chains), points.y / len(chains)], axis=2)


def function(chains: list[list[Net]], nets: LoadedNets, *, side: int | None) -> Any:
    """The keypoints of `outputs` as a function of TensorFlow, for its converters. side: of the images, pixels; None if any."""
    import tensorflow as tf

    colour = (3,) if nets.frame.colour else ()
    signature = [tf.TensorSpec((None, side, side, *colour), tf.uint8, name="images")]
    # Autograph would rewrite the Python code, which has nothing that depends on values.
    return tf.function(lambda images: outputs(images, chains, nets.base_share), input_signature=signature, autograph=False)


def _chain(images: Inputs, nets: list[Net], base_share: float) -> Places:
    """The predictions (n, K) of a base net and its specialists, see `ensemble.combined`."""
    base, *specialists = nets
    found = _base(images, base)
    own = found.points.each(lambda values: ops.take(values, base.own, axis=1))
    if not specialists:
        return own
    others = [_shifted(images, net, _specialist(images, net, found), net.own) for net in specialists]
    indices = [k for net in specialists for k in net.indices]
    # Where there is no specialist the mean is that of the base net with itself.
    place = [len(base.indices) + indices.index(k) if k in indices else k for k in base.indices]

    def combined(base_values: Any, values: list[Any]) -> Any:
        every = ops.concatenate([base_values, *values], axis=1)
        return base_share * base_values + (1 - base_share) * ops.take(every, np.array(place, np.int32), axis=1)

    return Places(combined(own.x, [one.x for one in others]), combined(own.y, [one.y for one in others]))


def _shifted(images: Inputs, net: Net, points: Places, which: np.ndarray | slice) -> Places:
    """Final predictions: with the offsets of the net, within the image, see `Averaged.shifted`.

    which: the place of each prediction among those for all sources and keypoints of the net.
    """
    offsets = net.trained.offsets.reshape(-1, 2)[which].astype(np.float32)
    factor = images.span / float(net.trained.stored)
    return Places(*(ops.clip(values + factor * own, 0.0, images.span) for values, own in zip(points, offsets.T, strict=True)))


def _base(images: Inputs, net: Net) -> Found:
    """What a net that sees whole images finds, see `forward.predict_refined`."""
    scale, target = net.frame / images.span, net.trained.target
    points, view = _first(net.of_whole(images)), None
    if target is not None and bool(net.trained.refined):
        points = _refined(images, net, points, target)
    points = _shifted(images, net, points, slice(None))
    if target is not None:
        view = sampling.aligning(points.each(lambda values: values[:, : len(target)]), target, scale)
    return Found(points, view)


def _refined(images: Inputs, net: Net, first: Places, target: np.ndarray) -> Places:
    """The refined predictions, given a first one (n, S * K) of each image.

    Every sample is aligned MOST_ALIGNMENTS times; where the predictions are no longer far apart, what follows has no effect.
    """
    scale = net.frame / images.span

    def widest(points: Places) -> Places:
        return points.each(lambda values: values[:, : len(target)])

    def aligned(points: Places) -> Places:
        return _first(net.through(images, sampling.aligning(widest(points), target, scale).inverse(), 1.0))

    def distance(one: Places, other: Places) -> Any:
        return sampling.distance(widest(one), widest(other), target, scale) / net.frame

    def chosen(condition: Any, one: Places, other: Places) -> Places:
        return Places(ops.where(condition, one.x, other.x), ops.where(condition, one.y, other.y))

    latest = aligned(first)
    found, apart = _middle(first, latest), distance(first, latest)
    better = apart > FAR_APART
    for _ in range(MOST_ALIGNMENTS - 1):
        again = aligned(latest)
        closer = distance(latest, again)
        better = ops.logical_and(ops.logical_and(better, apart > FAR_APART), closer < apart)
        found, apart = chosen(better, _middle(latest, again), found), ops.where(better, closer, apart)
        latest = chosen(better, again, latest)
    return found


def _specialist(images: Inputs, net: Net, found: Found) -> Places:
    """The predictions (n, k) of a specialist, each for the own source of its keypoint."""

    def own(values: Any) -> Any:
        return ops.take(values, net.own, axis=1)

    if not net.trained.sees_windows:
        return _first(net.of_whole(images)).each(own)
    if found.view is None:
        raise ValueError("a net that sees windows of the image needs a base net that aligns the samples")
    looks = Similarity.of(alignment.looks(net.looks, net.side))
    if net.trained.window is None:
        return _around_keypoints(images, net, found, looks)
    view = found.view.then(Similarity.of(net.trained.window)).then(looks)
    every = net.through(images, view.inverse(), float(net.trained.window[0, 0]))
    return every.each(lambda values: own(ops.mean(values, axis=1)))


def _around_keypoints(images: Inputs, net: Net, found: Found, looks: Similarity) -> Places:
    """The predictions (n, k) of a net that sees a window around each keypoint, see `forward.predict_windows`."""
    assert found.view is not None
    assert net.trained.zooms is not None
    zooms, count = net.trained.zooms.tolist(), len(net.indices)
    centres = found.points.each(lambda values: ops.take(values, np.array(net.indices, np.int32), axis=1))
    for number, zoom in enumerate(zooms, start=1):
        every = looks if number == len(zooms) else looks.each(lambda values: values[:1])
        a, b = (part * zoom + ops.zeros_like(centres.x) for part in found.view[:2])
        right, down = b * centres.y - a * centres.x + net.side / 2, -(b * centres.x + a * centres.y) + net.side / 2
        view = Similarity(a, b, right, down).each(lambda values: ops.expand_dims(values, 2)).then(every)
        windows = count * len(every.a)
        back = view.inverse().each(lambda values: ops.reshape(values, (-1, windows)))  # noqa: B023
        predicted = net.through(images, back, zoom)
        centres = predicted.each(lambda values: _of_own_window(net, values))
    return centres


def _of_own_window(net: Net, values: Any) -> Any:
    """Of predictions (n, k * looks, S * k) for all keypoints in the windows around k keypoints, that (n, k) in the windows of each."""
    count, every = len(net.indices), net.sources * len(net.indices)
    mean = ops.mean(ops.reshape(values, (-1, count, values.shape[1] // count, every)), axis=2)
    return ops.take(ops.reshape(mean, (-1, count * every)), np.arange(count, dtype=np.int32) * every + net.own, axis=1)


def _first(points: Places) -> Places:
    """The predictions (n, S * k) through the first window."""
    return points.each(lambda values: values[:, 0])


def _middle(one: Places, other: Places) -> Places:
    return Places((one.x + other.x) / 2, (one.y + other.y) / 2)
