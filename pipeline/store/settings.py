"""Parameters that refuse what makes no sense, and a check of the configuration files for names that do not exist."""

import configparser
import copy
import logging
import math
import os
from pathlib import Path

import luigi
from luigi.task_register import Register

from pipeline.errors import InputError, cause, meant

# Sections that Luigi reads without a Config class of its own, those of its contributed modules included.
LUIGI_SECTIONS = {
    "batch_notifier",
    "bigquery",
    "core",
    "cors",
    "datadog",
    "dataproc",
    "docker",
    "elasticsearch",
    "email",
    "gcs",
    "hadoop",
    "hdfs",
    "hive",
    "kubernetes",
    "logging",
    "metrics",
    "mysql",
    "opener",
    "postgres",
    "prometheus",
    "redshift",
    "resources",
    "retcode",
    "s3",
    "salesforce",
    "scalding",
    "scheduler",
    "sendgrid",
    "sge",
    "smtp",
    "snakebite",
    "spark",
    "ssh",
    "task_history",
    "webhdfs",
    "worker",
}


class Checked(luigi.Parameter):
    """A parameter whose values are converted and checked wherever they come from: command line, configuration file, override."""

    def __init__(self, default, description, *, convert, describe, allowed, **kwargs):
        super().__init__(default=default, description=f"{description} ({describe}; default {default})", **kwargs)
        self.convert, self.describe, self.allowed, self.meaning = convert, describe, allowed, description

    def __set_name__(self, owner: type, name: str):
        if hasattr(luigi.Parameter, "__set_name__"):  # not in every luigi 3
            super().__set_name__(owner, name)
        self.flag = f"--{owner.__name__}-{name.replace('_', '-')}"

    def of(self, owner: type, name: str) -> "Checked":
        """The same parameter, inherited by `owner` from a base that is no task: its messages name the owner's flag."""
        own = copy.copy(self)
        own.__set_name__(owner, name)
        return own

    def parse(self, text):
        return self.normalize(text)

    def normalize(self, value):
        try:
            converted = self.convert(value)
            fits = self.allowed(converted)
        except (ValueError, TypeError, OverflowError):
            fits = False
        if not fits:
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


def check_configuration(*packages: str) -> None:
    """Raises InputError for what Luigi would ignore: a preset that is not there, a misspelt section, a misspelt key of a package's task."""
    preset = os.environ.get("LUIGI_CONFIG_PATH")
    if preset and not Path(preset).is_file():
        raise InputError(f"LUIGI_CONFIG_PATH: {preset} does not exist.")
    config = luigi.configuration.get_config()
    parameters = {}
    for task, _, name, _ in Register.get_all_params():
        parameters.setdefault(task, set()).add(name)
    ours = {name for name in parameters if Register.get_task_cls(name).__module__.split(".")[0] in packages}
    for section in config.sections():
        if section in ours:
            for name in set(config.options(section)) - set(config.defaults()):
                if name.replace("-", "_") not in parameters[section]:
                    _refuse(f"[{section}] {name}", name, parameters[section])
                try:
                    config.get(section, name)
                except configparser.InterpolationError:
                    raise InputError(f"configuration file: [{section}] {name}: a % must be written %%.") from None
        elif section not in parameters and section not in LUIGI_SECTIONS:
            _refuse(f"section [{section}]", section, ours)


def preset() -> list[str]:
    """What the file LUIGI_CONFIG_PATH sets of the stages' parameters, as flags; nothing without one."""
    file = luigi.configuration.cfg_parser.LuigiConfigParser()
    file.read([os.environ.get("LUIGI_CONFIG_PATH", "")])
    tasks = {task for task, *_ in Register.get_all_params() if not Register.get_task_cls(task).__module__.startswith("luigi.")}
    places = [(section, name) for section in file.sections() if section in tasks for name in file.options(section)]
    return [f"--{section}-{name.replace('_', '-')}={file.get(section, name)}" for section, name in places]


def _refuse(what: str, name: str, known: set[str]) -> None:
    raise InputError(f"configuration file: {what} is not known; {meant(name, sorted(known))}")


class _Plain(logging.Filter):
    """Shows an InputError's sentence in place of its traceback."""

    def filter(self, record):
        if (error := cause(record.exc_info[1]) if record.exc_info else None) is not None:
            record.msg, record.args, record.exc_info, record.exc_text = str(error), (), None, None
        return True


def _settle_luigi(file: Path) -> None:
    """Luigi's own settings from the project's luigi.cfg, where no other configuration file has them."""
    project = configparser.ConfigParser()
    project.read(file)
    config = luigi.configuration.get_config()
    for section in LUIGI_SECTIONS.intersection(project.sections()):
        for name, value in project.items(section):
            if not config.has_option(section, name):
                config.set(section, name, value)


# Here, because an InputError can come before any task exists; a filter is silent until Luigi logs one.
logging.getLogger("luigi-interface").addFilter(_Plain())
# Luigi reads the luigi.cfg of the folder that it is started in: elsewhere it would look for a server, and end a failure with exit code 0.
_settle_luigi(Path(__file__).parents[2] / "luigi.cfg")
