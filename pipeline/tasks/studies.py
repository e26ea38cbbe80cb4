"""Tasks around the chain: experiments that compare many trainings. Wiring only, as in `tasks`."""

import contextlib
import dataclasses
import functools
import json
import math
from pathlib import Path

import luigi
from luigi.task import flatten

from pipeline.errors import Ended, InputError, Pruned
from pipeline.experiments import plans
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.store.keys import recipe
from pipeline.store.run.parameters import whole
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import ExternalFile, workspace_root
from pipeline.store.workspace import partials, runlog
from pipeline.tasks.data import Load
from pipeline.tasks.results import Predict
from pipeline.tasks.sections import device, from_parameters
from pipeline.tasks.training import Learning, Structured, TrainBase, Training, TrainSpecialist


def _compared(address: str, overrides: dict) -> Stage:
    """The stage STAGE[:group] under these overrides."""
    name, _, group = address.partition(":")
    if name == "TrainSpecialist":
        return TrainSpecialist(group=group, overrides=overrides)
    return {"TrainBase": TrainBase, "Predict": Predict}[name](overrides=overrides)


def _make(task: luigi.Task) -> None:
    """What Luigi does for a task that was asked for: first what it requires. A training that ends without a result leaves nothing."""
    if not task.complete():
        for needed in flatten(task.deps()):
            _make(needed)
        try:
            task.run()
        except Ended:
            partials.drop(task.path)
            raise


class Trial(Stage):
    """What became of one training and of those that it needs, whether they have a result or not."""

    stage = luigi.Parameter(description="the stage, as STAGE[:group]")
    search = luigi.Parameter("", description="key of the search that may give it up; empty: none may")
    _watch = None

    @property
    def identity(self):
        return (self.stage.lower().replace(":", "-"),)

    @functools.cached_property
    def compared(self) -> Stage:
        return _compared(self.stage, self.overrides)

    def families(self):
        return {self.task_family} | self.compared.families()

    @property
    def trainings(self) -> list[Stage]:
        """Those whose time is told: a prediction's are all that it needs, a training is its own."""
        return [stage for stage in self.compared.chain() if isinstance(stage, Training)] if self._predicts else [self.compared]

    @property
    def _predicts(self) -> bool:
        return isinstance(self.compared, Predict)

    def requires(self):
        """What the trainings begin with, but none of them: they may end without a result."""
        needed = flatten([stage.requires() for stage in self.compared.chain() if isinstance(stage, Training)])
        return list({task.task_id: task for task in needed if not isinstance(task, Training)}.values())

    def inputs(self):
        return {**super().inputs(), self.compared.address: self.compared}

    def run(self):
        from pipeline.experiments import outcomes
        from pipeline.nets.trained import History

        there, self.compared.watch = self.compared.complete(), self._watch
        try:
            _make(self.compared)
            rmse, history = self._result()
            if there and self._watch:  # as if it ran now: what was there before changes no search
                for epochs in range(1, len(history.epoch) + 1):
                    self._watch(History.of(history.rows()[:epochs]))
            ended = "done"
        except Ended as end:
            own = all(stage.complete() for stage in self.compared.inputs().values())
            rmse, history, ended = math.nan, end.history if own else None, end.ending
        finally:
            self.compared.watch = None  # Luigi has one task of equal parameters, in whatever it takes part
        self.save(outcomes.outcome(ended, rmse, history, self.compared.key, self.to_str_params()["overrides"]))

    def _result(self) -> tuple:
        """RMSE and history of what was compared."""
        from pipeline.nets.trained import Trained
        from pipeline.results.predictions import Predictions

        if self._predicts:
            return self.compared.output().load(Predictions).rmse, None
        trained = self.compared.output().load(Trained)
        return trained.rmse, trained.history

    def watched_by(self, hopeless) -> None:
        """Gives the training up when hopeless(epoch, validation RMSE) says so."""

        def watch(history) -> None:
            epoch, rmse = int(history.epoch[-1]), float(history.validation_rmse[-1])
            if hopeless(epoch, rmse):
                raise Pruned(f"Given up after epoch {epoch}: others were better.", history)

        if not self._predicts:
            self._watch = watch


