"""The last lines of a run: the result and where it lies, or what went wrong and how to go on. Printed after Luigi's own."""

import atexit
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import luigi
from luigi.cmdline_parser import CmdlineParser

from pipeline import units
from pipeline.store.cleanup import recovery
from pipeline.store.run import configuration, interrupts
from pipeline.store.workspace import locks, runlog
from pipeline.store.workspace.console import say

# The last run of this folder, wherever its workspace is.
LAST_RUN = Path("models") / "last-run.json"
FOLDERS = ("data", "models", "submissions")
GO_ON = "Finished stages are kept: the same command goes on from there."

_state: dict = {}
_missing: list[str] = []


def begin(root, workspace: Path) -> None:
    """Called for each task that Luigi's command line schedules; the first is the one asked for.

    Luigi's other tools and a plain import say nothing.
    """
    if _state or CmdlineParser.get_instance() is None:
        return
    _state.update(pid=os.getpid(), root=root, run=f"{int(time.time())}-{os.getpid()}", began=time.time(), log=workspace / "models")
    atexit.register(_print)
    interrupts.install(GO_ON)
    entry = {"event": "run", "run": _state["run"], "arguments": sys.argv[1:], "preset": configuration.preset(), "folder": str(Path.cwd())}
    runlog.append(_state["log"], entry)
    for folder in FOLDERS:
        with contextlib.suppress(OSError):
            recovery.clear(workspace / folder)
    if LAST_RUN.parent.is_dir():
        locks.rewrite(LAST_RUN, json.dumps(entry) + "\n")


@luigi.Task.event_handler(luigi.Event.PROCESS_FAILURE)
def _died(task, message: str) -> None:
    """The process of one of several workers ended without a word."""
    if _state and hasattr(task, "address"):
        error = "its process was killed from outside, or the system ran out of memory"
        runlog.append(
            _state["log"], {"event": "stage", "run": run_id(), "stage": task.address, "key": task.key, "status": "failed", "error": error}
        )


def run_id() -> str | None:
    return _state.get("run")


def missing(text: str) -> None:
    _missing.append(text)


def _print() -> None:
    if os.getpid() != _state["pid"]:
        return
    # Luigi has dropped the command line by now, and with it the values of all flags.
    with interrupts.ending(), CmdlineParser.global_instance(sys.argv[1:], allow_override=True):
        for line in ["", *_outcome(_state["root"])]:
            say(line)


def _outcome(root) -> list[str]:
    entries = runlog.entries(_state["log"])
    mine = [entry for entry in entries if entry.get("run") == _state["run"] and entry.get("event") == "stage"]
    done, others = ([entry for entry in mine if (entry["status"] == "done") == well] for well in (True, False))
    # A training without a result (diverged, pruned) is no fault where the stage that was asked for could do without.
    if _missing or any(entry["status"] in ("failed", "interrupted") for entry in others):
        return [*_table(done, root), *_others(root, mine), *(f"Missing: {text}" for text in _missing), *map(_bad_end, others), GO_ON]
    if not root.complete():
        return [*_table(done, root), *map(_bad_end, others), f"{root.address} is not there. {GO_ON}"]
    results = [entry["result"] for entry in entries if entry.get("status") == "done" and entry.get("key") == root.key and "result" in entry]
    return [
        *([*_table(done, root), *_others(root, mine)] if done else ["Nothing to do: everything asked for is there and current."]),
        *([f"Adopted, made with other code: {', '.join(root.adopted)}."] if root.adopted else []),
        *_aligned(root.closing_words() | ({"Result": results[-1]} if results else {})),
    ]


def _table(done: list[dict], root) -> list[str]:
    """What ran, for how long and with which result; that of `root` is in its closing words."""
    rows = [(e["stage"], units.clock(e["seconds"]), e.get("result", "") if e["stage"] != root.address else "") for e in done]
    if not rows:
        return []
    stage, clock = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"  {row[0]:<{stage}}  {row[1]:>{clock}}  {row[2]}".rstrip() for row in rows]
    return [f"Ran {units.counted(len(rows), 'stage')} in {units.clock(time.time() - _state['began'])}:", *lines]


def _others(root, mine: list[dict]) -> list[str]:
    """The stages that did not run, by whether there is an artifact of them."""
    known = {entry["stage"] for entry in mine}
    others = [stage for stage in root.chain() if stage.address not in known]
    there, lacking = ([stage for stage in others if stage.path.exists() == here] for here in (True, False))
    return [f"{title}: {_names(stages)}" for title, stages in (("Cached", there), ("Not made", lacking)) if stages]


def _names(stages: list) -> str:
    """Their addresses; several of one family as their number."""
    families = {stage.task_family: [] for stage in stages}
    for stage in stages:
        families[stage.task_family].append(stage.address)
    return ", ".join(names[0] if len(names) == 1 else f"{family} ({len(names)})" for family, names in families.items())


def _aligned(words: dict[str, Any]) -> list[str]:
    """A line for each title."""
    width = max(map(len, words))
    return [f"{title + ':':<{width + 2}}{text}" for title, text in words.items()]


def _bad_end(entry: dict) -> str:
    return f"{entry['stage']} {entry['status']}" + ("." if entry["status"] == "interrupted" else f": {entry['error']}")
