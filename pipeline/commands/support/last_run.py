"""The run that a command refers to: the one that Luigi's flags describe, or the last one."""

import contextlib
import io
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from pipeline.errors import InputError
from pipeline.store.run import closing
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import names, runlog

# Tasks that are not among the stages that Predict or Report needs.
OUTSIDE_THE_CHAIN = ("Experiment", "Sanity")
FILE_FLAGS = ("--dataset-path", "--Experiment-file", "--TrainBase-weights")
NOT_A_FILE = ("", "auto", "rendered")  # values of these flags that do not name a file
LUIGIS_OWN = ("--module", "--local-scheduler", "--log-level", "--no-lock", "--scheduler")


@dataclass(frozen=True)
class Run:
    """The run that a command refers to: Luigi's flags, and the task that was run with them.

    `last` tells whether it was found in a log rather than described by the user's flags.
    """

    flags: list[str]
    task: str = "Predict"
    last: bool = False

    @classmethod
    def selected_by(cls, flags: list[str]) -> "Run":
        """The run that the flags describe.

        Without flags it is the last run in the current folder, and with only --workspace-root the last run in that workspace.
        """
        entry = _last_entry(flags)
        if not entry:
            return cls(flags)
        # The file names of a run in the current folder stay as the user wrote them. A given workspace replaces the one of the run, because
        # it may have been moved since.
        folder, task = Path(entry.get("folder", ".")) if flags else Path(), _task_of(entry["arguments"])
        return cls([*_preset(entry), *_without_task(entry["arguments"], task, folder), *flags], task, last=True)

    @contextlib.contextmanager
    def stages(self) -> Iterator[list[Stage]]:
        """Yields the stages that Predict needs and Predict itself, or Report instead where a report exists; inputs first."""
        import pipeline

        with _parsed(self.flags) as parser:
            has_report = names.artifacts(workspace_root() / pipeline.Report.folder, "report")
            yield (pipeline.Report() if has_report else parser.get_task_obj()).needed_stages()

    def other_stages(self) -> list[Stage]:
        """The stages of an Experiment or a Sanity, if the run was one. To be called within `stages`."""
        import pipeline

        return getattr(pipeline, self.task)().needed_stages() if self._is_outside_the_chain else []

    @property
    def command(self) -> str:
        """The command that runs Predict with these flags."""
        return shlex.join(["luigi", "--module", "pipeline", "Predict", *self.flags])

    @property
    def _is_outside_the_chain(self) -> bool:
        return self.task in OUTSIDE_THE_CHAIN

    def __str__(self) -> str:
        last = f" (the last run{f', which was {self.task}' if self._is_outside_the_chain else ''})" if self.last else ""
        return " ".join([*([self.task, "and"] if self._is_outside_the_chain else []), "Predict", *self.flags]) + last


def _last_entry(flags: list[str]) -> dict[str, Any] | None:
    """The log entry of the last run in the current folder, or in the workspace that the flags name; None if there are other flags."""
    if any(not flag.startswith("--workspace-root") for flag in flags):
        return None
    if flags:
        with _parsed(flags):
            entries = runlog.entries(workspace_root() / "models")
    else:
        try:
            entry = runlog.parse(closing.LAST_RUN.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return None
        entries = [entry] if entry else []
    return next((entry for entry in reversed(entries) if entry.get("event") == "run" and "arguments" in entry), None)


def _preset(entry: dict[str, Any]) -> list[str]:
    """The flags that the preset of a run stood for; none if the current environment names a preset."""
    return [] if os.environ.get("LUIGI_CONFIG_PATH") else entry.get("preset", [])


def _task_of(arguments: list[str]) -> str:
    """The task that Luigi's arguments name."""
    import pipeline

    return next((argument for argument in arguments if argument in pipeline.__all__), "Predict")


def _without_task(arguments: list[str], task: str, folder: Path) -> list[str]:
    """The data and parameter flags among a run's arguments: without the module, the task and Luigi's own flags.

    The task's own parameters get their full names. Relative file names are resolved against `folder`, in which the run was started.
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
        if flag in FILE_FLAGS:
            values = [value if value in NOT_A_FILE else str(folder / Path(value).expanduser()) for value in values]
        if "-" in flag[2:] and not flag.startswith(LUIGIS_OWN):
            kept += [f"{flag}={values[0]}"] if equals else [flag, *values]
    return kept


@contextlib.contextmanager
def _parsed(flags: list[str]) -> Iterator[CmdlineParser]:
    """Within this context Luigi's parameters have the values that the flags give them; InputError for unusable flags."""
    with contextlib.ExitStack() as stack:
        printed = io.StringIO()
        try:
            with contextlib.redirect_stderr(printed):
                arguments = ["--module", "pipeline", "Predict", *flags]
                parser = stack.enter_context(CmdlineParser.global_instance(arguments, allow_override=True))
        except SystemExit as end:
            if not end.code:  # --help
                raise
            # In front of the error, Luigi lists every flag of every stage.
            _, _, problem = printed.getvalue().strip().rpartition("error: ")
            raise InputError(f"{problem}. `keypoints parameters` lists the flags.") from None
        if workspace_root().is_file():
            raise InputError(f"--workspace-root {workspace_root()} is a file; name a folder.")
        # Luigi remembers tasks by their parameters, together with the keys that they had under other flags.
        Register.clear_instance_cache()
        yield parser
