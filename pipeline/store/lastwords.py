"""The last lines of a run: the result and where it lies, or what went wrong and how to go on. Printed after Luigi's own."""

import atexit
import contextlib
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

from luigi.cmdline_parser import CmdlineParser

from pipeline.errors import InputError
from pipeline.store import files, interrupts, runlog
from pipeline.store.progress import say

# The last run of this folder, wherever its workspace is.
LAST_RUN = Path("models") / "last-run.json"
# Seconds for interrupted children to end by themselves.
GRACE = 3.0
GO_ON = "Finished stages are kept: the same command goes on from there."

_state: dict = {}
_missing: list[str] = []
_warned: set[str] = set()


def begin(root, workspace: Path) -> None:
    """Called for each task that Luigi's command line schedules; the first is the one asked for.

    Luigi's other tools and a plain import say nothing.
    """
    if _state or CmdlineParser.get_instance() is None:
        return
    _state.update(pid=os.getpid(), root=root, run=f"{int(time.time())}-{os.getpid()}", log=workspace / "models")
    entry = {"event": "run", "run": _state["run"], "arguments": sys.argv[1:], "folder": str(Path.cwd())}
    runlog.append(_state["log"], entry)
    if LAST_RUN.parent.is_dir():
        with contextlib.suppress(OSError, InputError), files.publishing(LAST_RUN) as draft:
            draft.write_text(json.dumps(entry) + "\n")
    interrupts.install()
    atexit.register(_print)


def run_id() -> str | None:
    return _state.get("run")


def missing(text: str) -> None:
    _missing.append(text)


def warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        say(f"warning: {text}")


def _print() -> None:
    if os.getpid() != _state["pid"]:
        return
    if interrupts.received():
        _end_children()
    # Luigi has dropped the command line by now, and with it the values of all flags.
    with CmdlineParser.global_instance(sys.argv[1:], allow_override=True):
        for line in ["", *_outcome(_state["root"])]:
            say(line)


def _end_children() -> None:
    """Luigi sends an interrupted run's children one signal and doesn't wait for them.

    One is not enough: a signal in the instant before a system call that waits is seen only when the call returns, or by the next signal.
    """
    deadline = time.monotonic() + GRACE
    while (children := multiprocessing.active_children()) and time.monotonic() < deadline:
        for child in children:
            child.terminate()
        children[0].join(0.2)
    for child in children:
        child.kill()


def _outcome(root) -> list[str]:
    entries = runlog.entries(_state["log"])
    mine = [entry for entry in entries if entry.get("run") == _state["run"] and entry.get("event") == "stage"]
    ended_badly = [entry for entry in mine if entry["status"] != "done"]
    if ended_badly or _missing:
        return [*(f"Missing: {text}" for text in _missing), *map(_bad_end, ended_badly), GO_ON]
    if not root.complete():
        return [f"{root.address} is not there. {GO_ON}"]
    ran = ", ".join(f"{entry['stage']} {entry['seconds']:.0f} s" for entry in mine)
    figures = [entry for entry in entries if entry.get("status") == "done" and entry.get("key") == root.key]
    return [
        f"Ran: {ran}." if ran else "Nothing to do: everything asked for is there and current.",
        *([f"Adopted, made with other code: {', '.join(root.adopted)}."] if root.adopted else []),
        *root.closing_words(figures[-1] if figures else {}),
    ]


def _bad_end(entry: dict) -> str:
    return f"{entry['stage']} {entry['status']}" + (f": {entry['error']}" if entry["status"] == "failed" else ".")
