"""Prediction with one net: forward pass, average with the mirror image, and refinement."""

from dataclasses import dataclass, replace

import keras
import numpy as np

from pipeline.geometry import affine, alignment, candidates
from pipeline.geometry.frame import Frame
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images, Selected, in_blocks
from pipeline.nets.averaged import Averaged, mean_of
from pipeline.nets.sight import AlignedWindow, KeypointWindows, Sight, View, WholeImage

# A face is aligned again if two predictions differ by more than this fraction of the frame, as lengths of the aligned face: 2 of 96 pixels.
# This is so for 2 % of Kaggle's faces, and for most faces that are less than half as large; see "Lost faces" in bench/README.md.
FAR_APART, MOST_ALIGNMENTS = 2 / 96, 4
# Faces that are lost even so are searched for in parts of the image, which costs as much as the predictions for ten other faces. There may
# be at most so many, or at most this share of all faces: a net that finds few faces at all is no judge of where they are.
FEW_LOST, MOST_LOST = 4, 0.01
BATCH = 128  # images per forward pass; 256 is no faster on a CPU and needs 70 MB more


def predict_sight(net: keras.Model, images: Images, sight: Sight, keypointset: KeypointSet, *, indices: list[int]) -> Averaged:
    """Predicts the keypoints of images uint8 (n, s, s) or (n, s, s, 3) with a net that sees them in the way `sight`.

    Returns keypoints (n, S, k, 2), in pixels of the images, for each of S annotation sources. indices: the k keypoints of the net. The
    prediction is averaged with that for the mirror image, and refined if the sight says so.
    """
    if isinstance(sight, WholeImage) and sight.target is not None and sight.refine:
        return predict_refined(net, images, keypointset, sight, sight.target)
    if isinstance(sight, KeypointWindows):
        return predict_windows(net, images, keypointset, sight, indices=indices)
    number = sight.looks if isinstance(sight, AlignedWindow) else 1
    return predict_looks(net, images, sight.view(len(images)), number, keypointset, indices=indices)


def predict_looks(net: keras.Model, images: Images, view: View, number: int, keypointset: KeypointSet, *, indices: list[int]) -> Averaged:
    """The mean of the predictions of `predict_view` through so many slightly different views, see `View.looks`."""
    return mean_of([predict_view(net, images, look, keypointset, indices=indices) for look in view.looks(number)])


def predict_view(net: keras.Model, images: Images, view: View, keypointset: KeypointSet, *, indices: list[int]) -> Averaged:
    """Predicts the keypoints of images uint8 (n, s, s) or (n, s, s, 3) through a view, averaged with the prediction for the mirror image.

    Returns keypoints (n, S, k, 2), in pixels of the images; see `predict`.
    """
    found = [_with_mirror_image(net, block, keypointset, indices, mirrored=True) for _, block in in_blocks(view.images(images))]
    keypoints, spread = (np.concatenate(parts) for parts in zip(*((one.keypoints, one.spread) for one in found), strict=True))
    back = affine.inverse(view.matrix)
    size = affine.magnification(back)[:, None, None]
    return Averaged(affine.move(keypoints, back).astype(np.float32), (spread * size).astype(np.float32))


def predict_refined(net: keras.Model, images: Images, keypointset: KeypointSet, sight: WholeImage, target: np.ndarray) -> Averaged:
    """Predicts the keypoints of whole images uint8 (n, s, s) or (n, s, s, 3) and refines the prediction.

    The first prediction aligns each face with the target (K, 2), pixels of the frame; the net then predicts the aligned face, and the
    result is the mean of both. This improves the predictions for rotated and small faces, because most faces that the net has learned from
    are upright and large. Where the two are far apart, the first one has hardly found the face, and the second one aligns it again, see
    `_Refinement.followed`. A face that is not found in this way is searched for in parts of the image, unless the net finds hardly any.
    The net must predict all K keypoints of the set. Returns keypoints (n, S, K, 2), in pixels of the images.
    """
    refinement, everything = _Refinement(net, images, keypointset, sight, target), np.arange(len(images))
    found, distance = refinement.followed(refinement.seen(everything, sight.view(len(images))), everything)
    lost = np.flatnonzero(distance > sight.side * FAR_APART)
    if 0 < len(lost) <= max(FEW_LOST, MOST_LOST * len(images)):
        found = refinement.searched(found, lost)
    return found


