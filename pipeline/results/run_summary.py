"""What a run was made from, as the report shows it: the stages with their parameters, the files that were read, versions, the device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Parameters = dict[str, tuple[Any, Any]]  # name -> (value, default)


@dataclass(frozen=True)
class StageRun:
    """A stage that a result was made from, and what the run log says about it.

    `seconds`, `ended` (ISO 8601) and `device` are None where the run log does not say.
    """

    stage: str
    key: str
    parameters: Parameters
    seconds: float | None = None
    ended: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class Provenance:
    """What a run was made from.

    faces: where the faces come from, in words.
    files: the name of each file that was read -> its SHA-256.
    stages: the stages, inputs first.
    versions: name of a package -> its version.
    device: what trained the nets, or None where the run log does not say.
    chains: the number of chains of nets whose mean is the prediction.
    adopted: addresses of the stages whose results were kept although their code has changed since.
    created: date and time at which the page was made, as text, or "".
    preset: the file name of the preset, or "".
    """

    faces: str
    files: dict[str, str]
    stages: list[StageRun]
    versions: dict[str, str]
    device: str | None
    chains: int
    adopted: list[str]
    created: str
    preset: str


def stage_run(stage: str, key: str, parameters: Parameters, log: Mapping[str, Any]) -> StageRun:
    """A stage and what its line of the run log says; `log` is empty if the run log has no such line."""
    return StageRun(stage, key, parameters, log.get("seconds"), log.get("time"), log.get("device"))


def provenance(
    stages: Sequence[StageRun],
    *,
    files: Mapping[str, str],
    versions: Mapping[str, str],
    chains: int,
    adopted: Sequence[str],
    created: str = "",
    preset: str = "",
    faces: str = "",
) -> Provenance:
    """The provenance of a run, see `Provenance`.

    faces: where they come from; "" for Kaggle's files and, if no files were read, for faces that the program rendered.
    """
    return Provenance(
        faces=faces or ", ".join(files) or "rendered by the program",
        files=dict(files),
        stages=list(stages),
        versions=dict(versions),
        device=next((run.device for run in stages if run.device is not None), None),
        chains=chains,
        adopted=list(adopted),
        created=created,
        preset=preset,
    )


def parameters_by_kind(stages: Sequence[StageRun]) -> dict[str, Parameters]:
    """The parameters of each kind of stage: kind -> name -> (value, default).

    Stages of one kind whose parameters differ only in what identifies the stage, such as its group, share one entry; any others are
    numbered: `TrainBase`, `TrainBase #2`.
    """
    found: dict[str, Parameters] = {}
    for run in stages:
        kind, *identity = run.stage.split(":")
        own = {name: (value, default) for name, (value, default) in run.parameters.items() if value not in identity}
        title, number = kind, 2
        while found.setdefault(title, own) != own:
            title, number = f"{kind} #{number}", number + 1
    return {kind: own for kind, own in found.items() if own}


@dataclass(frozen=True)
class Setting:
    """A parameter that differs from its default: the flag that sets it, its values in the stages of its kind, and the default."""

    flag: str
    values: list[Any]
    default: Any


def settings(run: Provenance) -> list[Setting]:
    """The parameters that differ from their defaults, in the order of the stages."""
    found: dict[str, Setting] = {}
    for title, own in parameters_by_kind(run.stages).items():
        kind = title.split(" #")[0]
        for name, (value, default) in own.items():
            # Predict itself sets these for each of several chains.
            if value == default or (run.chains > 1 and kind == "Load" and name in ("validation_share", "fold")):
                continue
            flag = f"--{kind}-{name.replace('_', '-')}"
            setting = found.setdefault(flag, Setting(flag, [], default))
            setting.values.extend([value] if value not in setting.values else [])
    return list(found.values())
