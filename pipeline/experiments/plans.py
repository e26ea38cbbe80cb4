"""An experiment as a TOML file describes it: what is the same in all its trainings, what differs, with which seeds.

name = "optimizers"                       # names the results
question = "Which optimizer learns most in 20 epochs?"
stage = "TrainBase"                       # what is compared: TrainBase, TrainSpecialist:GROUP or Predict
epochs = 20                               # of the trainings that are compared
faces = 1500                              # to train on; left out: all
seeds = [0, 1]

[settings]                                # any parameter of any stage, the same for all
Augment.copies = 20

[grid]                                    # every combination of these
TrainBase.learning_rate = [0.001, 0.003]

[[variations]]                            # each of these, with every combination of the grid
label = "Adam"                            # left out: what differs
TrainBase.optimizer = "adam"

A search has a space in place of grid and variations:

search = "tpe"                            # Optuna's sampler
trials = 30
patience = 5                              # epochs before a hopeless trial may be given up

[space]
TrainBase.learning_rate = {low = 1e-4, high = 1e-2, log = true}
TrainBase.batch = {low = 32, high = 256, step = 32}
TrainBase.optimizer = ["adam", "adamw"]
"""

import itertools
import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError, meant

# The trainings that a stage is compared for: they get the budget of epochs and the seed.
TRAININGS = {"TrainBase": ("TrainBase",), "TrainSpecialist": ("TrainSpecialist",), "Predict": ("TrainBase", "TrainSpecialist")}
NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,60}")
MOST = 1000  # trainings of one file

Overrides = dict[str, dict[str, Any]]  # {STAGE: {parameter: value}}


