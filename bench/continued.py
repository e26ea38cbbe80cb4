"""A control for the specialists: the base net, trained on as they are, but on whole faces and for all keypoints at once."""

import pipeline
from pipeline.nets.trained import Trained
from pipeline.store.run.stage import Stage
from pipeline.tasks import training


class ContinueBase(training.Training, Stage):
    """The base net after further epochs over copies that it has not seen."""

    def requires(self):
        base = pipeline.TrainBase()
        augment = base.requires()["copies"]
        return {"faces": pipeline.Load(), "copies": augment.clone(seed=augment.seed + 1), "base": base}

    def structure(self, faces, base):
        return base.structure

    def run(self):
        self.train(base=self.input()["base"].load(Trained), keep_head=True)
