"""Luigi's command line as this project's users see it: whole flags, one sentence for a mistake, help for each task."""

import os
import re
import subprocess
import sys

import luigi
import pytest
from fresh import ROOT, run

import pipeline
from pipeline.commands import main
from pipeline.errors import InputError
from pipeline.store.run import command_line
from pipeline.store.workspace import called
from pipeline.tasks.data import Load
from pipeline.tasks.results import Predict, Report
from pipeline.tasks.training import TrainBase


def ended(*arguments):
    """`luigi --module pipeline ARGUMENTS` in an empty folder, where nothing is run."""
    return run("-m", "luigi", "--module", "pipeline", *arguments)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("predict", 2, "luigi: There is no task predict; did you mean Predict?"),
        ("Predikt", 2, "luigi: There is no task Predikt; did you mean Predict?"),
        ("workspace", 2, "luigi: There is no task workspace; the choices are Render, Load, "),
        ("", 2, "luigi: Name a task: Render, Load, "),
        ("Predict --workers two", 2, "luigi: --workers two: must be a whole number."),
        ("Predict --workers 0", 2, "luigi: --workers 0: must be at least 1."),
        ("Predict --log-level LOUD", 2, "luigi: --log-level LOUD: must be one of CRITICAL, "),
        ("Predict --overrides {", 2, "luigi: --overrides {: cannot be used ("),
        ("Predict --workspace-root", 2, "luigi: argument --workspace-root: expected one argument."),
        ("Pre\x1b[31mdict", 2, "luigi: There is no task Pre\\x1b[31mdict; did you mean Predict?"),
        ("Load\udcff", 2, "luigi: There is no task Load\\xff; did you mean Load?"),
        ("Predict extra", 2, "luigi: unrecognized arguments: extra."),
        ("Predict --bogus 3", 2, "luigi: unrecognized arguments: --bogus 3. `"),
        ("Predict --TrainBase-epoch 20", 2, "luigi: --TrainBase-epoch is not known; did you mean --TrainBase-epochs?"),
        ("Predict --Load-validation_share 0.2", 2, "luigi: --Load-validation_share is not known; did you mean --Load-validation-share?"),
        ("Predict --epochs 3", 2, "luigi: --epochs is not known; did you mean --TrainBase-epochs or --TrainSpecialist-epochs?"),
        ("Predict --workerss 2", 2, "luigi: --workerss is not known; did you mean --workers?"),
        ("Trial", 2, "luigi: Trial needs --stage: "),
        ("Experiment", 40, "Experiment needs --file, a TOML file that describes it"),
        ("Experiment --file .", 40, ". cannot be read: is a directory."),
        ("TrainSpecialist --group mouht", 40, "; did you mean mouth?"),
        ("Predict --TrainBase-optimizer adm", 40, "; did you mean adam?"),
        ("TrainBase --kernel 4", 40, "--TrainBase-kernel 4: compact needs an odd size"),
        ("TrainBase --network kfkd --kernel 31 --pool 3", 40, "--TrainBase-kernel 31: too large for kfkd"),
        ("Predict --Load-fold 10", 40, "--Load-fold 10: must be at most 9, because --Load-validation-share 0.1 means 10 folds"),
        ("Predict --folds 3 --Load-validation-share 0.5", 40, "so --Load-validation-share 0.5 would have no effect."),
        ("Report --Predict-folds 3 --Load-fold 1", 40, "so --Load-fold 1 would have no effect."),
    ],
)
def test_a_mistake_is_one_sentence(arguments, code, said):
    """What is wrong, with a guess where one is near, on one line, without a traceback, and before anything is made."""
    done = ended(*arguments.split())
    assert done.returncode == code
    (line,) = done.stderr.strip().splitlines()
    assert said in line
    assert done.stdout == ""


