"""Stages from trained nets to a submission and a report. What their `run` needs is imported there: libraries take seconds to start."""

import importlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.data.definition import READER
from pipeline.errors import InputError
from pipeline.store.run.parameters import AUTO, is_auto, is_set, or_usual, real, whole
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import ExternalFile, workspace_root
from pipeline.store.workspace.called import called
from pipeline.tasks import own
from pipeline.tasks.data import Load, LoadTest
from pipeline.tasks.devices import OnDevices
from pipeline.tasks.own import suited
from pipeline.tasks.sections import dataset, device
from pipeline.tasks.specialist import TrainSpecialist
from pipeline.tasks.training import TrainBase
from pipeline.units import printable

if TYPE_CHECKING:
    from pipeline.data.testset import UnlabelledSamples
    from pipeline.inference.ensemble import ChainPredictions
    from pipeline.results.error_scale import Normalise
    from pipeline.results.predictions import Predictions
    from pipeline.results.report import RunRecords
    from pipeline.store.workspace.console import Progress


# The windows of an own set's specialists show finer detail than its base net sees, whose predictions would make the mean worse.
OWN_BASE_SHARE = 0.0
HELD_OUT = "heldout.csv"  # the table of the held-out samples of an own set


def _chain(overrides: dict) -> dict:
    """A base net, its specialists and the samples that they are trained on, all under the same overrides."""
    specialists = {group: TrainSpecialist(group=group, overrides=overrides) for group in dataset().groups()}
    return {"faces": Load(overrides=overrides), "base": TrainBase(overrides=overrides), "specialists": specialists}


def share_of(value: Any) -> float:
    """The weight of the base net that a value of `Predict.base_share` in a key stands for, where `auto` is left only for own sets."""
    return OWN_BASE_SHARE if value == AUTO else float(value)


class LearningCurves(Stage):
    """The learning curves of the base net and the specialists (RMSE over epochs), as arrays and as a picture."""

    companion = True

    @property
    def shown(self) -> Path:
        return self.sibling(".png")

    def requires(self):
        return {"base": TrainBase(), **{group: TrainSpecialist(group=group) for group in dataset().groups()}}

    def run(self):
        from pipeline.nets.trained import Trained
        from pipeline.results import curves, style

        nets = {name: artifact.load(Trained) for name, artifact in self.input().items()}
        content, unit = curves.curves(nets), curves.stored_pixels(nets["base"]) if dataset().is_own else curves.PIXELS
        with self.publishing(".png") as (picture,):
            style.save_png(curves.learning_curves(content, unit), picture)
        self.save(content, siblings=(".png",))


