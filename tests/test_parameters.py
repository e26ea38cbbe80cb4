"""Parameters and configuration files: impossible values are refused in one sentence."""

import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

import luigi
import pytest
from fresh import ROOT

from pipeline import environment
from pipeline.errors import InputError
from pipeline.store.run import configuration
from pipeline.store.run.parameters import Automatic, choice, fraction, from_parameters, is_auto, multiple, real, switch, whole


class Options(luigi.Config):
    count = whole(3, "how many", 1, 9)
    share = real(0.5, "which part", 0.0, 1.0)
    open = real(1.0, "no upper end", 0.0)
    kind = choice("a", "which", ("a", "b"))
    on = switch(True, "whether")
    length = fraction("8/96", "how long")
    side = multiple(96, "how wide", 16)
    fitted = Automatic(real(20.0, "how far", 0.0, 180.0), "as far as needed", lambda: True)
    usual = Automatic(fraction("8/96", "how much"), "as much as usual", lambda: False)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "9", 9),
        ("count", 4.0, 4),
        ("share", "1e-1", 0.1),
        ("share", 1, 1.0),
        ("kind", "b", "b"),
        ("on", "False", False),
        ("on", "yes", True),
        ("on", "0", False),
        ("on", True, True),
        ("length", "8/96", 8 / 96),
        ("length", "0.25", 0.25),
        ("length", 0, 0.0),
        ("length", "64 / 64", 1.0),
        ("side", "32", 32),
        ("fitted", "auto", "auto"),
        ("fitted", "AUTO ", "auto"),
        ("fitted", 30, 30.0),
        ("usual", "auto", "auto"),
        ("usual", "4/96", 4 / 96),
    ],
)
def test_values_are_converted(name, text, value):
    """Texts, as in files and flags, and values, as in overrides, are accepted; a serialized value can be parsed again."""
    parameter = dict(Options.get_params())[name]
    converted = parameter.normalize(text)
    assert (converted, type(converted)) == (value, type(value))
    assert parameter.parse(parameter.serialize(converted)) == converted


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", "0", "--Options-count 0: must be a whole number from 1 to 9."),
        ("count", "2.5", "--Options-count 2.5: must be a whole number from 1 to 9."),
        ("count", 2.5, "--Options-count 2.5: must be a whole number from 1 to 9."),
        ("count", "many", "--Options-count many: must be a whole number from 1 to 9."),
        ("count", None, "--Options-count None: must be a whole number from 1 to 9."),
        ("share", "1.1", "--Options-share 1.1: must be a number from 0.0 to 1.0."),
        ("open", "nan", "--Options-open nan: must be a number of at least 0.0."),
        ("open", math.inf, "--Options-open inf: must be a number of at least 0.0."),
        ("open", 10**400, None),
        ("kind", "c", "--Options-kind c: must be one of a, b."),
        ("on", "maybe", "--Options-on maybe: must be True or False."),
        ("on", "", "--Options-on : must be True or False."),
        (
            "length",
            "8",
            "--Options-length 8: must be a fraction of the side of the image from 0 to 1, such as 8/96. 8 is in pixels; give 8/96 for an"
            " image of 96 x 96 pixels.",
        ),
        ("length", "8/0", "--Options-length 8/0: must be a fraction of the side of the image from 0 to 1, such as 8/96."),
        ("length", "long", "--Options-length long: must be a fraction of the side of the image from 0 to 1, such as 8/96."),
        ("length", "nan", "--Options-length nan: must be a fraction of the side of the image from 0 to 1, such as 8/96."),
        ("side", "100", "--Options-side 100: must be a multiple of 16."),
        ("side", "0", "--Options-side 0: must be a multiple of 16."),
        ("fitted", "200", "--Options-fitted 200: must be auto, or a number from 0.0 to 180.0."),
        ("fitted", "atuo", "--Options-fitted atuo: must be auto, or a number from 0.0 to 180.0; did you mean auto?"),
    ],
)
def test_values_that_make_no_sense(name, value, message):
    """The message names the flag, the value and the allowed values."""
    with pytest.raises(InputError) as error:
        Options(**{name: value})
    assert message in (None, str(error.value))


@dataclass
class Lengths:
    """Two of the options."""

    fitted: float
    usual: float
    other: int = 7


