"""Named arrays in one HDF5 file: written atomically, verified when read.

The first 1,024 bytes of an artifact are an HDF5 user block: the SHA-256 of all that follows in the file, and of the files published with it
(a CSV, a picture). What follows is an ordinary HDF5 file for any viewer. It holds no date, host or absolute path, so that equal inputs
give equal bytes.
"""

import contextlib
import errno
import hashlib
import json
import typing
from collections.abc import Iterable
from pathlib import Path

from pipeline.store import files
from pipeline.store.contents import put, put_copies, take
from pipeline.store.files import Damaged

__all__ = ["SCHEMA", "Damaged", "attributes", "load", "put", "put_copies", "reading", "take", "verify", "writing"]

# Changes when files of an older layout must not be read any more; part of every key.
SCHEMA = 1
MAGIC = b"keypoints artifact 1\n"
USER_BLOCK = 1024

_verified: dict[Path, dict[Path, tuple | None]] = {}


# Writing


@contextlib.contextmanager
def writing(path: Path, attributes: dict[str, typing.Any], siblings: Iterable[Path] = ()):
    """Yields an open `h5py.File` to fill; publishes it at `path` with its checksums. `siblings`: files already published beside it."""
    import h5py

    with files.publishing(path) as draft, draft.open("wb+", buffering=0) as raw:
        steady = Steady(raw)
        try:
            with h5py.File(steady, "w", userblock_size=USER_BLOCK) as file:
                for name, value in attributes.items():
                    file.attrs[name] = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
                file.attrs["NX_class"] = "NXroot"
                yield file
        finally:
            if steady.failure:
                steady.failure.needed = steady.size
                raise steady.failure
        raw.seek(USER_BLOCK)
        block = _user_block(raw, {sibling.name: files.sha256(sibling) for sibling in siblings})
        raw.seek(0)
        raw.write(block)


class Steady:
    """The file under an open `h5py.File`. Its writes never fail, the first failure is kept.

    After a failed write HDF5 tries again when the process ends, without a Python to call, and crashes (h5py 3.14).
    """

    def __init__(self, raw):
        self.raw, self.failure, self.size = raw, None, 0

    def __getattr__(self, name):
        return getattr(self.raw, name)

    def write(self, block) -> int:
        self.size = max(self.size, self.raw.tell() + len(block))
        self._attempt(self._write_all, block)
        return len(block)

    def truncate(self, size: int) -> None:
        self._attempt(self.raw.truncate, size)

    def _write_all(self, block) -> None:
        rest = memoryview(block)
        while rest:
            rest = rest[self.raw.write(rest) :]

    def _attempt(self, action, argument) -> None:
        try:
            action(argument)
        except BaseException as error:
            self.failure = self.failure or error


# Reading


@contextlib.contextmanager
def reading(path: Path):
    """Yields the artifact as an open `h5py.File`, after its checksums were verified (once for each state of the file in a process).

    Raises FileNotFoundError, or Damaged with what is wrong.
    """
    import h5py

    verify(path)
    with h5py.File(path, "r") as file:
        yield file


def load(path: Path, kind: type, *, group: str = "/"):
    """The dataclass `kind` from an artifact's group, all arrays in memory."""
    with reading(path) as file:
        return take(file[group], kind)


def attributes(path: Path) -> dict[str, typing.Any]:
    """The artifact's own attributes (what it was made from), JSON decoded."""
    with reading(path) as file:
        return {name: json.loads(value) if value.startswith("{") else value for name, value in file.attrs.items()}


# Verifying


def verify(path: Path) -> None:
    """Raises FileNotFoundError, or Damaged unless the artifact and the files published with it are, byte for byte, what was written.

    Remembered for each state of these files.
    """
    known = _verified.get(path)
    if known and all(files.state(file) == then for file, then in known.items()):
        return
    states = {path: files.state(path)}
    for name, expected in _verified_content(path).items():
        sibling = path.with_name(name)
        states[sibling] = files.state(sibling)
        if not sibling.is_file():
            raise Damaged(f"{sibling}, published with {path.name}, is missing")
        if files.sha256(sibling) != expected:
            raise Damaged(f"{sibling} is not what was written: its checksum differs")
    _verified[path] = states


def _verified_content(path: Path) -> dict[str, str]:
    """The files published with an artifact and their checksums, after the artifact's own checksum was verified."""
    try:
        with path.open("rb") as file:
            digest, published = _parse(file.read(USER_BLOCK), path)
            if _digest(file, _sibling_text(published)) != digest:
                raise Damaged(f"{path} is not what was written: its checksum differs")
    except OSError as error:
        # Any other error, such as too many open files, says nothing about the artifact.
        if error.errno in (errno.EISDIR, errno.EIO):
            raise Damaged(f"{path} is not a readable file: {error.strerror.lower()}") from None
        raise
    return published


def _user_block(raw, published: dict[str, str]) -> bytes:
    text = _sibling_text(published)
    block = MAGIC + _digest(raw, text).encode() + b"\n" + text
    if len(block) > USER_BLOCK:
        raise ValueError(f"the names of {len(published)} published files do not fit into {USER_BLOCK} bytes")
    return block.ljust(USER_BLOCK, b"\n")


def _sibling_text(published: dict[str, str]) -> bytes:
    return json.dumps(published, sort_keys=True).encode()


def _digest(file, text: bytes) -> str:
    """SHA-256 of `text` and of what follows in the file."""
    digest = hashlib.sha256(text)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _parse(block: bytes, path: Path) -> tuple[str, dict[str, str]]:
    """(digest, published files) of a user block."""
    length = len(MAGIC) + 65
    try:
        if len(block) != USER_BLOCK or not block.startswith(MAGIC) or block[length - 1 : length] != b"\n":
            raise ValueError("not an artifact's first bytes")
        published = json.loads(block[length:].decode())
        digest = block[len(MAGIC) : length - 1].decode()
        rebuilt = (block[:length] + _sibling_text(published)).ljust(USER_BLOCK, b"\n")
        if rebuilt != block or any(Path(name).name != name for name in published):
            raise ValueError("its first bytes were changed")
    except (ValueError, AttributeError, TypeError) as error:
        raise Damaged(f"{path} is not an artifact of this program, or damaged: {error}") from None
    return digest, published
