"""What the nets of `keypoints annotate` predict, and how an image must be shown to them."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.commands.support import reading
from pipeline.commands.support.chains import Nets
from pipeline.data import samples
from pipeline.geometry import crops
from pipeline.inference import detection
from pipeline.keypoints.definition import KeypointSet
from pipeline.tasks.sections import dataset

FACE = "face"  # the detector of keypoints.toml, and what it finds


@dataclass(frozen=True)
class Subject:
    """What nets predict.

    keypointset: their keypoint set. side: width and height of the samples that they were trained on, pixels. colour: whether they see
    colour. detector: "face", or "" if each image is one instance. source: the annotation source whose convention the keypoints follow,
    counted from 0. lines: pairs of keypoints, counted from 0, that drawings join.
    """

    keypointset: KeypointSet
    side: int
    colour: bool
    detector: str
    source: int = 0
    lines: tuple[tuple[int, int], ...] = ()

    @property
    def noun(self) -> str:
        """What an instance is called."""
        return FACE if self.detector == FACE else "instance"

    def seen(self, boxes: np.ndarray, size: tuple[int, int], *, given: bool) -> np.ndarray:
        """The squares (n, 3) that the nets see for boxes (n, 4) in a photograph of this size, pixels.

        given: whether the boxes are the user's or a detector's. Otherwise the box is the whole image.
        """
        if self.detector == FACE:
            return crops.scaled(crops.around(boxes), detection.FRAME)
        return crops.scaled(crops.around(boxes), samples.BOX_FRAME) if given else np.array([samples.whole(size)])


def subject_of(nets: Nets) -> Subject:
    """What these nets predict, as their first base net stores it.

    A net stores neither skeleton nor detector. They are those of the selected data set if it has the same keypoints.
    Raises InputError if the artifact cannot be read.
    """
    from pipeline.nets.trained import Trained

    base, chosen = reading.load(nets.chains[0][0], Trained), dataset().definition()
    keypointset = base.keypointset.restored()
    own = Subject(keypointset, int(base.stored), colour=base.structure.channels == 3, detector="")
    if chosen.keypointset is None or chosen.keypointset.names != keypointset.names:
        return own
    predict, index = chosen.settings.get("predict", ""), keypointset.names.index
    return replace(
        own,
        detector=FACE if chosen.settings.get("detector") == FACE else "",
        source=keypointset.source_names.index(predict) if predict in keypointset.source_names else 0,
        lines=tuple((index(one), index(other)) for one, other in chosen.keypointset.skeleton),
    )
