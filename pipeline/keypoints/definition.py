"""The facts of a set of keypoints: names, image side, label sources, specialist groups, mirror order.

Kaggle's Facial Keypoints Detection is one instance, `KAGGLE`; nothing else in the package assumes 15 keypoints or 96 pixels.

Pixel convention: pixel i covers [i, i + 1), so its centre is i + 0.5 and a mirror maps x to side - x.
"""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class KeypointSet:
    """One family of labelled images.

    side: width and height of every image, pixels.
    names: the keypoints, in the order of every array's keypoint axis.
    sources: label source -> the keypoints that it labels, widest first. A face belongs to the last source that has all of its labelled
        (or asked for) keypoints: where two groups of people labelled the images by two conventions, the nets keep them apart.
    groups: specialist -> its keypoints; together they cover every keypoint once.
    """

    name: str
    side: int
    names: tuple[str, ...]
    sources: dict[str, tuple[str, ...]]
    groups: dict[str, tuple[str, ...]]

    def __post_init__(self):
        covered = sorted(name for group in self.groups.values() for name in group)
        if covered != sorted(self.names):
            raise ValueError(f"the groups of {self.name} must cover each keypoint once, they cover {covered}")
        if set(next(iter(self.sources.values()))) != set(self.names):
            raise ValueError(f"the first label source of {self.name} must have every keypoint")
        for name in self.names:
            if _mirrored(name) not in self.names:
                raise ValueError(f"{self.name} has {name} but not its mirror image {_mirrored(name)}")

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Column names of a label table: NAME_x and NAME_y for each keypoint."""
        return tuple(f"{name}_{axis}" for name in self.names for axis in "xy")

    @cached_property
    def mirror_order(self) -> tuple[int, ...]:
        """Index of the keypoint that takes each keypoint's place in the mirrored image: left and right exchanged."""
        return tuple(self.names.index(_mirrored(name)) for name in self.names)

    @cached_property
    def source_names(self) -> tuple[str, ...]:
        return tuple(self.sources)

    def indices(self, group: str) -> list[int]:
        """Positions of a specialist group's keypoints on the keypoint axis."""
        if group not in self.groups:
            raise KeyError(f"unknown group {group!r}; {self.name} has {', '.join(self.groups)}")
        return [self.names.index(name) for name in self.groups[group]]

    def to_unit(self, keypoints):
        """Pixels -> -1..1 across the image: (y - side/2) / (side/2). Works on numpy arrays and backend tensors, keeps dtype and NaN."""
        return (keypoints - self.side / 2) / (self.side / 2)

    def to_pixels(self, unit):
        """-1..1 across the image -> pixels: the inverse of `to_unit`."""
        return unit * (self.side / 2) + self.side / 2

    def __hash__(self):
        return hash((self.name, self.side, self.names))


def _mirrored(name: str) -> str:
    exchange = {"left": "right", "right": "left"}
    return "_".join(exchange.get(word, word) for word in name.split("_"))
