"""What a net sees of each image: the whole image, a window of the aligned sample, or a small window around each keypoint."""

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

    def looks(self, number: int) -> "list[View]":
        """This view and others that are slightly turned, scaled and moved, `number` in all, see `alignment.looks`."""
        moved = [replace(self, matrix=affine.compose(look, self.matrix)) for look in alignment.looks(number, self.side)[1:]]
        return [self, *moved]


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
    of the images, if a face has the size of the mean face. looks: over how many slightly different windows predictions are averaged.
    """

    window: alignment.Window
    aligning: np.ndarray
    scale: float = 1.0
    looks: int = 1

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
        _check_number(n, self.aligning)
        scale = self.scale * float(self.window.matrix[0, 0])
        return View(affine.compose(self.window.matrix, self.aligning), self.window.side, affine.reduction(scale))

    def of(self, chosen: np.ndarray) -> "AlignedWindow":
        """What the net sees of some of the images, given by a mask (n,) or by their indices."""
        return replace(self, aligning=self.aligning[chosen])


@dataclass(frozen=True)
class KeypointWindows:
    """The net sees a small window around one keypoint at a time, and predicts that keypoint in it.

    All keypoints of the net share its weights; each has outputs of its own. The window is turned and scaled like the aligned sample, and
    its middle is where the keypoint has been found before. A net sees windows of several zooms, in several passes: the first pass begins
    where the base net has found the keypoint, the next one where the pass before has found it.

    side: width and height of a window in its own pixels. zooms: pixels of a window per pixel of the aligned frame, of each pass. aligning:
    the maps float64 (n, 2, 3) that align each of n images. located: float64 (n, k, 2), where the base net has found the net's keypoints,
    pixels of the images. scale: pixels of the aligned frame per pixel of the images, if a sample has the typical size. looks: over how many
    slightly different windows the predictions of the last pass are averaged.
    """

    side: int
    zooms: tuple[float, ...]
    aligning: np.ndarray
    located: np.ndarray
    scale: float = 1.0
    looks: int = 1

    @property
    def target(self) -> None:
        """Windows are not refined any further than by their passes."""
        return None

    def view(self, n: int) -> View:
        """The view of the first keypoint of each of n images in the last pass. Raises ValueError if n is not the number of images."""
        _check_number(n, self.aligning)
        return self.around(self.located[:, 0], np.arange(n), np.full(n, self.zooms[-1]))

    def around(self, centres: np.ndarray, which: np.ndarray, zooms: np.ndarray) -> View:
        """The view of m windows of the images with the indices `which` (m,).

        centres: where the middles of the windows are, (m, 2), pixels of the images. zooms: of each window, (m,).
        """
        linear = self.aligning[which, :, :2] * zooms[:, None, None]
        shift = self.side / 2 - np.einsum("mij,mj->mi", linear, centres)
        matrix = np.concatenate([linear, shift[:, :, None]], axis=2)
        # The largest zoom decides, because a reduction would take detail from it; a window of half of it is still without aliasing.
        return View(matrix, self.side, affine.reduction(self.scale * float(zooms.max(initial=min(self.zooms)))))

    def of(self, chosen: np.ndarray) -> "KeypointWindows":
        """What the net sees of some of the images, given by a mask (n,) or by their indices."""
        return replace(self, aligning=self.aligning[chosen], located=self.located[chosen])


def _check_number(n: int, aligning: np.ndarray) -> None:
    if n != len(aligning):
        raise ValueError(f"{n} images and {len(aligning)} alignment maps do not match")


Sight = WholeImage | AlignedWindow | KeypointWindows


@dataclass(frozen=True)
class Located:
    """Where a base net has found the sample in each of n images.

    located: (n, K, 2), its predictions for all keypoints of the set as its first annotation source would place them, pixels of the images.
    aligning: the maps float64 (n, 2, 3) that align the images by them, from their pixels to the aligned frame.
    """

    located: np.ndarray
    aligning: np.ndarray


def located_by(base: Trained) -> Located:
    """Where a base net has found all labelled samples of its training. Raises ValueError for a specialist."""
    if base.located is None:
        raise ValueError("this net is not a base net, so it has no predictions that align the faces")
    return located_at(base, base.located, side=int(base.stored))


def located_at(base: Trained, located: np.ndarray, *, side: int) -> Located:
    """Where a base net has found the samples in images of side x side pixels, for which it predicts `located`, see `Located`.

    Raises ValueError for a specialist.
    """
    if base.target is None:
        raise ValueError("this net is not a base net, so it has no aligned face to align faces with")
    return Located(located, alignment.aligning(located, base.target, scale=int(base.frame) / side))
