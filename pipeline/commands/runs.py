"""`keypoints runs`: lists the runs of workspaces, with the settings in which they differ, so that the better ones can be told."""

import csv
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import units
from pipeline.commands.support.logged import LoggedRun, runs_of
from pipeline.errors import InputError
from pipeline.store.run import closing
from pipeline.store.workspace import runlog
from pipeline.store.workspace.called import called

COLUMNS = ("workspace", "began", "task", "key", "rmse", "stage", "metrics", "kaggle", "seconds", "ended", "settings")
# The columns of the table that are aligned to the right.
NUMBERS = ("RMSE", "Kaggle", "took")


def run(workspaces: list[Path], table_format: str, order: str) -> int:
    """Prints the runs of some workspaces; without any, those of the workspace of the last run that was started in the current folder.

    table_format: table, csv or json. order: "score" (the lowest validation RMSE of Predict first, then those of the base net, then runs
    without one) or "date" (the latest first).

    Returns the exit code: 0, or 1 if there are no runs. Raises InputError for a workspace that does not exist.
    """
    places = list(dict.fromkeys(workspaces or [_last_workspace()]))
    if lacking := [place for place in places if not place.is_dir()]:
        raise InputError(
            f"{units.printable(lacking[0])} is not a folder. Name a workspace: the folder with data/, models/ and submissions/."
        )
    found = sorted((each for place in places for each in runs_of(place)), key=lambda each: each.began, reverse=True)
    if order == "score":
        found.sort(key=_rank)
    if not found:
        made = called("luigi", "--module", "pipeline", "Predict")
        print(
            f"No run is recorded in {', '.join(units.printable(place.resolve()) for place in places)}. To make one: {made}", file=sys.stderr
        )
        return 1
    _SHOWN[table_format](found)
    return 0


def _last_workspace() -> Path:
    """The workspace of the last run that was started in the current folder, or the current folder."""
    here = Path()
    if runlog.entries(here / "models"):
        return here
    try:
        noted = runlog.parse(closing.LAST_RUN.read_text(encoding="utf-8", errors="replace")) or {}
    except OSError:
        return here
    noted_files = noted.get("files")
    places = [Path(file).parents[1] for file in noted_files.values() if isinstance(file, str)] if isinstance(noted_files, dict) else []
    return next((place for place in reversed(places) if runlog.entries(place / "models")), here)


def _rank(each: LoggedRun) -> tuple[int, float]:
    """Runs in the order of their scores: those of Predict come first, because a base net alone is judged on other terms."""
    return (2 if each.rmse is None else each.stage != "Predict"), math.inf if each.rmse is None else each.rmse


# How they are shown


def _print_table(found: list[LoggedRun]) -> None:
    """Prints a line for each run; what all have in common stands above the table, and the settings that differ at the end of the lines."""
    common = {name: value for name, value in found[0].settings.items() if all(each.settings.get(name) == value for each in found)}
    one_place = len({each.workspace for each in found}) == 1
    head = [*([f"workspace {units.printable(found[0].workspace.resolve())}"] if one_place else []), *map(_setting, common.items())]
    if head and len(found) > 1:
        print(f"All: {', '.join(head)}")
    elif head:
        print(", ".join(head))
    rows = [_row(each, common) for each in found]
    names = [name for name in rows[0] if any(row[name] for row in rows) and not (name == "workspace" and one_place)]
    width = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    for row in ({name: name for name in names}, *rows):
        cells = (f"{row[name]:>{width[name]}}" if name in NUMBERS else f"{row[name]:<{width[name]}}" for name in names)
        print("  ".join(cells).rstrip())


def _row(each: LoggedRun, common: dict[str, str]) -> dict[str, str]:
    """The cells of a run by the title of their column."""
    other = f" ({each.stage})" if each.rmse is not None and each.stage != "Predict" else ""
    return {
        "RMSE": "" if each.rmse is None else f"{each.rmse:.3f} px{other}",
        "metrics": each.metrics,
        "Kaggle": units.printable(each.kaggle),
        "began": each.began[:16].replace("T", " "),
        "took": "" if each.seconds is None else units.clock(each.seconds),
        "task": each.task,
        "key": each.key,
        "workspace": units.printable(each.workspace),
        "ended": units.printable(each.ended),
        "settings that differ": ", ".join(_setting(item) for item in each.settings.items() if item[0] not in common),
    }


def _setting(item: tuple[str, str]) -> str:
    name, value = item
    return units.printable(f"--{name} {value}" if value else f"--{name}")


def _record(each: LoggedRun) -> dict[str, Any]:
    """A run as plain values by the name of their column; None where there is none."""
    return {name: getattr(each, name) or None for name in COLUMNS} | {"workspace": str(each.workspace), "seconds": each.seconds}


def _print_json(found: list[LoggedRun]) -> None:
    print(json.dumps([_record(each) | {"settings": each.settings} for each in found], indent=1))


def _print_csv(found: list[LoggedRun]) -> None:
    """Prints the records as CSV, with a column for each setting that any of the runs has."""
    settings = list(dict.fromkeys(name for each in found for name in each.settings))
    table = csv.DictWriter(sys.stdout, [*COLUMNS[:-1], *(f"--{name}" for name in settings)], extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for each in found:
        table.writerow(_record(each) | {f"--{name}": value for name, value in each.settings.items()})


_SHOWN: dict[str, Callable[[list[LoggedRun]], None]] = {"table": _print_table, "csv": _print_csv, "json": _print_json}
