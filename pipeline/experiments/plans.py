"""An experiment as a TOML file describes it: what its trainings have in common, how they differ, and with which seeds.

name = "optimizers"                       # names the results
question = "Which optimizer learns most in 20 epochs?"
stage = "TrainBase"                       # the stage to compare: TrainBase, TrainSpecialist:GROUP or Predict
epochs = 20                               # of each training that is compared
faces = 1500                              # to train on; all if this line is left out
seeds = [0, 1]

[settings]                                # any parameters of any stages, the same in all trainings
Augment.copies = 20

[grid]                                    # every combination of these values
TrainBase.learning_rate = [0.001, 0.003]

[[variations]]                            # each of these, with every combination of the grid
label = "Adam"                            # if left out, the parameters that differ are named
TrainBase.optimizer = "adam"

A search has a space instead of a grid and variations:

search = "tpe"                            # Optuna's sampler
trials = 30
patience = 5                              # epochs before a trial may be stopped early
storage = "journal"                       # lets workers share the trials; or the URL of a database; if left out, one makes them all

[space]
TrainBase.learning_rate = {low = 1e-4, high = 1e-2, log = true}
TrainBase.batch = {low = 32, high = 256, step = 32}
TrainBase.optimizer = ["adam", "adamw"]
"""

import itertools
import math
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import InputError, meant

# The trainings that are compared when a stage is: they get the number of epochs and the seeds.
TRAININGS = {"TrainBase": ("TrainBase",), "TrainSpecialist": ("TrainSpecialist",), "Predict": ("TrainBase", "TrainSpecialist")}
NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,60}")
MOST = 1000  # trainings in one experiment
JOURNAL = "journal"

Overrides = dict[str, dict[str, Any]]  # {STAGE: {parameter: value}}


@dataclass(frozen=True)
class Plan:
    """The trainings of an experiment.

    `stage` is the STAGE[:group] that is compared. `settings` holds the overrides that all trainings share, `variations` those of each
    variation, by its label. `space`, `trials` and `patience` describe a search, which has no variations beforehand. `storage` is where the
    workers of a search by many keep its study: "journal" or the URL of a database; "" for a search by one.
    """

    name: str
    question: str
    stage: str
    seeds: tuple[int, ...]
    settings: Overrides
    variations: dict[str, Overrides]
    space: Overrides
    trials: int
    patience: int
    storage: str = ""

    def overrides(self, own: Overrides, seed: int) -> Overrides:
        """The overrides of the training with this seed that differs from the settings by `own`."""
        return _joined(self.settings, own, {training: {"seed": seed} for training in _trainings(self.stage)})


def read(path: Path) -> Plan:
    """The plan that a TOML file describes.

    Raises InputError with the file and the problem. The names and values of parameters are checked later, by the stages.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give --file a TOML file such as configs/experiments/optimizers.toml.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {_reason(error)}.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from None
    try:
        return _plan(table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _reason(error: Exception) -> str:
    """Why a file cannot be read, in lower case, as far as the operating system says it."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def _plan(table: dict[str, Any]) -> Plan:
    values = _checked(table)
    _check_seeds(values)
    stage, seeds = values["stage"], tuple(values["seeds"])
    budget = {training: {"epochs": values["epochs"]} for training in _trainings(stage)} if values["epochs"] else {}
    faces = {"Load": {"faces": values["faces"]}} if values["faces"] else {}
    settings = _joined(budget, faces, _by_stage("settings", values["settings"]))
    if values["storage"] and not values["search"]:
        raise InputError("Only a search has a storage. Leave it out: the workers of any run share the variations of a grid or a list.")
    searched = (
        _search(values) if values["search"] else {"variations": _variations(values, settings), "space": {}, "trials": 0, "patience": 0}
    )
    return Plan(values["name"], values["question"], stage, seeds, settings, **searched)


def _check_seeds(values: dict[str, Any]) -> None:
    tables = [(where, values[where]) for where in ("settings", "grid", "space")] + [("variations", each) for each in values["variations"]]
    for where, table in tables:
        for training in _trainings(values["stage"]):
            if isinstance(table.get(training), dict) and "seed" in table[training]:
                raise InputError(f"{where}: {training}.seed is set by seeds. Write seeds = [0, 1] in the first part of the file instead.")