class Experiment(Stage):
    """Trains the variations that a file describes, or searches, and compares them: a table, a CSV, a figure."""

    file = luigi.Parameter("", significant=False, description="TOML file that describes it, such as configs/experiments/optimizers.toml")

    @functools.cached_property
    def plan(self) -> plans.Plan:
        return plans.read(Path(self.file))

    @property
    def identity(self):
        return (self.plan.name,)

    @functools.cached_property
    def _search(self) -> str:
        """Key of the search: one for more trials is the same, and begins with the same ones. Empty: the plan has none."""
        return recipe.key(dataclasses.asdict(dataclasses.replace(self.plan, question="", trials=0))) if self.plan.space else ""

    def trial(self, own: plans.Overrides, seed: int) -> Trial:
        try:
            return Trial(stage=self.plan.stage, search=self._search, overrides=self.plan.overrides(own, seed))
        except InputError as error:
            raise InputError(f"{self.file}: {error}") from None

    def requires(self):
        trials = [[self.trial(own, seed) for seed in self.plan.seeds] for own in self.plan.variations.values()]
        # A search makes its trials one by one, but the files that they need must be there from the start.
        chain = self.trial({}, self.plan.seeds[0]).chain() if self.plan.space else []
        brought = [file for stage in chain for file in flatten(stage.requires()) if isinstance(file, ExternalFile)]
        return {"file": ExternalFile(path=self.file), "trials": trials, "brought": brought}

    def inputs(self):
        """Of a search: what its trainings would be without what it looks for."""
        searched = {"settings": self.trial({}, self.plan.seeds[0])} if self.plan.space else {}
        return {**super().inputs(), **searched}

    def chain(self):
        """Also what its trials compared."""
        trials = flatten(self.requires()["trials"]) or self._tried()
        stages = [*(stage for trial in trials for stage in (*trial.compared.chain(), trial)), self]
        return list({stage.task_id: stage for stage in stages}.values())

    def _tried(self) -> list[Trial]:
        """The trials of the search that are there."""
        from pipeline.experiments import outcomes
        from pipeline.store.hdf5 import artifacts
        from pipeline.store.workspace import names

        found = []
        for path in names.artifacts(workspace_root() / self.folder, self.trial({}, self.plan.seeds[0]).stem):
            with contextlib.suppress(artifacts.Damaged, ValueError):
                if artifacts.attributes(path).get("made_from", {}).get("parameters", {}).get("search") == self._search:
                    overrides = json.loads(str(artifacts.load(path, outcomes.Outcome).overrides))
                    found.append(Trial(stage=self.plan.stage, search=self._search, overrides=overrides))
        return found

    def run(self):
        from pipeline.experiments import outcomes
        from pipeline.results import experiment_figure, style

        trials = self._searched() if self.plan.space else dict(zip(self.plan.variations, self.requires()["trials"], strict=True))
        found = [[trial.output().load(outcomes.Outcome) for trial in row] for row in trials.values()]
        log = runlog.made(workspace_root() / "models")
        seconds = [
            [sum(log.get(training.key, {}).get("seconds", math.nan) for training in trial.trainings) for trial in row]
            for row in trials.values()
        ]
        content = outcomes.compare(self.plan, list(trials), found, seconds)
        with self.publishing(".csv", ".png") as (table, picture):
            outcomes.table(content).to_csv(table, index=False, float_format="%.4f")
            style.save_png(experiment_figure.compared(content), picture)
        self.save(content, siblings=(".csv", ".png"))
        self.say("\n" + outcomes.text(content))

    def _searched(self) -> dict[str, list[Trial]]:
        """The trials of the search, by what they tried."""
        from pipeline.experiments import outcomes, search

        study, trials = search.opened(self.plan, self.sibling(".study")), {}
        for proposal in study.proposals():
            trial = self.trial(proposal.overrides, self.plan.seeds[0])
            trial.watched_by(proposal.hopeless)
            _make(trial)
            outcome = trial.output().load(outcomes.Outcome)
            study.tell(proposal, str(outcome.ended), float(outcome.rmse), outcome.history.validation_rmse.tolist())
        for number, own in study.finished():
            trials[f"{number + 1}: {plans.described(own)}"] = [self.trial(own, self.plan.seeds[0])]
        return trials

    def closing_words(self):
        return {"Table": self.sibling(".csv"), "Curves": self.sibling(".png")}


class Sanity(Structured, Learning, Stage):
    """Checks that a fresh net and its training can do what they must: learn faces by heart, the mean face without seeing, and the like."""

    epochs = whole(50, "epochs of learning a few faces by heart, of 8 steps each", 1)
    batch = whole(32, "faces in a training step, where there are many", 1)

    def requires(self):
        return {"faces": Load()}

    def run(self):
        from pipeline.data import dataset as datasets
        from pipeline.nets import device as devices

        self.say(f"trains on {devices.prepare(seed=self.seed, threads=device().threads)}")
        from pipeline.nets import sanity, training

        faces = self.input()["faces"].load(datasets.Dataset)
        labels = datasets.labels(faces)
        trial = sanity.Setup(
            sanity.build(self.structure(faces), KAGGLE, side=faces.images.shape[-1]),
            from_parameters(training.Recipe, self, patience=0, patience_factor=0.0, improvement=0.0),
            KAGGLE,
            sanity.chosen(faces, labels, held_out=False, seed=self.seed),
            sanity.chosen(faces, labels, held_out=True, seed=self.seed),
            faces.mean_face,
            self.seed,
        )
        checks = []
        for check in sanity.run(trial, self.epochs):
            self.say(sanity.text(check))
            checks.append(check)
        self.save(sanity.record(checks))
        failed = [check.name for check in checks if not check.passed]
        self.conclude(result=f"{len(checks) - len(failed)} of {len(checks)} checks passed{': not ' if failed else ''}{', '.join(failed)}")