class Predict(OnDevices, Stage):
    """Predicts the test samples, as a table or as a submission to Kaggle, and the validation samples, to compare them with their labels."""

    folder = "submissions"
    folds = whole(1, "number of chains of nets, each with another part of the samples held out; the prediction is their mean", 1)
    base_share = suited(
        real(0.33, "weight of the base net in the mean of its prediction and the specialist's; 0: only the specialist", 0.0, 1.0), "0"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.folds > 1 and (fixed := dataset().definition().fixed):
            raise InputError(
                f"--Predict-folds {self.folds} holds out each of {self.folds} parts of the samples in turn, but {fixed}. Leave it out."
            )
        if self.folds > 1 and (chosen := self._chosen_split()):
            raise InputError(
                f"--Predict-folds {self.folds} holds out each of {self.folds} parts of the samples in turn, so {' and '.join(chosen)} would"
                " have no effect. Leave out one or the other."
            )

    def _chosen_split(self) -> list[str]:
        """What the user has set that each fold replaces: the share and the number of the part that is held out."""
        overrides = self.overrides.get("Load", {})
        parameters = {name: parameter for name, parameter in Load.get_params() if name in ("validation_share", "fold")}
        chosen = {name: parameter.task_value("Load", name) for name, parameter in parameters.items() if is_set(Load, name)}
        chosen |= {name: overrides[name] for name in parameters if name in overrides}
        if round(1 / chosen.get("validation_share", 1.0)) == self.folds:
            del chosen["validation_share"]  # it says the same
        return [f"--Load-{name.replace('_', '-')} {value:g}" for name, value in chosen.items()]

    def requires(self):
        companions = [LearningCurves(overrides=overrides) for overrides in self.variations()]
        sizes = {"sizes": ExternalFile(path=self._normalise()["file"])} if "file" in self._normalise() else {}
        chains = [_chain(overrides) for overrides in self.variations()]
        return {"chains": chains, "test": LoadTest(), "companions": companions, **sizes}

    def variations(self) -> list[dict]:
        """The overrides of each fold's chain."""
        if self.folds == 1:
            return [{}]
        return [{"Load": {"validation_share": 1 / self.folds, "fold": fold}} for fold in range(self.folds)]

    @property
    def shown(self) -> Path:
        return self.sibling(".csv")

    @property
    def stem(self) -> str:
        if dataset().is_own:
            return "predictions"
        return "submission" if dataset().folder() else "submission-rendered"

    def used_modules(self) -> tuple[str, ...]:
        return (*own.modules(), *super().used_modules())

    def facts(self) -> dict[str, Any]:
        """The groups of an own set, by which the scores are divided, and the length by which errors are divided."""
        if not dataset().is_own or not dataset().groups():
            return {}
        normalise = {name: value for name, value in self._normalise().items() if name != "file"}
        return {"groups": dataset().keypointset().groups, **({"normalise": normalise} if normalise else {})}

    def _normalise(self) -> dict[str, Any]:
        """What errors are divided by, apart from pixels, as keypoints.toml says."""
        return dict(dataset().definition().settings.get("normalise", {}))

    def _lengths(self) -> "Normalise":
        """The same with the values of the file that it may name, read."""
        from pipeline.results.error_scale import Normalise

        if not dataset().is_own:
            return Normalise()
        return Normalise(*importlib.import_module(READER).normalise(dataset().definition()))

    def run(self):
        from pipeline.data.testset import UnlabelledSamples
        from pipeline.nets import device as devices

        self.say(f"predicts on {devices.prepare(seed=0, threads=device().threads)}")
        from pipeline.results import predictions

        test = self.input()["test"].load(UnlabelledSamples)
        with self.progress(self.folds * (1 + len(dataset().groups())), "net") as progress:
            chains = [self._chain_predictions(chain, test, progress) for chain in self.input()["chains"]]
        self._publish(predictions.predictions(test, dataset().keypointset(), chains, self._lengths()))

    def _publish(self, content: "Predictions") -> None:
        """Writes the tables and the artifact, and reports the scores."""
        from pipeline.results import metric_text, predictions, reliability

        self.save(content, siblings=self._publish_own(content) if dataset().is_own else self._publish_submission(content))
        self.say("\n" + predictions.table(content))
        self.say(" ".join(reliability.sentences(content)))
        figures = {name: float(getattr(content, name)) for name in ("rmse", "rmse_base", "rmse_mean_face")}
        beside = f"base net {content.rmse_base:.3f}, mean shape {content.rmse_mean_face:.3f}"
        more = "" if content.metrics is None else f"; {metric_text.headline(content.metrics)}"
        self.conclude(result=f"validation RMSE {content.rmse:.3f} px ({beside}){more}", **figures)

    def _publish_submission(self, content: "Predictions") -> tuple[str, ...]:
        """Publishes the submission to Kaggle; returns the suffix of its file."""
        from pipeline.results import submission

        with self.publishing(".csv") as (csv,):
            submission.write_csv(csv, *content.submission)
        return (".csv",)

    def _publish_own(self, content: "Predictions") -> tuple[str, ...]:
        """Publishes the tables of an own set; returns the suffix and the name of their files."""
        from pipeline.results import placed

        convention, names = importlib.import_module(READER).convention(dataset().definition()), (".csv", HELD_OUT)
        with self.publishing(*names) as (csv, beside):
            placed.write_csv(csv, placed.predicted(content, convention))
            placed.write_csv(beside, placed.held_out(content, convention, self._lengths()))
        if not len(content.test):
            self.say(f"there are no images to predict; the predictions for held-out samples are in {self.sibling(HELD_OUT)}")
        return names

    def _chain_predictions(self, chain: dict, test: "UnlabelledSamples", progress: "Progress") -> "ChainPredictions":
        """What one chain predicts for the test samples, and for the samples that it has held out."""
        from pipeline.data.dataset import Dataset
        from pipeline.inference import confidence, ensemble, prediction
        from pipeline.nets.trained import Trained

        faces = chain["faces"].load(Dataset)
        nets = [artifact.load(Trained) for artifact in (chain["base"], *chain["specialists"].values())]
        tests = prediction.predict_chain(progress.over(nets), test.images, test.source, faces.keypointset.restored())
        predicted = ensemble.chain_predictions(faces, nets, tests, base_share=self.share)
        return confidence.with_confidence(predicted, nets[0], faces, test) if dataset().is_own else predicted

    @property
    def share(self) -> float:
        """The weight of the base net in the mean."""
        return share_of(AUTO if is_auto(self, "base_share") else or_usual(self, "base_share", self.base_share))

    def closing_words(self) -> dict[str, Any]:
        curves = ", ".join(str(companion.shown) for companion in self.requires()["companions"])
        faces = dataset().folder() or "drawn by the program (for your own files, use --dataset-path)"
        look = called("keypoints", "status")
        if dataset().is_own:
            place, held_out = dataset().definition().root, self.sibling(HELD_OUT)
            return {"Set": place, "Learning curves": curves, "Predictions": self.shown, "Held out": held_out, "Look inside": look}
        return {"Faces": faces, "Learning curves": curves, "Submission": self.shown, "Look inside": look}


PAGE_FILES = ("report.html", "report.css", "report.js", "parts.html")


def _place() -> str:
    """Where the samples of an own set come from, in words; "" for others."""
    found = dataset().definition()
    return f"{printable(Path(found.root).name)}, labels in the format {found.format}" if dataset().is_own else ""


class Report(Stage):
    """One HTML page to send to a colleague: accuracy, samples with predictions, data, nets, and what was run."""

    folder = "submissions"
    faces = whole(6, "number of samples to show of each kind", 1, 24)

    def requires(self):
        predict = Predict(overrides=self.overrides)
        chains = predict.requires()["chains"]
        nets = {"base": chains[0]["base"], **chains[0]["specialists"]}
        # An edit of these files makes another page.
        styles = {name: ExternalFile(path=str(Path(__file__).parents[1] / "results" / name)) for name in PAGE_FILES}
        faces = [chain["faces"] for chain in chains]
        test, versions = predict.requires()["test"], nets["base"].requires()["copies"]
        return {"predictions": predict, "faces": faces, "test": test, "nets": nets, "copies": versions, "styles": styles}

    def facts(self) -> dict[str, Any]:
        """The name of an own set, and the lines that drawings of it show."""
        if not dataset().is_own or not dataset().groups():
            return {}
        keypointset = dataset().keypointset()
        return {"name": keypointset.name, "skeleton": keypointset.skeleton}

    def run(self):
        from pipeline.results import report

        records = self._records()
        with self.publishing(".html") as (page,), self.progress(len(report.PARTS), "part") as progress:
            page.write_text(report.page(records, progress.add), encoding="utf-8")
        self.save(records.scores, views=(".html",))
        self.conclude(result=f"validation RMSE {records.predictions.rmse:.3f} px")

    def _records(self) -> "RunRecords":
        """The records that the page shows."""
        from pipeline.results import report, scores

        predictions, data_sets, test, nets, versions = self._loaded()
        content = scores.scores(predictions, data_sets, test, shown=self.faces)
        findings, snapshots = self._training_records(nets)
        keypointset = dataset().keypointset()
        return report.RunRecords(
            content,
            predictions,
            data_sets,
            test,
            versions,
            nets,
            self._provenance(),
            findings,
            snapshots,
            notes=dataset().definition().notes,
            chosen=self._chosen(data_sets[0], nets),
            skeleton=keypointset.skeleton,
            title=keypointset.name,
        )

    def _chosen(self, data, nets):
        """How an own set was divided, and what the stages of the first chain chose from its data and why, in sentences."""
        division = () if data.notes is None else data.notes.tolist()
        stages = self.requires()
        found = {"Augment": stages["copies"].sentences(data)}
        found |= {stage.address: stage.sentences(nets[name], data) for name, stage in stages["nets"].items()}
        return (*division, *(f"{title}: {sentence}." for title, sentences in found.items() for sentence in sentences))

    def _loaded(self):
        """The predictions, the data sets of the chains, the test samples, the first chain's nets by name, versions of one sample."""
        from pipeline.data.dataset import Dataset
        from pipeline.data.testset import UnlabelledSamples
        from pipeline.geometry.augmentation import AugmentedVersions
        from pipeline.nets.trained import Trained
        from pipeline.results import gallery
        from pipeline.results.predictions import Predictions

        inputs = self.input()
        data_sets = [artifact.load(Dataset) for artifact in inputs["faces"]]
        nets = {name: artifact.load(Trained) for name, artifact in inputs["nets"].items()}
        with inputs["copies"].reading(AugmentedVersions) as file:
            versions = gallery.example_versions(file, data_sets[0], 2 * self.faces - 1)
        return inputs["predictions"].load(Predictions), data_sets, inputs["test"].load(UnlabelledSamples), nets, versions

    def _training_records(self, nets):
        """What the checks of the training of each net found, and the snapshots of the base net or None."""
        from pipeline.nets import diagnosis
        from pipeline.nets.trained import Snapshots

        findings = {name: diagnosis.findings(net.history, net.health) for name, net in nets.items()}
        return findings, self.requires()["nets"]["base"].partials.published_snapshots(Snapshots)

    def _provenance(self):
        """What the page was made from, with the durations and the device that the run log knows."""
        from pipeline.results import run_summary
        from pipeline.store.hdf5 import artifacts
        from pipeline.store.workspace import runlog

        stages, log, predict = self.ancestors(), runlog.made(workspace_root() / "models"), self.requires()["predictions"]
        return run_summary.provenance(
            [run_summary.stage_run(stage.address, stage.key, stage.settings, log.get(stage.key, {})) for stage in stages],
            files={
                name: digest for stage in stages if isinstance(stage, Load | LoadTest) for name, digest in stage.provenance["files"].items()
            },
            versions=artifacts.attributes(predict.path)["versions"],
            chains=predict.folds,
            adopted=list(self.adopted),
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            preset=Path(os.environ.get("LUIGI_CONFIG_PATH", "")).name,
            faces=_place(),
        )

    @property
    def shown(self) -> Path:
        return self.sibling(".html")

    def closing_words(self) -> dict[str, Any]:
        return {"Report": self.shown}
