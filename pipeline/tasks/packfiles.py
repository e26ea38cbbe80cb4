"""Files of nets that `keypoints pack` writes: recognised, read, and refused in a sentence if they cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts, reading

if TYPE_CHECKING:
    from pipeline.inference.packs import Pack

STAGE = "Pack"  # stands in a pack where artifacts name the stage that made them
FORMAT = 1  # increases when earlier versions of the program cannot read the files


def is_pack(attributes: dict[str, Any]) -> bool:
    """Whether the attributes of a file are those of a pack."""
    return attributes.get("stage") == STAGE


def is_pack_file(path: Path) -> bool:
    """Whether the file exists, is undamaged, and is a pack."""
    try:
        return is_pack(artifacts.attributes(path))
    except (artifacts.Damaged, OSError):
        return False


def read(path: Path) -> Pack:
    """The pack in a file.

    Raises InputError if the file is missing, damaged or no pack, and if a later version of the program has written it.
    """
    from pipeline.inference.packs import Pack

    attributes = reading.attributes(path)
    if not is_pack(attributes):
        raise InputError(f"{path} is not a file of nets. `keypoints pack` writes such files.")
    found = str(attributes.get("pack_format", ""))
    if not found.isdecimal() or int(found) > FORMAT:
        raise InputError(
            f"{path} has the format {found or 'unknown'} of files of nets, but this version reads {FORMAT}. Install a newer version."
        )
    return reading.load(path, Pack)
