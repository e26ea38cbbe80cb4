"""The wheel, installed into an environment of its own and used in another folder, behaves like a clone."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from fresh import ROOT

pytestmark = pytest.mark.slow
# Seconds that a command may take on a busy machine before the test gives up.
PATIENCE = 300


def run(*command, cwd):
    """Runs a command without the variables that would make this clone importable."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LUIGI_CONFIG_PATH", "KERAS_BACKEND")}
    command = [str(word) for word in command]
    return subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this project, built from a copy of its sources."""
    if int(importlib.metadata.version("setuptools").split(".")[0]) < 77:
        pytest.skip("building needs setuptools 77 or newer, and nothing is downloaded")
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "pipeline", source / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "luigi_script.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--wheel-dir", built)
    done = run(sys.executable, "-m", "pip", "wheel", ".", *options, cwd=source)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an empty environment with the wheel in it; it finds the libraries in the environment of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).stdout.strip())
    (packages / "libraries.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("-packages")))
    options = ("--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")
    done = run(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    where = run(python, "-c", "import pipeline; print(pipeline.__file__)", cwd=folder).stdout.strip()
    assert Path(where).is_relative_to(folder)
    return python


def test_everything_is_in_the_wheel(wheel):
    """Each file of the package that Git knows: modules, the page's template and style, settings, and the mark of its annotations."""
    listed = subprocess.run(["git", "ls-files", "pipeline"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no clone")
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if name.startswith("pipeline/")} == set(listed.stdout.split())


def test_it_runs_in_an_empty_folder(python, tmp_path):
    """No server is searched for: a stage runs, a failed stage ends with 30, missing data with 20, and the commands work."""
    small = ("--Render-training", "60", "--Render-test", "6")
    done = run(python, "-m", "luigi", "--module", "pipeline", "Load", *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Ran 2 stages in " in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"data", "models"}
    again = run(python, "-m", "luigi", "--module", "pipeline", "Load", *small, cwd=tmp_path)
    assert (again.returncode, again.stderr.split("\n")[1]) == (0, "Nothing to do: every result exists and is up to date.")
    status = run(python.with_name("keypoints"), "status", cwd=tmp_path)
    run_line, titles, *stages = status.stdout.splitlines()
    assert "Load" in run_line
    assert titles.split()[:3] == ["stage", "key", "state"]
    assert [line.split()[2] for line in stages[:2]] == ["cached", "cached"]


def test_its_luigi_script_is_that_of_this_project(python, tmp_path):
    """A configuration file that Luigi's own script could not read is named, and --module pipeline may be left out."""
    (tmp_path / "luigi.cfg").write_text("[Load]\nfold = 1\nfold = 2\n")
    done = run(python.with_name("luigi"), "Load", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (40, "luigi.cfg, line 3: fold is set twice in [Load]. Remove one of the lines.\n")
    (tmp_path / "luigi.cfg").unlink()
    assert run(python.with_name("luigi"), "predict", cwd=tmp_path).stderr == "luigi: There is no task predict; did you mean Predict?\n"


def test_its_exit_codes_are_those_of_a_clone(python, tmp_path):
    """Missing data end with 20 and a failed stage with 30, each with a sentence and without a traceback."""
    missing = run(python, "-m", "luigi", "--module", "pipeline", "Predict", "--dataset-path", "nowhere", cwd=tmp_path)
    assert missing.returncode == 20, missing.stderr
    assert "Missing: nowhere does not exist." in missing.stderr
    (tmp_path / "faces").mkdir()
    for name in ("training.csv", "test.csv", "IdLookupTable.csv"):
        (tmp_path / "faces" / name).write_text("a,b\n1,2\n")
    failed = run(python, "-m", "luigi", "--module", "pipeline", "Load", "--dataset-path", "faces", cwd=tmp_path)
    assert failed.returncode == 30, failed.stderr
    assert "Traceback" not in missing.stderr + failed.stderr
