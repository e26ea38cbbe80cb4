"""What the commands that draw have in common: which net, what the picture is called and where it goes."""

from pathlib import Path

from pipeline.commands.support.addresses import find, split
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.run.stage import Stage
from pipeline.store.workspace import files
from pipeline.tasks.training import Training


def find_net(what: str, stages: list[Stage]) -> Path:
    """The artifact at an address that holds a net; InputError for a stage that trains none."""
    (stage, *_), _ = split(what, stages)
    if not isinstance(stage, Training):
        nets = ", ".join(stage.address for stage in stages if isinstance(stage, Training))
        raise InputError(f"{stage.address} trains no net; {nets} do.")
    return find(what, stages)


def title(path: Path) -> str:
    """How a picture names the net of an artifact: STAGE[:group]@key."""
    attributes = artifacts.attributes(path)
    return f"{attributes['stage']}@{attributes['key']}"


def write(figure, out: str) -> int:
    """Writes the picture to the file `out` and says so; 0, or InputError where that fails."""
    from pipeline.results import style

    path = Path(out)
    if path.suffix.lower() != ".png":
        raise InputError(f"--out {path}: the picture is a PNG; give it a name that ends in .png.")
    try:
        with files.publishing(path) as draft:
            style.save_png(figure, draft)
    except OSError as error:
        raise InputError(f"{path} could not be written: {error.strerror.lower()}.") from None
    print(f"wrote {path}")
    return 0