def test_a_view_that_a_net_cannot_have_stops_the_run_before_it_trains(tmp_path):
    """A specialist of kfkd cannot see a window: the run ends with this sentence, and not even the faces are drawn."""
    done = ended("Predict", "--TrainBase-network", "kfkd")
    assert done.returncode == 30
    assert "Predict failed: The weights of kfkd fit only the whole image. Use --TrainSpecialist-view face." in done.stderr
    assert "Not made: Render, Load, " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_value_for_luigi_in_a_configuration_file(workplace):
    """It is refused like a flag; a traceback would follow otherwise."""
    (workplace.root / "preset.cfg").write_text("[core]\nworkers = two\n")
    done = workplace.run("Total", LUIGI_CONFIG_PATH="preset.cfg")
    assert done.returncode == 2
    assert done.stderr == "luigi: configuration file: [core] workers = two: must be a whole number.\n"


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("factor = nan", 40, "ERROR: --Scale-factor nan: must be a number"),
        ("factor =", 40, "ERROR: --Scale-factor : must be a number"),
        ("factor = ${NOPE}", 2, "luigi: configuration file: [Scale] factor = ${NOPE}: there is no such variable."),
        ("factor = 5%", 2, "luigi: configuration file: [Scale] factor: a percent sign must be written as %%."),
        ("factor = %(x)s", 2, "luigi: configuration file: [Scale] factor: a percent sign must be written as %%."),
    ],
)
def test_a_wrong_value_for_a_stage_in_a_configuration_file(workplace, line, code, said):
    """It is one sentence also for the task that the command names."""
    (workplace.root / "preset.cfg").write_text(f"[Scale]\n{line}\n")
    done = workplace.run("Scale", LUIGI_CONFIG_PATH="preset.cfg")
    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
    assert done.stderr.startswith(said)