def _search(values: dict[str, Any]) -> dict[str, Any]:
    """The fields that a plan has for a search."""
    if values["grid"] or values["variations"] != [{}]:
        raise InputError("A search has a space instead of a grid and variations.")
    if len(values["seeds"]) > 1:
        raise InputError("A search has exactly one seed.")
    space = _by_stage("space", values["space"])
    if not space:
        raise InputError("A search needs a [space].")
    for stage, parameters in space.items():
        for name, of in parameters.items():
            if not (isinstance(of, list) and of) and not _is_range(of):
                raise InputError(
                    f"space: {stage}.{name} must be a list of values or {{low = ..., high = ...}}, with log = true (low above 0) or "
                    "step = ... (a whole number between whole numbers)."
                )
    return {"variations": {}, "space": space, **{name: values[name] for name in ("trials", "patience", "storage")}}


def _is_range(of: Any) -> bool:
    if not isinstance(of, dict) or not {"low", "high"} <= set(of) <= {"low", "high", "log", "step"}:
        return False
    log, numbers = of.get("log", False), [value for name, value in of.items() if name != "log"]
    if not isinstance(log, bool) or not all(isinstance(value, int | float) and math.isfinite(value) for value in numbers):
        return False
    if "step" in of:
        whole = isinstance(of["step"], int) or not (isinstance(of["low"], int) and isinstance(of["high"], int))
        return not log and whole and of["step"] > 0 and of["low"] < of["high"]
    return of["low"] < of["high"] and (of["low"] > 0 or not log)


def _variations(values: dict[str, Any], settings: Overrides) -> dict[str, Overrides]:
    """The differences from the settings of each variation with each combination of the grid, by name."""
    points, seeds = list(_grid(values["grid"])), values["seeds"]
    if (trainings := len(points) * len(values["variations"]) * len(seeds)) > MOST:
        raise InputError(f"The file describes {trainings:,} trainings, but at most {MOST:,} are allowed. Remove values from the grid.")
    labels = [_label(each) for each in values["variations"]]
    own = [_by_stage("variations", {name: value for name, value in each.items() if name != "label"}) for each in values["variations"]]
    differing = [_joined(each, point) for each in own for point in points]
    named = [_joined(*([] if label else [each]), point) for label, each in zip(labels, own, strict=True) for point in points]
    names = _names([label for label in labels for _ in points], [_joined(settings, each) for each in differing], named)
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"Several variations are called {repeated[0]!r}. Give each [[variations]] a label of its own.")
    return dict(zip(names, differing, strict=True))


class Entry(NamedTuple):
    """What a file may say under one name: the type of the value, its default, its description in messages, and what else must hold."""

    kind: type
    default: Any
    description: str
    fits: Callable[[Any], Any] = lambda value: True


def _checked(table: dict[str, Any]) -> dict[str, Any]:
    """The values of the file, with defaults for those that it leaves out."""
    for name in table:
        if name not in ENTRIES:
            raise InputError(f"{name} is unknown; {meant(name, ENTRIES)}")
    for name, entry in ENTRIES.items():
        value = table.get(name)
        if name in table and (not isinstance(value, entry.kind) or isinstance(value, bool) or not entry.fits(value)):
            raise InputError(f"{name} must be {entry.description}, not {value!r}.")
    if "name" not in table:
        raise InputError('The file has no name. Give it one, such as name = "optimizers".')
    return {name: table.get(name, entry.default) for name, entry in ENTRIES.items()}


def _are_seeds(values: list[Any]) -> bool:
    whole = all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values)
    return bool(values) and whole and len(set(values)) == len(values)


def _is_storage(text: str) -> bool:
    return text == JOURNAL or re.fullmatch(r"\w+(\+\w+)?://.+", text) is not None


