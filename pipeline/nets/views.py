"""From images to keypoints in pixels: forward pass, mirrored averaging, a second look, and each label source's constant offset."""

from dataclasses import dataclass, replace

import keras
import numpy as np

from pipeline.geometry import affine, alignment
from pipeline.geometry.frame import Frame
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images, chosen, in_blocks
from pipeline.nets.samples import Samples
from pipeline.nets.sources import widest_where_unlabelled

BATCH = 128  # 256 is no faster on a CPU and takes 70 MB more


@dataclass(frozen=True)
class View:
    """What a net sees of each face: `matrix` float64 (n, 2, 3) maps the image to the net's input, `side` x `side` pixels."""

    matrix: np.ndarray
    side: int

    def images(self, images: Images) -> affine.Warped:
        """The net's input uint8 (n, side, side) of images uint8 (n, s, s), made when it is asked for."""
        return affine.Warped(images, self.matrix, self.side)

    def of(self, chosen: np.ndarray) -> "View":
        """The view of some of the faces."""
        return replace(self, matrix=self.matrix[chosen])


def whole(n: int, side: int) -> View:
    """The view of n whole images."""
    return View(affine.identity(n), side)


def predict_view(model: keras.Model, images: Images, view: View, keypointset: KeypointSet, *, indices: list[int]) -> np.ndarray:
    """Keypoints float32 (n, S, K, 2) in pixels of images uint8 (n, s, s) seen through a view: the mirrored average, see `predict`."""
    found = [predict(model, block, keypointset, indices=indices, mirrored=True) for _, block in in_blocks(view.images(images))]
    return affine.move(np.concatenate(found), affine.inverse(view.matrix)).astype(np.float32)


def predict_refined(model: keras.Model, images: Images, keypointset: KeypointSet, target: np.ndarray) -> np.ndarray:
    """The mean of a look at the whole images and one at the faces that the first look has found, aligned with target (K, 2).

    The net must predict all of the set's keypoints. float32 (n, S, K, 2) pixels. It finds turned and small faces better when they are
    brought to where most faces are.
    """
    everything = list(range(len(keypointset.names)))
    first = predict_view(model, images, whole(len(images), images.shape[-1]), keypointset, indices=everything)
    aligned = View(alignment.to_frame(first[:, 0], target), images.shape[-1])
    return (first + predict_view(model, images, aligned, keypointset, indices=everything)) / 2


def predict(model: keras.Model, images: Images, keypointset: KeypointSet, *, indices: list[int], mirrored: bool) -> np.ndarray:
    """Keypoints float32 (n, S, K, 2) in pixels of images uint8 (n, side, side), for every label source.

    indices: which of the set's keypoints the net predicts, in order. mirrored: average with the prediction for the mirror image, which
    must be in memory.
    """
    unit = forward(model, images)
    if mirrored and keypointset.mirror is not None:
        order = [indices.index(keypointset.mirror_order[k]) for k in indices]
        reflected = forward(model, images[:, :, ::-1])[:, :, order] * np.array([-1, 1], np.float32)
        unit = (unit + reflected) / 2
    return Frame(images.shape[-1]).to_pixels(unit)


def forward(model: keras.Model, images: Images) -> np.ndarray:
    """The net's bare output (n, S, K, 2), unit coordinates. Every batch is filled up, so that none costs a second compilation."""
    if len(images) == 0:
        return np.zeros((0, *model.output_shape[1:]), np.float32)
    blocks = []
    for start in range(0, len(images), BATCH):
        block = np.ascontiguousarray(images[start : start + BATCH])
        padded = np.pad(block, ((0, BATCH - len(block)), (0, 0), (0, 0)))
        blocks.append(np.asarray(model.predict_on_batch(padded))[: len(block)])
    return np.concatenate(blocks)


def view_of(n: int, keypointset: KeypointSet, window: alignment.Window | None, frame: np.ndarray | None) -> View:
    return View(affine.compose(window.matrix, frame), window.side) if window else whole(n, keypointset.side)


def predict_as_trained(
    net: keras.Model, images: Images, view: View, target: np.ndarray | None, keypointset: KeypointSet, indices: list[int]
):
    if target is None:
        return predict_view(net, images, view, keypointset, indices=indices)
    return predict_refined(net, images, keypointset, target)


def seen_part(labelled: Samples, view: View, which: np.ndarray, indices: list[int]) -> Samples:
    """Some of the labelled faces as the net sees them; made once where the labelled images are in memory, else for each reading."""
    part = view.of(which)
    images = part.images(chosen(labelled.images, which))
    keypoints = affine.move(labelled.keypoints[which][:, indices], part.matrix).astype(np.float32)
    pixel = (1 / affine.magnification(part.matrix)).astype(np.float32)
    return Samples(images[:] if isinstance(labelled.images, np.ndarray) else images, keypoints, labelled.source[which], pixel)


def within_image(by_source: np.ndarray, keypointset: KeypointSet, indices: list[int]) -> np.ndarray:
    """Keypoints (n, S, k, 2), within the image."""
    return np.clip(widest_where_unlabelled(by_source, keypointset, indices), 0, keypointset.side)