@pytest.mark.parametrize("task", [name for name in pipeline.__all__ if name in command_line.tasks()])
def test_the_help_of_a_task(task):
    """Each flag that counts is listed once: the task's own, those of the stages that it needs, and those of data and workspace."""
    done = ended(task, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    flags = re.findall(r"^  (--[\w-]+)", done.stdout, flags=re.MULTILINE)
    assert len(flags) == len(set(flags))
    assert {"--dataset-path", "--workspace-root", "--device-threads", "--workers", "--help"} <= set(flags)
    assert not [flag for flag in flags if "overrides" in flag]
    long = [f"--{task}-{flag[2:]}" if f"--{task}-{flag[2:]}" in command_line.flags_of(task) else flag for flag in flags]
    assert set(command_line.flags_of(task)) <= set(long)


def test_the_help_shows_what_the_stages_take():
    """The table of the stages that a task needs agrees with what the task requires."""
    needed = {stage.task_family for stage in Report().needed_stages()} - {"LearningCurves", "LoadTest"}  # without parameters
    named = {flag[2:].split("-")[0] for flag in command_line.flags_of("Report")}
    assert needed == {name for name in named if name[0].isupper()}
    shown = run("-m", "luigi", "--module", "pipeline", "Predict", "--help").stdout
    assert "--TrainSpecialist-group" not in shown  # Predict chooses it
    assert "--group" in run("-m", "luigi", "--module", "pipeline", "TrainSpecialist", "--help").stdout


def test_luigis_own_options_still_work(workplace):
    """All of Luigi's flags are listed by --help-all, and those in use have their effect."""
    assert "--scheduler-host" in ended("Predict", "--help-all").stdout
    done = workplace.run("Total", "--workers", "2", "--log-level", "INFO", "--no-lock", "--local-scheduler")
    assert done.returncode == 0
    assert "Done scheduling tasks" in done.stderr


def test_help_without_a_task_lists_the_tasks():
    """Each task that users start has a line; internal ones have none."""
    done = ended("--help")
    listed = re.findall(r"^  (\w+)  ", done.stdout, flags=re.MULTILINE)
    assert listed == list(command_line._offered.needs)
    assert "Trial" not in listed


def test_python_without_docstrings_has_help_too():
    """PYTHONOPTIMIZE=2 removes the docstrings that the help is made from."""
    command = [sys.executable, "-OO", "-m", "luigi", "--module", "pipeline", "Predict", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# Settings that are checked at once


def test_what_a_split_by_folds_replaces_is_refused():
    """Only what says the same as the number of folds is accepted, wherever the setting comes from."""
    with pytest.raises(InputError, match=r"--Load-validation-share 0\.5 would have no effect"):
        Predict(folds=3, overrides={"Load": {"validation_share": 0.5}})
    with pytest.raises(InputError, match="--Load-fold 1 would have no effect"):
        Predict(folds=3, overrides={"Load": {"fold": 1}})
    assert Predict(folds=3, overrides={"Load": {"validation_share": 0.33}}).folds == 3
    assert Predict(folds=1, overrides={"Load": {"validation_share": 0.5, "fold": 1}}).folds == 1


def test_a_fold_that_does_not_exist():
    """The number of folds follows from the share; the last fold is accepted."""
    assert Load(overrides={"Load": {"validation_share": 0.5, "fold": 1}}).fold == 1
    with pytest.raises(InputError, match="--Load-fold 2: must be at most 1"):
        Load(overrides={"Load": {"validation_share": 0.5, "fold": 2}})


def test_a_group_of_words_is_guessed():
    """A misspelt choice names the nearest one."""
    with pytest.raises(InputError, match="did you mean tanh"):
        TrainBase(overrides={"TrainBase": {"activation": "tahn"}})


def test_a_flag_that_was_probably_meant():
    """Without its stage, abbreviated, with underscores, in another case, or misspelt; nothing if nothing is near."""
    known = ["--TrainBase-epochs", "--TrainSpecialist-epochs", "--TrainBase-warmup", "--dataset-path"]
    for flag, meant in {
        "--epochs": "--TrainBase-epochs or --TrainSpecialist-epochs",
        "--TrainBase-ep": "--TrainBase-epochs",
        "--trainbase_epochs": "--TrainBase-epochs",
        "--data-path": "--dataset-path",
        "--xyz": None,
    }.items():
        assert command_line.meant_flag(flag, known) == meant


# The `keypoints` command


def keypoints(*arguments, env=None):
    command = [sys.executable, "-m", "pipeline", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT / "tests", check=False)


def test_keypoints_without_a_command_shows_where_to_start(capsys):
    """The same text as --help, with exit code 2, because nothing was done: commands, tasks, presets, and where results are written."""
    assert main([]) == 2
    alone = capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out == alone
    for word in (
        *command_line._offered.needs,
        "annotate",
        "doctor",
        "configs/NAME.cfg",
        "quick",
        "submissions/predictions-KEY.csv",
        "submission-KEY.csv",
    ):
        assert word in alone


def test_the_presets_and_tasks_of_the_help_exist():
    """Each preset is a file of configs/, and each file is listed; the tasks are those that users start."""
    from pipeline.commands.support import overview

    assert set(overview.PRESETS) == {path.stem for path in (ROOT / "configs").glob("*.cfg")}
    assert list(overview.TASKS) == list(command_line._offered.needs)


def test_python_m_pipeline_is_keypoints():
    """It has the version, and its help names it as it was called."""
    assert re.fullmatch(r"keypoints \d+\.\d+\.\d+\n", keypoints("--version").stdout)
    assert " -m pipeline COMMAND" in keypoints("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("stauts", "There is no command stauts; did you mean status?"),
        ("stauts --help", "There is no command stauts; did you mean status?"),
        ("Predict", "Predict is a task. To run it: luigi --module pipeline Predict"),
        ("--TrainBase-epochs 3", "There is no command. `keypoints --help` lists the commands."),
        ("clean --older 7d", "--older is not known; did you mean --older-than?"),
        ("status --TrainBase-epoch 3", "--TrainBase-epoch is not known; did you mean --TrainBase-epochs?"),
        ("status --workers 2", "--workers would have no effect on this command. Leave it out."),
        ("status --Sanity-epochs 2", "--Sanity-epochs would have no effect on this command. Leave it out."),
        (
            "status --Predict-folds 3 --Load-fold 1",
            "--Predict-folds 3 holds out each of 3 parts of the samples in turn, so --Load-fold 1 would",
        ),
        ("inspect TrainSpecialist:mouht", "There is no stage TrainSpecialist:mouht; did you mean TrainSpecialist:mouth?"),
        ("forget Report", "The run that is meant has no artifact of Report."),
        ("forget", "forget needs either STAGE[:group][@key] or --undo."),
        ("adopt Load --all", "adopt needs either STAGE[:group][@key] or --all."),
        ("inspect abc", "0 artifacts in "),
    ],
)
def test_mistakes_at_the_keypoints_command(capsys, tmp_path, monkeypatch, arguments, said):
    """One sentence and exit code 2."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith(f"keypoints: {said}")


def test_programs_are_named_as_the_shell_finds_them(monkeypatch, tmp_path):
    """By name in an activated environment, else by path, relative to the current folder if it is in it."""
    scripts = tmp_path / "my env" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "luigi").touch(mode=0o755)
    monkeypatch.setattr(called.sysconfig, "get_path", lambda name: str(scripts))
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setenv("PATH", str(scripts))
    assert called.called("luigi", "Predict") == "luigi Predict"
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    assert called.called("luigi") == "'my env/bin/luigi'"
    monkeypatch.chdir(scripts)
    assert called.called("luigi") == "./luigi"  # a shell does not look in the current folder
    monkeypatch.chdir("/")
    assert called.called("keypoints").endswith(" -m pipeline")  # no such script here


def test_options_of_luigi_are_those_of_this_version():
    """The parts of Luigi's parser that are wrapped exist in the installed version."""
    assert hasattr(luigi.cmdline_parser.CmdlineParser._build_parser, "adapted")