@dataclass(frozen=True)
class _Refinement:
    """The refinement of predictions; the fields are the arguments of `predict_refined`."""

    net: keras.Model
    images: Images
    keypointset: KeypointSet
    sight: WholeImage
    target: np.ndarray

    def seen(self, which: np.ndarray, view: View) -> Averaged:
        """The predictions for the images `which` (m,) through a view of m images."""
        everything = list(range(len(self.keypointset.names)))
        return predict_view(self.net, Selected(self.images, which), view, self.keypointset, indices=everything)

    def followed(self, first: Averaged, which: np.ndarray) -> tuple[Averaged, np.ndarray]:
        """The refined predictions for the images `which` (m,), given a first one of each.

        Each prediction aligns its face for the next one, as long as the last two are far apart and come closer to each other, at most
        MOST_ALIGNMENTS times. Returns the mean of the last two, and their distance (m,), see `alignment.distance`.
        """
        latest = self._aligned(first, which)
        found, distance, far = mean_of([first, latest]), self._apart(first, latest), np.arange(len(which))
        for _ in range(MOST_ALIGNMENTS - 1):
            chosen = distance[far] > self.sight.side * FAR_APART
            far, latest = far[chosen], latest[chosen]
            if not len(far):
                break
            again = self._aligned(latest, which[far])
            closer = self._apart(latest, again)
            better = closer < distance[far]
            far, before, latest = far[better], latest[better], again[better]
            found, distance[far] = found.replaced(far, mean_of([before, latest])), closer[better]
        return found, distance

    def searched(self, found: Averaged, lost: np.ndarray) -> Averaged:
        """The predictions for all images, those for the images `lost` (m,) replaced where predictions from parts of the image agree."""
        parts = candidates.parts(self.sight.side)
        which, whole = np.repeat(lost, len(parts)), self.sight.view(len(lost) * len(parts))
        view = replace(whole, matrix=affine.compose(np.tile(parts, (len(lost), 1, 1)), whole.matrix))
        others, distance = self.followed(self.seen(which, view), which)
        located, shape = others.keypoints[:, 0].reshape(len(lost), len(parts), *self.target.shape), (len(lost), len(parts))
        chosen = candidates.most_agreed(located, distance.reshape(shape), self.target, side=self.sight.side, scale=self.sight.scale)
        agreed = np.flatnonzero(chosen >= 0)
        return found.replaced(lost[agreed], others[agreed * len(parts) + chosen[agreed]])

    def _aligned(self, located: Averaged, which: np.ndarray) -> Averaged:
        """The predictions for the images `which` (m,), aligned by those `located`."""
        return self.seen(which, self.sight.aligned(located.keypoints[:, 0], self.target))

    def _apart(self, one: Averaged, other: Averaged) -> np.ndarray:
        """The distances (m,) of two predictions of the same images, see `alignment.distance`."""
        return alignment.distance(one.keypoints[:, 0], other.keypoints[:, 0], self.target, scale=self.sight.scale)


def predict_windows(net: keras.Model, images: Images, keypointset: KeypointSet, sight: KeypointWindows, *, indices: list[int]) -> Averaged:
    """Predicts the keypoints of images uint8 (n, s, s) or (n, s, s, 3), each in a window around it, in one pass for each zoom.

    Returns the predictions of the last pass, keypoints (n, S, k, 2), in pixels of the images. The first pass is the same for all annotation
    sources; in the others each source has its own windows, because the sources may place a keypoint far apart.
    """
    n, count = len(images), len(indices)
    place = np.tile(np.arange(count), n)
    which = np.repeat(np.arange(n), count)
    selected = Selected(images, which)

    def found(centres: np.ndarray, number: int) -> Averaged:
        """The keypoints (n, S, k, 2) that the net finds in pass `number`, counted from 1, in windows around the centres (n, k, 2)."""
        view = sight.around(centres.reshape(-1, 2), which, np.full(len(which), sight.zooms[number - 1]))
        looks = sight.looks if number == len(sight.zooms) else 1
        every = predict_looks(net, selected, view, looks, keypointset, indices=indices)
        own = every[np.arange(len(place)), :, place]
        sources = own.spread.shape[1]
        keypoints, spread = own.keypoints.reshape(n, count, sources, 2), own.spread.reshape(n, count, sources)
        return Averaged(keypoints.swapaxes(1, 2), spread.swapaxes(1, 2))

    latest = found(sight.located, 1)
    for number in range(2, len(sight.zooms) + 1):
        parts = [found(latest.keypoints[:, source], number)[:, source] for source in range(latest.spread.shape[1])]
        latest = Averaged(np.stack([part.keypoints for part in parts], axis=1), np.stack([part.spread for part in parts], axis=1))
    return Averaged(latest.keypoints.astype(np.float32), latest.spread)


def predict(net: keras.Model, images: Images, keypointset: KeypointSet, *, indices: list[int], mirrored: bool) -> np.ndarray:
    """Predicts the keypoints of images uint8 (n, side, side) or (n, side, side, 3) of the size of the net's input.

    Returns float32 (n, S, k, 2), pixels, for each of S annotation sources. indices: the k keypoints of the set that the net predicts, in
    its order. mirrored: whether to average with the prediction for the mirror image, for which lazy images are read into memory. For a
    keypoint set whose images must not be mirrored there is no average.
    """
    return _with_mirror_image(net, images, keypointset, indices, mirrored=mirrored).keypoints


def _with_mirror_image(net: keras.Model, images: Images, keypointset: KeypointSet, indices: list[int], *, mirrored: bool) -> Averaged:
    """The predictions of `predict` and their spread."""
    unit, frame = forward(net, images), Frame(images.shape[1])
    if not mirrored or keypointset.mirror is None:
        return Averaged(frame.to_pixels(unit), np.zeros(unit.shape[:-1], np.float32))
    order = [indices.index(keypointset.mirror_order[k]) for k in indices]
    reflected = forward(net, images[:][:, :, ::-1])[:, :, order] * np.array([-1, 1], np.float32)
    apart = np.linalg.norm(frame.to_pixels(unit) - frame.to_pixels(reflected), axis=-1)
    return Averaged(frame.to_pixels((unit + reflected) / 2), apart / 2)


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
