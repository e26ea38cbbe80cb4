"""The configuration files: unknown names are refused, and settings of Luigi itself default to those of the project."""

import configparser
import logging
import os
from pathlib import Path
from typing import NoReturn

import luigi
from luigi.task_register import Register

from pipeline.errors import InputError, cause, meant

# Sections that Luigi reads without declaring a Config class, including those of its contributed modules.
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


def check_configuration(*packages: str) -> None:
    """Raises InputError for mistakes that Luigi would ignore: a missing preset, a misspelt section, or a misspelt key.

    packages: the packages whose tasks are checked.
    """
    preset = os.environ.get("LUIGI_CONFIG_PATH")
    if preset and not Path(preset).is_file():
        raise InputError(f"LUIGI_CONFIG_PATH: {preset} does not exist.")
    config = luigi.configuration.get_config()
    parameters: dict[str, set[str]] = {}
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
                    raise InputError(f"configuration file: [{section}] {name}: a percent sign must be written as %%.") from None
        elif section not in parameters and section not in LUIGI_SECTIONS:
            _refuse(f"section [{section}]", section, ours)


def preset() -> list[str]:
    """The parameters of stages that the file LUIGI_CONFIG_PATH sets, as flags; empty without such a file."""
    file = luigi.configuration.cfg_parser.LuigiConfigParser()
    file.read([os.environ.get("LUIGI_CONFIG_PATH", "")])
    tasks = {task for task, *_ in Register.get_all_params() if not Register.get_task_cls(task).__module__.startswith("luigi.")}
    places = [(section, name) for section in file.sections() if section in tasks for name in file.options(section)]
    return [f"--{section}-{name.replace('_', '-')}={file.get(section, name)}" for section, name in places]


def _refuse(what: str, name: str, known: set[str]) -> NoReturn:
    raise InputError(f"configuration file: {what} is not known; {meant(name, sorted(known))}")


class _Plain(logging.Filter):
    """Replaces the traceback of an InputError by its message."""

    def filter(self, record: logging.LogRecord) -> bool:
        if (error := cause(record.exc_info[1]) if record.exc_info else None) is not None:
            record.msg, record.args, record.exc_info, record.exc_text = str(error), (), None, None
        return True


def settle_luigi() -> None:
    """Makes Luigi print an InputError as a sentence, and applies the project's luigi.cfg where no other file sets a value.

    Luigi reads only the luigi.cfg of the current folder. Elsewhere it would look for a server and return exit code 0 after a failure.
    """
    logging.getLogger("luigi-interface").addFilter(_Plain())
    project = configparser.ConfigParser()
    project.read(Path(__file__).parents[3] / "luigi.cfg")
    config = luigi.configuration.get_config()
    for section in LUIGI_SECTIONS.intersection(project.sections()):
        for name, value in project.items(section):
            if not config.has_option(section, name):
                config.set(section, name, value)
