"""The `luigi` script of this installation: one sentence for what Luigi's own script answers with a traceback, and nothing else changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Seconds that a process may take on a busy machine before the test gives up.
PATIENCE = 120
# A module of somebody else, with a task that has the name of one of ours, and a setting of Luigi that ours would change.
OTHER = """
import luigi, sys

class Load(luigi.Task):
    count = luigi.IntParameter(default=1)
    def run(self):
        print("pipeline" in sys.modules, luigi.configuration.get_config().has_option("core", "local_scheduler"), self.count)
    def complete(self):
        return False
"""


@pytest.fixture
def script(tmp_path):
    """Runs the script in an empty folder; `luigis` is Luigi's own script instead. Upper-case options are environment variables."""

    def run(*arguments, luigis=False, **variables):
        path = tmp_path / ("luigis" if luigis else "ours") / "luigi"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"import sys\nfrom {'luigi.cmdline import luigi_run' if luigis else 'luigi_script import main'} as run\nsys.exit(run())\n"
        )
        kept = {name: value for name, value in os.environ.items() if name not in ("LUIGI_CONFIG_PATH", "KERAS_BACKEND")}
        kept |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]), **variables}
        command = [sys.executable, str(path), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=kept, capture_output=True, text=True, timeout=PATIENCE, check=False)

    return run


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("luigi.cfg", "[Load]\nfold = 1\nfold = 2\n", "luigi.cfg, line 3: fold is set twice in [Load]. Remove one of the lines."),
        ("luigi.cfg", "fold = 1\n", "luigi.cfg, line 1: there is no section yet. Begin with a line such as [TrainBase]."),
        ("luigi.cfg", "# caf\xe9\n[Load]\n", "luigi.cfg, line 1: this is not UTF-8. Save the file in that encoding."),
        ("preset.cfg", "[Load]\n\n[Load]\n", "preset.cfg, line 3: there are two sections [Load]. Make them one."),
    ],
    ids=["twice", "no section", "latin-1", "two sections"],
)
@pytest.mark.parametrize("arguments", [("--module", "pipeline", "Load"), ("Load",)], ids=["module", "no module"])
def test_a_configuration_file_that_cannot_be_read(script, tmp_path, name, content, said, arguments):
    """The file and the line are named in one sentence, before Luigi reads the file."""
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    done = script(*arguments, **({} if name == "luigi.cfg" else {"LUIGI_CONFIG_PATH": name}))
    assert (done.returncode, done.stdout, done.stderr) == (40, "", f"{said}\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[core]\nlogging_conf_file = none.ini\n", "[core] logging_conf_file = none.ini: there is no such file. Correct the path."),
        ("[resources]\ngpu = x\n", "[resources] gpu = x: must be a whole number."),
    ],
    ids=["logging", "resources"],
)
def test_a_setting_of_luigis_own_that_cannot_be_used(script, tmp_path, content, said):
    """Luigi itself ends with a traceback."""
    (tmp_path / "luigi.cfg").write_text(content)
    done = script("Load")
    assert (done.returncode, done.stdout) == (40, "")
    assert done.stderr.splitlines()[-1].endswith(f"configuration file: {said}")
    assert "Traceback" not in done.stderr


def test_a_byte_order_mark_is_accepted(script, tmp_path):
    """Windows editors write one. The setting after it counts: the fold does not exist."""
    (tmp_path / "luigi.cfg").write_text("[Load]\nfold = 99\n", encoding="utf-8-sig")
    done = script("--module", "pipeline", "Load")
    assert done.returncode == 40
    assert done.stderr.startswith("ERROR: --Load-fold 99: must be at most 9")


def test_a_preset_that_is_not_there(script):
    """One sentence, without the warning of Luigi."""
    assert script("Load", LUIGI_CONFIG_PATH="no.cfg").stderr == "ERROR: LUIGI_CONFIG_PATH: no.cfg does not exist.\n"
    assert script("Load", LUIGI_CONFIG_PATH="ours").stderr == "ERROR: LUIGI_CONFIG_PATH: ours is not a file.\n"


def test_warnings_of_luigis_import_are_no_errors(script, tmp_path):
    """Without luigi.cfg Luigi warns about a setting that this project makes, and it warns about the name client.cfg."""
    (tmp_path / "client.cfg").write_text("[Load]\nfold = 1\n")
    done = script("Load", "--help", PYTHONWARNINGS="error")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "luigi: Name a task: Render, Load, "),
        ("predict", "luigi: There is no task predict; did you mean Predict?"),
        ("Predict --l INFO", "luigi: --l is not known; did you mean "),
        ("--l INFO Predict", "luigi: --l is not known; did you mean "),
        ("--epochs 3 Predict", "luigi: --epochs is not known; did you mean --TrainBase-epochs or --TrainSpecialist-epochs"),
        ("--mod pipeline Predict", "luigi: --mod is not known; did you mean --module?"),
        ("--mod=pipeline Predict", "luigi: --mod is not known; did you mean --module?"),
        ("Predict --module", "luigi: argument --module: expected one argument."),
        ("Predict --workers two", "luigi: --workers two: must be a whole number."),
    ],
)
def test_a_mistake_without_a_module_is_one_sentence(script, arguments, said):
    """The tasks of this project need no --module, and abbreviations of Luigi's own flags are refused with a guess."""
    done = script(*arguments.split())
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(said)


def test_a_task_of_this_project_needs_no_module(script, tmp_path):
    """`luigi Load` runs like `luigi --module pipeline Load`, which then has nothing to do, and the run log has the whole command."""
    flags = ("Load", "--Render-training", "60", "--Render-test", "6")
    done = script(*flags)
    assert done.returncode == 0, done.stderr
    again = script("--module", "pipeline", *flags)
    assert (again.returncode, again.stderr.splitlines()[1]) == (0, "Nothing to do: every result exists and is up to date.")
    runs = [line for line in (tmp_path / "models" / "runs.jsonl").read_text().splitlines() if '"event": "run"' in line]
    assert len({line.partition('"arguments"')[2] for line in runs}) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "--module other Load --local-scheduler --no-lock --count 3",
        "--mod other Load --local-sch --no-lock --cou 3",
        "--module other load --local-scheduler",
        "--module other Load --l",
        "--module nowhere Load",
        "--module other --help",
    ],
)
def test_a_task_of_another_module_is_luigis(script, tmp_path, arguments):
    """Output and exit code are those of Luigi's own script, which knows nothing of this project."""
    (tmp_path / "other.py").write_text(OTHER)
    ours, luigis = script(*arguments.split()), script(*arguments.split(), luigis=True)
    assert (ours.returncode, ours.stdout) == (luigis.returncode, luigis.stdout)
    assert ours.stderr.splitlines()[-1:] == luigis.stderr.splitlines()[-1:]
    if "--count" in arguments:
        assert ours.stdout == "False False 3\n"
