"""Luigi's command line as the users of this project see it: no abbreviated flags, one sentence for a mistake, and help for each task.

Luigi builds an argparse parser for each command in a method of its own, which `install` wraps; it hands that parser to nobody else. Without
that method, in a future version of Luigi, its own messages and help return and everything else works as before.
"""

import argparse
import functools
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from pipeline.errors import InputError, meant, near
from pipeline.store.run import configuration, interrupts
from pipeline.store.run.parameters import Checked
from pipeline.store.run.stage import Stage
from pipeline.store.workspace import console
from pipeline.store.workspace.called import called

# Luigi's own options that the help of a task shows. Those without a value do not take one.
LUIGIS = {
    "--workers": ("N", "number of stages that run at the same time, each in a process of its own (default 1)"),
    "--scheduler-host": ("HOST", "host of luigid, which gives the stages to the workers of a shared run (default: no server)"),
    "--scheduler-port": ("PORT", "port of luigid (default 8082)"),
    "--scheduler-url": ("URL", "address of luigid in full, instead of host and port"),
    "--log-level": ("LEVEL", "what Luigi prints besides: DEBUG, INFO, WARNING or ERROR (default WARNING)"),
    "--help": ("", "show this help"),
    "--help-all": ("", "show all flags of all tasks and of Luigi"),
}
INTERNAL = "overrides"


@dataclass
class _Offered:
    """What the help shows.

    needs: each task that users start, and the other stages whose flags count for it.
    sections: titles and sections of the configuration that are not stages.
    """

    needs: dict[str, Sequence[type[Stage]]] = field(default_factory=dict)
    sections: dict[str, Sequence[type[luigi.Config]]] = field(default_factory=dict)


_offered = _Offered()


def install(needs: Mapping[type[Stage], Sequence[type[Stage]]], sections: Mapping[str, Sequence[type[luigi.Config]]]) -> None:
    """Makes Luigi's command line behave as described in the module, for these tasks and for those of other packages.

    needs: each task that users start, and the other stages whose flags count for it.
    sections: the other sections of flags, by the title that the help gives them; the first title comes before the task's own flags.
    """
    _offered.needs.update({task.__name__: stages for task, stages in needs.items()})
    _offered.sections.update(sections)
    luigis = getattr(CmdlineParser, "_build_parser", None)
    if luigis is None or hasattr(luigis, "adapted"):
        return

    @functools.wraps(luigis)
    def build(root_task: str | None = None, help_all: bool = False) -> argparse.ArgumentParser:
        interrupts.silence()
        return _Parser(luigis(root_task=root_task, help_all=help_all), root_task, help_all)

    vars(build)["adapted"] = True
    # Luigi calls it without arguments, too, so it stays a static method.
    setattr(CmdlineParser, "_build_parser", staticmethod(build))  # noqa: B010  # mypy refuses the assignment of a method


def tasks() -> dict[str, type[Stage]]:
    """The tasks that users may start, by name."""
    own = {Register.get_task_cls(name).__module__.split(".")[0] for name in _offered.needs}
    found = {name: Register.get_task_cls(name) for name in _unambiguous()}
    stages = {name: task for name, task in found.items() if issubclass(task, Stage) and task is not Stage}
    return {name: task for name, task in stages.items() if name in _offered.needs or task.__module__.split(".")[0] not in own}


def flags_of(task: str) -> list[str]:
    """The flags that have an effect on a task, with the names of their stages and sections."""
    stages = [Register.get_task_cls(task), *_offered.needs.get(task, ())]
    sections = [section for each in _offered.sections.values() for section in each]
    own, *others = [[(owner, name) for name, _ in _shown(owner, is_root=number == 0)] for number, owner in enumerate((*stages, *sections))]
    return [_flag(owner.__name__, name) for owner, name in (*own, *(pair for pairs in others for pair in pairs))]


def all_flags() -> set[str]:
    """All flags that Luigi's command line takes, those of other tasks and of Luigi itself among them."""
    params = [(owner, without, name) for owner, without, name, _ in Register.get_all_params() if name != INTERNAL]
    return {f"--{name.replace('_', '-')}" if without else _flag(owner, name) for owner, without, name in params}


def meant_flag(flag: str, known: Iterable[str]) -> str | None:
    """The known flags that an unknown one may stand for, as a part of a sentence; None if there are none.

    A flag may lack its stage, be abbreviated, or have underscores or another case; otherwise the most similar one is found.
    """
    candidates = list(dict.fromkeys(known))
    plain = {candidate: candidate.lower() for candidate in candidates}
    wanted = flag.lower().replace("_", "-").lstrip("-")
    tests = (
        lambda text: text == f"--{wanted}",
        lambda text: text.endswith(f"-{wanted}"),
        lambda text: text.startswith(f"--{wanted}"),
    )
    for test in tests:
        if found := [candidate for candidate, text in plain.items() if test(text)]:
            return " or ".join(found[:3])
    return near(f"--{wanted}", candidates)


