"""The run and the stages that a command speaks of: those of luigi's flags, or of the last run."""

import contextlib
import io
import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from pipeline.errors import InputError
from pipeline.store.run import closing
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import names, runlog

ASIDE = ("Experiment", "Sanity")  # what is asked for beside the chain
PATHS = ("--dataset-path", "--Experiment-file", "--TrainBase-weights")  # flags that name files
WORDS = ("", "auto", "rendered")  # values of theirs that name none


@dataclass(frozen=True)
class Run:
    """The run that a command speaks of: the one that luigi's flags describe, or the last one, of which `task` was asked for."""

    flags: list[str]
    task: str = "Predict"
    last: bool = False

    @classmethod
    def meant_by(cls, flags: list[str]) -> "Run":
        """Without flags: the last run in this folder; with --workspace-root alone: the last one in that workspace."""
        entry = _last_entry(flags)
        if not entry:
            return cls(flags)
        # Of this folder's own the names of files are as they were written. A workspace given goes last: it may have been moved since.
        folder, task = Path(entry.get("folder", ".")) if flags else Path(), _asked_for(entry["arguments"])
        return cls([*_preset(entry), *_without_task(entry["arguments"], task, folder), *flags], task, last=True)

    @contextlib.contextmanager
    def chain(self) -> Iterator[list[Stage]]:
        """Yields the stages from the first to Predict; where a report was made, to Report."""
        import pipeline

        with _parsed(self.flags) as parser:
            reported = names.artifacts(workspace_root() / pipeline.Report.folder, "report")
            yield (pipeline.Report() if reported else parser.get_task_obj()).chain()

    def besides(self) -> list[Stage]:
        """Within `chain`: the stages of an Experiment or a Sanity, where it was one."""
        import pipeline

        return getattr(pipeline, self.task)().chain() if self._aside else []

    @property
    def command(self) -> str:
        """The command that makes the chain."""
        return shlex.join(["luigi", "--module", "pipeline", "Predict", *self.flags])

    @property
    def _aside(self) -> bool:
        return self.task in ASIDE

    def __str__(self):
        last = f" (the last run{f', which was {self.task}' if self._aside else ''})" if self.last else ""
        return " ".join([*([self.task, "and"] if self._aside else []), "Predict", *self.flags]) + last


def _last_entry(flags: list[str]) -> dict | None:
    """What the log says of the last run in this folder, or in the workspace that the flags name; None if they name anything else."""
    if any(not flag.startswith("--workspace-root") for flag in flags):
        return None
    if flags:
        with _parsed(flags):
            entries = runlog.entries(workspace_root() / "models")
    else:
        try:
            entries = [json.loads(closing.LAST_RUN.read_text())]
        except (OSError, ValueError):
            return None
    return next((entry for entry in reversed(entries) if entry.get("event") == "run"), None)


def _preset(entry: dict) -> list[str]:
    """The flags of the preset under which a run stood; nothing where another one is asked for now."""
    return [] if os.environ.get("LUIGI_CONFIG_PATH") else entry.get("preset", [])


def _asked_for(arguments: list[str]) -> str:
    """The task of a run."""
    import pipeline

    return next((argument for argument in arguments if argument in pipeline.__all__), "Predict")


def _without_task(arguments: list[str], task: str, folder: Path) -> list[str]:
    """A run's data and parameter flags: without the module, the task and luigi's own; the task's parameters by their full names.

    folder: that it was started in, from which it saw the files that it names.
    """
    import pipeline

    own = {name.replace("_", "-") for name, _ in getattr(pipeline, task).get_params()}
    kept, rest = [], list(arguments)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if not flag.startswith("--"):
            continue
        values = [value] if equals else [] if not rest or rest[0].startswith("--") else [rest.pop(0)]
        if flag[2:] in own:
            flag = f"--{task}-{flag[2:]}"
        if flag in PATHS:
            values = [value if value in WORDS else str(folder / Path(value).expanduser()) for value in values]
        if "-" in flag[2:] and not flag.startswith(("--module", "--local-scheduler", "--log-level", "--no-lock", "--scheduler")):
            kept += [f"{flag}={values[0]}"] if equals else [flag, *values]
    return kept


@contextlib.contextmanager
def _parsed(flags: list[str]) -> Iterator[CmdlineParser]:
    with contextlib.ExitStack() as stack:
        words = io.StringIO()
        try:
            with contextlib.redirect_stderr(words):
                arguments = ["--module", "pipeline", "Predict", *flags]
                parser = stack.enter_context(CmdlineParser.global_instance(arguments, allow_override=True))
        except SystemExit as end:
            if not end.code:  # it was asked for help
                raise
            # Before that it lists every flag of every stage.
            _, _, said = words.getvalue().strip().rpartition("error: ")
            raise InputError(f"{said}; keypoints parameters lists the flags.") from None
        if workspace_root().is_file():
            raise InputError(f"--workspace-root {workspace_root()} is a file; name a folder.")
        # Luigi hands out equal tasks made once before again, with the keys that they had under other flags.
        Register.clear_instance_cache()
        yield parser
