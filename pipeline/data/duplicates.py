"""Images that occur more than once: copies, which are identical, and near duplicates, which would leak through a split.

Near duplicates differ in compression, crop or brightness. They are found by the correlation of images that were mean-pooled to 48 x 48
pixels, centred and scaled to unit norm. Near duplicates of near duplicates form one duplicate group.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.decomposition import PCA

from pipeline.lazyrows import Images, LazyRows, Selected, block_rows, chosen, each, in_blocks
from pipeline.progress import OnProgress, ignored

CELLS = 48  # side of the pooled image
COMPONENTS = 16  # principal components for the search for candidates; fewer cost time but lose no near duplicate
SAMPLE = 256  # number of images that the components are fitted to
CHUNK = 128  # number of images that are pooled at once, or whose candidates are in memory at once; these may be all other images


class Patterns(LazyRows):
    """Images (n, side, side) after pooling and centring, with unit norm: float32 (n, cells²). An image without contrast gives zeros."""

    def __init__(self, images: Images, common: np.ndarray | None = None) -> None:
        """common: float32 (cells²,), subtracted from each pattern before it gets unit norm."""
        side = images.shape[1]
        cells = min(CELLS, side)
        super().__init__((len(images), cells**2), np.float32)
        cell = np.searchsorted(np.arange(cells) * side // cells, np.arange(side), side="right") - 1
        of_cell = np.eye(cells, dtype=np.float32)[:, cell]  # (cells, side), 1 where the pixel is in the cell
        self.images, self.of_cell, self.least_norm = images, of_cell, 1e-3 * cells  # rounding errors can cause a smaller norm
        self.common, self.at_once = common, min(CHUNK, block_rows(images.shape[1:], np.float32))
        self.areas = np.outer(of_cell.sum(axis=1), of_cell.sum(axis=1))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The patterns of these images, float32 (m, cells²)."""
        patterns = np.empty((len(rows), self.shape[1]), np.float32)
        for start in range(0, len(rows), self.at_once):  # all at once, the sums took 0.4 GB for Kaggle's faces
            pooled = self.pooled(rows[start : start + self.at_once])
            if self.common is not None:
                pooled -= self.common
            norm = np.linalg.norm(pooled, axis=1, keepdims=True)
            patterns[start : start + self.at_once] = np.divide(pooled, norm, out=np.zeros_like(pooled), where=norm > self.least_norm)
        return patterns

    def pooled(self, rows: np.ndarray) -> np.ndarray:
        """The mean grey levels of the cells of these images, with mean 0: float32 (m, cells²)."""
        images = self.images[rows]
        grey = images if images.ndim == 3 else images.mean(axis=3, dtype=np.float32)
        sums = self.of_cell @ grey @ self.of_cell.T  # of grey images integers, whose sum is exact in any order
        pooled = (sums / self.areas).reshape(len(sums), -1)
        return pooled - pooled.mean(axis=1, keepdims=True)

    def mean(self) -> np.ndarray:
        """The mean over all images of `pooled`, float32 (cells²,)."""
        total = np.zeros(self.shape[1])
        for start in range(0, len(self), self.at_once):
            total += self.pooled(np.arange(start, min(start + self.at_once, len(self)))).sum(axis=0)
        return (total / max(1, len(self))).astype(np.float32)


def copies(images: Images) -> np.ndarray:
    """Numbers the different images by first appearance: int32 (n,), equal for images uint8 (n, side, side) with equal bytes."""
    numbers: dict[bytes, int] = {}
    digests = (hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in each(images))
    return np.fromiter((numbers.setdefault(digest, len(numbers)) for digest in digests), np.int32, count=len(images))


def groups(
    images: Images,
    *,
    correlation: float,
    copy: np.ndarray | None = None,
    without_common: bool = False,
    on_progress: OnProgress = ignored,
) -> np.ndarray:
    """Duplicate group int32 (n,) of each image uint8 (n, side, side) or (n, side, side, 3), numbered by first appearance.

    Near duplicates, their near duplicates and copies are in one group. An image without contrast has no correlation with any other, so
    its group contains only its copies.

    correlation: correlation of the pooled images above which two of them are near duplicates.
    copy: the result of `copies` for these images, if it is known already.
    without_common: whether the mean of all images is subtracted first, so that a background that they share counts for nothing.
    on_progress: receives the numbers of images that have been compared with the others.
    """
    copy = copies(images) if copy is None else copy
    first = np.unique(copy, return_index=True)[1]  # copies need no search, however many there are
    different = Patterns(Selected(images, first))  # block by block, without duplicating all images
    patterns: Images = Patterns(Selected(images, first), different.mean()) if without_common else different
    if isinstance(images, np.ndarray):
        patterns = patterns[:]
    projected, contrast = _project(patterns)
    members, label = np.flatnonzero(contrast), np.arange(len(first))
    label[members] = members[_twins(Selected(patterns, members), projected[members], correlation, on_progress)]
    on_progress(len(images) - len(members))
    return _by_first_appearance(label[copy])


