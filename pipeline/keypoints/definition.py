"""What a keypoint set is: the names of its keypoints, which of them exchange places in a mirrored image, who labelled what, and the groups.

The size of the images is no part of it; see `geometry.frame.Frame`.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from pipeline.errors import InputError, meant

# The name of a group is part of file names and of addresses such as TrainSpecialist:mouth@1f3a.
GROUP_NAME = re.compile(r"[A-Za-z0-9_]+")
RESERVED = "base"  # the name of the net that all groups start from


@dataclass(frozen=True)
class KeypointSet:
    """The keypoints that are labelled in one family of images.

    names: the keypoints, in the order of the keypoint axis of every array.
    mirror: the pairs of keypoints that exchange places in a mirrored image; a keypoint that is in no pair stays itself. `()`: all of them
        do, None: the images must not be mirrored at all. It is never guessed from the names: a wrong guess would teach wrong labels.
    sources: annotation source -> the keypoints that it labels, the widest source first. A sample belongs to the last source that has all
        of its labelled (or requested) keypoints. Where two groups of people labelled by two conventions, the nets keep them apart.
    groups: specialist group -> its keypoints. Together the groups cover every keypoint once.

    Raises InputError where these contradict each other.
    """

    name: str
    names: tuple[str, ...]
    mirror: tuple[tuple[str, str], ...] | None
    sources: dict[str, tuple[str, ...]]
    groups: dict[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        self._check_names()
        self._check_mirror()
        self._check_sources()
        self._check_groups()

    def __hash__(self) -> int:
        return hash((self.name, self.names, self.mirror))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Column names of a label table: NAME_x and NAME_y for each keypoint."""
        return tuple(f"{name}_{axis}" for name in self.names for axis in "xy")

    @cached_property
    def partners(self) -> dict[str, str]:
        """Each keypoint that is in a mirror pair -> the other keypoint of the pair."""
        return {name: other for pair in self.mirror or () for name, other in (pair, pair[::-1])}

    @cached_property
    def mirror_order(self) -> tuple[int, ...]:
        """Index of the keypoint that takes each keypoint's place in the mirrored image.

        Raises ValueError for a set whose images must not be mirrored.
        """
        if self.mirror is None:
            raise ValueError(f"images of {self.name} must not be mirrored")
        return tuple(self.names.index(self.partners.get(name, name)) for name in self.names)

    @cached_property
    def source_names(self) -> tuple[str, ...]:
        """The annotation sources, the widest first."""
        return tuple(self.sources)

    def indices(self, group: str) -> list[int]:
        """Positions of a specialist group's keypoints on the keypoint axis; InputError for an unknown group."""
        if group not in self.groups:
            raise InputError(f"{self.name} has no keypoint group {group!r}; {meant(group, self.groups)}")
        return [self.names.index(name) for name in self.groups[group]]

    def _refuse(self, fault: str) -> None:
        raise InputError(f"The keypoint set {self.name!r} is inconsistent: {fault}.")

    def _check_names(self) -> None:
        if not self.names:
            self._refuse("it has no keypoints")
        if repeated := _repeated(self.names):
            self._refuse(f"the keypoint name {repeated} occurs more than once (names that differ only in case count as the same)")

    def _check_mirror(self) -> None:
        flat = [name for pair in self.mirror or () for name in pair]
        if unknown := [name for name in flat if name not in self.names]:
            self._refuse(f"the mirror pairs name {unknown[0]!r}, which is not one of its keypoints")
        if repeated := _repeated(flat):
            self._refuse(f"the keypoint {repeated} occurs more than once in the mirror pairs; each keypoint has at most one partner")

    def _check_sources(self) -> None:
        if not self.sources or set(next(iter(self.sources.values()))) != set(self.names):
            self._refuse("the first annotation source must label every keypoint")
        for source, names in self.sources.items():
            if unknown := set(names) - set(self.names):
                self._refuse(f"the annotation source {source!r} labels {min(unknown)!r}, which is not one of its keypoints")

    def _check_groups(self) -> None:
        for group in self.groups:
            if not GROUP_NAME.fullmatch(group) or group.lower() == RESERVED:
                self._refuse(f"{group!r} cannot be the name of a group; use letters, digits and underscores, and not {RESERVED!r}")
        if repeated := _repeated(self.groups):
            self._refuse(f"the group name {repeated} occurs more than once (names that differ only in case count as the same)")
        covered = Counter(name for names in self.groups.values() for name in names)
        wrong = [name for name in (*self.names, *covered) if covered[name] != 1 or name not in self.names]
        if wrong:
            self._refuse(f"the groups must contain every keypoint exactly once, which is not so for {wrong[0]!r}")
        for group, names in self.groups.items():
            if apart := [name for name in names if self.partners.get(name, name) not in names]:
                partner = self.partners[apart[0]]
                self._refuse(f"the group {group!r} contains {apart[0]!r} but not {partner!r}, its partner in a mirrored image")


def _repeated(names) -> str | None:
    """The first name that occurs twice, whatever the case, in quotes; None if there is none."""
    counts = Counter(name.lower() for name in names)
    return next((repr(name) for name in names if counts[name.lower()] > 1), None)
