"""The stage that judges labels by nets that were not trained on them. What its `run` needs is imported there."""

import configparser
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from pipeline.data.definition import READER
from pipeline.errors import InputError, meant
from pipeline.experiments.plans import Overrides
from pipeline.store.run.parameters import is_auto, or_usual, whole
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import expanded
from pipeline.store.workspace.called import called
from pipeline.tasks import own
from pipeline.tasks.data import Augment, Load, Render
from pipeline.tasks.kaggle import files, inside
from pipeline.tasks.results import Predict
from pipeline.tasks.sections import dataset, device
from pipeline.tasks.specialist import TrainSpecialist
from pipeline.tasks.training import TrainBase, Training
from pipeline.units import counted, printable

if TYPE_CHECKING:
    from pipeline.quality.suspects import OutOfFold
    from pipeline.results.predictions import Predictions

AS_SET = "none"
# The settings of configs/quick.cfg, which are here because an installed package has no configuration files.
PRESETS: dict[str, Overrides] = {
    "quick": {
        "Augment": {"copies": 6},
        "TrainBase": {"epochs": 6, "warmup": 0.5},
        "TrainSpecialist": {"epochs": 1, "warmup": 0.1, "zoom": 0.8},
    },
    AS_SET: {},
}
# Measured with two cores: how long a training takes besides its epochs, and for a million pixels that its net sees.
START, MILLION_PIXELS = 8.0, 0.27
OWN_SIDE = 160  # pixels of the nets' input for most sets of the user's
ROW = 31_000  # bytes of a face in Kaggle's training table


class Suspects(Stage):
    """Judges each label: how likely it is wrong, and why, by nets that were not trained on its sample and by what other labels suggest."""

    folder = "submissions"
    folds = whole(5, "number of parts of the samples; each is judged by nets that were trained on the others", 2)
    preset = luigi.Parameter(
        "quick",
        significant=False,
        description="settings of the nets: quick (those of configs/quick.cfg), none (those of the run), or a file like those in configs/",
    )
    seed = whole(0, "seed of the mistakes that are made in labels to learn what wrong ones look like", 0)

    def requires(self):
        predict = Predict(overrides=self._settings())
        faces = [chain["faces"] for chain in predict.requires()["chains"]]
        return {"predictions": predict, "faces": faces[0]}

    def _settings(self) -> Overrides:
        """The overrides of the nets. A set with fixed parts has no folds, and one without groups has no specialists."""
        folds = {} if dataset().definition().fixed else {"Predict": {"folds": self.folds}}
        settings = {**_preset(self.preset), **folds}
        return {stage: values for stage, values in settings.items() if stage != "TrainSpecialist" or dataset().groups()}

    def used_modules(self) -> tuple[str, ...]:
        return own.modules()

    def check(self) -> None:
        if fixed := dataset().definition().fixed:
            way = "leave out --dataset-split" if dataset().split else "give a file of --dataset-split that makes all images training images"
            self.say(f"nets judge only the labels of the validation part, because {fixed}. To have all of them judged, {way}.")
        trainings = [stage for stage in self.needed_stages() if isinstance(stage, Training) and not stage.complete()]
        if trainings:
            minutes = max(1, round(_seconds(trainings) / 60))
            self.say(f"{counted(len(trainings), 'training')} will take about {counted(minutes, 'minute')} if nothing else runs")

    def run(self):
        from pipeline.data.dataset import Dataset
        from pipeline.quality import suspects
        from pipeline.results.predictions import Predictions

        faces, held_out = self.input()["faces"].load(Dataset), self.held_out(self.input()["predictions"].load(Predictions))
        found = suspects.suspects(faces, held_out, seed=self.seed)
        convention = importlib.import_module(READER).convention(dataset().definition()) if dataset().is_own else None
        with self.publishing(".csv") as (csv,):
            suspects.write_csv(found, convention, csv)
        self.save(found, siblings=(".csv",))
        told, *first = suspects.lines(found)
        self.say("\n".join([told, *first]))
        self.conclude(result=told)

    @staticmethod
    def held_out(predictions: "Predictions") -> "OutOfFold":
        """What the nets have predicted for samples that they were not trained on."""
        from pipeline.quality.suspects import OutOfFold

        expected = predictions.expected_error
        return OutOfFold(predictions.validation_face, predictions.validation, None if expected is None else expected.validation)

    @property
    def shown(self) -> Path:
        return self.sibling(".csv")

    def closing_words(self) -> dict[str, Any]:
        return {"Suspects": self.shown, "Review": called("keypoints", "review")}


def _preset(name: str) -> Overrides:
    """The overrides that a preset stands for. Raises InputError for a file that cannot be read or sets something else than stages."""
    if name in PRESETS:
        return PRESETS[name]
    path, file = expanded(name, "--Suspects-preset"), configparser.ConfigParser()
    try:
        if not file.read(path, encoding="utf-8-sig"):
            raise InputError(f"--Suspects-preset {name}: there is no such file. Use {', '.join(PRESETS)} or the path of a file.")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise InputError(f"--Suspects-preset {name}: the file cannot be understood: {printable(str(error))}.") from None
    return {section: _values(section, dict(file[section]), name) for section in file.sections()}


def _values(section: str, given: dict[str, str], file: str) -> dict[str, Any]:
    """The values of a section for a stage of Predict."""
    stages = {stage.__name__: stage for stage in (Load, Augment, TrainBase, TrainSpecialist, Predict)}
    if section not in stages:
        raise InputError(f"--Suspects-preset {file}: [{section}] is not one of the stages {', '.join(stages)}. Remove the section.")
    known = dict(stages[section].get_params())
    names = {name: name.replace("-", "_") for name in given}
    if unknown := [name for name, own_name in names.items() if own_name not in known]:
        raise InputError(f"--Suspects-preset {file}: [{section}] {unknown[0]} is not known; {meant(unknown[0], sorted(known))}")
    return {own_name: known[own_name].parse(given[name]) for name, own_name in names.items()}


def _seconds(trainings: list[Training]) -> float:
    """How long these trainings may take on this machine, seconds, if nothing else runs."""
    pixels = sum(_pixels(stage) for stage in trainings)
    return START * len(trainings) + pixels / 1e6 * MILLION_PIXELS * 2 / (device().threads or os.cpu_count() or 1)


def _pixels(stage: Training) -> float:
    """The number of pixels that a net sees in its training."""
    if is_auto(stage, "epochs"):
        return float(stage.budget) * 1e9
    augment = Augment()
    side = OWN_SIDE if is_auto(augment, "side") else augment.least_side()
    return float(or_usual(stage, "epochs", stage.epochs)) * max(_samples(), stage.least()) * side**2


def _samples() -> int:
    """The number of labelled samples, as far as it is known before they are read."""
    if dataset().is_own:
        found = dataset().definition()
        return len(found.labelled) * max(1, len(found.sources))
    if not (folder := dataset().folder()):
        return int(Render().training)
    from pipeline.data.formats import archives

    table = files(folder)["training"]
    return archives.size(inside(Path(table.path), "training")) // ROW if table.complete() else 0
