"""Dataclasses of described arrays as the content of an HDF5 group, in both directions.

A field made by `pipeline.schema.array` holds a numpy array, `LazyRows` or a dict of arrays. Other fields hold nested dataclasses or dicts
of nested dataclasses.
"""

import dataclasses
import typing
from collections.abc import Iterable, Iterator, Mapping

from pipeline.schema import Description, Plot
from pipeline.store.hdf5 import room
from pipeline.store.hdf5.tree import StoredArray, StoredGroup

if typing.TYPE_CHECKING:
    import h5py
    import numpy as np

    from pipeline.lazyrows import Images

Content = typing.TypeVar("Content")

# Rows per chunk, so that reading one version of an augmented set touches only its own chunks; chunks of small rows have more, and those of
# large rows have fewer, because a whole chunk is read for each of its rows.
CHUNK_ROWS = 64
CHUNK_BYTES, CHUNK_BYTES_MOST = 1 << 16, 1 << 20
# Of an extendible array: large enough for a net of 16 million weights to be appended a thousand times, see `bytereader.MOST`.
CHUNK_BYTES_GROWING = 1 << 20


# Writing


def put(group: "h5py.Group", content: typing.Any) -> None:
    """Writes a dataclass of described arrays to a group. Nested dataclasses and dicts become groups; fields that are None are left out.

    Raises TypeError if an array does not have the dtype or number of axes of its description.
    """
    for field in dataclasses.fields(content):
        value = getattr(content, field.name)
        if dataclasses.is_dataclass(value):
            put(group.create_group(field.name), value)
        elif isinstance(value, dict):
            nested = group.create_group(field.name)
            for name, item in value.items():
                if dataclasses.is_dataclass(item):
                    put(nested.create_group(name), item)
                else:
                    _put_array(nested, name, item, _described(field))
        elif value is not None:
            _put_array(group, field.name, value, _described(field))
    _default_plot(group, type(content))


def put_versions(group: "h5py.Group", kind: type, versions: Iterable[Mapping[str, typing.Any]], count: int) -> None:
    """Writes `count` versions of the fields of a dataclass as datasets with a leading axis of length `count`.

    At most one version is in memory at a time; of lazy rows, one block.

    kind: the dataclass that describes the fields; the descriptions include the leading axis.
    versions: dicts from field name to array or LazyRows. All have the same names, shapes and dtypes.

    Raises ValueError if there are not exactly `count` versions.
    """
    from pipeline.lazyrows import in_blocks

    described = {field.name: _described(field) for field in dataclasses.fields(kind)}
    number = -1
    for number, version in enumerate(versions):
        for name, value in version.items():
            if number == 0:
                _create(group, name, (count, *value.shape), value.dtype, described[name], chunk=(1, *_chunk(value)))
            for part, block in in_blocks(value):
                group[name][number, part] = block
    if number + 1 != count:
        raise ValueError(f"{count} versions were announced but {number + 1} came")
    _default_plot(group, kind)


def append(group: "h5py.Group", content: typing.Any) -> None:
    """Appends a dataclass of described arrays, or of dicts of such, to what was appended before: each array grows along its first axis.

    In the file the first axis is unlimited, and each chunk holds a single index of it.
    """
    for field in dataclasses.fields(content):
        value = getattr(content, field.name)
        for name, item in value.items() if isinstance(value, dict) else [("", value)]:
            _append_array(group, f"{field.name}/{name}".rstrip("/"), item, _described(field))


def _described(field: "dataclasses.Field[typing.Any]") -> Description:
    """The description of a field's array."""
    description: Description = field.metadata["array"]
    return description


def _append_array(group: "h5py.Group", name: str, value: "np.ndarray", description: Description) -> None:
    if name not in group:
        chunk = (1, *_chunk(value[0], CHUNK_BYTES_GROWING))
        _create(group, name, (0, *value.shape[1:]), value.dtype, description, chunk=chunk, grows=True)
    dataset = group[name]
    dataset.resize(len(dataset) + len(value), axis=0)
    dataset[-len(value) :] = value


