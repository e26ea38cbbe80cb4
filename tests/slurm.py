"""Slurm as two nodes on 127.0.0.1, for tests on hosts where it is installed: `apt-get install slurm-wlm` on Debian. It needs root."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from workplace import PATIENCE, until

SETTINGS = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
MpiDefault=none
ReturnToService=2
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=all Nodes=one,two Default=YES State=UP
"""


class Slurm:
    """A cluster that exists inside the context."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.daemons: list[subprocess.Popen] = []

    def __enter__(self) -> Self:
        self.folder.chmod(0o755)
        for name in ("state", "spool-one", "spool-two"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        host = socket.gethostname().split(".")[0]
        (self.folder / "slurm.conf").write_text(SETTINGS.format(host=host, folder=self.folder, ports=_free_ports(3)))
        munge = ("--key-file", key, "--socket", self.folder / "munge.socket", "--pid-file", self.folder / "munged.pid")
        log = ("--log-file", self.folder / "munged.log", "--seed-file", self.folder / "munged.seed")
        self._daemon("munged", "--foreground", "--force", *munge, *log)
        until((self.folder / "munge.socket").exists)
        self._daemon("slurmctld", "-D")
        for node in ("one", "two"):
            self._daemon("slurmd", "-D", "-N", node)
        until(lambda: self._asked("sinfo", "-h", "-o", "%T %D") == "idle 2")
        return self

    def __exit__(self, *exception: object) -> None:
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()

    def run(self, script: Path, *options: str, cwd: Path, env: dict[str, str]) -> list[str]:
        """Submits a script as an array and returns the exit codes of its tasks once all have ended."""
        command = ["sbatch", "--parsable", "--mem=0", "--cpus-per-task=1", *options, script]
        number = subprocess.run(command, cwd=cwd, env={**env, **self.environment, **env}, capture_output=True, text=True, check=True).stdout
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            jobs = self._asked("scontrol", "show", "job", number.strip())
            states = [word.partition("=")[2] for word in jobs.split() if word.startswith("JobState=")]
            if states and set(states) <= {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"}:
                return [word.partition("=")[2] for word in jobs.split() if word.startswith("ExitCode=")]
            time.sleep(0.2)
        raise AssertionError(f"the jobs did not end: {jobs}")

    def _daemon(self, program: str, *options: object) -> None:
        path = shutil.which(program) or f"/usr/sbin/{program}"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.daemons.append(subprocess.Popen([path, *map(str, options)], env=self.environment, **quiet))

    def _asked(self, *command: str) -> str:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False).stdout.strip()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
