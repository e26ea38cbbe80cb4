"""The check of exported files: what they predict, compared with what the nets predict."""

from typing import NamedTuple

import numpy as np

from pipeline.errors import InputError
from pipeline.export.check_images import LIMIT, STEADY, CheckImages
from pipeline.export.formats import Run
from pipeline.lazyrows import Images
from pipeline.units import counted

BLOCK = 32  # images that a file predicts at once


class Difference(NamedTuple):
    """The largest difference of a value, pixels, and the image, counted from 1, and the keypoint, counted from 0, where it is."""

    pixels: float
    image: int
    keypoint: int


def predicted(run: Run, images: Images) -> np.ndarray:
    """What a file predicts: float32 (n, K, 2), pixels of the images."""
    return np.concatenate([run(np.ascontiguousarray(images[start : start + BLOCK])) for start in range(0, len(images), BLOCK)])


def largest(one: np.ndarray, other: np.ndarray) -> Difference:
    """The largest difference of two predictions (n, K, 2); NaN counts as infinite."""
    image, keypoint = np.unravel_index((apart := distances(one, other)).argmax(), apart.shape)
    return Difference(float(apart[image, keypoint]), int(image) + 1, int(keypoint))


def checked(given: CheckImages, found: np.ndarray, names: tuple[str, ...], what: str) -> str:
    """Compares what nets predict with what a file predicts, `found` (n, K, 2); returns the largest difference in words.

    names: of the keypoints. what: the images, for messages. Raises InputError if a value of a steady image differs by more than LIMIT, or
    if the others differ by more, in the median, than the predictions of the nets themselves move.
    """
    lines, steady = [], given.steady
    if steady.any():
        worst = largest(given.keypoints[steady], found[steady])
        image = int(np.flatnonzero(steady)[worst.image - 1]) + 1
        if worst.pixels > LIMIT:
            _refuse(f"{names[worst.keypoint]} of {what} {image} {worst.pixels:.3f} pixels", LIMIT)
        lines.append(f"{counted(int(steady.sum()), what)}: at most {worst.pixels:.4f} pixels")
    if not steady.all():
        others = counted(int((~steady).sum()), what)
        apart, moved = np.median(distances(given.keypoints, found)[~steady].max(axis=1)), np.median(given.moved[~steady])
        if apart > moved:
            _refuse(f"half of {others} at least one keypoint {apart:.3f} pixels or more", moved)
        lines.append(
            f"{others} in which rounding moves the predictions of the nets themselves by more than {STEADY} pixels: median {apart:.4f}"
            f" pixels, where rounding moves them by {moved:.4f} pixels"
        )
    return "; ".join(lines)


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The larger difference of x and y of each keypoint (n, K) of two predictions (n, K, 2); NaN counts as infinite."""
    return np.nan_to_num(np.abs(one - other).max(axis=2), nan=np.inf)


def _refuse(what: str, accepted: float) -> None:
    raise InputError(
        f"The file was not written, because it would predict {what} away from what the nets predict; at most {accepted:.2g} is accepted."
        " Another version of the converter may do better."
    )
