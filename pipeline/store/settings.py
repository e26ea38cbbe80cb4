"""Parameters that refuse what makes no sense, and a check of the configuration files for names that do not exist."""

import copy
import difflib
import logging
import math

import luigi
from luigi.task_register import Register

from pipeline.errors import InputError

# Sections that Luigi reads without a Config class of its own.
LUIGI_SECTIONS = {
    "resources",
    "logging",
    "task_history",
    "batch_notifier",
    "retcode",
    "smtp",
    "sendgrid",
    "email",
    "core",
    "worker",
    "scheduler",
}


class Checked(luigi.Parameter):
    """A parameter whose values are converted and checked wherever they come from: command line, configuration file, override."""

    def __init__(self, default, description, *, convert, describe, allowed, **kwargs):
        super().__init__(default=default, description=f"{description} ({describe}; default {default})", **kwargs)
        self.convert, self.describe, self.allowed, self.flag = convert, describe, allowed, "a parameter"

    def of(self, owner: type, name: str) -> "Checked":
        """The same parameter, as attribute `name` of the task `owner`: its messages name the flag."""
        own = copy.copy(self)
        own.flag = f"--{owner.__name__}-{name.replace('_', '-')}"
        return own

    def parse(self, text):
        return self.normalize(text)

    def normalize(self, value):
        try:
            converted = self.convert(value)
            fits = self.allowed(converted)
        except (ValueError, TypeError):
            fits = False
        if not fits:
            plain_errors()
            raise InputError(f"{self.flag} {value}: must be {self.describe}.")
        return converted

    def serialize(self, value):
        return str(value)


def whole(default: int, description: str, low: int, high: int | None = None, **kwargs) -> Checked:
    """A whole number of at least `low` and at most `high`."""
    describe = f"a whole number from {low} to {high}" if high is not None else f"a whole number of at least {low}"
    return Checked(
        default, description, convert=_whole, describe=describe, allowed=lambda v: v >= low and (high is None or v <= high), **kwargs
    )


def real(default: float, description: str, low: float, high: float = math.inf, **kwargs) -> Checked:
    """A finite number of at least `low` and at most `high`."""
    describe = f"a number from {low} to {high}" if math.isfinite(high) else f"a number of at least {low}"
    return Checked(
        default, description, convert=float, describe=describe, allowed=lambda v: math.isfinite(v) and low <= v <= high, **kwargs
    )


def choice(default: str, description: str, options: tuple[str, ...], **kwargs) -> Checked:
    """One of several words."""
    return Checked(default, description, convert=str, describe=f"one of {', '.join(options)}", allowed=lambda v: v in options, **kwargs)


def switch(default: bool, description: str, **kwargs) -> Checked:
    """True or False, written out."""
    words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
    return Checked(
        default,
        description,
        convert=lambda v: v if isinstance(v, bool) else words.get(str(v).lower()),
        describe="True or False",
        allowed=lambda v: v is not None,
        **kwargs,
    )


def _whole(value) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)


def check_configuration(package: str) -> None:
    """Raises InputError for a section or a key of the configuration files that nothing reads: Luigi would ignore a misspelt one."""
    config = luigi.configuration.get_config()
    parameters = {}
    for task, _, name, _ in Register.get_all_params():
        parameters.setdefault(task, set()).add(name)
    ours = {name for name in parameters if Register.get_task_cls(name).__module__.split(".")[0] == package}
    for section in config.sections():
        if section in ours:
            for name in set(config.options(section)) - set(config.defaults()):
                if name.replace("-", "_") not in parameters[section]:
                    _refuse(f"[{section}] {name}", parameters[section])
        elif section not in parameters and section not in LUIGI_SECTIONS:
            _refuse(f"section [{section}]", ours)


def _refuse(what: str, known: set[str]) -> None:
    name = what.split()[-1].strip("[]")
    near = difflib.get_close_matches(name.lower(), {k.lower(): k for k in known}, 1, 0.5)
    meant = {k.lower(): k for k in known}[near[0]] if near else None
    hint = f"did you mean {meant}?" if meant else f"there are {', '.join(sorted(known))}"
    plain_errors()
    raise InputError(f"configuration file: {what} is not known; {hint}")


class _Plain(logging.Filter):
    """Shows an InputError's sentence in place of its traceback."""

    def filter(self, record):
        error = record.exc_info[1] if record.exc_info else None
        # Luigi raises a ValueError of its own from what a parameter of an inner task says.
        while error is not None and not isinstance(error, InputError):
            error = error.__cause__
        if error is not None:
            record.msg, record.args, record.exc_info, record.exc_text = str(error), (), None, None
        return True


_plain = _Plain()


def plain_errors() -> None:
    """From now on Luigi's log shows the sentence of an InputError without a traceback."""
    logging.getLogger("luigi-interface").addFilter(_plain)
