"""Which images of a set are consecutive frames of videos, by their names, their likeness and their keypoints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.data import duplicates, filenames
from pipeline.data.likeness import NEIGHBOURS_SHARE, sampled

FEWEST = 10  # images of a series whose order tells something
# Neighbours are frames of a video if the mean distance of their keypoints is below this share of the mean distance in any two images, or
# that of their pictures below NEIGHBOURS_SHARE. Measured, pictures and keypoints: 0.39 and 0.22 for consecutive frames of a mouse, 0.84 and
# 0.78 for wings that were photographed in this order, 0.94 and 0.93 for frames that are far apart in their video, 1 and 1 for X-rays.
KEYPOINTS_SHARE = 0.5
SHUFFLES = 200  # none of which may have neighbours that are as near as those of the series


@dataclass(frozen=True)
class Videos:
    """The videos of a set of n samples, cut from m images.

    members: for each video the numbers of its images, in their order. photograph: int32 (n,), the number of each sample's image.
    """

    members: tuple[np.ndarray, ...]
    photograph: np.ndarray

    @cached_property
    def of(self) -> np.ndarray:
        """The video of each sample, int64 (n,); -1 if it is of none."""
        return self._of_images([np.full(len(own), number) for number, own in enumerate(self.members)])

    @cached_property
    def frame(self) -> np.ndarray:
        """The number of each sample's frame in its video, int64 (n,), counted from 0; -1 if it is of none."""
        return self._of_images([np.arange(len(own)) for own in self.members])

    @property
    def frames(self) -> int:
        """The number of images that are frames of videos."""
        return sum(map(len, self.members))

    def blocks(self, count: int) -> np.ndarray:
        """The block of each sample, int64 (n,), from 0, if each video is cut into so many blocks of consecutive frames.

        It is -1 for samples of no video and of videos with fewer frames.
        """
        lengths = np.array([*map(len, self.members), 1])  # the last one stands for -1
        return np.where((self.of >= 0) & (lengths[self.of] >= count), self.frame * count // lengths[self.of], -1)

    def _of_images(self, values: list[np.ndarray]) -> np.ndarray:
        found = np.full(self.photograph.max(initial=-1) + 1, -1)
        for own, value in zip(self.members, values, strict=True):
            found[own] = value
        return found[self.photograph]


def videos(names: Sequence[str], pictures: np.ndarray, keypoints: np.ndarray, *, alike: bool) -> Iterator[np.ndarray]:
    """Yields the indices of the images of each video, in their order: numbered images whose names are the same otherwise.

    names: of m images. pictures: uint8 (m, s, s). keypoints: (m, K, 2), those of one instance of each, pixels, NaN where not labelled.
    alike: whether the images of a video must resemble their neighbours, see `follow_each_other`.
    """
    place = {name: number for number, name in enumerate(names)}
    for series in filenames.series(names):
        own = np.array([place[name] for name in series])
        if not alike or follow_each_other(pictures[own], keypoints[own]):
            yield own


def follow_each_other(pictures: np.ndarray, keypoints: np.ndarray) -> bool:
    """Whether neighbours are clearly nearer to each other than any two images are, by their pictures (m, s, s) or keypoints (m, K, 2).

    Of many images a sample of runs is compared. False for fewer than ten images.
    """
    if len(pictures) < FEWEST:
        return False
    rows = np.array([int(each) for each in sampled([str(number) for number in range(len(pictures))])])
    first = np.flatnonzero(np.diff(rows) == 1)
    patterns = duplicates.Patterns(pictures[rows], duplicates.Patterns(pictures[rows]).mean())[:]
    by_picture, by_keypoints = 1 - patterns @ patterns.T, _distances(keypoints[rows])
    return _nearer(by_picture, first, NEIGHBOURS_SHARE) or _nearer(by_keypoints, first, KEYPOINTS_SHARE)


def _nearer(distances: np.ndarray, first: np.ndarray, share: float) -> bool:
    """Whether the images `first` and the next ones are nearer than this share of the mean distance, and than in any other order."""
    between = distances[np.triu_indices(len(distances), 1)]
    if np.isnan(between).all() or np.isnan(distances[first, first + 1]).all():
        return False
    nearest = np.nanmean(distances[first, first + 1])
    rng = np.random.default_rng(0)
    orders = (rng.permutation(len(distances)) for _ in range(SHUFFLES))
    return bool(nearest < share * np.nanmean(between)) and all(
        nearest < np.nanmean(distances[order[first], order[first + 1]]) for order in orders
    )


def _distances(keypoints: np.ndarray) -> np.ndarray:
    """The root mean square distances (m, m) of the keypoints (m, K, 2) of each two images; NaN where they have none in common."""
    total, count = np.zeros((len(keypoints),) * 2), np.zeros((len(keypoints),) * 2)
    for points in np.swapaxes(keypoints.astype(np.float64), 0, 1):
        squares = np.square(points[:, None] - points).sum(axis=2)
        total += np.nan_to_num(squares)
        count += ~np.isnan(squares)
    return np.sqrt(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))
