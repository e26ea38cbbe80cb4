"""The samples that a training reads; each epoch trains on another augmented version of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.geometry import affine, augmentation
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images, Selected, block_rows, chosen
from pipeline.nets.sight import View


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


class StoredVersions:
    """V augmented versions of the training samples, read block by block.

    images: uint8 (V, n, side, side) or (V, n, side, side, 3). keypoints: float32 (V, n, K, 2), pixels, NaN where not labelled. Both may be
    HDF5 data sets. source: int8 (n,). rows: which of the n samples to train on, ascending. indices: which of the K keypoints.
    pixel: the length of one pixel in pixels of the whole image.
    """

    def __init__(
        self, images: Any, keypoints: Any, source: np.ndarray, *, rows: np.ndarray, indices: list[int], pixel: float = 1.0
    ) -> None:
        self.images, self.keypoints, self.source, self.rows, self.indices = images, keypoints, source, rows, indices
        self.count, self.pixel = len(images), pixel

    def __len__(self) -> int:
        return len(self.rows)

    def version(self, epoch: int) -> int:
        """The number of the version that an epoch, counted from 0, trains on."""
        return epoch % self.count

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
    otherwise they count as they are in the view, as with `StoredVersions`.
    """

    labelled: Labelled
    view: View
    keypointset: KeypointSet
    ranges: augmentation.Ranges
    seed: int
    rows: np.ndarray
    indices: list[int]
    zooms: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    def version(self, epoch: int) -> int:
        """The number of the version that an epoch, counted from 0, trains on: each epoch has its own."""
        return epoch

    def block(self, version: int, part: slice) -> Samples:
        """The samples `part`, a slice of the training samples, of a version; equal arguments give equal samples."""
        rows = self.rows[part]
        rng, ranges = np.random.default_rng([self.seed, version, part.start]), augmentation.allowed(self.ranges, self.keypointset)
        drawn = augmentation.draw(len(rows), self.view.side, ranges, rng=rng).after(self.view.matrix[rows])
        whole, labels = Selected(self.labelled.images, rows), self.labelled.keypoints[rows]
        seen = {"side": self.view.side, "reduction": self.view.reduction}
        images, keypoints = augmentation.apply(whole, labels, drawn, self.keypointset, **seen)
        pixel = 1 / affine.magnification(drawn.matrix if self.zooms else self.view.matrix[rows])
        return Samples(images[:], keypoints[:, self.indices], self.labelled.source[rows], pixel.astype(np.float32))


Versions = StoredVersions | DrawnVersions


def repeated(rows: np.ndarray, size: int) -> np.ndarray:
    """The rows (m,), repeated as a whole so often that their number is as close as possible to `size`, but at least once."""
    return np.tile(rows, max(1, round(size / max(1, len(rows)))))


def any_labelled(labels: np.ndarray, indices: list[int]) -> np.ndarray:
    """Which rows of labels (n, K, 2) have a label for any of the keypoints `indices`: bool (n,)."""
    return ~np.isnan(labels[:, indices]).all(axis=(1, 2))


def rows_with(labels: np.ndarray, indices: list[int], *, among: np.ndarray | bool = True) -> np.ndarray:
    """The rows, int64 (m,), of labels (n, K, 2) with a label for any of the keypoints `indices`. among: a mask (n,) of eligible rows."""
    return np.flatnonzero(any_labelled(labels, indices) & among)
