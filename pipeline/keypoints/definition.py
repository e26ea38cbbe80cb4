"""The definition of a keypoint set: its keypoints, mirror pairs, annotation sources and specialist groups.

The size of the images is not part of it, see `geometry.frame.Frame`.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from pipeline.errors import InputError, meant

# Names of groups are part of file names and of addresses such as TrainSpecialist:mouth@1f3a.
GROUP_NAME = re.compile(r"[A-Za-z0-9_]+")
RESERVED = "base"  # no group may have this name, which stands for the net for all keypoints


@dataclass(frozen=True)
class KeypointSet:
    """The keypoints that are labelled in a collection of images.

    name: the name of the set, for messages.
    names: the keypoints, in the order of the keypoint axis of every array.
    mirror: pairs of keypoints that exchange places in a mirrored image. A keypoint without a pair stays itself, so with `()` none are
        exchanged. None means that the images must not be mirrored at all. Pairs are never guessed from the names, because a wrong guess
        would teach wrong labels.
    sources: annotation source -> the keypoints that it labels; the first source labels all of them. A sample belongs to the last source
        that has all of its labelled (or requested) keypoints. Sources may follow different conventions, which the nets keep apart.
    groups: specialist group -> its keypoints. Every keypoint is in exactly one group; without groups, {}, there are no specialists.
    skeleton: pairs of keypoints that drawings join by a line.

    Raises InputError if these contradict each other.
    """

    name: str
    names: tuple[str, ...]
    mirror: tuple[tuple[str, str], ...] | None
    sources: dict[str, tuple[str, ...]]
    groups: dict[str, tuple[str, ...]]
    skeleton: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        self._check_names()
        self._check_mirror()
        self._check_sources()
        self._check_groups()
        self._check_skeleton()

    def __hash__(self) -> int:
        return hash((self.name, self.names, self.mirror))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The column names of a label table: NAME_x and NAME_y for each keypoint."""
        return tuple(f"{name}_{axis}" for name in self.names for axis in "xy")

    @cached_property
    def partners(self) -> dict[str, str]:
        """Maps each keypoint of a mirror pair to the other keypoint of the pair."""
        return {name: other for pair in self.mirror or () for name, other in (pair, pair[::-1])}

    @cached_property
    def mirror_order(self) -> tuple[int, ...]:
        """For each keypoint, the index of the keypoint that takes its place in the mirrored image.

        Raises ValueError if the images must not be mirrored.
        """
        if self.mirror is None:
            raise ValueError(f"images of {self.name} must not be mirrored")
        return tuple(self.names.index(self.partners.get(name, name)) for name in self.names)

    @cached_property
    def source_names(self) -> tuple[str, ...]:
        """The annotation sources, the widest first."""
        return tuple(self.sources)

    def indices(self, group: str) -> list[int]:
        """The positions of a specialist group's keypoints on the keypoint axis. Raises InputError for an unknown group."""
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
        if not self.groups:
            return
        covered = Counter(name for names in self.groups.values() for name in names)
        wrong = [name for name in (*self.names, *covered) if covered[name] != 1 or name not in self.names]
        if wrong:
            self._refuse(f"the groups must contain every keypoint exactly once, which is not so for {wrong[0]!r}")
        for group, names in self.groups.items():
            if apart := [name for name in names if self.partners.get(name, name) not in names]:
                partner = self.partners[apart[0]]
                self._refuse(f"the group {group!r} contains {apart[0]!r} but not {partner!r}, its partner in a mirrored image")

    def _check_skeleton(self) -> None:
        if unknown := [name for pair in self.skeleton for name in pair if name not in self.names]:
            self._refuse(f"the skeleton names {unknown[0]!r}, which is not one of its keypoints")


def _repeated(names: Iterable[str]) -> str | None:
    """The first name, in quotes, that occurs more than once, ignoring case; None if there is none."""
    names = list(names)
    counts = Counter(name.lower() for name in names)
    return next((repr(name) for name in names if counts[name.lower()] > 1), None)
