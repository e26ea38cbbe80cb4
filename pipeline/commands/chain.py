"""The stages that a command speaks of: those of luigi's flags, or of the last run."""

import contextlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from pipeline.errors import InputError, meant
from pipeline.store import lastwords, names, runlog
from pipeline.store.stage import Stage
from pipeline.store.targets import workspace_root

ASIDE = ("Experiment", "Sanity")  # what is asked for beside the chain
PATHS = ("--dataset-path", "--Experiment-file", "--TrainBase-weights")  # flags that name files
WORDS = ("", "auto", "rendered")  # values of theirs that name none


@contextlib.contextmanager
def chain(flags: list[str]) -> Iterator[list[Stage]]:
    """Yields the stages from the first to Predict, as luigi's `flags` (or, without any, those of the last run) define them.

    With --workspace-root alone: the last run in that workspace. Where a report was made, also Report.
    """
    import pipeline

    with _parsed(_completed(flags)) as parser:
        reported = names.artifacts(workspace_root() / pipeline.Report.folder, "report")
        yield (pipeline.Report() if reported else parser.get_task_obj()).chain()


def besides(flags: list[str]) -> list[Stage]:
    """Under `chain`: the stages of an Experiment or a Sanity, where the last run was one."""
    import pipeline

    task = _asked_for(_last_entry(flags))
    return getattr(pipeline, task)().chain() if task in ASIDE else []


def settings(flags: list[str]) -> str:
    """What `chain` takes for the flags, for people."""
    used, task = _completed(flags), _asked_for(_last_entry(flags))
    last = f" (the last run{f', which was {task}' if task in ASIDE else ''})" if used != flags else ""
    return f"{f'{task} and ' if task in ASIDE else ''}Predict {' '.join(used)}".strip() + last


def command(flags: list[str]) -> list[str]:
    """The command that makes what `chain` takes for the flags."""
    return ["luigi", "--module", "pipeline", "Predict", *_completed(flags)]


def find(address: str, stages: list[Stage]) -> Path:
    """The artifact of STAGE[:group][@key]; upper and lower case are alike. Without a key: the current one."""
    (stage, *_), key = split(address, stages)
    if not key:
        return stage.path
    found = [path for path in artifacts_of(stage) if names.key(path).startswith(key)]
    if len(found) != 1:
        known = ", ".join(names.key(path) for path in artifacts_of(stage))
        raise InputError(f"{stage.address} has {len(found)} artifacts with a key that starts with {key}; its keys: {known or 'none'}.")
    return found[0]


def split(address: str, stages: list[Stage]) -> tuple[list[Stage], str]:
    """The stage of STAGE[:group][@key], of several folds each one's, and the key, "" without one."""
    name, _, key = address.partition("@")
    matching = [stage for stage in stages if stage.address.lower() == name.lower()]
    if not matching:
        raise InputError(f"there is no stage {name}; {meant(name, [stage.address for stage in stages])}")
    return matching, key


def artifacts_of(stage: Stage) -> list[Path]:
    """All artifacts of a stage, whatever their key, the newest first."""
    return sorted(names.artifacts(stage.path.parent, stage.stem), key=lambda path: path.stat().st_mtime, reverse=True)


def _completed(flags: list[str]) -> list[str]:
    """The flags to use: those given, or the last run's; a workspace given goes last, so that it counts: it may have been moved since."""
    entry = _last_entry(flags)
    if not entry:
        return flags
    folder = Path(entry.get("folder", ".")) if flags else Path()
    return [*_preset(entry), *_without_task(entry["arguments"], folder), *flags]


def _last_entry(flags: list[str]) -> dict | None:
    """What the log says of the last run in this folder, or in the workspace that the flags name; None if they name anything else."""
    if any(not flag.startswith("--workspace-root") for flag in flags):
        return None
    if flags:
        with _parsed(flags):
            entries = runlog.entries(workspace_root() / "models")
    else:
        try:
            entries = [json.loads(lastwords.LAST_RUN.read_text())]
        except (OSError, ValueError):
            return None
    return next((entry for entry in reversed(entries) if entry.get("event") == "run"), None)


def _preset(entry: dict) -> list[str]:
    """The flags of the preset under which a run stood; nothing where another one is asked for now."""
    return [] if os.environ.get("LUIGI_CONFIG_PATH") else entry.get("preset", [])


def _asked_for(entry: dict | None) -> str:
    """The task of a run."""
    import pipeline

    return next((argument for argument in entry["arguments"] if argument in pipeline.__all__), "Predict") if entry else "Predict"


def _without_task(arguments: list[str], folder: Path) -> list[str]:
    """A run's data and parameter flags: without the module, the task and luigi's own; the task's parameters by their full names.

    folder: that it was started in, from which it saw the files that it names.
    """
    import pipeline

    task = _asked_for({"arguments": arguments})
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