def _put_array(group: "h5py.Group", name: str, value: typing.Any, description: Description) -> None:
    import numpy as np

    from pipeline.lazyrows import LazyRows, in_blocks

    if isinstance(value, LazyRows):
        dataset = _create(group, name, value.shape, value.dtype, description, chunk=_chunk(value))
        for part, block in in_blocks(value):
            dataset[part] = block
        return
    value = _encoded(np.asarray(value)) if description.dtype == "text" else np.asarray(value)
    _create(group, name, value.shape, value.dtype, description, chunk=_chunk(value))[...] = value


def _encoded(texts: "np.ndarray") -> "np.ndarray":
    """An array of texts in UTF-8. HDF5 has no texts of length 0, which numpy makes of an array of empty texts."""
    import numpy as np

    encoded = np.char.encode(texts.astype("U"), "utf-8") if texts.dtype.kind != "S" else texts
    return encoded.astype(f"S{max(1, encoded.dtype.itemsize)}")


def _chunk(value: "Images", size: int = CHUNK_BYTES) -> tuple[int, ...]:
    """The shape of a chunk of about `size` bytes; () for a scalar or an empty array, which HDF5 cannot chunk."""
    if not value.size or not value.shape:
        return ()
    row = value.nbytes // len(value)
    return (max(1, min(len(value), max(min(CHUNK_ROWS, CHUNK_BYTES_MOST // row), size // row))), *value.shape[1:])


def _create(
    group: "h5py.Group",
    name: str,
    shape: tuple[int, ...],
    dtype: "np.dtype",
    description: Description,
    *,
    chunk: tuple[int, ...],
    grows: bool = False,
) -> "h5py.Dataset":
    """Creates an empty dataset, with its description as attributes and a checksum in each chunk.

    grows: whether the first axis is unlimited.
    """
    _check(f"{group.name.rstrip('/')}/{name}", shape, dtype, description)
    checked = {"chunks": chunk, "fletcher32": True} if len(chunk) == len(shape) > 0 else {}
    if own := room.of(group):
        own.claim(shape, dtype.itemsize, chunk if checked else ())
    dataset = group.create_dataset(name, shape, dtype, maxshape=(None, *shape[1:]) if grows else None, **checked)
    dataset.attrs["long_name"] = description.meaning
    dataset.attrs["units"] = description.units
    dataset.attrs["axes_names"] = " ".join(description.axes_of(len(shape)) or ())
    return dataset


def _check(name: str, shape: tuple[int, ...], dtype: "np.dtype", description: Description) -> None:
    """Raises TypeError if an array does not match its description. A description without axes admits any shape (weights)."""
    import numpy as np

    fits = dtype.kind == "S" if description.dtype == "text" else dtype == np.dtype(description.dtype)
    if not fits or description.axes_of(len(shape)) is None:
        raise TypeError(_mismatch(name, dtype, shape, description))


def _mismatch(name: str, dtype: object, shape: tuple[int, ...], description: Description) -> str:
    return f"{name} is {dtype} {shape} but is described as {description.dtype} ({' '.join(description.axes)})"


def _default_plot(group: "h5py.Group", kind: type) -> None:
    """Records what a viewer that knows NeXus (H5Web, silx) shows first: the `pipeline.schema.Plot` that a dataclass has as PLOT.

    If several groups of a file have one, the first is shown. See https://manual.nexusformat.org/classes/base_classes/NXdata.html.
    """
    plot: Plot | None = getattr(kind, "PLOT", None)
    if plot is None:
        return
    view = group
    if group.name == "/":
        # The root itself cannot be an NXdata group: link the arrays into a group that can.
        view = group.create_group("plot")
        for name in dict.fromkeys([plot.signal, *plot.axes, *plot.beside]):
            if name != ".":
                view[name] = group[name]
    channels = view[plot.signal].ndim - len(plot.axes)  # of colour images
    view.attrs.update({"NX_class": "NXdata", "signal": plot.signal, "axes": [*plot.axes, *["."] * channels]})
    if plot.beside:
        view.attrs["auxiliary_signals"] = list(plot.beside)
    if plot.kind:
        view[plot.signal].attrs["interpretation"] = f"rgb-{plot.kind}" if channels else plot.kind
    if "default" not in group.file.attrs:
        group.file.attrs["default"] = view.name.strip("/")


# Reading


def faults(group: StoredGroup, kind: type, path: str = "") -> Iterator[str]:
    """Why a group is not the content of the dataclass `kind`: missing arrays, unknown arrays, arrays that differ from their description."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        name, kinds = f"{path}/{field.name}", _kinds(hints[field.name])
        if field.name in group.members:
            yield from _faults(group.members[field.name], field, kinds, name)
        elif type(None) not in kinds:
            yield f"{name} is missing"
    known = {field.name for field in dataclasses.fields(kind)} | ({"plot"} if hasattr(kind, "PLOT") and not path else set())
    yield from (f"{path}/{name} is unknown" for name in group.members if name not in known)


def _faults(
    item: StoredGroup | StoredArray, field: "dataclasses.Field[typing.Any]", kinds: tuple[typing.Any, ...], name: str
) -> Iterator[str]:
    """The faults of one field, whose value may be any of `kinds`."""
    nested, is_dict, named = _nested(kinds), any(typing.get_origin(kind) is dict for kind in kinds), _named(kinds)
    if isinstance(item, StoredArray):
        if nested or is_dict:
            yield f"{name} is an array"
            return
        arrays: Iterable[tuple[str, StoredArray]] = [(name, item)]
    elif nested:
        yield from faults(item, nested, name)
        return
    elif named:
        for key, member in item.members.items():
            yield from faults(member, named, f"{name}/{key}") if isinstance(member, StoredGroup) else [f"{name}/{key} is an array"]
        return
    elif is_dict:
        arrays = item.arrays(name)
    else:
        yield f"{name} is a group"
        return
    description = _described(field)
    for inner, array in arrays:
        if array.dtype != description.dtype or description.axes_of(len(array.shape)) is None:
            yield _mismatch(inner, array.dtype, array.shape, description)


def take(group: "h5py.Group", kind: type[Content], instead: dict[str, typing.Any] | None = None) -> Content:
    """Reads the dataclass `kind` from a group that has no `faults`.

    instead: values of fields that are not read from the file.

    Raises UnicodeDecodeError for a text that is not UTF-8.
    """
    hints, given = typing.get_type_hints(kind), instead or {}
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]  # any type may be given, `faults` has checked that it is a dataclass
    read = {field.name: _taken(group, field, hints[field.name]) for field in fields if field.name not in given}
    return kind(**read, **given)


def images(kind: type) -> set[str]:
    """The names of the fields of a dataclass that may hold LazyRows."""
    from pipeline.lazyrows import Images

    return {name for name, hint in typing.get_type_hints(kind).items() if hint == Images}


def _kinds(hint: typing.Any) -> tuple[typing.Any, ...]:
    """The members of a type hint of the form X | None; other hints as they are."""
    return typing.get_args(hint) if type(None) in typing.get_args(hint) else (hint,)


def _nested(kinds: tuple[typing.Any, ...]) -> type | None:
    """The dataclass among the members of a type hint."""
    return next((kind for kind in kinds if isinstance(kind, type) and dataclasses.is_dataclass(kind)), None)


def _named(kinds: tuple[typing.Any, ...]) -> type | None:
    """The dataclass of which one of the members of a type hint is a dict, by name."""
    values = [typing.get_args(kind)[1:] for kind in kinds if typing.get_origin(kind) is dict]
    return next((found for members in values if (found := _nested(members))), None)


def _taken(group: "h5py.Group", field: "dataclasses.Field[typing.Any]", hint: typing.Any) -> typing.Any:
    """The value of one field; None if the file does not contain it."""
    if field.name not in group:
        return None
    item = group[field.name]
    if nested := _nested(_kinds(hint)):
        return take(item, nested)
    if named := _named(_kinds(hint)):
        return {name: take(member, named) for name, member in item.items()}
    if hasattr(item, "visititems"):
        return {name: _array(dataset, field) for name, dataset in _datasets(item)}
    value = _array(item, field)
    return hint(value) if hint in (int, float, str) else value


def _datasets(group: "h5py.Group") -> list[tuple[str, "h5py.Dataset"]]:
    """All datasets below a group, each with its path."""
    found: list[tuple[str, typing.Any]] = []
    group.visititems(lambda name, item: found.append((name, item)) if hasattr(item, "dtype") else None)
    return found


def _array(dataset: "h5py.Dataset", field: "dataclasses.Field[typing.Any]") -> typing.Any:
    """The values of a dataset, texts decoded."""
    import numpy as np

    value = dataset[()]
    return np.char.decode(value, "utf-8") if _described(field).dtype == "text" else value
