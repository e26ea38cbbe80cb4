"""Named arrays in one HDF5 file: written atomically, verified when read.

The first 1,024 bytes of an artifact are an HDF5 user block: the SHA-256 of all that follows in the file, and of the files published with it
(a CSV, a picture). What follows is an ordinary HDF5 file for any viewer. It holds no date, host or absolute path, so that equal inputs
give equal bytes.

A checksum finds accidents, but a stranger's file can have a right one. So what is read is also surveyed, before the HDF5 library opens it:
it must be laid out as this program writes (`layout`) and have just the arrays that its reader describes (`contents.faults`).
"""

import contextlib
import errno
import functools
import hashlib
import itertools
import json
import os
import re
import typing
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline.store.hdf5 import contents, layout
from pipeline.store.hdf5.contents import put, put_versions
from pipeline.store.hdf5.steady import Steady
from pipeline.store.keys import recipe
from pipeline.store.workspace import files
from pipeline.store.workspace.files import Damaged

__all__ = ["SCHEMA", "Damaged", "attributes", "load", "published", "put", "put_versions", "reading", "verify", "writing"]

# Changes when files of an older layout must not be read any more; part of every key.
SCHEMA = 1
MAGIC = b"keypoints artifact 1\n"
USER_BLOCK = 1024
# The name of a file published with an artifact: in the same folder, whoever says so.
SIBLING = re.compile(r"\w[\w.-]*", re.ASCII)
# In place of the checksum of a file that holds dates: equal inputs give equal artifacts, but another such file.
ANY = ""

# Bytes that are brought to memory at once; Kaggle's faces have 70 million.
LARGEST = 8 << 30

# What was verified: the state of its files then, and what it holds.
_verified: dict[Path, tuple[dict[Path, tuple | None], layout.StoredGroup]] = {}


# Writing


@contextlib.contextmanager
def writing(path: Path, attributes: dict[str, typing.Any], siblings: Iterable[Path] = (), views: Iterable[Path] = ()):
    """Yields an open `h5py.File` to fill; publishes it at `path` with its checksums. `siblings`: files already published beside it.

    views: likewise, but with dates in them: they must be there, and are not vouched for.
    """
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
        _check_readable(raw, path)
        raw.seek(USER_BLOCK)
        block = _user_block(raw, {sibling.name: files.sha256(sibling) for sibling in siblings} | {view.name: ANY for view in views})
        raw.seek(0)
        raw.write(block)


def _check_readable(raw, path: Path) -> None:
    """What could not be read again would be made again by each run."""
    try:
        _decoded_attributes(layout.survey(raw, path, USER_BLOCK), path)
    except Damaged as error:
        raise RuntimeError(f"{error}. Either it has unusual arrays or names, or this version of h5py writes in an unknown way.") from error


# Reading


@contextlib.contextmanager
def reading(path: Path, kind: type | None = None):
    """Yields the artifact as an open `h5py.File`, verified (once for each state of the file in a process); with `kind`: of that dataclass.

    Raises FileNotFoundError, or Damaged with what is wrong, also where HDF5 finds a wrong checksum in an array that is read.
    """
    import h5py

    tree = verify(path)
    if kind:
        _check_content(path, tree, kind)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        if error.errno is None:  # HDF5's own; those of the operating system have a number
            raise Damaged(f"{path} cannot be read: {error}") from None
        raise


def load(path: Path, kind: type, *, limit: float = float("inf"), opened: Callable | None = None):
    """The artifact as the dataclass `kind`, its arrays in memory but for `Images` of more than `limit` bytes, which are read from the file.

    opened: opens the file for these, instead of `reading`.
    """
    arrays = {name.removeprefix("/"): array for name, array in verify(path).arrays() if not name.startswith("/plot/")}
    lazy = {name: arrays.pop(name) for name in contents.images(kind) & arrays.keys() if arrays[name].nbytes > limit}
    if (size := sum(array.nbytes for array in arrays.values())) > LARGEST:
        raise Damaged(f"{path} holds {size:,} bytes of arrays, more than belong into memory ({LARGEST:,})")
    with reading(path, kind) as file:
        from pipeline.store.hdf5.stored import Stored

        opened = opened or functools.partial(reading, path, kind)
        stored = {name: Stored(opened, name, array.shape, array.dtype) for name, array in lazy.items()}
        try:
            return contents.take(file, kind, stored)
        except UnicodeDecodeError as error:
            raise Damaged(f"{path} has a text that is none: {error}") from None


