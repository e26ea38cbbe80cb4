"""The errors by keypoint, as circles on the mean of aligned samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.data.dataset import Dataset
from pipeline.geometry import affine, alignment
from pipeline.lazyrows import Images
from pipeline.results.gallery import Skeleton
from pipeline.results.marked import MANY, Face, Mark, Shown
from pipeline.results.predictions import Predictions
from pipeline.results.scores import Scores
from pipeline.results.style import words
from pipeline.units import printable

CROWDED = 15  # of more keypoints than this, a circle has its number only where there is room, and no name
# Of letters, in units of their size: the height of a line, and the width of a number and of another letter.
LINE, NUMBER, LETTER = 4.0, 9.0, 2.0
# The side of the frame of an own set, as multiples of what the mean shape spans: at least, and at most, where errors are large.
NARROW, WIDE = 1.5, 3.0
LEAST = 1 / 8  # of the side of the samples: the smallest side of the frame
SIDE = 384  # pixels of a mean of samples of an own set
DOT = 0.8  # radius of a keypoint, in units of the size of letters
MOST = 64e6  # pixels that are averaged; of more, evenly chosen samples are


@dataclass(frozen=True)
class Excerpt:
    """The part of the aligned samples that is shown.

    corner: float64 (2,), and extent: its upper left corner and its side, in pixels of the samples. side: that in pixels of the figure.
    """

    corner: np.ndarray
    extent: float
    side: int

    @classmethod
    def around(cls, target: np.ndarray, radius: float, side: int) -> "Excerpt":
        """The frame of an own set: around the mean shape (K, 2) with circles of at most this radius. side: that of the samples."""
        low, high = target.min(axis=0), target.max(axis=0)
        span = float((high - low).max())
        extent = max(min(max(span + 2.2 * radius, NARROW * span), WIDE * span), LEAST * side)
        return cls((low + high - extent) / 2, extent, SIDE)

    @property
    def scale(self) -> float:
        """Pixels of the frame per pixel of the samples."""
        return self.side / self.extent

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2), pixels of the samples, in pixels of the frame."""
        return (points - self.corner) * self.scale

    def seen(self, matrices: np.ndarray) -> np.ndarray:
        """The maps (n, 2, 3) that align samples, followed by the one to the frame."""
        moved = matrices.copy()
        moved[:, :, 2] -= self.corner
        return moved * self.scale


def errors(images: Images, dataset: Dataset, predictions: Predictions, scores: Scores, skeleton: Skeleton = ()) -> list[Face]:
    """The mean of the validation samples of each annotation source, aligned by their predictions, with circles as large as the errors.

    images: all validation samples, uint8 (n, side, side[, 3]). dataset: one whose mean shape the samples are aligned to.
    """
    side, keypointset = images.shape[1], dataset.keypointset.restored()
    shape = dataset.mean_face[0] if dataset.typical is None else dataset.typical
    target = alignment.upright(shape, keypointset, side=side)
    many = "faces" if predictions.validation_origin is None else "samples"
    found = []
    for number, (name, error) in enumerate(zip(scores.sources, scores.error_by_place, strict=True)):
        ours = np.flatnonzero(predictions.validation_source == number)
        if not len(ours) or np.isnan(error).all():
            continue
        radii = error / float(predictions.pixel[ours].mean())
        frame = Excerpt(np.zeros(2), side, side)
        if predictions.validation_origin is not None:
            frame = Excerpt.around(target, float(np.nanmax(radii)), side)
        mean = _mean(images, ours, frame.seen(alignment.aligning(predictions.validation[ours], target)), frame.side)
        labelled = f"{name} labels, " if len(scores.sources) > 1 else ""
        caption = f"{labelled}{len(ours):,} {many}"
        circles = Circles(frame.place(target), radii * frame.scale, error)
        own = predictions.validation_origin is not None
        found.append(_circles(mean, circles, caption, names=keypointset.names if own else (), skeleton=skeleton))
    return found


