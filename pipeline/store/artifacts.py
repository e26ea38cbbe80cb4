"""Named arrays in one HDF5 file: written atomically, verified when read.

The first 1,024 bytes of an artifact are an HDF5 user block: the SHA-256 of all that follows in the file, and of the files published with it
(a CSV, a picture). What follows is an ordinary HDF5 file for any viewer. It holds no date, host or absolute path, so that equal inputs
give equal bytes.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import UnionType

# Changes when files of an older layout must not be read any more; part of every key.
SCHEMA = 1
MAGIC = b"keypoints artifact 1\n"
USER_BLOCK = 1024
# Rows of a chunk, so that reading one copy of an augmented set touches only its own chunks.
CHUNK_ROWS = 64

_verified: dict[Path, tuple] = {}


class Damaged(Exception):
    """An artifact, or a file published with it, that is not what was written."""


def temporary(path: Path) -> Path:
    """Where the writer of `path` writes first: the same folder and suffix, hidden, named so that `sweep` finds what a dead writer left."""
    return path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")


def sweep(path: Path) -> None:
    """Removes what dead writers of `path` and of its sibling files left. The caller holds the lock of `path`."""
    for leftover in path.parent.glob(f".{path.stem}.*.part*"):
        leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """Yields a temporary path to write; afterwards the file is complete and durable at `path`, or there is nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = temporary(path)
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path, attributes: dict[str, typing.Any], siblings: Iterable[Path] = ()):
    """Yields an open `h5py.File` to fill; publishes it at `path` with its checksums. `siblings`: files already published beside it."""
    import h5py

    with publishing(path) as draft:
        # Through a file object a full disk is an OSError; through a path HDF5 finds out when closing, and crashes.
        with draft.open("wb+") as raw:
            with h5py.File(raw, "w", userblock_size=USER_BLOCK) as file:
                for name, value in attributes.items():
                    file.attrs[name] = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
                file.attrs["NX_class"] = "NXroot"
                yield file
            block = _user_block(raw, {sibling.name: sha256(sibling) for sibling in siblings})
            raw.seek(0)
            raw.write(block)


def put(group, content: typing.Any) -> None:
    """Writes a dataclass of described arrays into an HDF5 group; nested dataclasses and dicts of arrays become groups."""
    for field in dataclasses.fields(content):
        value, description = getattr(content, field.name), field.metadata.get("array")
        if dataclasses.is_dataclass(value):
            put(group.create_group(field.name), value)
        elif isinstance(value, dict):
            nested = group.create_group(field.name)
            for name, item in value.items():
                put_array(nested, name, item, description)
        elif value is not None:
            put_array(group, field.name, value, description)
    _default_plot(group, type(content))


def put_array(group, name: str, value, description) -> None:
    """Writes one array, with its checksum in each chunk and its description as attributes."""
    import numpy as np

    value = np.asarray(value)
    if description.dtype == "text":
        value = np.char.encode(value, "utf-8") if value.dtype.kind == "U" else value.astype("S")
    elif value.dtype != np.dtype(description.dtype):
        raise TypeError(f"{name} is {value.dtype}, described as {description.dtype}")
    _described(create(group, name, value.shape, value.dtype), description)[...] = value


def create(group, name: str, shape: tuple[int, ...], dtype, *, leading: int | None = None):
    """An empty dataset in chunks with checksums; `leading`: rows of the first axis in a chunk (default: CHUNK_ROWS)."""
    if not shape or 0 in shape:
        return group.create_dataset(name, shape, dtype)
    rows = min(shape[0], leading or CHUNK_ROWS)
    chunks = (rows, min(shape[1], CHUNK_ROWS), *shape[2:]) if leading else (rows, *shape[1:])
    return group.create_dataset(name, shape, dtype, chunks=chunks, fletcher32=True)


def put_copies(group, kind: type, copies: Iterable[dict[str, typing.Any]], count: int) -> None:
    """Writes `count` dicts of arrays (field name -> array), one after the other, as datasets with a leading axis; never more than one in memory."""
    described = {field.name: field.metadata["array"] for field in dataclasses.fields(kind)}
    for number, copy in enumerate(copies):
        for name, value in copy.items():
            if number == 0:
                _described(create(group, name, (count, *value.shape), value.dtype, leading=1), described[name])
            group[name][number] = value
    _default_plot(group, kind)


