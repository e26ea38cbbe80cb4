"""Accuracy and duration of runs with default settings on keypoint sets other than Kaggle's faces, as a table in Markdown.

python bench/own_sets.py FOLDER WORKSPACE [NAME ...] [-- LUIGI FLAGS]

FOLDER has a folder for each set; a set NAME is read with examples/keypoint-sets/NAME.toml if there is such a file. The runs have a folder
each in WORKSPACE, so that a stage that is up to date is not run again; the duration is then that of its first run. The flags after -- are
passed to luigi, for example `-- --Predict-folds 5` for predictions of all samples by nets that were not trained on them.
"""

import argparse
from pathlib import Path

import chain
import numpy as np

from pipeline.results.metric_table import MetricTable
from pipeline.results.metric_text import digits
from pipeline.results.predictions import Predictions


def main() -> None:
    """Runs the sets one after the other and prints a line for each as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with a folder for each set")
    parser.add_argument("workspace", type=Path, help="folder for the workspaces of the runs")
    parser.add_argument("names", nargs="*", help="the sets; all if none is named")
    options, flags = chain.arguments(parser)
    names = options.names or sorted(path.name for path in options.folder.iterdir() if path.is_dir())
    print("| set | training, held-out samples | minutes | metric | specialists (95 % interval) | base net | mean shape |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name in names:
        _print(name, [*_set_flags(options.folder / name, options.workspace / name), *flags])


def _set_flags(folder: Path, workspace: Path) -> list[str]:
    """The flags of a set: its folder, its description if there is one, and the workspace."""
    described = chain.ROOT / "examples" / "keypoint-sets" / f"{folder.name}.toml"
    keypoints = ["--dataset-keypoints", str(described)] if described.exists() else []
    return ["--dataset-path", str(folder.resolve()), *keypoints, "--workspace-root", str(workspace.resolve())]


def _print(name: str, flags: list[str]) -> None:
    """Runs a set and prints a line for each of its metrics over all held-out labels."""
    chain.run("Predict", flags)
    with chain.task("Predict", flags) as predict:
        content: Predictions = predict.output().load(Predictions)
        seconds = {entry["key"]: entry["seconds"] for entry in chain.logged(predict)}
        stages = {predict.key: predict} | {stage.key: stage for stage in predict.ancestors()}
        duration = sum(seconds.get(key, 0) for key in stages)
        total = max((_labelled(stage) for stage in stages.values() if stage.task_family == "Load"), default=0)
    if content.metrics is None:
        raise SystemExit(f"{name} is not a keypoint set of its own.")
    held_out = len(content.validation)
    for number, (metric, cells) in enumerate(_rows(content.metrics)):
        first = [name, f"{total - held_out if held_out < total else total}, {held_out}", f"{duration / 60:.0f}"] if not number else [""] * 3
        print("| " + " | ".join([*first, metric, *cells]) + " |", flush=True)


def _labelled(load: object) -> int:
    """The number of labelled samples of a data set."""
    from pipeline.data.dataset import Dataset

    with load.output().reading(Dataset) as file:  # type: ignore[attr-defined]
        return len(file["row"])


def _rows(table: MetricTable) -> list[tuple[str, list[str]]]:
    """Name and unit of each metric, and its values over all labels: specialists with their interval, base net, mean shape."""
    (everything,) = np.flatnonzero(table.kinds == "all")
    found = []
    for place, (metric, unit) in enumerate(zip(table.metrics.tolist(), table.units.tolist(), strict=True)):
        own, *others = table.values[:, everything, place].tolist()
        low, high = table.interval[everything, place].tolist()
        count = digits(metric, unit)
        interval = "" if np.isnan(low) else f" ({low:.{count}f} to {high:.{count}f})"
        found.append((f"{metric}, {unit}", [f"{own:.{count}f}{interval}", *(f"{value:.{count}f}" for value in others)]))
    return found


if __name__ == "__main__":
    main()
