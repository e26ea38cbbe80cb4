"""Dataclasses of described arrays as the content of an HDF5 group, and back."""

import dataclasses
import typing
from collections.abc import Iterable

from pipeline.store.files import Damaged

# Rows of a chunk, so that reading one copy of an augmented set touches only its own chunks; more of them where rows are small.
CHUNK_ROWS = 64
CHUNK_BYTES = 1 << 16


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


def put_copies(group, kind: type, copies: Iterable[dict[str, typing.Any]], count: int) -> None:
    """Writes `count` dicts of arrays (field name -> array), one after the other, as datasets with a leading axis.

    Never more than one of them is in memory.
    """
    described = {field.name: field.metadata["array"] for field in dataclasses.fields(kind)}
    number = -1
    for number, copy in enumerate(copies):
        for name, value in copy.items():
            if number == 0:
                _create(group, name, (count, *value.shape), value.dtype, described[name], chunk=(1, *_chunk(value)))
            group[name][number] = value
    if number + 1 != count:
        raise ValueError(f"{number + 1} copies came where {count} were announced")
    _default_plot(group, kind)


def _put_array(group, name: str, value, description) -> None:
    import numpy as np

    value = _encoded(np.asarray(value)) if description.dtype == "text" else np.asarray(value)
    _create(group, name, value.shape, value.dtype, description, chunk=_chunk(value))[...] = value


def _encoded(texts):
    """An array of texts as bytes in UTF-8. HDF5 has no text of length 0, which is what numpy makes of "" alone."""
    import numpy as np

    encoded = np.char.encode(texts.astype("U"), "utf-8") if texts.dtype.kind != "S" else texts
    return encoded.astype(f"S{max(1, encoded.dtype.itemsize)}")


def _chunk(value) -> tuple[int, ...]:
    """The part of an array that lies in one chunk; () for a scalar or an empty array, which HDF5 doesn't chunk."""
    if not value.size or not value.shape:
        return ()
    return (min(len(value), max(CHUNK_ROWS, CHUNK_BYTES * len(value) // value.nbytes)), *value.shape[1:])


def _create(group, name: str, shape: tuple[int, ...], dtype, description, *, chunk: tuple[int, ...]):
    """An empty dataset with its description as attributes, and a checksum in each chunk."""
    _check(f"{group.name.rstrip('/')}/{name}", shape, dtype, description)
    checked = {"chunks": chunk, "fletcher32": True} if len(chunk) == len(shape) > 0 else {}
    dataset = group.create_dataset(name, shape, dtype, **checked)
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
    """What a viewer that knows NeXus (H5Web, h5glance, silx) shows first: a dataclass names it as PLOT = (signal, axes)."""
    if not (plot := getattr(kind, "PLOT", None)):
        return
    signal, axes = plot[0], list(plot[1])
    view = group
    if group.name == "/":
        # A root can't be an NXdata itself: link the arrays into a group that can.
        view = group.create_group("plot")
        for name in dict.fromkeys([signal, *axes]):
            if name != ".":
                view[name] = group[name]
    view.attrs.update({"NX_class": "NXdata", "signal": signal, "axes": axes})
    group.file.attrs["default"] = view.name.strip("/")


def take(group, kind: type):
    """The dataclass `kind` from an open HDF5 group; Damaged where the group is not of that kind."""
    hints = typing.get_type_hints(kind)
    return kind(**{field.name: _taken(group, field, hints[field.name]) for field in dataclasses.fields(kind)})


def _taken(group, field: dataclasses.Field, hint):
    """One field's value: X and X | None are read alike, but that the latter may be missing."""
    kinds = typing.get_args(hint) if type(None) in typing.get_args(hint) else (hint,)
    if field.name not in group:
        if type(None) in kinds:
            return None
        raise Damaged(f"{group.file.filename} lacks {group.name.rstrip('/')}/{field.name}")
    item = group[field.name]
    if nested := next(filter(dataclasses.is_dataclass, kinds), None):
        return take(item, nested)
    description = field.metadata["array"]
    if hasattr(item, "visititems"):
        return {name: _array(dataset, description) for name, dataset in _datasets(item)}
    return _array(item, description)


def _datasets(group) -> list[tuple[str, typing.Any]]:
    """All datasets below a group with their path."""
    found = []
    group.visititems(lambda name, item: found.append((name, item)) if hasattr(item, "dtype") else None)
    return found


def _array(dataset, description):
    import numpy as np

    try:
        _check(dataset.name, dataset.shape, dataset.dtype, description)
    except TypeError as error:
        raise Damaged(f"{dataset.file.filename}: {error}") from None
    value = dataset[()]
    return np.char.decode(value, "utf-8") if description.dtype == "text" else value
