"""An image with marks over it, as a page shows it: the unchanged image, and marks at positions in the image's own pixels."""

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.data.tables import Origin
from pipeline.results.style import data_uri

# The side of a sample over which letters have their usual size, and the radii of marks over such a sample, pixels.
USUAL = 96
DOT, RING, WARNING = 1.3, 2.0, 3.4
MANY = 20  # of more keypoints than this, each mark is smaller, so that they cover no more of the image
LARGE = 128  # longer side of the images, pixels, above which they are stored as JPEG
LARGEST = 512  # and to which they are reduced
QUALITY = 85
# If keypoints span less than a third of a view's shorter side, it shows only their surroundings, with the same ratio of its sides: on the
# shorter one this multiple of the span, and at least this share of the side.
SMALL, SURROUNDINGS, LEAST = 1 / 3, 2.5, 0.2

Line = tuple[float, float, float, float]


@dataclass(frozen=True)
class Mark:
    """A circle, with its centre and radius in pixels of the image.

    kind: truth, predicted, suspect, error or place, which decides on its colour.
    text: a label above or below the circle.
    """

    kind: str
    x: float
    y: float
    radius: float
    text: str = ""
    above: bool = False


@dataclass(frozen=True)
class Face:
    """An image with its marks.

    image: a data URI. size: its width and height, pixels.
    links: lines as x1, y1, x2, y2, pixels of the image.
    boxes: rectangles as x, y, width, height, pixels of the image.
    alt: a text for readers who cannot see the image.
    bones: lines of the skeleton, like links.
    unit: how much larger than usual letters are, because the image has more pixels.
    command: opens the review page with this sample; "" where nothing is to be reviewed.
    """

    image: str
    size: tuple[int, int]
    marks: list[Mark]
    links: list[Line]
    caption: str
    alt: str
    boxes: tuple[Line, ...] = ()
    bones: tuple[Line, ...] = ()
    unit: float = 1.0
    command: str = ""


@dataclass(frozen=True)
class Shown:
    """What is shown of a sample: the part of it that lies within its image.

    image: uint8 (h, w) or (h, w, 3). corner: float64 (2,), its upper left corner in pixels of the sample. side: that of the sample, or of
    the part of it that is shown, to which the sizes of marks and letters are relative.
    """

    image: np.ndarray
    corner: np.ndarray
    side: int

    @classmethod
    def of(cls, sample: np.ndarray, origin: Origin | None, place: int) -> "Shown":
        """The view of a sample (side, side[, 3]). origin: where samples were cut from, this one at `place`; None for Kaggle's faces."""
        if origin is None:
            return cls(sample, np.zeros(2), len(sample))
        (scale, _, x), (_, _, y) = origin.to_original[place]
        low = np.clip(np.floor(np.array([-x, -y]) / scale), 0, len(sample) - 1).astype(int)
        high = np.clip(np.ceil((origin.size[place] - [x, y]) / scale), low + 1, len(sample)).astype(int)
        return cls(sample[low[1] : high[1], low[0] : high[0]], low.astype(np.float64), len(sample))

    def near(self, *points: np.ndarray) -> "Shown":
        """The surroundings of the points, each (K, 2), pixels of the sample, if these are only a small part of the view; else the view."""
        every, size = np.concatenate(points), np.array(self.image.shape[1::-1])
        every = every[~np.isnan(every).any(axis=1)] - self.corner
        if not len(every):
            return self
        low, high = np.clip(every.min(axis=0), 0, size), np.clip(every.max(axis=0), 0, size)
        if (span := (high - low).max()) > SMALL * size.min():
            return self
        extent = np.ceil(size * max(SURROUNDINGS * span / size.min(), LEAST)).astype(int)
        left, top = np.clip((low + high - extent) / 2, 0, size - extent).astype(int).tolist()
        image = self.image[top : top + extent[1], left : left + extent[0]]
        return Shown(image, self.corner + np.array([left, top]), int(extent.max()))

    @property
    def unit(self) -> float:
        """How much larger than usual letters are."""
        return round(self.side / USUAL, 2)

    def marks(self, kind: str, points: np.ndarray, radius: float) -> list[Mark]:
        """A mark at each of the points (K, 2) that is not NaN, pixels of the sample. radius: one of DOT, RING and WARNING."""
        own = radius * self.side / USUAL * min(1.0, MANY / max(len(points), 1)) ** 0.5
        return [Mark(kind, *self.place(point), own) for point in points if not np.isnan(point).any()]

    def lines(self, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[Line]:
        """A line for each pair of points, pixels of the sample, that are not NaN."""
        return [(*self.place(one), *self.place(other)) for one, other in pairs if not np.isnan([one, other]).any()]

    def bones(self, points: np.ndarray, skeleton: Iterable[tuple[int, int]]) -> tuple[Line, ...]:
        """The lines of a skeleton, which are pairs of indices of the points (K, 2), pixels of the sample."""
        return tuple(self.lines((points[one], points[other]) for one, other in skeleton))

    def place(self, point: np.ndarray) -> tuple[float, float]:
        """A position, rounded to tenths of a pixel, which the eye cannot tell apart and which makes the page a third shorter."""
        x, y = (point - self.corner).round(1).tolist()
        return round(x, 1), round(y, 1)

    def face(self, marks: list[Mark], caption: str, alt: str, *, links: list[Line] | None = None, bones: tuple[Line, ...] = ()) -> Face:
        """The image with these marks."""
        size = self.image.shape[1], self.image.shape[0]
        return Face(encoded(self.image), size, marks, links or [], caption, alt, bones=bones, unit=self.unit)


def encoded(image: np.ndarray) -> str:
    """An image (h, w[, 3]) as a data URI: PNG, or JPEG, reduced if it is very large, where PNG would take too much space."""
    picture = Image.fromarray(image.round().astype(np.uint8))
    with io.BytesIO() as file:
        if max(picture.size) > LARGE:
            picture.thumbnail((LARGEST, LARGEST))
            picture.save(file, "JPEG", quality=QUALITY)
            return data_uri(file.getvalue(), "image/jpeg")
        picture.save(file, "PNG", optimize=True)
        return data_uri(file.getvalue(), "image/png")
