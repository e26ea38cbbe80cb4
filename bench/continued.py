"""A control for the specialists: the base net, trained on as they are, but on whole faces and for all keypoints at once."""

from pipeline import tasks
from pipeline.keypointset import KAGGLE
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


def validated(task: ContinueBase):
    """The predictions (n, K, 2) of the validation faces, made as a base net makes them: with two looks and their own offsets."""
    from pipeline.faces import dataset as datasets
    from pipeline.nets import evaluation, models, prediction

    inputs = task.input()
    faces, target = inputs["faces"].load(datasets.Dataset), inputs["base"].load(Trained).target
    net = models.rebuilt(task.output().load(Trained), KAGGLE)
    found, held_out = prediction.look_twice(net, faces.images, KAGGLE, target), faces.validation
    offsets = prediction.source_offsets(found[~held_out], datasets.labels(faces)[~held_out], faces.source[~held_out])
    answers = prediction.widest_where_unlabelled(found + offsets, KAGGLE, list(range(len(KAGGLE.names))))
    return evaluation.of_source(answers.clip(0, KAGGLE.side), faces.source)[held_out]