def attributes(path: Path) -> dict[str, typing.Any]:
    """The artifact's own attributes, JSON decoded: texts, and dicts of plain values and of dicts of such.

    If it says what it was made from, then as `lineage` wants it.
    """
    return _decoded_attributes(verify(path), path)


def _check_content(path: Path, tree: layout.StoredGroup, kind: type) -> None:
    if faults := list(contents.faults(tree, kind)):
        raise Damaged(f"{path} is no {kind.__name__} of this program: {'; '.join(faults[:3])}")


def _decoded_attributes(tree: layout.StoredGroup, path: Path) -> dict[str, typing.Any]:
    found = {name: _decoded(text, f"{path}: {name}") for name, text in tree.attributes.items()}
    made_from = found.get("made_from", {})
    if not isinstance(made_from, dict) or not all(isinstance(made_from.get(part, {}), dict) for part in recipe.PARTS):
        raise Damaged(f"{path} has an origin (made_from) that is none")
    return found


def _decoded(text: str | list[str], what: str):
    if not isinstance(text, str) or not text.startswith("{"):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Damaged(f"{what} is no JSON") from None
    items = [item for part in value.values() for item in (part.items() if isinstance(part, dict) else [("", part)])]
    if any(isinstance(item, dict | list) for _, item in items):
        raise Damaged(f"{what} is nested too deeply")
    if not all(str(word).isprintable() for word in [*value, *itertools.chain(*items)]):
        raise Damaged(f"{what} has characters that are no text")
    return value


# Verifying


def published(path: Path) -> dict[str, str]:
    """Names and checksums of the files that an artifact was published with; Damaged if its first bytes are not an artifact's."""
    with path.open("rb") as file:
        return _parse(file.read(USER_BLOCK), path)[1]


def verify(path: Path) -> layout.StoredGroup:
    """What the artifact holds, after a check that it and the files published with it are, byte for byte, what was written.

    Remembered for each state of these files. Raises FileNotFoundError, or Damaged with what is wrong.
    """
    then, tree = _verified.get(path, ({}, None))
    if then and all(files.state(file) == state for file, state in then.items()):
        return tree
    if not path.is_file():
        if os.path.lexists(path):
            raise Damaged(f"{path} is not a readable file")
        raise FileNotFoundError(errno.ENOENT, "no such artifact", str(path))
    states = {path: files.state(path)}
    published, tree = _verified_content(path)
    for name, expected in published.items():
        sibling = path.with_name(name)
        states[sibling] = files.state(sibling)
        if not sibling.is_file():
            raise Damaged(f"{sibling}, published with {path.name}, is missing")
        if expected != ANY and files.sha256(sibling) != expected:
            raise Damaged(f"{sibling} is not what was written: its checksum differs")
    _verified[path] = states, tree
    return tree


def _verified_content(path: Path) -> tuple[dict[str, str], layout.StoredGroup]:
    """The files published with an artifact and their checksums, and what it holds, after its own layout and checksum were verified."""
    try:
        with path.open("rb") as file:
            digest, published = _parse(file.read(USER_BLOCK), path)
            tree = layout.survey(file, path, USER_BLOCK)
            file.seek(USER_BLOCK)
            if _digest(file, _sibling_text(published)) != digest:
                raise Damaged(f"{path} is not what was written: its checksum differs")
    except OSError as error:
        # Any other error, such as too many open files, says nothing about the artifact.
        if error.errno == errno.EIO:
            raise Damaged(f"{path} is not a readable file: {error.strerror.lower()}") from None
        raise
    return published, tree


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
        if rebuilt != block or not isinstance(published, dict) or not all(SIBLING.fullmatch(name) for name in published):
            raise ValueError("its first bytes were changed")
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is not an artifact of this program, or damaged: {error}") from None
    return digest, published
