"""`keypoints forget`: sets a stage's artifact and all that was made from it aside; nothing is deleted."""

from pathlib import Path

from pipeline.commands.support import provenance
from pipeline.commands.support.addresses import find, split
from pipeline.errors import InputError
from pipeline.store.cleanup import in_use
from pipeline.store.keys import adoptions
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import names, partials
from pipeline.store.workspace.files import set_aside


def run(what: str, stages: list[Stage]) -> int:
    """Renames the artifact and its descendants to NAME.forgotten-N and says so. Of an adopted stage: the record of the adoption alone.

    Without a key: of several folds the artifact of each.
    """
    found, key = split(what, stages)
    # The artifact of an adopted stage is what its own key says. Without the record the stage has another one, and so has all that follows.
    records = [adoptions.path(workspace_root(), stage.stem, stage.adoption.key) for stage in found if stage.adoption and not key]
    artifacts = [find(what, stages)] if key else [stage.path for stage in found if not stage.adoption]
    there = [path for path in artifacts if path.exists() or partials.of(path)]
    if not there and not records:
        raise InputError(f"{artifacts[0]} does not exist: there is nothing to forget.")
    paths, models = [*records, *_with_descendants(there)], workspace_root() / "models"
    with in_use.settled(models):
        if who := in_use.needed_by(models, {f"{path.parent.name}/{path.stem}" for path in paths}):
            raise InputError(f"{who} needs what is to be forgotten: nothing was set aside. Wait until it has ended.")
        for path in paths:
            for aside in set_aside(path, "forgotten"):
                print(f"set aside: {aside}")
    print("The next run makes them again. To undo, rename the files back; to free the space, keypoints clean.")
    return 0


def _with_descendants(artifacts: list[Path]) -> list[Path]:
    """The artifacts and all of the workspace that was made from them, directly or not, finished or unfinished."""
    paths = names.all_artifacts(workspace_root(), ("artifact", *names.UNFINISHED))
    made_from = {path: set(provenance.inputs(path).values()) for path in paths}
    forgotten, keys = [*artifacts], {names.key_of(path) for path in artifacts}
    while new := [path for path, inputs in made_from.items() if path not in forgotten and inputs & keys]:
        forgotten += new
        keys |= {names.key_of(path) for path in new}
    return forgotten
