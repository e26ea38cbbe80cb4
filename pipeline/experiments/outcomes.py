"""The outcomes of the trainings of an experiment: one record each, and a comparison of all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.experiments.plans import Plan
from pipeline.nets.trained import History, padded
from pipeline.schema import Plot, array, record


@record
class Outcome:
    """The outcome of one training."""

    ended: np.ndarray = array("text", "", "", "how it ended: done, diverged or pruned")
    rmse: np.ndarray = array("float32", "", "px", "validation RMSE; NaN unless the training is done")
    history: History
    key: np.ndarray = array("text", "", "", "key of the artifact of the compared stage")
    overrides: np.ndarray = array("text", "", "", "the parameters that were set, as JSON")


@record
class Comparison:
    """All trainings of an experiment, the best variation first. NaN marks trainings without a result, and epochs after the last one."""

    name: np.ndarray = array("text", "", "", "name of the experiment")
    question: np.ndarray = array("text", "", "", "the question that it should answer")
    stage: np.ndarray = array("text", "", "", "the compared stage")
    variations: np.ndarray = array("text", "variation", "", "how the variation differs from the others")
    seeds: np.ndarray = array("int64", "seed", "", "seeds")
    mean: np.ndarray = array("float32", "variation", "px", "mean validation RMSE over the seeds; NaN if one has no result")
    spread: np.ndarray = array("float32", "variation", "px", "standard deviation over the seeds; NaN for a single seed")
    rmse: np.ndarray = array("float32", "variation seed", "px", "validation RMSE of each training")
    seconds: np.ndarray = array("float32", "variation seed", "s", "duration of the training; NaN if the run log does not have it")
    epoch: np.ndarray = array("int32", "epoch", "", "epoch, counted from 1")
    training_rmse: np.ndarray = array("float32", "variation seed epoch", "px", "RMSE on the augmented training faces")
    validation_rmse: np.ndarray = array("float32", "variation seed epoch", "px", "RMSE on the validation faces")
    ended: np.ndarray = array("text", "variation seed", "", "how each training ended: done, diverged or pruned")
    keys: np.ndarray = array("text", "variation seed", "", "key of the compared stage's artifact")
    overrides: np.ndarray = array("text", "variation seed", "", "the parameters that were set, as JSON")

    PLOT = Plot("mean", (".",))


def outcome(ended: str, rmse: float, history: History | None, key: str, overrides: str) -> Outcome:
    """The record of a training that ended in the given way; without a history it has no epochs."""
    return Outcome(np.array(ended), np.array(rmse, np.float32), history or History.of([]), np.array(key), np.array(overrides))


def compare(plan: Plan, names: list[str], outcomes: list[list[Outcome]], seconds: list[list[float]]) -> Comparison:
    """The comparison of the variations with these names.

    `outcomes` and `seconds` hold for each variation those of each seed; seconds are NaN where they are unknown.
    """
    rmse = np.array([[each.rmse for each in row] for row in outcomes], np.float32)
    mean = rmse.mean(axis=1)
    order = np.argsort(mean, kind="stable")  # NaN comes last

    def of_each(value: Callable[[Outcome], Any]) -> np.ndarray:
        return np.array([[value(each) for each in outcomes[row]] for row in order])

    longest = max(len(each.history.epoch) for row in outcomes for each in row)
    return Comparison(
        name=np.array(plan.name),
        question=np.array(plan.question),
        stage=np.array(plan.stage),
        variations=np.array(names)[order],
        seeds=np.array(plan.seeds, np.int64),
        mean=mean[order],
        spread=rmse[order].std(axis=1, ddof=1) if len(plan.seeds) > 1 else np.full(len(rmse), np.nan, np.float32),
        rmse=rmse[order],
        seconds=np.array(seconds, np.float32)[order],
        epoch=np.arange(1, longest + 1, dtype=np.int32),
        training_rmse=of_each(lambda each: padded(each.history.training_rmse, longest)),
        validation_rmse=of_each(lambda each: padded(each.history.validation_rmse, longest)),
        ended=of_each(lambda each: str(each.ended)),
        keys=of_each(lambda each: str(each.key)),
        overrides=of_each(lambda each: str(each.overrides)),
    )


def table(content: Comparison) -> pd.DataFrame:
    """One row per variation, the best first: mean RMSE and spread over the seeds, the RMSE of each seed, minutes of all its trainings."""
    columns: dict[str, Any] = {"variation": content.variations, "mean RMSE, px": content.mean, "spread": content.spread}
    columns |= {f"seed {seed}": content.rmse[:, number] for number, seed in enumerate(content.seeds)}
    columns["minutes"] = content.seconds.sum(axis=1) / 60
    columns["ended"] = [", ".join(sorted(set(row) - {"done"})) for row in content.ended]
    return pd.DataFrame(columns)


def write_csv(content: Comparison, path: Path) -> None:
    """Writes the table as a CSV file."""
    table(content).to_csv(path, index=False, float_format="%.4f")


def text(content: Comparison) -> str:
    """The question, the table and the verdict, for the log."""
    decimals = {"minutes": lambda value: f"{value:.1f}"}
    shown = table(content).to_string(index=False, na_rep="", float_format="{:.3f}".format, formatters=decimals, justify="right")
    return "\n".join([str(content.question) or str(content.name), shown, verdict(content)])


def verdict(content: Comparison) -> str:
    """A sentence about the best two variations: they differ if every seed of the one is better than all seeds of the other."""
    if len(content.mean) < 2 or not np.isfinite(content.mean[1]):
        return ""
    best, second = content.variations[:2]
    difference = f"Best: {best}, {content.mean[1] - content.mean[0]:.3f} px better than {second}"
    if len(content.seeds) < 2:
        return f"{difference}; more seeds would show whether that is more than chance."
    if content.rmse[0].max() < content.rmse[1].min():
        return f"{difference}, and better with every seed."
    return f"No clear difference between {best} and {second}, because their seeds overlap."