def _mean(images: Images, ours: np.ndarray, matrices: np.ndarray, side: int) -> np.ndarray:
    """The mean of the samples with these indices, mapped to side x side pixels; of not too many of them."""
    count = min(len(ours), max(1, int(MOST / np.prod(images.shape[1:]))))
    chosen = np.linspace(0, len(ours) - 1, count).round().astype(int)
    return affine.warp(images[ours[chosen]], matrices[chosen], side).mean(axis=0)


@dataclass(frozen=True)
class Circles:
    """A circle for each keypoint. places: (K, 2), pixels. radii: (K,), pixels. errors: (K,), pixels of the images. NaN where not known."""

    places: np.ndarray
    radii: np.ndarray
    errors: np.ndarray


def _circles(mean: np.ndarray, circles: Circles, caption: str, *, names: Sequence[str] = (), skeleton: Skeleton = ()) -> Face:
    """The mean of aligned samples (side, side[, 3]) with a circle for each keypoint.

    names: of the keypoints, which are also shown if these are few; () to show none.
    """
    view = Shown(mean, np.zeros(2), len(mean))
    unit = view.unit * min(1.0, MANY / max(len(names), 1)) ** 0.25  # smaller letters, so that more of them find room
    known = np.flatnonzero(~np.isnan(circles.errors))
    above = dict(zip(known.tolist(), _crowded_below(circles.places[known]).tolist(), strict=True))
    numbers = {k: f"{circles.errors[k]:.1f}" for k in known.tolist()}
    named = {k: f"{words(printable(names[k]))}: {number}" for k, number in numbers.items()} if 0 < len(names) <= CROWDED else {}
    if names or len(known) > CROWDED:
        texts = _with_room(circles, [named, numbers], above, unit)
    else:
        texts = {k: (number, above[k]) for k, number in numbers.items()}
    marks = [Mark("error", *view.place(circles.places[k]), float(circles.radii[k]), *texts.get(k, ("", above[k]))) for k in numbers]
    marks += [Mark("place", *view.place(circles.places[k]), DOT * unit) for k in numbers] if names else []
    radii = f"{circles.errors[known].min():.1f} to {circles.errors[known].max():.1f} px"
    alt = f"Mean of aligned samples ({caption}) with a circle at each keypoint; the radii are {radii}"
    return replace(view.face(marks, caption, alt, bones=view.bones(circles.places, skeleton)), unit=round(unit, 2))


def _with_room(circles: Circles, choices: Sequence[dict[int, str]], above: dict[int, bool], unit: float) -> dict[int, tuple[str, bool]]:
    """The texts that do not overlap, and whether they are above their circles, by keypoint; those of large errors first.

    choices: texts by keypoint, the preferred ones first. above: where a text should rather be.
    """
    taken: list[tuple[float, float, float]] = []  # x, y and width of the texts
    found: dict[int, tuple[str, bool]] = {}
    for texts in choices:
        for k in sorted(texts, key=lambda k: -circles.errors[k]):
            if k in found:
                continue
            width = max(NUMBER, LETTER * len(texts[k])) * unit
            for upwards in (above[k], not above[k]):
                x, y = circles.places[k, 0], circles.places[k, 1] + (-1 if upwards else 1) * (circles.radii[k] + LINE / 2 * unit)
                if not any(abs(x - a) < (width + w) / 2 and abs(y - b) < LINE * unit for a, b, w in taken):
                    taken.append((x, y, width))
                    found[k] = texts[k], upwards
                    break
    return found


def _crowded_below(points: np.ndarray) -> np.ndarray:
    """Which of the points (n, 2) have their nearest vertical neighbour below them, so that their label belongs above them.

    Vertical neighbours are points whose distance in y is at least that in x.
    """
    offset = points[None] - points[:, None]
    beside = np.abs(offset[..., 0]) > np.abs(offset[..., 1])
    distance = np.where(beside, np.inf, np.linalg.norm(offset, axis=2))
    np.fill_diagonal(distance, np.inf)
    nearest = distance.argmin(axis=1)
    return np.isfinite(distance.min(axis=1)) & (offset[np.arange(len(points)), nearest, 1] > 0)
