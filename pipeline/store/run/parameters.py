"""Parameters of stages that refuse impossible values.

The functions that make them are annotated with the type of the values, as `dataclasses.field` is: that is what an instance of a stage has.
"""

import copy
import math
from collections.abc import Callable
from typing import Any, cast

import luigi

from pipeline.errors import InputError


class Checked(luigi.Parameter):
    """A parameter whose values are converted and checked, whether they come from the command line, a configuration file or an override."""

    def __init__(
        self,
        default: Any,
        description: str,
        *,
        convert: Callable[[Any], Any],
        describe: str,
        allowed: Callable[[Any], bool],
    ) -> None:
        """convert: from a text or a value; its ValueError, TypeError and OverflowError count as a refusal. describe: the allowed values."""
        super().__init__(default=default, description=f"{description} ({describe}; default {default})")
        self.convert, self.describe, self.allowed, self.meaning = convert, describe, allowed, description

    def __set_name__(self, owner: type, name: str) -> None:
        if hasattr(luigi.Parameter, "__set_name__"):  # not in every luigi 3
            super().__set_name__(owner, name)
        self.flag = f"--{owner.__name__}-{name.replace('_', '-')}"

    def of(self, owner: type, name: str) -> "Checked":
        """The same parameter for `owner`, which inherits it from a class that is not a task: its messages name the flag of the owner."""
        own = copy.copy(self)
        own.__set_name__(owner, name)
        return own

    def parse(self, text: str) -> Any:
        """The value of a text; InputError, naming the flag, if it is not allowed."""
        return self.normalize(text)

    def normalize(self, value: Any) -> Any:
        """The converted value; InputError, naming the flag, if it is not allowed."""
        try:
            converted = self.convert(value)
            fits = self.allowed(converted)
        except (ValueError, TypeError, OverflowError):
            fits = False
        if not fits:
            raise InputError(f"{self.flag} {value}: must be {self.describe}.")
        return converted

    def serialize(self, value: Any) -> str:
        """The text from which `parse` makes the value."""
        return str(value)


def whole(default: int, description: str, low: int, high: int | None = None) -> int:
    """A parameter for whole numbers of at least `low` and at most `high`."""
    describe = f"a whole number from {low} to {high}" if high is not None else f"a whole number of at least {low}"

    def allowed(value: int) -> bool:
        return value >= low and (high is None or value <= high)

    return cast(int, Checked(default, description, convert=_whole, describe=describe, allowed=allowed))


def real(default: float, description: str, low: float, high: float = math.inf) -> float:
    """A parameter for finite numbers of at least `low` and at most `high`."""
    describe = f"a number from {low} to {high}" if math.isfinite(high) else f"a number of at least {low}"

    def allowed(value: float) -> bool:
        return math.isfinite(value) and low <= value <= high

    return cast(float, Checked(default, description, convert=float, describe=describe, allowed=allowed))


def choice(default: str, description: str, options: tuple[str, ...]) -> str:
    """A parameter for one of several words."""
    checked = Checked(default, description, convert=str, describe=f"one of {', '.join(options)}", allowed=lambda value: value in options)
    return cast(str, checked)


def switch(default: bool, description: str) -> bool:
    """A parameter for True or False, which must be written out on the command line."""
    words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}

    def convert(value: Any) -> bool | None:
        return value if isinstance(value, bool) else words.get(str(value).lower())

    checked = Checked(default, description, convert=convert, describe="True or False", allowed=lambda value: value is not None)
    return cast(bool, checked)


def _whole(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)
