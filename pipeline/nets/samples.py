"""The samples that a training reads; each epoch trains on another augmented version of them."""

from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.geometry import affine, augmentation, scenes
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images, Selected, block_rows, chosen
from pipeline.nets.sight import KeypointWindows, Sight, View

# Windows that are predicted after each epoch: a thousand windows take as long as three hundred windows of a training step.
MOST_WATCHED = 512


@dataclass(frozen=True)
class Samples:
    """Labelled samples as a net sees them.

    images: uint8 (n, side, side) or (n, side, side, 3). keypoints: float32 (n, K, 2), in pixels of these images, NaN where not labelled.
    source: int8 (n,), the annotation source of each sample. pixel: float32 (n,), the length of one pixel in pixels of the whole image.
    """

    images: Images
    keypoints: np.ndarray
    source: np.ndarray
    pixel: np.ndarray


@dataclass(frozen=True)
class Labelled:
    """All labelled samples of a data set as whole images, and which of them are held out for validation.

    images: uint8 (n, s, s) or (n, s, s, 3). keypoints: float32 (n, K, 2) with all keypoints of the set, pixels, NaN where not labelled.
    source: int8 (n,), the annotation source of each sample. held_out: bool (n,), the validation part.
    """

    images: Images
    keypoints: np.ndarray
    source: np.ndarray
    held_out: np.ndarray

    def seen(self, view: View, which: np.ndarray, indices: list[int]) -> Samples:
        """Some of the samples, as a net sees them.

        view: the net's view of all n samples. which: a mask (n,) or their indices. indices: the keypoints to keep. The images are computed
        once if those of the data set are in memory, otherwise each time they are read.
        """
        part = view.of(which)
        images = part.images(chosen(self.images, which))
        keypoints = affine.move(self.keypoints[which][:, indices], part.matrix).astype(np.float32)
        pixel = (1 / affine.magnification(part.matrix)).astype(np.float32)
        return Samples(images[:] if isinstance(self.images, np.ndarray) else images, keypoints, self.source[which], pixel)


def seen(labelled: Labelled, sight: Sight, which: np.ndarray, indices: list[int]) -> Samples:
    """Some of the labelled samples, as a net sees them with this sight; the other arguments are those of `Labelled.seen`.

    Of a net that sees windows around keypoints: one window for each label, around where the base net has found the keypoint, in the last
    zoom. Only that label counts in it. If there are more than MOST_WATCHED labels, these are so many of them, evenly spread.
    """
    if not isinstance(sight, KeypointWindows):
        return labelled.seen(sight.view(len(labelled.images)), which, indices)
    pairs = labels_of(labelled.keypoints, np.flatnonzero(which) if which.dtype == bool else which, indices)
    sample, place = pairs[np.linspace(0, len(pairs) - 1, min(len(pairs), MOST_WATCHED)).astype(int)].T
    view = sight.around(sight.located[sample, place], sample, np.full(len(sample), sight.zooms[-1]))
    keypoints = affine.move(only(labelled.keypoints[sample][:, indices], place), view.matrix).astype(np.float32)
    pixel = (1 / affine.magnification(view.matrix)).astype(np.float32)
    images = view.images(Selected(labelled.images, sample))
    return Samples(images[:] if isinstance(labelled.images, np.ndarray) else images, keypoints, labelled.source[sample], pixel)


def labels_of(labels: np.ndarray, rows: np.ndarray, indices: list[int]) -> np.ndarray:
    """The labels that samples have: int64 (m, 2), for each the number of its sample and its place among the keypoints `indices`.

    labels: (n, K, 2), NaN where not labelled. rows: the numbers of the samples, in whose order the labels are.
    """
    found = np.argwhere(np.isfinite(labels[rows][:, indices]).all(axis=2))
    return np.stack([rows[found[:, 0]], found[:, 1]], axis=1)


def balanced(pairs: np.ndarray, *, most: int = 4) -> np.ndarray:
    """The labels (m, 2) of `labels_of`, those of rare keypoints repeated up to `most` times, so that each keypoint has about as many."""
    if not len(pairs):
        return pairs
    counts = np.bincount(pairs[:, 1])
    times = np.clip(np.round(counts.max() / np.maximum(counts, 1)), 1, most).astype(int)
    return np.repeat(pairs, times[pairs[:, 1]], axis=0)


