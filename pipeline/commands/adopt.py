"""`keypoints adopt`: keeps an existing result although its code has changed, when the user knows that the change is harmless."""

import time
from pathlib import Path
from typing import Any

from pipeline.commands.support.addresses import artifacts_of, find, split
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import adoptions, provenance
from pipeline.store.keys.adoptions import Adoption
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import names
from pipeline.store.workspace.called import called

# The parts of an artifact's provenance that may differ.
ALLOWED = ("code", "inputs")


class Refused(Exception):
    """The reason why an artifact cannot be adopted."""


def run(address: str, stages: list[Stage]) -> int:
    """Records that an existing artifact is the result of a stage, although its code has changed; returns the exit code 0.

    An address without a key means the newest artifact of the stage from which the current one differs only in code. If several folds share
    the address, each fold for which there is such an artifact gets its own. Inputs that are stale for the same reason are adopted as well.
    Raises InputError if anything other than code has changed.
    """
    found, key = split(address, stages)
    first, missing = found[0], [stage for stage in found if key or not stage.output().exists()]
    if not missing:
        print(f"{first.address} {'is already adopted' if first.adoption else 'is up to date'}. There is nothing to adopt.")
        return 0
    _record(_planned(missing, [find(address, stages)] if key else artifacts_of(first)))
    return 0


def run_all(stages: list[Stage]) -> int:
    """Adopts an artifact for each stage from which the current one differs only in code; returns 0, or 1 if some stage has none.

    Which stages cannot be adopted, and why, is printed as well.
    """
    plans: dict[Path, Adoption] = {}
    refused: dict[str, str] = {}
    for stage in stages:
        if not stage.output().exists():
            try:
                plans |= _planned([stage], artifacts_of(stage))
            except InputError as error:
                refused[f"{stage.address}@{stage.key}"] = str(error)
    _record(plans)
    for name, why in refused.items():
        print(f"not adopted: {name}: {why}")
    if not plans and not refused:
        print("Every stage is up to date. There is nothing to adopt.")
    return 1 if refused else 0


def _record(plans: dict[Path, Adoption]) -> None:
    """Writes the records, and prints what they mean."""
    for file, adoption in plans.items():
        adoptions.record(file, adoption)
        print(f"adopted: {adoption.stage}@{adoption.adopted}, {adoption}\n  record: {file}")
    if plans:
        counts = "The stage now counts" if len(plans) == 1 else "These stages now count"
        depends = f"`{called('keypoints', 'status')}` lists what depends on {'it' if len(plans) == 1 else 'them'}"
        print(f"{counts} as up to date although the current code did not produce {'it' if len(plans) == 1 else 'them'}; {depends}.")
        print(f"To undo this, delete the {'record' if len(plans) == 1 else 'records'}.")


def _planned(stages: list[Stage], candidates: list[Path]) -> dict[Path, Adoption]:
    """The adoptions for each stage, by the files of their records, each with the first of the candidates that can be adopted.

    Raises InputError if there are none for any of the stages.
    """
    plans: dict[Path, Adoption] = {}
    refusals = []
    for stage in stages:
        for path in candidates:
            try:
                if plan := _plan(stage, path):
                    plans |= plan
                    break
                raise Refused(f"{path} needs no adoption: it is the current artifact of the stage.")
            except Refused as refusal:
                refusals.append(str(refusal))
    if not plans:
        raise InputError(refusals[0] if refusals else f"{stages[0].address} has no artifact that could be adopted.")
    return plans


def _plan(stage: Stage, path: Path) -> dict[Path, Adoption]:
    """The adoption that makes `path` the artifact of `stage`, by the file of its record, after those that its inputs need."""
    then = _made_from(stage, path)
    changes = provenance.changes(stage.provenance, then)
    if others := [line for part, lines in changes.items() if part not in ALLOWED for line in lines]:
        raise Refused(f"{path} cannot be adopted, because more than code has changed: {'; '.join(others)}.")
    if stage.inputs().keys() != then["inputs"].keys():
        raise Refused(f"{path} cannot be adopted: {'; '.join(changes['inputs'])}.")
    plan: dict[Path, Adoption] = {}
    for name, task in stage.inputs().items():
        if task.key != then["inputs"][name]:
            plan |= _plan(task, task.path.with_name(f"{task.stem}-{then['inputs'][name]}.h5"))
    return plan | _own(stage, {**stage.provenance, "inputs": then["inputs"]}, path, changes["code"])


def _made_from(stage: Stage, path: Path) -> dict[str, Any]:
    try:
        return artifacts.attributes(path)["made_from"]
    except FileNotFoundError:
        raise Refused(f"{path} no longer exists, so it is unknown what has changed since {stage.address} was made.") from None
    except artifacts.Damaged as error:
        raise Refused(f"{error}.") from None


def _own(stage: Stage, made_from: dict[str, Any], path: Path, in_spite_of: list[str]) -> dict[Path, Adoption]:
    """The adoption of `path` in place of what the stage would make from `made_from`; empty if code has not changed."""
    key = provenance.key(made_from)
    if not in_spite_of:
        return {}
    forget = called("keypoints", "forget", f"{stage.address}@{key}")
    if (made := path.with_name(f"{stage.stem}-{key}.h5")).exists():
        raise Refused(f"{made} was made with the current code. Quarantine it first: {forget}")
    file = adoptions.path(workspace_root(), stage.stem, key)
    return {file: Adoption(stage.address, key, names.key_of(path), time.strftime("%Y-%m-%d"), in_spite_of)}
