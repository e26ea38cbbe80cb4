"""What a keypoint set is, as far as it is known before its images are read: its format, keypoints, groups, and which images are for what.

The graph of stages depends on the specialist groups, so it needs them before any stage has run.
"""

from dataclasses import dataclass, field
from typing import Any

from pipeline.keypoints.definition import KeypointSet


@dataclass(frozen=True)
class Definition:
    """The definition of a set of the user's.

    format: the label format. files: the label files, relative to the folder of the set. labelled: the images that the label files mention
    and that are not test images. test: the images to predict. keypointset: the set; None if the labels cannot be read. settings: the other
    values of keypoints.toml, by name. notes: what a user should know about how the labels were understood. fault: why the labels cannot be
    read; "" if they can.
    """

    format: str
    files: tuple[str, ...] = ()
    labelled: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    keypointset: KeypointSet | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fault: str = ""

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the specialist groups; none if the labels cannot be read."""
        return tuple(self.keypointset.groups) if self.keypointset else ()
