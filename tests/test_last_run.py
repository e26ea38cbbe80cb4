"""Which run a command refers to: the last finished one, the same from any folder, and the nets that it left."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time

import kinds
import numpy as np
import pytest
from fresh import ROOT

from pipeline import commands
from pipeline.commands.support import chains
from pipeline.commands.support.last_run import Run
from pipeline.errors import InputError
from pipeline.nets.trained import Trained
from pipeline.results.predictions import Predictions
from pipeline.store.hdf5 import artifacts
from pipeline.store.run import closing
from pipeline.store.workspace import runlog
from pipeline.tasks.results import Predict
from pipeline.tasks.training import Training

SMALL = ("--Render-training=80", "--Render-test=9", "--Augment-copies=2")


def luigi(folder, *arguments):
    command = [sys.executable, "-m", "luigi", "--module", "pipeline", *arguments]
    return subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A workspace in which a run has finished; a later one with other settings has failed, because its data are missing."""
    folder = tmp_path_factory.mktemp("original")
    (folder / "models").mkdir()
    assert luigi(folder, "Load", *SMALL).returncode == 0
    assert luigi(folder, "Load", *SMALL, "--dataset-path", "nowhere").returncode == 20
    return folder


@pytest.fixture
def workspace(original, tmp_path, monkeypatch):
    """A copy of that workspace, which is not the current folder."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return shutil.copytree(original, tmp_path / "copy")


def said(capsys, *arguments):
    code = commands.main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_a_failed_run_does_not_replace_a_finished_one(workspace, capsys, monkeypatch):
    """Status names the finished run, with its settings, its date and its workspace, in the first line."""
    _, out, _ = said(capsys, "status", f"--workspace-root={workspace}")
    head, *rows = out.splitlines()
    assert head.startswith(f"Last finished run: Load {' '.join(SMALL)} (2")
    assert head.endswith(f"; workspace {workspace}")
    assert any(row.startswith("Load ") and " cached " in row for row in rows)


def test_every_folder_gives_the_same_answer(workspace, capsys, monkeypatch):
    """In the workspace itself, and from elsewhere with --workspace-root, also if models/last-run.json does not exist."""
    (workspace / "models" / "runs.jsonl").stat()
    from_elsewhere = said(capsys, "status", f"--workspace-root={workspace}")
    monkeypatch.chdir(workspace)
    assert said(capsys, "status") == from_elsewhere
    assert said(capsys, "status", "--workspace-root=.") == from_elsewhere
    closing.LAST_RUN.unlink()
    assert said(capsys, "status") == from_elsewhere


def test_the_later_of_two_runs_of_a_folder(workspace, tmp_path, monkeypatch):
    """A run that was started here in another workspace counts as well as one in the workspace here."""
    monkeypatch.chdir(workspace)
    other = {"event": "run", "run": "9-9", "arguments": ["Load", "--workspace-root", "other"], "end": {"event": "end", "run": "9-9"}}
    closing.LAST_RUN.write_text(json.dumps({**other, "time": "2099-01-01T00:00:00+0000"}))
    assert Run.selected_by([]).flags == ["--workspace-root", "other"]
    closing.LAST_RUN.write_text(json.dumps({**other, "time": "1999-01-01T00:00:00+0000"}))
    assert Run.selected_by([]).flags == [*SMALL, "--workspace-root=."]


def test_without_a_finished_run_the_last_one_counts(workspace, capsys):
    """And the line says so."""
    log = workspace / "models" / "runs.jsonl"
    lines = [line for line in log.read_text().splitlines() if json.loads(line)["event"] == "run"]
    log.write_text("\n".join(lines) + "\n")
    _, out, _ = said(capsys, "status", f"--workspace-root={workspace}")
    assert out.startswith(f"No run has finished; the last one that was started: Load {' '.join(SMALL)} --dataset-path=")


def test_a_run_of_an_earlier_version_has_finished_if_its_task_has(workspace, capsys):
    """Such a log has no entries of the ends of runs."""
    log = workspace / "models" / "runs.jsonl"
    lines = [line for line in log.read_text().splitlines() if json.loads(line)["event"] != "end"]
    log.write_text("\n".join(lines) + "\n")
    assert said(capsys, "status", f"--workspace-root={workspace}")[1].startswith(f"Last finished run: Load {' '.join(SMALL)}")


def test_a_run_whose_flags_are_not_known_any_more(workspace, capsys):
    """Such as an abbreviation, which an earlier version took: the message says whose flag it is."""
    entry = {"event": "run", "arguments": ["Load", "--Load-fol", "0"]}
    runlog.append(workspace / "models", entry)
    code, _, err = said(capsys, "verify", f"--workspace-root={workspace}")
    assert code == 2
    assert err.startswith("keypoints: The flags of the last run cannot be used: --Load-fol is not known; did you mean --Load-fold? ")


def test_other_commands_name_the_run_after_their_output(workspace, capsys):
    """On standard error, if they have used it: not for a key or a file, and not after an error."""
    flag = f"--workspace-root={workspace}"
    assert said(capsys, "inspect", "Load", flag)[2].startswith("Last finished run: Load ")
    (load,) = workspace.glob("data/load-*.h5")
    for what in (load, load.stem[-10:-4]):
        code, out, err = said(capsys, "inspect", what, flag)
        assert (code, out.splitlines()[0], err) == (0, str(load), "")


def test_a_flag_without_its_task_has_an_effect(workspace, capsys):
    """`--base-share` is that of Predict, and every stage of several folds is counted."""
    _, out, _ = said(capsys, "status", f"--workspace-root={workspace}", *SMALL, "--base-share", "0.1", "--folds=3")
    assert out.startswith(f"Settings: Predict {' '.join(SMALL)} --Predict-base-share=0.1 --Predict-folds=3; workspace ")
    # Of each fold: Load, Augment, the base net, six specialists, the curves. And the submission.
    assert "A run would compute 32 stages" in out.splitlines()[-1]
    assert "TrainBase (fold 3 of 3) " in out


def test_a_run_notes_its_results(workspace, capsys):
    """models/last-run.json has the files of the last finished run by stage, and keeps them when another run fails."""
    noted = json.loads((workspace / "models" / "last-run.json").read_text())
    assert noted["arguments"] == ["--module", "pipeline", "Load", *SMALL]
    assert (workspace / noted["files"]["Load"]).is_file()


# Nets that have been trained


@pytest.fixture
def trained(original, tmp_path, monkeypatch):
    """A workspace with a data folder of its own, and made-up nets for two folds and their predictions, which a run has noted."""
    workspace = shutil.copytree(original, tmp_path / "trained")
    shutil.rmtree(workspace / "models")
    (workspace / "models").mkdir()
    (workspace / "faces").mkdir()
    for file in workspace.glob("data/render-*.csv"):
        shutil.copy(file, workspace / "faces" / file.name.split(".", 1)[1])
    flags = [f"--workspace-root={workspace}", f"--dataset-path={workspace / 'faces'}", "--Predict-folds=2", "--Predict-base-share=0.25"]
    monkeypatch.chdir(workspace)
    rng = np.random.default_rng(0)
    with Run(flags).stages() as stages:
        for stage in stages:
            if isinstance(stage, Training):
                stage.save(dataclasses.replace(kinds.filled(Trained, rng), window=None))
            if isinstance(stage, Predict):
                stage.sibling(".csv").parent.mkdir(exist_ok=True)
                stage.save(kinds.filled(Predictions, rng))
        made = {stage.task_id: f"{stage.place}.h5" for stage in stages}
        (predicted,) = (f"{stage.place}.h5" for stage in stages if isinstance(stage, Predict))
    log = {"event": "run", "run": "1-1", "arguments": ["Predict", *flags], "folder": str(workspace), "time": time.strftime("%FT%T%z")}
    runlog.append(workspace / "models", log)
    runlog.append(workspace / "models", {"event": "end", "run": "1-1", "artifacts": {"Predict": predicted}})
    assert made
    return workspace


def nets_of(selected, what=None):
    with selected.stages() as stages:
        if what:
            return chains.chosen(what, stages)
        (predict,) = (stage for stage in stages if isinstance(stage, Predict))
        return chains.of_run(predict, selected.predicted, selected.command)


def test_nets_stay_usable_after_their_data_have_moved(trained, capsys):
    """The nets of the last finished run are those that its predictions were made from; status says what is missing, not that it changed."""
    before = nets_of(Run.selected_by([]))
    assert [len(chain) for chain in before.chains] == [7, 7]
    assert (before.base_share, before.source) == (0.25, "")
    (trained / "faces").rename(trained / "moved")
    after = nets_of(Run.selected_by([]))
    for found, expected in zip(after.chains, before.chains, strict=True):
        assert found[0].resolve() == expected[0].resolve()
        assert {path.resolve() for path in found} == {path.resolve() for path in expected}
    assert after.base_share == 0.25
    assert "faces/training.csv is missing now, but the nets exist. Predicting with the nets of Predict@" in after.source
    out = said(capsys, "status")[1]
    assert "training.csv changed" not in out


def test_data_that_have_moved_are_missing(workspace, capsys):
    """Not changed: nobody knows."""
    (workspace / "faces").mkdir()
    for file in workspace.glob("data/render-*.csv"):
        shutil.copy(file, workspace / "faces" / file.name.split(".", 1)[1])
    flags = [f"--workspace-root={workspace}", "--dataset-path", str(workspace / "faces")]
    assert luigi(workspace, "Load", *flags).returncode == 0
    (workspace / "faces").rename(workspace / "moved")
    rows = {line.split()[0]: line for line in said(capsys, "status", *flags)[1].splitlines()}
    assert rows["Load"].split()[2] == "missing"
    assert f"cannot be checked, because {workspace}/faces/training.csv, " in rows["Load"]
    assert "changed" not in rows["Load"]


@pytest.mark.parametrize("moved", [False, True])
def test_nets_by_key_or_file(trained, tmp_path, monkeypatch, moved):
    """Predictions lead to their chains, a base net stands for itself, also from another folder or a workspace that was moved."""
    if moved:
        trained = trained.rename(tmp_path / "moved")
    (submission,) = trained.glob("submissions/submission-*.h5")
    bases = sorted(trained.glob("models/trainbase-*.h5"))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    elsewhere = Run.selected_by([])
    there = Run([f"--workspace-root={trained}"])
    for selected, what in ((elsewhere, str(submission)), (elsewhere, str(submission.with_suffix(".h5"))), (there, submission.stem[-10:-3])):
        nets = nets_of(selected, what)
        assert [len(chain) for chain in nets.chains] == [7, 7]
        assert sorted(chain[0].resolve() for chain in nets.chains) == [base.resolve() for base in bases]
        assert nets.base_share == 0.25
        assert not nets.saw_only_drawn_faces
        for chain in nets.chains:
            inputs = [artifacts.attributes(net)["made_from"]["inputs"] for net in chain[1:]]
            assert {each["TrainBase"] for each in inputs} == {chain[0].stem[-10:]}
    assert nets_of(elsewhere, str(bases[0])).chains == [[bases[0]]]


def test_nets_that_cannot_be_used(trained):
    """A specialist alone, a data set, an unknown key, and predictions with a net that no longer exists are refused in a sentence."""
    selected = Run.selected_by([])
    specialist, load = next(iter(trained.glob("models/trainspecialist-mouth-*.h5"))), next(iter(trained.glob("data/load-*.h5")))
    for what in (specialist, load):
        with pytest.raises(InputError, match="was not made from a base net and its specialists"):
            nets_of(selected, str(what))
    with pytest.raises(InputError, match=r"0 artifacts in .* have a key that starts with 000000"):
        nets_of(selected, "000000")
    (submission,) = trained.glob("submissions/submission-*.h5")
    specialist.unlink()
    with pytest.raises(InputError, match=r"was made from TrainSpecialist:mouth@\w+, which no longer exists"):
        nets_of(selected, str(submission))
    with pytest.raises(InputError, match=r"1 of 14 are missing or stale, .* To use finished nets as they are: --nets \w{10}"):
        nets_of(selected)


def test_files_of_another_workspace_can_be_drawn_and_compared(trained, tmp_path, monkeypatch, capsys):
    """Filters of a net of another workspace, by its file; a file that is no net is refused."""
    base = next(iter(trained.glob("models/trainbase-*.h5")))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert said(capsys, "inspect", base)[0] == 0
    code, _, err = said(capsys, "filters", next(iter(trained.glob("submissions/*.h5"))))
    assert code == 2
    assert "is not a net, but was made by Predict." in err
    code, _, err = said(capsys, "filters", "nowhere.h5")
    assert (code, err.splitlines()) == (2, ["keypoints: nowhere.h5 does not exist. Check its name."])
