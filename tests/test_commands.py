"""The `keypoints` command, on a workspace of stages that use only numpy."""

import dataclasses
import errno
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kinds
import numpy as np
import pytest
from luigi.task_register import Register

from pipeline import commands, environment
from pipeline.commands import compare, doctor
from pipeline.commands.support.last_run import Run
from pipeline.errors import InputError
from pipeline.nets.trained import Trained
from pipeline.results.paired import HeldOut
from pipeline.store.hdf5 import artifacts
from pipeline.store.run import closing
from pipeline.store.workspace import runlog

ROOT = Path(__file__).parent.parent
SMALL = ("--dataset-path=rendered", "--Render-training=80", "--Render-test=9", "--Augment-copies=2")


def keypoints(capsys, *arguments):
    """Exit code and standard output of the command, run in this process."""
    code = commands.main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A workspace in which Augment ran."""
    folder = tmp_path_factory.mktemp("original")
    flags = ("--local-scheduler", f"--workspace-root={folder}", *SMALL)
    command = [sys.executable, "-m", "luigi", "--module", "pipeline", "Augment", *flags]
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    return folder


@pytest.fixture
def workspace(original, tmp_path):
    """A copy of that workspace; entries of its run log about the original folder do not matter."""
    return shutil.copytree(original, tmp_path / "copy")


def lines_by_stage(text):
    return {line.split()[0]: line for line in text.splitlines()[1:]}


def test_status_says_cached_missing_and_stale(workspace, capsys):
    """Without parameter flags those of the last run apply; a changed parameter makes its stage stale, but not its inputs."""
    code, text = keypoints(capsys, "status", f"--workspace-root={workspace}")
    rows = lines_by_stage(text)
    assert code == 1
    assert "cached" in rows["Load"]
    assert "MB" in rows["Load"]
    assert "missing" in rows["TrainBase"]

    _, text = keypoints(capsys, "status", f"--workspace-root={workspace}", *SMALL[:-1], "--Augment-copies=3")
    rows = lines_by_stage(text)
    assert "cached" in rows["Load"]
    assert "stale" in rows["Augment"]
    assert rows["Augment"].endswith("copies 2 -> 3")
    # The test faces, Augment, the base net, six specialists, the curves, the submission.
    assert re.fullmatch(
        r"A run would compute 11 stages and take about \d+ s, judged by the last runs; 10 of them have never run here\.",
        text.splitlines()[-1],
    )


def test_the_preset_of_the_last_run_counts(workspace, capsys, monkeypatch):
    """Settings from the LUIGI_CONFIG_PATH of the last run apply too, unless another preset is named now."""
    entry = {"event": "run", "arguments": ["--module", "pipeline", "Load", *SMALL[:-1]], "preset": ["--Augment-copies=3"]}
    with (workspace / "models" / "runs.jsonl").open("a") as log:
        log.write(json.dumps(entry) + "\n")
    assert "copies 2 -> 3" in keypoints(capsys, "status", f"--workspace-root={workspace}")[1]
    monkeypatch.setenv("LUIGI_CONFIG_PATH", str(ROOT / "configs" / "quick.cfg"))
    assert "copies 2 -> 3" not in keypoints(capsys, "status", f"--workspace-root={workspace}")[1]


def test_inspect_shows_arrays_and_origin(workspace, capsys):
    """Names, shapes, units, values and provenance are shown, whether by address, by address with a key, or by file."""
    code, text = keypoints(capsys, "inspect", "load", f"--workspace-root={workspace}")
    assert code == 0
    assert "80 x 96 x 96" in text
    assert "grey level" in text
    assert "validation_share = 0.1" in text
    path = Path(text.splitlines()[0])
    key = path.stem.split("-")[-1]
    for what in (f"Load@{key[:4]}", path):
        assert keypoints(capsys, "inspect", what, f"--workspace-root={workspace}") == (0, text)


@pytest.mark.parametrize("what", ["TrainBase", "Nonsense", "Load@zzz", "nowhere.h5"])
def test_inspect_of_what_is_not_there(workspace, capsys, what):
    """A missing artifact gives one sentence on standard error and exit code 2."""
    assert commands.main(["inspect", what, f"--workspace-root={workspace}"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1


def test_forget_sets_aside_what_follows_too(workspace, capsys):
    """Load and everything made from it are renamed and missing afterwards, Render stays, and nothing is deleted."""
    before = {path.name for path in (workspace / "data").iterdir()}
    code, _ = keypoints(capsys, "forget", "Load", f"--workspace-root={workspace}")
    after = {path.name for path in (workspace / "data").iterdir()}
    assert code == 0
    assert len(after) == len(before)
    assert sorted(name.split("-")[0] for name in after if "forgotten" in name) == ["augment", "load"]
    rows = lines_by_stage(keypoints(capsys, "status", f"--workspace-root={workspace}")[1])
    assert "cached" in rows["Render"]
    assert "missing" in rows["Load"]
    assert "missing" in rows["Augment"]


def test_verify_finds_a_flipped_bit(workspace, capsys):
    """The exit code is 0 for a sound workspace, and 1, with the name of the file, after one bit of an artifact was flipped."""
    assert keypoints(capsys, "verify", f"--workspace-root={workspace}")[0] == 0
    path = next((workspace / "data").glob("augment-*.h5"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    code, text = keypoints(capsys, "verify", f"--workspace-root={workspace}")
    assert code == 1
    assert str(path) in text
    assert "1 damaged" in text


def test_adopt_refuses_what_is_more_than_code(workspace, capsys):
    """More than a change of code is refused with the reason and exit code 2; an up-to-date artifact needs no adoption."""
    assert commands.main(["adopt", "Augment", f"--workspace-root={workspace}", *SMALL[:-1], "--Augment-copies=3"]) == 2
    assert "because more than code has changed: copies 2 -> 3." in capsys.readouterr().err
    assert keypoints(capsys, "adopt", "load", f"--workspace-root={workspace}") == (0, "Load is up to date. There is nothing to adopt.\n")
    assert not (workspace / "models" / "adopted").exists()


def test_clean_speaks_of_the_last_run(workspace, capsys):
    """The results of the last run are needed; under other settings they are listed, and removed only with --yes."""
    code, text = keypoints(capsys, "clean", f"--workspace-root={workspace}")
    assert code == 0
    assert text.startswith("Keeping everything that Predict --workspace-root=")
    assert f" --Augment-copies=2 --workspace-root={workspace} (the last run) needs.\n0 files" in text
    others = (f"--workspace-root={workspace}", *SMALL[:-1], "--Augment-copies=3")
    assert keypoints(capsys, "clean", "--keep-last", "1", "--yes", *others)[1].endswith("0 files, 0 B: nothing to remove.\n")
    assert keypoints(capsys, "clean", "--older-than", "1d", "--yes", *others)[1].endswith("0 files, 0 B: nothing to remove.\n")
    assert "Nothing was removed" in keypoints(capsys, "clean", *others)[1]
    assert len(list(workspace.glob("data/augment-*.h5"))) == 1
    assert keypoints(capsys, "clean", "--yes", *others)[1].endswith(" removed.\n")
    assert list(workspace.glob("data/augment-*.h5")) == []
    assert len(list(workspace.glob("data/load-*.h5"))) == 1


def test_options_that_clean_does_not_know(workspace, capsys):
    """Unknown or malformed options give exit code 2, and nothing is removed by mistake."""
    for options in (("--older-than", "7"), ("--keep-last", "some"), ("--keep", "1"), ("--force",)):
        try:
            code = commands.main(["clean", "--yes", f"--workspace-root={workspace}", *SMALL[:-1], *options])
        except SystemExit as end:
            code = end.code
        assert code == 2
    assert len(list(workspace.glob("data/augment-*.h5"))) == 1


def test_doctor_judges_packages(monkeypatch, capsys):
    """OK, outdated and missing packages are distinguished, the command that mends them is named, and TensorFlow is not needed."""
    wanted = ["numpy>=1.0", "pandas>=99", "tensorflow-that-is-not-there>=2"]
    monkeypatch.setattr(doctor, "requirements", lambda: wanted)
    monkeypatch.setattr(doctor, "_devices", lambda: ("none", True))
    code, text = keypoints(capsys, "doctor")
    rows = {line.split()[0]: line for line in text.splitlines()}
    assert code == 1
    assert "OK" in rows["numpy"]
    assert "should be upgraded" in rows["pandas"]
    assert "missing" in rows["tensorflow-that-is-not-there"]
    assert 'pip install "tensorflow-that-is-not-there>=2"' in rows["tensorflow-that-is-not-there"]


def test_doctor_takes_no_flags(capsys):
    """It checks the machine and not a run, so a flag must be misspelt or misplaced."""
    assert commands.main(["doctor", "--yes"]) == 2
    assert "Leave out --yes" in capsys.readouterr().err


def test_doctor_shows_the_environment(monkeypatch, capsys, tmp_path):
    """What was found and what is used: variables, files, the backend and who named it, and whether the folder has locks."""
    (tmp_path / "keras.json").write_text('{"backend": "jax", "floatx": "float16"}')
    (tmp_path / "luigi.cfg").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "module://inline")
    monkeypatch.setattr(doctor, "_devices", lambda: ("none", True))
    code, text = keypoints(capsys, "doctor")
    assert code == 0
    for line in (
        "  set but ignored: MPLBACKEND=module://inline",
        "  configuration files: luigi.cfg",
        f"  Keras backend: jax ({tmp_path}/keras.json); always float32, channels_last",
        f"  host: {environment.host()}",
        "backend: jax; devices: none",
        f"files: can be written and locked in {tmp_path}",
    ):
        assert f"{line}\n" in text

    def refused(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    code, text = keypoints(capsys, "doctor")
    assert code == 1
    assert "files: .doctor.lock cannot be locked: no locks available. Let --workspace-root name a folder" in text


def test_doctor_names_what_chose_a_backend_that_is_missing(monkeypatch, capsys):
    """In one sentence, without starting the backend."""
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    code, text = keypoints(capsys, "doctor")
    assert code == 1
    assert "does not start: KERAS_BACKEND names the backend 'theano', which cannot train here. Set KERAS_BACKEND to" in text


def test_doctor_survives_a_backend_that_does_not_start(monkeypatch, capsys):
    """If the backend cannot be imported, the devices are unknown, the reason is given, and the exit code is 1."""
    monkeypatch.setenv("KERAS_BACKEND", "nonsense")
    code, text = keypoints(capsys, "doctor")
    assert code == 1
    assert re.search(r"^backend: nonsense; devices: unknown, because the backend does not start: .*nonsense", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "flags"),
    [
        ("TrainBase --TrainBase-epochs 3 --dataset-path=x --workers 2 --local-scheduler", "--TrainBase-epochs 3 --dataset-path=x"),
        ("TrainBase --epochs 3 --learning-rate=0.1", "--TrainBase-epochs 3 --TrainBase-learning-rate=0.1"),
        ("--no-lock Predict --log-level INFO --Load-fold 1", "--Load-fold 1"),
    ],
)
def test_flags_of_a_run(arguments, flags, tmp_path, monkeypatch):
    """Flags for data and parameters are kept, in all spellings; the module, the task and Luigi's own flags are not."""
    monkeypatch.chdir(tmp_path)
    closing.LAST_RUN.parent.mkdir()
    closing.LAST_RUN.write_text(json.dumps({"event": "run", "arguments": ["--module", "pipeline", *arguments.split()]}))
    assert Run.selected_by([]).flags == flags.split()


