"""A search over parameters with Optuna: which values to try next, and when to stop a training early.

The study is kept in one file, so that an interrupted search can be resumed. Several processes can share a study. What it proposes then
depends on which of them ends first, so such a search cannot be repeated to the byte, though each of its trainings can.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError, Pruned
from pipeline.experiments.plans import JOURNAL, Overrides, Plan
from pipeline.nets.trained import History

if TYPE_CHECKING:
    import optuna

NUMBER = "number"  # attribute of a trial in a shared study: its number, which is that of a stage
STARTUP = 5  # random trials at the beginning, none of which is stopped early


@dataclass
class Proposal:
    """A training to try: its number, counted from 0, its overrides, Optuna's own record of it, and whether that has its result."""

    number: int
    overrides: Overrides
    trial: optuna.trial.Trial
    is_told: bool = False

    def hopeless(self, epoch: int, rmse: float) -> bool:
        """Whether other trainings were better after this epoch, counted from 1. A validation RMSE of NaN is always hopeless."""
        if math.isnan(rmse):
            return True
        self.report(epoch, rmse)
        return bool(self.trial.should_prune())

    def report(self, epoch: int, rmse: float) -> None:
        """Tells Optuna the validation RMSE after an epoch, counted from 1."""
        with warnings.catch_warnings():  # a training that was killed reports an epoch for the second time
            warnings.simplefilter("ignore", UserWarning)
            self.trial.report(rmse, epoch)


class Search:
    """The study of a plan."""

    def __init__(self, plan: Plan, study: optuna.Study):
        self.plan, self.study = plan, study

    def proposals(self) -> Iterator[Proposal]:
        """Yields proposals until the plan's number of trials is reached; the first is the one that an interrupted run left unfinished.

        Call `tell` for each proposal before asking for the next one.
        """
        import optuna

        while unfinished := self.plan.trials - sum(trial.state.is_finished() for trial in self.study.trials):
            running = [trial for trial in self.study.trials if trial.state == optuna.trial.TrialState.RUNNING]
            # Seeded by the number of the trial, so that a resumed study proposes the same values as an undisturbed one.
            self.study.sampler = _sampler(self.plan, self.plan.trials - unfinished)
            trial = optuna.trial.Trial(self.study, running[0]._trial_id) if running else self.study.ask()
            yield Proposal(trial.number, _suggested(trial, self.plan.space), trial)

    def proposal(self, number: int) -> Proposal:
        """The proposal with a number, counted from 0, of a shared study: that of a process that was killed, or else a new one."""
        import optuna

        self.study.sampler = _sampler(self.plan, number, shared=True)
        for known in self.study.trials:
            if known.user_attrs.get(NUMBER) == number:
                if known.state.is_finished():
                    return Proposal(number, _nested(known.params), optuna.trial.Trial(self.study, known._trial_id), is_told=True)
                trial = optuna.trial.Trial(self.study, known._trial_id)
                break
        else:
            trial = self.study.ask()
            trial.set_user_attr(NUMBER, number)
        return Proposal(number, _suggested(trial, self.plan.space), trial)

    def finished(self) -> Iterator[tuple[int, Overrides]]:
        """Yields the number, counted from 0, and the overrides of each trial that has ended."""
        for trial in self.study.trials:
            if trial.state.is_finished():
                yield trial.number, _nested(trial.params)

    def tell(self, proposal: Proposal, ended: str, rmse: float, epochs: Sequence[float] = ()) -> None:
        """Records how a training ended and with which validation RMSE.

        `epochs` holds the validation RMSE after each of its epochs. They are reported here because nobody watches a training whose artifact
        already exists.
        """
        from optuna.trial import TrialState

        if proposal.is_told:
            return
        for epoch, value in enumerate(epochs, 1):
            if not math.isnan(value):
                proposal.report(epoch, value)
        if ended == "done":
            self.study.tell(proposal.trial, float(rmse))
        else:
            self.study.tell(proposal.trial, state=TrialState.PRUNED if ended == "pruned" else TrialState.FAIL)


