"""What `keypoints --help` shows: the commands, the tasks and where their results are written, the presets."""

import importlib.metadata
from pathlib import Path

from pipeline.store.workspace.called import called

TASKS = {
    "Render": ("draws synthetic faces, if there are no others", "data/render-KEY.h5, .csv"),
    "Load": ("reads, checks and splits the labelled samples", "data/load-KEY.h5"),
    "LoadTest": ("reads and checks the samples to predict", "data/loadtest-KEY.h5"),
    "Augment": ("creates augmented versions of them", "data/augment-KEY.h5"),
    "TrainBase": ("trains one net for all keypoints", "models/trainbase-KEY.h5"),
    "TrainSpecialist": ("trains the net of one keypoint group: --group", "models/trainspecialist-GROUP-KEY.h5"),
    "LearningCurves": ("plots the RMSE over the epochs", "models/learningcurves-KEY.png, .h5"),
    "Predict": ("predicts the test samples; runs all of the above", "submissions/predictions-KEY.csv or submission-KEY.csv, .h5"),
    "Report": ("shows the results on one page", "submissions/report-KEY.html, .h5"),
    "Annotate": ("annotates any number of photographs: --photos", "submissions/annotate-KEY.csv or .parquet, .h5"),
    "Experiment": ("compares many trainings: --file configs/experiments/...", "models/experiment-NAME-KEY.csv, .png, .h5"),
    "Sanity": ("checks that a net can learn at all", "models/sanity-KEY.h5"),
    "Suspects": ("finds labels that may be wrong", "submissions/suspects-KEY.csv, .h5"),
}
PRESETS = {
    "quick": "a first look in a few minutes",
    "competition": "the best accuracy: five chains of nets, two to three hours",
    "kfkd": "the recipe of the kfkd tutorial",
    "imagenet": "a ResNet50 that was trained on ImageNet, for comparison",
    "cluster": "settings of luigid, which lets several hosts work together: docs/scaling.md",
}


def text(groups: dict[str, dict[str, str]]) -> str:
    """The whole help. groups: the summary of each command, by the title of its group and by name."""
    keypoints, luigi = called("keypoints"), called("luigi", "--module", "pipeline")
    width = max(map(len, (*TASKS, *(name for commands in groups.values() for name in commands))))
    lines = [
        f"usage: {keypoints} COMMAND ...      inspects, uses and tidies results; never trains",
        f"       {luigi} TASK ...      makes results; what is up to date is not made again",
        "",
        f"Start here: {luigi} Predict",
    ]
    for title, commands in groups.items():
        lines += ["", f"{title}:", *(f"  {name:<{width}}  {summary}" for name, summary in commands.items())]
    does = max(len(what) for what, _ in TASKS.values())
    lines += ["", f"Tasks ({luigi} TASK --help shows their flags) and what they write into the workspace:"]
    lines += [f"  {name:<{width}}  {what:<{does}}  {where}" for name, (what, where) in TASKS.items()]
    lines += ["", f"Presets (LUIGI_CONFIG_PATH=configs/NAME.cfg {luigi} Predict):"]
    lines += [f"  {name:<{width}}  {what}" for name, what in PRESETS.items()]
    lines += [
        "",
        "The workspace is the current folder or that of --workspace-root; models/runs.jsonl records what ran. Without flags, a command",
        f"refers to the last finished run. Help for one command: {keypoints} COMMAND --help",
    ]
    return "\n".join(lines) + "\n"


def version() -> str:
    """The version of this installation."""
    try:
        return importlib.metadata.version("keypoints")
    except importlib.metadata.PackageNotFoundError:
        return f"of {Path(__file__).parents[3]}, not installed"
