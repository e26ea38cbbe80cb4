"""Dataclasses of described arrays as the content of an HDF5 group, and back."""

import dataclasses
import typing
from collections.abc import Iterable, Iterator

from pipeline.store.hdf5 import layout

# Rows of a chunk, so that reading one copy of an augmented set touches only its own chunks; more of them where rows are small.
CHUNK_ROWS = 64
CHUNK_BYTES = 1 << 16
# Of an array that grows: large enough that a net of 16 million weights can do so a thousand times, see `pieces.MOST`.
CHUNK_BYTES_GROWING = 1 << 20


def put(group, content: typing.Any) -> None:
    """Writes a dataclass of described arrays into an HDF5 group; nested dataclasses and dicts of arrays become groups, None is left out."""
    for field in dataclasses.fields(content):
        value, description = getattr(content, field.name), field.metadata.get("array")
        if dataclasses.is_dataclass(value):
            put(group.create_group(field.name), value)
        elif isinstance(value, dict):
            nested = group.create_group(field.name)
            for name, item in value.items():
                _put_array(nested, name, item, description)
        elif value is not None:
            _put_array(group, field.name, value, description)
    _default_plot(group, type(content))


def put_versions(group, kind: type, copies: Iterable[dict[str, typing.Any]], count: int) -> None:
    """Writes `count` dicts of arrays or LazyRows (field name -> array), one after the other, as datasets with a leading axis.

    Never more than one of them is in memory, of lazy rows a block.
    """
    from pipeline.lazyrows import in_blocks

    described = {field.name: field.metadata["array"] for field in dataclasses.fields(kind)}
    number = -1
    for number, copy in enumerate(copies):
        for name, value in copy.items():
            if number == 0:
                _create(group, name, (count, *value.shape), value.dtype, described[name], chunk=(1, *_chunk(value)))
            for part, block in in_blocks(value):
                group[name][number, part] = block
    if number + 1 != count:
        raise ValueError(f"{number + 1} copies came where {count} were announced")
    _default_plot(group, kind)


def append(group, content: typing.Any) -> None:
    """Writes a dataclass of described arrays or dicts of such behind what was appended before: each array grows along its first axis.

    In the file that axis is without limit, and a chunk holds a single place of it.
    """
    for field in dataclasses.fields(content):
        value, description = getattr(content, field.name), field.metadata["array"]
        for name, item in value.items() if isinstance(value, dict) else [("", value)]:
            _append_array(group, f"{field.name}/{name}".rstrip("/"), item, description)


def _append_array(group, name: str, value, description) -> None:
    if name not in group:
        chunk = (1, *_chunk(value[0], CHUNK_BYTES_GROWING))
        _create(group, name, (0, *value.shape[1:]), value.dtype, description, chunk=chunk, grows=True)
    dataset = group[name]
    dataset.resize(len(dataset) + len(value), axis=0)
    dataset[-len(value) :] = value


def _put_array(group, name: str, value, description) -> None:
    import numpy as np

    from pipeline.lazyrows import LazyRows, in_blocks

    if isinstance(value, LazyRows):
        dataset = _create(group, name, value.shape, value.dtype, description, chunk=_chunk(value))
        for part, block in in_blocks(value):
            dataset[part] = block
        return
    value = _encoded(np.asarray(value)) if description.dtype == "text" else np.asarray(value)
    _create(group, name, value.shape, value.dtype, description, chunk=_chunk(value))[...] = value


def _encoded(texts):
    """An array of texts as bytes in UTF-8. HDF5 has no text of length 0, which is what numpy makes of "" alone."""
    import numpy as np

    encoded = np.char.encode(texts.astype("U"), "utf-8") if texts.dtype.kind != "S" else texts
    return encoded.astype(f"S{max(1, encoded.dtype.itemsize)}")


