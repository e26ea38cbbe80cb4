"""A control for the specialists: trains the base net further in the way the specialists train, but on whole faces and all keypoints."""

from typing import TYPE_CHECKING, Any

import pipeline
from pipeline.data import dataset as datasets
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.nets.trained import Trained
from pipeline.store.run.stage import Stage
from pipeline.tasks.training import Training

if TYPE_CHECKING:
    from pipeline.nets.fitting import TrainingJob


class ContinueBase(Training, Stage):
    """The base net after further epochs, on augmented versions that it has not seen before."""

    def requires(self) -> dict[str, Any]:
        base = pipeline.TrainBase()
        augment = base.requires()["copies"]
        return {"faces": pipeline.Load(), "copies": augment.clone(seed=augment.seed + 1), "base": base}

    def _job(self) -> "TrainingJob":
        from pipeline.nets.fitting import TrainingJob
        from pipeline.nets.samples import Labelled
        from pipeline.nets.sight import WholeImage
        from pipeline.nets.start import FromBase

        dataset, base = self.input()["faces"].load(datasets.Dataset), self.input()["base"].load(Trained)
        return TrainingJob(
            base.structure,
            Labelled(dataset.images, datasets.labels(dataset), dataset.source, dataset.validation),
            self.recipe(base.structure.network, int(base.frame), int(base.stored)),
            list(range(len(KAGGLE.names))),
            FromBase(base, keep_head=True),
            WholeImage(dataset.images.shape[-1], base.target),
            KAGGLE,
        )
