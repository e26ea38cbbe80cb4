"""The check of exported files: what they predict, compared with what the nets predict."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pipeline.data.synthetic.portrait import portrait
from pipeline.errors import InputError
from pipeline.export import graph
from pipeline.export.formats import Run
from pipeline.export.nets import Net
from pipeline.geometry import candidates
from pipeline.inference.instances import DOUBTFUL
from pipeline.inference.loaded import FACE, LoadedNets, PredictedCrops, SampleFrame
from pipeline.lazyrows import Images
from pipeline.nets import forward
from pipeline.units import counted

LIMIT = 0.02  # the largest difference of a value with which a file is written, pixels of the images
SYNTHETIC = 100
DRAWN = ("left_eye_center", "right_eye_center", "mouth_center_bottom_lip")  # keypoints that lie within every drawn face
BLOCK = 32  # images that a file predicts at once


class Difference(NamedTuple):
    """The largest difference of a value, pixels, and the image, counted from 1, and the keypoint, counted from 0, where it is."""

    pixels: float
    image: int
    keypoint: int


def synthetic(nets: LoadedNets, *, seed: int, count: int = SYNTHETIC) -> np.ndarray:
    """Seeded images uint8 (n, side, side[, 3]) for nets: drawn faces for nets of faces, otherwise soft spots."""
    rng, side = np.random.default_rng(seed), nets.frame.side
    if nets.detector == FACE or set(DRAWN) <= set(nets.keypointset.names):
        grey = np.stack([portrait(DRAWN, side=side, steady=True, rng=rng)[0] for _ in range(count)])
        return np.repeat(grey[..., None], 3, axis=3) if nets.frame.colour else grey
    return spots(nets.frame, seed=seed, count=count)


def spots(frame: SampleFrame, *, seed: int, count: int) -> np.ndarray:
    """Seeded images uint8 (n, side, side[, 3]) with soft spots of all sizes."""
    rng, side = np.random.default_rng(seed), frame.side
    rest = (3,) if frame.colour else ()
    total = np.zeros((count, side, side, *rest), np.float32)
    for cells in (2, 5, 11, 23):
        grid = rng.normal(size=(count, cells + 1, cells + 1, *rest)).astype(np.float32)
        place = np.linspace(0, cells, side, endpoint=False)
        low, part = place.astype(int), (place % 1).astype(np.float32).reshape(-1, *(1,) * len(rest))
        rows = grid[:, low] + (grid[:, low + 1] - grid[:, low]) * part[:, None]
        total += rows[:, :, low] + (rows[:, :, low + 1] - rows[:, :, low]) * part
    return np.clip(128 + 40 * total, 0, 255).astype(np.uint8)


@contextlib.contextmanager
def without_search() -> Iterator[None]:
    """The nets search for no sample in parts of the image, as in exported files."""
    before = forward.FEW_LOST, forward.MOST_LOST
    forward.FEW_LOST, forward.MOST_LOST = 0, 0.0
    try:
        yield
    finally:
        forward.FEW_LOST, forward.MOST_LOST = before


def expected(nets: LoadedNets, images: Images) -> PredictedCrops:
    """What the nets predict without a search for lost samples."""
    with without_search():
        return nets.predict(images[:])


def predicted(run: Run, images: Images) -> np.ndarray:
    """What a file predicts: float32 (n, K, 2), pixels of the images."""
    return np.concatenate([run(np.ascontiguousarray(images[start : start + BLOCK])) for start in range(0, len(images), BLOCK)])


def apart(chains: list[list[Net]], images: Images) -> np.ndarray:
    """How far apart the last two alignments of each image are, float32 (n,), see `graph.Outputs`."""
    bases = [chain[:1] for chain in chains]
    starts = range(0, len(images), BLOCK)
    return np.concatenate([np.asarray(graph.outputs(images[start : start + BLOCK], bases, 1.0).apart) for start in starts])


def certain(prediction: PredictedCrops, apart: np.ndarray, side: int) -> np.ndarray:
    """Whether the nets have found something in each image (n,): the alignments have come to rest, and the nets agree.

    Elsewhere a grey level that is rounded the other way can change which of several places a net prefers, and with it all that follows.
    """
    return (apart <= candidates.REST) & (prediction.doubt <= DOUBTFUL * side)


def largest(one: np.ndarray, other: np.ndarray) -> Difference:
    """The largest difference of two predictions (n, K, 2); NaN counts as infinite."""
    image, keypoint = np.unravel_index((apart := _apart(one, other)).argmax(), apart.shape)
    return Difference(float(apart[image, keypoint]), int(image) + 1, int(keypoint))


def checked(one: np.ndarray, other: np.ndarray, found: np.ndarray, names: tuple[str, ...], what: str) -> str:
    """Compares the predictions (n, K, 2) of nets and those of a file; returns the largest difference in words.

    found: where the nets have found something (n,), see `certain`. names: of the keypoints. what: the images, for messages. Raises
    InputError if a difference is larger than LIMIT where they have, or the median of the differences where they have not.
    """
    lines = []
    if found.any():
        worst = largest(one[found], other[found])
        image = int(np.flatnonzero(found)[worst.image - 1]) + 1
        if worst.pixels > LIMIT:
            _refuse(f"{names[worst.keypoint]} of {what} {image} {worst.pixels:.3f} pixels")
        lines.append(f"{counted(int(found.sum()), what)}: at most {worst.pixels:.4f} pixels")
    if not found.all():
        middle = float(np.median(_apart(one[~found], other[~found])))
        if middle > LIMIT:
            _refuse(f"half of the keypoints in {counted(int((~found).sum()), what)} more than {middle:.3f} pixels")
        lines.append(f"{counted(int((~found).sum()), what)} in which the nets find nothing: median {middle:.4f} pixels")
    return "; ".join(lines)


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The larger difference of x and y of each keypoint (n, K)."""
    return np.nan_to_num(np.abs(one - other).max(axis=2), nan=np.inf)


def _refuse(what: str) -> None:
    raise InputError(
        f"The file was not written, because it would predict {what} away from what the nets predict; at most {LIMIT} is accepted. Another"
        " version of the converter may do better."
    )
