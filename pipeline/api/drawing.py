"""Drawing keypoints on images."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.api import figures
from pipeline.api.pictures import photograph
from pipeline.api.points import named_points
from pipeline.api.reading import Sample
from pipeline.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

    Picture = str | os.PathLike[str] | np.ndarray | Image.Image | Sample

LARGEST_SCALE = 64


def draw(image: "Picture", keypoints: Any = None, *, skeleton: Sequence[tuple[int, int]] | None = None, scale: float = 1) -> "Image.Image":
    """The image in colour with a dot at each keypoint, and with the lines of the skeleton; several instances are numbered from 1.

    image: the path of a file, an array uint8 (H, W) or (H, W, 3), one of Pillow's images, or a sample, whose own skeleton is drawn.
    keypoints: of one instance or of n, pixels of the image: an array (K, 2) or (n, K, 2), a row or rows of the table of
    `KeypointNets.predict`, or samples. NaN is not drawn. By default those of the sample. skeleton: pairs of keypoints, counted from 0, that
    are joined by a line. scale: the picture is this many times as large as the image, which makes small images visible.

    Returns an image of Pillow, which notebooks show and whose method `save` writes it. The given image is unchanged.
    Raises InputError for an image or keypoints that cannot be used.
    """
    from PIL import Image

    figures.keep_settings()
    from pipeline.results import annotations

    if isinstance(image, Sample):
        keypoints = image if keypoints is None else keypoints
        skeleton = image.skeleton if skeleton is None else skeleton
        image = image.pixels()
    if keypoints is None:
        raise InputError("There are no keypoints to draw. Give an array (K, 2) or (n, K, 2), a table, or a sample in place of the image.")
    photo = photograph(image, "the image")
    _, points = named_points(keypoints, "keypoints")
    lines = _checked(skeleton or (), points.shape[1])
    if not 0 < scale <= LARGEST_SCALE:
        raise InputError(f"scale is {scale}. Give a number above 0 and up to {LARGEST_SCALE}.")
    size = (max(1, round(photo.size[0] * scale)), max(1, round(photo.size[1] * scale)))
    picture = photo.image.convert("RGB")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return annotations.draw(picture, _boxes(points * scale, size), points * scale, lines)


def _checked(skeleton: Sequence[tuple[int, int]], keypoints: int) -> tuple[tuple[int, int], ...]:
    """The pairs of a skeleton. Raises InputError for one that is not of two of the keypoints."""
    for pair in skeleton:
        if len(pair) != 2 or not all(isinstance(end, int | np.integer) and 0 <= end < keypoints for end in pair):
            raise InputError(f"skeleton has the entry {pair}. Give pairs of keypoints, counted from 0 to {keypoints - 1}.")
    return tuple((int(one), int(other)) for one, other in skeleton)


def _boxes(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The boxes (n, 4) to which marks are relative: the image for a single instance, otherwise the surroundings of its keypoints."""
    from pipeline.data.samples import KEYPOINT_FRAME, SMALLEST_SHARE

    if len(points) == 1:
        return np.array([[0.0, 0.0, *size]])
    boxes = []
    for own in points:
        known = own[~np.isnan(own).any(axis=1)]
        low, high = (known.min(axis=0), known.max(axis=0)) if len(known) else (np.zeros(2), np.zeros(2))
        side = max(KEYPOINT_FRAME * float((high - low).max()), SMALLEST_SHARE * min(size))
        boxes.append([*((low + high - side) / 2), side, side])
    return np.array(boxes, np.float64).reshape(-1, 4)
