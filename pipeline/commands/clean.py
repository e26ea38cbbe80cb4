"""`keypoints clean`: lists what no current stage needs, and removes it with --yes. What a running process needs stays."""

import contextlib
import re
from collections.abc import Iterable

from luigi.task import flatten

from pipeline import units
from pipeline.errors import InputError
from pipeline.store.cleanup import garbage, in_use
from pipeline.store.cleanup.garbage import Leftover
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import workspace_root

UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def run(stages: list[Stage], settings: str, *, older_than: str, keep_last: int, yes: bool, besides: Iterable[Stage] = ()) -> int:
    """Prints what is not needed, with sizes and a total, and removes it if `yes`. 0, or 1 if something could not be removed.

    stages: of the chain; besides: others that are needed.
    """
    root, oldest = workspace_root(), duration(older_than)
    kept = {stage.place for stage in (*stages, *besides)} | garbage.newest(root, keep_last)
    if missing := [
        task.path for stage in stages for task in flatten(stage.requires()) if not isinstance(task, Stage) and not task.complete()
    ]:
        raise InputError(f"{', '.join(missing)} does not exist: without it nothing can say what is needed.")
    print(f"Needed is what belongs to {settings}.")
    for link in (root / folder for folder in garbage.FOLDERS if (root / folder).is_symlink()):
        print(f"{link} is a link: what is there is left alone.")
    # A run that starts meanwhile waits until it is clear what it finds.
    with in_use.settled(root / "models") if yes and (root / "models").is_dir() else contextlib.nullcontext():
        found = [leftover for leftover in garbage.find(root, kept) if leftover.age >= oldest]
        users = [garbage.user(root, leftover) for leftover in found]
        _print(found, users)
        unused = [leftover for leftover, user in zip(found, users, strict=True) if not user]
        sizes = [size for leftover in unused for size in leftover.files.values()]
        total = f"{units.counted(len(sizes), 'file')}, {units.size(sum(sizes))}"
        failed = [problem for leftover in unused if (problem := _removed(leftover))] if yes else []
    if failed:
        print(f"{total}, but not all were removed: {'; '.join(failed)}.")
    elif yes or not unused:
        print(f"{total}{' removed' if unused else ': nothing to remove'}.")
    else:
        _warn(stages, unused)
        print(f"{total}. Nothing was removed: keypoints clean --yes does that.")
    return 1 if failed else 0


def duration(text: str) -> float:
    """Seconds of a duration such as 7d, 12h, 30m or 2w; InputError for anything else."""
    found = re.fullmatch(r"(\d+)([mhdw])", text)
    if not found:
        raise InputError(f"--older-than {text}: write a whole number and its unit, such as 7d, 12h, 30m or 2w.")
    return float(found[1]) * UNITS[found[2]]


def _print(found: list[Leftover], users: list[str | None]) -> None:
    width = max((len(str(path)) for leftover in found for path in leftover.files), default=0)
    for leftover, user in zip(found, users, strict=True):
        for path, size in leftover.files.items():
            why = f"in use, stays: {leftover.why}" if user else leftover.why
            print(f"{path!s:<{width}}  {units.size(size):>9}  {units.about(leftover.age):>9}  {why}")
    for user in sorted({user for user in users if user}):
        print(f"In use by {user}.")


def _warn(stages: list[Stage], unused: list[Leftover]) -> None:
    """Says for which stages the last results that there are would be removed."""
    places = {leftover.place.rpartition("-")[0] for leftover in unused if leftover.kind == "artifact"}
    if lost := [stage.address for stage in stages if f"{stage.folder}/{stage.stem}" in places and not stage.output().exists()]:
        print(f"Of {', '.join(lost)} there is no current result, but older ones are in this list; --keep-last 1 keeps the newest of each.")


def _removed(leftover: Leftover) -> str | None:
    """Removes the files; what went wrong, None if nothing did."""
    try:
        return None if garbage.remove(workspace_root(), leftover) else f"{leftover.place} is in use"
    except OSError as error:
        return f"{error.filename}: {error.strerror.lower()}"
