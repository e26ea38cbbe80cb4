"""A control for the specialists: the base net, trained on as they are, but on whole faces and for all keypoints at once."""

from pipeline import tasks
from pipeline.nets.trained import Trained
from pipeline.store.stage import Stage


class ContinueBase(tasks.Training, Stage):
    """The base net after further epochs over copies that it has not seen."""

    def requires(self):
        base = tasks.TrainBase()
        augment = base.requires()["copies"]
        return {"faces": tasks.Load(), "copies": augment.clone(seed=augment.seed + 1), "base": base}

    def structure(self, faces, base):
        return base.structure

    def run(self):
        self.train(base=self.input()["base"].load(Trained), keep_head=True)
