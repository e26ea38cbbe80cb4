"""Parameters that refuse what makes no sense, and a check of the configuration files for names that do not exist."""

import copy
import math

import luigi

from pipeline.errors import InputError


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
