"""Tasks around the chain: experiments that compare many trainings. Wiring only, as in `tasks`."""

import functools
import math
from pathlib import Path

import luigi
from luigi.task import flatten

from pipeline.errors import Ended, InputError, Pruned
from pipeline.experiments import plans
from pipeline.keypointset import KAGGLE
from pipeline.store import runlog, unfinished
from pipeline.store.settings import whole
from pipeline.store.stage import Stage
from pipeline.store.targets import ExternalFile, workspace_root
from pipeline.tasks import Load, Predict, Structured, TrainBase, Training, TrainSpecialist, device, from_parameters


def _compared(address: str, overrides: dict) -> Stage:
    """The stage STAGE[:group] under these overrides."""
    name, _, group = address.partition(":")
    if name == "TrainSpecialist":
        return TrainSpecialist(group=group, overrides=overrides)
    return {"TrainBase": TrainBase, "Predict": Predict}[name](overrides=overrides)


def _make(task: luigi.Task) -> None:
    """What Luigi does for a task that was asked for: first what it requires."""
    if not task.complete():
        for needed in flatten(task.deps()):
            _make(needed)
        task.run()


class Trial(Stage):
    """What became of one training, whether it has a result or not."""

    stage = luigi.Parameter(description="the stage, as STAGE[:group]")

    @property
    def identity(self):
        return (self.stage.lower().replace(":", "-"),)

    @functools.cached_property
    def compared(self) -> Stage:
        return _compared(self.stage, self.overrides)

    def families(self):
        return {self.task_family} | self.compared.families()

    def requires(self):
        return self.compared.requires()

    def inputs(self):
        return {**super().inputs(), self.compared.address: self.compared}

    def run(self):
        from pipeline.experiments import outcomes

        try:
            self.compared.run()
        except Ended as end:
            rmse, history, ended = math.nan, end.history, end.ending
            unfinished.drop(self.compared.path)
        else:
            rmse, history, ended = *self._result(), "done"
        self.save(outcomes.outcome(ended, rmse, history, self.compared.key, self.to_str_params()["overrides"]))

    def _result(self) -> tuple:
        """RMSE and history of what was compared."""
        from pipeline.nets.trained import Trained
        from pipeline.results.submission import Predictions

        if isinstance(self.compared, Predict):
            return self.compared.output().load(Predictions).rmse, None
        trained = self.compared.output().load(Trained)
        return trained.rmse, trained.history

    def watched_by(self, hopeless) -> None:
        """Gives the training up when hopeless(epoch, validation RMSE) says so."""
        from pipeline.nets.trained import History

        rows = []

        def watch(epoch: int, training_rmse: float, validation_rmse: float) -> None:
            rows.append((epoch, training_rmse, validation_rmse, math.nan))
            if hopeless(epoch, validation_rmse):
                raise Pruned(f"Given up after epoch {epoch}: others were better.", History.of(rows))

        self.compared.watch = watch


class Experiment(Stage):
    """Trains the variations that a file describes, or searches, and compares them: a table, a CSV, a figure."""

    file = luigi.Parameter("", significant=False, description="TOML file that describes it, such as configs/experiments/optimizers.toml")

    @functools.cached_property
    def plan(self) -> plans.Plan:
        return plans.read(Path(self.file))

    @property
    def identity(self):
        return (self.plan.name,)

    def trial(self, own: plans.Overrides, seed: int) -> Trial:
        try:
            return Trial(stage=self.plan.stage, overrides=self.plan.overrides(own, seed))
        except InputError as error:
            raise InputError(f"{self.file}: {error}") from None

    def requires(self):
        trials = [[self.trial(own, seed) for seed in self.plan.seeds] for own in self.plan.variations.values()]
        return {"file": ExternalFile(path=self.file), "trials": trials}

    def inputs(self):
        """Of a search: what its trainings would be without what it looks for."""
        searched = {"settings": self.trial({}, self.plan.seeds[0])} if self.plan.space else {}
        return {**super().inputs(), **searched}

    def run(self):
        from pipeline.experiments import outcomes
        from pipeline.results import comparison, style

        trials = self._searched() if self.plan.space else dict(zip(self.plan.variations, self.requires()["trials"], strict=True))
        found = [[trial.output().load(outcomes.Outcome) for trial in row] for row in trials.values()]
        log = runlog.made(workspace_root() / "models")
        seconds = [[log.get(trial.compared.key, {}).get("seconds", math.nan) for trial in row] for row in trials.values()]
        content = outcomes.compare(self.plan, list(trials), found, seconds)
        with self.publishing(".csv", ".png") as (table, picture):
            outcomes.table(content).to_csv(table, index=False, float_format="%.4f")
            style.save_png(comparison.compared(content), picture)
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
            study.tell(proposal, str(outcome.ended), float(outcome.rmse))
        for number, own in study.finished():
            trials[f"{number + 1}: {plans.said(own)}"] = [self.trial(own, self.plan.seeds[0])]
        return trials

    def closing_words(self):
        return {"Table": self.sibling(".csv"), "Curves": self.sibling(".png")}


class Sanity(Structured, Training, Stage):
    """Checks that a fresh net and its training can do what they must: learn faces by heart, the mean face without seeing, and the like."""

    patience = patience_factor = improvement = snapshots = None  # no parameters of this stage: it trains to the end
    epochs = whole(50, "epochs of learning a few faces by heart, of 8 steps each", 1)
    batch = whole(32, "faces in a training step, where there are many", 1)

    def requires(self):
        return {"faces": Load()}

    def run(self):
        from pipeline.faces import dataset as datasets
        from pipeline.nets import device as devices

        self.say(f"trains on {devices.prepare(seed=self.seed, threads=device().threads)}")
        from pipeline.nets import sanity, training

        faces = self.input()["faces"].load(datasets.Dataset)
        labels = datasets.labels(faces)
        trial = sanity.Trial(
            sanity.build(self.structure(faces, None), KAGGLE),
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
