"""Artifacts: named arrays in one HDF5 file, written atomically and verified when read.

The first 1,024 bytes of an artifact are an HDF5 user block. It holds the SHA-256 digest of the rest of the file, and the digests of the
files published with the artifact (a CSV file, a picture). The rest is an ordinary HDF5 file for any viewer. It contains no date, host name
or absolute path, so that equal inputs give equal bytes.

A digest detects accidents, but a file made by a stranger can contain a matching digest. Therefore the file is also surveyed before the HDF5
library opens it: it must have the layout that this program writes (`layout`) and exactly the arrays that its reader describes
(`contents.faults`).
"""

import contextlib
import errno
import functools
import hashlib
import io
import itertools
import json
import os
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from pipeline.store.hdf5 import contents, layout, room
from pipeline.store.hdf5.contents import Content, put, put_versions
from pipeline.store.hdf5.steady import Steady
from pipeline.store.hdf5.tree import StoredGroup
from pipeline.store.keys import provenance
from pipeline.store.workspace import console, files
from pipeline.store.workspace.files import Damaged

if typing.TYPE_CHECKING:
    import h5py

__all__ = [
    "ANY",
    "SCHEMA",
    "Damaged",
    "attributes",
    "is_sound",
    "load",
    "published",
    "put",
    "put_versions",
    "reading",
    "verify",
    "verify_itself",
    "writing",
]

# Part of every key. It increases when artifacts of the previous layout must no longer be read.
# 2: the module layout of release 0.2, in which every key changed anyway; the arrays are those of 1.
SCHEMA = 2
MAGIC = b"keypoints artifact 1\n"
USER_BLOCK = 1024
# The name of a file published with an artifact. It is in the artifact's folder, whatever a forged user block says.
SIBLING = re.compile(r"\w[\w.-]*", re.ASCII)
# Stands for the digest of a file that contains dates: equal inputs give equal artifacts but different files of this kind.
ANY = ""

# Bytes of arrays that are loaded into memory at once; Kaggle's images have 70 million.
LARGEST = 8 << 30

# Artifacts that were verified: the states of their files at that time, and their contents.
_verified: dict[Path, tuple[dict[Path, tuple[int, int, int, int] | None], StoredGroup]] = {}


# Writing


@contextlib.contextmanager
def writing(
    path: Path, attributes: dict[str, typing.Any], siblings: Iterable[Path] = (), views: Iterable[Path] = ()
) -> Iterator["h5py.File"]:
    """Yields an open `h5py.File` to fill, and publishes it at `path` with its digests when the context ends without an exception.

    attributes: texts, and values that are stored as JSON.
    siblings: files that have been published in the same folder, whose digests the artifact stores.
    views: likewise, but files that contain dates: they must exist, and their content is not verified.

    Raises InputError if the disk is full, or has too little space for an array that is about to be written, see `room`. Raises RuntimeError
    if the artifact could not be read again.
    """
    with files.publishing(path) as draft, draft.open("wb+", buffering=0) as raw:
        steady = Steady(raw)
        try:
            file = steady.create_hdf5(USER_BLOCK)
            try:
                for name, value in attributes.items():
                    file.attrs[name] = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
                file.attrs["NX_class"] = "NXroot"
                room.opened(file, path)
                yield file
            finally:
                room.closed(file)
                steady.close_hdf5(file)
        finally:
            if isinstance(steady.failure, OSError):
                raise files.WriteError(steady.failure, steady.size) from steady.failure
            if steady.failure:
                raise steady.failure
        _check_readable(raw, path)
        raw.seek(USER_BLOCK)
        block = _user_block(raw, {sibling.name: files.sha256(sibling) for sibling in siblings} | {view.name: ANY for view in views})
        raw.seek(0)
        raw.write(block)


def _check_readable(raw: io.FileIO, path: Path) -> None:
    """Raises RuntimeError for a file that could not be read again, because every run would recompute it."""
    try:
        _decoded_attributes(layout.survey(raw, path, USER_BLOCK), path)
    except Damaged as error:
        raise RuntimeError(
            f"{error}. Either it has unusual arrays or names, or this version of h5py writes a format that is not known here."
        ) from error


