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


@contextlib.contextmanager
def chain(flags: list[str]) -> Iterator[list[Stage]]:
    """Yields the stages from the first to Predict, as luigi's `flags` (or, without any, those of the last run) define them.

    With --workspace-root alone: the last run in that workspace. Where a report was made, also Report.
    """
    import pipeline

    with _parsed(_completed(flags)) as parser:
        reported = names.artifacts(workspace_root() / pipeline.Report.folder, "report")
        yield (pipeline.Report() if reported else parser.get_task_obj()).chain()


def settings(flags: list[str]) -> str:
    """What `chain` takes for the flags, for people."""
    used = _completed(flags)
    return f"Predict {' '.join(used)}".strip() + (" (the last run)" if used != flags else "")


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
    """The flags to use: those given, or the last run's."""
    if any(not flag.startswith("--workspace-root") for flag in flags):
        return flags
    if flags:
        with _parsed(flags):
            log = workspace_root() / "models"
        # The workspace given goes last, so that it counts: it may have been moved since.
        return [*_last_arguments(runlog.entries(log)), *flags]
    try:
        return _last_arguments([json.loads(lastwords.LAST_RUN.read_text())])
    except (OSError, ValueError):
        return []


def _last_arguments(entries: list[dict]) -> list[str]:
    runs = [entry for entry in entries if entry.get("event") == "run"]
    return [*_preset(runs[-1]), *_without_task(runs[-1]["arguments"])] if runs else []


def _preset(entry: dict) -> list[str]:
    """The flags of the preset under which a run stood; nothing where another one is asked for now."""
    return [] if os.environ.get("LUIGI_CONFIG_PATH") else entry.get("preset", [])


def _without_task(arguments: list[str]) -> list[str]:
    """A run's data and parameter flags: without the module, the task and luigi's own; the task's parameters by their full names."""
    import pipeline

    task = next((argument for argument in arguments if argument in pipeline.__all__), "Predict")
    own = {name.replace("_", "-") for name, _ in getattr(pipeline, task).get_params()}
    kept, rest = [], list(arguments)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--"):
            continue
        values = [] if "=" in flag or not rest or rest[0].startswith("--") else [rest.pop(0)]
        if flag[2:].split("=")[0] in own:
            flag = f"--{task}-{flag[2:]}"
        if "-" in flag[2:] and not flag.startswith(("--module", "--local-scheduler", "--log-level", "--no-lock", "--scheduler")):
            kept += [flag, *values]
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
