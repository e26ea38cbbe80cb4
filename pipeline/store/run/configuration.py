"""The configuration files: unknown names are refused, and settings of Luigi itself default to those of the project."""

import atexit
import configparser
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import luigi
from luigi.task_register import Register

from pipeline import environment
from pipeline.errors import InputError, cause, meant
from pipeline.store.workspace import console

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


# What the project sets of Luigi itself, unless a configuration file sets it otherwise.
LUIGI_SETTINGS = {
    # Do not use a server: Luigi would try to reach one on localhost:8082 for a minute. The stages print their own progress, so Luigi adds
    # only warnings and errors.
    "core": {"local_scheduler": "true", "autoload_range": "false", "log_level": "WARNING"},
    # A stage that leaves no artifact counts as failed, even if its run ended without an error. A worker of a shared run that has nothing to
    # do asks again after one to two seconds.
    "worker": {"check_complete_on_run": "true", "wait_jitter": "1"},
    # The exit codes that Luigi recommends. Without them, luigi exits with 0 after a failed stage.
    "retcode": {
        "already_running": "10",
        "missing_data": "20",
        "not_run": "25",
        "task_failed": "30",
        "scheduling_error": "35",
        "unhandled_exception": "40",
    },
}


def check_configuration(*packages: str) -> None:
    """Raises InputError for mistakes that Luigi would ignore: a missing preset, a misspelt section, or a misspelt key.

    Only the preset and the files of the current folder are checked. The files of the whole machine may belong to other projects.

    packages: the packages whose tasks are checked.
    """
    preset = os.environ.get("LUIGI_CONFIG_PATH")
    if preset and not Path(preset).is_file():
        raise InputError(f"LUIGI_CONFIG_PATH: {preset} {'is not a file' if Path(preset).exists() else 'does not exist'}.")
    parameters: dict[str, set[str]] = {}
    for task, _, name, _ in Register.get_all_params():
        parameters.setdefault(task, set()).add(name)
    ours = {name: known for name, known in parameters.items() if Register.get_task_cls(name).__module__.split(".")[0] in packages}
    for file in environment.configuration_files(shared=False):
        for section, name, line in environment.entries(file):
            if section in ours and name and name.replace("-", "_") not in ours[section]:
                _refuse(f"{file}, line {line}: [{section}] {name}", name, ours[section])
            if section not in parameters and section not in LUIGI_SECTIONS:
                _refuse(f"{file}, line {line}: section [{section}]", section, ours)
    check_values(ours)


def check_values(sections: Iterable[str]) -> None:
    """Raises InputError for a value in one of these sections that refers to something that does not exist."""
    config = luigi.configuration.get_config()
    if not isinstance(config, configparser.ConfigParser):
        return
    for section in set(config.sections()).intersection(sections):
        for name in config.options(section):
            try:
                config.get(section, name)
            except luigi.configuration.cfg_parser.InterpolationMissingEnvvarError:
                value = config.get(section, name, raw=True)
                raise InputError(f"configuration file: [{section}] {name} = {value}: there is no such variable.") from None
            except configparser.InterpolationError:
                raise InputError(f"configuration file: [{section}] {name}: a percent sign must be written as %%.") from None


def preset() -> list[str]:
    """The parameters of stages that the file LUIGI_CONFIG_PATH sets, as flags; empty without such a file."""
    file, path = luigi.configuration.cfg_parser.LuigiConfigParser(), os.environ.get("LUIGI_CONFIG_PATH", "")
    file.read([path] if not path.endswith(".toml") else [], encoding="utf-8-sig")
    tasks = {task for task, *_ in Register.get_all_params() if not Register.get_task_cls(task).__module__.startswith("luigi.")}
    places = [(section, name) for section in file.sections() if section in tasks for name in file.options(section)]
    return [f"--{section}-{name.replace('_', '-')}={file.get(section, name)}" for section, name in places]


def _refuse(what: str, name: str, known: Iterable[str]) -> NoReturn:
    raise InputError(f"{what} is not known; {meant(name, sorted(known))}")


class _Plain(logging.Filter):
    """Replaces the traceback of an InputError by its message, and escapes what a terminal would not show."""

    def filter(self, record: logging.LogRecord) -> bool:
        if (error := cause(record.exc_info[1]) if record.exc_info else None) is not None:
            record.msg, record.args, record.exc_info, record.exc_text = str(error), (), None, None
        record.msg, record.args = console.escaped(record.getMessage()), ()
        return True


# What names a server of Luigi's, as flags without "--" and as names in section [core].
SERVER = ("scheduler_host", "scheduler_port", "scheduler_url")


def use_server() -> None:
    """Lets Luigi ask the server that a flag or a file names. Otherwise the project's own setting, to use none, would win."""
    luigi.configuration.get_config().set("core", "local_scheduler", "false")


def _names_server() -> bool:
    """Whether the preset or a file of the current folder names a server. Those of the whole machine may belong to other projects."""
    places = [place for file in environment.configuration_files(shared=False) for place in environment.entries(file)]
    return any(section == "core" and name.replace("-", "_").removeprefix("default_") in SERVER for section, name, _ in places)


def check_luigis_own() -> None:
    """Raises InputError for settings of Luigi's own that would end it with a traceback before any task exists."""
    config = luigi.configuration.get_config()
    log = str(config.get("core", "logging_conf_file", "") or "")
    if log and not Path(log).is_file():
        raise InputError(f"configuration file: [core] logging_conf_file = {log}: there is no such file. Correct the path.")
    if isinstance(config, configparser.ConfigParser) and config.has_section("resources"):
        for name, value in config.items("resources", raw=True):
            if not re.fullmatch(r"\s*-?\d+\s*", value):
                raise InputError(f"configuration file: [resources] {name} = {value}: must be a whole number.")


def settle_luigi() -> None:
    """Makes Luigi print an InputError as a sentence, and applies `LUIGI_SETTINGS` where no configuration file sets a value.

    Luigi's own lock is always off. It is a file named after the command line, in a temporary folder that all users share, and each stage
    has a lock of its own.
    """
    logging.getLogger("luigi-interface").addFilter(_Plain())
    atexit.register(console.settle)
    config = luigi.configuration.get_config()
    if _names_server() and not config.has_option("core", "local_scheduler"):
        use_server()
    for section, values in LUIGI_SETTINGS.items():
        for name, value in values.items():
            if not config.has_option(section, name):
                config.set(section, name, value)
    config.set("core", "no_lock", "true")
