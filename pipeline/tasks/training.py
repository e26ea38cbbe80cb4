"""Stages that train nets. What their `run` needs is imported there: Keras takes seconds to start."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from pipeline.errors import InputError, meant
from pipeline.nets.options import (
    ACTIVATIONS,
    ANY_SIDE,
    HEADS,
    INITIALISATIONS,
    NETWORKS,
    NORMALISATIONS,
    OPTIMIZERS,
    PRETRAINED,
    SCHEDULES,
    SETTINGS,
    STARTS,
    VIEWS,
    size_fault,
)
from pipeline.store.run.parameters import choice, fraction, real, whole
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import ExternalFile, expanded
from pipeline.tasks.data import Augment, Load
from pipeline.tasks.sections import checkpoint, dataset, device, from_parameters

if TYPE_CHECKING:
    import numpy as np

    from pipeline.data.dataset import Dataset
    from pipeline.keypoints.definition import KeypointSet
    from pipeline.nets.checkpoints import Checkpoints
    from pipeline.nets.fitting import TrainingJob
    from pipeline.nets.samples import Labelled, Versions
    from pipeline.nets.sight import Sight
    from pipeline.nets.start import Start
    from pipeline.nets.structure import Structure
    from pipeline.nets.trained import History, Trained
    from pipeline.nets.training import Hooks, Recipe
    from pipeline.store.workspace.console import Progress

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
        "compact and kfkd: scaling of the pixels: standard (zero mean and unit variance over the training faces), unit (0 to 1)"
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


class Learning(_OfStage):
    """The parameters of every training."""

    on_backend = True
    epochs = whole(75, "maximum number of epochs", 1)
    batch = whole(64, "number of faces in a training step", 1)
    optimizer = choice("adamw", "optimizer", OPTIMIZERS)
    schedule = choice("cosine", "how the learning rate changes during the training", SCHEDULES)
    learning_rate = real(3e-3, "highest learning rate", 1e-9)
    learning_rate_stop = real(3e-6, "learning rate at the end of the linear and cosine schedules", 0.0)
    decay = real(0.1, "decay d of the inverse schedule: learning_rate / (1 + d * epoch)", 0.0)
    warmup = real(2.0, "number of epochs in which the learning rate of the cosine schedule rises", 0.0)
    halving_patience = whole(5, "number of epochs without improvement before the halving schedule halves the learning rate", 1)
    momentum = real(0.9, "momentum at the start (optimizers momentum and nesterov)", 0.0, 1.0)
    momentum_stop = real(0.999, "momentum at the end (optimizers momentum and nesterov)", 0.0, 1.0)
    weight_decay = real(1e-4, "weight decay of adamw", 0.0)
    clip_norm = real(0.0, "upper limit for the norm of the gradient; 0: no limit", 0.0)
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

    def recipe(self, frame: int, stored: int, **given: Any) -> "Recipe":
        """How to train, with the given fields, with a frame of frame x frame pixels of samples of stored x stored pixels."""
        from pipeline.nets.training import Recipe

        return from_parameters(Recipe, self, robust_from=self.robust_from * frame, frame_pixel=stored / frame, **given)


class Training(Learning):
    """The parameters that the base net and the specialists share, and how both are trained."""

    patience = whole(
        0, "stop after this many epochs without improvement and keep the best epoch; 0: train to the end and keep the last epoch", 0
    )
    patience_factor = real(0.5, "the patience is at least this fraction of the number of the best epoch", 0.0)
    improvement = real(0.005, "smallest relative improvement of the validation RMSE that counts as one", 0.0, 1.0)
    snapshots = whole(0, "store the weights every this many epochs and after the last one, beside the artifact; 0: never", 0)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.watch: Callable[[History], None] | None = None  # called after each epoch; a search gives a training up from there

    def run(self) -> None:
        from pipeline.nets import device as devices

        trains_on = devices.prepare(seed=self.seed, threads=device().threads)
        self.say(f"trains on {trains_on}")
        from pipeline.nets import fitting

        job = self._job()
        with self._versions(job) as versions, self.progress(self.epochs, "epoch") as progress:
            trained = fitting.train(job, versions, hooks=self._hooks(progress, trains_on))
        self.save(trained, siblings=self._publish_snapshots(trained.history.epoch.tolist()))
        self._conclude(job, trained, trains_on)

    def _job(self) -> "TrainingJob":
        """What to train, on which samples, and from which weights."""
        raise NotImplementedError

    @contextlib.contextmanager
    def _versions(self, job: "TrainingJob") -> "Iterator[Versions]":
        """The augmented versions to train on: those of Augment, or if it stores none, versions drawn anew for each epoch."""
        from pipeline.geometry.augmentation import AugmentedVersions
        from pipeline.nets.samples import DrawnVersions, StoredVersions, rows_with

        labelled, indices, stored, pixel = job.labelled, job.indices, job.labelled.images.shape[1], 1 / job.sight.scale
        training, augment = ~labelled.held_out, self.requires()["copies"]
        if not augment.stores(int(training.sum()) * job.sight.side**2 * job.structure.channels):
            drawn = {"keypointset": job.keypointset, "ranges": augment.ranges(stored), "seed": augment.seed, "zooms": False}
            rows = rows_with(labelled.keypoints, indices, among=training)
            yield DrawnVersions(labelled, job.sight.view(len(labelled.images)), rows=rows, indices=indices, **drawn)
            return
        rows, source = rows_with(labelled.keypoints[training], indices), labelled.source[training]
        with self.input()["copies"].reading(AugmentedVersions) as file:
            yield StoredVersions(file["images"], file["keypoints"], source, rows=rows, indices=indices, pixel=pixel)

    def _hooks(self, progress: "Progress", trains_on: str) -> "Hooks":
        from pipeline.nets.snapshots import Series
        from pipeline.nets.training import Hooks

        def on_epoch(history: "History") -> None:
            progress.step(history.last)
            if self.watch:
                self.watch(history)

        series = Series(self.snapshots, self.partials.save_snapshot) if self.snapshots else None
        return Hooks(on_epoch, self._checkpoints(trains_on, progress), series)

    def _checkpoints(self, trains_on: str, progress: "Progress") -> "Checkpoints":
        from pipeline.nets.checkpoints import Checkpoint, Checkpoints

        latest = self.partials.latest_checkpoint(Checkpoint)
        done = len(latest.history.epoch) if latest else 0
        if lacking := self.partials.missing_snapshots(range(self.snapshots, done + 1, self.snapshots) if self.snapshots else ()):
            self.say(f"starts again: the snapshots of epochs {', '.join(map(str, lacking))} are missing")
            latest = None
        if latest:
            # The key names neither threads nor machine. To start again would lose more than the last digits are worth.
            inexact = f"; until then on {latest.device}, so the last digits may differ" if latest.device != trains_on else ""
            self.say(f"resumes after epoch {done} of {progress.total}{inexact}")
            progress.skip(done)
        return Checkpoints(
            lambda state: self.partials.save_checkpoint(state, len(state.history.epoch)), checkpoint().seconds, trains_on, latest
        )

    def _publish_snapshots(self, epochs: list[int]) -> tuple[str, ...]:
        """Publishes the snapshots that were taken; returns the suffix of their file, if any."""
        from pipeline.nets.trained import Snapshots

        taken = [epoch for epoch in epochs if epoch % self.snapshots == 0 or epoch == epochs[-1]] if self.snapshots else []
        return (self.partials.publish_snapshots(Snapshots, taken),) if taken else ()

    def _conclude(self, job: "TrainingJob", trained: "Trained", trains_on: str) -> None:
        """Reports the weights that the training started from, what looks wrong with it, and the result."""
        from pipeline.nets import diagnosis
        from pipeline.nets.start import FromImageNet

        if len(trained.carried_over):
            origin = "ImageNet" if isinstance(job.start, FromImageNet) else "the base net"
            self.say(f"started from {len(trained.carried_over)} weights of {origin}; new weights: {', '.join(trained.new) or 'none'}")
        for warning in diagnosis.warnings(trained.history, trained.health):
            self.say(f"warning: {warning}")
        result = f"validation RMSE {trained.rmse:.3f} px after {len(trained.history.epoch)} epochs"
        better = "the mirror image and refinement" if trained.target is not None else "the mirror image"
        self.say(f"{result}, with {better}, which the lines of the epochs leave out")
        self.conclude(result=result, rmse=float(trained.rmse), device=trains_on)


class TrainBase(Structured, Training, Stage):
    """One net for all keypoints."""

    priority = 1  # base nets of all folds first: six specialists wait for each of them, and one left for the end would idle a worker

    weights = luigi.Parameter(
        default="",
        significant=False,
        description="resnet50 and vgg16: file with the ImageNet weights (without the top layers); empty: download to ~/.keras/models",
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.weights and not self._from_imagenet:
            nets = " or ".join(PRETRAINED)
            raise InputError(
                f"--TrainBase-weights {self.weights}: works only with --TrainBase-network {nets} and --TrainBase-initialisation net."
            )

    @property
    def _from_imagenet(self) -> bool:
        return self.network in PRETRAINED and self.initialisation == "net"

    @property
    def _brought(self) -> Path | None:
        """The file of weights that the user provides."""
        return expanded(self.weights, "--TrainBase-weights") if self.weights else None

    def requires(self):
        advice = "Let --TrainBase-weights name the downloaded file, or omit the flag to download it."
        brought = {"weights": ExternalFile(path=str(self._brought), advice=advice)} if self._brought else {}
        return {"faces": Load(), "copies": Augment(), **brought}

    def _largest_side(self) -> int:
        return self.requires()["copies"].side

    def _job(self) -> "TrainingJob":
        from pipeline.data.dataset import Dataset
        from pipeline.nets.fitting import TrainingJob
        from pipeline.nets.sight import WholeImage
        from pipeline.nets.start import Fresh, FromImageNet

        data, weights = self.input()["faces"].load(Dataset), self._imagenet_weights()
        stored, keypointset = data.images.shape[1], data.keypointset.restored()
        side, everything = self.requires()["copies"].frame_side(stored), list(range(len(keypointset.names)))
        sight = WholeImage(side, _target(data, keypointset, side), side / stored)
        start, recipe = FromImageNet(weights) if weights else Fresh(), self.recipe(side, stored)
        return TrainingJob(self.structure(data), _labelled(data), recipe, everything, start, sight, keypointset)

    def _imagenet_weights(self) -> Path | None:
        """The file of weights to start from; None: fresh weights."""
        if not self._from_imagenet:
            return None
        from pipeline.nets import pretrained

        return self._brought or pretrained.fetched(self.network)


class TrainSpecialist(Training, Stage):
    """A net for one group of keypoints: the base net, fine-tuned on the faces that have labels for these keypoints."""

    group = luigi.Parameter(default="", description="name of the keypoint group")
    view = choice(
        "window",
        "what the net sees: window (the part around the group of the face that the base net has located) or face (the whole image)",
        VIEWS,
    )
    margin = fraction("18/96", "window: distance from the outermost keypoints of the group on the mean face to the edge")
    extent = fraction("64/96", "window: minimum width and height; the surroundings of a keypoint help to find it")
    zoom = real(
        1.0, "window: its pixels per pixel of the base net's input; more shows finer detail of larger samples and takes longer", 0.1, 8.0
    )
    flip = real(0.5, "window: fraction of mirrored faces", 0.0, 1.0)
    rotation = real(15.0, "window: maximum rotation in degrees to either side", 0.0, 180.0)
    shift = fraction("5/96", "window: maximum shift in x and in y")
    scale = real(1.16, "window: maximum scale factor; its inverse is the minimum", 1.0, 4.0)
    stretch = real(1.06, "window: maximum factor by which x is stretched against y; its inverse is the minimum", 1.0, 2.0)
    gain = real(0.3, "window: maximum relative change of the contrast", 0.0, 1.0)
    bias = real(0.15, "window: maximum change of the brightness, as a fraction of the full range", 0.0, 1.0)
    start = choice(
        "base", "initial weights: base (those of the base net) or scratch (fresh ones, to see what the base net contributes)", STARTS
    )
    head = choice("kept", "with start base, the initial output layer: kept (that of the base net) or new (as in the tutorial)", HEADS)
    epochs = whole(
        5, "maximum number of epochs; window: each has as many windows for every group, several of a face if few faces have the group", 1
    )
    batch = whole(16, "number of faces in a training step", 1)
    learning_rate = real(1e-3, "highest learning rate", 1e-9)
    learning_rate_stop = real(1e-6, "learning rate at the end of the linear and cosine schedules", 0.0)
    warmup = real(1.0, "number of epochs in which the learning rate of the cosine schedule rises", 0.0)

    def check(self) -> None:
        if self.view == "window" and (network := self.requires()["base"].network) not in ANY_SIDE:
            raise InputError(f"The weights of {network} fit only the whole image. Use --TrainSpecialist-view face.")

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.group,)

    def requires(self):
        if self.group not in (groups := dataset().groups()):
            raise InputError(f"--TrainSpecialist-group {self.group}: there is no such keypoint group; {meant(self.group, groups)}")
        copies = {"copies": Augment()} if self.view == "face" else {}
        return {"faces": Load(), **copies, "base": TrainBase()}

    def _job(self) -> "TrainingJob":
        from pipeline.data.dataset import Dataset
        from pipeline.nets.fitting import TrainingJob
        from pipeline.nets.start import Fresh, FromBase
        from pipeline.nets.trained import Trained

        data, base = self.input()["faces"].load(Dataset), self.input()["base"].load(Trained)
        keypointset = data.keypointset.restored()
        own = {name: getattr(self, name) for name in ("l1", "l2", "dropout", "initialisation")}
        structure, indices = dataclasses.replace(base.structure, **own), keypointset.indices(self.group)
        start: Start = Fresh() if self.start == "scratch" else FromBase(base, keep_head=self.head == "kept")
        sight = self._sight(base, indices, _target(data, keypointset, int(base.frame)))
        recipe = self.recipe(int(base.frame), int(base.stored))
        return TrainingJob(structure, _labelled(data), recipe, indices, start, sight, keypointset)

    def _sight(self, base: "Trained", indices: list[int], target: "np.ndarray") -> "Sight":
        """The whole image, or the window around the keypoints `indices` of the faces that the base net has aligned with the target."""
        from pipeline.geometry import alignment
        from pipeline.nets.sight import AlignedWindow, WholeImage, aligned_by

        side, scale = int(base.frame), int(base.frame) / int(base.stored)
        if self.view == "face":
            return WholeImage(side, scale=scale)
        window = alignment.window(target, indices, margin=self.margin * side, extent=self.extent * side, zoom=self.zoom)
        return AlignedWindow(window, aligned_by(base), scale)

    @contextlib.contextmanager
    def _versions(self, job: "TrainingJob") -> "Iterator[Versions]":
        """Windows drawn anew for each epoch; for a specialist that sees the whole image, the versions of Augment."""
        if self.view == "face":
            with super()._versions(job) as versions:
                yield versions
            return
        from pipeline.geometry.augmentation import Ranges
        from pipeline.nets.samples import DrawnVersions, repeated, rows_with

        labelled, frame = job.labelled, job.sight.scale * job.labelled.images.shape[1]
        rows = rows_with(labelled.keypoints, job.indices, among=~labelled.held_out)
        own = {"shift": self.shift * frame * self.zoom, "shear": 0.0, "small_share": 0.0, "small_scale": 1.0}
        yield DrawnVersions(
            labelled,
            job.sight.view(len(labelled.images)),
            keypointset=job.keypointset,
            ranges=from_parameters(Ranges, self, **own),
            seed=self.seed,
            rows=repeated(rows, int((~labelled.held_out).sum())),
            indices=job.indices,
        )


def _target(dataset: "Dataset", keypointset: "KeypointSet", side: int) -> "np.ndarray":
    """The keypoints of an aligned face, float32 (K, 2), in pixels of the frame of side x side pixels: the mean face, made symmetric."""
    from pipeline.geometry.alignment import upright

    mean_face = dataset.mean_face[0] * (side / dataset.images.shape[1])
    return upright(mean_face, keypointset, side=side).astype("float32")


def _labelled(dataset: "Dataset") -> "Labelled":
    """The labelled samples of a data set, with the labels that a training may use."""
    from pipeline.data import dataset as datasets
    from pipeline.nets.samples import Labelled

    return Labelled(dataset.images, datasets.labels(dataset), dataset.source, dataset.validation)