def stopping(hopeless: Callable[[int, float], bool]) -> Callable[[History], None]:
    """A function to call with the history after each epoch; it raises Pruned when `hopeless(epoch, validation RMSE)` is true."""

    def watch(history: History) -> None:
        epoch, rmse = int(history.epoch[-1]), float(history.validation_rmse[-1])
        if hopeless(epoch, rmse):
            raise Pruned(f"The training was stopped after epoch {epoch}, because others were better.", history)

    return watch


def replay(history: History, watch: Callable[[History], None]) -> None:
    """Calls `watch` as during the training of this history, so that a search does not depend on which artifacts already exist."""
    for epochs in range(1, len(history.epoch) + 1):
        watch(History.of(history.rows()[:epochs]))


def opened(plan: Plan, path: Path) -> Search:
    """The study in a file, which is created if it does not exist. Only one process may use it at a time.

    Raises InputError if Optuna is not installed.
    """
    _check_optuna()
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    path.parent.mkdir(parents=True, exist_ok=True)
    # Optuna removes the lock of a killed process after 30 seconds.
    return _study(plan, plan.name, JournalFileBackend(str(path), JournalFileOpenLock(str(path))))


def shared(plan: Plan, path: Path) -> Search:
    """The study of a plan with a storage, which any number of processes may use at a time; it is created if it does not exist.

    path: the file of a journal; its name without the suffix is the name of the study. Its lock is a symbolic link, which also works where
    locks of files are not shared between hosts.

    Raises InputError if Optuna is not installed, or if the database cannot be used.
    """
    _check_optuna()
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    if plan.storage == JOURNAL:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _study(plan, path.stem, JournalFileBackend(str(path), JournalFileSymlinkLock(str(path))))
    try:
        return _study(plan, path.stem, optuna.storages.RDBStorage(plan.storage))
    except Exception as error:  # of SQLAlchemy, of the driver of the database, or an ImportError for a driver
        kind, _, place = plan.storage.partition("://")
        why = str(error).partition("\n")[0]
        # A message must not show the password that a URL may contain.
        raise InputError(
            f"storage {kind}://{place.rpartition('@')[2]} cannot be used: {why.replace(plan.storage, 'the URL')}. Check the URL, or write"
            f' storage = "{JOURNAL}".'
        ) from None


def _check_optuna() -> None:
    """Raises InputError if Optuna is not installed; otherwise Optuna prints only warnings from now on."""
    try:
        import optuna
    except ImportError:
        raise InputError(
            'A search needs Optuna. Install it: pip install "optuna>=4.3", or -e ".[search]" in the folder of the project.'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _study(plan: Plan, name: str, storage: Any) -> Search:
    """The study of this name. storage: of Optuna, or the backend of a journal."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    kept = optuna.storages.JournalStorage(storage) if isinstance(storage, JournalFileBackend) else storage
    pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=plan.patience + 1)
    return Search(plan, optuna.create_study(storage=kept, study_name=name, pruner=pruner, load_if_exists=True))


def _sampler(plan: Plan, number: int, *, shared: bool = False) -> optuna.samplers.BaseSampler:
    """shared: whether other trials may be running, near which no new one should be proposed."""
    import optuna

    seed = 1000 * plan.seeds[0] + number
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed, constant_liar=shared)


def _suggested(trial: optuna.trial.Trial, space: Overrides) -> Overrides:
    """The value that the trial proposes for each parameter of the space."""
    return {stage: {name: _suggest(trial, f"{stage}.{name}", of) for name, of in values.items()} for stage, values in space.items()}


def _nested(params: dict[str, Any]) -> Overrides:
    """The values of STAGE.parameter, grouped by stage."""
    nested: Overrides = {}
    for place, value in params.items():
        stage, name = place.split(".")
        nested.setdefault(stage, {})[name] = value
    return nested


def _suggest(trial: optuna.trial.Trial, name: str, of: list[Any] | dict[str, Any]) -> Any:
    if isinstance(of, list):
        return trial.suggest_categorical(name, of)
    whole = isinstance(of["low"], int) and isinstance(of["high"], int)
    suggest = trial.suggest_int if whole else trial.suggest_float
    step = {"step": of["step"]} if "step" in of else {}
    return suggest(name, of["low"], of["high"], log=of.get("log", False), **step)
