"""Runs of luigi in process groups of their own, with a fault in them."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from workplace import TESTS

INJECTED = Path(__file__).with_name("injected.py")
# Seconds after which a process is taken to hang.
PATIENCE = 300


class Fresh:
    """Each run is a process of its own from the start, as a user's is."""

    def start(self, request: dict):
        return subprocess.Popen([sys.executable, INJECTED, json.dumps(request)], env=environment(), start_new_session=True)

    def close(self) -> None:
        pass


class Nursery:
    """Runs are forked off a process that has imported slow libraries, one at a time: without the seconds that each start takes."""

    def __init__(self, *modules: str):
        command, pipe = [sys.executable, INJECTED, "nursery", *modules], subprocess.PIPE
        self.server = subprocess.Popen(
            command, env=environment(), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0, cwd=TESTS.parent
        )

    def start(self, request: dict):
        # Luigi takes two processes for one if their command lines are alike.
        request = {**request, "arguments": [*request["arguments"], "--no-lock"]}
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
    """A run under way: its process group, its output."""

    def __init__(self, processes: Fresh | Nursery, request: dict):
        # A pipe: a limit on the size of files must not cut the output off.
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
        """Waits until the output has a text, or the process ended."""
        while text not in self.output and self.process.poll() is None:
            time.sleep(0.005)

    def signal(self, number: int, *, group: bool) -> None:
        """Sends a signal to the leader or to all of its group, if it still runs."""
        if self.process.poll() is None:
            (os.killpg if group else os.kill)(self.process.pid, number)

    def end(self, patience: float = PATIENCE) -> int | None:
        """The exit code, when no process of the group is left; None if one had to be killed because it didn't end."""
        deadline, hangs = time.monotonic() + patience, False
        while (code := self.process.poll()) is None or group_lives(self.process.pid):
            time.sleep(0.005)
            if time.monotonic() > deadline and not hangs:
                hangs = True
                os.killpg(self.process.pid, signal.SIGKILL)
        # A process that was killed before it opened the pipe leaves the reader waiting.
        os.close(os.open(self.pipe, os.O_RDWR))
        self.reader.join(10)
        return None if hangs else code


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("LUIGI_CONFIG_PATH", "KERAS_BACKEND")}
    # One order of stages that do not need each other, so that a number means one operation.
    return kept | {"PYTHONPATH": str(TESTS.parent), "PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
