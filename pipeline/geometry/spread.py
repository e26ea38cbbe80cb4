"""How much the samples of a set differ in direction, size and place, and how large they are in their images."""

from dataclasses import dataclass, replace

import numpy as np

# A spread of fewer samples than this says little about others, so it counts as unknown.
FEWEST = 10
# A sample tells direction and size if it has at least this share of the labels of a typical sample, and labels at different places.
SHARE_LABELLED = 0.5
POINT = 1e-6  # pixels; keypoints that are closer are at the same place


@dataclass(frozen=True)
class Spread:
    """How samples differ; every value is NaN if it is unknown, as the direction of a set of one keypoint is.

    direction: circular standard deviation of their directions, degrees; infinite if they are evenly distributed (Mardia and Jupp 2000,
    https://doi.org/10.1002/9780470316979, section 2.3). size: standard deviation of the logarithm of their sizes. smallest, largest: the
    1st and 99th percentile of their sizes, relative to the median. centre: standard deviation of the places of their centres, the larger
    one of x and y, as a fraction of the image's side. extent: median width or height, whichever is larger, of the boxes around their
    keypoints, as a fraction of the image's side.
    """

    direction: float
    size: float
    smallest: float
    largest: float
    centre: float
    extent: float


UNKNOWN = Spread(*[float("nan")] * 6)


def measured(keypoints: np.ndarray, typical: np.ndarray, side: int) -> Spread:
    """The spread of samples (n, K, 2) in images of side x side pixels, NaN where not labelled.

    typical: the typical shape (K, 2), pixels. Directions and sizes are those of the similarity map, without reflection, that brings it
    closest to the labelled keypoints of a sample.
    """
    z, shape = _complex(keypoints), _complex(typical)
    known = np.isfinite(z) & np.isfinite(shape)
    count = known.sum(axis=1)
    if (count > 0).sum() < FEWEST:
        return UNKNOWN
    z, known, count = z[count > 0], known[count > 0], count[count > 0]
    (points, centre), (goal, middle) = _centred(z, known), _centred(np.broadcast_to(shape, z.shape), known)
    span = np.square(np.abs(goal)).sum(axis=1)
    factor = (points * goal.conj()).sum(axis=1) / np.maximum(span, POINT)
    telling = (count >= max(2, SHARE_LABELLED * np.median(count))) & (span > POINT) & (np.abs(factor) > POINT)
    # Where the centre of the whole shape is, because a few labelled keypoints have another one.
    centre = centre + np.where(telling, factor, 1) * (np.nanmean(shape) - middle)
    place = max(float(np.std(centre.real)), float(np.std(centre.imag))) / side
    if telling.sum() < FEWEST:
        return replace(UNKNOWN, centre=place)
    sizes = np.abs(factor[telling])
    smallest, largest = np.percentile(sizes, [1, 99]) / np.median(sizes)
    points = np.where(known, points, np.nan)[telling]
    extent = np.median(np.maximum(_range(points.real), _range(points.imag))) / side
    return Spread(_deviation(factor[telling]), float(np.std(np.log(sizes))), float(smallest), float(largest), place, float(extent))


def _complex(points: np.ndarray) -> np.ndarray:
    return points[..., 0].astype(np.float64) + 1j * points[..., 1]


def _centred(z: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, K) as x + iy relative to the centre of the known ones, 0 where unknown, and these centres (n,)."""
    centre = np.where(known, z, 0).sum(axis=1) / known.sum(axis=1)
    return np.where(known, z - centre[:, None], 0), centre


def _deviation(factor: np.ndarray) -> float:
    """The circular standard deviation of the directions of complex numbers (n,), degrees."""
    length = min(1.0, float(abs((factor / np.abs(factor)).mean())))
    return float(np.degrees(np.sqrt(-2 * np.log(length)))) if length else float("inf")


def _range(values: np.ndarray) -> np.ndarray:
    """The difference (n,) of the largest and the smallest of values (n, K), without NaN."""
    return np.nanmax(values, axis=1) - np.nanmin(values, axis=1)
