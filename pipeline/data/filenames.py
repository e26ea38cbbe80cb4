"""What the names of images say about which of them belong together: the same folder, series of frames, photograph or person."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.data.labels import part_of

# Numbered images are a series, rather than a few images of each of many things, if there are at least this many in each.
LEAST_IN_A_SERIES = 8
# What the images of a group have in common, as values of group-by in keypoints.toml.
PATTERNS = {
    "folder": r"(.*)/",
    "series": r"(.*?)\d+[^/\d]*$",  # the name without its last number
    "prefix": r"((?:.*/)?[^/]*?)[-_. ]",  # the name up to its first hyphen, underscore, dot or space
}
_LAST_NUMBER = re.compile(r"(\d+)[^/\d]*$")
_NUMBERED = re.compile(r"(.*?)(\d+)([^/\d]*?)(?:\.[^./]*)?")
# Roboflow exports the file a.jpg as a_jpg.rf.HASH.jpg, and its augmented versions with other hashes.
_ROBOFLOW = re.compile(r"(?:_(?:jpe?g|png|bmp|webp|tiff?|avif))+\.rf\.[0-9A-Za-z]{8,}(?=\.[^./]*$)", re.IGNORECASE)


@dataclass(frozen=True)
class NameGroups:
    """A way to group images by their names.

    kind: "folder", "series" (numbered images whose names are the same otherwise) or "prefix" (a few images with the same beginning).
    of: image -> group.
    """

    kind: str
    of: dict[str, str]

    @property
    def count(self) -> int:
        """The number of groups."""
        return len(set(self.of.values()))

    @property
    def largest(self) -> tuple[str, int]:
        """The largest group and the number of its images."""
        return Counter(self.of.values()).most_common(1)[0]

    def members(self) -> list[list[str]]:
        """The images of each group, ordered by their last number."""
        groups: dict[str, list[str]] = {}
        for name in sorted(self.of, key=lambda name: (_number(name), name)):
            groups.setdefault(self.of[name], []).append(name)
        return list(groups.values())


def groupings(names: Iterable[str]) -> list[NameGroups]:
    """The ways to group images by their names that tell something: not each image for itself, and not all of them together.

    A series may be the only one: its images are numbered, and may be the frames of one video.
    """
    every = list(dict.fromkeys(names))
    found = [NameGroups(kind, {name: grouped(name, pattern) for name in every}) for kind, pattern in PATTERNS.items()]
    return [grouping for grouping in found if _tells(grouping)]


def photograph(name: str) -> str:
    """The name of the photograph that an image is a version of: without what Roboflow adds to it; other names are unchanged."""
    return _ROBOFLOW.sub("", name)


def series(names: Iterable[str]) -> list[list[str]]:
    """The images whose names are the same but for their last number, in the order of that number; only series of two images or more."""
    members: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for name in names:
        if found := _NUMBERED.fullmatch(photograph(name)):
            members.setdefault((found[1], found[3]), []).append((int(found[2]), name))
    return [[name for _, name in sorted(own)] for own in members.values() if len(own) > 1]


def grouped(name: str, pattern: str) -> str:
    """The group of an image by a regular expression for its name; an image whose name does not match is a group of its own."""
    found = re.search(pattern, name)
    return found[1] if found else name


def _number(name: str) -> int:
    found = _LAST_NUMBER.search(name)
    return int(found[1]) if found else -1


def _tells(grouping: NameGroups) -> bool:
    names, count = len(grouping.of), grouping.count
    if grouping.kind == "series":
        return 0 < count <= names / LEAST_IN_A_SERIES
    if grouping.kind == "prefix":
        return names / LEAST_IN_A_SERIES < count < names
    return 2 <= count <= names / 2 and not all(part_of(group) for group in set(grouping.of.values()))
