"""A real luigid on a free port of 127.0.0.1, with short delays so that workers that die are noticed soon."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from luigi.rpc import RemoteScheduler
from workplace import until, usual_signals

SETTINGS = """
[scheduler]
retry_count = 3
retry_delay = 0.2
worker_disconnect_delay = 4
prune_on_get_work = true
"""
# For the workers: they ask often, and wait for a server that does not answer.
WORKERS = """
rpc_retry_attempts = 100
rpc_retry_wait = 1
[worker]
wait_interval = 0.1
wait_jitter = 0.1
ping_interval = 0.3
"""


class Luigid:
    """A server that can be stopped and started again."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "luigid.cfg").write_text(SETTINGS)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.flags = ("--scheduler-port", str(self.port))
        self.rpc = RemoteScheduler(f"http://127.0.0.1:{self.port}")
        self.rpc._rpc_retry_attempts, self.rpc._rpc_log_retries = 1, False
        self.start()

    def start(self) -> None:
        options = ("--address", "127.0.0.1", "--port", str(self.port), "--state-path", str(self.folder / "state"))
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from luigi.cmdline import luigid; luigid()", *options],
            env={**os.environ, "LUIGI_CONFIG_PATH": str(self.folder / "luigid.cfg")},
            preexec_fn=usual_signals,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """SIGTERM saves the state, SIGKILL does not."""
        self.process.send_signal(number)
        self.process.wait()

    def workers(self) -> int:
        """How many workers it knows."""
        return len(self.rpc.worker_list())

    def _answers(self) -> bool:
        with socket.socket() as asked:
            return asked.connect_ex(("127.0.0.1", self.port)) == 0
