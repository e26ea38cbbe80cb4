"""The last lines of a run: the result and where it lies, or what went wrong and how to go on. Printed after Luigi's own."""

import atexit
import os
import signal
import sys
import time
from pathlib import Path

from luigi.cmdline_parser import CmdlineParser

from pipeline.store import runlog
from pipeline.store.progress import say

LAST_RUN = Path("models") / "last-run.json"

_state: dict = {}
_missing: list[str] = []
_warned: set[str] = set()


def begin(root, workspace: Path) -> None:
    """Called for each task that Luigi's command line schedules; the first is the one asked for. Luigi's other tools and a plain import say nothing."""
    if _state or CmdlineParser.get_instance() is None:
        return
    _state.update(pid=os.getpid(), root=root, run=f"{int(time.time())}-{os.getpid()}", log=workspace / "models")
    runlog.append(_state["log"], {"event": "run", "run": _state["run"], "arguments": sys.argv[1:], "folder": str(Path.cwd())})
    signal.signal(signal.SIGTERM, _terminated)
    atexit.register(_print)


def run_id() -> str | None:
    return _state.get("run")


def missing(text: str) -> None:
    _missing.append(text)


def warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        say(f"warning: {text}")


def _terminated(number, frame):
    # Luigi counts any other exception of a stage as its failure and goes on with the next.
    raise KeyboardInterrupt("terminated")


def _print() -> None:
    if os.getpid() != _state["pid"]:
        return
    # Luigi has dropped the command line by now, and with it the values of all flags.
    with CmdlineParser.global_instance(sys.argv[1:]):
        _print_outcome()


def _print_outcome() -> None:
    root = _state["root"]
    mine = [entry for entry in runlog.entries(_state["log"]) if entry.get("run") == _state["run"] and entry["event"] == "stage"]
    ended_badly = [entry for entry in mine if entry["status"] != "done"]
    say("")
    if ended_badly or _missing:
        for text in _missing:
            say(f"Missing: {text}")
        for entry in ended_badly:
            say(f"{entry['stage']} {entry['status']}" + (f": {entry['error']}" if entry["status"] == "failed" else "."))
        say("Finished stages are kept: the same command goes on from there.")
        return
    if not root.complete():
        say(f"{root.address} is not there. Finished stages are kept: the same command goes on from there.")
        return
    ran = ", ".join(f"{entry['stage']} {entry['seconds']:.0f} s" for entry in mine)
    say(f"Ran: {ran}." if ran else "Nothing to do: everything asked for is there and current.")
    for line in root.closing_words(_last_figures(root)):
        say(line)


def _last_figures(root) -> dict:
    """What the stage concluded with when it was made."""
    made = [
        e
        for e in runlog.entries(_state["log"])
        if e.get("stage") == root.address and e.get("key") == root.key and e.get("status") == "done"
    ]
    return made[-1] if made else {}
