"""What the documents mention exists, and what exists is in the documents."""

import argparse
import ast
import re
from pathlib import Path

import luigi
import pytest
from fresh import COMMANDS, README, ROOT
from luigi.task_register import Register

import pipeline
from pipeline.commands import SUBCOMMANDS, _parser, main
from pipeline.store.run.parameters import Checked
from pipeline.store.run.stage import Stage

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((ROOT / "docs").glob("*.md"))
# The folders of the repository whose files do not depend on what has been run.
FOLDERS = (".ci", "bench", "configs", "docs", "examples", "pipeline", "tests")
URL = re.compile(r"https?://[^\s)>]+")
STAGES = [task for task in map(vars(pipeline).get, pipeline.__all__) if issubclass(task, Stage)]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_every_stage_and_parameter_is_described(stage):
    """Each stage occurs in the package's docstring and has a docstring; each parameter states its meaning, range and default."""
    assert stage.__name__ in pipeline.__doc__
    assert stage.__doc__
    for name, parameter in stage.get_params():
        assert parameter.description, name
        if isinstance(parameter, Checked):
            assert f"default {parameter.shown}" in parameter.description, name


def test_the_command_parameters_prints_every_parameter(capsys):
    """`keypoints parameters` lists every parameter of each stage and section, also those that each task must be given."""
    assert main(["parameters"]) == 0
    printed = dict(re.findall(r"^(\w+): .*\n((?: .*\n)*)", capsys.readouterr().out, flags=re.MULTILINE))
    ours = {task for task, *_ in Register.get_all_params() if Register.get_task_cls(task).__module__.startswith("pipeline.")}
    ours -= {"Stage", "ExternalFile", "ExternalFiles", "NetsFile"}  # the base class and files of the user, which have no settings
    assert ours <= set(printed)
    for task in ours:
        shown = re.findall(r"^ [ *] (\w+)", printed[task], flags=re.MULTILINE)
        assert shown == [name for name, _ in Register.get_task_cls(task).get_params() if name != "overrides"], task


def test_every_subcommand_is_in_the_readme():
    """The README shows or names each subcommand of `keypoints`."""
    assert [name for name in SUBCOMMANDS if f"keypoints {name}" not in README] == []


def test_parameter_flags_in_the_documents_exist():
    """Every --STAGE-parameter and --section-parameter that a page, a preset's comment or a benchmark shows can be given to Luigi."""
    texts = [page.read_text() for page in PAGES]
    texts += [path.read_text() for folder in ("configs", "bench") for path in (ROOT / folder).iterdir() if path.is_file()]
    shown = set(re.findall(r"--((?:[A-Z][A-Za-z]+|checkpoint|dataset|device|memory|workspace)-[a-z0-9-]+)", "\n".join(texts)))
    known = {f"{task}-{name.replace('_', '-')}" for task, _, name, _ in Register.get_all_params()}
    assert shown
    assert shown <= known


def test_options_of_keypoints_in_the_documents_exist():
    """Every option in a command line that begins with `keypoints SUBCOMMAND` is one of the subcommand's, or a flag of Luigi's."""
    (subparsers,) = (action.choices for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    lines = re.findall(r"keypoints ([a-z]+)\b([^`\n]*)", "\n".join(URL.sub("", page.read_text()) for page in PAGES))
    shown = [(name, option) for name, rest in lines if name in subparsers for option in re.findall(r"--[a-z][a-z-]+", rest)]
    assert shown
    unknown = [(name, option) for name, option in shown if option not in subparsers[name]._option_string_actions]
    assert [(name, option) for name, option in unknown if not re.match(r"--(dataset|workspace|device|memory|checkpoint)-", option)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    """Each link or picture that is not a URL names an existing file, and each #anchor a heading in it."""
    wrong = []
    for link in re.findall(r"\]\(([^)]+)\)", URL.sub("", page.read_text())):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            wrong.append(link)
    assert wrong == []


def _anchors(page):
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_paths_in_the_documents_exist(page):
    """Each path into a folder of the repository, also within a command line, and each module after `python -m tests.`."""
    text = URL.sub("", page.read_text())
    paths = [path.rstrip(".") for path in re.findall(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*", text)]
    paths += [f"tests/{module}" for module in re.findall(r"-m tests\.(\w+)", text)]
    assert [path for path in paths if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_definitions_in_the_documents_exist(page):
    """`pipeline/nets/losses.py:robust_square` means the definition of that name in that file; a method follows its class."""
    mentions = re.findall(r"`([\w./]+\.py):([\w.]+)`", page.read_text())
    if page.name == "architecture.md":
        assert len(mentions) > 20
    assert [f"{path}:{name}" for path, name in mentions if not _defines(ROOT / path, name.split("."))] == []


def _defines(path: Path, names: list[str]) -> bool:
    """Whether a module defines a function, class or constant, and in it, if it is a class, the methods and fields of the other names."""
    body = ast.parse(path.read_text()).body
    for name in names:
        found = [node for node in body if name in _names_of(node)]
        if not found:
            return False
        body = getattr(found[-1], "body", [])
    return True


def _names_of(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign):
        return [node.target.id] if isinstance(node.target, ast.Name) else []
    return [getattr(node, "name", "")]


def test_ci_runs_the_test_command_of_the_readme():
    """`.ci/run` contains the second command of the README, word for word."""
    assert COMMANDS[1].strip() in (ROOT / ".ci" / "run").read_text()


def test_luigi_is_told_to_use_no_server():
    """Without these lines Luigi waits a minute for a server, or exits with 0 after a failure."""
    config = luigi.configuration.get_config()
    assert config.getboolean("core", "local_scheduler")
    assert config.getint("retcode", "task_failed") == 30
    assert config.getint("retcode", "missing_data") == 20
