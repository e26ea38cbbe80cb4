"""`keypoints forget`: quarantines the artifact of a stage and everything made from it; nothing is deleted."""

from pathlib import Path

from pipeline.commands.support import ancestry
from pipeline.commands.support.addresses import find, split
from pipeline.errors import InputError
from pipeline.store.cleanup import in_use
from pipeline.store.keys import adoptions
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import names, partials
from pipeline.store.workspace.files import quarantine


def run(address: str, stages: list[Stage]) -> int:
    """Renames the artifact at an address and its descendants to NAME.forgotten-N, prints the new names and returns the exit code 0.

    Of an adopted stage, only the record of the adoption is renamed. If several folds share the address and it has no key, each fold is
    included. Raises InputError if there is no such artifact, or if a running process needs it.
    """
    found, key = split(address, stages)
    # The artifact of an adopted stage belongs to another key. Without the record, the stage and all that depends on it change their keys.
    records = [adoptions.path(workspace_root(), stage.stem, stage.adoption.key) for stage in found if stage.adoption and not key]
    artifacts = [find(address, stages)] if key else [stage.path for stage in found if not stage.adoption]
    existing = [path for path in artifacts if path.exists() or partials.of(path)]
    if not existing and not records:
        raise InputError(f"{artifacts[0]} does not exist, so there is nothing to forget.")
    paths, models = [*records, *_with_descendants(existing)], workspace_root() / "models"
    with in_use.settled(models):
        if who := in_use.needed_by(models, {f"{path.parent.name}/{path.stem}" for path in paths}):
            raise InputError(f"{who} needs these files, so nothing was quarantined. Wait until that process has ended.")
        for path in paths:
            for quarantined in quarantine(path, "forgotten"):
                print(f"quarantined: {quarantined}")
    print("The next run recomputes them. To undo this, rename the files back; to free the disk space, run `keypoints clean`.")
    return 0


def _with_descendants(artifacts: list[Path]) -> list[Path]:
    """The artifacts and everything in the workspace that was made from them, directly or not, finished or unfinished."""
    paths = names.all_artifacts(workspace_root(), ("artifact", *names.UNFINISHED))
    made_from = {path: set(ancestry.inputs(path).values()) for path in paths}
    forgotten, keys = [*artifacts], {names.key_of(path) for path in artifacts}
    while new := [path for path, inputs in made_from.items() if path not in forgotten and inputs & keys]:
        forgotten += new
        keys |= {names.key_of(path) for path in new}
    return forgotten
