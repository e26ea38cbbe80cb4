"""How many wrong labels the task Suspects finds: mistakes of ten kinds are made in the labels of a set, as a table in Markdown.

python bench/suspects.py FOLDER WORKSPACE [--seeds 101 102 ...] [--train] [-- LUIGI FLAGS]

Without --train the nets of the set as it is judge all labels: a net that was not trained on a sample does not see its mistakes, so the
predictions are reused for several seeds. With --train the mistakes are in the labels (as a file of corrections in WORKSPACE) when the nets
are trained, once for each seed, as they would be in reality. Results that are in WORKSPACE are used again, so the same command resumes
after an interruption. For Kaggle's faces, --rows gives the places of these rows of the training
table, counted from 1, in the order of suspicion of the samples, without any mistakes.
"""

import argparse
import dataclasses
from pathlib import Path

import chain
import numpy as np
import relabelled
from relabelled import Labels

from pipeline.data.dataset import Dataset
from pipeline.quality import suspects, suspicion
from pipeline.quality.mistakes import KINDS
from pipeline.quality.suspects import JudgedLabels, OutOfFold
from pipeline.quality.suspicion import Made
from pipeline.results.predictions import Predictions

REVIEWED = 0.03  # share of the labels
LARGE = 2.0  # times the median error of the nets, from which a mistake counts as large
WRONG = 0.02  # share of the samples


@dataclasses.dataclass(frozen=True)
class Clean:
    """A set as it is: its samples, what was predicted for them, if that is known, and its flags."""

    faces: Dataset
    held_out: OutOfFold
    flags: list[str]

    def mistaken(self, seed: int) -> Made:
        """The set with mistakes in a share of its samples."""
        rng, judged = np.random.default_rng(seed), suspects.judged(self.faces, self.held_out)
        rows = rng.permutation(np.flatnonzero(judged.known.any(axis=1)))
        return suspicion.with_mistakes(judged, np.sort(rows[: max(1, round(WRONG * len(rows)))]), rng)


@dataclasses.dataclass(frozen=True)
class Found:
    """The mistakes of one seed, and what is thought of all labels: see `JudgedLabels`.

    median: the median error of the nets, a fraction of the side of the samples.
    """

    made: Made
    rank: np.ndarray
    sample_rank: np.ndarray
    probability: np.ndarray
    median: float

    @classmethod
    def of(cls, made: Made, found: JudgedLabels, side: int) -> "Found":
        """What was found, with the mistakes. side: of the samples, pixels."""
        error = np.linalg.norm(found.keypoints - found.predictions, axis=2) / side
        return cls(made, found.rank, found.sample_rank, found.probability, float(np.nanmedian(error)))

    @property
    def cut(self) -> float:
        """The last rank that is reviewed."""
        return REVIEWED * self.rank.max()


