"""`keypoints runs` lists the runs of workspaces."""

import csv
import io
import json
import os
import shutil

import kinds
import pytest

from pipeline import commands, environment
from pipeline.nets.trained import Trained
from pipeline.store.workspace import runlog

DEAD = 4194305  # larger than any process number of Linux


def logged(folder, run, *flags, began, stages=(), end=None, pid=DEAD, preset=()):
    """Writes a run into the log: its stages (name, key, more), and its end with artifacts by stage, both one and two minutes after."""
    models = folder / "models"
    day, clock = began.split()
    at = [f"{day}T{int(clock[:2]):02}:{int(clock[3:]) + minutes:02}:00+0000" for minutes in range(3)]
    own = {"run": run, "pid": pid, "host": environment.host()}
    first = {"event": "run", "arguments": ["--module", "pipeline", *flags], "preset": list(preset), "folder": str(folder), **own}
    runlog.append(models, {**first, "time": at[0]})
    for stage, key, more in stages:
        entry = {"event": "stage", "stage": stage, "key": key, "status": "done", "seconds": 60, **own, **more}
        runlog.append(models, {**entry, "time": at[1]})
    if end is not None:
        runlog.append(models, {"event": "end", "artifacts": end, **own, "time": at[2]})


@pytest.fixture
def workspaces(tmp_path):
    """Two workspaces: finished runs, one that did nothing, one that failed, one that was killed, and one that runs."""
    one, other = tmp_path / "one", tmp_path / "other"
    data = ("--dataset-path", str(tmp_path / "faces"))
    predicted = {"Predict": "submissions/submission-aaaaaaaaaa.h5"}
    logged(
        *(one, "1", "Predict", *data),
        began="2026-01-01 10:00",
        stages=[("TrainBase", "bbbbbbbbbb", {"rmse": 1.6}), ("Predict", "aaaaaaaaaa", {"rmse": 1.5})],
        end=predicted,
    )
    logged(one, "2", "Predict", *data, began="2026-01-02 10:00", end=predicted)
    failed = {"status": "failed", "error": "the disk\nis full"}
    logged(one, "3", "Predict", *data, "--TrainBase-epochs=5", began="2026-01-03 10:00", stages=[("Load", "cccccccccc", failed)])
    logged(one, "4", "Predict", *data, began="2026-01-04 10:00")
    logged(other, "5", "TrainBase", *data, began="2026-01-05 10:00", stages=[("TrainBase", "dddddddddd", {"rmse": 1.4})], end={})
    more = {
        "rmse": 2.5,
        "result": "validation RMSE 2.500 px (base net 3.1); mean distance 2.93 px (2.78 to 3.10), NME 3.01 % (2.84 to 3.19)",
    }
    flags = ("Predict", *data, "--seed", "2")
    logged(other, "6", *flags, began="2026-01-06 10:00", stages=[("Predict", "eeeeeeeeee", more)], end={}, preset=["--TrainBase-epochs=3"])
    logged(other, "7", "Predict", *data, began="2026-01-07 10:00", pid=os.getpid())
    score = {"event": "kaggle", "status": "scored", "key": "aaaaaaaaaa", "public_score": "2.01"}
    runlog.append(one / "models", score)
    return one, other


def said(capsys, *arguments):
    code = commands.main(["runs", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_runs_of_two_workspaces(workspaces, capsys):
    """The best prediction comes first, then base nets, then runs without a score; settings that all have stand above the table."""
    code, out, err = said(capsys, *workspaces)
    assert (code, err) == (0, "")
    head, titles, *rows = out.splitlines()
    assert head == f"All: --dataset-path {workspaces[0].parent / 'faces'}"
    assert titles.endswith("  settings that differ")
    starts = ["1.500 px", "1.500 px", "2.500 px", "1.400 px (TrainBase)", "", "", ""]
    assert [row.strip().startswith(start) for row, start in zip(rows, starts, strict=True)] == [True] * 7
    assert "2.01  2026-01-02 10:00  2 min 00 s  Predict" in rows[0]
    assert "nothing to do" in rows[0]
    assert "finished" in rows[1]
    assert "mean distance 2.93 px, NME 3.01 %" in rows[2]
    assert "--TrainBase-epochs 3" in rows[2]
    assert "running" in rows[4]
    assert "ended without result" in rows[5]
    assert "Load failed: the disk\\nis full" in rows[6]
    assert "--TrainBase-epochs 5" in rows[6]


def test_by_date(workspaces, capsys):
    """--sort date lists the latest run first."""
    _, out, _ = said(capsys, *workspaces, "--sort", "date", "--format", "json")
    began = [run["began"][:10] for run in json.loads(out)]
    assert began == [f"2026-01-0{day}" for day in range(7, 0, -1)]


def test_for_programs(workspaces, capsys):
    """CSV and JSON have the same values; CSV has a column for each setting."""
    _, out, _ = said(capsys, workspaces[0], "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    _, out, _ = said(capsys, workspaces[0], "--format", "json")
    runs = json.loads(out)
    assert len(rows) == len(runs) == 4
    for row, run in zip(rows, runs, strict=True):
        assert row["key"] == (run["key"] or "")
        assert row["ended"] == run["ended"]
        assert row["--TrainBase-epochs"] == run["settings"].get("TrainBase-epochs", "")
    assert (runs[1]["rmse"], runs[1]["seconds"], runs[1]["kaggle"], runs[1]["stage"]) == (1.5, 120.0, "2.01", "Predict")


def test_no_runs(tmp_path, capsys, monkeypatch):
    """An empty workspace and a folder that does not exist are a sentence each; flags that would select a run are refused."""
    monkeypatch.chdir(tmp_path)
    code, out, err = said(capsys)
    assert (code, out) == (1, "")
    assert err.startswith(f"No run is recorded in {tmp_path}. To make one: ")
    assert said(capsys, "nowhere")[::2] == (
        2,
        "keypoints: nowhere is not a folder. Name a workspace: the folder with data/, models/ and submissions/.\n",
    )
    assert said(capsys, "--TrainBase-epochs=3")[2] == "keypoints: runs lists all runs of a workspace. Leave out --TrainBase-epochs=3.\n"


def test_the_workspace_of_the_last_run(workspaces, tmp_path, capsys, monkeypatch):
    """Without an argument it is that of the last run that was started here, wherever its workspace is; --workspace-root names one too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    noted = {"event": "run", "arguments": ["Predict"], "files": {"Load": str(workspaces[1] / "data" / "load-0123456789.h5")}}
    (tmp_path / "models" / "last-run.json").write_text(json.dumps(noted))
    assert f"workspace {workspaces[1]}" in said(capsys)[1]
    assert said(capsys) == said(capsys, "--workspace-root", workspaces[1])


def test_compare_takes_files_of_two_workspaces(tmp_path, capsys):
    """What the artifacts were made from is looked up in the workspace of each."""
    for name in ("one", "other"):
        path = kinds.write(kinds.Dataset, tmp_path / name / "data")
        path.rename(path.with_name("load-0123456789.h5"))
        kinds.write(Trained, tmp_path / name / "models")
    files = [tmp_path / name / "models" / "trained-0123456789.h5" for name in ("one", "other")]
    assert commands.main(["compare", *map(str, files)]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[:2] == [f"first   {files[0]}", f"second  {files[1]}"]
    shutil.rmtree(tmp_path / "other" / "data")
    assert "is neither a training nor a prediction" in said.err
