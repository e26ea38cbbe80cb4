"""Images that occur more than once: exact copies, and near twins (other compression, crop, brightness) that would leak through a split.

Near twins: mean-pooled to 48 x 48, centred, unit norm, correlation above a limit; twins of twins are one group.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.decomposition import PCA

from pipeline.lazyrows import Images, LazyRows, Selected, chosen, each, in_blocks
from pipeline.progress import OnProgress, ignored

CELLS = 48  # side of the pooled image
COMPONENTS = 16  # of the search for candidates: it costs time alone, no twin is lost by few
SAMPLE = 256  # images that the components are fitted to
CHUNK = 128  # images that are pooled at once, or whose candidates are in memory at once: at worst all the others


class Patterns(LazyRows):
    """The images (n, side, side), pooled and centred, of unit norm; of an image without contrast zeros: float32 (n, cells²)."""

    def __init__(self, images: Images):
        side = images.shape[1]
        cells = min(CELLS, side)
        super().__init__((len(images), cells**2), np.float32)
        cell = np.searchsorted(np.arange(cells) * side // cells, np.arange(side), side="right") - 1
        of_cell = np.eye(cells, dtype=np.float32)[:, cell]  # (cells, side), 1 where the pixel is in the cell
        self.images, self.of_cell, self.least_norm = images, of_cell, 1e-3 * cells  # rounding alone can make a smaller norm
        self.areas = np.outer(of_cell.sum(axis=1), of_cell.sum(axis=1))

    def take(self, rows):
        patterns = np.empty((len(rows), self.shape[1]), np.float32)
        for start in range(0, len(rows), CHUNK):  # at once, the sums took 0.4 GB for Kaggle's faces
            sums = self.of_cell @ self.images[rows[start : start + CHUNK]] @ self.of_cell.T  # whole numbers: exact in any order of adding
            pooled = (sums / self.areas).reshape(len(sums), -1)
            pooled -= pooled.mean(axis=1, keepdims=True)
            norm = np.linalg.norm(pooled, axis=1, keepdims=True)
            patterns[start : start + CHUNK] = np.divide(pooled, norm, out=np.zeros_like(pooled), where=norm > self.least_norm)
        return patterns


def copies(images: Images) -> np.ndarray:
    """Number of each image among the different ones, by first appearance: equal numbers mean equal bytes.

    images uint8 (n, side, side) -> int32 (n,).
    """
    numbers: dict[bytes, int] = {}
    digests = (hashlib.sha256(np.ascontiguousarray(image)).digest() for image in each(images))
    return np.fromiter((numbers.setdefault(digest, len(numbers)) for digest in digests), np.int32, count=len(images))


def groups(images: Images, *, correlation: float, copy: np.ndarray | None = None, report: OnProgress = ignored) -> np.ndarray:
    """Group of each image, numbered by first appearance: near twins, their twins and exact copies share one.

    images uint8 (n, side, side), correlation: of the pooled images, above which two are near twins -> int32 (n,).
    An image without contrast has no correlation: only its exact copies are in its group. copy: what `copies` says of them, if it has been
    asked. report: told how many were compared.
    """
    copy = copies(images) if copy is None else copy
    first = np.unique(copy, return_index=True)[1]  # exact copies need no search, however many there are
    patterns = Patterns(Selected(images, first))  # block by block, without a copy of all images
    if isinstance(images, np.ndarray):
        patterns = patterns[:]
    projected, contrast = _project(patterns)
    members, label = np.flatnonzero(contrast), np.arange(len(first))
    label[members] = members[_twins(Selected(patterns, members), projected[members], correlation, report)]
    report(len(images) - len(members))
    return _by_first_appearance(label[copy])


def _twins(patterns: Images, projected: np.ndarray, correlation: float, report: OnProgress) -> np.ndarray:
    """Unit vectors (n, p) -> index of a representative of each one's connected component (n,).

    Candidates are neighbours in their projection (n, k), in which no distance is longer than in full; |a - b|² = 2 - 2 corr(a, b) for unit
    vectors. Pairs that are connected already are not asked again, so that one group of thousands stays cheap.
    """
    label = np.arange(len(patterns))
    radius = np.sqrt(2 - 2 * correlation) + 1e-3  # and a margin for float32
    for count, one, other in _near(projected, radius):
        new = label[one] != label[other]
        one, other = one[new], other[new]
        twins = _correlations(patterns, one, other) > correlation
        if twins.any():
            label = _joined(label, one[twins], other[twins])
        report(count)
    return label


def _near(points: np.ndarray, radius: float) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Pairs (one, other) of points (n, k) that are at most `radius` apart, each once, chunk by chunk, with the number of points dealt with.

    In the order of the first coordinate, along which they lie farthest apart, what is within reach of a chunk follows it; of that every
    distance is computed, |a|² + |b|² - 2ab as one product. For 100,000 points 30 times as fast as a k-d tree of scikit-learn's.
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
    """Onto the main directions of a sample of the images, evenly spaced: (n, k); and which images have contrast (n,)."""
    sample = patterns[:: -(-len(patterns) // SAMPLE)]
    with np.errstate(invalid="ignore"):  # a single image, or flat ones alone, have no variance to explain
        directions = PCA(min(COMPONENTS, len(sample)), svd_solver="full").fit(sample)
    found = [(directions.transform(block), block.any(axis=1)) for _, block in in_blocks(patterns)]
    projected, contrast = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return projected, contrast


def _correlations(patterns: Images, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of the pairs (one, other): as a product of the rows and columns that occur, which are few of either."""
    rows, row = np.unique(one, return_inverse=True)
    columns, column = np.unique(other, return_inverse=True)
    found, left = np.empty(len(one), np.float32), patterns[rows]
    for part, block in in_blocks(chosen(patterns, columns)):
        inside = (column >= part.start) & (column < part.stop)
        found[inside] = (left @ block.T)[row[inside], column[inside] - part.start]
    return found


def _joined(label: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The labels after these pairs are connected too."""
    links = coo_matrix((np.ones(len(one), bool), (label[one], label[other])), shape=(len(label), len(label)))
    return connected_components(links, directed=False)[1][label]


def _by_first_appearance(label: np.ndarray) -> np.ndarray:
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first)).astype(np.int32)[inverse]
