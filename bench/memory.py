"""Measures the peak memory of a full run in one process, and of each stage in a process of its own.

    python bench/memory.py FOLDER [-- LUIGI FLAGS]

FOLDER: Kaggle's files, or `rendered`. Each net trains for one epoch, because more epochs need no more memory; give
`-- --TrainBase-epochs 75` for the default number. Goals: Load and Predict need less than 1 GB, a full run less than 2.5 GB.
"""

import argparse
import tempfile

import chain
from timing import goal

from pipeline.keypoints.kaggle import KAGGLE

SHORT = ["--TrainBase-epochs", "1", "--TrainSpecialist-epochs", "1"]
SPECIALISTS = [["TrainSpecialist", "--group", group] for group in KAGGLE.groups]
STAGES = [["Load"], ["Augment"], ["TrainBase"], *SPECIALISTS, ["LearningCurves"], ["Predict"]]
GOALS_MB = {"Load": 1000, "Predict": 1000}
FULL_RUN_MB = 2500


def main() -> None:
    """Runs everything twice, in one process and in one process per stage, and prints the peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    options, flags = chain.arguments(parser)
    flags = [*chain.dataset_path(options.folder), *SHORT, *flags]
    with tempfile.TemporaryDirectory() as workspace:
        full = chain.run("Predict", [*flags, "--workspace-root", workspace])
    with tempfile.TemporaryDirectory() as workspace:
        peaks = {" ".join(stage[::2]): chain.run(stage[0], [*stage[1:], *flags, "--workspace-root", workspace]).peak_mb for stage in STAGES}
    print(f"{'process of its own':<34}{'peak, MB':>9}")
    for stage, peak in peaks.items():
        print(f"{stage:<34}{peak:9.0f}")
    for stage, most in GOALS_MB.items():
        goal(f"{stage}, MB", peaks[stage], at_most=most)
    goal("full run in one process, MB", full.peak_mb, at_most=FULL_RUN_MB)


if __name__ == "__main__":
    main()
