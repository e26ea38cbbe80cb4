"""Runs of luigi in process groups of their own, with a fault."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from workplace import TESTS, usual_signals

INJECTED = Path(__file__).with_name("injected.py")
# Seconds after which a process counts as hanging.
PATIENCE = 300


class Fresh:
    """Each run is a new process, as for a user."""

    def start(self, request: dict):
        own = {"start_new_session": True, "preexec_fn": usual_signals}
        return subprocess.Popen([sys.executable, INJECTED, json.dumps(request)], env=environment(), **own)

    def close(self) -> None:
        pass


class Nursery:
    """Runs are forked, one at a time, from a process that has imported the slow libraries, which saves the seconds of each start."""

    def __init__(self, *modules: str):
        command, pipe = [sys.executable, INJECTED, "nursery", *modules], subprocess.PIPE
        own = {"cwd": TESTS.parent, "preexec_fn": usual_signals}
        self.server = subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0, **own)

    def start(self, request: dict):
        self.server.stdin.write(json.dumps(request).encode() + b"\n")
        self.pid, self.code = int(self.server.stdout.readline()), None
        return self

    def poll(self) -> int | None:
        if self.code is None and select.select([self.server.stdout], [], [], 0)[0]:
            self.code = int(self.server.stdout.readline())
        return self.code

    def close(self) -> None:
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()


class Run:
    """A run in progress: its process group and its output."""

    def __init__(self, processes: Fresh | Nursery, request: dict):
        # A pipe, because a limit on the size of files must not truncate the output.
        self.pipe = Path(request["output"])
        self.pipe.unlink(missing_ok=True)
        os.mkfifo(self.pipe)
        self.output = ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.process = processes.start(request)

    def _read(self) -> None:
        with self.pipe.open(errors="replace") as pipe:
            for line in pipe:
                self.output += line

    def wait_for(self, text: str) -> None:
        """Waits until the output contains a text or the process has ended."""
        while text not in self.output and self.process.poll() is None:
            time.sleep(0.005)

    def signal(self, number: int, *, group: bool) -> None:
        """Sends a signal to the leader or to the whole group, if it is still running."""
        if self.process.poll() is None:
            (os.killpg if group else os.kill)(self.process.pid, number)

    def end(self, patience: float = PATIENCE) -> int | None:
        """The exit code, once no process of the group is left; None if one had to be killed because it did not end."""
        deadline, hangs = time.monotonic() + patience, False
        while (code := self.process.poll()) is None or group_lives(self.process.pid):
            time.sleep(0.005)
            if time.monotonic() > deadline and not hangs:
                hangs = True
                os.killpg(self.process.pid, signal.SIGKILL)
        # If the process is killed before it opens the pipe, the reader would wait forever.
        os.close(os.open(self.pipe, os.O_RDWR))
        self.reader.join(10)
        return None if hangs else code


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("LUIGI_CONFIG_PATH", "KERAS_BACKEND")}
    # A fixed order of independent stages, so that a number always means the same operation.
    return kept | {"PYTHONPATH": str(TESTS.parent), "PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
