"""The contents of an HDF5 file as `layout.survey` finds them: groups, arrays and their attributes, without the values of the arrays."""

import math
from collections.abc import Iterator
from typing import NamedTuple

Attributes = dict[str, str | list[str]]


class StoredArray(NamedTuple):
    """A dataset.

    dtype: numpy's name of the type, or "text" for UTF-8.
    itemsize: the number of bytes per value.
    """

    dtype: str
    itemsize: int
    shape: tuple[int, ...]
    attributes: Attributes

    @property
    def nbytes(self) -> int:
        """The number of bytes of all values."""
        return self.itemsize * math.prod(self.shape)


class StoredGroup(NamedTuple):
    """A group: its members by name, and its attributes."""

    members: dict[str, "StoredGroup | StoredArray"]
    attributes: Attributes

    def arrays(self, path: str = "") -> Iterator[tuple[str, StoredArray]]:
        """All datasets in this group and below it, each with its path, which begins with `path`."""
        for name, member in self.members.items():
            yield from member.arrays(f"{path}/{name}") if isinstance(member, StoredGroup) else [(f"{path}/{name}", member)]
