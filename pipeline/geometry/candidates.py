"""Where else a face may be in an image, and which of several predictions to believe.

A net that looks at the whole image may answer with a place where there is no face, if the face is small, far from the centre or beside
others. Parts of the image, enlarged, show it nearly as the faces that the net has learned from.
"""

import numpy as np

from pipeline.geometry import affine, alignment

# The parts: squares of these fractions of the side, so many along each axis, evenly spread.
PARTS = ((0.6, 3), (0.4, 4))
# Predictions from two parts agree if their mean distance is at most this fraction of the side of the frame, as a length of the aligned
# face, and if each has come to rest: its last two predictions differ by at most the other fraction.
AGREEMENT, REST = 2 / 96, 0.6 / 96


def parts(side: int) -> np.ndarray:
    """The maps float64 (m, 2, 3) that enlarge each part of a frame of side x side pixels to the whole frame."""
    found = []
    for fraction, count in PARTS:
        corners = np.linspace(0, 1 - fraction, count) * side
        found += [[[1 / fraction, 0, -x / fraction], [0, 1 / fraction, -y / fraction]] for y in corners for x in corners]
    return np.array(found)


def most_agreed(located: np.ndarray, distance: np.ndarray, target: np.ndarray, *, side: int, scale: float) -> np.ndarray:
    """Which of m predictions for each of n faces most others agree with: its number, int64 (n,), or -1 where no two agree.

    located: the predictions (n, m, K, 2), pixels of the images. distance: (n, m), between the last two predictions that each is the mean
    of, pixels of the frame, see `alignment.distance`. target, scale: see `alignment.aligning`. side: of the frame, pixels. Of equally many
    the one with the smallest distance counts.
    """
    n, m = distance.shape
    enlarged = affine.magnification(alignment.aligning(located.reshape(n * m, *target.shape), target, scale=scale)).reshape(n, m, 1)
    apart = np.linalg.norm(located[:, :, None] - located[:, None], axis=4).mean(axis=3) * enlarged
    at_rest = distance <= REST * side
    agree = (apart <= AGREEMENT * side) & at_rest[:, :, None] & at_rest[:, None]
    votes = agree.sum(axis=2)
    best = np.array([np.lexsort((distance[i], -votes[i]))[0] for i in range(n)], dtype=np.int64)
    return np.where(votes.max(axis=1, initial=0) >= 2, best, -1)
