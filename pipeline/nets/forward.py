"""Prediction with one net: forward pass, average with the mirror image, and refinement."""

import keras
import numpy as np

from pipeline.geometry import affine, alignment
from pipeline.geometry.frame import Frame
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images, Selected, in_blocks
from pipeline.nets.sight import AlignedWindow, KeypointWindows, Sight, View, WholeImage

# A face is aligned again if two predictions differ by more than this fraction of the frame, as lengths of the aligned face: 2 of 96 pixels.
# This is so for 2 % of Kaggle's faces, and for most faces that are less than half as large; see "Lost faces" in bench/README.md.
FAR_APART, MOST_ALIGNMENTS = 2 / 96, 4
BATCH = 128  # images per forward pass; 256 is no faster on a CPU and needs 70 MB more


def predict_sight(net: keras.Model, images: Images, sight: Sight, keypointset: KeypointSet, *, indices: list[int]) -> np.ndarray:
    """Predicts the keypoints of images uint8 (n, s, s) or (n, s, s, 3) with a net that sees them in the way `sight`.

    Returns float32 (n, S, k, 2), in pixels of the images, for each of S annotation sources. indices: the k keypoints of the net. The
    prediction is averaged with that for the mirror image, and refined if the sight says so.
    """
    if isinstance(sight, WholeImage) and sight.target is not None and sight.refine:
        return predict_refined(net, images, keypointset, sight, sight.target)
    if isinstance(sight, KeypointWindows):
        return predict_windows(net, images, keypointset, sight, indices=indices)
    number = sight.looks if isinstance(sight, AlignedWindow) else 1
    return predict_looks(net, images, sight.view(len(images)), number, keypointset, indices=indices)


def predict_looks(net: keras.Model, images: Images, view: View, number: int, keypointset: KeypointSet, *, indices: list[int]) -> np.ndarray:
    """The mean of the predictions of `predict_view` through so many slightly different views, see `View.looks`."""
    found = predict_view(net, images, view, keypointset, indices=indices)
    for other in view.looks(number)[1:]:
        found = found + predict_view(net, images, other, keypointset, indices=indices)
    return found / number if number > 1 else found


def predict_view(net: keras.Model, images: Images, view: View, keypointset: KeypointSet, *, indices: list[int]) -> np.ndarray:
    """Predicts the keypoints of images uint8 (n, s, s) or (n, s, s, 3) through a view, averaged with the prediction for the mirror image.

    Returns float32 (n, S, k, 2), in pixels of the images; see `predict`.
    """
    found = [predict(net, block, keypointset, indices=indices, mirrored=True) for _, block in in_blocks(view.images(images))]
    return affine.move(np.concatenate(found), affine.inverse(view.matrix)).astype(np.float32)


def predict_refined(net: keras.Model, images: Images, keypointset: KeypointSet, sight: WholeImage, target: np.ndarray) -> np.ndarray:
    """Predicts the keypoints of whole images uint8 (n, s, s) or (n, s, s, 3) and refines the prediction.

    The first prediction aligns each face with the target (K, 2), pixels of the frame; the net then predicts the aligned face, and the
    result is the mean of both. This improves the predictions for rotated and small faces, because most faces that the net has learned from
    are upright and large. Where the two are far apart, the first one has hardly found the face. The second one then aligns it again, and so
    on as long as two successive predictions come closer to each other, at most MOST_ALIGNMENTS times; the result is the mean of those two.
    The net must predict all K keypoints of the set. Returns float32 (n, S, K, 2), in pixels of the images.
    """
    everything = list(range(len(keypointset.names)))

    def aligned(which: np.ndarray, located: np.ndarray) -> np.ndarray:
        """The predictions for some of the images, aligned by their keypoints `located` (m, K, 2)."""
        return predict_view(net, Selected(images, which), sight.aligned(located, target), keypointset, indices=everything)

    before = predict_view(net, images, sight.view(len(images)), keypointset, indices=everything)
    latest, far = aligned(np.arange(len(images)), before[:, 0]), np.arange(len(images))
    found, apart = (before + latest) / 2, alignment.distance(before[:, 0], latest[:, 0], target, scale=sight.scale)
    for _ in range(MOST_ALIGNMENTS - 1):
        far = far[apart[far] > sight.side * FAR_APART]
        if not len(far):
            break
        before, latest = latest, latest.copy()
        latest[far] = aligned(far, before[far, 0])
        closer = alignment.distance(before[far, 0], latest[far, 0], target, scale=sight.scale)
        far, closer = far[closer < apart[far]], closer[closer < apart[far]]
        found[far], apart[far] = (before[far] + latest[far]) / 2, closer
    return found


