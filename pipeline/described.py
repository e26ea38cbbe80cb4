"""Arrays that say what they are: dataclass fields with dtype, shape, units and meaning.

The rooms hand arrays on as frozen dataclasses. The description stands once, beside the field; the store writes it into the HDF5 file
(`units`, `long_name`, `axes`) and checks it again when the file is read.
"""

from dataclasses import field
from typing import NamedTuple


class Description(NamedTuple):
    """dtype: numpy's name of it, or "text". axes: names of the dimensions. units: "" for a pure number. meaning: one line for people."""

    dtype: str
    axes: tuple[str, ...]
    units: str
    meaning: str


def array(dtype: str, axes: str, units: str, meaning: str):
    """A dataclass field that holds a numpy array; `axes` are the names of its dimensions, separated by blanks."""
    return field(metadata={"array": Description(dtype, tuple(axes.split()), units, meaning)})