def test_auto_is_the_usual_value_unless_the_data_choose():
    """A dataclass gets the usual values, and keeps a default that has no parameter. Unless data choose, the usual value is in the key."""
    parameters, options = dict(Options.get_params()), Options()
    assert from_parameters(Lengths, options) == Lengths(20.0, 8 / 96)
    assert (is_auto(options, "fitted"), is_auto(options, "usual")) == (True, False)
    assert [parameters[name].effective("auto") for name in ("fitted", "usual")] == ["auto", 8 / 96]
    given = Options(fitted=30, usual="4/96")
    assert from_parameters(Lengths, given) == Lengths(30.0, 4 / 96)
    assert not is_auto(given, "fitted")


def test_the_help_says_what_auto_means():
    """The rule stands before the allowed values."""
    description = "how far; auto: as far as needed (auto, or a number from 0.0 to 180.0; default auto)"
    assert dict(Options.get_params())["fitted"].description == description


@pytest.mark.parametrize("pixels", [1, 2, 5, 8, 18, 64])
def test_fractions_give_whole_pixels(pixels):
    """A fraction of 96 pixels, multiplied by 96, is the exact number: results do not depend on how a length is given."""
    assert dict(Options.get_params())["length"].parse(f"{pixels}/96") * 96 == pixels


def test_the_default_of_a_fraction_is_shown_as_it_is_given():
    """The help says 8/96 and not 0.0833."""
    assert "default 8/96" in dict(Options.get_params())["length"].description


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--Draw-size", "2.5"], "--Draw-size 2.5: must be a whole number of at least 1."),
        (["--Draw-seed", "100"], "--Draw-seed 100: must be a whole number from 0 to 99."),
        (["--Scale-factor", "-1"], "--Scale-factor -1: must be a number of at least 0"),
        (["--Scale-mode", "odd"], "--Scale-mode odd: must be one of plain, fancy."),
    ],
)
def test_wrong_flags_on_the_command_line(workplace, flags, message):
    """A wrong type, a value out of range and an unknown choice end in one sentence and Luigi's code for unexpected errors."""
    done = workplace.run("Total", *flags)
    assert done.returncode == 40
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert workplace.files() == set()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[Scale]\nfactr = 3", 2, "[Scale] factr is not known; did you mean factor?"),
        ("[Scale]\nFactor = 3", 2, "[Scale] Factor is not known; did you mean factor?"),
        ("[scale]\nfactor = 3", 1, "section [scale] is not known; did you mean Scale?"),
        ("[Totl]\nfactor = 3", 1, "section [Totl] is not known; did you mean Total?"),
        ("[workspace]\nrot = x", 2, "[workspace] rot is not known; did you mean root?"),
        ("[Scale]\nfactor = much", None, "--Scale-factor much: must be a number of at least 0"),
    ],
)
def test_mistakes_in_the_configuration_file(workplace, text, line, message):
    """Luigi ignores misspelt names; here they end the run, and the message names file and line and suggests the intended name."""
    before = len((workplace.root / "luigi.cfg").read_text().splitlines())
    workplace.configure(text)
    done = workplace.run("Total")
    assert done.returncode == 40
    assert (message if line is None else f"luigi.cfg, line {before + line}: {message}") in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[Scale]\nfactor = 2\nfactor = 3\n", "luigi.cfg, line 3: factor is set twice in [Scale]. Remove one of the lines."),
        (b"factor = 3\n", "luigi.cfg, line 1: there is no section yet. Begin with a line such as [TrainBase]."),
        (b"[Scale]\n[Draw]\n[Scale]\n", "luigi.cfg, line 3: there are two sections [Scale]. Make them one."),
        (b"[Scale]\nfactor\n", "luigi.cfg, line 2: this is neither [SECTION] nor NAME = VALUE."),
        (b"[Scale]\n# Gr\xf6\xdfe\nfactor = 3\n", "luigi.cfg, line 2: this is not UTF-8. Save the file in that encoding."),
    ],
)
def test_configuration_files_that_cannot_be_read(tmp_path, content, said):
    """The `keypoints` command, which reads them before Luigi does, names file and line in one sentence."""
    (tmp_path / "luigi.cfg").write_bytes(content)
    done = keypoints("parameters", "TrainBase", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said + "\n")


def keypoints(*arguments, cwd):
    """Runs the `keypoints` command in a process of its own."""
    start = "import sys; sys.argv[0] = 'keypoints'; from pipeline.commands import main; sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", start, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=50, check=False)


