"""What the subcommands that draw have in common: finding the net, the title of the picture, and writing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.support import reading
from pipeline.commands.support.addresses import find, named, split
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.run.stage import Stage
from pipeline.store.workspace import files
from pipeline.tasks.training import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure


NETS = ("TrainBase", "TrainSpecialist")


def find_net(what: str, stages: list[Stage]) -> Path:
    """The path of the artifact that an address, a key or a file name stands for; InputError if its stage does not train a net."""
    if path := named(what):
        made_by = reading.attributes(path).get("stage", "another program")
        if str(made_by).split(":")[0] not in NETS:
            raise InputError(f"{path} is not a net, but was made by {made_by}. Name an artifact of {' or '.join(NETS)}.")
        return path
    (stage, *_), _ = split(what, stages)
    if not isinstance(stage, Training):
        nets = ", ".join(stage.address for stage in stages if isinstance(stage, Training))
        raise InputError(f"{stage.address} does not train a net. These stages do: {nets}.")
    return find(what, stages)


def title(path: Path) -> str:
    """The name of the net in the artifact at `path`, for a picture: STAGE[:group]@key."""
    attributes = artifacts.attributes(path)
    return f"{attributes['stage']}@{attributes['key']}"


def write(figure: Figure, out: str) -> int:
    """Writes a figure to the PNG file `out`, prints its name and returns the exit code 0; InputError if it cannot be written."""
    from pipeline.results import style

    path = Path(out)
    if path.suffix.lower() != ".png":
        raise InputError(f"--out {path}: the picture is a PNG file, so its name must end in .png.")
    try:
        with files.publishing(path) as draft:
            style.save_png(figure, draft)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}.") from None
    print(f"wrote {path}")
    return 0
