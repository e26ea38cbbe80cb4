"""Measures shared runs on this host: efficiency with several workers, the time until a killed worker is replaced, and repeated stages.

    python bench/cluster.py [--parts efficiency takeover repeat] [--workers 1 2 4] [--stages 8] [--seconds 6] [--runs 10]

A real luigid with the settings of configs/cluster.cfg gives stages that only sleep to workers in processes of their own. Efficiency is the
time slept divided by the number of workers and by the time from the beginning of the first stage to the end of the last; the start of the
processes is not part of it. Goals: an efficiency of at least 0.8 with four workers, a takeover within 20 s, and in the repeated runs of two
workers no exit code but 0 and no stage that is made twice.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from timing import goal

ROOT = Path(__file__).parent.parent
NAPS = '''
import os, time
from pathlib import Path
import numpy as np
import luigi
from pipeline.schema import array, record
from pipeline.store.run.parameters import real, whole
from pipeline.store.run.stage import Stage


@record
class Slept:
    """How long."""

    seconds: np.ndarray = array("float64", "", "s", "seconds slept")


class naps(luigi.Config):
    count = whole(8, "how many", 1)
    seconds = real(1.0, "how long", 0.0)


class Nap(Stage):
    """Sleeps, and notes when."""

    number = whole(0, "which", 0)

    @property
    def identity(self):
        return (str(self.number),)

    def run(self):
        note = Path("times", f"{self.number}-{os.getpid()}")
        note.write_text(f"{time.time()}")
        time.sleep(naps().seconds)
        note.write_text(f"{note.read_text()} {time.time()}")
        self.save(Slept(np.float64(naps().seconds)))


class All(Stage):
    """All naps."""

    def requires(self):
        return [Nap(number=number) for number in range(naps().count)]

    def run(self):
        self.save(Slept(np.float64(0)))
'''


def main() -> None:
    """Runs the chosen parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="what to measure (default: everything)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="numbers of workers to compare (default: 1 2 4)")
    parser.add_argument("--stages", type=int, default=8, help="number of stages that sleep (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long each sleeps (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=10, help="repetitions of a run with two workers (default: %(default)s)")
    options = parser.parse_args()
    with luigid() as port:
        for part in options.parts:
            PARTS[part](options, port)


def efficiency(options: argparse.Namespace, port: int) -> None:
    """Prints the efficiency for each number of workers."""
    for workers in options.workers:
        with workspace() as folder:
            codes = [end(worker) for worker in [start(folder, port, options.stages, options.seconds) for _ in range(workers)]]
            times = noted(folder)
        span = max(last for _, last in times) - min(first for first, _ in times)
        share = options.stages * options.seconds / (workers * span)
        print(f"{workers} workers: {len(times)} stages of {options.seconds:g} s in {span:.1f} s, exit codes {codes}")
        goal(f"efficiency of {workers} workers", share, at_least=0.8)


def takeover(options: argparse.Namespace, port: int) -> None:
    """Prints the time from the kill of a worker to the new beginning of its stage by another, for the only and for one of two stages."""
    for stages in (1, 2):
        with workspace() as folder:
            first = start(folder, port, stages, options.seconds)
            wait_for(folder, 1)
            second = start(folder, port, stages, options.seconds)
            time.sleep(options.seconds / 2)
            os.killpg(first.pid, signal.SIGKILL)
            killed = time.time()
            code = end(second)
            (left,) = (note.name.split("-")[0] for note in (folder / "times").glob(f"*-{first.pid}") if len(note.read_text().split()) == 1)
            begun = [float(note.read_text().split()[0]) for note in (folder / "times").glob(f"{left}-*")]
        print(f"a worker killed in one of {stages} stages: exit code of the other {code}")
        goal("seconds until another worker began the stage again", max(begun) - killed, at_most=20.0)


def repeat(options: argparse.Namespace, port: int) -> None:
    """Prints how many of many runs with two workers failed or made a stage twice."""
    bad, twice = 0, 0
    for _ in range(options.runs):
        with workspace() as folder:
            bad += sum(end(worker) != 0 for worker in [start(folder, port, options.stages, 0.2) for _ in range(2)])
            twice += len(list((folder / "times").iterdir())) - options.stages
    goal(f"exit codes other than 0 in {options.runs} runs with two workers", bad, at_most=0)
    goal("stages that were made twice", twice, at_most=0)


PARTS = {"efficiency": efficiency, "takeover": takeover, "repeat": repeat}


@contextmanager
def luigid() -> Iterator[int]:
    """Yields the port of a server with the settings of configs/cluster.cfg."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        options = ("--address", "127.0.0.1", "--port", str(port), "--state-path", f"{folder}/state")
        server = subprocess.Popen(
            [sys.executable, "-c", "from luigi.cmdline import luigid; luigid()", *options],
            env={**os.environ, "LUIGI_CONFIG_PATH": str(ROOT / "configs" / "cluster.cfg")},
            stderr=subprocess.DEVNULL,
        )
        try:
            yield port
        finally:
            server.kill()
            server.wait()


@contextmanager
def workspace() -> Iterator[Path]:
    """Yields a new folder with the stages that sleep."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "naps.py").write_text(NAPS)
        (folder / "times").mkdir()
        yield folder


def start(folder: Path, port: int, stages: int, seconds: float) -> subprocess.Popen[bytes]:
    """A worker of a shared run."""
    flags = ("--scheduler-port", str(port), "--naps-count", str(stages), "--naps-seconds", str(seconds))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "luigi", "--module", "naps", "All", *flags]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)


def end(worker: subprocess.Popen[bytes]) -> int:
    """The exit code of a worker, once it has ended."""
    return worker.wait()


def wait_for(folder: Path, count: int) -> None:
    """Waits until a number of stages have begun."""
    while len(list((folder / "times").iterdir())) < count:
        time.sleep(0.05)


def noted(folder: Path) -> list[tuple[float, float]]:
    """When each stage began and ended."""
    notes = [note.read_text().split() for note in (folder / "times").iterdir()]
    return [(float(first), float(last)) for first, last in notes]


if __name__ == "__main__":
    main()
