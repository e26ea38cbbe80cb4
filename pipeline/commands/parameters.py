"""`keypoints parameters`: lists every parameter with its current value, default, range and meaning."""

from typing import Any

import luigi

from pipeline.errors import InputError, meant
from pipeline.store.run.parameters import Checked
from pipeline.store.run.stage import Stage


def run(sections: list[str]) -> int:
    """Prints the parameters of the stages and sections with these names, or of all of them, and returns the exit code 0.

    A star marks the values that a flag or a configuration file has set. Raises InputError for an unknown name.
    """
    import pipeline

    known = {name.lower(): getattr(pipeline, name) for name in pipeline.__all__}
    if unknown := [name for name in sections if name.lower() not in known]:
        raise InputError(f"There is no stage or section {unknown[0]}; {meant(unknown[0], pipeline.__all__)}")
    for task in [known[name.lower()] for name in sections] or known.values():
        summary, *_ = (task.__doc__ or "").splitlines() or [""]
        print(f"\n{task.__name__}: {summary}")
        for name, parameter in task.get_params():
            if not (issubclass(task, Stage) and name == "overrides"):
                _print(task, name, parameter)
    print("\n* set by a flag (--STAGE-parameter VALUE) or a configuration file (in luigi.cfg: [STAGE], parameter = VALUE)")
    return 0


def _print(task: type[luigi.Task], name: str, parameter: "luigi.Parameter[Any]") -> None:
    value, default = _value(task, name, parameter), parameter._default
    allowed, meaning = (parameter.describe, parameter.meaning) if isinstance(parameter, Checked) else ("text", parameter.description)
    star = "*" if value not in (None, default) else " "
    instead = f", default {default}" if star == "*" and default != "" else ""
    print(f" {star} {name:<20} {'' if value is None else value!s:<10}  {meaning} ({allowed}{instead})")


def _value(task: type[luigi.Task], name: str, parameter: "luigi.Parameter[Any]") -> Any:
    """The current value; None for one that each task must be given, such as a specialist's group, and that is not set."""
    try:
        return parameter.task_value(task.__name__, name) if parameter.has_task_value(task.__name__, name) else None
    except InputError:
        if parameter._default != "":
            raise
        return None
