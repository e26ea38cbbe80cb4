"""The faces that a training reads: a new copy of them, augmented, for each epoch."""

from dataclasses import dataclass

import numpy as np

from pipeline.geometry import affine, augmentation
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images, Selected, block_rows


@dataclass(frozen=True)
class Samples:
    """Labelled faces as a net sees them: images uint8 (n, side, side), keypoints float32 (n, K, 2) in their pixels, NaN where not labelled.

    source: int8 (n,). pixel: float32 (n,), the length of one of these pixels in pixels of the original image.
    """

    images: Images
    keypoints: np.ndarray
    source: np.ndarray
    pixel: np.ndarray


class StoredVersions:
    """Augmented copies of the training faces, read piece by piece.

    images (C, n, side, side) and keypoints (C, n, K, 2) may be HDF5 datasets. faces: which of the n to train on, ascending.
    indices: which of the K keypoints.
    """

    def __init__(self, images, keypoints, source: np.ndarray, *, faces: np.ndarray, indices: list[int]):
        self.images, self.keypoints, self.source, self.faces, self.indices = images, keypoints, source, faces, indices
        self.count = len(images)

    def __len__(self) -> int:
        return len(self.faces)

    def copy(self, epoch: int) -> int:
        """Number of the copy that epoch `epoch` (from 0) trains on."""
        return epoch % self.count

    def block(self, copy: int, rows: slice) -> Samples:
        """The faces number `rows` of a copy."""
        faces = self.faces[rows]
        images, keypoints = _of_copy(self.images, copy, faces), _of_copy(self.keypoints, copy, faces)
        return Samples(images, keypoints[:, self.indices], self.source[faces], np.ones(len(faces), np.float32))


def _of_copy(array, copy: int, faces: np.ndarray) -> np.ndarray:
    """Faces, ascending, of a copy in an HDF5 dataset: what lies between them is read too, but never more than a block of it is there."""
    read = np.empty((len(faces), *array.shape[2:]), array.dtype)
    block = faces // block_rows(array.shape[2:], array.dtype)
    for places in np.split(np.arange(len(faces)), np.flatnonzero(np.diff(block)) + 1):
        first, last = faces[places[[0, -1]]].tolist()
        read[places] = array[copy, first : last + 1][faces[places] - first]
    return read


class DrawnWindows:
    """Augmented windows of the training faces, drawn anew for each epoch; used as `Copies` are.

    images uint8 (n, s, s), keypoints (n, K, 2) and source (n,) of all training faces; matrix (n, 2, 3) maps each image into its window.
    keypointset: with the window's side. ranges: of the random transforms, in the window's pixels. faces, indices: as for Copies, but that a
    face may be named several times, for as many windows in an epoch.
    """

    def __init__(
        self,
        images: Images,
        keypoints: np.ndarray,
        source: np.ndarray,
        matrix: np.ndarray,
        *,
        keypointset: KeypointSet,
        ranges: augmentation.Ranges,
        seed: int,
        faces: np.ndarray,
        indices: list[int],
    ):
        self.images, self.keypoints, self.source, self.matrix = images, keypoints, source, matrix
        self.keypointset, self.ranges, self.seed, self.faces, self.indices = keypointset, ranges, seed, faces, indices

    def __len__(self) -> int:
        return len(self.faces)

    def copy(self, epoch: int) -> int:
        return epoch

    def block(self, copy: int, rows: slice) -> Samples:
        faces = self.faces[rows]
        rng = np.random.default_rng([self.seed, copy, rows.start])
        drawn = augmentation.draw(len(faces), self.keypointset.side, self.ranges, rng=rng).after(self.matrix[faces])
        images, keypoints = augmentation.apply(Selected(self.images, faces), self.keypoints[faces], drawn, self.keypointset)
        pixel = 1 / affine.magnification(drawn.matrix)
        return Samples(images[:], keypoints[:, self.indices], self.source[faces], pixel.astype(np.float32))


def repeated(faces: np.ndarray, size: int) -> np.ndarray:
    """The faces (m,) over and over, as many times as brings their number nearest to `size`, but once at least."""
    return np.tile(faces, max(1, round(size / max(1, len(faces)))))


def rows_with(labels: np.ndarray, indices: list[int], *, among: np.ndarray | bool = True) -> np.ndarray:
    """Rows of labels (n, K, 2) that have any of the keypoints `indices`: int64 (m,). among: (n,), which rows may be taken."""
    return np.flatnonzero(~np.isnan(labels[:, indices]).all(axis=(1, 2)) & among)
