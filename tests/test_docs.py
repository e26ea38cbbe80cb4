"""What the documents promise is there, and what is there is in the documents."""

import re

import luigi
import pytest
from fresh import COMMANDS, README, ROOT
from luigi.task_register import Register

import pipeline
from pipeline.commands import SUBCOMMANDS, main
from pipeline.store.run.parameters import Checked
from pipeline.store.run.stage import Stage

STAGES = [task for task in map(vars(pipeline).get, pipeline.__all__) if issubclass(task, Stage)]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_every_stage_and_parameter_is_described(stage):
    """Each stage stands in the package's docstring and has one of its own; each parameter tells what it is, its range and its default."""
    assert stage.__name__ in pipeline.__doc__
    assert stage.__doc__
    for name, parameter in stage.get_params():
        assert parameter.description, name
        if isinstance(parameter, Checked):
            assert f"default {parameter._default}" in parameter.description, name


def test_the_command_parameters_prints_every_parameter(capsys):
    """Of each stage and section: `keypoints parameters` leaves out none, also where a value has to be given each time."""
    assert main(["parameters"]) == 0
    printed = dict(re.findall(r"^(\w+): .*\n((?: .*\n)*)", capsys.readouterr().out, flags=re.MULTILINE))
    ours = {task for task, *_ in Register.get_all_params() if Register.get_task_cls(task).__module__.startswith("pipeline.")}
    ours -= {"Stage", "ExternalFile"}  # the base class, and files that the user brings: nothing to set
    assert ours <= set(printed)
    for task in ours:
        shown = re.findall(r"^ [ *] (\w+)", printed[task], flags=re.MULTILINE)
        assert shown == [name for name, _ in Register.get_task_cls(task).get_params() if name != "overrides"], task


def test_every_subcommand_is_in_the_readme():
    """The README shows or names each subcommand of `keypoints`."""
    assert [name for name in SUBCOMMANDS if f"keypoints {name}" not in README] == []


def test_flags_of_the_readme_exist():
    """Every --STAGE-parameter flag that the README, the presets' comments or the benchmarks show is a real one."""
    texts = [README, *(path.read_text() for folder in ("configs", "bench") for path in (ROOT / folder).iterdir() if path.is_file())]
    shown = set(re.findall(r"--([A-Z][A-Za-z]+-[a-z0-9-]+)", "\n".join(texts)))
    known = {f"{task.__name__}-{name.replace('_', '-')}" for task in STAGES for name, _ in task.get_params()}
    assert shown
    assert shown <= known


def test_files_that_the_readme_links_to_exist():
    """No link or picture of the README leads nowhere."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_ci_runs_the_test_command_of_the_readme():
    """`.ci/run` holds the README's second command to the letter."""
    assert COMMANDS[1].strip() in (ROOT / ".ci" / "run").read_text()


def test_luigi_is_told_to_use_no_server():
    """Without these lines luigi waits a minute for a server, or exits with 0 after a failure."""
    config = luigi.configuration.cfg_parser.LuigiConfigParser()
    config.read([ROOT / "luigi.cfg"])
    assert config.getboolean("core", "local_scheduler")
    assert config.getint("retcode", "task_failed") == 30
    assert config.getint("retcode", "missing_data") == 20
