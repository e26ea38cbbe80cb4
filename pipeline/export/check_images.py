"""The images with which exported files are checked, and what the nets predict for them.

Between resampling steps grey levels are rounded. Another order of the same additions rounds about one of them the other way in each
window that a net sees. Where nets find nothing, this can change which of several places they prefer, and with it all that follows, so
that not even two versions of TensorFlow would agree. How far predictions move for that reason is measured with the nets themselves, never
with the file: they predict again while everything that they see is shifted by SHIFT. An image is *steady* if that moves nothing by more
than STEADY: half of the LIMIT, because rounding in a file may well move twice as much as these two shifts happen to do.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pipeline.data.synthetic.portrait import portrait
from pipeline.inference import elsewhere
from pipeline.inference.loaded import FACE, LoadedNets, SampleFrame
from pipeline.lazyrows import Images
from pipeline.nets import forward
from pipeline.nets.trained import Trained

LIMIT = 0.02  # the largest difference of a value, pixels of the images, with which a file is written
STEADY = LIMIT / 2
SYNTHETIC, ROUNDS = 100, 2  # so many synthetic images are compared; they are the first steady ones of at most so many times as many
DRAWN = ("left_eye_center", "right_eye_center", "mouth_center_bottom_lip")  # keypoints that lie within every drawn face
# How far windows are shifted, pixels of the frame: about five times as many grey levels are rounded the other way as in an exported file.
SHIFT = 0.0005


class CheckImages(NamedTuple):
    """Images, what the nets predict for them, and how reproducible that is.

    images: uint8 (n, side, side[, 3]). keypoints: float (n, K, 2), pixels of the images. moved: float (n,), how far a shift of what the
    nets see moves the prediction of a keypoint, at most, pixels of the images; see the module.
    """

    images: np.ndarray
    keypoints: np.ndarray
    moved: np.ndarray

    @property
    def steady(self) -> np.ndarray:
        """Whether each image is steady, bool (n,)."""
        return self.moved <= STEADY

    def of(self, rows: np.ndarray) -> "CheckImages":
        """Some of the images."""
        return CheckImages(*(values[rows] for values in self))


def synthetic(nets: LoadedNets, *, seed: int, count: int = SYNTHETIC) -> CheckImages:
    """Seeded synthetic images, as many as `count`: the first steady ones of ROUNDS times as many.

    If fewer are steady, the first of the others follow.
    """
    rounds: list[CheckImages] = []
    while len(rounds) < ROUNDS and sum(int(one.steady.sum()) for one in rounds) < count:
        rounds.append(tried(nets, drawn(nets, seed=seed + len(rounds), count=count)))
    every = CheckImages(*(np.concatenate(values) for values in zip(*rounds, strict=True)))
    return every.of(np.sort(np.argsort(~every.steady, kind="stable")[:count]))


def tried(nets: LoadedNets, images: Images) -> CheckImages:
    """The images with the predictions of the nets, which search for no sample, as files do not."""
    given = images[:]
    with without_search():
        own, *others = (some.predict(given, keep=True).keypoints for some in (nets, _shifted(nets, SHIFT), _shifted(nets, -SHIFT)))
    return CheckImages(given, own, np.abs(np.stack(others) - own).max(axis=(0, 2, 3)))


def _shifted(nets: LoadedNets, by: float) -> LoadedNets:
    """The nets with all windows shifted by so many pixels of the frame: those of the base net, and those around what it predicts."""

    def shifted(base: Trained) -> Trained:
        target = None if base.target is None else base.target + np.float32(by)
        return replace(base, target=target, offsets=base.offsets + np.float32(by * base.stored / base.frame))

    other = replace(nets, chains=tuple((shifted(base), *others) for base, *others in nets.chains))
    other._kept.update(nets._kept)
    return other


def drawn(nets: LoadedNets, *, seed: int, count: int) -> np.ndarray:
    """Seeded images uint8 (n, side, side[, 3]) for nets: drawn faces for nets of faces, otherwise drawn faces and soft spots in turn."""
    some = faces(nets.frame, seed=seed, count=count)
    if nets.detector != FACE and not set(DRAWN) <= set(nets.keypointset.names):
        some[1::2] = spots(nets.frame, seed=seed, count=count // 2)
    return some


def faces(frame: SampleFrame, *, seed: int, count: int) -> np.ndarray:
    """Seeded drawn faces uint8 (n, side, side[, 3])."""
    rng = np.random.default_rng(seed)
    grey = np.stack([portrait(DRAWN, side=frame.side, steady=True, rng=rng)[0] for _ in range(count)])
    return np.repeat(grey[..., None], 3, axis=3) if frame.colour else grey


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
    before = forward.FEW_LOST, forward.MOST_LOST, elsewhere.FEW, elsewhere.MOST
    forward.FEW_LOST, forward.MOST_LOST, elsewhere.FEW, elsewhere.MOST = 0, 0.0, 0, 0.0
    try:
        yield
    finally:
        forward.FEW_LOST, forward.MOST_LOST, elsewhere.FEW, elsewhere.MOST = before
