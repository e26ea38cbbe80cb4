"""Reads a binary file structure by structure: every byte at most once, none beyond the end of the file, and no two structures overlap."""

import itertools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn

from pipeline.store.workspace.files import Damaged

LARGEST = 1 << 20  # bytes of one structure; arrays are claimed but not read
MOST = 1 << 18  # enough for 2,800 augmented versions of Kaggle's training set (130 GB); examined in less than a second


class Pieces:
    """The structures in an open file from byte `start` on. Addresses count from there.

    All errors are raised as `Damaged` with the path of the file.
    """

    def __init__(self, file: BinaryIO, path: Path, start: int):
        self.file, self.path, self.start = file, path, start
        self.size = file.seek(0, 2) - start
        self.claimed: dict[int, int] = {}

    def refuse(self, what: str) -> NoReturn:
        """Raises Damaged, with `what` as the reason."""
        raise Damaged(f"{self.path} is not an artifact of this program, or it is damaged: {what}")

    def claim(self, address: int, size: int, what: str) -> None:
        """Reserves bytes for one structure; `what` is its name in messages."""
        if address + size > self.size:
            self.refuse(f"{what} extends beyond the end of the file")
        if address in self.claimed:
            self.refuse(f"{what} overlaps another structure")
        if len(self.claimed) == MOST:
            self.refuse(f"it has more than {MOST} structures")
        self.claimed[address] = size

    def read(self, address: int, size: int, what: str) -> "Piece":
        """Claims a structure and reads it."""
        if not 0 < size <= LARGEST:
            self.refuse(f"{what} has a size of {size} bytes")
        self.claim(address, size, what)
        self.file.seek(self.start + address)
        return Piece(self.file.read(size), what, self.refuse)

    def check_overlaps(self) -> None:
        """Raises Damaged if two claimed structures overlap."""
        for (one, size), (two, _) in itertools.pairwise(sorted(self.claimed.items())):
            if one + size > two:
                self.refuse(f"the structure at {one} overlaps the one at {two}")


class Piece:
    """Bytes that are taken from the first to the last.

    what: the name of the structure in messages.
    refuse: raises the error that a message belongs to.
    """

    def __init__(self, content: bytes, what: str, refuse: Callable[[str], NoReturn]):
        self.content, self.what, self.refuse, self.position = content, what, refuse, 0

    @property
    def left(self) -> int:
        """The number of bytes not yet taken."""
        return len(self.content) - self.position

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > self.left:
            self.refuse(f"{self.what} is too short")
        self.position += size
        return self.content[self.position - size : self.position]

    def numbers(self, pattern: str) -> tuple[int, ...]:
        """The next unsigned little-endian integers in the notation of `struct`: B, H, I and Q have 1, 2, 4 and 8 bytes."""
        return struct.unpack(f"<{pattern}", self.take(struct.calcsize(f"<{pattern}")))

    def number(self, code: str) -> int:
        """The next integer; `code` is B, H, I or Q."""
        (value,) = self.numbers(code)
        return value

    def part(self, size: int, what: str) -> "Piece":
        """The next `size` bytes as a piece of their own, without the zeros that pad them to a multiple of eight."""
        part = Piece(self.take(size), what, self.refuse)
        self.expect(bytes(-size % 8))
        return part

    def expect(self, expected: bytes) -> None:
        """Takes bytes that must have these values."""
        if self.take(len(expected)) != expected:
            self.refuse(f"{self.what} has an unknown format")

    def end(self) -> None:
        """Requires that nothing is left but zeros that pad to a multiple of eight."""
        self.expect(bytes(min(self.left, -self.position % 8)))
        if self.left:
            self.refuse(f"{self.what} is too long")
