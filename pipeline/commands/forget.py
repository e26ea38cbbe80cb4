"""`keypoints forget`: sets a stage's artifact and all that was made from it aside; nothing is deleted."""

import contextlib
from pathlib import Path

from pipeline.commands.chain import find
from pipeline.errors import InputError
from pipeline.store import artifacts, checkpoints
from pipeline.store.files import set_aside
from pipeline.store.stage import Stage
from pipeline.store.targets import workspace_root


def run(what: str, stages: list[Stage]) -> int:
    """Renames the artifact and its descendants to NAME.forgotten-N and says so."""
    first = find(what, stages)
    if not first.exists() and not checkpoints.of(first):
        raise InputError(f"{first} does not exist: there is nothing to forget.")
    for path in _with_descendants(first):
        for aside in set_aside(path, "forgotten"):
            print(f"set aside: {aside}")
    print("The next run makes them again. To undo, rename the files back; to free the space, delete them.")
    return 0


def _with_descendants(first: Path) -> list[Path]:
    """The artifact and every artifact of the workspace that was made from it, directly or not."""
    made_from = {}
    for path in all_artifacts():
        with contextlib.suppress(artifacts.Damaged, FileNotFoundError, KeyError):
            made_from[path] = set(artifacts.attributes(path)["made_from"]["inputs"].values())
    forgotten, keys = [first], {first.stem.rsplit("-", 1)[1]}
    while new := [path for path, inputs in made_from.items() if path not in forgotten and inputs & keys]:
        forgotten += new
        keys |= {path.stem.rsplit("-", 1)[1] for path in new}
    return forgotten


def all_artifacts() -> list[Path]:
    """Every artifact of the workspace."""
    return sorted(path for folder in ("data", "models", "submissions") for path in (workspace_root() / folder).glob("*-*.h5"))