def _described(dataset, description):
    dataset.attrs["long_name"] = description.meaning
    dataset.attrs["units"] = description.units
    dataset.attrs["axes_names"] = " ".join(description.axes)
    return dataset


def _default_plot(group, kind: type) -> None:
    """What a viewer that knows NeXus (H5Web, h5glance, silx) shows first: a dataclass names it as PLOT = (signal, axes)."""
    if plot := getattr(kind, "PLOT", None):
        signal, axes = plot
        group.attrs["signal"], group.attrs["axes"] = signal, list(axes)
        if group.name == "/":
            # A root can't be an NXdata itself: link the arrays into a group that can.
            view = group.create_group("plot")
            view.attrs.update({"NX_class": "NXdata", "signal": signal, "axes": list(axes)})
            for name in {signal, *axes} - {"."}:
                view[name] = group[name]
            group.attrs["default"] = "plot"
        else:
            group.attrs["NX_class"] = "NXdata"
            group.file.attrs["default"] = group.name.strip("/")


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


def take(group, kind: type):
    """The dataclass `kind` from an open HDF5 group."""
    values = {}
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint = (
            next((a for a in typing.get_args(hints[field.name]) if a is not type(None)), None)
            if _optional(hints[field.name])
            else hints[field.name]
        )
        if field.name not in group:
            if not _optional(hints[field.name]):
                raise Damaged(f"{group.file.filename} lacks {group.name.rstrip('/')}/{field.name}")
            values[field.name] = None
        elif dataclasses.is_dataclass(hint):
            values[field.name] = take(group[field.name], hint)
        elif typing.get_origin(hint) is dict:
            values[field.name] = _tree(group[field.name])
        else:
            values[field.name] = _array(group[field.name], field.metadata["array"])
    return kind(**values)


def _optional(hint) -> bool:
    return typing.get_origin(hint) in (UnionType, typing.Union) and type(None) in typing.get_args(hint)


def _tree(group) -> dict[str, typing.Any]:
    """All datasets below a group by their path."""
    import h5py

    found = {}
    group.visititems(lambda name, item: found.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None)
    return found


def _array(dataset, description):
    import numpy as np

    value = dataset[()]
    return np.char.decode(value, "utf-8") if description.dtype == "text" else value


def attributes(path: Path) -> dict[str, typing.Any]:
    """The artifact's own attributes (what it was made from), JSON decoded."""
    with reading(path) as file:
        values = dict(file.attrs)
    return {name: _decoded(value) for name, value in values.items()}


def _decoded(value):
    try:
        return json.loads(value)
    except (ValueError, TypeError):
        return value


def verify(path: Path) -> None:
    """Raises Damaged unless the artifact and the files published with it are, byte for byte, what was written."""
    try:
        state = _state(path)
        if _verified.get(path) == (state, tuple(_state(sibling) for sibling in siblings(path))):
            return
    except Damaged:
        raise
    except FileNotFoundError:
        if not path.exists():
            raise
    with path.open("rb") as file:
        header = file.read(USER_BLOCK)
        digest, published = _parse(header, path)
        if _digest(file, _sibling_text(published)) != digest:
            raise Damaged(f"{path} is not what was written: its checksum differs")
    for name, expected in published.items():
        sibling = path.with_name(name)
        if not sibling.is_file():
            raise Damaged(f"{sibling}, published with {path.name}, is missing")
        if sha256(sibling) != expected:
            raise Damaged(f"{sibling} is not what was written: its checksum differs")
    _verified[path] = (state, tuple(_state(path.with_name(name)) for name in published))


def siblings(path: Path) -> list[Path]:
    """The files that were published with an artifact."""
    with path.open("rb") as file:
        return [path.with_name(name) for name in _parse(file.read(USER_BLOCK), path)[1]]


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state(path: Path) -> tuple:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _user_block(raw, published: dict[str, str]) -> bytes:
    text = _sibling_text(published)
    raw.seek(USER_BLOCK)
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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
