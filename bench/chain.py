"""Stages run as a user runs them, in processes of their own; and the same tasks as objects, to find what they made."""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from luigi.cmdline_parser import CmdlineParser
from luigi.task import flatten
from luigi.task_register import Register

from pipeline.store.workspace import runlog

ROOT = Path(__file__).resolve().parent.parent


def arguments(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[str]]:
    """The program's own options, and luigi's flags after a `--`."""
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    return parser.parse_args(words[:end]), words[end + 1 :]


@dataclass(frozen=True)
class Ran:
    seconds: float
    peak_mb: float


def run(stage: str, flags: list[str], *, show: bool = False, python_path: Path | None = None, **environment: str) -> Ran:
    """`luigi --module pipeline STAGE FLAGS` with the project's luigi.cfg; ends this program if it fails.

    show: its messages appear as they come. python_path: a folder that its Python looks into first. environment: variables to add.
    """
    paths = [str(path) for path in (python_path, ROOT) if path]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment}
    if preset := variables.get("LUIGI_CONFIG_PATH"):
        variables["LUIGI_CONFIG_PATH"] = str(Path(preset).resolve())
    command = [sys.executable, "-m", "luigi", "--module", "pipeline", stage, *flags]
    # In a folder of its own, so that `keypoints status` goes on to speak of the user's last run.
    with tempfile.TemporaryDirectory() as folder, Path(folder, "output").open("w+") as output:
        shutil.copy(ROOT / "luigi.cfg", folder)
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=variables, **({} if show else {"stdout": output, "stderr": output}))
        _, status, usage = os.wait4(process.pid, 0)
        seconds, process.returncode = time.perf_counter() - start, os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"{' '.join(command)} failed ({process.returncode})\n{output.read()[-3000:]}")
    return Ran(seconds, usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10))


@contextlib.contextmanager
def task(stage: str, flags: list[str]) -> Iterator:
    """The task that these flags mean, and while the context lasts its inputs too."""
    # Luigi hands out equal tasks once made again, with the keys that they had under other flags.
    Register.clear_instance_cache()
    with CmdlineParser.global_instance(["--module", "pipeline", stage, *flags], allow_override=True) as parser:
        yield parser.get_task_obj()


def make(task) -> None:
    """Runs a stage and what it needs in this process."""
    if not task.complete():
        for needed in flatten(task.requires()):
            make(needed)
        task.run()


def logged(stage) -> list[dict]:
    """The run log's lines on stages of this workspace that ended well, oldest first."""
    return [entry for entry in runlog.entries(stage.path.parent.parent / "models") if entry.get("status") == "done"]


def logged_run(stage) -> Ran:
    """What the making of a stage's artifact took."""
    return next(Ran(entry["seconds"], entry["peak_mb"]) for entry in reversed(logged(stage)) if entry["key"] == stage.key)
