"""How alike the images of a set are, by reduced pictures of a sample of them: copies, near duplicates, and frames of one video."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from pipeline.data import duplicates
from pipeline.data.formats.images import Glance
from pipeline.errors import InputError
from pipeline.progress import OnProgress, ignored

MOST = 600  # pictures; 2 to 8 ms each
RUN = 30  # images with consecutive names that are sampled together, because frames of a video resemble their neighbours
SIDE = 96
CORRELATION = 0.985  # of near duplicates, as for Kaggle's faces
# Neighbours are frames of a video if their mean distance is below this share of the mean distance of any two images.
NEIGHBOURS_SHARE = 0.7


@dataclass(frozen=True)
class Likeness:
    """Reduced pictures of a sample of the images.

    names: the sampled images, in the order of their names. pictures: uint8 (n, 96, 96), grey, squeezed. modes: Pillow's name of what a
    pixel consists of, for each image. of: the number of images from which the sample was taken.
    """

    names: tuple[str, ...]
    pictures: np.ndarray
    modes: tuple[str, ...]
    of: int

    @cached_property
    def copies(self) -> list[list[str]]:
        """The images whose reduced pictures are identical, at least two in each group."""
        return self._grouped(duplicates.copies(self.pictures)) if len(self.names) else []

    @cached_property
    def near(self) -> list[list[str]]:
        """The groups of near duplicates and copies, at least two images in each, the largest first."""
        if not len(self.names):
            return []
        return self._grouped(duplicates.groups(self.pictures, correlation=CORRELATION))

    def neighbours_alike(self, series: Iterable[Sequence[str]]) -> bool:
        """Whether images that follow each other in the series resemble each other more than any two images do, as frames of a video do.

        False if fewer than ten neighbours are in the sample.
        """
        place = {name: number for number, name in enumerate(self.names)}
        pairs = [(place[a], place[b]) for own in series for a, b in pairwise(own) if a in place and b in place]
        if len(pairs) < 10:
            return False
        patterns = duplicates.Patterns(self.pictures)[:]
        mean = patterns.mean(axis=0)
        of_any = 1 - float(mean @ mean)  # 1 - the mean correlation of any two images
        of_neighbours = float(np.mean([1 - patterns[a] @ patterns[b] for a, b in pairs]))
        return of_neighbours < NEIGHBOURS_SHARE * of_any

    def _grouped(self, numbers: np.ndarray) -> list[list[str]]:
        groups: dict[int, list[str]] = {}
        for name, number in zip(self.names, numbers.tolist(), strict=True):
            groups.setdefault(number, []).append(name)
        return sorted((own for own in groups.values() if len(own) > 1), key=len, reverse=True)


def likeness(names: Iterable[str], glance: Callable[[str, int], Glance], on_progress: OnProgress = ignored) -> Likeness:
    """Looks at a sample of the images. An image that cannot be read is left out.

    glance: reduces an image, given by its name, to a longer side of so many pixels, see `pipeline.data.formats.images.glance`.
    on_progress: called with 1 after each image.
    """
    every = sorted(names)
    found: list[tuple[str, np.ndarray, str]] = []
    for name in sampled(every):
        with contextlib.suppress(InputError):
            seen = glance(name, SIDE)
            found.append((name, np.asarray(seen.image.convert("L").resize((SIDE, SIDE))), seen.mode))
        on_progress(1)
    pictures = np.stack([picture for _, picture, _ in found]) if found else np.zeros((0, SIDE, SIDE), np.uint8)
    return Likeness(tuple(name for name, *_ in found), pictures, tuple(mode for *_, mode in found), len(every))


def sampled(names: Sequence[str]) -> list[str]:
    """All of the names or, if they are more than MOST, evenly spaced runs of RUN consecutive ones."""
    if len(names) <= MOST:
        return list(names)
    starts = np.linspace(0, len(names) - RUN, MOST // RUN).round().astype(int)
    return [names[number] for number in np.unique(starts[:, None] + np.arange(RUN))]
