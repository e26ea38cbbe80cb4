"""What leaks from the training part to the validation part of a division that is not made by this program, or that is made at random."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.data import duplicates
from pipeline.data.videos import Videos
from pipeline.units import counted, printable

SHOWN = 3  # pairs of images of each kind
# Frames of a video leak if more than this share of the held-out ones is next to one of the training part; blocks have two such neighbours.
NEXT_SHARE = 0.5


@dataclass(frozen=True)
class Divided:
    """m images, divided into two parts.

    names: their names. held_out: bool (m,), those of the validation part.
    """

    names: np.ndarray
    held_out: np.ndarray

    def partners(self, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """For each held-out image one of the training part that is paired with it, int64 (m,); -1 if there is none.

        pairs: numbers of images (k,) each, in portions.
        """
        found = np.full(len(self.names), -1)
        for one, other in pairs:
            for left, right in ((one, other), (other, one)):
                new = self.held_out[left] & ~self.held_out[right] & (found[left] < 0)
                found[left[new]] = right[new]
        return found

    def equal(self, numbers: np.ndarray, photograph: np.ndarray) -> np.ndarray:
        """The same for images whose samples have equal numbers (n,). photograph: int (n,), the image of each sample."""
        found = np.full(len(self.names), -1)
        held_out = self.held_out[photograph]
        theirs, first = np.unique(numbers[~held_out], return_index=True)
        place = np.minimum(np.searchsorted(theirs, numbers[held_out]), len(theirs) - 1)
        shared = theirs[place] == numbers[held_out]
        found[photograph[held_out][shared]] = photograph[~held_out][first[place[shared]]]
        return found


@dataclass(frozen=True)
class Kind:
    """Held-out images that leak in one way. what: that way, in words before "an image". partner: see `Divided.partners`."""

    what: str
    partner: np.ndarray


def sentence(divided: Divided, kinds: Iterable[Kind], advice: str) -> str:
    """That errors on the validation part are too small, and why, with some images; "" if nothing leaks.

    An image that leaks in several ways counts for the first of them. advice: a sentence to end with.
    """
    seen, reasons = np.zeros(len(divided.names), bool), list[str]()
    for kind in kinds:
        own = np.flatnonzero((kind.partner >= 0) & ~seen)
        seen[own] = True
        if len(own):
            pairs = [f"{printable(divided.names[one])} and {printable(divided.names[kind.partner[one]])}" for one in own[:SHOWN].tolist()]
            shown = "; ".join([*pairs, *(["..."] if len(own) > SHOWN else [])])
            such = "one" if reasons else "an image of the training part"
            reasons.append(f"{len(own):,} {'is' if len(own) == 1 else 'are'} {kind.what} {such} ({shown})")
    if not reasons:
        return ""
    listed = " and ".join([", ".join(reasons[:-1]), reasons[-1]] if len(reasons) > 1 else reasons)
    return f"Errors on the validation part are too small: of its {counted(int(divided.held_out.sum()), 'image')}, {listed}. {advice}"


def in_videos(photographs: np.ndarray, videos: Videos, correlation: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the pairs of images that are near duplicates within their video, what all of its frames share subtracted."""
    for own in videos.members:
        for one, other in duplicates.pairs(photographs[own], correlation=correlation):
            yield own[one], own[other]


def neighbours(divided: Divided, videos: Videos) -> np.ndarray:
    """For each held-out frame one of the training part next to it, as `Divided.partners`; only of videos in which they are many."""
    found = np.full(len(divided.names), -1)
    for own in videos.members:
        partner = divided.partners([(own[:-1], own[1:])])
        if (partner >= 0).sum() > NEXT_SHARE * divided.held_out[own].sum():
            found = np.maximum(found, partner)
    return found
