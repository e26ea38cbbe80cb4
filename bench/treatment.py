"""Whether it pays to treat suspicious labels by a rule, without a person: accuracy before and after, as a table in Markdown.

    python bench/treatment.py FOLDER WORKSPACE [--labels 60] [--mistakes 0.05] [--seeds 0 ...] [-- LUIGI FLAGS]

The rule: where all judging chains agree within 2/96 of the side of a sample and contradict the label by more than 8/96, their prediction is
taken; otherwise the label is marked as missing. It is applied to the most suspicious labels of the training part, and the nets are trained
with the corrections, which go through a file of corrections like any other. Each of --seeds trains once.

Kaggle's faces, in FOLDER: the labels as given are compared with those after the --labels most suspicious ones were treated. An own set:
mistakes of all kinds are made in a share --mistakes of the samples of the training part, one each, and all labels that are more likely
wrong than right are treated; besides, the nets are trained without the mistakes.

Who may judge: no net that judges has seen an image or a label of the validation part. The chains of Suspects are trained in folds of a set
that consists of the training part only: a folder with these rows of Kaggle's table, or a file of --dataset-split that makes the validation
part of an own set a test part. So the labels of the validation part, by which the results are compared, have no influence on what is
treated, are never corrected and are the same in all runs. One of the chains was not trained on the sample that is judged; the others were,
with its suspicious label, so that where they too contradict the label there is more against it. The prediction that is taken is that of the
chain that did not see the sample.

Intervals are paired and contain 95 % of 2,000 bootstrap draws of whole duplicate groups. Results that are in WORKSPACE are used again, so
the same command resumes after an interruption.
"""

import argparse
import csv
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chain
import numpy as np
import relabelled
from relabelled import Labels

import pipeline
from pipeline.data import dataset as datasets
from pipeline.data.dataset import Dataset
from pipeline.metrics.bootstrap import BOOTSTRAP, difference_interval
from pipeline.metrics.rmse import rmse
from pipeline.nets import device
from pipeline.nets.trained import Trained
from pipeline.quality import suspects, suspicion
from pipeline.quality.suspects import JudgedLabels
from pipeline.quality.suspicion import Made
from pipeline.results.predictions import Predictions

AGREE, CONTRADICT = 2 / 96, 8 / 96  # fractions of the side of a sample
LIKELY = 0.5  # probability from which a label of an own set is treated


@dataclass(frozen=True)
class Verdict:
    """What the judges think of the samples of the training part.

    faces: these samples. found: the labels, judged. chains: float (C, n, K, 2), the predictions of all chains for the samples with a label
    to be treated, pixels of the samples, NaN for the others. chosen: bool (n, K), the labels to be treated.
    """

    faces: Dataset
    found: JudgedLabels
    chains: np.ndarray
    chosen: np.ndarray

    def treated(self) -> np.ndarray:
        """The labels float (n, K, 2) after the treatment, pixels of the samples; NaN where they are missing."""
        side = self.faces.images.shape[1]
        apart = np.linalg.norm(self.chains[:, None] - self.chains[None], axis=4).max(axis=(0, 1))
        far = np.linalg.norm(self.found.predictions - self.faces.keypoints, axis=2)
        taken = (apart <= AGREE * side) & (far > CONTRADICT * side)
        replaced = np.where(taken[..., None], self.found.predictions, np.nan)
        return np.where(self.chosen[..., None], replaced, self.faces.keypoints)


@dataclass(frozen=True)
class HeldOut:
    """The results of trainings with some labels, one for each seed: predictions (n, K, 2), labels, and duplicate groups (n,)."""

    predicted: np.ndarray
    truth: np.ndarray
    group: np.ndarray


