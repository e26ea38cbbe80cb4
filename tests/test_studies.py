"""Experiments as tasks: the outcomes of their trainings, and what these share and need. The trainings are stubs."""

import dataclasses
import math

import kinds
import numpy as np
import pytest

import pipeline
from pipeline.commands.support.last_run import Run
from pipeline.errors import Diverged, Pruned
from pipeline.experiments.outcomes import Comparison, Outcome
from pipeline.nets.trained import History, Trained
from pipeline.store.run import closing
from pipeline.tasks import studies

CURVE = (5.0, 4.0, 3.0)  # validation RMSE after each epoch
SEARCH = (
    'name = "a"\nsearch = "tpe"\ntrials = {trials}\n[space]\nTrainBase.batch = [16, 32, 64]\nTrainBase.l2 = {{low = 0.1, high = 0.9}}\n'
)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A workspace with stub data and stub trainings; the list of stages that were trained, in order."""
    made = []

    def run(stage):
        made.append(stage)
        rows = [(epoch, rmse - 1, rmse, 0.1) for epoch, rmse in enumerate(CURVE, 1)]
        for epoch in range(1, len(rows) + 1):
            if stage.watch:
                stage.watch(History.of(rows[:epoch]))
        history = History.of(rows)
        net = dataclasses.replace(kinds.filled(Trained, np.random.default_rng(0)), history=history, rmse=np.float32(stage.batch))
        stage.save(net)

    for data in (pipeline.Load, pipeline.Augment):
        monkeypatch.setattr(data, "complete", lambda self: True)
    monkeypatch.setattr(pipeline.TrainBase, "run", run)
    monkeypatch.setattr(pipeline.TrainSpecialist, "run", run)
    monkeypatch.setattr(closing, "begin", lambda stage, workspace: None)  # this is not a run by Luigi
    with Run(["--dataset-path=rendered", f"--workspace-root={tmp_path}"]).stages():
        yield made


def trial(stage="TrainBase", search="", **parameters):
    return pipeline.Trial(stage=stage, search=search, overrides={"TrainBase": {"batch": 16, **parameters}})


def experiment(tmp_path, text):
    path = tmp_path / f"{len(list(tmp_path.glob('*.toml')))}.toml"
    path.write_text(text)
    return pipeline.Experiment(file=str(path))


def outcome(task):
    studies._run_with_inputs(task)
    return task.output().load(Outcome)


def hopeless_from(epoch):
    return lambda at, rmse: at >= epoch


def test_a_base_net_that_diverges_is_an_outcome_of_its_specialist(trained, monkeypatch):
    """The outcome has no RMSE and no curve, because those of the base net are not the specialist's."""

    def diverge(stage):
        raise Diverged("no number", History.of([(1, 9.0, math.nan, 0.1)]))

    monkeypatch.setattr(pipeline.TrainBase, "run", diverge)
    for stage in ("TrainSpecialist:mouth", "Predict"):
        found = outcome(trial(stage))
        assert (str(found.ended), len(found.history.epoch)) == ("diverged", 0)
        assert np.isnan(found.rmse)
    found = outcome(trial())
    assert (str(found.ended), len(found.history.epoch)) == ("diverged", 1)
    assert trained == []


def test_what_a_search_gave_up_is_no_other_experiments_outcome(trained):
    """A trial that its search may stop early has an artifact of its own; what was trained to its end is shared."""
    searched = trial(search="some")
    searched.watched_by(hopeless_from(2))
    assert str(outcome(searched).ended) == "pruned"
    assert str(outcome(trial()).ended) == "done"
    assert trial().compared.key == searched.compared.key


def test_a_training_that_is_there_is_watched_as_if_it_ran(trained):
    """It is stopped after the same epoch, gives an outcome of the same bytes, and is not trained again."""
    live = trial(search="some")
    live.watched_by(hopeless_from(2))
    studies._run_with_inputs(live)
    before = live.path.read_bytes()
    live.path.unlink()
    studies._run_with_inputs(trial().compared)
    assert len(trained) == 2
    again = trial(search="some")
    again.watched_by(hopeless_from(2))
    assert again.path == live.path
    assert outcome(again).history.epoch.tolist() == [1, 2]
    assert again.path.read_bytes() == before
    assert len(trained) == 2


def test_given_up_with_the_history_so_far(trained):
    """The history of a resumed training contains the epochs before its checkpoint too."""
    task = trial(search="some")
    task.watched_by(hopeless_from(7))
    rows = [(epoch, 8.0, 9.0, 0.1) for epoch in range(1, 8)]
    task._watch(History.of(rows[:6]))
    with pytest.raises(Pruned) as given_up:
        task._watch(History.of(rows))
    assert given_up.value.history.rows() == History.of(rows).rows()


def test_a_search_with_more_trials_begins_with_the_same(trained, tmp_path):
    """No trial is trained again, and all belong to the search, so that clean keeps them."""
    pytest.importorskip("optuna")
    for trials in (7, 9):
        task = experiment(tmp_path, SEARCH.format(trials=trials))
        studies._run_with_inputs(task)
        assert len(trained) == trials
        assert len(task.output().load(Comparison).variations) == trials
        belonging = {stage.place for stage in task.needed_stages()}
        assert {stage.place for stage in trained} < belonging
        assert task.place in belonging


def test_what_belongs_to_a_grid(trained, tmp_path):
    """Its trials and the stages that they compare belong to it, each once, inputs first."""
    task = experiment(tmp_path, 'name = "a"\n[grid]\nTrainBase.batch = [16, 32]\n')
    names = [stage.address for stage in task.needed_stages()]
    assert names == ["Render", "Load", "Augment", "TrainBase", "Trial:trainbase", "TrainBase", "Trial:trainbase", "Experiment:a"]


def test_the_time_of_a_prediction_is_that_of_its_trainings(trained):
    """A prediction takes as long as its seven nets; a single training has only its own time."""
    assert len(trial("Predict").trainings) == 7
    assert [stage.address for stage in trial("TrainSpecialist:mouth").trainings] == ["TrainSpecialist:mouth"]


def test_the_files_of_a_search_must_be_there(tmp_path):
    """A search makes its trials one by one, so Luigi must know beforehand which files they need."""
    with Run([f"--dataset-path={tmp_path}/nowhere", f"--workspace-root={tmp_path}"]).stages():
        task = experiment(tmp_path, SEARCH.format(trials=6))
        missing = [file.path for file in task.requires()["brought"] if not file.complete()]
    assert sorted(missing) == [f"{tmp_path}/nowhere/{stem}.csv" for stem in ("IdLookupTable", "test", "training")]
