"""The parameters of nets and of their trainings that several stages share."""

import dataclasses
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.nets.options import (
    ACTIVATIONS,
    INITIALISATIONS,
    NETWORKS,
    NORMALISATIONS,
    OPTIMIZERS,
    SCHEDULES,
    SETTINGS,
    WITH_HEAT_MAPS,
    size_fault,
)
from pipeline.store.run.parameters import choice, fraction, from_parameters, is_auto, or_usual, real, whole
from pipeline.store.run.stage import Stage
from pipeline.tasks.devices import OnDevices
from pipeline.tasks.own import suited

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset
    from pipeline.nets.fitting import TrainingJob
    from pipeline.nets.samples import Versions
    from pipeline.nets.structure import Structure
    from pipeline.nets.trained import Trained
    from pipeline.nets.training import Recipe

    # The mixins below are used only by stages. But Luigi registers every subclass of Task, and they are not tasks themselves.
    _OfStage = Stage
else:
    _OfStage = object


class Structured(_OfStage):
    """The parameters of a net's structure. A specialist has the structure of its base net, because it starts from those weights."""

    network = choice(
        "compact",
        "architecture: compact, kfkd (that of the tutorial), resnet50 or vgg16 (of keras.applications, pretrained on ImageNet)",
        NETWORKS,
    )
    filters = real(1.0, "compact and kfkd: factor by which the numbers of filters are multiplied", 0.05, 16.0)
    kernel = whole(
        0, "kernel size of all convolutions of kfkd, or of the 3 x 3 convolutions of compact (odd sizes only); 0: as published", 0, 31
    )
    pool = whole(2, "kfkd: size of the max pooling after each convolution; 1: no pooling", 1, 31)
    activation = choice(
        "relu", "compact and kfkd: activation function after each convolution and hidden layer, by its Keras name", ACTIVATIONS
    )
    hidden = whole(1000, "kfkd: number of units in each of the two hidden layers", 1)
    normalisation = choice(
        "standard",
        "compact and kfkd: scaling of the pixels: standard (zero mean and unit variance over the training samples), unit (0 to 1)"
        " or none (grey levels)",
        NORMALISATIONS,
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        every, own = set().union(*SETTINGS.values()), SETTINGS[self.network]
        for name, parameter in self.get_params():
            if name in every and name not in own and (value := getattr(self, name)) != parameter._default:
                raise InputError(f"{parameter.flag} {value}: {self.network} has no such setting. Leave it at {parameter._default}.")
        if fault := size_fault(self.network, self.kernel, self.pool, self._largest_side()):
            setting, size, reason = fault
            raise InputError(f"--{self.task_family}-{setting} {size}: {reason}.")

    def _largest_side(self) -> int:
        """The largest width and height of the net's input, pixels."""
        raise NotImplementedError

    def structure(self, dataset: "Dataset") -> "Structure":
        """The structure of a net for this data set."""
        from pipeline.nets.structure import Structure, normalised

        pixels = {"mean": float(dataset.pixel_mean), "std": float(dataset.pixel_std)}
        given = normalised(self.network, self.normalisation, **pixels)
        return from_parameters(Structure, self, channels=(*dataset.images.shape[3:], 1)[0], **given)


WITHIN_BUDGET = "as many as the budget allows, at least 1"
BUDGET = "keypoint sets of your own, if epochs is auto: thousand million pixels that the net sees in its training"


class Budgeted(_OfStage):
    """How long a training of the chain takes: a number of epochs or, for an own set, a number of pixels that the net sees."""

    epochs = suited(whole(26, "maximum number of epochs", 1), WITHIN_BUDGET)
    budget = real(1.2, f"{BUDGET}; with 2 cores, 1 takes about 5 minutes", 0.0)

    def check(self) -> None:
        """Raises InputError for a budget that would be ignored."""
        if self.budget != dict(self.get_params())["budget"]._default and not is_auto(self, "epochs"):
            advice = "It counts only for a keypoint set of your own and without a number of epochs. Leave it out."
            raise InputError(f"--{self.task_family}-budget {self.budget:g} would have no effect. {advice}")

    def sentences(self, trained: "Trained", data: "Dataset") -> list[str]:
        """What was chosen for the training of this net of an own set and why. data: its samples."""
        from pipeline.nets import budget

        if getattr(self, "patience", 0) or not is_auto(self, "epochs"):
            return []
        return [budget.sentence(len(trained.history.epoch), self._budget(len(trained.indices), len(trained.keypointset.names)))]

    def _budget(self, predicted: int, keypoints: int) -> float:
        """Thousand million pixels for a net that predicts so many of the keypoints of a set."""
        return float(self.budget)

    def _within_budget(self, job: "TrainingJob", versions: "Versions") -> "TrainingJob":
        """The job with as many epochs of these versions as its budget allows, if the data choose."""
        from pipeline.nets import budget

        if not is_auto(self, "epochs"):
            return job
        most = self._budget(len(job.indices), len(job.keypointset.names))
        samples = len(versions)
        epochs = budget.epochs(most, samples * job.sight.side**2, samples=samples, different=versions.different)
        self.say(budget.sentence(epochs, most))
        warmup = min(job.recipe.warmup, budget.MOST_WARMUP * epochs)
        return dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, epochs=epochs, warmup=warmup))


