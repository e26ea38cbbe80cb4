"""Facial keypoints, from Kaggle's files to a submission: `luigi --module pipeline Predict`.

training.csv, test.csv, IdLookupTable.csv    (or Render: faces drawn by the program)
  Load             read, check, split                  data/load-KEY.h5
  Augment          flip, rotate, shear, scale, shift   data/augment-KEY.h5
  TrainBase        one net for all keypoints           models/trainbase-KEY.h5
  TrainSpecialist  x 6, from the base net's weights    models/trainspecialist-GROUP-KEY.h5
  LearningCurves   RMSE over epochs                    models/learningcurves-KEY.h5, .png
  Predict          the specialists' keypoints          submissions/submission-KEY.h5, .csv
  Report           all of it on one page               submissions/report-KEY.html, .h5

Around it: Experiment compares many trainings, each of them a Trial; Sanity checks that a net can learn at all. models/
"""

from pipeline.store.run import configuration
from pipeline.store.run.targets import memory, workspace
from pipeline.tasks.data import Augment, Load, Render
from pipeline.tasks.results import LearningCurves, Predict, Report
from pipeline.tasks.sections import checkpoint, dataset, device
from pipeline.tasks.studies import Experiment, Sanity, Trial
from pipeline.tasks.training import TrainBase, TrainSpecialist

# Here, because an InputError can come before any task exists.
configuration.settle_luigi()

__all__ = [
    "Augment",
    "Experiment",
    "LearningCurves",
    "Load",
    "Predict",
    "Render",
    "Report",
    "Sanity",
    "TrainBase",
    "TrainSpecialist",
    "Trial",
    "checkpoint",
    "dataset",
    "device",
    "memory",
    "workspace",
]
