"""A folder with a copy of the small chain `chainlet` and the project's luigi.cfg, and ways to run the chain there."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from luigi.task import flatten
from luigi.task_register import Register

TESTS = Path(__file__).parent
# Seconds that a subprocess may take on a busy machine before the test gives up.
PATIENCE = 60


def usual_signals() -> None:
    """To be called in a process that a test starts: signals end it, even if the tests run where they are ignored (nohup, for example)."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Workplace:
    def __init__(self, root: Path):
        self.root = root
        shutil.copytree(TESTS / "chainlet", root / "chainlet", ignore=shutil.ignore_patterns("__pycache__"))
        self.configure((TESTS.parent / "luigi.cfg").read_text())
        self.numbers = root / "numbers.txt"
        self.numbers.write_text("1 2 3\n")
        (root / "models").mkdir()

    # In processes of its own, as a user runs it

    def configure(self, text: str) -> None:
        with (self.root / "luigi.cfg").open("a") as file:
            file.write(text + "\n")

    def start(self, *arguments: str, python: tuple[str, ...] = (), first=lambda: None, **options) -> subprocess.Popen:
        """`luigi --module chainlet ARGUMENTS` in a process group of its own; upper-case options are environment variables.

        first: called in the new process before that.
        """

        def prepared():
            usual_signals()
            first()

        environment = {name: value for name, value in os.environ.items() if name not in ("LUIGI_CONFIG_PATH", "KERAS_BACKEND")}
        environment |= {name: options.pop(name) for name in list(options) if name.isupper()}
        # Python takes a stale .pyc for an edited source of the same size and second.
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        command = [sys.executable, *python, "-m", "luigi", "--module", "chainlet", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        own = {"start_new_session": True, "preexec_fn": prepared}
        return subprocess.Popen(command, cwd=self.root, env=environment, **own, **pipes, **options)

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    # In this process

    def chain(self, root: str = "Total", **parameters) -> dict[str, object]:
        """The stages of the chain by address, as their code is now."""
        forget_chainlet()
        importlib.invalidate_caches()
        stages = {}

        def visit(task):
            if hasattr(task, "address"):
                stages[task.address] = task
            for needed in flatten(task.requires()):
                visit(needed)

        visit(getattr(importlib.import_module("chainlet"), root)(**parameters))
        return stages

    def keys(self, root: str = "Total", **parameters) -> dict[str, str]:
        return {address: stage.key for address, stage in self.chain(root, **parameters).items()}

    # Inspecting and editing

    def edit(self, module: str, old: str, new: str) -> None:
        path = self.root / "chainlet" / f"{module}.py"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def artifact(self, stage: str) -> Path:
        """The one artifact of a stage."""
        (path,) = self.root.glob(f"*/{stage.lower()}-*.h5")
        return path

    def files(self, *, hidden: bool = True) -> set[str]:
        """Names of the files in data/, models/ and submissions/, without the run log."""
        found = {path.name for folder in ("data", "models", "submissions") for path in (self.root / folder).glob("*")}
        return {name for name in found if not name.startswith(("runs.", "last-run", ".file-hashes")) and (hidden or name[0] != ".")}

    def log(self) -> list[dict]:
        return [json.loads(line) for line in (self.root / "models" / "runs.jsonl").read_text().splitlines()]

    def ran(self) -> list[str]:
        """The stages that succeeded, in order."""
        return [entry["stage"] for entry in self.log() if entry.get("status") == "done"]


def forget_chainlet() -> None:
    """Removes the chain's modules and tasks, so that the next import uses the code as it is then."""
    for name in [name for name in sys.modules if name.split(".")[0] == "chainlet"]:
        del sys.modules[name]
    Register._reg = [task for task in Register._reg if task.__module__.split(".")[0] != "chainlet"]
    Register.clear_instance_cache()


def make(task) -> None:
    """Runs a task and what it needs, in this process."""
    if not task.complete():
        for needed in flatten(task.requires()):
            make(needed)
        task.run()


def until(condition) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.02)