# Reading


@contextlib.contextmanager
def reading(path: Path, kind: type | None = None) -> Iterator["h5py.File"]:
    """Yields the artifact as an open `h5py.File`, after verifying it (once per process and state of the file).

    kind: a dataclass; the file must have its arrays.

    Raises FileNotFoundError or, with a reason, Damaged, including when HDF5 finds a wrong checksum in an array that is read.
    """
    import h5py

    tree = verify(path)
    if kind:
        _check_content(path, tree, kind)
    try:
        # An artifact never changes, so reading it needs no lock; HDF5's own would fail on a file system without locks.
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except OSError as error:
        if error.errno is None:  # an error of HDF5; errors of the operating system have a number
            raise Damaged(f"{path} cannot be read: {error}") from None
        raise


def load(
    path: Path, kind: type[Content], *, limit: float = float("inf"), opened: Callable[[], AbstractContextManager["h5py.File"]] | None = None
) -> Content:
    """The artifact as the dataclass `kind`, with its arrays in memory.

    limit: fields of type `Images` with more bytes than this are not loaded but read from the file as needed.
    opened: opens the file for that, instead of `reading`.

    Raises FileNotFoundError, or Damaged with a reason.
    """
    arrays = {name.removeprefix("/"): array for name, array in verify(path).arrays() if not name.startswith("/plot/")}
    lazy = {name: arrays.pop(name) for name in contents.images(kind) & arrays.keys() if arrays[name].nbytes > limit}
    if (size := sum(array.nbytes for array in arrays.values())) > LARGEST:
        raise Damaged(f"{path} holds {size:,} bytes of arrays, more than the {LARGEST:,} that may be loaded into memory")
    with reading(path, kind) as file:
        from pipeline.store.hdf5.rows import StoredRows

        opened = opened or functools.partial(reading, path, kind)
        stored = {name: StoredRows(opened, name, array.shape, array.dtype) for name, array in lazy.items()}
        try:
            return contents.take(file, kind, stored)
        except UnicodeDecodeError as error:
            raise Damaged(f"{path} contains a text that is not UTF-8: {error}") from None


def attributes(path: Path) -> dict[str, typing.Any]:
    """The attributes of the artifact itself, decoded from JSON: texts, and dicts of plain values or of dicts of plain values.

    If there is an attribute `made_from`, it describes a provenance (see `pipeline.store.keys.provenance`).

    Raises FileNotFoundError, or Damaged with a reason.
    """
    return _decoded_attributes(verify(path), path)


def _check_content(path: Path, tree: StoredGroup, kind: type) -> None:
    if faults := list(contents.faults(tree, kind)):
        raise Damaged(f"{path} is not a {kind.__name__} of this program: {'; '.join(faults[:3])}")


def _decoded_attributes(tree: StoredGroup, path: Path) -> dict[str, typing.Any]:
    found = {name: _decoded(text, f"{path}: the attribute {name}") for name, text in tree.attributes.items()}
    made_from = found.get("made_from", {})
    if not isinstance(made_from, dict) or not all(isinstance(made_from.get(part, {}), dict) for part in provenance.PARTS):
        raise Damaged(f"{path}: the attribute made_from does not describe a provenance")
    return found


def _decoded(text: str | list[str], what: str) -> typing.Any:
    """The value of an attribute. Lists of texts, and texts that do not begin like a JSON object, are returned unchanged."""
    if not isinstance(text, str) or not text.startswith("{"):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Damaged(f"{what} is not valid JSON") from None
    items = [item for part in value.values() for item in (part.items() if isinstance(part, dict) else [("", part)])]
    if any(isinstance(item, dict | list) for _, item in items):
        raise Damaged(f"{what} is nested too deeply")
    if not all(str(word).isprintable() for word in [*value, *itertools.chain(*items)]):
        raise Damaged(f"{what} contains unprintable characters")
    return value


# Verifying


