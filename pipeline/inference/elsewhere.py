"""Another look for samples whose prediction is doubtful, in particular for faces beside another person.

Where there are two faces, a net may answer with a mixture of both, or with the wrong one. A mixture shows in how far apart the averaged
predictions are; the wrong face is often far from where the keypoints usually are in an image. Enlarged parts of the image show one face at
a time. Of the places where predictions from several parts agree, the one that is closest to the usual place counts.
"""

from dataclasses import dataclass, replace

import keras
import numpy as np

from pipeline.geometry import affine, candidates
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Images, Selected
from pipeline.nets.averaged import Averaged, mean_of
from pipeline.nets.forward import FAR_APART, predict_view
from pipeline.nets.sight import View, WholeImage

# A prediction is doubtful if the spread of what it averages is more than FAR_APART, or if its mean distance from the usual place is more
# than this fraction of the frame. One is so for 0.4 %, the other for 0.1 % of Kaggle's faces; see "Lost faces" in bench/README.md.
FAR_AWAY = 0.3
# At most so many samples, or this share of them, are looked for, each of which costs as much as the predictions for four others. If more of
# them have a large spread, the net finds few samples at all and is no judge of where they are.
FEW, MOST = 4, 0.1
# The number of parts: of those that `candidates.parts` lists, only the first and largest ones, three along each axis.
PARTS = candidates.PARTS[0][1] ** 2
# A part counts if its prediction, aligned with the usual place, is at most at this mean distance from it, as a fraction of the frame: 6 of
# 96 pixels. A nose and an open mouth that were taken for a face had 7.4.
ODD = 6 / 96
# Another place replaces a prediction without a large spread only if it is closer to the usual place by this factor.
CLOSER = 0.9


@dataclass(frozen=True)
class SearchElsewhere:
    """A search in images uint8 (n, s, s) or (n, s, s, 3) with a net that predicts all K keypoints of the set in whole images.

    sight: how the net sees the images. target: the usual place of the keypoints, (K, 2) in pixels of the frame.
    """

    net: keras.Model
    images: Images
    keypointset: KeypointSet
    sight: WholeImage
    target: np.ndarray

    def improved(self, found: Averaged) -> Averaged:
        """The predictions keypoints (n, S, K, 2), in pixels of the images, with doubtful ones replaced where another place is found."""
        rows = self.doubtful(found)
        if not len(rows):
            return found
        others = self.in_parts(rows)
        chosen = self.chosen(found[rows], others)
        better = np.flatnonzero(chosen >= 0)
        first = others[better * PARTS + chosen[better]]
        return found.replaced(rows[better], mean_of([first, self._aligned(first, rows[better])]))

    def doubtful(self, found: Averaged) -> np.ndarray:
        """The indices, int64 (m,), of the samples with doubtful predictions that are looked for."""
        apart, away = self._is_apart(found), self._away(found)
        room = int(max(FEW, MOST * len(away)))
        if apart.sum() > room:
            return np.zeros(0, np.int64)
        order = np.lexsort((-away, ~apart))[:room]
        return np.sort(order[(apart | (away > FAR_AWAY * self.sight.side))[order]])

    def in_parts(self, rows: np.ndarray) -> Averaged:
        """The predictions (m * p, S, K, 2) for the images `rows` (m,) as predictions from each of p parts align them."""
        parts = candidates.parts(self.sight.side)[:PARTS]
        which, whole = np.repeat(rows, len(parts)), self.sight.view(len(rows) * len(parts))
        first = self._seen(which, replace(whole, matrix=affine.compose(np.tile(parts, (len(rows), 1, 1)), whole.matrix)))
        return self._aligned(first, which)

    def chosen(self, found: Averaged, others: Averaged) -> np.ndarray:
        """Which part replaces each of m predictions, int64 (m,), counted from 0; -1 where none does. others: see `in_parts`."""
        m = len(found.keypoints)
        located, enlarged = others.keypoints[:, 0].reshape(m, -1, *self.target.shape), self._enlarged(others).reshape(m, -1, 1)
        apart = np.linalg.norm(located[:, :, None] - located[:, None], axis=4).mean(axis=3) * enlarged
        sure = (~self._is_apart(others) & ~self._is_odd(others)).reshape(m, -1)
        agreed = ((apart <= FAR_APART * self.sight.side) & sure[:, :, None] & sure[:, None]).sum(axis=2) >= 2
        limit = np.where(self._is_apart(found), np.inf, CLOSER * self._away(found))
        away = self._away(others).reshape(m, -1)
        away = np.where(agreed & (away < limit[:, None]), away, np.inf)
        return np.where(np.isfinite(away).any(axis=1), away.argmin(axis=1), -1)

    def _is_apart(self, found: Averaged) -> np.ndarray:
        """Whether each prediction (n,) is a mean of predictions that are far apart, as lengths of the aligned sample."""
        return found.spread[:, 0].mean(axis=1) * self._enlarged(found) > FAR_APART * self.sight.side

    def _is_odd(self, found: Averaged) -> np.ndarray:
        """Whether each prediction (n,) has a shape that differs from the usual one."""
        aligned = affine.move(found.keypoints[:, 0], self._aligning(found).matrix)
        return np.linalg.norm(aligned - self.target, axis=2).mean(axis=1) > ODD * self.sight.side

    def _away(self, found: Averaged) -> np.ndarray:
        """The mean distance (n,) of predictions from the usual place, pixels of the frame."""
        return np.linalg.norm(found.keypoints[:, 0] * self.sight.scale - self.target, axis=2).mean(axis=1)

    def _enlarged(self, found: Averaged) -> np.ndarray:
        """Pixels of the frame in which each sample is aligned per pixel of the images, (n,)."""
        return affine.magnification(self._aligning(found).matrix)

    def _aligning(self, found: Averaged) -> View:
        return self.sight.aligned(found.keypoints[:, 0], self.target)

    def _aligned(self, located: Averaged, which: np.ndarray) -> Averaged:
        """The predictions for the images `which` (m,), aligned by those `located`."""
        return self._seen(which, self._aligning(located))

    def _seen(self, which: np.ndarray, view: View) -> Averaged:
        """The predictions for the images `which` (m,) through a view of m images."""
        everything = list(range(len(self.keypointset.names)))
        return predict_view(self.net, Selected(self.images, which), view, self.keypointset, indices=everything)
