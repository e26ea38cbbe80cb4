"""The largest memory of a full run in one process, and of each stage in a process of its own.

    python bench/memory.py FOLDER [-- LUIGI FLAGS]

FOLDER: Kaggle's files, or `rendered`. Trainings have one epoch (`-- --TrainBase-epochs 75` for the default): each epoch needs the same.
"""

import argparse
import tempfile
from pathlib import Path

import chain
import turns

from pipeline.keypoints.kaggle import KAGGLE

SHORT = ["--TrainBase-epochs", "1", "--TrainSpecialist-epochs", "1"]
SPECIALISTS = [["TrainSpecialist", "--group", group] for group in KAGGLE.groups]
STAGES = [["Load"], ["Augment"], ["TrainBase"], *SPECIALISTS, ["LearningCurves"], ["Predict"]]
GOALS_MB = {"Load": 1000, "Predict": 1000}
FULL_RUN_MB = 2500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    options, flags = chain.arguments(parser)
    folder = options.folder if options.folder == "rendered" else str(Path(options.folder).resolve())
    flags = ["--dataset-path", folder, *SHORT, *flags]
    with tempfile.TemporaryDirectory() as workspace:
        full = chain.run("Predict", [*flags, "--workspace-root", workspace])
    with tempfile.TemporaryDirectory() as workspace:
        peaks = {" ".join(stage[::2]): chain.run(stage[0], [*stage[1:], *flags, "--workspace-root", workspace]).peak_mb for stage in STAGES}
    print(f"{'a process of its own for':<34}{'MB':>8}")
    for stage, peak in peaks.items():
        print(f"{stage:<34}{peak:8.0f}")
    for stage, most in GOALS_MB.items():
        turns.goal(f"{stage}, MB", peaks[stage], at_most=most)
    turns.goal("a full run in one process, MB", full.peak_mb, at_most=FULL_RUN_MB)


if __name__ == "__main__":
    main()
