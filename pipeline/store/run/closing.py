"""The summary at the end of a run: the result and its place, or what went wrong and how to continue. It follows the output of Luigi."""

import atexit
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi
from luigi.cmdline_parser import CmdlineParser

from pipeline import environment, units
from pipeline.store.cleanup import recovery
from pipeline.store.keys import provenance
from pipeline.store.run import configuration, interrupts
from pipeline.store.workspace import console, locks, names, runlog
from pipeline.store.workspace.console import say

if TYPE_CHECKING:
    from pipeline.store.run.stage import Stage

# Describes the last run started in this folder, wherever its workspace is.
LAST_RUN = Path("models") / "last-run.json"
ELSEWHERE = "Made by other processes"
GO_ON = "Finished stages are kept: the same command resumes from there."


@dataclass(frozen=True)
class _Run:
    """The run of this process.

    root: the stage that the command names.
    log: the folder of the run log.
    entry: what the run log says of its beginning.
    cached: the keys of the stages that had an artifact then.
    """

    pid: int
    root: "Stage"
    name: str
    began: float
    log: Path
    entry: dict[str, Any] = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)


_current: list[_Run] = []
_missing: list[str] = []
_given_up: list[str] = []


def begin(root: "Stage", workspace: Path) -> None:
    """Starts a run, unless it has started: writes its log entry, handles signals, and arranges that the summary is printed at the end.

    It is called for each task that Luigi's command line schedules, first for the one that the command names. Outside of a command, such as
    in a notebook that calls `luigi.build` or `luigi.run`, or in other tools of Luigi, it does nothing.
    """
    if _current or CmdlineParser.get_instance() is None or root.task_family not in sys.argv:
        return
    run = _Run(os.getpid(), root, f"{int(time.time())}-{environment.process()}", time.time(), workspace / "models")
    _current.append(run)
    atexit.register(_print, run)
    console.make_unfailing()
    interrupts.install(GO_ON)
    entry = {"event": "run", "run": run.name, "arguments": sys.argv[1:], "preset": configuration.preset(), "folder": str(Path.cwd())}
    run.entry.update(entry, time=_now())
    runlog.append(run.log, run.entry)
    with contextlib.suppress(OSError):
        (workspace / "data").mkdir(exist_ok=True)  # digests of files are remembered there only if it exists
    run.cached.update(stage.key for stage in root.needed_stages() if stage.path.exists())
    for folder in names.FOLDERS:
        with contextlib.suppress(OSError):
            recovery.clear(workspace / folder)
    if "end" not in _noted():  # one that may yet fail does not replace one that has finished
        _note(run.entry)


@luigi.Task.event_handler(luigi.Event.PROCESS_FAILURE)
def _died(task: luigi.Task, message: str) -> None:
    """Records that one of several worker processes ended unexpectedly."""
    for run in _current:
        if hasattr(task, "address") and hasattr(task, "key"):
            error = "its process was killed from outside, or the system ran out of memory"
            entry = {"event": "stage", "run": run.name, "stage": task.address, "key": task.key, "status": "failed", "error": error}
            entry |= {"variation": variation} if (variation := getattr(task, "variation", "")) else {}
            runlog.append(run.log, entry)


def run_id() -> str | None:
    """The name of the current run in the run log; None outside of a run."""
    return _current[0].name if _current else None


def missing(text: str) -> None:
    """Adds a sentence about a missing file, or about several missing files, to the summary."""
    if text not in _missing:
        _missing.append(text)


def given_up(text: str) -> None:
    """Adds a sentence about a stage that failed on other workers to the summary."""
    if text not in _given_up:
        _given_up.append(text)


def _print(run: _Run) -> None:
    if os.getpid() != run.pid:
        return
    # Luigi has already discarded the command line, and with it the values of all flags.
    with interrupts.ending(), CmdlineParser.global_instance(sys.argv[1:], allow_override=True):
        finished, lines = _outcome(run)
        if finished:
            _log_end(run)
        for line in ["", *lines]:
            say(line)


def _log_end(run: _Run) -> None:
    """Writes to the run log that the run has finished, and the files of its results."""
    places = provenance.numbered((stage.address, f"{stage.place}.h5") for stage in run.root.needed_stages())
    end = {"event": "end", "run": run.name, "time": _now(), "artifacts": places}
    runlog.append(run.log, end)
    # Earlier results of stages that this run does not need are still the last ones of this folder.
    before = {name: file for name, file in _noted().get("files", {}).items() if name.split(" #")[0] not in places}
    _note({**run.entry, "end": end, "files": before | {address: str(run.log.parent / place) for address, place in places.items()}})


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _note(entry: dict[str, Any]) -> None:
    """Notes a run as the last one of the current folder."""
    if LAST_RUN.parent.is_dir():
        locks.rewrite(LAST_RUN, json.dumps(entry) + "\n")


