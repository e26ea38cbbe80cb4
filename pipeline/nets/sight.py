"""What a net sees of each image: either the whole image or a window of the aligned face."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.geometry import affine, alignment
from pipeline.lazyrows import Images
from pipeline.nets.trained import Trained


@dataclass(frozen=True)
class View:
    """The inputs of a net as affine maps.

    matrix: float64 (n, 2, 3), maps each of n images to the net's input. side: width and height of the input, pixels.
    """

    matrix: np.ndarray
    side: int

    def images(self, images: Images) -> affine.Warped:
        """The net's input, uint8 (n, side, side), computed on demand from images uint8 (n, s, s)."""
        return affine.Warped(images, self.matrix, self.side)

    def of(self, chosen: np.ndarray) -> "View":
        """The view of some of the images, given by a mask (n,) or by their indices."""
        return replace(self, matrix=self.matrix[chosen])


@dataclass(frozen=True)
class WholeImage:
    """The net sees the whole image of `side` x `side` pixels.

    target: where the keypoints of an aligned face lie, float32 (K, 2) in pixels. A first prediction then locates the face, the face is
    aligned with the target, and the prediction is refined on the aligned face. None: without refinement.
    """

    side: int
    target: np.ndarray | None = None

    def view(self, n: int) -> View:
        """The view of n images; with refinement, that of the first prediction."""
        return View(affine.identity(n), self.side)

    def of(self, chosen: np.ndarray) -> "WholeImage":
        """What the net sees of some of the images."""
        return self


@dataclass(frozen=True)
class AlignedWindow:
    """The net sees a window of the aligned face.

    aligning: the maps float64 (n, 2, 3) that align each of n images, see `alignment.aligning`.
    """

    window: alignment.Window
    aligning: np.ndarray

    @property
    def side(self) -> int:
        """Width and height of the window in its own pixels."""
        return self.window.side

    @property
    def target(self) -> None:
        """A window is not refined any further."""
        return None

    def view(self, n: int) -> View:
        """The view of the n images. Raises ValueError if their number differs from that of the alignment maps."""
        if n != len(self.aligning):
            raise ValueError(f"{n} images and {len(self.aligning)} alignment maps do not match")
        return View(affine.compose(self.window.matrix, self.aligning), self.window.side)

    def of(self, chosen: np.ndarray) -> "AlignedWindow":
        """What the net sees of some of the images, given by a mask (n,) or by their indices."""
        return replace(self, aligning=self.aligning[chosen])


Sight = WholeImage | AlignedWindow


def aligned_by(base: Trained) -> np.ndarray:
    """The maps float64 (n, 2, 3) that align all labelled faces, from the predictions of a base net. Raises ValueError for a specialist."""
    if base.located is None or base.target is None:
        raise ValueError("this net is not a base net, so it has no predictions that align the faces")
    return alignment.aligning(base.located, base.target)
