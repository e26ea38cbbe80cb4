"""The accuracy on all labelled faces, each predicted by a chain that was not trained on it; specialists beside the base net; a control.

    python bench/accuracy.py FOLDER WORKSPACE [--folds 5] [--control-epochs N] [--control longer] [--control-folds 5] [-- LUIGI FLAGS]

FOLDER: Kaggle's files, or `rendered`. Runs `luigi --module pipeline Predict --Predict-folds 5` and reads what it leaves; what is in
WORKSPACE already is not made again, so after an interruption the same command goes on. Control: the base nets of the same folds, or the
first of them, trained for N more epochs instead of specialists; without the option it says how many epochs are as much work as those.
`continued`: the trained base net goes on as a specialist does, with the same schedule and steps from the same weights; `longer`: a base
net planned for so many epochs from the start. Intervals are of 95 %, from 2,000 bootstrap draws of whole duplicate groups; "better"
intervals are paired and below zero where the specialists win.
"""

import argparse
import math
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
from pipeline.nets.trained import Trained
from pipeline.results.predictions import Predictions


@dataclass(frozen=True)
class HeldOut:
    """All labelled faces: labels and out-of-fold predictions (n, K, 2) in pixels; source, duplicate group and fold (n,)."""

    truth: np.ndarray
    specialists: np.ndarray
    base: np.ndarray
    source: np.ndarray
    group: np.ndarray
    fold: np.ndarray

    def of(self, folds: int) -> "HeldOut":
        """Those of the first folds."""
        return HeldOut(*(values[self.fold < folds] for values in vars(self).values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--control-epochs", type=int, default=0, help="epochs that the control's base nets train more")
    parser.add_argument("--control", choices=list(CONTROLS), default="continued", help="how they do (default: %(default)s)")
    parser.add_argument("--control-folds", type=int, help="the control is of the first so many folds; without it of all")
    options, flags = chain.arguments(parser)
    if options.folds < 2:
        raise SystemExit("--folds: give at least 2, so that each face is predicted by a chain that was not trained on it")
    folder = options.folder if options.folder == "rendered" else str(Path(options.folder).resolve())
    flags = ["--dataset-path", folder, "--workspace-root", str(options.workspace.resolve()), *flags]
    chain.run("Predict", [*flags, "--Predict-folds", str(options.folds)], show=True)
    faces = held_out(flags, options.folds)
    print_table("specialists", faces.specialists, faces)
    print_table("base net alone", faces.base, faces)
    print_keypoints(faces)
    print_differences("specialists - base net", faces, faces.base)
    if options.control_epochs:
        compared = faces.of(options.control_folds or options.folds)
        more = control(flags, options.folds, compared, options.control_epochs, CONTROLS[options.control])
        print_table(f"control, {options.control}: {options.control_epochs} more epochs", more, compared)
        print_differences("specialists - control", compared, more)
    else:
        print(f"\nno control: --control-epochs {equal_epochs(flags, options.folds)} would be as much work as the specialists were")


# What was predicted


def held_out(flags: list[str], folds: int) -> HeldOut:
    with chain.task("Predict", [*flags, "--Predict-folds", str(folds)]) as predict:
        found = predict.output().load(Predictions)
        chains = [inputs["faces"].load(datasets.Dataset) for inputs in predict.input()["chains"]]
    fold = np.full(len(chains[0].validation), -1)
    for number, faces in enumerate(chains):
        fold[faces.validation] = number
    if not np.array_equal(found.validation_face, np.arange(len(fold))):
        raise SystemExit("the folds do not cover each labelled face once")
    truth, source = found.validation_truth, found.validation_source
    return HeldOut(truth, found.validation, found.validation_base, source, chains[0].group, fold)


def control(flags: list[str], folds: int, faces: HeldOut, more: int, trained) -> np.ndarray:
    """Predictions (n, K, 2) of the faces by base nets that train `more` epochs longer than those of the chains that held them out."""
    answers = np.full_like(faces.truth, np.nan)
    for fold in np.unique(faces.fold).tolist():
        split = ["--Load-validation-share", repr(1 / folds), "--Load-fold", str(fold)]
        answers[faces.fold == fold] = trained([*flags, *split], more)
    return answers


def longer(flags: list[str], more: int) -> np.ndarray:
    """Validation predictions of a base net whose training is longer from the start."""
    with chain.task("TrainBase", flags) as usual:
        flags = [*flags, "--TrainBase-epochs", str(usual.epochs + more)]
    chain.run("TrainBase", flags, show=True)
    with chain.task("TrainBase", flags) as base:
        return base.output().load(Trained).validation


def continued(flags: list[str], more: int) -> np.ndarray:
    """Validation predictions of a trained base net that goes on as a specialist does."""
    from continued import ContinueBase

    with chain.task("TrainBase", flags):
        shared = {name for name, _ in ContinueBase.get_params()}
        recipe = {name: value for name, value in defaults.values(pipeline.TrainSpecialist).items() if name in shared}
        task = ContinueBase(**recipe | {"epochs": more})
        chain.make(task)
        return task.output().load(Trained).validation


CONTROLS = {"continued": continued, "longer": longer}


def equal_epochs(flags: list[str], folds: int) -> int:
    """The epochs in which the first fold's base net sees as many pixels of its batches as the specialists saw: as much work for a net."""
    with chain.task("Predict", [*flags, "--Predict-folds", str(folds)]) as predict:
        stages = predict.requires()["chains"][0]
        faces, base = (stages[name].output().load(kind) for name, kind in (("faces", datasets.Dataset), ("base", Trained)))
        pixels = 0
        for stage in stages["specialists"].values():
            net = stage.output().load(Trained)
            indices = net.indices.tolist()
            with stage.copies(faces, indices, stage.window(base.target, indices), base) as copies:
                pixels += len(net.history.epoch) * len(copies) * int(net.side) ** 2
    return math.ceil(pixels / ((~faces.validation).sum() * KAGGLE.side**2))


# Tables


def print_table(title: str, predicted: np.ndarray, faces: HeldOut) -> None:
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
    print(f"\n{'each keypoint, RMSE in px':<44}{'labels':>10}{'specialists':>13}{'base net':>10}")
    own, base = (rmse_by_keypoint(predicted, faces.truth) for predicted in (faces.specialists, faces.base))
    labels = (~np.isnan(faces.truth).any(axis=2)).sum(axis=0)
    for name, count, first, second in zip(KAGGLE.names, labels, own, base, strict=True):
        print(f"  {name:<42}{count:10,}{first:13.3f}{second:10.3f}")


def print_differences(title: str, faces: HeldOut, other: np.ndarray) -> None:
    print(f"\n{title + ', px':<44}{'difference':>10}{'95 % interval':>20}")
    for name, indices in [("all keypoints", list(range(len(KAGGLE.names)))), *((group, KAGGLE.indices(group)) for group in KAGGLE.groups)]:
        three = [values[:, indices] for values in (faces.specialists, other, faces.truth)]
        labelled = ~np.isnan(three[2]).all(axis=(1, 2))
        first, second, truth = (values[labelled] for values in three)
        difference = rmse(first, truth) - rmse(second, truth)
        options = BOOTSTRAP | {"rng": np.random.default_rng(0)}
        low, high = difference_interval(first, second, truth, faces.group[labelled], **options)
        interval = f"{low:+.3f} to {high:+.3f}"
        verdict = "better" if high < 0 else "worse" if low > 0 else ""
        print(f"  {name:<42}{difference:+10.3f}{interval:>20}   {verdict}")


if __name__ == "__main__":
    main()
