"""A search over parameters by Optuna: what to try next, when to give a training up. The study lies in one file and can be gone on with."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.experiments.plans import Overrides, Plan

STARTUP = 5  # trials at random, of which none is given up


@dataclass
class Proposal:
    """A training to try; `trial` is Optuna's."""

    number: int
    overrides: Overrides
    trial: Any

    def hopeless(self, epoch: int, rmse: float) -> bool:
        """Whether others were better at this epoch, counted from 1; NaN is."""
        if math.isnan(rmse):
            return True
        self.report(epoch, rmse)
        return bool(self.trial.should_prune())

    def report(self, epoch: int, rmse: float) -> None:
        with warnings.catch_warnings():  # an epoch may be reported once more, by a training that was killed
            warnings.simplefilter("ignore", UserWarning)
            self.trial.report(rmse, epoch)


class Search:
    """The study of a plan."""

    def __init__(self, plan: Plan, study):
        self.plan, self.study = plan, study

    def proposals(self) -> Iterator[Proposal]:
        """One after the other until the plan's trials are done; first the one that an interrupted run left. Tell each one's end."""
        import optuna

        while unfinished := self.plan.trials - sum(trial.state.is_finished() for trial in self.study.trials):
            running = [trial for trial in self.study.trials if trial.state == optuna.trial.TrialState.RUNNING]
            # Seeded by the trial's number: a study that is gone on with proposes what an undisturbed one does.
            self.study.sampler = _sampler(self.plan, self.plan.trials - unfinished)
            trial = optuna.trial.Trial(self.study, running[0]._trial_id) if running else self.study.ask()
            yield Proposal(trial.number, _suggested(trial, self.plan.space), trial)

    def finished(self) -> Iterator[tuple[int, Overrides]]:
        """Number, from 0, and overrides of each trial that has ended."""
        for trial in self.study.trials:
            if trial.state.is_finished():
                yield trial.number, _nested(trial.params)

    def tell(self, proposal: Proposal, ended: str, rmse: float, epochs: list[float] = ()) -> None:
        """epochs: the validation RMSE after each, as far as it went; also of a training that is not watched, because it was there."""
        from optuna.trial import TrialState

        for epoch, value in enumerate(epochs, 1):
            if not math.isnan(value):
                proposal.report(epoch, value)
        if ended == "done":
            self.study.tell(proposal.trial, float(rmse))
        else:
            self.study.tell(proposal.trial, state=TrialState.PRUNED if ended == "pruned" else TrialState.FAIL)


def opened(plan: Plan, path: Path) -> Search:
    """The study in a file, a new one where there is none. One process at a time. InputError where Optuna is not installed."""
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise InputError('A search needs Optuna: pip install "optuna>=4.0", or -e ".[search]" in the project\'s folder.') from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path), _NoLock()))
    pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=plan.patience + 1)
    return Search(plan, optuna.create_study(storage=storage, study_name=plan.name, pruner=pruner, load_if_exists=True))


class _NoLock:
    """The file has one writer: the stage holds a lock of its own. Optuna's would outlive a kill."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _sampler(plan: Plan, number: int):
    import optuna

    return optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=1000 * plan.seeds[0] + number)


def _suggested(trial, space: Overrides) -> Overrides:
    """The trial's value for each parameter of the space."""
    return {stage: {name: _suggest(trial, f"{stage}.{name}", of) for name, of in values.items()} for stage, values in space.items()}


def _nested(params: dict[str, Any]) -> Overrides:
    """{STAGE.parameter: value} by stage."""
    nested: Overrides = {}
    for place, value in params.items():
        stage, name = place.split(".")
        nested.setdefault(stage, {})[name] = value
    return nested


def _suggest(trial, name: str, of: list | dict):
    if isinstance(of, list):
        return trial.suggest_categorical(name, of)
    whole = isinstance(of["low"], int) and isinstance(of["high"], int)
    suggest = trial.suggest_int if whole else trial.suggest_float
    step = {"step": of["step"]} if "step" in of else {}
    return suggest(name, of["low"], of["high"], log=of.get("log", False), **step)