def _noted() -> dict[str, Any]:
    """The run that is noted in the current folder; {} if there is none, or if the note is unusable."""
    try:
        noted = runlog.parse(LAST_RUN.read_text(encoding="utf-8", errors="replace")) or {}
    except OSError:
        return {}
    return noted if isinstance(noted.get("files", {}), dict) and isinstance(noted.get("end", {}), dict) else {}


def _outcome(run: _Run) -> tuple[bool, list[str]]:
    """Whether the run has finished, and the lines of the summary."""
    root, entries = run.root, runlog.entries(run.log)
    mine = [entry for entry in entries if entry.get("run") == run.name and entry.get("event") == "stage"]
    done, failures = [entry for entry in mine if entry["status"] == "done"], _failures(root, mine)
    # A training that ended without a result (diverged or pruned) is not a failure if the named stage could do without it.
    if _missing or _given_up or any(entry["status"] in ("failed", "interrupted") for entry in failures):
        reasons = [*(f"Missing: {text}" for text in _missing), *map(_bad_end, failures)]
        elsewhere = [text for text in _given_up if not any(text.startswith(_title(entry)) for entry in failures)]
        return False, [*_table(done, run), *_others(run, mine), *reasons, *elsewhere, GO_ON]
    if not root.complete():
        return False, [*_table(done, run), *map(_bad_end, failures), f"{root.address} is missing. {GO_ON}"]
    results = [entry["result"] for entry in entries if entry.get("status") == "done" and entry.get("key") == root.key and "result" in entry]
    is_new = bool(done) or root.key not in run.cached
    return True, [
        *([*_table(done, run), *_others(run, mine)] if is_new else ["Nothing to do: every result exists and is up to date."]),
        *([f"Adopted, made with different code: {', '.join(root.adopted)}."] if root.adopted else []),
        *_aligned(root.closing_words() | ({"Result": results[-1]} if results else {})),
    ]


def _failures(root: "Stage", mine: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last failure of each stage that failed and has not been made since, by this process or by another."""
    made = {stage.key for stage in root.needed_stages() if stage.path.exists()}
    return list({entry["key"]: entry for entry in mine if entry["status"] != "done" and entry["key"] not in made}.values())


def _table(done: list[dict[str, Any]], run: _Run) -> list[str]:
    """The stages that ran, with durations and results. The result of the named stage follows elsewhere."""
    rows = [(_title(e), units.clock(e["seconds"]), e.get("result", "") if e["key"] != run.root.key else "") for e in done]
    if not rows:
        return []
    stage, clock = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"  {row[0]:<{stage}}  {row[1]:>{clock}}  {row[2]}".rstrip() for row in rows]
    return [f"Ran {units.counted(len(rows), 'stage')} in {units.clock(time.time() - run.began)}:", *lines]


def _title(entry: dict[str, Any]) -> str:
    """How output names the stage of an entry."""
    return f"{entry['stage']} ({entry['variation']})" if entry.get("variation") else str(entry["stage"])


def _others(run: _Run, mine: list[dict[str, Any]]) -> list[str]:
    """The stages that did not run here: those with an artifact, by whether it was there when the run began, and those without."""
    known = {entry["key"] for entry in mine}
    others = [stage for stage in run.root.needed_stages() if stage.key not in known]
    existing, lacking = ([stage for stage in others if stage.path.exists() == exists] for exists in (True, False))
    cached, made = ([stage for stage in existing if (stage.key in run.cached) == before] for before in (True, False))
    return [f"{title}: {_names(stages)}" for title, stages in (("Cached", cached), (ELSEWHERE, made), ("Not made", lacking)) if stages]


def _names(stages: Iterable["Stage"]) -> str:
    """The addresses of stages; several stages of one family are counted instead."""
    families: dict[str, list[str]] = {}
    for stage in stages:
        families.setdefault(stage.task_family, []).append(stage.address)
    return ", ".join(names[0] if len(names) == 1 else f"{family} ({len(names)})" for family, names in families.items())


def _aligned(words: dict[str, Any]) -> list[str]:
    """One line per title, with aligned texts."""
    width = max(map(len, words))
    return [f"{title + ':':<{width + 2}}{text}" for title, text in words.items()]


def _bad_end(entry: dict[str, Any]) -> str:
    """How a stage ended that has no result."""
    return f"{_title(entry)} {entry['status']}" + ("." if entry["status"] == "interrupted" else f": {entry['error']}")
