"""Scenes: small samples away from the centre, in front of an enlarged part of another sample and, in half of them, beside a third one.

A net that has only seen samples that fill the image, or that lie on the repeated edge pixels of their own image, finds a small face in a
larger picture less often, and even less often one beside another person.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.geometry import affine
from pipeline.lazyrows import LazyRows, Selected

# The factor by which a sample in a scene is reduced. The smallest of Kaggle's faces have 0.3 times the size of the mean face.
SMALLEST, LARGEST = 0.3, 0.75
# The factor by which the sample behind it is enlarged; what remains of it, a corner, is seldom recognisable.
ENLARGED = 2.0, 4.0
# The share of scenes with a third sample beside the first, and its size relative to the first; it may be cut off by the edge.
BESIDE, RELATIVE = 0.5, (0.5, 0.95)
# So many pixels around the edge of a sample are mixed from both sides, so that the edge itself does not tell where the sample is.
SOFT = 3.0


@dataclass(frozen=True)
class Scenes:
    """The surroundings of m of n samples, in pixels of a square of side x side pixels that a whole image fills.

    rows: int64 (m,), the samples. placed: float64 (m, 2, 3), maps the square to where the sample is in the scene. behind, beside: int64
    (m,), the samples behind and beside it, with their maps behind_at and beside_at, float64 (m, 2, 3); beside is -1 where there is none.
    """

    rows: np.ndarray
    placed: np.ndarray
    behind: np.ndarray
    behind_at: np.ndarray
    beside: np.ndarray
    beside_at: np.ndarray

    def after(self, matrix: np.ndarray) -> np.ndarray:
        """The maps (n, 2, 3) of all samples, of which those with a scene are placed in it."""
        result = matrix.copy()
        result[self.rows] = affine.compose(self.placed, matrix[self.rows])
        return result


def draw(n: int, side: int, share: float, *, rng: np.random.Generator) -> Scenes:
    """Draws scenes for about the given share of n samples of side x side pixels."""
    rows = np.flatnonzero(rng.random(n) < share)
    m = len(rows)
    size = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST), m))
    middle = side / 2 + ((1 - size) * side / 2)[:, None] * rng.uniform(-1, 1, (m, 2))
    enlarged, corner = rng.uniform(*ENLARGED, m), rng.integers(0, 2, (m, 2))
    behind_middle = side * (corner + enlarged[:, None] * (0.5 - corner))  # this corner of the sample is in this corner of the scene
    beside = np.where(rng.random(m) < BESIDE, rng.integers(0, max(1, n), m), -1)
    places = rng.uniform(-0.1, 1.1, (6, m, 2)) * side
    farthest = places[np.linalg.norm(places - middle, axis=2).argmax(axis=0), np.arange(m)]
    smaller = size * np.exp(rng.uniform(np.log(RELATIVE[0]), np.log(RELATIVE[1]), m))
    return Scenes(
        rows=rows,
        placed=centred(middle, size, side),
        behind=rng.integers(0, max(1, n), m),
        behind_at=centred(behind_middle, enlarged, side),
        beside=beside,
        beside_at=centred(farthest, smaller, side),
    )


class Surrounded(LazyRows):
    """Augmented samples, of which some are in a scene: uint8 (n, side, side) or (n, side, side, 3), computed when rows of it are read."""

    def __init__(self, front: affine.Warped, scenes: Scenes, whole: np.ndarray) -> None:
        """front: the samples, already placed, see `Scenes.after`. whole: maps (n, 2, 3) from its images to the square that they fill."""
        super().__init__(front.shape, np.uint8)
        self.front, self.scenes, self.whole = front, scenes, whole
        self.number = np.full(len(front), -1)
        self.number[scenes.rows] = np.arange(len(scenes.rows))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The rows (m, ...) with these indices (m,), in this order."""
        result = self.front[rows]
        places = np.flatnonzero(self.number[rows] >= 0)
        if not len(places):
            return result
        number = self.number[rows[places]]
        scene = self._seen(self.scenes.behind[number], self.scenes.behind_at[number])[0]
        there = np.flatnonzero(self.scenes.beside[number] >= 0)
        if len(there):
            third, opacity = self._seen(self.scenes.beside[number[there]], self.scenes.beside_at[number[there]])
            scene[there] += opacity * (third - scene[there])
        opacity = _opacity(self.front.matrix[rows[places]], self.front.images.shape[1], self.front.side, scene.ndim)
        scene += opacity * (result[places] - scene)
        result[places] = np.clip(scene + 0.5, 0, 255).astype(np.uint8)
        return result

    def _seen(self, samples: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples (m,) at their places in the scenes, float32, and how opaque each pixel is, see `_opacity`."""
        images, matrix = Selected(self.front.images, samples), affine.compose(at, self.whole[samples])
        seen = affine.warp(images, matrix, self.front.side, reduction=self.front.reduction).astype(np.float32)
        return seen, _opacity(matrix, images.shape[1], self.front.side, seen.ndim)


def centred(middle: np.ndarray, size: np.ndarray, side: int) -> np.ndarray:
    """The maps (m, 2, 3) that scale a square of side x side pixels by `size` (m,) and move its centre to `middle` (m, 2)."""
    linear = np.eye(2) * size[:, None, None]
    return np.concatenate([linear, (middle - size[:, None] * side / 2)[:, :, None]], axis=2)


def _opacity(matrix: np.ndarray, stored: int, side: int, ndim: int) -> np.ndarray:
    """How opaque images of stored x stored pixels are after the maps (m, 2, 3): float32 (m, side, side), with more axes up to `ndim`.

    1 inside the image, 0 outside, and in between within SOFT pixels around its edge.
    """
    centre = np.arange(side) + 0.5
    along, down, offset = np.moveaxis(affine.inverse(matrix)[..., None, None], 2, 0)  # each (m, 2, 1, 1)
    inside = along * centre + down * centre[:, None] + offset
    distance = np.minimum(inside, stored - inside).min(axis=1) * affine.magnification(matrix)[:, None, None]
    opacity = np.clip(distance / SOFT + 0.5, 0, 1).astype(np.float32)
    return opacity.reshape(*opacity.shape, *(1,) * (ndim - 3))
