"""Tasks outside the chain: comparisons of many trainings, and checks that a net can learn. What their `run` needs is imported there."""

import contextlib
import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi
from luigi.task import flatten

from pipeline.errors import Ended, InputError
from pipeline.experiments import plans
from pipeline.store.keys import provenance
from pipeline.store.run.keyed import per_build
from pipeline.store.run.parameters import multiple, whole
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import ExternalFile, workspace_root
from pipeline.store.workspace import partials, runlog
from pipeline.tasks.data import Load
from pipeline.tasks.devices import WithDevices
from pipeline.tasks.learning import Learning, Structured
from pipeline.tasks.results import Predict
from pipeline.tasks.sections import dataset, device
from pipeline.tasks.specialist import TrainSpecialist
from pipeline.tasks.training import TrainBase, Training

if TYPE_CHECKING:
    from pipeline.nets.sanity import Setup
    from pipeline.nets.trained import History


def _compared(address: str, overrides: plans.Overrides) -> Stage:
    """The stage STAGE[:group] under these overrides."""
    name, _, group = address.partition(":")
    if name == "TrainSpecialist":
        return TrainSpecialist(group=group, overrides=overrides)
    return {"TrainBase": TrainBase, "Predict": Predict}[name](overrides=overrides)


def _run_with_inputs(task: Any) -> None:
    """Runs a task after everything that it requires, as Luigi does. A training that ends without a result leaves no partial files."""
    if not task.complete():
        for needed in flatten(task.deps()):
            _run_with_inputs(needed)
        try:
            task.run()
        except Ended:
            partials.drop(task.path)
            raise