ENTRIES = {
    "name": Entry(str, None, "a name of lower-case letters, digits and _", NAME.fullmatch),
    "question": Entry(str, "", "text"),
    "stage": Entry(str, "TrainBase", "TrainBase, TrainSpecialist:GROUP or Predict", lambda stage: stage.split(":")[0] in TRAININGS),
    "epochs": Entry(int, 0, "a whole number of at least 1", lambda epochs: epochs > 0),
    "faces": Entry(int, 0, "a whole number of at least 1", lambda faces: faces > 0),
    "seeds": Entry(list, [0], "a list of different whole numbers", _are_seeds),
    "settings": Entry(dict, {}, "a table of STAGE.parameter = value"),
    "grid": Entry(dict, {}, "a table of STAGE.parameter = [values]"),
    "search": Entry(str, "", "tpe", lambda sampler: sampler == "tpe"),
    "trials": Entry(int, 30, "a whole number from 1 to 1000", lambda trials: 1 <= trials <= MOST),
    "patience": Entry(int, 5, "a whole number of epochs", lambda epochs: epochs >= 0),
    "storage": Entry(str, "", 'journal or the URL of a database, such as "postgresql://HOST/NAME"', _is_storage),
    "space": Entry(dict, {}, "a table of STAGE.parameter = values or range"),
    "variations": Entry(list, [{}], "a list of tables, [[variations]]", lambda tables: tables and all(isinstance(t, dict) for t in tables)),
}


def _grid(grid: dict[str, Any]) -> Iterator[Overrides]:
    """Yields the overrides of each combination of the grid's values."""
    axes = [(stage, name, values) for stage, parameters in _by_stage("grid", grid).items() for name, values in parameters.items()]
    for stage, name, values in axes:
        if not isinstance(values, list) or not values:
            raise InputError(f"grid: {stage}.{name} must be a list of values, not {values!r}.")
    for values in itertools.product(*(values for _, _, values in axes)):
        yield _joined(*({stage: {name: value}} for (stage, name, _), value in zip(axes, values, strict=True)))


def _label(variation: dict[str, Any]) -> str:
    if not isinstance(label := variation.get("label", ""), str):
        raise InputError(f"A label must be text, not {label!r}.")
    return label


def _by_stage(where: str, table: dict[str, Any]) -> Overrides:
    """The table as overrides; InputError if something in it does not belong to a stage."""
    for stage, parameters in table.items():
        if not isinstance(parameters, dict):
            raise InputError(f"{where}: {stage} = {parameters!r} does not name a stage; write STAGE.parameter, such as TrainBase.{stage}.")
    return table


def _joined(*overrides: Overrides) -> Overrides:
    """All overrides together; later ones take precedence."""
    joined: Overrides = {}
    for each in overrides:
        for stage, values in each.items():
            joined[stage] = {**joined.get(stage, {}), **values}
    return joined


def _trainings(stage: str) -> tuple[str, ...]:
    return TRAININGS[stage.split(":")[0]]


def _names(labels: list[str], everything: list[Overrides], named: list[Overrides]) -> list[str]:
    """The name of each variation: its label, followed by its parameters that differ between variations.

    `everything` holds all overrides of each variation, `named` those that its label does not stand for.
    """
    flat = [_flat(each) for each in everything]
    differing = [
        place for place in dict.fromkeys(place for each in flat for place in each) if len({repr(each.get(place)) for each in flat}) > 1
    ]
    names = [name for _, name in differing]

    def text(stage: str, name: str, value: Any) -> str:
        return f"{f'{stage} ' if names.count(name) > 1 else ''}{_text(name, value)}"

    def name(label: str, own: dict[tuple[str, str], Any]) -> str:
        texts = [text(*place, own[place]) for place in differing if place in own]
        return ", ".join([label, *texts] if label else texts) or "as set"

    return [name(label, _flat(own)) for label, own in zip(labels, named, strict=True)]


def described(overrides: Overrides) -> str:
    """The overrides in words, such as "batch 32, learning rate 0.001"."""
    return ", ".join(_text(name, value) for (_, name), value in _flat(overrides).items())


def _text(name: str, value: Any) -> str:
    return f"{name.replace('_', ' ')} {f'{value:.3g}' if isinstance(value, float) else value}"


def _flat(overrides: Overrides) -> dict[tuple[str, str], Any]:
    return {(stage, name): value for stage, values in overrides.items() for name, value in values.items()}