def test_docstrings_are_not_needed(tmp_path, monkeypatch):
    """PYTHONOPTIMIZE=2 removes them."""
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    for arguments in (("--help",), ("parameters",)):
        done = keypoints(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_byte_order_mark_is_accepted(tmp_path):
    """Windows' editors write one; the file is UTF-8 whatever the locale."""
    (tmp_path / "luigi.cfg").write_bytes("\ufeff[TrainBase]\n# Größe\nepochs = 7\n".encode())
    done = keypoints("parameters", "TrainBase", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"epochs\s+\* ?7\b|epochs.* 7\b", done.stdout)


def test_files_of_the_whole_machine_may_belong_to_other_projects(tmp_path, monkeypatch):
    """An unknown section or name is refused in a preset and in the current folder, and ignored in /etc/luigi."""
    shared_file = tmp_path / "etc" / "luigi.cfg"
    shared_file.parent.mkdir()
    shared_file.write_text("[ReportSales]\nregion = 3\n[Load]\ntable = sales\n")
    own = environment.configuration_files
    monkeypatch.setattr(environment, "configuration_files", lambda shared=True: [*([shared_file] if shared else []), *own(shared=False)])
    monkeypatch.chdir(tmp_path)
    configuration.check_configuration("pipeline")
    shutil.copy(shared_file, tmp_path / "luigi.cfg")
    with pytest.raises(InputError, match=r"^luigi\.cfg, line 1: section \[ReportSales\] is not known"):
        configuration.check_configuration("pipeline")


def test_a_variable_that_is_not_set(workplace):
    """Luigi replaces ${NAME} by a variable of the environment."""
    workplace.configure("[Scale]\nfactor = ${NO_SUCH_VARIABLE}")
    done = workplace.run("Total")
    assert done.returncode == 2
    assert "[Scale] factor = ${NO_SUCH_VARIABLE}: there is no such variable." in done.stderr
    assert "Traceback" not in done.stderr


def test_luigis_own_lock_is_off(workplace):
    """It is in a folder that all users share: another user's folder, or a process number that is in use again, would stop everything."""
    config = (workplace.root / "luigi.cfg").read_text()
    (workplace.root / "luigi.cfg").write_text(config.replace("[core]\n", "[core]\nno_lock = false\nlock_pid_dir = /proc/nowhere\n"))
    done = workplace.run("Total", "--source-path", b"\xff.txt")
    assert done.returncode == 20, done.stderr
    assert ".txt does not exist. Write some numbers into it." in done.stderr
    assert "Traceback" not in done.stderr
    assert workplace.run("Total").returncode == 0


def test_a_preset_is_read_on_top(workplace):
    """LUIGI_CONFIG_PATH complements luigi.cfg and takes precedence; Luigi's own sections, defaults and dashes are accepted."""
    workplace.configure("[DEFAULT]\nx = 1\n[Scale]\nfactor = 5\nbe-loud = yes\n[Draw]\nsize = 4")
    workplace.configure("[scheduler]\nretry_delay = 1\n[hadoop]\nversion = 1\n[resources]\ngpu = 1")
    (workplace.root / "quick.cfg").write_text("[Scale]\nfactor = 3\n")
    done = workplace.run("Total", LUIGI_CONFIG_PATH="quick.cfg")
    assert done.returncode == 0, done.stderr
    # 3 x (1 + 2 + 3 + 1) + (2 + 3 + 4 + 2)
    assert "the sum is 32" in done.stderr


def test_a_preset_that_is_not_there(workplace):
    """Luigi would only warn and run without the file."""
    done = workplace.run("Total", LUIGI_CONFIG_PATH="quik.cfg")
    assert done.returncode == 40
    assert "LUIGI_CONFIG_PATH: quik.cfg does not exist." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("own", "code"),
    [(None, 20), ("[Load]\nseed = 3\n", 20), ("[retcode]\nmissing_data = 77\n", 77)],
    ids=["no luigi.cfg", "one that says nothing of Luigi", "one with another exit code"],
)
def test_luigi_can_be_started_in_any_folder(tmp_path, own, code):
    """Without the project's luigi.cfg, luigi would wait for a server and return 0 after failures; a file in the folder has priority."""
    if own:
        (tmp_path / "luigi.cfg").write_text(own)
    command = [sys.executable, "-m", "luigi", "--module", "pipeline", "Load", "--dataset-path", "nowhere"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == code
    assert "Missing: nowhere does not exist." in done.stderr
