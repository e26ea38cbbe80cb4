"""What a net sees of each image: either the whole image or a window of the aligned face."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.geometry import affine, alignment
from pipeline.lazyrows import Images
from pipeline.nets.trained import Trained


@dataclass(frozen=True)
class View:
    """The inputs of a net as affine maps.

    matrix: float64 (n, 2, 3), maps each of n images to the net's input. side: width and height of the input, pixels. reduction: the factor
    by which the images are reduced first, see `affine.warp`.
    """

    matrix: np.ndarray
    side: int
    reduction: int = 1

    def images(self, images: Images) -> Images:
        """The net's input, uint8 (n, side, side) or (n, side, side, 3), computed on demand from images uint8 (n, s, s) or (n, s, s, 3)."""
        if images.shape[1] == self.side and np.array_equal(self.matrix, affine.identity(len(images))):
            return images
        return affine.Warped(images, self.matrix, self.side, reduction=self.reduction)

    def of(self, chosen: np.ndarray) -> "View":
        """The view of some of the images, given by a mask (n,) or by their indices."""
        return replace(self, matrix=self.matrix[chosen])


@dataclass(frozen=True)
class WholeImage:
    """The net sees the whole image, reduced to the frame of `side` x `side` pixels.

    target: where the keypoints of an aligned face lie, float32 (K, 2) in pixels of the frame. A first prediction then locates the face,
    the face is aligned with the target, and the prediction is refined on the aligned face. None: without refinement.
    scale: pixels of the frame per pixel of the images, at most 1. refine: whether there is a second prediction, if there is a target; the
    faces are aligned for specialists in any case.
    """

    side: int
    target: np.ndarray | None = None
    scale: float = 1.0
    refine: bool = True

    def view(self, n: int) -> View:
        """The view of n images; with refinement, that of the first prediction."""
        return View(affine.scaling(n, self.scale), self.side, affine.reduction(self.scale))

    def aligned(self, located: np.ndarray, target: np.ndarray) -> View:
        """The view of n faces that are aligned with the target by their keypoints `located` (n, K, 2), in pixels of the images."""
        matrix = alignment.aligning(located, target, scale=self.scale)
        return View(matrix, self.side, affine.reduction(self.scale))

    def of(self, chosen: np.ndarray) -> "WholeImage":
        """What the net sees of some of the images."""
        return self


@dataclass(frozen=True)
class AlignedWindow:
    """The net sees a window of the aligned face.

    aligning: the maps float64 (n, 2, 3) that align each of n images, see `alignment.aligning`. scale: pixels of the aligned frame per pixel
    of the images, if a face has the size of the mean face.
    """

    window: alignment.Window
    aligning: np.ndarray
    scale: float = 1.0

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
        scale = self.scale * float(self.window.matrix[0, 0])
        return View(affine.compose(self.window.matrix, self.aligning), self.window.side, affine.reduction(scale))

    def of(self, chosen: np.ndarray) -> "AlignedWindow":
        """What the net sees of some of the images, given by a mask (n,) or by their indices."""
        return replace(self, aligning=self.aligning[chosen])


Sight = WholeImage | AlignedWindow


def aligned_by(base: Trained) -> np.ndarray:
    """The maps float64 (n, 2, 3) that align all labelled samples by the predictions of a base net. Raises ValueError for a specialist."""
    if base.located is None:
        raise ValueError("this net is not a base net, so it has no predictions that align the faces")
    return aligning_of(base, base.located, side=int(base.stored))


def aligning_of(base: Trained, located: np.ndarray, *, side: int) -> np.ndarray:
    """The maps float64 (n, 2, 3) from images of side x side pixels to the aligned frame of a base net.

    located: what the base net predicts for them, as its first annotation source would place it, (n, K, 2), pixels of the images.
    Raises ValueError for a specialist.
    """
    if base.target is None:
        raise ValueError("this net is not a base net, so it has no aligned face to align faces with")
    return alignment.aligning(located, base.target, scale=int(base.frame) / side)