def main() -> None:
    """Prints the table of a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103, 104, 105], help="of the mistakes")
    parser.add_argument("--train", action="store_true", help="train the nets with the mistakes")
    parser.add_argument("--rows", type=int, nargs="*", default=[], help="rows of Kaggle's training table to look for, from 1")
    options, flags = chain.arguments(parser)
    root = ["--workspace-root", str(options.workspace.resolve())]
    flags = [*chain.set_flags(options.folder), *root, *flags]
    if options.train:
        clean = _untrained(flags)
        _print([_trained(clean, seed, options.workspace.resolve()) for seed in options.seeds])
        return
    chain.run("Suspects", flags, show=True)
    with chain.task("Suspects", flags) as task:
        inputs = task.input()
        clean = Clean(inputs["faces"].load(Dataset), task.held_out(inputs["predictions"].load(Predictions)), flags)
        if options.rows:
            _print_rows(task.output().load(JudgedLabels), options.rows)
    _print([_reused(clean, seed) for seed in options.seeds])


def _untrained(flags: list[str]) -> Clean:
    """A set as it is, without any nets."""
    chain.run("Load", flags, show=True)
    with chain.task("Load", flags) as task:
        faces = task.output().load(Dataset)
    return Clean(faces, relabelled.unpredicted(faces), flags)


def _reused(clean: Clean, seed: int) -> Found:
    """What is found by the nets of the set as it is."""
    made = clean.mistaken(seed)
    keypoints = clean.faces.keypoints.copy()
    keypoints[made.rows] = made.judged.labels * clean.faces.images.shape[1]
    found = suspects.suspects(dataclasses.replace(clean.faces, keypoints=keypoints), clean.held_out, seed=0)
    return Found.of(made, found, clean.faces.images.shape[1])


def _trained(clean: Clean, seed: int, workspace: Path) -> Found:
    """What is found by nets that were trained with the mistakes."""
    made, file = clean.mistaken(seed), workspace / f"mistakes-{seed}.csv"
    file.unlink(missing_ok=True)  # it may be incomplete
    _write_mistakes(clean, made, file)
    flags = [*clean.flags, "--dataset-corrections", str(file)]
    chain.run("Suspects", flags, show=True)
    with chain.task("Suspects", flags) as task:
        found = task.output().load(JudgedLabels)
    return Found.of(made, found, clean.faces.images.shape[1])


def _write_mistakes(clean: Clean, made: Made, file: Path) -> None:
    """Writes mistakes as a file of corrections."""
    place = made.judged.place[:, None]
    points = made.judged.labels * place[..., 2:] + place[..., :2]
    chosen = made.wrong | np.isnan(points).any(axis=2)
    relabelled.write(file, clean.flags, clean.faces, Labels(made.rows, points, chosen, made.kind.tolist()))


def _print_rows(found: JudgedLabels, rows: list[int]) -> None:
    """Prints the places of rows among the samples, without any mistakes made on purpose."""
    told = (f"row {row}: {found.sample_rank[int(np.flatnonzero(found.row == row - 1)[0])]}" for row in rows)
    print(f"places among the {len(found.row):,} samples: {', '.join(told)}", flush=True)


def _print(found: list[Found]) -> None:
    """Prints recall and precision by kind of mistake and over all."""
    median = np.mean([one.median for one in found])
    print(f"\nmedian error of the nets: {100 * median:.2f} % of the side of a sample\n")
    print("| mistake | mistakes, large ones | found | among the samples | wrong labels found | precision |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in (*KINDS, "all"):
        mistakes, large, seen, first, wrong, right, precision = 0, 0, 0, 0, 0, 0, []
        for one in found:
            chosen = np.ones(len(one.made.kind), bool) if kind == "all" else one.made.kind == kind
            rank, bad = one.rank[one.made.rows[chosen]], one.made.wrong[chosen]
            big = bad & ~(one.made.size[chosen] <= LARGE * one.median)
            reviewed = (rank > 0) & (rank <= one.cut)
            mistakes, large = mistakes + len(rank), large + int(big.any(axis=1).sum())
            seen += int((reviewed & bad)[big.any(axis=1)].any(axis=1).sum())
            first += int((one.sample_rank[one.made.rows[chosen]][big.any(axis=1)] <= REVIEWED * one.sample_rank.max()).sum())
            wrong, right = wrong + int(big.sum()), right + int((reviewed & big).sum())
            precision += _precision(one, rank[big])
        if mistakes:
            shares = [f"{100 * part / max(whole, 1):.1f} %" for part, whole in ((seen, large), (first, large), (right, wrong))]
            exact = f"{100 * np.mean(precision or [np.nan]):.0f} %"
            print(f"| {kind} | {mistakes}, {large} | {shares[0]} | {shares[1]} | {shares[2]} of {wrong} | {exact} |")
    _print_calibration(found)


def _precision(found: Found, rank: np.ndarray) -> list[float]:
    """The share of wrong labels among those that rank no lower than half of these."""
    if not len(rank):
        return []
    limit = np.median(rank)
    reached = (found.rank > 0) & (found.rank <= limit)
    return [float((reached[found.made.rows] & found.made.wrong).sum() / max(reached.sum(), 1))]


def _print_calibration(found: list[Found]) -> None:
    """Prints how many labels with some probability of being wrong have a mistake."""
    print("\n| probability | labels | with a mistake |\n| --- | --- | --- |")
    for low, high in ((0.02, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.01)):
        labels, wrong = 0, 0
        for one in found:
            within = (one.probability >= low) & (one.probability < high)
            labels, wrong = labels + int(within.sum()), wrong + int((within[one.made.rows] & one.made.wrong).sum())
        print(f"| {low:g} to {min(high, 1):g} | {labels} | {100 * wrong / max(labels, 1):.0f} % |")


if __name__ == "__main__":
    main()
