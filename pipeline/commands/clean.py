"""`keypoints clean`: lists the files that no current stage needs, and removes them with --yes, except what a running process needs."""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from luigi.task import flatten

from pipeline import units
from pipeline.errors import InputError
from pipeline.store.cleanup import garbage, in_use
from pipeline.store.cleanup.garbage import Leftover
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace.called import called

UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True)
class Limits:
    """What to keep although no current stage needs it.

    `seconds` is the least age of what is removed, `keep_last` the number of artifacts of each stage that stay, the newest ones.
    """

    seconds: float = 0.0
    keep_last: int = 0


def run(stages: list[Stage], settings: str, limits: Limits, *, yes: bool, others: Iterable[Stage] = ()) -> int:
    """Lists the files that are not needed, with their sizes and a total, and removes them if `yes` is true.

    Needed are the files of `stages`, whose settings are named `settings` in the output, and of the `others`. Returns the exit code: 0, or 1
    if a file could not be removed. Raises InputError if a file that the user provides is missing, because then no key is known.
    """
    root = workspace_root()
    _refuse_missing_files(stages)
    kept = {stage.place for stage in (*stages, *others)} | garbage.newest(root, limits.keep_last)
    print(f"Keeping everything that {settings} needs.")
    for link in (root / folder for folder in garbage.FOLDERS if (root / folder).is_symlink()):
        print(f"{link} is a symbolic link; its contents are left alone.")
    # A run that starts meanwhile waits until it is decided which files it will find.
    with in_use.settled(root / "models") if yes and (root / "models").is_dir() else contextlib.nullcontext():
        found = [leftover for leftover in garbage.find(root, kept) if leftover.age >= limits.seconds]
        users = [garbage.user(root, leftover) for leftover in found]
        _print(found, users)
        unused = [leftover for leftover, user in zip(found, users, strict=True) if not user]
        failed = [problem for leftover in unused if (problem := _removed(leftover))] if yes else []
    _print_total(stages, unused, failed, yes=yes)
    return 1 if failed else 0


def duration(text: str) -> float:
    """The seconds of a duration such as 7d, 12h, 30m or 2w; InputError for anything else."""
    found = re.fullmatch(r"(\d+)([mhdw])", text)
    if not found:
        raise InputError(f"--older-than {text}: write a whole number and its unit, such as 7d, 12h, 30m or 2w.")
    return float(found[1]) * UNITS[found[2]]


def _refuse_missing_files(stages: list[Stage]) -> None:
    files = [task for stage in stages for task in flatten(stage.requires()) if not isinstance(task, Stage)]
    if missing := [file.path for file in files if not file.complete()]:
        verb = "does" if len(missing) == 1 else "do"
        raise InputError(f"{', '.join(missing)} {verb} not exist, so it is unknown which files are needed.")


def _print(found: list[Leftover], users: list[str | None]) -> None:
    width = max((len(str(path)) for leftover in found for path in leftover.files), default=0)
    for leftover, user in zip(found, users, strict=True):
        for path, size in leftover.files.items():
            why = f"in use, kept: {leftover.why}" if user else leftover.why
            print(f"{path!s:<{width}}  {units.size(size):>9}  {units.about(leftover.age):>9}  {why}")
    for user in sorted({user for user in users if user}):
        print(f"In use by {user}.")


def _print_total(stages: list[Stage], unused: list[Leftover], failed: list[str], *, yes: bool) -> None:
    sizes = [size for leftover in unused for size in leftover.files.values()]
    total = f"{units.counted(len(sizes), 'file')}, {units.size(sum(sizes))}"
    if failed:
        print(f"{total}, but not all of them could be removed: {'; '.join(failed)}.")
    elif yes or not unused:
        print(f"{total}{' removed' if unused else ': nothing to remove'}.")
    else:
        _warn(stages, unused)
        print(f"{total}. Nothing was removed; `{called('keypoints', 'clean', '--yes')}` removes them.")


def _warn(stages: list[Stage], unused: list[Leftover]) -> None:
    """Names the stages whose only results would be removed."""
    places = {leftover.place.rpartition("-")[0] for leftover in unused if leftover.kind == "artifact"}
    if lost := [stage.address for stage in stages if f"{stage.folder}/{stage.stem}" in places and not stage.output().exists()]:
        verb = "has no current result" if len(lost) == 1 else "have no current results"
        print(f"{', '.join(lost)} {verb}, but this list contains older ones; --keep-last 1 keeps the newest of each stage.")


def _removed(leftover: Leftover) -> str | None:
    """Removes the files. Returns why that failed, or None if it did not."""
    try:
        return None if garbage.remove(workspace_root(), leftover) else f"{leftover.place} is in use"
    except OSError as error:
        return f"{error.filename}: {(error.strerror or str(error)).lower()}"
