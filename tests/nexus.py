"""NeXus' rules for the plots of an HDF5 file, as viewers take them (https://manual.nexusformat.org/classes/base_classes/NXdata.html)."""

from collections.abc import Iterator

import h5py


def default_plot(file: h5py.File) -> tuple[str, h5py.Group]:
    """What a viewer shows first, and its group, found as a viewer does: scatter, image or curve."""
    assert file.attrs["NX_class"] == "NXroot"
    group = file[file.attrs["default"]]
    assert group.attrs["NX_class"] == "NXdata"
    signal, axes = group[group.attrs["signal"]], group.attrs["axes"]
    if len(axes) > signal.ndim:
        return "scatter", group
    # H5Web: https://github.com/silx-kit/h5web, the NeXus visualisations' `isPrimary`.
    kind = signal.attrs.get("interpretation", "image" if signal.ndim > 1 else "spectrum")
    return {"image": "image", "spectrum": "curve"}[kind], group


def faults(file: h5py.File) -> list[str]:
    """What is wrong with the groups of class NXdata in a file."""
    found, groups = [], []
    file.visititems(lambda name, item: groups.append(item) if item.attrs.get("NX_class") == "NXdata" else None)
    for group in groups:
        found += [f"{group.name}: {fault}" for fault in _faults(group)]
    return found


def _faults(group: h5py.Group) -> Iterator[str]:
    names = [group.attrs.get("signal"), *group.attrs.get("axes", []), *group.attrs.get("auxiliary_signals", [])]
    arrays = {name: group.get(name) for name in names if name != "."}
    for name, array in arrays.items():
        if not isinstance(array, h5py.Dataset):
            yield f"{name} is no array"
        elif array.dtype.kind not in "iufb" or array.ndim == 0:
            yield f"{name} has no numbers"
        elif "units" not in array.attrs or not array.attrs.get("long_name"):
            yield f"{name} does not say what it is"
    if all(isinstance(array, h5py.Dataset) for array in arrays.values()):
        yield from _lengths(group, arrays)


def _lengths(group: h5py.Group, arrays: dict[str, h5py.Dataset]) -> Iterator[str]:
    """Each axis has as many places as the signal there; a scatter's x and y have one for each point."""
    shape, axes = arrays[group.attrs["signal"]].shape, list(group.attrs["axes"])
    lengths = shape * 2 if len(shape) == 1 and len(axes) == 2 else shape
    if len(axes) != len(lengths):
        yield f"{len(axes)} axes for {len(lengths)}"
    for name, length in zip(axes, lengths, strict=False):
        if name != "." and arrays[name].shape != (length,):
            yield f"axis {name} has {arrays[name].shape} where {length} are needed"
    for name in group.attrs.get("auxiliary_signals", []):
        if arrays[name].shape != shape:
            yield f"{name} has {arrays[name].shape} beside {shape}"
