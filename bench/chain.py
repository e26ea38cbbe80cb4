"""Runs stages as a user runs them, in processes of their own, or in this process; finds the tasks that given flags describe."""

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
from typing import Any

from luigi.cmdline_parser import CmdlineParser
from luigi.task import flatten
from luigi.task_register import Register

from pipeline.store.workspace import runlog

ROOT = Path(__file__).resolve().parent.parent


def arguments(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[str]]:
    """The program's own options, and the luigi flags that follow `--`."""
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    return parser.parse_args(words[:end]), words[end + 1 :]


def dataset_path(folder: str | Path) -> list[str]:
    """The flags for a folder with Kaggle's files, or for the drawn faces if it is called `rendered`."""
    return ["--dataset-path", "rendered" if str(folder) == "rendered" else str(Path(folder).resolve())]


def set_flags(folder: Path) -> list[str]:
    """The flags for a folder with Kaggle's files or with a set that examples/keypoint-sets may describe; `rendered`: the drawn faces."""
    described = ROOT / "examples" / "keypoint-sets" / f"{folder.name}.toml"
    return [*dataset_path(folder), *(["--dataset-keypoints", str(described)] if described.exists() else [])]


def dataset_flags(folder: Path | None, drawn: int) -> list[str]:
    """The flags for a folder with Kaggle's files; without a folder for `drawn` labelled faces drawn by the program."""
    if folder:
        return dataset_path(folder)
    return [*dataset_path("rendered"), "--Render-training", str(drawn), "--Render-test", "6"]


@dataclass(frozen=True)
class Ran:
    """How long a process took, the most memory that it needed, and the seconds of CPU time, if they are known."""

    seconds: float
    peak_mb: float
    cpu: float = float("nan")


def peak_mb(max_rss: int) -> float:
    """The resource usage `ru_maxrss` in MB: Linux counts in KB, macOS in bytes."""
    return max_rss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def run(stage: str, flags: list[str], *, show: bool = False, python_path: Path | None = None, **environment: str) -> Ran:
    """Runs `luigi --module pipeline STAGE FLAGS` with the project's luigi.cfg; exits with its output if it fails.

    show: print its messages as they come. python_path: a folder to put first on its Python path. environment: variables to add.
    """
    paths = [str(path) for path in (python_path, ROOT) if path]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment}
    if preset := variables.get("LUIGI_CONFIG_PATH"):
        variables["LUIGI_CONFIG_PATH"] = str(Path(preset).resolve())
    command = [sys.executable, "-m", "luigi", "--module", "pipeline", stage, *flags]
    # In a working directory of its own, so that `keypoints status` still refers to the user's last run.
    with tempfile.TemporaryDirectory() as folder, Path(folder, "output").open("w+") as output:
        shutil.copy(ROOT / "luigi.cfg", folder)
        captured = None if show else output
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=captured, stderr=captured)
        _, status, usage = os.wait4(process.pid, 0)
        seconds, process.returncode = time.perf_counter() - start, os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"{' '.join(command)} failed ({process.returncode})\n{output.read()[-3000:]}")
    return Ran(seconds, peak_mb(usage.ru_maxrss), usage.ru_utime + usage.ru_stime)


@contextlib.contextmanager
def task(stage: str, flags: list[str]) -> Iterator[Any]:
    """Yields the task that the flags describe. Its inputs have the same flags only while the context lasts."""
    # Luigi returns the same object for equal tasks, with the key that it had under earlier flags.
    Register.clear_instance_cache()
    with CmdlineParser.global_instance(["--module", "pipeline", stage, *flags], allow_override=True) as parser:
        yield parser.get_task_obj()


def make(task: Any) -> None:
    """Runs a stage in this process, after the stages that it requires."""
    if not task.complete():
        for required in flatten(task.requires()):
            make(required)
        task.run()


def logged(stage: Any) -> list[dict[str, Any]]:
    """The run log's entries for stages of this workspace that succeeded, oldest first."""
    return [entry for entry in runlog.entries(stage.path.parent.parent / "models") if entry.get("status") == "done"]


def logged_run(stage: Any) -> Ran:
    """What the run log says about the process that made a stage's artifact."""
    return next(Ran(entry["seconds"], entry["peak_mb"]) for entry in reversed(logged(stage)) if entry["key"] == stage.key)
