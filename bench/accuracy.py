"""Measures the RMSE on all labelled faces, each predicted by a chain that was not trained on it.

    python bench/accuracy.py FOLDER WORKSPACE [--folds 5] [--control-epochs N] [--control longer] [--control-folds 5] [-- LUIGI FLAGS]

FOLDER: Kaggle's files, or `rendered`. Runs `luigi --module pipeline Predict --Predict-folds 5` and compares the specialists with the base
nets and, with --control-epochs, with a control. Results that are already in WORKSPACE are not computed again, so the same command resumes
after an interruption.

The control spends the specialists' training time differently: it trains the base net of each fold for N more epochs. `continued` trains the
finished base net further in the way the specialists train, with their schedule and batches; `longer` plans the training of the base net
for more epochs from the start. Without --control-epochs, the program prints how many epochs would be as much work as the specialists.

Intervals contain 95 % of 2,000 bootstrap draws of whole duplicate groups. Those of a difference are paired; where they lie below zero, the
specialists are better.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import chain
import defaults
import numpy as np

import pipeline
from pipeline.data import dataset as datasets
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.metrics.bootstrap import BOOTSTRAP, bootstrap_interval, difference_interval
from pipeline.metrics.rmse import rmse, rmse_by_keypoint
from pipeline.nets import device
from pipeline.nets.trained import Trained
from pipeline.results.predictions import Predictions
from pipeline.store.run.parameters import or_usual


@dataclass(frozen=True)
class HeldOut:
    """All labelled faces with their out-of-fold predictions.

    truth: labels (n, K, 2) in pixels, NaN where not labelled. specialists, base: predictions (n, K, 2) in pixels, of the whole chains and
    of their base nets. source, group, fold: annotation source, duplicate group and fold of each face, (n,).
    """

    truth: np.ndarray
    specialists: np.ndarray
    base: np.ndarray
    source: np.ndarray
    group: np.ndarray
    fold: np.ndarray

    def of(self, folds: int) -> "HeldOut":
        """The faces of the first folds."""
        return HeldOut(*(values[self.fold < folds] for values in vars(self).values()))


def main() -> None:
    """Runs Predict with folds and, if asked to, the control; prints the tables."""
    options, flags = arguments()
    chain.run("Predict", [*flags, "--Predict-folds", str(options.folds)], show=True)
    faces = held_out(flags, options.folds)
    print_table("specialists", faces.specialists, faces)
    print_table("base nets", faces.base, faces)
    print_keypoints(faces)
    print_differences("specialists - base nets", faces, faces.base)
    if not options.control_epochs:
        epochs = equal_epochs(flags, options.folds)
        print(f"\nThere was no control. --control-epochs {epochs} would be as much work as the specialists were.")
        return
    compared = faces.of(options.control_folds or options.folds)
    predicted = control(flags, options.folds, compared, options.control_epochs, CONTROLS[options.control])
    more = f"{options.control_epochs} more epoch{'s' if options.control_epochs > 1 else ''}"
    print_table(f"control, {options.control}: {more}", predicted, compared)
    print_differences("specialists - control", compared, predicted)


def arguments() -> tuple[argparse.Namespace, list[str]]:
    """The program's options, and the luigi flags for the data, the workspace and whatever else was given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--folds", type=int, default=5, help="number of folds (default: %(default)s)")
    parser.add_argument("--control-epochs", type=int, default=0, help="additional epochs of the control's base nets (default: no control)")
    parser.add_argument("--control", choices=list(CONTROLS), default="continued", help="kind of control (default: %(default)s)")
    parser.add_argument("--control-folds", type=int, help="number of folds that have a control (default: all)")
    options, flags = chain.arguments(parser)
    if options.folds < 2:
        parser.error("--folds must be at least 2, so that each face is predicted by a chain that was not trained on it")
    return options, [*chain.dataset_path(options.folder), "--workspace-root", str(options.workspace.resolve()), *flags]


# Predictions


def held_out(flags: list[str], folds: int) -> HeldOut:
    """The out-of-fold predictions in the artifact of Predict."""
    with chain.task("Predict", [*flags, "--Predict-folds", str(folds)]) as predict:
        found = predict.output().load(Predictions)
        chains = [inputs["faces"].load(datasets.Dataset) for inputs in predict.input()["chains"]]
    fold = np.full(len(chains[0].validation), -1)
    for number, faces in enumerate(chains):
        fold[faces.validation] = number
    if not np.array_equal(found.validation_face, np.arange(len(fold))):
        raise SystemExit("The folds do not contain each labelled face exactly once.")
    truth, source = found.validation_truth, found.validation_source
    return HeldOut(truth, found.validation, found.validation_base, source, chains[0].duplicate_group, fold)


# From luigi flags and a number of additional epochs to the predictions for the validation faces.
Control = Callable[[list[str], int], np.ndarray]