def main() -> None:
    """Trains what is not trained yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--labels", type=int, default=60, help="Kaggle's faces: the number of labels that are treated")
    parser.add_argument("--mistakes", type=float, default=0.05, help="own sets: the share of samples with a mistake")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the trainings that are compared")
    options, flags = chain.arguments(parser)
    options.workspace.mkdir(parents=True, exist_ok=True)
    flags = [*chain.set_flags(options.folder), "--workspace-root", str(options.workspace.resolve()), *flags]
    chain.run("Load", flags, show=True)
    with chain.task("Load", flags) as task:
        faces, is_own = task.output().load(Dataset), pipeline.dataset().is_own
    runs = _own(faces, options, flags) if is_own else _kaggle(faces, options, flags)
    print(flush=True)
    _print({name: _trained(own, options.seeds) for name, own in runs.items()})


def _kaggle(faces: Dataset, options: argparse.Namespace, flags: list[str]) -> dict[str, list[str]]:
    """The flags of the trainings to compare, by their names, for Kaggle's faces."""
    kept, part, file = np.flatnonzero(~faces.validation), options.workspace.resolve() / "training-part", _file(options, "treated")
    relabelled.write_part(options.folder, faces.row[kept], part)
    verdict = _verdict([*flags, *chain.dataset_path(part)], options.labels, None)
    points, chosen = verdict.treated(), verdict.chosen.copy()
    before, missing = ~np.isnan(faces.keypoints[kept]).any(axis=2), chosen & np.isnan(points).any(axis=2)
    keypointset = faces.keypointset.restored()
    # The split balances annotation sources, which are recognised by what is labelled: it must not change.
    other = datasets.sources(before & ~missing, keypointset) != faces.source[kept]
    chosen[missing & other[:, None]] = False
    print(
        f"\n{(missing & other[:, None]).sum()} labels that should be missing stay, so that the annotation source is recognised", flush=True
    )
    _print_treated(verdict, points, chosen)
    print(f"{(faces.dropped[kept] & chosen).sum()} of the treated labels are left out of the training anyway (--Load-clean)", flush=True)
    rows = np.flatnonzero(chosen.any(axis=1))
    relabelled.write(file, flags, faces, Labels(kept[rows], points[rows], chosen[rows], ["suspicious"] * len(rows)))
    return {"as given": flags, f"{chosen.sum()} labels treated": [*flags, "--dataset-corrections", str(file)]}


def _own(faces: Dataset, options: argparse.Namespace, flags: list[str]) -> dict[str, list[str]]:
    """The flags of the trainings to compare, by their names, for an own set."""
    if faces.origin is None:
        raise SystemExit("The drawn faces have no labels to treat; give a folder.")
    fixed, judging = _file(options, "split"), _file(options, "judges-split")
    for file, name in ((fixed, "validation"), (judging, "test")):
        parts = dict(zip(faces.origin.image.tolist(), np.where(faces.validation, name, "training").tolist(), strict=True))
        with file.open("w", newline="", encoding="utf-8") as opened:
            csv.writer(opened).writerows([("image", "part"), *sorted(parts.items())])
    made, wrong, treated = _mistakes(faces, options.mistakes), _file(options, "mistakes"), _file(options, "treated")
    place = made.judged.place[:, None]
    points = made.judged.labels * place[..., 2:] + place[..., :2]
    relabelled.write(wrong, flags, faces, Labels(made.rows, points, made.wrong, made.kind.tolist()))
    judges = [*flags, "--dataset-split", str(judging), "--dataset-corrections", str(wrong)]
    verdict = _verdict(judges, None, LIKELY)
    shutil.copy(wrong, treated)
    _write_treated(verdict, judges, treated)
    _print_treated(verdict, verdict.treated(), verdict.chosen, _wrong(faces, made, verdict.faces))
    fixed_flags = [*flags, "--dataset-split", str(fixed)]
    named = {"with mistakes": wrong, "treated": treated, "without mistakes": _file(options, "none")}
    return {name: [*fixed_flags, "--dataset-corrections", str(file)] for name, file in named.items()}


def _file(options: argparse.Namespace, name: str) -> Path:
    """A file in the workspace. Files of corrections are written anew each time, from results that are in the workspace."""
    file: Path = options.workspace.resolve() / f"{name}.csv"
    file.unlink(missing_ok=True)
    return file


def _mistakes(faces: Dataset, share: float) -> Made:
    """Mistakes in a share of the samples of the training part."""
    judged, rng = suspects.judged(faces, relabelled.unpredicted(faces)), np.random.default_rng(0)
    rows = rng.permutation(np.flatnonzero(judged.known.any(axis=1) & ~faces.validation))
    return suspicion.with_mistakes(judged, np.sort(rows[: max(1, round(share * len(rows)))]), rng)


def _verdict(flags: list[str], most: int | None, least: float | None) -> Verdict:
    """What chains that were trained in folds of the set of the flags think of it.

    most: the number of labels to be treated; None: all with a probability above `least`.
    """
    chain.run("Suspects", flags, show=True)
    with chain.task("Suspects", flags) as task:
        found, faces = task.output().load(JudgedLabels), task.input()["faces"].load(Dataset)
        chosen = (found.rank > 0) & (found.rank <= most if most else np.nan_to_num(found.probability) > (least or 0))
        rows, chains = np.flatnonzero(chosen.any(axis=1)), []
        predict = task.requires()["predictions"]
        for each in predict.input()["chains"] if len(rows) else []:
            predicted = np.full(faces.keypoints.shape, np.nan)
            predicted[rows] = _predicted(each, faces, rows, predict.share)
            chains.append(predicted)
    return Verdict(faces, found, np.array(chains or [faces.keypoints]), chosen)


