"""From images to keypoints in pixels, for one net: forward pass, average with the mirror image, and refinement."""

import keras
import numpy as np

from pipeline.geometry import affine, alignment
from pipeline.geometry.frame import Frame
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images, in_blocks
from pipeline.nets.sight import Sight, View, WholeImage

BATCH = 128  # 256 is no faster on a CPU and needs 70 MB more


def predict_sight(net: keras.Model, images: Images, sight: Sight, keypointset: KeypointSet, *, indices: list[int]) -> np.ndarray:
    """Keypoints float32 (n, S, k, 2) in pixels of images uint8 (n, s, s) for each of S annotation sources, by a net with this sight.

    Averaged with the prediction for the mirror image, and refined if the sight has a target. indices: the k keypoints of the net.
    """
    if sight.target is None:
        return predict_view(net, images, sight.view(len(images)), keypointset, indices=indices)
    return predict_refined(net, images, keypointset, sight.target)


def predict_view(net: keras.Model, images: Images, view: View, keypointset: KeypointSet, *, indices: list[int]) -> np.ndarray:
    """Keypoints float32 (n, S, k, 2) in pixels of images uint8 (n, s, s) that are seen through a view, see `predict`."""
    found = [predict(net, block, keypointset, indices=indices, mirrored=True) for _, block in in_blocks(view.images(images))]
    return affine.move(np.concatenate(found), affine.inverse(view.matrix)).astype(np.float32)


def predict_refined(net: keras.Model, images: Images, keypointset: KeypointSet, target: np.ndarray) -> np.ndarray:
    """The mean of a prediction for the whole images and a refinement: a second one, for the faces aligned with the target by the first.

    The net must predict all keypoints of the set; target (K, 2) in pixels. Returns float32 (n, S, K, 2), pixels of the images.
    Rotated and small faces are found better where most faces are.
    """
    everything, side = list(range(len(keypointset.names))), images.shape[-1]
    first = predict_view(net, images, WholeImage(side).view(len(images)), keypointset, indices=everything)
    aligned = View(alignment.aligning(first[:, 0], target), side)
    return (first + predict_view(net, images, aligned, keypointset, indices=everything)) / 2


def predict(net: keras.Model, images: Images, keypointset: KeypointSet, *, indices: list[int], mirrored: bool) -> np.ndarray:
    """Keypoints float32 (n, S, k, 2) in pixels of images uint8 (n, side, side), for each of S annotation sources.

    indices: which keypoints of the set the net predicts, in its order. mirrored: whether to average with the prediction for the mirror
    image; the images must then be in memory. A set whose images must not be mirrored is never averaged.
    """
    unit = forward(net, images)
    if mirrored and keypointset.mirror is not None:
        order = [indices.index(keypointset.mirror_order[k]) for k in indices]
        reflected = forward(net, images[:, :, ::-1])[:, :, order] * np.array([-1, 1], np.float32)
        unit = (unit + reflected) / 2
    return Frame(images.shape[-1]).to_pixels(unit)


def forward(net: keras.Model, images: Images) -> np.ndarray:
    """The net's output float32 (n, S, k, 2) in unit coordinates. Every batch is padded to full size, so that the net is compiled once."""
    if len(images) == 0:
        return np.zeros((0, *net.output_shape[1:]), np.float32)
    blocks = []
    for start in range(0, len(images), BATCH):
        block = np.ascontiguousarray(images[start : start + BATCH])
        padded = np.pad(block, ((0, BATCH - len(block)), (0, 0), (0, 0)))
        blocks.append(np.asarray(net.predict_on_batch(padded))[: len(block)])
    return np.concatenate(blocks)
