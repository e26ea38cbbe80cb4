"""The run that a command refers to: the one that Luigi's flags describe, or the last finished one."""

import contextlib
import io
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from pipeline.errors import InputError
from pipeline.store.run import closing
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import names, runlog
from pipeline.store.workspace.called import called

# Tasks that are not among the stages that Predict or Report needs.
OUTSIDE_THE_CHAIN = ("Annotate", "Experiment", "Sanity")
DATA_FILES = ("path", "keypoints", "test", "split", "corrections")
FILE_FLAGS = (
    *(f"--dataset-{name}" for name in DATA_FILES),
    "--Annotate-nets",
    "--Annotate-photos",
    "--Experiment-file",
    "--TrainBase-weights",
)
NOT_A_FILE = ("", "auto", "rendered")  # values of these flags that do not name a file
LUIGIS_OWN = ("--module", "--local-scheduler", "--log-level", "--no-lock", "--scheduler")


@dataclass(frozen=True)
class Run:
    """The run that a command refers to: Luigi's flags, and the task that was run with them.

    last: whether it was found in a log rather than described by the user's flags.
    when: when it finished; empty if it has not finished, or if that is unknown.
    finished: whether it has finished.
    artifacts: the artifacts that a finished run made or found up to date, relative to its workspace, by address.
    """

    flags: list[str]
    task: str = "Predict"
    last: bool = False
    when: str = ""
    finished: bool = False
    artifacts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def selected_by(cls, flags: list[str]) -> "Run":
        """The run that the flags describe.

        Without flags it is the last finished run in the current folder, and with only --workspace-root the last one in that workspace. If
        no run has finished, it is the last one that was started.
        """
        own = {name.replace("_", "-") for name, _ in _task("Predict").get_params()}
        flags = [f"--Predict-{flag[2:]}" if flag.startswith("--") and flag[2:].partition("=")[0] in own else flag for flag in flags]
        found = _last_entry(flags)
        if not found:
            return cls(flags)
        # The file names of a run in the current folder stay as the user wrote them. A given workspace replaces the one of the run, because
        # it may have been moved since.
        entry, end, workspace = found
        folder, task = Path(entry.get("folder", ".")) if workspace else Path(), _task_of(entry["arguments"])
        own_flags = [*_preset(entry), *_without_task(entry["arguments"], task, folder), *workspace]
        when = " ".join(str(end.get("time", "")).split("T"))[:16]
        return cls(own_flags, task, True, when, bool(end), dict(end.get("artifacts", {})))

    @contextlib.contextmanager
    def in_force(self) -> Iterator[CmdlineParser]:
        """A context in which the flags count. No stage is made, which takes longer."""
        with contextlib.ExitStack() as stack:
            try:
                parser = stack.enter_context(_parsed(self.flags))
            except InputError as error:
                raise (
                    InputError(f"The flags of the last run cannot be used: {error} Give those that you mean.") if self.last else error
                ) from None
            yield parser

    @contextlib.contextmanager
    def stages(self) -> Iterator[list[Stage]]:
        """Yields the stages that Predict needs and Predict itself, or Report instead where a report exists; inputs first."""
        import pipeline

        with self.in_force() as parser:
            has_report = names.artifacts(workspace_root() / pipeline.Report.folder, "report")
            yield (pipeline.Report() if has_report else parser.get_task_obj()).needed_stages()

    def other_stages(self) -> list[Stage]:
        """The stages of a task outside the chain, if the run was one. To be called within `stages`."""
        return _task(self.task)().needed_stages() if self._is_outside_the_chain else []

    def settings(self) -> list[str]:
        """The flags, each with its value as FLAG=VALUE."""
        return _joined(self.flags)

    @property
    def command(self) -> str:
        """The command that runs Predict with these flags."""
        return called("luigi", shlex.join(["--module", "pipeline", "Predict", *self.flags]))

    @property
    def predicted(self) -> Path | None:
        """The artifact of Predict that the run made or found up to date, if it still exists. To be called within `stages`."""
        path = workspace_root() / self.artifacts.get("Predict", "")
        return path if path.is_file() else None

    def description(self) -> str:
        """Which run this is, with its settings and its workspace, as one line. To be called within `stages`."""
        settings = [flag for flag in self.settings() if not flag.startswith("--workspace-root")]
        what = f"{shlex.join([self.task, *settings])}{'' if settings else ' with default settings'}"
        if not self.last:
            kind = "Settings"
        elif self.finished:
            kind = "Last finished run"
        else:
            kind = "No run has finished; the last one that was started"
        when = f" ({self.when})" if self.when else ""
        return f"{kind}: {what}{when}; workspace {workspace_root().resolve()}"

    @property
    def _is_outside_the_chain(self) -> bool:
        return self.task in OUTSIDE_THE_CHAIN

    def __str__(self) -> str:
        last = f" (the last run{f', which was {self.task}' if self._is_outside_the_chain else ''})" if self.last else ""
        return " ".join([*([self.task, "and"] if self._is_outside_the_chain else []), "Predict", *self.flags]) + last


