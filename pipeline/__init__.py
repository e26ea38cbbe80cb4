"""Keypoints in any set of labelled images: `luigi --module pipeline Predict --dataset-path FOLDER`.

The built-in example is Kaggle's facial keypoints: training.csv, test.csv, IdLookupTable.csv. Without a set, Render draws synthetic faces
and writes the same files.

  Load             reads, checks and splits the samples    data/load-KEY.h5
  LoadTest         reads and checks the images to predict  data/loadtest-KEY.h5
  Augment          creates augmented versions              data/augment-KEY.h5
  TrainBase        trains one net for all keypoints        models/trainbase-KEY.h5
  TrainSpecialist  trains one net per specialist group     models/trainspecialist-GROUP-KEY.h5
  LearningCurves   plots the RMSE over the epochs          models/learningcurves-KEY.h5, .png
  Predict          predicts the keypoints of the test set  submissions/predictions-KEY.h5, .csv; of Kaggle's, submission-KEY
  Report           shows the results on one page           submissions/report-KEY.html, .h5
  Suspects         judges how likely each label is wrong   submissions/suspects-KEY.csv, .h5

Experiment compares many trainings, each of which is a Trial; workers that share a search take its SearchTrials. Sanity checks that a net
can learn at all. Annotate predicts the keypoints of any number of photographs, in parts, each of which is an AnnotatePart.

In notebooks and scripts, `import pipeline as kp` offers `kp.read`, `kp.load_nets`, `kp.rmse` and `kp.draw`; see docs/python-api.md.
"""

from typing import TYPE_CHECKING, Any

from pipeline import environment
from pipeline.errors import InputError, near

if TYPE_CHECKING:
    from pipeline.api import KeypointNets as KeypointNets
    from pipeline.api import Sample as Sample
    from pipeline.api import draw as draw
    from pipeline.api import load_nets as load_nets
    from pipeline.api import read as read
    from pipeline.api import rmse as rmse

environment.open_standard_streams()
try:
    with environment.reading_configuration():
        from pipeline.store.run import command_line, configuration, shared
        from pipeline.store.run.targets import memory, workspace
        from pipeline.tasks.corrected import corrected_dataset as dataset
        from pipeline.tasks.data import Augment, Load, LoadTest, Render
        from pipeline.tasks.devices import devices
        from pipeline.tasks.photographs import Annotate, AnnotatePart
        from pipeline.tasks.results import LearningCurves, Predict, Report
        from pipeline.tasks.sections import checkpoint, device
        from pipeline.tasks.specialist import TrainSpecialist
        from pipeline.tasks.studies import Experiment, Sanity, SearchTrial, Trial
        from pipeline.tasks.suspects import Suspects
        from pipeline.tasks.training import TrainBase
    configuration.check_luigis_own()
except InputError as error:
    environment.end(error)

# Called here, because an InputError can be raised before any task exists.
configuration.settle_luigi()
shared.install()

# Each task that users start, and the other stages whose flags count for it.
_CHAIN = (Render, Load, Augment, TrainBase, TrainSpecialist)
_PREDICT = (*_CHAIN, LoadTest)
command_line.install(
    {
        Render: (),
        Load: _CHAIN[:1],
        LoadTest: _CHAIN[:1],
        Augment: _CHAIN[:2],
        TrainBase: _CHAIN[:3],
        TrainSpecialist: _CHAIN[:4],
        LearningCurves: _CHAIN,
        Predict: _PREDICT,
        Report: (*_PREDICT, Predict),
        Annotate: (*_PREDICT, Predict, AnnotatePart),
        Experiment: (*_PREDICT, Predict),
        Sanity: _CHAIN[:2],
        Suspects: (*_PREDICT, Predict),
    },
    {"Data and workspace": (dataset, workspace), "Machine": (device, devices, memory, checkpoint)},
)

__all__ = [
    "Annotate",
    "AnnotatePart",
    "Augment",
    "Experiment",
    "LearningCurves",
    "Load",
    "LoadTest",
    "Predict",
    "Render",
    "Report",
    "Sanity",
    "SearchTrial",
    "Suspects",
    "TrainBase",
    "TrainSpecialist",
    "Trial",
    "checkpoint",
    "dataset",
    "device",
    "devices",
    "memory",
    "workspace",
]

_API = ("KeypointNets", "Sample", "draw", "load_nets", "read", "rmse")

if not TYPE_CHECKING:  # type checkers would take any name for one of these

    def __getattr__(name: str) -> Any:
        """What `pipeline.api` offers, imported when it is first used, so that `import pipeline` stays light."""
        if name in _API:
            from pipeline import api

            return getattr(api, name)
        guess = None if name.startswith("__") else near(name, [*_API, *__all__])
        hint = f"; did you mean {guess}?" if guess else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    """The names of this package, those of `pipeline.api` among them."""
    return sorted({*globals(), *_API})
