"""Measures what an epoch of training costs in addition to its training steps.

    python bench/training_epoch.py [FOLDER] [--epochs 4] [--drawn 1000] [-- LUIGI FLAGS]

FOLDER: Kaggle's files (default: drawn faces). Runs the stages TrainBase and TrainSpecialist in this process and in a temporary workspace.
Goal: everything that is not a training step takes less than 5 % of an epoch.
"""

import argparse
import functools
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chain
from timing import goal

import pipeline
from pipeline.nets import device

SPECIALIST = "mouth"


def main() -> None:
    """Trains a base net and a specialist, and prints a table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--epochs", type=int, default=4, help="epochs per training; the first one is not counted (default: %(default)s)")
    parser.add_argument("--drawn", type=int, default=1000, help="labelled faces to draw if there is no FOLDER (default: %(default)s)")
    options, flags = chain.arguments(parser)
    if options.epochs < 2:
        parser.error("--epochs must be at least 2, because the first epoch is not counted")
    print(device.prepare(seed=0, threads=pipeline.device().threads))
    stopwatch = Stopwatch()
    stopwatch.watch()
    lengths = ["--TrainBase-epochs", str(options.epochs), "--TrainSpecialist-epochs", str(options.epochs)]
    with tempfile.TemporaryDirectory() as workspace:
        flags = [*chain.dataset_flags(options.folder, options.drawn), "--workspace-root", workspace, *lengths, *flags]
        for title, stage, own in (("base net", "TrainBase", []), (f"specialist {SPECIALIST}", "TrainSpecialist", ["--group", SPECIALIST])):
            with chain.task(stage, [*own, *flags]) as task:
                chain.make(task)
            print_table(title, stopwatch.marks)


class Stopwatch:
    """The seconds spent in functions, by label; `marks` has the time and the state at the start of each epoch and at the end."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.marks: list[tuple[float, dict[str, float]]] = []

    def mark(self) -> None:
        """Notes the time and the state."""
        self.marks.append((time.perf_counter(), dict(self.spent)))

    def timed(self, function: Callable[..., Any], label: str) -> Callable[..., Any]:
        """The function, with the time of its calls counted under the label."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent[label] += time.perf_counter() - start

        wrapped.timed = True
        return wrapped

    def watch(self) -> None:
        """From now on, times the parts of an epoch wherever `training.fit` calls them."""
        from pipeline.nets import checkpoints, health, monitoring, training

        model, placing = training.SamplesOnDevice, training.PlaceSamples
        for owner, function, label in (
            (placing, placing._read, "waiting for the images"),
            (model, model.place, "placing the images on the device"),
            (monitoring.Validation, monitoring.Validation.on_epoch_end, "validation"),
            (health.MeasureHealth, health.MeasureHealth.on_epoch_end, "training health"),
            (checkpoints.SaveCheckpoints, checkpoints.SaveCheckpoints.on_epoch_end, "checkpoints"),
        ):
            setattr(owner, function.__name__, self.timed(function, label))
        make, fit, begin = model.make_train_function, model.fit, placing.on_epoch_begin

        def make_timed(trainer: Any, force: bool = False) -> None:
            make(trainer, force)
            if not hasattr(trainer.train_function, "timed"):
                trainer.train_function = self.timed(trainer.train_function, "training steps")

        def begin_marked(callback: Any, epoch: int, logs: Any = None) -> None:
            self.mark()
            begin(callback, epoch, logs)

        def fit_marked(trainer: Any, *args: Any, **kwargs: Any) -> None:
            self.marks.clear()
            fit(trainer, *args, **kwargs)
            self.mark()

        model.make_train_function, model.fit, placing.on_epoch_begin = make_timed, fit_marked, begin_marked


def print_table(title: str, marks: list[tuple[float, dict[str, float]]]) -> None:
    """Prints the share of each part of the epochs after the first one, in which the training step is compiled."""
    (start, before), (end, after) = marks[1], marks[-1]
    wall, epochs = end - start, len(marks) - 2
    spent = {label: seconds - before.get(label, 0.0) for label, seconds in after.items()}
    print(f"\n{title}, {epochs} epoch{'s' if epochs > 1 else ''} of {wall / epochs:.2f} s")
    spent["everything else"] = wall - sum(spent.values())
    for label, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"  {label:<34}{100 * seconds / wall:7.2f} %")
    goal("per cent of an epoch that is not a training step", 100 * (1 - spent["training steps"] / wall), at_most=5)


if __name__ == "__main__":
    main()