def test_the_last_run_of_a_workspace_saw_its_files_from_its_own_folder(workspace, capsys, tmp_path, monkeypatch):
    """A relative dataset path of that run is resolved against the folder in which it was started."""
    (tmp_path / "there" / "faces").mkdir(parents=True)
    entry = {"event": "run", "arguments": ["--module", "pipeline", "Load", "--dataset-path", "faces"], "folder": str(tmp_path / "there")}
    with (workspace / "models" / "runs.jsonl").open("a") as log:
        log.write(json.dumps(entry) + "\n")
    monkeypatch.chdir(tmp_path)
    assert commands.main(["clean", f"--workspace-root={workspace}"]) == 2
    assert f"{tmp_path}/there/faces/training.csv" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path / "there")
    shutil.copytree(workspace / "models", "models")
    (tmp_path / "there" / "models" / "last-run.json").write_text(json.dumps(entry))
    assert commands.main(["clean"]) == 2
    assert capsys.readouterr().err.startswith("keypoints: faces/training.csv, ")


@pytest.mark.parametrize("flag", ["--memory-images", "--workspace-root", "--dataset-path", "--device-threads", "--checkpoint-seconds"])
def test_the_value_of_a_flag_is_no_stage(flag):
    """Luigi's flags and their values are not taken for arguments of the command, whichever section they belong to."""
    assert commands._joined(["inspect", flag, "10", "TrainBase"]) == ["inspect", f"{flag}=10", "TrainBase"]


