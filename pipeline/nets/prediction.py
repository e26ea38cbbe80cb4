"""From images to keypoints in pixels: forward pass, mirrored averaging, a second look, and each label source's constant offset."""

from dataclasses import dataclass, replace

import keras
import numpy as np

from pipeline.faces import affine, alignment
from pipeline.keypointset import KeypointSet
from pipeline.lazyrows import Images, in_blocks

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


def look(model: keras.Model, images: Images, view: View, keypointset: KeypointSet, *, indices: list[int]) -> np.ndarray:
    """Keypoints float32 (n, S, K, 2) in pixels of images uint8 (n, s, s) seen through a view: the mirrored average, see `predict`."""
    inputs = replace(keypointset, side=view.side)
    found = [predict(model, block, inputs, indices=indices, mirrored=True) for _, block in in_blocks(view.images(images))]
    return affine.move(np.concatenate(found), affine.inverse(view.matrix)).astype(np.float32)


def look_twice(model: keras.Model, images: Images, keypointset: KeypointSet, target: np.ndarray) -> np.ndarray:
    """The mean of a look at the whole images and one at the faces that the first look has found, aligned with target (K, 2).

    The net must predict all of the set's keypoints. float32 (n, S, K, 2) pixels. It finds turned and small faces better when they are
    brought to where most faces are.
    """
    everything = list(range(len(keypointset.names)))
    first = look(model, images, whole(len(images), keypointset.side), keypointset, indices=everything)
    aligned = View(alignment.to_frame(first[:, 0], target), keypointset.side)
    return (first + look(model, images, aligned, keypointset, indices=everything)) / 2


def predict(model: keras.Model, images: Images, keypointset: KeypointSet, *, indices: list[int], mirrored: bool) -> np.ndarray:
    """Keypoints float32 (n, S, K, 2) in pixels of images uint8 (n, side, side), for every label source.

    indices: which of the set's keypoints the net predicts, in order. mirrored: average with the prediction for the mirror image, which
    must be in memory.
    """
    unit = forward(model, images)
    if mirrored:
        order = [indices.index(keypointset.mirror_order[k]) for k in indices]
        reflected = forward(model, images[:, :, ::-1])[:, :, order] * np.array([-1, 1], np.float32)
        unit = (unit + reflected) / 2
    return keypointset.to_pixels(unit)


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


def widest_where_unlabelled(by_source: np.ndarray, keypointset: KeypointSet, indices: list[int]) -> np.ndarray:
    """Predictions (n, S, K, 2) in which each source answers for the keypoints that it labels, and the widest source for the others.

    No label has taught a net where a source of four keypoints would place the other eleven.
    """
    answered = by_source.copy()
    for s, names in enumerate(keypointset.sources.values()) if by_source.shape[1] > 1 else ():
        unlabelled = [place for place, k in enumerate(indices) if keypointset.names[k] not in names]
        answered[:, s, unlabelled] = by_source[:, 0, unlabelled]
    return answered


def source_offsets(predicted: np.ndarray, keypoints: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Where each source's labels lie beside predictions that treat left and right alike: float32 (S, K, 2), pixels.

    One source of Kaggle's labels lies up to 0.8 px to the right of where symmetric labels would. Mirroring, in training and in prediction,
    averages that away, so it is measured on unmirrored faces and added at the very end. predicted (n, S, K, 2); keypoints (n, K, 2), NaN
    where not labelled; source (n,), no matter if S = 1. The offset of a keypoint that a source never labels is 0.
    The mean without the outer tenths: gross errors in the labels must not move it.
    """
    from scipy.stats import trim_mean  # 60 MB that whoever only predicts does without

    offsets = np.zeros(predicted.shape[1:], np.float32)
    for s in range(predicted.shape[1]):
        own = source == s if predicted.shape[1] > 1 else slice(None)
        difference = keypoints[own] - predicted[own, s]
        for k in range(difference.shape[1]):
            known = difference[~np.isnan(difference[:, k]).any(axis=1), k]
            if len(known):
                offsets[s, k] = trim_mean(known, 0.1, axis=0)
    return offsets
