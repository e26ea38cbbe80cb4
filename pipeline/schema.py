"""Self-describing arrays: dataclass fields with dtype, axes, units and meaning.

Packages exchange arrays as frozen dataclasses. The description of an array is written once, at its field. The store writes it to the HDF5
file (the attributes `units`, `long_name` and `axes_names`) and checks the file against it when reading.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, dataclass_transform

Record = TypeVar("Record")


class Description(NamedTuple):
    """What an array contains.

    dtype: numpy's name of the type, or "text".
    axes: the names of the dimensions; empty for a scalar, and for arrays of any shape. A name that ends in "?" is of a dimension that an
        array may lack.
    units: the unit of the values; empty for a pure number.
    meaning: a one-line description.
    """

    dtype: str
    axes: tuple[str, ...]
    units: str
    meaning: str

    def axes_of(self, dimensions: int) -> tuple[str, ...] | None:
        """The names of the axes of an array with so many dimensions; None if it does not fit. Without axes any number fits.

        If an array has only some of several optional axes, it has the first ones.
        """
        if not self.axes:
            return ()
        spare = dimensions - sum(not name.endswith("?") for name in self.axes)
        found = []
        for name in self.axes:
            if name.endswith("?"):
                spare -= 1
                if spare < 0:
                    continue
            found.append(name.removesuffix("?"))
        return tuple(found) if len(found) == dimensions else None


class Plot(NamedTuple):
    """What a viewer of HDF5 files shows first of a record; arrays are given by the names of their fields.

    signal: the array to plot.
    axes: for each axis of the signal the array of its coordinates, or "." for none. For a scatter plot, x and y; the signal is the colour.
    kind: how to show a signal with several axes: "spectrum" (the last axis as a curve) or "image".
    beside: further arrays of the same shape as the signal.
    """

    signal: str
    axes: tuple[str, ...]
    kind: str = ""
    beside: tuple[str, ...] = ()


def array(dtype: str, axes: str, units: str, meaning: str) -> Any:
    """A field of a `record` that holds a numpy array. `axes` are the names of its dimensions, separated by spaces; see `Description`."""
    return field(metadata={"array": Description(dtype, tuple(axes.split()), units, meaning)})


@dataclass_transform(field_specifiers=(array,), frozen_default=True)
def record(cls: type[Record]) -> type[Record]:
    """Makes a class a frozen dataclass. Type checkers learn that a field made by `array` has no default."""
    return dataclass(frozen=True)(cls)