class Trial(WithDevices, Stage):
    """The outcome of one training, or of all trainings of a prediction, whether they have a result or not."""

    stage = luigi.Parameter(description="the stage, as STAGE[:group]")
    search = luigi.Parameter("", description="key of the search that may stop the training early; empty: none")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watch: Callable[[History], None] | None = None

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.stage.lower().replace(":", "-"),)

    @per_build
    def compared(self) -> Stage:
        """The stage whose outcome this is."""
        return _compared(self.stage, self.overrides)

    def families(self) -> set[str]:
        return {self.task_family} | self.compared.families()

    @property
    def trainings(self) -> list[Stage]:
        """The stages whose durations count: for a prediction all trainings that it needs, for a training only itself."""
        return self._needed_trainings if isinstance(self.compared, Predict) else [self.compared]

    @property
    def _needed_trainings(self) -> list[Stage]:
        return [stage for stage in self.compared.needed_stages() if isinstance(stage, Training)]

    def requires(self) -> list[luigi.Task]:
        """What the trainings start from, but none of the trainings, because they may end without a result."""
        needed = flatten([stage.requires() for stage in self._needed_trainings])
        return list({task.task_id: task for task in needed if not isinstance(task, Training)}.values())

    def inputs(self) -> dict[str, Stage]:
        return {**super().inputs(), self.compared.address: self.compared}

    def run(self) -> None:
        from pipeline.experiments import outcomes

        try:
            rmse, history = self._result()
            ended = "done"
        except Ended as end:
            # The history of a base net is not that of its specialist.
            own = all(stage.complete() for stage in self.compared.inputs().values())
            rmse, history, ended = math.nan, end.history if own else None, end.ending
        self.save(outcomes.outcome(ended, rmse, history, self.compared.key, self.to_str_params()["overrides"]))

    def _result(self) -> "tuple[float, History | None]":
        """RMSE and history of the compared stage, which is run unless its artifact exists."""
        from pipeline.experiments.search import replay
        from pipeline.nets.trained import Trained
        from pipeline.results.predictions import Predictions

        existed = self.compared.complete()
        with self._watched():
            _run_with_inputs(self.compared)
        if not isinstance(self.compared, Training):
            return float(self.compared.output().load(Predictions).rmse), None
        trained = self.compared.output().load(Trained)
        if existed and self._watch:
            replay(trained.history, self._watch)
        return float(trained.rmse), trained.history

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Lets the search watch the training. Luigi shares tasks of equal parameters, so the watch is removed afterwards."""
        if not isinstance(self.compared, Training):
            yield
            return
        self.compared.watch = self._watch
        try:
            yield
        finally:
            self.compared.watch = None

    def watched_by(self, hopeless: Callable[[int, float], bool] | None) -> None:
        """Stops the training early when `hopeless(epoch, validation RMSE)` is true. A prediction is never stopped."""
        from pipeline.experiments.search import stopping

        self._watch = stopping(hopeless) if hopeless and isinstance(self.compared, Training) else None


class Planned:
    """What the stages of an experiment share: the file that describes it, and its trials."""

    file = luigi.Parameter("", significant=False, description="TOML file that describes it, such as configs/experiments/optimizers.toml")

    @per_build
    def plan(self) -> plans.Plan:
        """What the file describes. Raises InputError if there is no file, or if it cannot be used."""
        if not self.file:
            raise InputError("Experiment needs --file, a TOML file that describes it, such as configs/experiments/optimizers.toml.")
        return plans.read(Path(self.file))

    @property
    def identity(self) -> tuple[str, ...]:
        """The name of the experiment."""
        return (self.plan.name,)

    @per_build
    def _search(self) -> str:
        """The key of the search, or "" if there is none. A search for more trials has the same key and starts with the same trials."""
        if not self.plan.space:
            return ""
        searched = dataclasses.asdict(dataclasses.replace(self.plan, question="", trials=0))
        # Where the study of a search by many is does not matter, and a URL may contain a password.
        return provenance.key({**searched, "storage": True} if searched.pop("storage") else searched)

    def trial(self, own: plans.Overrides, seed: int) -> Trial:
        """The trial with this seed that differs from the settings by `own`; InputError, naming the file, for unusable parameters."""
        try:
            return Trial(stage=self.plan.stage, search=self._search, overrides=self.plan.overrides(own, seed))
        except InputError as error:
            raise InputError(f"{self.file}: {error}") from None


class SearchTrial(Planned, WithDevices, Stage):
    """One trial of a search by many workers: what the search proposes when a worker takes it, and the outcome."""

    number = luigi.IntParameter(description="number of the trial, from 0; Experiment gives it")

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.plan.name, f"{self.number + 1}")

    @property
    def priority(self) -> int:  # type: ignore[override]  # Luigi takes a property, too
        """The first trials begin first."""
        return -self.number

    def facts(self) -> dict[str, Any]:
        """The search that it belongs to."""
        return {"search": self._search}

    def requires(self) -> list[luigi.Task]:
        """What the trainings of all trials start from, unless the search varies it."""
        return self.trial({}, self.plan.seeds[0]).requires()

    def inputs(self) -> dict[str, Stage]:
        """Those of a trial with the settings that all trials share."""
        return {**super().inputs(), "settings": self.trial({}, self.plan.seeds[0])}

    def run(self) -> None:
        from pipeline.experiments import outcomes, search

        study = search.shared(self.plan, self.path.with_name(f"search-{self.plan.name}-{self._search}.study"))
        proposal = study.proposal(self.number)
        trial = self.trial(proposal.overrides, self.plan.seeds[0])
        trial.watched_by(None if proposal.is_told else proposal.hopeless)
        _run_with_inputs(trial)
        outcome = trial.output().load(outcomes.Outcome)
        study.tell(proposal, str(outcome.ended), float(outcome.rmse), outcome.history.validation_rmse.tolist())
        self.save(outcome)
        self.conclude(result=f"{plans.described(proposal.overrides)}: {outcome.ended}, validation RMSE {outcome.rmse:.3f} px")


class Experiment(Planned, WithDevices, Stage):
    """Trains the variations that a file describes, or searches for the best one, and compares them in a table and a figure."""

    def _check_unit(self) -> None:
        """Raises InputError if the RMSEs of the trials would have different units."""
        varied = [self.plan.space, *self.plan.variations.values()]
        if dataset().is_own and self.plan.stage != "Predict" and any("side" in own.get("Load", {}) for own in varied):
            raise InputError(
                f"{self.file}: the RMSE of {self.plan.stage} is in pixels of the samples, whose size Load.side changes. Compare the stage"
                ' Predict, whose RMSE is in pixels of the original images: stage = "Predict".'
            )

    def requires(self) -> dict[str, Any]:
        self._check_unit()
        trials = [[self.trial(own, seed) for seed in self.plan.seeds] for own in self.plan.variations.values()]
        # A search makes its trials one by one, but the files that they need must exist from the start.
        chain = self.trial({}, self.plan.seeds[0]).needed_stages() if self.plan.space else []
        brought = [file for stage in chain for file in flatten(stage.requires()) if isinstance(file, ExternalFile)]
        return {"file": ExternalFile(path=self.file), "trials": trials, "brought": brought, "searched": self._shared_trials()}

    def _shared_trials(self) -> list[SearchTrial]:
        """The trials of a search by many workers."""
        return [SearchTrial(file=self.file, number=number) for number in range(self.plan.trials)] if self.plan.storage else []

    def inputs(self) -> dict[str, Stage]:
        """The trials; for a search, a trial with the settings that all its trials share."""
        searched = {"settings": self.trial({}, self.plan.seeds[0])} if self.plan.space else {}
        return {**super().inputs(), **searched}

    def needed_stages(self) -> list[Stage]:
        """The stages that this one needs, those that its trials compare, and itself, each once, inputs first."""
        trials = flatten(self.requires()["trials"]) or self._tried()
        made = (stage for trial in trials for stage in (*trial.compared.needed_stages(), trial))
        stages: list[Stage] = [*made, *self._shared_trials(), self]
        return list({stage.task_id: stage for stage in stages}.values())

    def _tried(self) -> list[Trial]:
        """The trials of the search whose artifacts exist."""
        from pipeline.experiments.outcomes import Outcome
        from pipeline.store.hdf5 import artifacts
        from pipeline.store.workspace import names

        found = []
        for path in names.artifacts(workspace_root() / self.folder, self.trial({}, self.plan.seeds[0]).stem):
            with contextlib.suppress(artifacts.Damaged, ValueError):
                if artifacts.attributes(path).get("made_from", {}).get("parameters", {}).get("search") == self._search:
                    overrides = json.loads(str(artifacts.load(path, Outcome).overrides))
                    found.append(Trial(stage=self.plan.stage, search=self._search, overrides=overrides))
        return found

    def run(self) -> None:
        from pipeline.experiments import outcomes
        from pipeline.results import experiment_figure, style

        trials = self._searched() if self.plan.space else dict(zip(self.plan.variations, self.requires()["trials"], strict=True))
        found = [[trial.output().load(outcomes.Outcome) for trial in row] for row in trials.values()]
        content = outcomes.compare(self.plan, list(trials), found, _seconds(trials.values()))
        with self.publishing(".csv", ".png") as (table, picture):
            outcomes.write_csv(content, table)
            style.save_png(experiment_figure.compared(content), picture)
        self.save(content, siblings=(".csv", ".png"))
        self.say("\n" + outcomes.text(content))

    def _searched(self) -> dict[str, list[Trial]]:
        """Runs the search, unless its trials have been made as stages; returns its trials by name."""
        from pipeline.experiments import outcomes, search

        if self.plan.storage:
            return self._found_by_many()
        study = search.opened(self.plan, self.sibling(".study"))
        for proposal in study.proposals():
            trial = self.trial(proposal.overrides, self.plan.seeds[0])
            trial.watched_by(proposal.hopeless)
            _run_with_inputs(trial)
            outcome = trial.output().load(outcomes.Outcome)
            study.tell(proposal, str(outcome.ended), float(outcome.rmse), outcome.history.validation_rmse.tolist())
        named = {f"{number + 1}: {plans.described(own)}": own for number, own in study.finished()}
        return {name: [self.trial(own, self.plan.seeds[0])] for name, own in named.items()}

    def _found_by_many(self) -> dict[str, list[Trial]]:
        """The trials of a search by many workers, by name."""
        from pipeline.experiments.outcomes import Outcome

        found = {}
        for number, artifact in enumerate(self.input()["searched"], start=1):
            every, space = json.loads(str(artifact.load(Outcome).overrides)), self.plan.space
            own = {stage: {name: every[stage][name] for name in names} for stage, names in space.items()}
            found[f"{number}: {plans.described(own)}"] = [self.trial(own, self.plan.seeds[0])]
        return found

    def closing_words(self) -> dict[str, Any]:
        return {"Table": self.sibling(".csv"), "Curves": self.sibling(".png")}


def _seconds(trials: Iterable[list[Trial]]) -> list[list[float]]:
    """The durations of the trials according to the run log; NaN where it has none."""
    log = runlog.made(workspace_root() / "models")
    return [[sum(log.get(stage.key, {}).get("seconds", math.nan) for stage in trial.trainings) for trial in row] for row in trials]


class Sanity(Structured, Learning, Stage):
    """Checks that a fresh net and its training work: that it can memorise a few samples, learns nothing from grey images, and the like."""

    epochs = whole(50, "number of epochs of memorising a few samples, of 8 steps each", 1)
    batch = whole(32, "number of samples in a training step, for checks on many samples", 1)
    side = multiple(96, "largest width and height in pixels of the net's input, to which larger samples are reduced", 16)

    def requires(self) -> dict[str, luigi.Task]:
        return {"faces": Load()}

    def run(self) -> None:
        from pipeline.nets import device as devices

        self.say(f"trains on {devices.prepare(seed=self.seed, threads=device().threads)}")
        from pipeline.nets import sanity

        checks = []
        for check in sanity.run(self._setup(), self.epochs):
            self.say(sanity.text(check))
            checks.append(check)
        self.save(sanity.tabulated(checks))
        failed = [check.name for check in checks if not check.passed]
        passed = f"{len(checks) - len(failed)} of {len(checks)} checks passed"
        self.conclude(result=f"{passed}; failed: {', '.join(failed)}" if failed else passed)

    def _setup(self) -> "Setup":
        """The net, the recipe and the samples of the checks. The trainings run to the end, so the recipe has no patience."""
        from pipeline.data import dataset as datasets
        from pipeline.geometry import affine, frame
        from pipeline.nets import sanity
        from pipeline.nets.samples import Labelled

        faces = self.input()["faces"].load(datasets.Dataset)
        keypointset = faces.keypointset.restored()
        side = frame.frame_side(faces.images.shape[1], self.side)
        scale = side / faces.images.shape[1]
        labelled = Labelled(affine.resized(faces.images, side), datasets.labels(faces) * scale, faces.source, faces.validation)
        return sanity.Setup(
            sanity.build(self.structure(faces), keypointset, side=side),
            self.recipe(self.network, side, side, patience=0, patience_factor=0.0, improvement=0.0),
            keypointset,
            sanity.part_of(labelled, held_out=False, seed=self.seed),
            sanity.part_of(labelled, held_out=True, seed=self.seed),
            faces.mean_face * scale,
            self.seed,
        )

    def _largest_side(self) -> int:
        return self.side
