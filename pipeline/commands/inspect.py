"""`keypoints inspect`: shows the arrays of an artifact with shapes, units and a summary of their values, and its ancestry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.support import ancestry, reading
from pipeline.commands.support.addresses import locate
from pipeline.store.hdf5 import artifacts
from pipeline.store.hdf5.tree import StoredGroup
from pipeline.store.keys import provenance
from pipeline.store.run.partial_results import SNAPSHOTS_SUFFIX
from pipeline.store.run.stage import Stage
from pipeline.tasks import packfiles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import numpy as np

# Elements of an array above which only its first block is summarised.
LARGE = 5_000_000


def run(what: str, stages: list[Stage]) -> int:
    """Prints an artifact, or the model card of a file of nets, given as for `addresses.locate`, and returns the exit code 0.

    Raises InputError if it is missing or damaged.
    """
    path = locate(what, stages)
    attributes = reading.attributes(path)
    if packfiles.is_pack(attributes):
        from pipeline.results import model_card

        print(f"{path}\n\n{model_card.text(packfiles.read(path), attributes.get('versions', {}))}")
        return 0
    with reading.refusing(path):
        with artifacts.reading(path) as file:
            print(path)
            _print_provenance(path, [*ancestry.adopted(path), *ancestry.quarantined_since(path)])
            _print_arrays(file, artifacts.verify(path))
        _print_snapshots(path)
    return 0


def _print_provenance(path: Path, remarks: list[str]) -> None:
    attributes = artifacts.attributes(path)
    made_from, versions = attributes.get("made_from", {}), attributes.get("versions", {})
    print(f"\nmade by {attributes.get('stage', 'another program')}")
    for title in provenance.PARTS:
        for number, (name, value) in enumerate(made_from.get(title, {}).items()):
            print(f"  {title if number == 0 else '':<12}{name} = {value}")
    for number, remark in enumerate(remarks):
        print(f"  {'but' if number == 0 else '':<12}{remark}")
    print(f"  {'versions':<12}{', '.join(f'{name} {version}' for name, version in versions.items())}\n")


def _print_arrays(file: Mapping[str, Any], tree: StoredGroup) -> None:
    """One line for each array of the file, but for those that only describe a plot, and one for its meaning."""
    found = [(name.removeprefix("/"), array) for name, array in tree.arrays() if not name.startswith("/plot/")]
    width = max((len(name) for name, _ in found), default=0)
    for name, array in found:
        shape = " x ".join(map(str, array.shape)) or "scalar"
        print(f"{name:<{width}}  {array.dtype:<8} {shape:<20} {array.attributes.get('units', ''):<11} {_summary(file[name])}")
        print(f"{'':<{width}}    {array.attributes.get('long_name', '')}")


def _print_snapshots(path: Path) -> None:
    """The epochs of the snapshots published with the artifact, if any, and lines of Python that follow one weight through them."""
    from pipeline.nets.trained import Snapshots

    beside = path.with_suffix(SNAPSHOTS_SUFFIX)
    if beside.name not in artifacts.published(path):
        return
    with artifacts.reading(beside, Snapshots) as file:
        epochs = ", ".join(map(str, file["epoch"][:].tolist()))
        name, array = next((name, array) for name, array in artifacts.verify(beside).arrays() if name.endswith("/kernel"))
    print(f"\n{beside} contains the weights after epochs {epochs}; the first axis is the epoch:\n")
    print(f'    with h5py.File("{beside}") as file:')
    print(f'        one_weight = file["{name.removeprefix("/")}"][:{", 0" * (len(array.shape) - 1)}]')
    print('        print(file["epoch"][:], one_weight)')


def _summary(item: Any) -> str:
    """The smallest, mean and largest value of an h5py dataset and its share of NaN; of a large array, only those of its first block."""
    import numpy as np

    if item.size == 0:
        return "empty"
    large = item.size > LARGE
    values = item[:1] if large else np.atleast_1d(item[()])
    if values.dtype.kind == "S":
        return _texts(values)
    if values.dtype.kind == "b":
        return f"{values.mean():.1%} True"
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    if known.size == 0:
        return "all NaN"
    nans = f", {1 - known.size / values.size:.1%} NaN" if known.size < values.size else ""
    return f"{known.min():.4g} .. {known.max():.4g}, mean {known.mean():.4g}{nans}" + (" (first block)" if large else "")


def _texts(values: np.ndarray) -> str:
    """The first four texts of an array of bytes; escaped where they cannot be printed."""
    texts = [text.decode(errors="replace") for text in values.ravel()[:4].tolist()]
    return ", ".join(text if text.isprintable() else repr(text) for text in texts) + (", ..." if values.size > 4 else "")