def predict_windows(
    net: keras.Model, images: Images, keypointset: KeypointSet, sight: KeypointWindows, *, indices: list[int]
) -> np.ndarray:
    """Predicts the keypoints of images uint8 (n, s, s) or (n, s, s, 3), each in a window around it, in one pass for each zoom.

    Returns the predictions of the last pass, float32 (n, S, k, 2), in pixels of the images. The first pass is the same for all annotation
    sources; in the others each source has its own windows, because the sources may place a keypoint far apart.
    """
    n, count = len(images), len(indices)
    place = np.tile(np.arange(count), n)
    which = np.repeat(np.arange(n), count)
    selected = Selected(images, which)

    def found(centres: np.ndarray, number: int) -> np.ndarray:
        """The keypoints (n, S, k, 2) that the net finds in pass `number`, counted from 1, in windows around the centres (n, k, 2)."""
        view = sight.around(centres.reshape(-1, 2), which, np.full(len(which), sight.zooms[number - 1]))
        looks = sight.looks if number == len(sight.zooms) else 1
        every = predict_looks(net, selected, view, looks, keypointset, indices=indices)
        own = every[np.arange(len(place)), :, place]
        return own.reshape(n, count, every.shape[1], 2).swapaxes(1, 2)

    latest = found(sight.located, 1)
    for number in range(2, len(sight.zooms) + 1):
        latest = np.stack([found(latest[:, source], number)[:, source] for source in range(latest.shape[1])], axis=1)
    return latest.astype(np.float32)


def predict(net: keras.Model, images: Images, keypointset: KeypointSet, *, indices: list[int], mirrored: bool) -> np.ndarray:
    """Predicts the keypoints of images uint8 (n, side, side) or (n, side, side, 3) of the size of the net's input.

    Returns float32 (n, S, k, 2), pixels, for each of S annotation sources. indices: the k keypoints of the set that the net predicts, in
    its order. mirrored: whether to average with the prediction for the mirror image, for which lazy images are read into memory. For a
    keypoint set whose images must not be mirrored there is no average.
    """
    unit = forward(net, images)
    if mirrored and keypointset.mirror is not None:
        order = [indices.index(keypointset.mirror_order[k]) for k in indices]
        reflected = forward(net, images[:][:, :, ::-1])[:, :, order] * np.array([-1, 1], np.float32)
        unit = (unit + reflected) / 2
    return Frame(images.shape[1]).to_pixels(unit)


def forward(net: keras.Model, images: Images) -> np.ndarray:
    """The net's output for images uint8 (n, side, side) or (n, side, side, 3): float32 (n, S, k, 2), unit coordinates.

    Every batch is padded to full size, so that the net is compiled only once.
    """
    if len(images) == 0:
        return np.zeros((0, *net.output_shape[1:]), np.float32)
    blocks = []
    for start in range(0, len(images), BATCH):
        block = np.ascontiguousarray(images[start : start + BATCH])
        padded = np.pad(block, ((0, BATCH - len(block)), *((0, 0),) * (block.ndim - 1)))
        blocks.append(np.asarray(net.predict_on_batch(padded))[: len(block)])
    return np.concatenate(blocks)
