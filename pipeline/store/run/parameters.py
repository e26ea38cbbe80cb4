"""Types of Luigi parameters that check their values."""

import copy
import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import luigi
from luigi.cmdline_parser import CmdlineParser

from pipeline.errors import InputError, near

Value = TypeVar("Value")
Record = TypeVar("Record")

if TYPE_CHECKING:
    _Parameter = luigi.Parameter
else:

    class _Parameter(luigi.Parameter, Generic[Value]):
        """A generic parameter; those of Luigi are not generic in all versions that are supported."""


class Checked(_Parameter[Value]):
    """A parameter whose values are converted and checked wherever they come from: command line, configuration file or override.

    convert: converts a value, which may be a text; raises ValueError, TypeError or OverflowError for an invalid one.
    describe: which values are allowed, completing the sentence "must be ...".
    allowed: whether a converted value is allowed.
    options: the allowed words, if there are only some; a misspelt one is guessed.
    shown: how the description writes the default; empty: as it is.
    advice: a sentence about a value that is not allowed; empty for none.
    """

    def __init__(
        self,
        default: Value,
        description: str,
        *,
        convert: Callable[[Any], Value],
        describe: str,
        allowed: Callable[[Value], bool],
        options: tuple[str, ...] = (),
        shown: str = "",
        advice: Callable[[Any], str] = lambda value: "",
    ):
        self.shown = shown or str(default)
        super().__init__(default=default, description=f"{description} ({describe}; default {self.shown})")
        self.convert, self.describe, self.allowed, self.meaning, self.options = convert, describe, allowed, description, options
        self.advice, self.flag = advice, ""

    def __set_name__(self, owner: type, name: str) -> None:
        if hasattr(luigi.Parameter, "__set_name__"):  # not in all supported versions of Luigi
            super().__set_name__(owner, name)
        self.flag = f"--{owner.__name__}-{name.replace('_', '-')}"

    def of(self, owner: type, name: str) -> "Checked[Value]":
        """A copy for a class that inherits this parameter from a base that is no task: its messages name the flag of `owner`."""
        own = copy.copy(self)
        own.__set_name__(owner, name)
        return own

    def parse(self, text: str) -> Value:
        """The value that a text stands for; see `normalize`."""
        return self.normalize(text)

    def normalize(self, value: Any) -> Value:
        """The converted value. Raises InputError if it is not allowed."""
        try:
            converted = self.convert(value)
            fits = self.allowed(converted)
        except (ValueError, TypeError, OverflowError):
            fits = False
        if not fits:
            guess = near(str(value), self.options)
            end = f"; did you mean {guess}?" if guess else f". {self.advice(value)}".rstrip()
            raise InputError(f"{self.flag} {value}: must be {self.describe}{end}")
        return converted

    def serialize(self, value: Value) -> str:
        """The value as a text."""
        return str(value)

    def effective(self, value: Value) -> Any:
        """What a value stands for, as far as it is known before anything runs; it becomes part of the key."""
        return value


AUTO = "auto"


class Automatic(Checked[Any]):
    """A parameter that is a number, or `auto` to let a stage choose it from its data.

    number: the parameter as it is for numbers; its default is the usual value, which counts if the data choose nothing.
    how: how the data choose, as the rest of the sentence "auto: ...".
    chooses: whether the data choose. If not, `auto` means the usual value, and both have the same key.
    """

    def __init__(self, number: Checked[Any], how: str, chooses: Callable[[], bool]):
        self.usual, self.chooses = number._default, chooses

        def convert(value: Any) -> Any:
            return AUTO if isinstance(value, str) and value.strip().lower() == AUTO else number.convert(value)

        super().__init__(
            AUTO,
            f"{number.meaning}; auto: {how}",
            convert=convert,
            describe=f"auto, or {number.describe}",
            allowed=lambda value: value == AUTO or number.allowed(value),
            options=(AUTO,),
            advice=number.advice,
        )

    def effective(self, value: Any) -> Any:
        """The usual value instead of `auto`, unless the data choose."""
        return self.usual if value == AUTO and not self.chooses() else value