def test_every_section_of_flags_is_known():
    """The flags of a section that is added later are recognised too."""
    sections = {task for task, is_task, *_ in Register.get_all_params() if Register.get_task_cls(task).__module__.startswith("pipeline.")}
    assert all(commands.LUIGIS_FLAG.fullmatch(f"--{section}-some") for section in sections)


@pytest.mark.parametrize(
    "text",
    [
        "3",
        "[]",
        '{"event": "run"}',
        '{"event": "run", "arguments": 3}',
        '{"event": "run", "arguments": [3], "preset": 7, "folder": []}',
        '{"event": "stage", "status": "done", "stage": "Load"}',
        '{"event": "stage", "status": "done", "stage": "Load", "key": [], "seconds": "x"}',
        '{"event": "stage", "status": "done", "stage": "Load", "key": "a", "seconds": NaN}',
        '{"event": "stage", "status": "failed", "stage": "Load", "key": "a", "run": 3}',
    ],
)
def test_entries_of_another_shape_are_skipped(text, tmp_path, monkeypatch, capsys):
    """A log or a last-run.json that a person or another program has changed does not stop a command."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    for name in ("runs.jsonl", "last-run.json"):
        (tmp_path / "models" / name).write_text(text + "\n")
    assert runlog.entries(tmp_path / "models") in ([], [{"event": "run"}])
    for flags in ([], ["--workspace-root", "."]):
        assert commands.main(["status", *flags]) == 1
        assert "A run would compute" in capsys.readouterr().out


def test_no_command_without_a_current_folder(tmp_path, monkeypatch):
    """One sentence, whether or not the workspace is elsewhere."""
    monkeypatch.setattr(Path, "cwd", lambda: Path("/nowhere").resolve(strict=True))
    with pytest.raises(InputError, match=r"^The current folder no longer exists\."):
        environment.check_folder()


@pytest.mark.parametrize(
    ("arguments", "subject"),
    [
        (["annotate", ""], "An argument of annotate"),
        (["annotate", "a.jpg", "--out", ""], "--out"),
        (["annotate", "a.jpg", "--out="], "--out"),
        (["compare", "TrainBase", " "], "An argument of compare"),
        (["status", "--dataset-path", ""], "--dataset-path"),
    ],
)
def test_an_empty_argument_is_refused(arguments, subject, capsys):
    """It comes from an unset variable of a shell; as a path it would be the current folder."""
    assert commands.main(arguments) == 2
    assert capsys.readouterr().err == f"keypoints: {subject} is empty; give a value, or leave it out.\n"


def test_interrupted(monkeypatch, capsys):
    """Ctrl-C ends a command without a traceback."""

    def interrupt(options, flags):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "_run", interrupt)
    assert commands.main(["verify"]) == 130
    assert capsys.readouterr().err == "keypoints: interrupted\n"


def test_run_log_holds_times_and_outcome(workspace):
    """Each stage leaves a line with its duration, key and outcome."""
    entries = [json.loads(line) for line in (workspace / "models" / "runs.jsonl").read_text().splitlines()]
    stages = {entry["stage"]: entry for entry in entries if entry["event"] == "stage"}
    assert set(stages) == {"Render", "Load", "Augment"}
    assert all(entry["status"] == "done" and entry["seconds"] >= 0 for entry in stages.values())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("status --bogus", "unrecognized arguments: --bogus. `keypoints parameters` lists the flags."),
        ("clean extra", "unrecognized arguments: extra. `keypoints parameters` lists the flags."),
        ("status --workspace-root", "argument --workspace-root: expected one argument. `keypoints parameters` lists the flags."),
        ("parameters --TrainBase-epochs abc Load", "--TrainBase-epochs abc: must be auto, or a whole number of at least 1."),
        ("status --TrainBase-epochs=abc", "--TrainBase-epochs abc: must be auto, or a whole number of at least 1."),
        ("clean --TrainSpecialist-view=all", "--TrainSpecialist-view all: must be one of auto, window, face, keypoint."),
        ("verify --workspace-root=README.md", "--workspace-root README.md is a file; name a folder."),
    ],
)
def test_flags_that_cannot_be(capsys, monkeypatch, arguments, said):
    """Unusable flags give one sentence and exit code 2, without a traceback or a list of all flags."""
    monkeypatch.chdir(ROOT)
    assert commands.main(arguments.split()) == 2
    assert capsys.readouterr() == ("", f"keypoints: {said}\n")


def test_compare_needs_to_know_what_an_artifact_was_made_from(workspace, capsys):
    """Artifacts without provenance, without a data set, with one that no longer exists, or of no training are refused with a reason."""
    origins = {
        "a": ({}, "cannot be compared, because it does not say what it was made from."),
        "b": ({"stage": "TrainBase", "inputs": {"Load": "9876543210"}}, "was made from Load@9876543210, which no longer exists."),
        "c": ({"stage": "TrainBase", "inputs": {}}, "does not say which Load it was made from."),
        "d": ({"stage": "Load", "inputs": {}}, "is neither a training nor a prediction. Compare two of"),
    }
    for letter, (made_from, said) in origins.items():
        with artifacts.writing(workspace / "models" / f"trainbase-{10 * letter}.h5", {"made_from": made_from}):
            pass
        assert commands.main(["compare", *[f"TrainBase@{letter}"] * 2, f"--workspace-root={workspace}", *SMALL]) == 2
        assert said in capsys.readouterr().err


def test_compare_names_curves_by_what_differs(workspace, monkeypatch):
    """Settings of the trainings and of what they were made from, then data and code; keys only name files."""
    made = {
        "data/load-aaaaaaaaaa": {"stage": "Load", "inputs": {}, "parameters": {"fold": 0}, "files": {"training.zip": "1"}},
        "data/load-bbbbbbbbbb": {"stage": "Load", "inputs": {}, "parameters": {"fold": 3}, "files": {"training.zip": "2"}},
        "models/trainbase-cccccccccc": {"stage": "TrainBase", "inputs": {"Load": "aaaaaaaaaa"}, "parameters": {"epochs": 6, "seed": 0}},
        "models/trainbase-dddddddddd": {"stage": "TrainBase", "inputs": {"Load": "bbbbbbbbbb"}, "parameters": {"epochs": 9, "seed": 0}},
    }
    for name, made_from in made.items():
        (workspace / name).parent.mkdir(exist_ok=True)
        with artifacts.writing(workspace / f"{name}.h5", {"made_from": made_from, "key": name.split("-")[1]}):
            pass
    monkeypatch.setattr(compare.ancestry, "workspace_root", lambda: workspace)
    one, other = (workspace / f"models/trainbase-{letter * 10}.h5" for letter in "cd")
    assert compare._distinctions(one, other) == (
        "Load fold 0, TrainBase epochs 6, different data",
        "Load fold 3, TrainBase epochs 9, different data",
    )
    assert compare._distinctions(one, one) == ("the same as the other", "the same as the other")


def test_curves_of_two_trainings_are_called_first_and_second(tmp_path):
    """As in the table; the legend says what distinguishes them, however long that is."""
    from pipeline.results import curves, style

    rmse = np.float32([3, 2]), np.float32([2.5, 2])
    figure = curves.two_trainings(("TrainBase epochs 6", ", ".join(["TrainBase learning_rate 0.001"] * 6)), (rmse, rmse))
    assert [text.get_text().split()[0] for text in figure.axes[0].texts] == ["first", "second"]
    first, second = (text.get_text() for text in figure.legends[0].get_texts())
    assert first == "first: TrainBase epochs 6"
    assert second.startswith("second: TrainBase learning_rate 0.001")
    assert max(map(len, second.splitlines())) <= 110
    style.save_png(figure, tmp_path / "a.png")


def test_compare_knows_when_the_faces_are_others(monkeypatch, tmp_path):
    """Equal row numbers of different training tables are not compared; within one table labels are equal, also where they are missing."""
    truth = np.float32([[[1, 2]], [[np.nan, np.nan]], [[3, 4]]])

    def held_out(rows, labels):
        return HeldOut(labels + 1, labels, np.array(rows), np.array(rows), ["nose_tip"], None, None)

    monkeypatch.setattr(compare, "_held_out", {"a": held_out([5, 6, 7], truth), "b": held_out([6, 7, 5], truth[[1, 2, 0]])}.get)
    compare._compare(["a", "b"], None)
    monkeypatch.setattr(compare, "_held_out", {"a": held_out([5, 6, 7], truth), "b": held_out([6, 7, 5], truth)}.get)
    with pytest.raises(InputError, match="validated on different samples or labels"):
        compare._compare(["a", "b"], None)


@pytest.fixture
def net(workspace):
    """A workspace with a base net of random weights, which sees the whole face."""
    flags = [f"--workspace-root={workspace}", *SMALL]
    with Run(flags).stages() as stages:
        (stage,) = [stage for stage in stages if stage.address == "TrainBase"]
        rng = np.random.default_rng(0)
        made_up = kinds.filled(Trained, rng)
        kernel = rng.normal(0, 1, (5, 5, 1, 16)).astype(np.float32)
        own = {"weights": {"stem/kernel": kernel}, "carried_over": np.array([], dtype=str), "new": np.array(["stem/kernel"])}
        stage.save(dataclasses.replace(made_up, window=None, zooms=None, **own))
    return workspace


def test_filters_are_drawn_in_the_current_folder(net, capsys, tmp_path, monkeypatch):
    """The PNG is named after the net, or as --out says, in a new folder if necessary; Keras is not needed."""
    monkeypatch.chdir(tmp_path)
    code, text = keypoints(capsys, "filters", "trainbase", f"--workspace-root={net}", *SMALL)
    (picture,) = tmp_path.glob("*.png")
    assert (code, text) == (0, f"wrote {picture.name}\n")
    assert re.fullmatch(r"filters-trainbase-\w{10}\.png", picture.name)
    assert keypoints(capsys, "filters", "TrainBase", "--out", "new/a.png", f"--workspace-root={net}", *SMALL) == (0, "wrote new/a.png\n")
    assert (tmp_path / "new" / "a.png").read_bytes() == picture.read_bytes()
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("filters Load", "Load does not train a net. These stages do: TrainBase, TrainSpecialist:eye_centers, "),
        ("filters TrainBase@zzz", "TrainBase has 0 artifacts whose key starts with zzz"),
        ("filters TrainSpecialist:mouth", "does not exist; `keypoints status` says why."),
        ("filters TrainBase --out a.jpg", "--out a.jpg: the picture is a PNG file, so its name must end in .png."),
        ("filters TrainBase --out data.png", "data.png cannot be written: is a directory."),
        ("activations TrainBase --face 0", "--face 0: the rows of the training table are numbered from 1 to 80."),
        ("activations TrainBase --face 81", "--face 81: the rows of the training table are numbered from 1 to 80."),
        (
            "activations TrainBase --test-face 10",
            "--test-face 10: the selected run has not read the test images. Run Predict, or LoadTest.",
        ),
    ],
)
def test_what_cannot_be_drawn(net, capsys, monkeypatch, arguments, said):
    """A net or face that cannot be drawn gives one sentence, exit code 2, and no file."""
    monkeypatch.chdir(net)
    (net / "data.png").mkdir()
    before = set(net.rglob("*"))
    assert commands.main([*arguments.split(), f"--workspace-root={net}", *SMALL]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.strip().splitlines()) == 1
    assert said in told.err
    assert set(net.rglob("*")) == before


def test_activations_need_the_data_set_that_the_net_was_trained_on(net, capsys):
    """A data set that no longer exists is named by its key."""
    (load,) = net.glob("data/load-*.h5")
    load.unlink()
    assert commands.main(["activations", "TrainBase", f"--workspace-root={net}", *SMALL]) == 2
    assert f"was made from Load@{load.stem.split('-')[1]}, which no longer exists." in capsys.readouterr().err
