"""Arrays that say what they are: dataclass fields with dtype, shape, units and meaning.

The rooms hand arrays on as frozen dataclasses. The description stands once, beside the field; the store writes it into the HDF5 file
(`units`, `long_name`, `axes`) and checks it again when the file is read.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, dataclass_transform

Record = TypeVar("Record")


class Description(NamedTuple):
    """dtype: numpy's name of it, or "text". axes: names of the dimensions. units: "" for a pure number. meaning: one line for people."""

    dtype: str
    axes: tuple[str, ...]
    units: str
    meaning: str


class Plot(NamedTuple):
    """What a viewer shows first of a record, by names of its fields.

    signal: an array of numbers. axes: for each of its axes an array of one number for each place there, or "." where there is none; for a
    scatter of points (signal: their colour) x and y. kind: how to show an array of several axes, "spectrum" (its last axis as a curve) or
    "image". beside: more arrays of the signal's shape.
    """

    signal: str
    axes: tuple[str, ...]
    kind: str = ""
    beside: tuple[str, ...] = ()


def array(dtype: str, axes: str, units: str, meaning: str) -> Any:
    """A field of a `record` that holds a numpy array; `axes` are the names of its dimensions, separated by blanks."""
    return field(metadata={"array": Description(dtype, tuple(axes.split()), units, meaning)})


@dataclass_transform(field_specifiers=(array,), frozen_default=True)
def record(cls: type[Record]) -> type[Record]:
    """A frozen dataclass; type checkers see that a field made by `array` has no default."""
    return dataclass(frozen=True)(cls)