def control(flags: list[str], folds: int, faces: HeldOut, more: int, predictions: Control) -> np.ndarray:
    """Predictions (n, K, 2) in pixels by base nets that train `more` epochs longer than those of the chains that held the faces out."""
    predicted = np.full_like(faces.truth, np.nan)
    for fold in np.unique(faces.fold).tolist():
        split = ["--Load-validation-share", repr(1 / folds), "--Load-fold", str(fold)]
        predicted[faces.fold == fold] = predictions([*flags, *split], more)
    return predicted


def longer(flags: list[str], more: int) -> np.ndarray:
    """The validation predictions of a base net that trains for more epochs from the start."""
    with chain.task("TrainBase", flags) as usual:
        flags = [*flags, "--TrainBase-epochs", str(or_usual(usual, "epochs", usual.epochs) + more)]
    chain.run("TrainBase", flags, show=True)
    with chain.task("TrainBase", flags) as base:
        return base.output().load(Trained).validation


def continued(flags: list[str], more: int) -> np.ndarray:
    """The validation predictions of a finished base net that is trained further in the way the specialists train."""
    from continued import ContinueBase

    with chain.task("TrainBase", flags):
        shared = {name for name, _ in ContinueBase.get_params()}
        recipe = {name: value for name, value in defaults.values(pipeline.TrainSpecialist).items() if name in shared - {"budget"}}
        task = ContinueBase(**recipe | {"epochs": more})
        chain.make(task)
        return task.output().load(Trained).validation


CONTROLS = {"continued": continued, "longer": longer}


def equal_epochs(flags: list[str], folds: int) -> int:
    """The number of epochs in which the first fold's base net sees as many pixels as its specialists saw, which is as much work."""
    device.prepare(seed=0, threads=pipeline.device().threads)
    with chain.task("Predict", [*flags, "--Predict-folds", str(folds)]) as predict:
        stages = predict.requires()["chains"][0]
        faces, pixels = stages["faces"].output().load(datasets.Dataset), 0
        for stage in stages["specialists"].values():
            net = stage.output().load(Trained)
            with stage._versions(stage._job()) as versions:
                pixels += len(net.history.epoch) * len(versions) * int(net.side) ** 2
    return math.ceil(pixels / ((~faces.validation).sum() * faces.images.shape[-1] ** 2))


# Tables


def print_table(title: str, predicted: np.ndarray, faces: HeldOut) -> None:
    """Prints the RMSE of all faces and of each annotation source, with its interval, and that of each fold."""
    folds = int(faces.fold.max()) + 1
    print(f"\n{title + ', RMSE in px':<44}{'all faces':>10}{'95 % interval':>18}{'mean of the folds':>19}   each fold")
    parts = [("all", np.full(len(faces.source), True))]
    parts += [(name, faces.source == number) for number, name in enumerate(KAGGLE.source_names)]
    for name, part in parts:
        each = [rmse(predicted[part & (faces.fold == f)], faces.truth[part & (faces.fold == f)]) for f in range(folds)]
        whole = rmse(predicted[part], faces.truth[part])
        low, high = bootstrap_interval(predicted[part], faces.truth[part], faces.group[part], rng=np.random.default_rng(0), **BOOTSTRAP)
        interval, listed = f"{low:.3f} to {high:.3f}", " ".join(f"{value:.3f}" for value in each)
        print(f"  {name:<42}{whole:10.3f}{interval:>18}{np.mean(each):19.3f}   {listed}")


def print_keypoints(faces: HeldOut) -> None:
    """Prints the RMSE of each keypoint."""
    print(f"\n{'each keypoint, RMSE in px':<44}{'labels':>10}{'specialists':>13}{'base nets':>11}")
    own, base = (rmse_by_keypoint(predicted, faces.truth) for predicted in (faces.specialists, faces.base))
    labels = (~np.isnan(faces.truth).any(axis=2)).sum(axis=0)
    for name, count, first, second in zip(KAGGLE.names, labels, own, base, strict=True):
        print(f"  {name:<42}{count:10,}{first:13.3f}{second:11.3f}")


def print_differences(title: str, faces: HeldOut, other: np.ndarray) -> None:
    """Prints the difference between the RMSE of the specialists and that of other predictions, for each specialist group."""
    print(f"\n{title + ', px':<44}{'difference':>10}{'95 % interval':>20}")
    for name, indices in [("all keypoints", defaults.ALL_KEYPOINTS), *((group, KAGGLE.indices(group)) for group in KAGGLE.groups)]:
        three = [values[:, indices] for values in (faces.specialists, other, faces.truth)]
        labelled = ~np.isnan(three[2]).all(axis=(1, 2))
        first, second, truth = (values[labelled] for values in three)
        difference = rmse(first, truth) - rmse(second, truth)
        rng = np.random.default_rng(0)
        low, high = difference_interval(first, second, truth, faces.group[labelled], rng=rng, **BOOTSTRAP)
        interval = f"{low:+.3f} to {high:+.3f}"
        verdict = "better" if high < 0 else "worse" if low > 0 else ""
        print(f"  {name:<42}{difference:+10.3f}{interval:>20}   {verdict}")


if __name__ == "__main__":
    main()