# The weight of the loss of heat maps for own sets. It made the base nets of X-rays and faces 2 to 3 % better, see bench/README.md.
OWN_HEAT_MAP = 0.3


class Learning(OnDevices):
    """The parameters of every training."""

    batch = whole(32, "number of samples in a training step", 1)
    optimizer = choice("muon", "optimizer", OPTIMIZERS)
    schedule = choice("cosine", "how the learning rate changes during the training", SCHEDULES)
    learning_rate = real(4e-3, "highest learning rate", 1e-9)
    learning_rate_stop = real(3e-6, "learning rate at the end of the linear and cosine schedules", 0.0)
    decay = real(0.1, "decay d of the inverse schedule: learning_rate / (1 + d * epoch)", 0.0)
    warmup = real(2.0, "number of epochs in which the learning rate of the cosine schedule rises", 0.0)
    halving_patience = whole(5, "number of epochs without improvement before the halving schedule halves the learning rate", 1)
    momentum = real(0.9, "momentum at the start (optimizers momentum and nesterov)", 0.0, 1.0)
    momentum_stop = real(0.999, "momentum at the end (optimizers momentum and nesterov)", 0.0, 1.0)
    weight_decay = real(1e-4, "weight decay of adamw and muon", 0.0)
    clip_norm = real(0.0, "upper limit for the norm of the gradient; 0: no limit", 0.0)
    heat_map = suited(
        real(0.0, "compact: weight of the cross-entropy between the heat maps and normal densities around the labels in the loss", 0.0),
        "0.3 with compact, otherwise 0",
    )
    robust_from = fraction("2/96", "the loss is quadratic up to errors of about this length and linear beyond; 0: plain mean squared error")
    initialisation = choice(
        "net",
        "initial weights of the kernels: net (the rule of the architecture; for a base net resnet50 or vgg16 the ImageNet weights), he,"
        " glorot, or uniform (within 1 / sqrt(n) for n inputs); without effect on weights that a specialist takes from the base net",
        INITIALISATIONS,
    )
    l1 = real(0.0, "L1 penalty on the kernels", 0.0)
    l2 = real(0.0, "L2 penalty on the kernels", 0.0)
    dropout = real(0.0, "factor for the dropout rates of the architecture; 1: as published", 0.0, 1.9)
    device_memory = whole(512, "MiB of images kept on the device; larger training sets are copied block by block", 1)
    seed = whole(0, "seed of the initial weights, the order of the samples and the dropout", 0)

    @property
    def divided(self) -> int:
        return int(self.batch)

    def recipe(self, network: str, frame: int, stored: int, **given: Any) -> "Recipe":
        """How to train a net, with the given fields, with a frame of frame x frame pixels of samples of stored x stored pixels.

        Raises InputError for a loss of heat maps that the net does not have.
        """
        from pipeline.nets.training import Recipe

        chosen = OWN_HEAT_MAP if network in WITH_HEAT_MAPS else 0.0
        weight = chosen if is_auto(self, "heat_map") else or_usual(self, "heat_map", self.heat_map)
        if network not in WITH_HEAT_MAPS and weight:
            raise InputError(f"--{self.task_family}-heat-map {weight:g}: {network} has no heat maps. Leave it at auto.")
        own = {"heat_map": weight, "robust_from": self.robust_from * frame, "frame_pixel": stored / frame}
        return from_parameters(Recipe, self, **own | given)
