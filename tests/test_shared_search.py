"""A search by many: each trial is a stage that any worker takes, and none is lost if one of them dies."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter

import manytrials
import pytest
from luigid import WORKERS, Luigid
from workplace import until, usual_signals

optuna = pytest.importorskip("optuna")

from pipeline.errors import InputError  # noqa: E402
from pipeline.experiments import plans, search  # noqa: E402

TRIALS = 20
FILE = f"""
name = "many"
search = "tpe"
trials = {TRIALS}
storage = "journal"
[space]
TrainBase.l2 = {{low = 0.1, high = 0.9}}
TrainBase.batch = [16, 32]
"""
SPACE = {"TrainBase": {"l2": {"low": 0.1, "high": 0.9}}}
PLAN = plans.Plan("many", "", "TrainBase", (0,), {}, {}, SPACE, 4, 1, plans.JOURNAL)


@pytest.fixture
def server(tmp_path):
    (tmp_path / "luigid").mkdir()
    luigid = Luigid(tmp_path / "luigid")
    yield luigid
    luigid.stop(signal.SIGKILL)


def start(folder, server, **environment):
    """A worker of the search."""
    command = ["--module", "pipeline", "Experiment", "--file", "many.toml", "--dataset-path", "rendered", *server.flags]
    return subprocess.Popen(
        [sys.executable, manytrials.__file__, *command],
        cwd=folder,
        env={**os.environ, "LUIGI_CONFIG_PATH": str(folder / "workers.cfg"), **environment},
        preexec_fn=usual_signals,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_workers_share_a_search_and_one_dies(tmp_path, server):
    """Of 20 trials none is lost: the other worker finishes the one that was interrupted, with the values that were proposed for it."""
    (tmp_path / "many.toml").write_text(FILE)
    (tmp_path / "workers.cfg").write_text(f"[core]{WORKERS}")
    first = start(tmp_path, server, HOLD="3")
    until((tmp_path / "held").exists)
    second = start(tmp_path, server)
    until(lambda: len(done(tmp_path)) > 4)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    printed, _ = second.communicate()
    assert second.returncode == 0, printed
    (study,) = (tmp_path / "models").glob("search-many-*.study")
    backend = optuna.storages.journal.JournalFileBackend(str(study))
    trials = optuna.load_study(study_name=study.stem, storage=optuna.storages.JournalStorage(backend)).trials
    assert Counter(trial.state.name for trial in trials) == {"COMPLETE": TRIALS}
    assert sorted(trial.user_attrs["number"] for trial in trials) == list(range(TRIALS))
    assert Counter(done(tmp_path)) == Counter(f"SearchTrial:many:{number + 1}" for number in range(TRIALS))
    (table,) = (tmp_path / "models").glob("experiment-many-*.csv")
    assert len(table.read_text().splitlines()) == 1 + TRIALS


def done(folder):
    """The trials that the run log has as done."""
    log = folder / "models" / "runs.jsonl"
    entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [entry["stage"] for entry in entries if entry.get("status") == "done" and entry["stage"].startswith("SearchTrial")]


def test_what_a_killed_process_was_proposed_is_proposed_again(tmp_path):
    """Under its number there is one trial, before and after its result is told."""
    first = search.shared(PLAN, tmp_path / "a.study").proposal(2)
    again = search.shared(PLAN, tmp_path / "a.study")
    proposal = again.proposal(2)
    assert (proposal.overrides, proposal.is_told) == (first.overrides, False)
    again.tell(proposal, "done", 1.0)
    told = again.proposal(2)
    assert (told.overrides, told.is_told) == (first.overrides, True)
    again.tell(told, "done", 1.0)
    assert again.proposal(0).overrides != first.overrides
    assert len(again.study.trials) == 2


def test_a_database_keeps_the_study(tmp_path):
    """A URL is Optuna's; one that cannot be used is a sentence without its password."""
    place = f"sqlite:///{tmp_path}/study.db"
    plan = plans.Plan("many", "", "TrainBase", (0,), {}, {}, SPACE, 4, 1, place)
    first = search.shared(plan, tmp_path / "a.study").proposal(0)
    assert search.shared(plan, tmp_path / "a.study").proposal(0).overrides == first.overrides
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study.db"]
    wrong = plans.Plan("many", "", "TrainBase", (0,), {}, {}, SPACE, 4, 1, "nodatabase://me:secret@host/name")
    with pytest.raises(InputError, match="storage nodatabase://host/name cannot be used: ") as refused:
        search.shared(wrong, tmp_path / "a.study")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (FILE.replace('"journal"', '"here"'), "storage must be journal or the URL of a database"),
        ('name = "a"\nstorage = "journal"\n[grid]\nTrainBase.batch = [16]\n', "Only a search has a storage"),
    ],
    ids=["unknown", "no search"],
)
def test_storages_that_cannot_be(tmp_path, text, why):
    """Each is refused in a sentence."""
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(InputError, match=why):
        plans.read(tmp_path / "a.toml")
