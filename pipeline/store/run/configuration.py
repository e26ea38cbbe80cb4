"""The configuration files: names that do not exist are refused, and Luigi's own settings are those of the project."""

import configparser
import logging
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


def settle_luigi() -> None:
    """Luigi prints an InputError as its sentence, and has the settings of the project's luigi.cfg where no other file sets them.

    Luigi reads the luigi.cfg of the folder that it is started in: elsewhere it would look for a server, and end a failure with exit code 0.
    """
    logging.getLogger("luigi-interface").addFilter(_Plain())
    project = configparser.ConfigParser()
    project.read(Path(__file__).parents[3] / "luigi.cfg")
    config = luigi.configuration.get_config()
    for section in LUIGI_SECTIONS.intersection(project.sections()):
        for name, value in project.items(section):
            if not config.has_option(section, name):
                config.set(section, name, value)