def published(path: Path) -> dict[str, str]:
    """The names and digests of the files that were published with an artifact, according to its user block, which is all that is read.

    Raises Damaged if the file does not begin like an artifact.
    """
    with path.open("rb") as file:
        return _parse(file.read(USER_BLOCK), path)[1]


def verify(path: Path) -> StoredGroup:
    """The contents of an artifact, after checking that it and the files published with it are, byte for byte, what was written.

    The result is remembered for as long as none of these files changes. Raises FileNotFoundError, or Damaged with a reason.
    """
    if path in _verified:
        then, tree = _verified[path]
        if all(files.state(file) == state for file, state in then.items()):
            return tree
    if not path.is_file():
        if os.path.lexists(path):
            raise Damaged(f"{path} is not a readable file")
        raise FileNotFoundError(errno.ENOENT, "no such artifact", str(path))
    states = {path: files.state(path)}
    published, tree = verify_itself(path)
    for name, expected in published.items():
        sibling = path.with_name(name)
        states[sibling] = files.state(sibling)
        if not sibling.is_file():
            raise Damaged(f"{sibling}, published with {path.name}, is missing")
        if expected != ANY and files.sha256(sibling) != expected:
            raise Damaged(f"{sibling} has changed since it was written: its checksum differs")
    _verified[path] = states, tree
    return tree


def is_sound(path: Path) -> bool:
    """Whether an artifact exists and is undamaged; a warning says what is wrong with a damaged one."""
    try:
        verify(path)
    except FileNotFoundError:
        return False
    except Damaged as error:
        console.warn_once(f"{error}. It is not used; its stage runs again and quarantines it.")
        return False
    return True


def verify_itself(path: Path) -> tuple[dict[str, str], StoredGroup]:
    """The names and digests of the files published with an artifact, and its contents, after verifying its own layout and digest.

    The files published with it need not be there. Raises FileNotFoundError, or Damaged with a reason.
    """
    try:
        with path.open("rb") as file:
            digest, published = _parse(file.read(USER_BLOCK), path)
            tree = layout.survey(file, path, USER_BLOCK)
            file.seek(USER_BLOCK)
            if _digest(file, _sibling_text(published)) != digest:
                raise Damaged(f"{path} has changed since it was written: its checksum differs")
    except OSError as error:
        # Other errors, such as too many open files, say nothing about the artifact.
        if error.errno == errno.EIO:
            raise Damaged(f"{path} is not a readable file: {files.reason(error)}") from None
        raise
    return published, tree


def _user_block(raw: typing.BinaryIO, published: dict[str, str]) -> bytes:
    """The user block of a file, whose position must be at the end of the user block."""
    text = _sibling_text(published)
    block = MAGIC + _digest(raw, text).encode() + b"\n" + text
    if len(block) > USER_BLOCK:
        raise ValueError(f"the names of {len(published)} published files do not fit in the {USER_BLOCK} bytes of the user block")
    return block.ljust(USER_BLOCK, b"\n")


def _sibling_text(published: dict[str, str]) -> bytes:
    return json.dumps(published, sort_keys=True).encode()


def _digest(file: typing.BinaryIO, text: bytes) -> str:
    """The SHA-256 digest of `text` followed by the rest of the file."""
    digest = hashlib.sha256(text)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _parse(block: bytes, path: Path) -> tuple[str, dict[str, str]]:
    """The digest in a user block, and the names and digests of the files published with the artifact."""
    length = len(MAGIC) + 65
    try:
        if len(block) != USER_BLOCK or not block.startswith(MAGIC) or block[length - 1 : length] != b"\n":
            raise ValueError("its first bytes are not those of an artifact")
        published = json.loads(block[length:].decode())
        digest = block[len(MAGIC) : length - 1].decode()
        rebuilt = (block[:length] + _sibling_text(published)).ljust(USER_BLOCK, b"\n")
        if rebuilt != block or not isinstance(published, dict) or not all(SIBLING.fullmatch(name) for name in published):
            raise ValueError("its first bytes were changed")
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is not an artifact of this program, or it is damaged: {error}") from None
    return digest, published