def _flag(owner: str, name: str) -> str:
    return f"--{owner}-{name}".replace("_", "-")


def _unambiguous() -> list[str]:
    """The names of tasks that only one class has."""
    return [name for name, task in Register._get_reg().items() if task != Register.AMBIGUOUS_CLASS]


class Refusal(SystemExit):
    """The end of a command whose arguments cannot be used, with exit code 2.

    message: one sentence, which has been printed.
    guessed: whether it says what may have been meant.
    """

    def __init__(self, message: str, *, guessed: bool):
        super().__init__(2)
        self.message, self.guessed = message, guessed


class _Parser(argparse.ArgumentParser):
    """Luigi's parser for the task `root_task`, or for no task yet, with our messages and help."""

    def __init__(self, luigis: argparse.ArgumentParser, root_task: str | None, help_all: bool):
        super().__init__(prog="luigi", add_help=False, allow_abbrev=False, parents=[luigis])
        self._root_task, self._help_all = root_task, help_all
        if root_task is None:
            return
        if root_task not in Register.task_names() or issubclass(Register.get_task_cls(root_task), luigi.Config):
            self.error(f"There is no task {root_task}; {meant(root_task, tasks())}")

    def error(self, message: str) -> NoReturn:
        """Ends the command with a sentence and exit code 2."""
        self._end(message)

    def _end(self, message: str, hint: str = "", *, guessed: bool = False) -> NoReturn:
        sentence = message if message.endswith((".", "?")) else f"{message}."
        self._print_message(console.escaped(f"luigi: {sentence}{hint}\n"), sys.stderr)
        raise Refusal(sentence, guessed=guessed)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does; an error if there is neither a task nor a question for help."""
        known, unknown = super().parse_known_args(args, namespace)
        if known.root_task not in Register.task_names() and unknown[:1] and unknown[0].startswith("-"):
            self._guess(unknown[0].partition("=")[0])  # what looks like the task may be the value of this flag
        if known.root_task is None and not (known.core_help or known.core_help_all):
            self.error(f"Name a task: {', '.join(tasks())}. `{_command()} --help` describes them.")
        return known, unknown

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The arguments; an error for unknown ones and for values that Luigi cannot use."""
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self._refuse(unknown)
        try:
            configuration.check_values({section for section, *_ in Register.get_all_params()})
        except InputError as error:
            self.error(str(error))
        for section, _, name, parameter in Register.get_all_params():
            self._check(known, section, name, parameter)
        self._check_complete(known)
        if not known.core_local_scheduler and any(getattr(known, f"core_{name}", None) for name in configuration.SERVER):
            configuration.use_server()
        return known

    def format_help(self) -> str:
        """The help of the task; Luigi's own with --help-all."""
        if self._help_all:
            return super().format_help()
        return _help_without_task() if self._root_task is None else _help(Register.get_task_cls(self._root_task))

    def _refuse(self, unknown: list[str]) -> NoReturn:
        """An error about the first unknown argument."""
        word = next((word for word in unknown if word.startswith("-")), unknown[0]).partition("=")[0]
        if not word.startswith("-"):
            self._end(f"unrecognized arguments: {' '.join(unknown)}")
        self._guess(word)
        self._end(f"unrecognized arguments: {' '.join(unknown)}", f" `{_command(self._root_task)} --help` lists the flags.")

    def _guess(self, word: str) -> None:
        """An error about an unknown flag, if one that is known may have been meant."""
        known = [flag for flag in self._option_string_actions if not flag.endswith(f"-{INTERNAL}")]
        relevant = [flag for flag in known if self._root_task and flag in flags_of(self._root_task)]
        if guess := meant_flag(word, relevant) or meant_flag(word, known):
            self._end(f"{word} is not known; did you mean {guess}?", guessed=True)

    def _check(self, known: argparse.Namespace, section: str, name: str, parameter: "luigi.Parameter[Any]") -> None:
        """An error for an unusable value, from a flag or a configuration file, unless the parameter checks its values itself.

        An empty flag is an error for any parameter: it comes from an unset variable of a shell, and Luigi would use the default.
        """
        dashed, config = name.replace("_", "-"), luigi.configuration.get_config()
        is_luigis = Register.get_task_cls(section).__module__.startswith("luigi.")
        given = {f"--{dashed}" if is_luigis else _flag(section, name): getattr(known, f"{section}_{name}", None)}
        if section == self._root_task:
            given[f"--{dashed}"] = getattr(known, name, None)
        if empty := [flag for flag, value in given.items() if value == ""]:
            self.error(f"{empty[0]} is empty; give a value, or leave the flag out")
        if isinstance(parameter, Checked):
            return
        if is_luigis and config.has_option(section, name):
            given[f"configuration file: [{section}] {name} ="] = config.get(section, name)
        for place, value in given.items():
            if isinstance(value, str) and (fault := _fault(parameter, name, value)):
                self.error(f"{place} {value}: {fault}.")

    def _check_complete(self, known: argparse.Namespace) -> None:
        """An error if the task lacks a value that has no default."""
        task = Register.get_task_cls(self._root_task)
        for name, parameter in task.get_params():
            given = (getattr(known, dest, None) for dest in (name, f"{self._root_task}_{name}"))
            if all(value is None for value in given) and not _has_value(parameter, task, name):
                self.error(f"{self._root_task} needs --{name.replace('_', '-')}: {parameter.description}.")