def settings_of(entry: dict[str, Any]) -> dict[str, str]:
    """The data and parameter flags of the entry of a run, its preset's included, by name and without leading dashes.

    The workspace is not among them. Relative file names are resolved against the folder in which the run was started.
    """
    own = _without_task(entry["arguments"], task_of(entry), Path(entry.get("folder", ".")))
    pairs = [flag.lstrip("-").partition("=") for flag in _joined([*entry.get("preset", []), *own])]
    return {name: value for name, _, value in pairs if name != "workspace-root"}


def task_of(entry: dict[str, Any]) -> str:
    """The task of the entry of a run."""
    return _task_of(entry["arguments"])


def end_of(entry: dict[str, Any], entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The entry of the end of a run among all entries of a log; {} if it has not finished."""
    return _end(entry, entries)


def check_flags(flags: list[str], options: list[str]) -> None:
    """Raises InputError for a flag that no stage and no section has, or that would have no effect on what a command refers to.

    flags: the arguments that are not the command's own. options: the command's own options.
    """
    from pipeline.store.run import command_line

    effective = command_line.flags_of("Report")
    own = [f"--{name.replace('_', '-')}" for name, _ in _task("Predict").get_params() if name != "overrides"]
    for word in flags:
        name = word.partition("=")[0]
        if not word.startswith("-") or name in effective or name in own:
            continue
        if name in command_line.all_flags():
            raise InputError(f"{name} would have no effect on this command. Leave it out.")
        if guess := command_line.meant_flag(name, [*options, *effective]):
            raise InputError(f"{name} is not known; did you mean {guess}?")


def _task(name: str) -> Any:
    """The task of this name."""
    import pipeline

    return getattr(pipeline, name)


class _Logged(NamedTuple):
    """A run: its entry in the log, the entry of its end ({} if it has not finished), and the flag that names the workspace of the log."""

    entry: dict[str, Any]
    end: dict[str, Any]
    workspace: list[str]


def _last_entry(flags: list[str]) -> _Logged | None:
    """The last finished run in the current folder, or in the workspace that the flags name; None if there are other flags.

    In the current folder, that is the later one of the last run that was started there, wherever its workspace is, and the last run in the
    workspace there, wherever it was started.
    """
    if any(not flag.startswith("--workspace-root") for flag in flags):
        return None
    if flags:
        with _parsed(flags):
            return _last_of(runlog.entries(workspace_root() / "models"), flags)
    here = _last_of(runlog.entries(Path("models")), ["--workspace-root=."])
    try:
        noted = runlog.parse(closing.LAST_RUN.read_text(encoding="utf-8", errors="replace")) or {}
    except OSError:
        noted = {}
    started = _last_of([noted, *([noted["end"]] if isinstance(noted.get("end"), dict) else [])], [])
    if here and started and here.entry.get("run") == started.entry.get("run"):
        return started
    # Of two finished runs, or of two that are not, the later one; times of one machine can be compared as texts.
    return max((run for run in (started, here) if run), key=lambda run: (bool(run.end), run.entry.get("time", "")), default=None)


def _last_of(entries: list[dict[str, Any]], workspace: list[str]) -> _Logged | None:
    """The last finished run in a log, or the last one if none has finished; None if the log has no run."""
    runs = [entry for entry in entries if entry.get("event") == "run" and isinstance(entry.get("arguments"), list)]
    found = [_Logged(run, _end(run, entries), workspace) for run in runs]
    return next((run for run in reversed(found) if run.end), found[-1] if found else None)


def _end(run: dict[str, Any], entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The entry of the end of a run if it has finished, else {}.

    A run of an earlier version has no such entry: it has finished if its task has. If the entry does not say which run it is, there is
    nothing to tell that it has not.
    """
    if "run" not in run:
        return {"event": "end", "time": run.get("time", "")}
    own = [entry for entry in entries if entry.get("run") == run["run"]]
    if ends := [entry for entry in own if entry.get("event") == "end"]:
        return ends[-1]
    done = [entry for entry in own if entry.get("event") == "stage" and entry.get("status") == "done"]
    task = _task_of(run["arguments"])
    return next((entry for entry in reversed(done) if str(entry.get("stage", "")).split(":")[0] == task), {})


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
    own = {name.replace("_", "-") for name, _ in _task(task).get_params()}
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


def _joined(flags: list[str]) -> list[str]:
    """The flags, each in one text with its value."""
    joined: list[str] = []
    for word in flags:
        if joined and not word.startswith("--") and "=" not in joined[-1]:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


@contextlib.contextmanager
def _parsed(flags: list[str]) -> Iterator[CmdlineParser]:
    """Within this context Luigi's parameters have the values that the flags give them; InputError for unusable flags."""
    from pipeline.store.run import command_line

    with contextlib.ExitStack() as stack:
        printed = io.StringIO()
        try:
            with contextlib.redirect_stderr(printed):
                arguments = ["--module", "pipeline", "Predict", *flags]
                parser = stack.enter_context(CmdlineParser.global_instance(arguments, allow_override=True))
        except command_line.Refusal as refusal:
            raise InputError(
                refusal.message if refusal.guessed else f"{refusal.message} `{called('keypoints', 'parameters')}` lists the flags."
            ) from None
        if workspace_root().is_file():
            raise InputError(f"--workspace-root {workspace_root()} is a file; name a folder.")
        # Luigi remembers tasks by their parameters, together with the keys that they had under other flags.
        Register.clear_instance_cache()
        yield parser