def _chunk(value, size: int = CHUNK_BYTES) -> tuple[int, ...]:
    """The part of an array that lies in one chunk, about `size` bytes; () for a scalar or an empty array, which HDF5 doesn't chunk."""
    if not value.size or not value.shape:
        return ()
    return (min(len(value), max(CHUNK_ROWS, size * len(value) // value.nbytes)), *value.shape[1:])


def _create(group, name: str, shape: tuple[int, ...], dtype, description, *, chunk: tuple[int, ...], grows: bool = False):
    """An empty dataset with its description as attributes, and a checksum in each chunk. grows: along its first axis."""
    _check(f"{group.name.rstrip('/')}/{name}", shape, dtype, description)
    checked = {"chunks": chunk, "fletcher32": True} if len(chunk) == len(shape) > 0 else {}
    dataset = group.create_dataset(name, shape, dtype, maxshape=(None, *shape[1:]) if grows else None, **checked)
    dataset.attrs["long_name"] = description.meaning
    dataset.attrs["units"] = description.units
    dataset.attrs["axes_names"] = " ".join(description.axes)
    return dataset


def _check(name: str, shape: tuple[int, ...], dtype, description) -> None:
    """Raises TypeError where an array is not what its description says. Without axes it says nothing of the shape (weights)."""
    import numpy as np

    fits = dtype.kind == "S" if description.dtype == "text" else dtype == np.dtype(description.dtype)
    if not fits or (description.axes and len(description.axes) != len(shape)):
        raise TypeError(f"{name} is {dtype} {shape}, described as {description.dtype} ({' '.join(description.axes)})")


def _default_plot(group, kind: type) -> None:
    """What a viewer that knows NeXus (H5Web, silx) shows first: a dataclass names it as PLOT, a `described.Plot`. Of several the first.

    See https://manual.nexusformat.org/classes/base_classes/NXdata.html.
    """
    if not (plot := getattr(kind, "PLOT", None)):
        return
    view = group
    if group.name == "/":
        # A root can't be an NXdata itself: link the arrays into a group that can.
        view = group.create_group("plot")
        for name in dict.fromkeys([plot.signal, *plot.axes, *plot.beside]):
            if name != ".":
                view[name] = group[name]
    view.attrs.update({"NX_class": "NXdata", "signal": plot.signal, "axes": list(plot.axes)})
    if plot.beside:
        view.attrs["auxiliary_signals"] = list(plot.beside)
    if plot.kind:
        view[plot.signal].attrs["interpretation"] = plot.kind
    if "default" not in group.file.attrs:
        group.file.attrs["default"] = view.name.strip("/")


def faults(group: layout.StoredGroup, kind: type, path: str = "") -> Iterator[str]:
    """What keeps a group from being the dataclass `kind`: arrays that lack, that are unknown, or that are not as described."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        name, kinds = f"{path}/{field.name}", _kinds(hints[field.name])
        if field.name in group.members:
            yield from _faults(group.members[field.name], field, kinds, name)
        elif type(None) not in kinds:
            yield f"it lacks {name}"
    known = {field.name for field in dataclasses.fields(kind)} | ({"plot"} if hasattr(kind, "PLOT") and not path else set())
    yield from (f"{path}/{name} is unknown" for name in group.members if name not in known)


def _faults(item: layout.StoredGroup | layout.StoredArray, field: dataclasses.Field, kinds: tuple[type, ...], name: str) -> Iterator[str]:
    nested, is_dict = next(filter(dataclasses.is_dataclass, kinds), None), any(typing.get_origin(kind) is dict for kind in kinds)
    if isinstance(item, layout.StoredArray) == bool(nested or is_dict):
        yield f"{name} is {'an array' if isinstance(item, layout.StoredArray) else 'a group'}"
    elif nested:
        yield from faults(item, nested, name)
    else:
        description = field.metadata["array"]
        for inner, array in item.arrays(name) if is_dict else [(name, item)]:
            if array.dtype != description.dtype or (description.axes and len(description.axes) != len(array.shape)):
                yield f"{inner} is {array.dtype} {array.shape}, described as {description.dtype} ({' '.join(description.axes)})"


def take(group, kind: type, instead: dict[str, typing.Any] | None = None):
    """The dataclass `kind` from an open HDF5 group that has no `faults`. UnicodeDecodeError for a text that is none.

    instead: values of fields that are not read.
    """
    hints, given = typing.get_type_hints(kind), instead or {}
    read = {field.name: _taken(group, field, hints[field.name]) for field in dataclasses.fields(kind) if field.name not in given}
    return kind(**read, **given)


def images(kind: type) -> set[str]:
    """Names of the fields that may be LazyRows."""
    from pipeline.lazyrows import Images

    return {name for name, hint in typing.get_type_hints(kind).items() if hint == Images}


def _kinds(hint) -> tuple[type, ...]:
    """X and X | None as a tuple."""
    return typing.get_args(hint) if type(None) in typing.get_args(hint) else (hint,)


def _taken(group, field: dataclasses.Field, hint):
    """One field's value: None where it is missing."""
    if field.name not in group:
        return None
    item = group[field.name]
    if nested := next(filter(dataclasses.is_dataclass, _kinds(hint)), None):
        return take(item, nested)
    if hasattr(item, "visititems"):
        return {name: _array(dataset, field) for name, dataset in _datasets(item)}
    value = _array(item, field)
    return hint(value) if hint in (int, float, str) else value


def _datasets(group) -> list[tuple[str, typing.Any]]:
    """All datasets below a group with their path."""
    found = []
    group.visititems(lambda name, item: found.append((name, item)) if hasattr(item, "dtype") else None)
    return found


def _array(dataset, field: dataclasses.Field):
    import numpy as np

    value = dataset[()]
    return np.char.decode(value, "utf-8") if field.metadata["array"].dtype == "text" else value