def _has_value(parameter: "luigi.Parameter[Any]", task: type[luigi.Task], name: str) -> bool:
    """Whether a parameter of a task has a default or is set in a configuration file, also if it is set to something unusable."""
    try:
        return bool(parameter.has_task_value(task.__name__, name))
    except InputError:
        return True  # the task says what is wrong, as it does for a flag


def _fault(parameter: "luigi.Parameter[Any]", name: str, value: str) -> str | None:
    """What is wrong with the value of a parameter, as the end of a sentence; None if Luigi can use it."""
    try:
        parsed: Any = parameter.parse(value)
    except (ValueError, TypeError) as error:
        if isinstance(parameter, luigi.IntParameter):
            return "must be a whole number"
        choices = getattr(parameter, "_choices", None)
        return f"must be one of {', '.join(sorted(choices))}" if choices else f"cannot be used ({error})"
    return "must be at least 1" if name == "workers" and parsed < 1 else None


# Help


def _command(task: str | None = None) -> str:
    """The command that starts a task."""
    package = Register.get_task_cls(task).__module__.split(".")[0] if task in tasks() else "pipeline"
    return called("luigi", "--module", package, *([task] if task else []))


def _help_without_task() -> str:
    """The tasks, and how to ask for the flags of one."""
    known = tasks()
    width = max(map(len, known))
    lines = [f"  {name:<{width}}  {_first_line(task)}" for name, task in known.items()]
    return "\n".join([f"usage: {_command()} TASK [--FLAG VALUE ...]", "", "Tasks:", *lines, "", f"Flags: {_command()} TASK --help", ""])


def _help(task: type[luigi.Task]) -> str:
    """What a task does, and the flags that count for it: each once, grouped by the stage or section that they belong to."""
    name = task.__name__
    parser = argparse.ArgumentParser(
        usage=f"{_command(name)} [--FLAG VALUE ...]",
        description=f"{name}: {_first_line(task)}",
        epilog="Any flag --STAGE-name can also be set in luigi.cfg, as name in section [STAGE]; a preset is chosen with LUIGI_CONFIG_PATH.",
        add_help=False,
    )
    sections = list(_offered.sections.items())
    for title, owners in sections[:1]:
        _add_group(parser, title, "", owners)
    _add_group(parser, name, f"The flags of {name} itself. They may also be written --{name}-...", [task], local=True)
    for stage in reversed(_offered.needs.get(name, ())):
        _add_group(parser, stage.__name__, f"A stage that {name} needs. {_first_line(stage)}", [stage])
    for title, owners in sections[1:]:
        _add_group(parser, title, "", owners)
    own = parser.add_argument_group("Luigi", "Luigi's own options.")
    for flag, (metavar, text) in LUIGIS.items():
        if metavar:
            own.add_argument(flag, metavar=metavar, help=text)
        else:
            own.add_argument(flag, action="store_true", help=text)
    return parser.format_help()


def _add_group(parser: argparse.ArgumentParser, title: str, text: str, owners: Sequence[type[luigi.Task]], *, local: bool = False) -> None:
    """Adds the flags of some stages or sections as one group; `local` flags lack the name of their stage."""
    shown = [(owner, name, parameter) for owner in owners for name, parameter in _shown(owner, is_root=local)]
    group = parser.add_argument_group(title, text or None)
    for owner, name, parameter in shown:
        flag = f"--{name.replace('_', '-')}" if local else _flag(owner.__name__, name)
        group.add_argument(flag, metavar="VALUE", help=_text(parameter))


def _shown(owner: type[luigi.Task], *, is_root: bool) -> "list[tuple[str, luigi.Parameter[Any]]]":
    """The parameters that users set: without internal ones, and, unless it `is_root`, without what another stage chooses (a group)."""
    chosen = [(name, parameter) for name, parameter in owner.get_params() if name != INTERNAL]
    return [(name, parameter) for name, parameter in chosen if is_root or not issubclass(owner, Stage) or parameter._default != ""]


def _text(parameter: "luigi.Parameter[Any]") -> str:
    """The description of a parameter, for argparse."""
    return (parameter.description or "").replace("%", "%%")


def _first_line(task: type[luigi.Task]) -> str:
    """The first line of the docstring; empty if Python was started without docstrings."""
    return (task.__doc__ or "").partition("\n")[0]