def only(labels: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Labels (n, k, 2) of which only that at the place (n,) is kept; the others are NaN."""
    kept = np.full_like(labels, np.nan)
    each = np.arange(len(labels))
    kept[each, place] = labels[each, place]
    return kept


class StoredVersions:
    """V augmented versions of the training samples, read block by block.

    images: uint8 (V, n, side, side) or (V, n, side, side, 3). keypoints: float32 (V, n, K, 2), pixels, NaN where not labelled. Both may be
    HDF5 data sets. source: int8 (n,). rows: which of the n samples to train on, ascending. indices: which of the K keypoints.
    pixel: the length of one pixel in pixels of the whole image. mild: how many of the V versions, the last ones, have milder transforms;
    the last epochs train on them, see `over`.
    """

    def __init__(
        self, images: Any, keypoints: Any, source: np.ndarray, *, rows: np.ndarray, indices: list[int], pixel: float = 1.0, mild: int = 0
    ) -> None:
        self.images, self.keypoints, self.source, self.rows, self.indices = images, keypoints, source, rows, indices
        self.count, self.pixel, self.mild = len(images), pixel, mild
        self.mild_from: int | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def different(self) -> int:
        """The number of different samples among those of an epoch."""
        return len(np.unique(self.rows))

    def over(self, epochs: int) -> "StoredVersions":
        """These versions for a training of so many epochs, of which the same share as of the versions trains on the mild ones."""
        result = copy(self)
        result.mild_from = first_mild(epochs, self.mild / self.count)
        return result

    def version(self, epoch: int) -> int:
        """The number of the version that an epoch, counted from 0, trains on."""
        if not self.mild or self.mild_from is None or epoch < self.mild_from:
            return epoch % (self.count - self.mild)
        return self.count - self.mild + (epoch - self.mild_from) % self.mild

    def block(self, version: int, part: slice) -> Samples:
        """The samples `part`, a slice of the training samples, of a version."""
        rows = self.rows[part]
        images, keypoints = _of_version(self.images, version, rows), _of_version(self.keypoints, version, rows)
        return Samples(images, keypoints[:, self.indices], self.source[rows], np.full(len(rows), self.pixel, np.float32))


def _of_version(array: Any, version: int, rows: np.ndarray) -> np.ndarray:
    """The rows, ascending, of a version. The rows between them are read as well, but never more than a block at once."""
    read = np.empty((len(rows), *array.shape[2:]), array.dtype)
    block = rows // block_rows(array.shape[2:], array.dtype)
    for places in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(block)) + 1):
        first, last = rows[places[[0, -1]]].tolist()
        read[places] = array[version, first : last + 1][rows[places] - first]
    return read


@dataclass(frozen=True)
class DrawnVersions:
    """Augmented versions of the training samples as a net sees them, drawn anew for each epoch; the interface is that of `StoredVersions`.

    labelled: all samples. view: the net's view of them. ranges: of the random transforms, lengths in pixels of the net's input.
    rows: which of the samples to train on; a sample that occurs several times is drawn as many times in each epoch. indices: the keypoints.
    zooms: whether a sample that a random transform enlarges has smaller pixels, so that errors count as they are in the whole image;
    otherwise they count as they are in the view, as with `StoredVersions`. mild: the ranges of the last epochs, and their share of all
    epochs, see `over`; None if there are none.
    """

    labelled: Labelled
    view: View
    keypointset: KeypointSet
    ranges: augmentation.Ranges
    seed: int
    rows: np.ndarray
    indices: list[int]
    zooms: bool = True
    mild: tuple[augmentation.Ranges, float] | None = None
    mild_from: int | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def different(self) -> int:
        """The number of different samples among those of an epoch."""
        return len(np.unique(self.rows))

    def over(self, epochs: int) -> "DrawnVersions":
        """These versions for a training of so many epochs, the last of which draw mild transforms if there are any."""
        return replace(self, mild_from=first_mild(epochs, self.mild[1])) if self.mild else self

    def version(self, epoch: int) -> int:
        """The number of the version that an epoch, counted from 0, trains on: each epoch has its own."""
        return epoch

    def block(self, version: int, part: slice) -> Samples:
        """The samples `part`, a slice of the training samples, of a version; equal arguments give equal samples."""
        rows = self.rows[part]
        late = self.mild is not None and self.mild_from is not None and version >= self.mild_from
        ranges = augmentation.allowed(self.mild[0] if self.mild and late else self.ranges, self.keypointset)
        rng = np.random.default_rng([self.seed, version, part.start])
        side, whole = self.view.side, self.view.matrix[rows]
        drawn = augmentation.draw(len(rows), side, ranges, rng=rng).after(whole)
        surroundings = scenes.draw(len(rows), side, ranges.scene_share, rng=rng)
        drawn = drawn.placed(surroundings)
        labels = augmentation.move(self.labelled.keypoints[rows], drawn, self.keypointset, side=side)
        pixel = 1 / affine.magnification(drawn.matrix if self.zooms else whole)
        enlarged = affine.scaling(len(rows), self.view.reduction)  # from pixels of the reduced images
        warped = augmentation.warp(Selected(self._reduced, rows), drawn.after(enlarged), side)
        images = scenes.Surrounded(warped, surroundings, affine.compose(whole, enlarged))
        return Samples(images[:], labels[:, self.indices], self.labelled.source[rows], pixel.astype(np.float32))

    @cached_property
    def _reduced(self) -> Images:
        """The images, reduced once for all epochs if they are in memory."""
        return affine.reduced(self.labelled.images, self.view.reduction)


@dataclass(frozen=True)
class DrawnWindows:
    """Augmented windows around single keypoints, drawn anew for each epoch; the interface is that of `StoredVersions`.

    labelled: all samples. ranges: of the random transforms, lengths in pixels of a window. pairs: int64 (m, 2), the labels to train on: for
    each the number of its sample and the place of its keypoint among `indices`, the keypoints of the net. size: the number of windows in an
    epoch. The epochs go through all labels, in a random order, and then begin again. Each window has one of the zooms of the sight.
    """

    labelled: Labelled
    sight: KeypointWindows
    keypointset: KeypointSet
    ranges: augmentation.Ranges
    seed: int
    pairs: np.ndarray
    size: int
    indices: list[int]

    def __len__(self) -> int:
        return self.size if len(self.pairs) else 0

    @property
    def different(self) -> int:
        """The number of different labels."""
        return len(np.unique(self.pairs, axis=0))

    def over(self, epochs: int) -> "DrawnWindows":
        """These windows for a training of so many epochs."""
        return self

    def version(self, epoch: int) -> int:
        """The number of the version that an epoch, counted from 0, trains on: each epoch has its own."""
        return epoch

    def block(self, version: int, part: slice) -> Samples:
        """The samples `part`, a slice of the windows, of a version; equal arguments give equal samples."""
        sample, place = self._pairs(version, part).T
        rng, ranges = np.random.default_rng([self.seed, version, part.start]), augmentation.allowed(self.ranges, self.keypointset)
        zoom, members = rng.choice(self.sight.zooms, len(sample)), np.array(self.indices)[place]
        labels = only(self.labelled.keypoints[sample], members)
        around = self.sight.around(labels[np.arange(len(sample)), members], sample, zoom)
        drawn = augmentation.draw(len(sample), around.side, ranges, rng=rng).after(around.matrix)
        whole = Selected(self.labelled.images, sample)
        images, keypoints = augmentation.apply(whole, labels, drawn, self.keypointset, side=around.side, reduction=around.reduction)
        pixel = (1 / affine.magnification(drawn.matrix)).astype(np.float32)
        return Samples(images[:], keypoints[:, self.indices], self.labelled.source[sample], pixel)

    def _pairs(self, version: int, part: slice) -> np.ndarray:
        """The labels of a part of a version."""
        number = version * self.size + np.arange(part.start, part.stop)
        cycle, place = np.divmod(number, len(self.pairs))
        order = {c: np.random.default_rng([self.seed, c]).permutation(len(self.pairs)) for c in np.unique(cycle).tolist()}
        return self.pairs[[order[c][p] for c, p in zip(cycle.tolist(), place.tolist(), strict=True)]]


Versions = StoredVersions | DrawnVersions | DrawnWindows


def first_mild(epochs: int, share: float) -> int:
    """The first epoch, counted from 0, of the last ones that are the given share of all epochs."""
    return epochs - round(share * epochs)


def repeated(rows: np.ndarray, size: int) -> np.ndarray:
    """The rows (m,), repeated as a whole so often that their number is as close as possible to `size`, but at least once."""
    return np.tile(rows, max(1, round(size / max(1, len(rows)))))


def any_labelled(labels: np.ndarray, indices: list[int]) -> np.ndarray:
    """Which rows of labels (n, K, 2) have a label for any of the keypoints `indices`: bool (n,)."""
    return ~np.isnan(labels[:, indices]).all(axis=(1, 2))


def rows_with(labels: np.ndarray, indices: list[int], *, among: np.ndarray | bool = True) -> np.ndarray:
    """The rows, int64 (m,), of labels (n, K, 2) with a label for any of the keypoints `indices`. among: a mask (n,) of eligible rows."""
    return np.flatnonzero(any_labelled(labels, indices) & among)
