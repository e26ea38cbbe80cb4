"""The outcomes of the trainings of an experiment, compared."""

import numpy as np
import pytest

from pipeline.experiments import outcomes, plans
from pipeline.nets.trained import History


def plan(seeds=(0, 1)):
    return plans.Plan("sizes", "Which size?", "TrainBase", seeds, {}, {}, {}, 0, 0)


def outcome(*validation, ended="done"):
    """A training with these validation RMSEs, the last of which is that of the net."""
    history = History.of([(epoch, 2 * rmse, rmse, 0.1) for epoch, rmse in enumerate(validation, 1)])
    return outcomes.outcome(ended, validation[-1], history, "key", '{"TrainBase": {}}')


def compare(**variations):
    """A comparison of the given rows of outcomes, in which each training took a minute."""
    rows = list(variations.values())
    return outcomes.compare(plan(tuple(range(len(rows[0])))), list(variations), rows, [[60.0] * len(row) for row in rows])


def test_the_best_comes_first_and_what_diverged_last():
    """Variations are sorted by mean, with mean and standard deviation over seeds; curves are padded to the longest training."""
    content = compare(
        wild=[outcome(9, np.nan, ended="diverged"), outcome(5, 1)],
        small=[outcome(5, 4, 3), outcome(5, 4, 4)],
        large=[outcome(5, 2), outcome(5, 1)],
    )
    assert content.variations.tolist() == ["large", "small", "wild"]
    np.testing.assert_allclose(content.mean, [1.5, 3.5, np.nan])
    np.testing.assert_allclose(content.spread[:2], np.sqrt(0.5))  # of two values: their distance over the root of 2
    np.testing.assert_array_equal(content.validation_rmse[0, 0], np.float32([5, 2, np.nan]))
    assert content.ended.tolist()[2] == ["diverged", "done"]
    table = outcomes.table(content)
    assert table["seed 1"].tolist() == [1, 4, 1]
    assert table["minutes"].tolist() == [2, 2, 2]
    assert "diverged" in outcomes.text(content)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ([outcome(1.0), outcome(1.1)], [outcome(1.2), outcome(1.3)], "Best: one, 0.200 px better than two, and better with every seed"),
        ([outcome(1.0), outcome(1.25)], [outcome(1.2), outcome(1.3)], "No clear difference between one and two"),
        ([outcome(1.0)], [outcome(1.2)], "more seeds would show"),
        ([outcome(1.0)], [outcome(np.nan, ended="diverged")], ""),
    ],
)
def test_a_difference_counts_if_the_seeds_do_not_overlap(first, second, said):
    """A single seed may be chance, and overlapping seeds show no difference."""
    verdict = outcomes.verdict(compare(one=first, two=second))
    assert (said in verdict) if said else not verdict


def test_a_stage_without_curves():
    """Predict has an RMSE but no curves, so the figure shows only the seeds."""
    from pipeline.results import experiment_figure

    nothing = outcomes.outcome("done", 1.5, None, "key", "{}")
    content = compare(one=[nothing, nothing])
    assert content.validation_rmse.shape == (1, 2, 0)
    assert len(experiment_figure.compared(content).axes) == 1


def test_figure_names_what_differs_and_the_time():
    """Each variation is labelled with its mean RMSE and the minutes of a training."""
    from pipeline.results import experiment_figure

    figure = experiment_figure.compared(compare(small=[outcome(4, 3), outcome(4, 3.5)], wild=[outcome(9, np.nan, ended="diverged")] * 2))
    names = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert names == ["small: 3.25 px, 1.0 min", "wild: diverged, 1.0 min"]
    assert len(figure.axes[0].lines) == 4


def test_the_figure_shows_one_kind_of_rmse():
    """The dots are where the curves end, not at the RMSE of the finished nets, and the figure says so."""
    from pipeline.results import experiment_figure

    finished = [
        outcomes.outcome("done", 2.7, outcome(4, 3).history, "key", "{}"),
        outcomes.outcome("done", 2.9, outcome(3.5).history, "key", "{}"),
    ]
    figure = experiment_figure.compared(compare(small=finished))
    curves, ends = figure.axes
    assert [line.get_ydata()[np.isfinite(line.get_ydata())][-1] for line in curves.lines] == [3, 3.5]
    assert ends.lines[0].get_xdata().tolist() == [3, 3.5]
    assert ends.get_yticklabels()[0].get_text() == "small: 3.25 px, 1.0 min"
    assert "during the training" in figure.get_supxlabel()
