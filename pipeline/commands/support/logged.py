"""The runs that the log of a workspace records: with which settings, how long, how each ended, and how accurate its result is."""

import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline import environment
from pipeline.commands.support import last_run
from pipeline.store.workspace import names, runlog

# What a run is judged by: the last of these stages that it made or found up to date.
SCORED = ("Predict", "TrainBase")
# The interval behind a metric in the words of Predict.
_INTERVAL = re.compile(r" \([\d.,]+ to [\d.,]+\)")


@dataclass(frozen=True)
class LoggedRun:
    """A run as its log records it.

    began: local time, YYYY-MM-DDTHH:MM:SS+ZZZZ. task: what was run. settings: its flags by name, without leading dashes.
    seconds: how long it took; None if that is unknown. ended: finished, nothing to do, running, or what else happened, in words.
    stage, key: of the result that it is judged by; "" if it has none. rmse: its validation RMSE, px; None if it has none. metrics: those
    of an own set, in words; "" for others. kaggle: the public score on Kaggle, "" if there is none.
    """

    workspace: Path
    began: str
    task: str
    settings: dict[str, str]
    seconds: float | None
    ended: str
    stage: str = ""
    key: str = ""
    rmse: float | None = None
    metrics: str = ""
    kaggle: str = ""


def runs_of(workspace: Path) -> list[LoggedRun]:
    """The runs of a workspace, in the order in which they began."""
    entries = runlog.entries(workspace / "models")
    return [_run(workspace, entry, entries) for entry in entries if entry.get("event") == "run" and entry.get("arguments")]


def _run(workspace: Path, entry: dict[str, Any], entries: list[dict[str, Any]]) -> LoggedRun:
    mine = [each for each in entries if "run" in entry and each.get("run") == entry["run"]]
    stages, end = [each for each in mine if each.get("event") == "stage"], last_run.end_of(entry, entries)
    last = end or (stages[-1] if stages else {})
    judged = _judged(entry, end, stages, entries)
    return LoggedRun(
        workspace,
        str(entry.get("time", "")),
        last_run.task_of(entry),
        last_run.settings_of(entry),
        _seconds(entry, last),
        _ended(entry, end, stages),
        stage=str(judged.get("stage", "")),
        key=str(judged.get("key", "")),
        rmse=_number(judged.get("rmse")),
        metrics=_INTERVAL.sub("", str(judged.get("result", "")).partition("; ")[2]),
        kaggle=_public_score(str(judged.get("key", "")), entries),
    )


def _judged(entry: dict[str, Any], end: dict[str, Any], stages: list[dict[str, Any]], entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The entry of the stage that a run is judged by, which an earlier run may have made; {} if there is none."""
    made = {each["key"]: each for each in entries if each.get("event") == "stage" and each.get("status") == "done"}
    own = {each["stage"]: each for each in stages if each.get("status") == "done"}
    for stage in SCORED:
        if stage in own:
            return own[stage]
        if (place := end.get("artifacts", {}).get(stage)) and (name := names.parse(Path(place))):
            return made.get(name.key or "", {"stage": stage, "key": name.key})
    return own.get(last_run.task_of(entry), {})


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _public_score(key: str, entries: list[dict[str, Any]]) -> str:
    found = [each.get("public_score") for each in entries if each.get("event") == "kaggle" and each.get("key") == key]
    return next((str(score) for score in reversed(found) if score), "")


def _seconds(entry: dict[str, Any], last: dict[str, Any]) -> float | None:
    """The time from the beginning of a run to its last entry."""
    try:
        began, ended = (datetime.strptime(str(each["time"]), "%Y-%m-%dT%H:%M:%S%z") for each in (entry, last))
    except (KeyError, ValueError):
        return None
    return max(0.0, (ended - began).total_seconds())


def _ended(entry: dict[str, Any], end: dict[str, Any], stages: list[dict[str, Any]]) -> str:
    """How a run ended, in words."""
    if end:
        return "finished" if stages or "run" not in entry else "nothing to do"
    if bad := [each for each in stages if each.get("status") != "done"]:
        what = f"{bad[-1]['stage']} {bad[-1]['status']}"
        return f"{what}: {bad[-1]['error']}" if bad[-1].get("error") else what
    return "running" if _lives(entry) else "ended without result"


def _lives(entry: dict[str, Any]) -> bool:
    """Whether the process of a run exists, as far as this host can tell."""
    if entry.get("host") != environment.host() or not isinstance(entry.get("pid"), int):
        return False
    try:
        os.kill(entry["pid"], 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