def _predicted(inputs: dict[str, Any], faces: Dataset, rows: np.ndarray, share: float) -> np.ndarray:
    """What one chain predicts for some samples, (m, K, 2), pixels of the samples."""
    device.prepare(seed=0, threads=pipeline.device().threads)
    from pipeline.inference import ensemble, prediction

    nets = [artifact.load(Trained) for artifact in (inputs["base"], *inputs["specialists"].values())]
    keypointset = inputs["faces"].load(Dataset).keypointset.restored()
    found = prediction.predict_chain(nets, faces.images[rows], faces.source[rows], keypointset)
    return ensemble.combined(nets, [each.keypoints for each in found], base_share=share)


def _write_treated(verdict: Verdict, flags: list[str], file: Path) -> None:
    """Adds the treated labels of an own set to a file of corrections."""
    place = suspects.judged(verdict.faces, relabelled.unpredicted(verdict.faces)).place
    points = verdict.treated() / verdict.faces.images.shape[1] * place[:, None, 2:] + place[:, None, :2]
    rows = np.flatnonzero(verdict.chosen.any(axis=1))
    relabelled.write(file, flags, verdict.faces, Labels(rows, points[rows], verdict.chosen[rows], ["suspicious"] * len(rows)))


def _wrong(faces: Dataset, made: Made, judged: Dataset) -> np.ndarray:
    """Which labels of the samples that were judged have a mistake, bool (n, K)."""
    wrong = np.zeros(judged.keypoints.shape[:2], bool)
    numbers = {name: number for number, name in enumerate(_names(judged))}
    names = _names(faces)
    wrong[[numbers[names[row]] for row in made.rows.tolist()]] = made.wrong
    return wrong


def _names(faces: Dataset) -> list[tuple[str, str, str]]:
    """A name for each sample of an own set."""
    assert faces.origin is not None
    sources = faces.source_names[faces.source].tolist()
    return list(zip(faces.origin.image.tolist(), faces.origin.instance.tolist(), sources, strict=True))


def _print_treated(verdict: Verdict, points: np.ndarray, chosen: np.ndarray, wrong: np.ndarray | None = None) -> None:
    """Prints how many labels were treated, and how many of these have a mistake, if that is known."""
    missing = chosen & np.isnan(points).any(axis=2)
    print(f"{chosen.sum()} labels treated: {(chosen & ~missing).sum()} replaced by predictions, {missing.sum()} marked as missing")
    if wrong is not None:
        print(f"{(chosen & wrong).sum()} of {wrong.sum()} labels with a mistake were treated, and {(chosen & ~wrong).sum()} others")


def _trained(flags: list[str], seeds: list[int]) -> HeldOut:
    """The held-out predictions of trainings with these flags, in pixels of the images."""
    parts = []
    for seed in seeds:
        own = [*flags, "--TrainBase-seed", str(seed), "--TrainSpecialist-seed", str(seed)]
        chain.run("Predict", own, show=True)
        with chain.task("Predict", own) as task:
            found, faces = task.output().load(Predictions), task.input()["chains"][0]["faces"].load(Dataset)
        group = faces.duplicate_group[faces.validation]
        parts.append((found.validation * found.pixel, found.validation_truth * found.pixel, group))
    return HeldOut(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _print(runs: dict[str, HeldOut]) -> None:
    """Prints the RMSE of each training, and its difference from that of the first."""
    first, *_ = runs.values()
    print("\n| labels of the training part | RMSE, px | difference, 95 % interval |\n| --- | --- | --- |")
    for name, own in runs.items():
        if not np.array_equal(own.truth, first.truth, equal_nan=True):
            raise SystemExit(f"The validation parts of {name!r} and the first training differ, so they cannot be compared.")
        error, beside = rmse(own.predicted, own.truth), "-"
        if own is not first:
            args = (own.predicted, first.predicted, own.truth, own.group)
            low, high = difference_interval(*args, **BOOTSTRAP, rng=np.random.default_rng(0))
            beside = f"{error - rmse(first.predicted, first.truth):+.3f} ({low:+.3f} to {high:+.3f})"
        print(f"| {name} | {error:.3f} | {beside} |", flush=True)


if __name__ == "__main__":
    main()
