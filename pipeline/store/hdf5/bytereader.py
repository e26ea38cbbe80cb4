"""A file taken apart into pieces: each read once, none beyond the end, none over another."""

import itertools
import struct
from pathlib import Path

from pipeline.store.workspace.files import Damaged

LARGEST = 1 << 20  # bytes of a piece that is read; arrays are not
MOST = 1 << 18  # 2,800 augmented copies of Kaggle's faces, 130 GB; looked through in less than a second


class Pieces:
    """An open file from byte `start` on; addresses count from there."""

    def __init__(self, file, path: Path, start: int):
        self.file, self.path, self.start = file, path, start
        self.size = file.seek(0, 2) - start
        self.claimed: dict[int, int] = {}

    def refuse(self, what: str):
        raise Damaged(f"{self.path} is not an artifact of this program, or damaged: {what}")

    def claim(self, address: int, size: int, what: str) -> None:
        """Takes the bytes for one purpose."""
        if address + size > self.size:
            self.refuse(f"{what} lies beyond its end")
        if address in self.claimed:
            self.refuse(f"{what} lies where something else is")
        if len(self.claimed) == MOST:
            self.refuse(f"it has more than {MOST} pieces")
        self.claimed[address] = size

    def read(self, address: int, size: int, what: str) -> "Piece":
        if not 0 < size <= LARGEST:
            self.refuse(f"{what} has {size} bytes")
        self.claim(address, size, what)
        self.file.seek(self.start + address)
        return Piece(self.file.read(size), what, self.refuse)

    def check_overlaps(self) -> None:
        for (one, size), (two, _) in itertools.pairwise(sorted(self.claimed.items())):
            if one + size > two:
                self.refuse(f"what lies at {one} reaches beyond {two}, where something else begins")


class Piece:
    """Some bytes, to be read from the first to the last. `what`: how messages name them."""

    def __init__(self, content: bytes, what: str, refuse):
        self.content, self.what, self.refuse, self.position = content, what, refuse, 0

    @property
    def left(self) -> int:
        return len(self.content) - self.position

    def take(self, size: int) -> bytes:
        if size > self.left:
            self.refuse(f"{self.what} is too short")
        self.position += size
        return self.content[self.position - size : self.position]

    def numbers(self, pattern: str) -> tuple[int, ...]:
        """Unsigned numbers, as `struct` names them: B, H, I and Q have 1, 2, 4 and 8 bytes."""
        return struct.unpack(f"<{pattern}", self.take(struct.calcsize(f"<{pattern}")))

    def part(self, size: int, what: str) -> "Piece":
        """The next bytes as a piece of their own, without the zeros that fill them up to a multiple of eight."""
        part = Piece(self.take(size), what, self.refuse)
        self.expect(bytes(-size % 8))
        return part

    def expect(self, expected: bytes) -> None:
        if self.take(len(expected)) != expected:
            self.refuse(f"{self.what} is of an unknown kind")

    def end(self) -> None:
        """Nothing is left but zeros up to a multiple of eight."""
        self.expect(bytes(min(self.left, -self.position % 8)))
        if self.left:
            self.refuse(f"{self.what} is too long")