def is_set(task: type[luigi.Task], name: str) -> bool:
    """Whether a flag or a configuration file sets this parameter of a task."""
    parser, config, family = CmdlineParser.get_instance(), luigi.configuration.get_config(), task.__name__
    given = getattr(parser.known_args, f"{family}_{name}", None) if parser else None
    return given is not None or any(config.has_option(family, each) for each in (name, name.replace("_", "-")))


def whole(default: int, description: str, low: int, high: int | None = None) -> Checked[int]:
    """A whole number of at least `low` and, unless that is None, at most `high`."""
    describe = f"a whole number from {low} to {high}" if high is not None else f"a whole number of at least {low}"
    return Checked(default, description, convert=_whole, describe=describe, allowed=lambda v: v >= low and (high is None or v <= high))


def multiple(default: int, description: str, of: int) -> Checked[int]:
    """A whole number that is a multiple of `of` and at least that."""
    return Checked(default, description, convert=_whole, describe=f"a multiple of {of}", allowed=lambda v: v >= of and v % of == 0)


def real(default: float, description: str, low: float, high: float = math.inf) -> Checked[float]:
    """A finite number of at least `low` and at most `high`."""
    describe = f"a number from {low} to {high}" if math.isfinite(high) else f"a number of at least {low}"
    return Checked(default, description, convert=float, describe=describe, allowed=lambda v: math.isfinite(v) and low <= v <= high)


def fraction(default: str, description: str) -> Checked[float]:
    """A length as a fraction of the side of an image, from 0 to 1: a number, or a text such as 8/96. The default is such a text."""
    describe = f"a fraction of the side of the image from 0 to 1, such as {default}"
    options: Any = {"convert": _quotient, "allowed": lambda v: 0 <= v <= 1, "shown": default, "advice": _in_pixels}
    return Checked(_quotient(default), description, describe=describe, **options)


def choice(default: str, description: str, options: tuple[str, ...]) -> Checked[str]:
    """One of several words."""
    describe = f"one of {', '.join(options)}"
    return Checked(default, description, convert=str, describe=describe, allowed=lambda v: v in options, options=options)


def switch(default: bool, description: str) -> Checked[bool]:
    """True or False, written out."""
    return Checked(default, description, convert=_truth, describe="True or False", allowed=lambda v: True)


def _whole(value: Any) -> int:
    """A whole number; ValueError for a float with a fractional part."""
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)


def _quotient(value: Any) -> float:
    """A number, also as a text A/B."""
    above, _, below = str(value).partition("/")
    divisor = float(below or 1)
    if not divisor:
        raise ValueError(value)
    return float(above) / divisor


def _in_pixels(value: Any) -> str:
    """What to give instead of a length in pixels."""
    try:
        return f"{value} is in pixels; give {value}/96 for an image of 96 x 96 pixels." if float(value) > 1 else ""
    except ValueError:
        return ""


def _truth(value: Any) -> bool:
    """True or False; ValueError for any other word."""
    words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
    if isinstance(value, bool):
        return value
    if str(value).lower() not in words:
        raise ValueError(value)
    return words[str(value).lower()]


def from_parameters(kind: type[Record], task: Any, **given: Any) -> Record:
    """An instance of the dataclass `kind`: fields that are not given have the values of the task's parameters of the same names.

    A parameter that is `auto` has its usual value. A field with a default for which the task has no parameter keeps the default.
    """
    fields = [field for field in dataclasses.fields(kind) if field.name not in given]  # type: ignore[arg-type]  # a dataclass
    names = [field.name for field in fields if field.default is dataclasses.MISSING or hasattr(task, field.name)]
    return kind(**given, **{name: or_usual(task, name, getattr(task, name)) for name in names})


def or_usual(task: Any, name: str, value: Any) -> Any:
    """The value of a parameter of a task, or its usual value instead of `auto`."""
    parameter = dict(task.get_params()).get(name) if value == AUTO else None
    return parameter.usual if isinstance(parameter, Automatic) else value


def is_auto(task: Any, name: str) -> bool:
    """Whether the data choose the value of this parameter of a task."""
    parameter = dict(task.get_params())[name]
    return isinstance(parameter, Automatic) and parameter.effective(getattr(task, name)) == AUTO
