"""A search with Optuna that is resumed after an interruption."""

import dataclasses
import multiprocessing

import pytest

optuna = pytest.importorskip("optuna")

from pipeline.experiments import plans, search  # noqa: E402

SPACE = {"TrainBase": {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "batch": {"low": 8, "high": 32, "step": 8}}}
PLAN = plans.Plan("rates", "", "TrainBase", (0,), {}, {}, SPACE, 12, 1)


def quality(overrides):
    """A made-up validation RMSE with its best at a learning rate of 0.01."""
    return 1 + abs(overrides["TrainBase"]["learning_rate"] - 0.01) * 50


def run(path, plan=PLAN, stop_after=None, kill=False):
    """Tries proposals and returns their overrides by number; with `kill`, the outcome of the last one is never told."""
    found = {}
    study = search.opened(plan, path)
    for count, proposal in enumerate(study.proposals(), 1):
        found[proposal.number] = proposal.overrides
        if kill and count == stop_after:
            break
        study.tell(proposal, "done", quality(proposal.overrides))
        if count == stop_after:
            break
    return found


def test_finds_the_better_part_of_the_space(tmp_path):
    """Proposed values are in the space, and later ones are closer to the best."""
    found = list(run(tmp_path / "study").values())
    assert len(found) == 12
    for overrides in found:
        assert 1e-4 <= overrides["TrainBase"]["learning_rate"] <= 1e-1
        assert overrides["TrainBase"]["batch"] in (8, 16, 24, 32)
    assert min(map(quality, found[6:])) <= min(map(quality, found[:4]))


@pytest.mark.parametrize("kill", [False, True])
def test_goes_on_as_an_undisturbed_search(tmp_path, kill):
    """After an interruption between or within trials, a search ends with the same proposals."""
    undisturbed = run(tmp_path / "undisturbed")
    first = run(tmp_path / "study", stop_after=7, kill=kill)
    rest = run(tmp_path / "study")
    assert {**first, **rest} == undisturbed
    assert run(tmp_path / "study") == {}


def test_two_writers_lose_nothing(tmp_path):
    """The file survives two processes that write to it at the same time, as where locks of files are not shared between hosts."""
    writers = [multiprocessing.get_context("fork").Process(target=write_ten, args=(tmp_path / "study",)) for _ in range(2)]
    search.opened(PLAN, tmp_path / "study")
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(list(search.opened(PLAN, tmp_path / "study").finished())) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


def write_ten(path):
    study = search.opened(PLAN, path).study
    for _ in range(10):
        trial = study.ask()
        trial.suggest_float("TrainBase.learning_rate", 0.1, 1.0)
        study.tell(trial, 1.0)


def test_gives_up_what_is_hopeless(tmp_path):
    """NaN is hopeless at once, a curve above the median of five others after the patience; failed trials do not count as good ones."""
    study = search.opened(dataclasses.replace(PLAN, trials=8), tmp_path / "study")
    proposals = study.proposals()
    for number in range(5):
        proposal = next(proposals)
        assert not any(proposal.hopeless(epoch, 5.0 - epoch) for epoch in (1, 2, 3))
        study.tell(proposal, "done", 2.0 + number)
    slow = next(proposals)
    assert [slow.hopeless(epoch, 9.0) for epoch in (1, 2)] == [False, True]
    study.tell(slow, "pruned", float("nan"))
    wild = next(proposals)
    assert wild.hopeless(1, float("nan"))
    study.tell(wild, "diverged", float("nan"))
    assert [number for number, _ in study.finished()] == list(range(7))
