"""The nets that `keypoints annotate` predicts with, as files: those of the selected run, or those that an artifact names as its inputs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from luigi.task import flatten

from pipeline.commands.support import ancestry, reading
from pipeline.commands.support.addresses import locate
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import ExternalFile, workspace_root
from pipeline.store.workspace import names
from pipeline.store.workspace.called import called
from pipeline.tasks.results import Predict, share_of

# What is made from predictions leads to the nets through them.
FOLLOWED = "Predict"


@dataclass(frozen=True)
class Nets:
    """Chains of nets: the artifacts of the base net and of the specialists of each, and the weight of the base net in the mean.

    source: what they are, as a sentence; empty for those of the selected run. predicted: the artifact of Predict that was made with them,
    which says what errors are to be expected; None if there is none.
    """

    chains: list[list[Path]]
    base_share: float
    source: str = ""
    predicted: Path | None = None

    @property
    def saw_only_drawn_faces(self) -> bool:
        """Whether the nets were trained on faces that the program drew."""
        return any(name == "Render" for chain in self.chains for net in chain[:1] for name, _ in ancestry.ancestors(net))


def chosen(what: str, stages: list[Stage]) -> Nets:
    """The nets of an artifact, given as for `addresses.locate`: those that it was made from, or a base net alone.

    Raises InputError if it is neither a base net nor made from nets, and if a net no longer exists.
    """
    path = locate(what, stages)
    attributes = reading.attributes(path)
    stage, inputs = str(attributes.get("stage", "")), ancestry.inputs(path)
    if FOLLOWED in inputs:
        return chosen(str(_file(path, FOLLOWED, inputs[FOLLOWED])), stages)
    name = f"{stage}@{attributes.get('key', '')} in {ancestry.root_of(path).resolve()}"
    if stage == "TrainBase":
        return Nets([[path]], 1.0, f"Predicting only with the base net {name}.")
    chains = _chains_of(path, inputs)
    if stage.startswith("TrainSpecialist") or not chains:
        raise InputError(f"{path} was not made from a base net and its specialists. Give --nets an artifact of Predict or TrainBase.")
    parameters = attributes.get("made_from", {}).get("parameters", {})
    predicted = path if stage == FOLLOWED else None
    return Nets(chains, share_of(parameters.get("base_share", 0.33)), f"Predicting with the nets of {name}.", predicted)


def of_run(predict: Predict, predicted: Path | None, command: str) -> Nets:
    """The nets of the selected run, if they are up to date.

    predicted: the artifact of Predict that the run made. If they are not up to date only because a file of the data set has been moved or
    removed since, the nets are those of this artifact.

    Raises InputError if there are none; `command` is the one that trains them.
    """
    chains = [[chain["base"], *chain["specialists"].values()] for chain in predict.requires()["chains"]]
    lacking = [net.address for chain in chains for net in chain if not net.complete()]
    if not lacking:
        own = predict.path if predict.complete() else None
        return Nets([[net.path for net in chain] for chain in chains], predict.share, predicted=own)
    if predicted and (gone := _missing_files(predict)):
        nets = chosen(str(predicted), [])
        return replace(nets, source=f"{gone[0]} is missing now, but the nets exist. {nets.source}")
    raise InputError(
        f"There are no trained nets to predict with: {len(lacking)} of {sum(map(len, chains))} are missing or stale, {lacking[0]} among"
        f" them (`{called('keypoints', 'status')}` says why). To train them: {command}{_usable_instead()}"
    )


def _chains_of(path: Path, inputs: dict[str, str]) -> list[list[Path]]:
    """The files of each chain among the inputs of an artifact; equal addresses of several chains are numbered."""
    chains, specialists = [], [name for name in inputs if name.startswith("TrainSpecialist:") and " #" not in name]
    for number in range(1, len(inputs) + 1):
        suffix = f" #{number}" if number > 1 else ""
        own = {name: f"{name}{suffix}" for name in ("TrainBase", *specialists)}
        if not set(own.values()) <= inputs.keys():
            break
        chains.append([_file(path, name, inputs[numbered]) for name, numbered in own.items()])
    return chains


def _file(path: Path, stage: str, key: str) -> Path:
    """The file of an input of the artifact at `path`, in the same workspace or folder; InputError if it does not exist."""
    found = ancestry.ancestors(path).get((stage, key))
    name = names.parse(found) if found else None
    if found is None or name is None or name.kind != "artifact":
        raise InputError(f"{path} was made from {stage}@{key}, which no longer exists.")
    return found


def _missing_files(predict: Predict) -> list[str]:
    """The files of the user that the stages need and that do not exist."""
    files = [task for stage in predict.needed_stages() for task in flatten(stage.requires()) if isinstance(task, ExternalFile)]
    return [lacking for task in files if (lacking := task.lacking())]


def _usable_instead() -> str:
    """The end of a sentence that names finished nets of this workspace; empty if there are none."""
    made = sorted(names.artifacts(workspace_root() / Predict.folder), key=lambda path: path.stat().st_mtime, reverse=True)
    keys = [names.key_of(path) for path in made if _is_prediction(path)]
    return f". To use finished nets as they are: --nets {keys[0]}" if keys else ""


def _is_prediction(path: Path) -> bool:
    try:
        attributes: dict[str, Any] = artifacts.attributes(path)
    except (artifacts.Damaged, OSError, json.JSONDecodeError):
        return False
    return attributes.get("stage") == "Predict"
