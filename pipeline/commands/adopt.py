"""`keypoints adopt`: keeps an existing result in spite of a change of code that its user knows to be harmless."""

import time
from pathlib import Path

from pipeline.commands.support.addresses import artifacts_of, find, split
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import adoptions, recipe
from pipeline.store.keys.adoptions import Adoption
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import names

ALLOWED = ("code", "inputs")


class Refused(Exception):
    """Why an artifact can't be adopted."""


def run(what: str, stages: list[Stage]) -> int:
    """Records that the artifact at an address (without a key: the stage's newest that only code tells apart) is the stage's result.

    Of a stage that several folds have in common under one address, each one for which there is such an artifact. Inputs that stand in the
    way for the same reason are adopted with it. 0, or InputError where anything but code has changed.
    """
    found, key = split(what, stages)
    first, missing = found[0], [stage for stage in found if key or not stage.output().exists()]
    if not missing:
        print(f"{first.address} is there{', adopted' if first.adoption else ''}: there is nothing to adopt.")
        return 0
    for file, adoption in _planned(missing, [find(what, stages)] if key else artifacts_of(first)).items():
        adoptions.record(file, adoption)
        print(f"adopted: {adoption.stage}@{adoption.adopted}, {adoption}\n  record: {file}")
    print("The stage counts as current, but not as what the code as it is now gives; keypoints status shows what follows from it.")
    print("To undo, delete the record.")
    return 0


def _planned(stages: list[Stage], candidates: list[Path]) -> dict[Path, Adoption]:
    """What has to be adopted for each of the stages, with the first of the candidates for which that can be done; for one at least."""
    plans, refusals = {}, []
    for stage in stages:
        for path in candidates:
            try:
                if plan := _plan(stage, path):
                    plans |= plan
                    break
                raise Refused(f"{path} needs no adoption: it is what the stage asks for.")
            except Refused as refusal:
                refusals.append(str(refusal))
    if not plans:
        raise InputError(refusals[0] if refusals else f"{stages[0].address} has no artifact that could be adopted.")
    return plans


def _plan(stage: Stage, path: Path) -> dict[Path, Adoption]:
    """The adoption by which `path` becomes the artifact of `stage`, by its record's file, and before it those that its inputs need."""
    try:
        then = artifacts.attributes(path)["made_from"]
    except FileNotFoundError:
        raise Refused(f"{path} is not there any more, so nothing can say what has changed since {stage.address} was made.") from None
    except artifacts.Damaged as error:
        raise Refused(f"{error}.") from None
    changes = recipe.changes(stage.recipe, then)
    if others := [line for part, lines in changes.items() if part not in ALLOWED for line in lines]:
        raise Refused(f"{path} can't be adopted, because not only code has changed: {'; '.join(others)}.")
    if stage.inputs().keys() != then["inputs"].keys():
        raise Refused(f"{path} can't be adopted: {'; '.join(changes['inputs'])}.")
    plan = {}
    for name, task in stage.inputs().items():
        if task.key != then["inputs"][name]:
            plan |= _plan(task, task.path.with_name(f"{task.stem}-{then['inputs'][name]}.h5"))
    return plan | _own(stage, {**stage.recipe, "inputs": then["inputs"]}, path, changes["code"])


def _own(stage: Stage, made_from: dict, path: Path, in_spite_of: list[str]) -> dict[Path, Adoption]:
    """The adoption of `path` for a recipe, if it needs one."""
    key = recipe.key(made_from)
    if not in_spite_of:
        return {}
    if (made := path.with_name(f"{stage.stem}-{key}.h5")).exists():
        raise Refused(f"{made} was made with the code as it is now: set it aside first, with keypoints forget {stage.address}@{key}.")
    file = adoptions.path(workspace_root(), stage.stem, key)
    return {file: Adoption(stage.address, key, names.key_of(path), time.strftime("%Y-%m-%d"), in_spite_of)}