@dataclass(frozen=True)
class Plan:
    """variations: label -> overrides of one training; stage: STAGE[:group] that is compared; settings: overrides of all.

    space, trials, patience: of a search, which has no variations beforehand.
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

    def overrides(self, own: Overrides, seed: int) -> Overrides:
        """Of a training with a seed that differs from the settings by `own`."""
        return _joined(self.settings, own, {training: {"seed": seed} for training in _trainings(self.stage)})


def read(path: Path) -> Plan:
    """The plan that a TOML file describes; InputError with the file and what is wrong. Parameters are checked by the stages, later."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give --file a TOML file such as configs/experiments/optimizers.toml.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is no TOML: {error}.") from None
    try:
        return _plan(table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _plan(table: dict[str, Any]) -> Plan:
    values = _checked(table)
    _check_seeds(values)
    stage, seeds = values["stage"], tuple(values["seeds"])
    budget = {training: {"epochs": values["epochs"]} for training in _trainings(stage)} if values["epochs"] else {}
    faces = {"Load": {"faces": values["faces"]}} if values["faces"] else {}
    settings = _joined(budget, faces, _by_stage("settings", values["settings"]))
    searched = (
        _search(values) if values["search"] else {"variations": _variations(values, settings), "space": {}, "trials": 0, "patience": 0}
    )
    return Plan(values["name"], values["question"], stage, seeds, settings, **searched)


def _check_seeds(values: dict[str, Any]) -> None:
    tables = [(where, values[where]) for where in ("settings", "grid", "space")] + [("variations", each) for each in values["variations"]]
    for where, table in tables:
        for training in _trainings(values["stage"]):
            if isinstance(table.get(training), dict) and "seed" in table[training]:
                raise InputError(f"{where}: {training}.seed is what seeds stands for; write seeds = [0, 1] in the file's first part.")


def _search(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of the plan of a search."""
    if values["grid"] or values["variations"] != [{}]:
        raise InputError("a search has a space in place of grid and variations.")
    if len(values["seeds"]) > 1:
        raise InputError("a search has one seed.")
    space = _by_stage("space", values["space"])
    if not space:
        raise InputError("a search needs a [space].")
    for stage, parameters in space.items():
        for name, of in parameters.items():
            if not (isinstance(of, list) and of) and not _is_range(of):
                raise InputError(
                    f"space: {stage}.{name} must be a list of values or {{low = ..., high = ...}}, with log = true (low above 0) or with "
                    "step = ... (a whole number between whole numbers)."
                )
    return {"variations": {}, "space": space, "trials": values["trials"], "patience": values["patience"]}


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
    """Label -> what differs from the settings, for each variation with each combination of the grid."""
    points, seeds = list(_grid(values["grid"])), values["seeds"]
    if (trainings := len(points) * len(values["variations"]) * len(seeds)) > MOST:
        raise InputError(f"describes {trainings:,} trainings, more than {MOST:,}; take values out of the grid.")
    labels = [_label(each) for each in values["variations"]]
    own = [_by_stage("variations", {name: value for name, value in each.items() if name != "label"}) for each in values["variations"]]
    differing = [_joined(each, point) for each in own for point in points]
    named = [_joined(*([] if label else [each]), point) for label, each in zip(labels, own, strict=True) for point in points]
    names = _names([label for label in labels for _ in points], [_joined(settings, each) for each in differing], named)
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"has several variations that are called {repeated[0]!r}; give each [[variations]] a label of its own.")
    return dict(zip(names, differing, strict=True))


def _checked(table: dict[str, Any]) -> dict[str, Any]:
    """The file's values, with what it leaves out filled in."""
    kinds = {
        "name": (str, None, "a name of small letters, digits and _", NAME.fullmatch),
        "question": (str, "", "a text", None),
        "stage": (str, "TrainBase", "TrainBase, TrainSpecialist:GROUP or Predict", lambda stage: stage.split(":")[0] in TRAININGS),
        "epochs": (int, 0, "a whole number of at least 1", lambda epochs: epochs > 0),
        "faces": (int, 0, "a whole number of at least 1", lambda faces: faces > 0),
        "seeds": (list, [0], "a list of different whole numbers", _are_seeds),
        "settings": (dict, {}, "a table of STAGE.parameter = value", None),
        "grid": (dict, {}, "a table of STAGE.parameter = [values]", None),
        "search": (str, "", "tpe", lambda sampler: sampler == "tpe"),
        "trials": (int, 30, "a whole number from 1 to 1000", lambda trials: 1 <= trials <= MOST),
        "patience": (int, 5, "a whole number of epochs", lambda epochs: epochs >= 0),
        "space": (dict, {}, "a table of STAGE.parameter = what it may be", None),
        "variations": (list, [{}], "a list of tables, [[variations]]", lambda tables: all(isinstance(t, dict) for t in tables) and tables),
    }
    for name in table:
        if name not in kinds:
            raise InputError(f"{name} is not known; {meant(name, kinds)}")
    for name, (kind, _, describe, fits) in kinds.items():
        value = table.get(name)
        if name in table and (not isinstance(value, kind) or isinstance(value, bool) or (fits and not fits(value))):
            raise InputError(f"{name} must be {describe}, it is {value!r}.")
    if "name" not in table:
        raise InputError('has no name; give it one, such as name = "optimizers".')
    return {name: table.get(name, default) for name, (_, default, _, _) in kinds.items()}


def _are_seeds(values: list) -> bool:
    whole = all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values)
    return bool(values) and whole and len(set(values)) == len(values)


def _grid(grid: dict):
    """Yields the overrides of each combination."""
    axes = [(stage, name, values) for stage, parameters in _by_stage("grid", grid).items() for name, values in parameters.items()]
    for stage, name, values in axes:
        if not isinstance(values, list) or not values:
            raise InputError(f"grid: {stage}.{name} must be a list of values, it is {values!r}.")
    for values in itertools.product(*(values for _, _, values in axes)):
        yield _joined(*({stage: {name: value}} for (stage, name, _), value in zip(axes, values, strict=True)))


def _label(variation: dict) -> str:
    if not isinstance(label := variation.get("label", ""), str):
        raise InputError(f"a label must be a text, it is {label!r}.")
    return label


def _by_stage(where: str, table: dict) -> Overrides:
    for stage, parameters in table.items():
        if not isinstance(parameters, dict):
            raise InputError(f"{where}: {stage} = {parameters!r} names no stage; write STAGE.parameter, such as TrainBase.{stage} = ...")
    return table


def _joined(*overrides: Overrides) -> Overrides:
    """Later ones go first."""
    joined: Overrides = {}
    for each in overrides:
        for stage, values in each.items():
            joined[stage] = {**joined.get(stage, {}), **values}
    return joined


def _trainings(stage: str) -> tuple[str, ...]:
    return TRAININGS[stage.split(":")[0]]


def _names(labels: list[str], everything: list[Overrides], named: list[Overrides]) -> list[str]:
    """What to call each variation: its label, then those of its parameters that differ between variations.

    everything: all overrides of each; named: those that no label stands for.
    """
    flat = [_flat(each) for each in everything]
    differing = [
        place for place in dict.fromkeys(place for each in flat for place in each) if len({repr(each.get(place)) for each in flat}) > 1
    ]
    names = [name for _, name in differing]

    def text(stage: str, name: str, value) -> str:
        return f"{f'{stage} ' if names.count(name) > 1 else ''}{_said(name, value)}"

    def name(label: str, own: dict) -> str:
        said = [text(*place, own[place]) for place in differing if place in own]
        return ", ".join([label, *said] if label else said) or "as set"

    return [name(label, _flat(own)) for label, own in zip(labels, named, strict=True)]


def said(overrides: Overrides) -> str:
    """A training's own parameters for people."""
    return ", ".join(_said(name, value) for (_, name), value in _flat(overrides).items())


def _said(name: str, value: Any) -> str:
    return f"{name.replace('_', ' ')} {f'{value:.3g}' if isinstance(value, float) else value}"


def _flat(overrides: Overrides) -> dict[tuple[str, str], Any]:
    return {(stage, name): value for stage, values in overrides.items() for name, value in values.items()}