def pairs(images: Images, *, correlation: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields all pairs (one, other) of near duplicates, copies among them, int64 (m,) each, in portions.

    images: uint8 (n, side, side) or (n, side, side, 3); the mean of all of them is subtracted first. Images without contrast have no pair.
    """
    patterns: Images = Patterns(images, Patterns(images).mean())
    if isinstance(images, np.ndarray):
        patterns = patterns[:]
    projected, contrast = _project(patterns)
    members = np.flatnonzero(contrast)
    own = Selected(patterns, members)
    for _, one, other in _near(projected[members], _radius(correlation)):
        twins = _correlations(own, one, other) > correlation
        yield members[one[twins]], members[other[twins]]


def _radius(correlation: float) -> float:
    """The largest distance of two unit vectors with this correlation, with a margin for float32."""
    return float(np.sqrt(2 - 2 * correlation)) + 1e-3


def _twins(patterns: Images, projected: np.ndarray, correlation: float, on_progress: OnProgress) -> np.ndarray:
    """The connected component (n,) of each of the unit vectors (n, p), as the index of one of its members.

    Candidates are neighbours in the projection (n, k), in which no distance is longer than between the full vectors; for unit vectors
    |a - b|² = 2 - 2 corr(a, b). Pairs that are connected already are not compared again, so that one group of thousands stays cheap.
    """
    label = np.arange(len(patterns))
    for count, one, other in _near(projected, _radius(correlation)):
        new = label[one] != label[other]
        one, other = one[new], other[new]
        twins = _correlations(patterns, one, other) > correlation
        if twins.any():
            label = connected(label, one[twins], other[twins])
        on_progress(count)
    return label


def _near(points: np.ndarray, radius: float) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields pairs (one, other) of points (n, k) that are at most `radius` apart, each once, with the size of the chunk they come from.

    The points are sorted by the first coordinate, along which they are farthest apart, so that all points within reach of a chunk follow
    it. Every distance between a chunk and these is computed, as one matrix product: |a|² + |b|² - 2ab. For 100,000 points this is 30 times
    as fast as scikit-learn's k-d tree.
    """
    order = np.argsort(points[:, 0])
    points = points[order]
    squares = np.square(points).sum(axis=1, keepdims=True)
    one, other = np.hstack([points, squares - radius**2, np.ones_like(squares)]), np.hstack([-2 * points, np.ones_like(squares), squares])
    for start in range(0, len(points), CHUNK):
        stop = min(start + CHUNK, len(points))
        reach = np.searchsorted(points[:, 0], points[stop - 1, 0] + radius, side="right")
        i, j = np.divmod(np.flatnonzero(one[start:stop] @ other[start:reach].T <= 0), reach - start)
        yield stop - start, order[start + i[i < j]], order[start + j[i < j]]


def _project(patterns: Images) -> tuple[np.ndarray, np.ndarray]:
    """Projects patterns onto the principal components of an evenly spaced sample of them: (n, k), and whether each has contrast (n,)."""
    sample = patterns[:: -(-len(patterns) // SAMPLE)]
    with np.errstate(invalid="ignore"):  # a single image, or only flat ones, have no variance to explain
        directions = PCA(min(COMPONENTS, len(sample)), svd_solver="full").fit(sample)
    found = [(directions.transform(block), block.any(axis=1)) for _, block in in_blocks(patterns)]
    projected, contrast = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return projected, contrast


def _correlations(patterns: Images, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Correlations of the pairs (one, other), as a matrix product of the few rows and columns that occur in them."""
    rows, row = np.unique(one, return_inverse=True)
    columns, column = np.unique(other, return_inverse=True)
    found, left = np.empty(len(one), np.float32), patterns[rows]
    for part, block in in_blocks(chosen(patterns, columns)):
        inside = (column >= part.start) & (column < part.stop)
        found[inside] = (left @ block.T)[row[inside], column[inside] - part.start]
    return found


def connected(label: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The labels of the components (n,) after these pairs of members have been connected as well."""
    links = coo_matrix((np.ones(len(one), bool), (label[one], label[other])), shape=(len(label), len(label)))
    return connected_components(links, directed=False)[1][label]


def joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The finest groups int32 (n,) that divide neither the groups `one` nor the groups `other`, numbered by first appearance."""
    rows = np.arange(len(one))
    links = coo_matrix((np.ones(2 * len(one), bool), (np.tile(rows, 2), np.concatenate([_first_of(one), _first_of(other)]))))
    links.resize((len(one), len(one)))
    return _by_first_appearance(connected_components(links, directed=False)[1])


def _first_of(group: np.ndarray) -> np.ndarray:
    """For each member of a group the index of the group's first member."""
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return first[inverse]


def _by_first_appearance(label: np.ndarray) -> np.ndarray:
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first)).astype(np.int32)[inverse]
