"""Stages that train nets."""

import contextlib
import dataclasses
import functools
from pathlib import Path

import luigi

from pipeline.errors import InputError
from pipeline.keypoints.kaggle import KAGGLE
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
)
from pipeline.store.run.parameters import choice, real, whole
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import ExternalFile, expanded
from pipeline.tasks.data import Augment, Load
from pipeline.tasks.sections import GROUPS, checkpoint, device, from_parameters


class Structured:
    """The parameters of a net's structure. A specialist has its base net's, for it begins with those weights."""

    network = choice(
        "compact",
        "the net: compact; kfkd, the tutorial's; resnet50 and vgg16 of keras.applications, which begin with their ImageNet weights",
        NETWORKS,
    )
    filters = real(1.0, "compact and kfkd: factor of the net's own numbers of filters", 0.05, 16.0)
    kernel = whole(0, "side of the kernels: of all of kfkd's convolutions, or (odd) of compact's 3 x 3 ones; 0: the net's own", 0, 31)
    pool = whole(2, "kfkd: side of the pooling after each convolution; 1: no pooling", 1, 31)
    activation = choice("relu", "compact and kfkd: what follows each convolution and hidden layer, by Keras' names", ACTIVATIONS)
    hidden = whole(1000, "kfkd: units of each of its two hidden layers", 1)
    normalisation = choice(
        "standard",
        "compact and kfkd: the pixels that they see: standard, less the training faces' mean, in units of their standard deviation;"
        " unit, from 0 to 1; none, grey levels",
        NORMALISATIONS,
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        every, own = set().union(*SETTINGS.values()), SETTINGS[self.network]
        for name, parameter in self.get_params():
            if name in every and name not in own and (value := getattr(self, name)) != parameter._default:
                raise InputError(f"{parameter.flag} {value}: {self.network} has no such setting; leave it at {parameter._default}.")

    def structure(self, faces, base):
        """The `Structure` of a net for these faces."""
        from pipeline.nets import structure

        pixels = {"mean": float(faces.pixel_mean), "std": float(faces.pixel_std)}
        return from_parameters(structure.Structure, self, **structure.normalised(self.network, self.normalisation, **pixels))


class Training:
    """The parameters that the base net and the specialists share."""

    on_backend = True
    watch = None  # told the history after each epoch; a search ends a training from there
    epochs = whole(75, "epochs at most", 1)
    batch = whole(64, "faces in a training step", 1)
    optimizer = choice("adamw", "how the weights move", OPTIMIZERS)
    schedule = choice("cosine", "how the learning rate changes", SCHEDULES)
    learning_rate = real(3e-3, "learning rate at its highest", 1e-9)
    learning_rate_stop = real(3e-6, "learning rate at the end, for linear and cosine", 0.0)
    decay = real(0.1, "d of the inverse schedule: start / (1 + d * epoch)", 0.0)
    warmup = real(2.0, "epochs in which the cosine schedule's learning rate rises", 0.0)
    halving_patience = whole(5, "epochs without improvement before the halving schedule halves", 1)
    momentum = real(0.9, "momentum at the start, for momentum and nesterov", 0.0, 1.0)
    momentum_stop = real(0.999, "momentum at the end", 0.0, 1.0)
    weight_decay = real(1e-4, "weight decay of adamw", 0.0)
    clip_norm = real(0.0, "largest norm of the gradient; 0 is unlimited", 0.0)
    robust_from = real(2.0, "errors beyond so many pixels count in proportion, no longer squared; 0: the plain mean squared error", 0.0)
    initialisation = choice(
        "net",
        "the kernels' first weights: net, the net's own rule, which is ImageNet's weights for a base net resnet50 or vgg16; he; glorot;"
        " uniform, within 1 / sqrt(n) of n inputs. Of a specialist with a kept head they are the base net's",
        INITIALISATIONS,
    )
    l1 = real(0.0, "penalty on the kernels' absolute values", 0.0)
    l2 = real(0.0, "penalty on the kernels' squares", 0.0)
    dropout = real(0.0, "factor of the net's own dropout rates; 1 is as published", 0.0, 1.9)
    patience = whole(0, "stop after this many epochs without improvement and take the best epoch; 0: train to the end, take the last", 0)
    patience_factor = real(0.5, "or after this share of the best epoch's number, if that is longer", 0.0)
    improvement = real(0.005, "relative improvement that counts for the patience", 0.0, 1.0)
    snapshots = whole(0, "keep the weights after every so many epochs and after the last, beside the artifact; 0: no", 0)
    device_memory = whole(512, "MiB of images kept on the device; more faces are brought in blocks", 1)
    seed = whole(0, "seed of the first weights, the order and the dropout", 0)

    def train(self, group: str | None = None, base=None, *, keep_head: bool = False, scratch: bool = False) -> None:
        """Trains, saves and reports. group: None is all keypoints. base: the net to start from; keep_head: with its output layer.

        scratch: with fresh weights all the same.
        """
        from pipeline.data import dataset as datasets
        from pipeline.geometry import alignment
        from pipeline.nets import device as devices

        trains_on = devices.prepare(seed=self.seed, threads=device().threads)
        self.say(f"trains on {trains_on}")
        from pipeline.nets import diagnosis, fitting, training
        from pipeline.nets.snapshots import Series

        faces = self.input()["faces"].load(datasets.Dataset)
        indices = KAGGLE.indices(group) if group else list(range(len(KAGGLE.names)))
        target = alignment.upright(faces.mean_face[0], KAGGLE).astype("float32")
        window = self.window(target, indices)
        recipe = from_parameters(training.Recipe, self)
        with self.copies(faces, indices, window, base) as copies, self.progress(self.epochs, "epoch") as progress:
            result = fitting.train(
                self.structure(faces, base),
                copies,
                fitting.labelled(faces.images, datasets.labels(faces), faces.source),
                faces.validation,
                recipe,
                keypointset=KAGGLE,
                base=base,
                target=None if group else target,
                window=window,
                keep_head=keep_head,
                scratch=scratch,
                imagenet=self.imagenet(),
                seed=self.seed,
                report=functools.partial(self._report, progress),
                checkpoints=self._checkpoints(trains_on, progress),
                snapshots=Series(self.snapshots, self.set_down) if self.snapshots else None,
            )
        self.save(result, siblings=self._snapshots(result.history.epoch.tolist()))
        if len(result.carried_over):
            origin = "the base net" if base else "ImageNet"
            self.say(f"began with {len(result.carried_over)} weights of {origin}; new: {', '.join(result.new) or 'none'}")
        for warning in diagnosis.warnings(result.history, result.health):
            self.say(f"warning: {warning}")
        said = f"validation RMSE {result.rmse:.3f} px after {len(result.history.epoch)} epochs"
        self.conclude(result=said, rmse=float(result.rmse), device=trains_on)

    def imagenet(self) -> Path | None:
        """The file of the weights that a base net begins with; None: with fresh ones."""

    def window(self, target, indices: list[int]):
        """The window of the aligned face that the net sees; None: it sees the whole image."""

    @contextlib.contextmanager
    def copies(self, faces, indices: list[int], window, base):
        """The augmented faces to train on: those of Augment."""
        from pipeline.data import dataset as datasets
        from pipeline.geometry import augmentation
        from pipeline.nets.samples import StoredVersions, rows_with

        source, rows = faces.source[~faces.validation], rows_with(datasets.labels(faces)[~faces.validation], indices)
        with self.input()["copies"].reading(augmentation.AugmentedVersions) as file:
            yield StoredVersions(file["images"], file["keypoints"], source, faces=rows, indices=indices)

    def _report(self, progress, history) -> None:
        progress.step(history.last)
        if self.watch:
            self.watch(history)

    def _checkpoints(self, trains_on: str, progress):
        from pipeline.nets.checkpoints import Checkpoint, Checkpoints

        latest = self.latest_checkpoint(Checkpoint)
        done = len(latest.history.epoch) if latest else 0
        if lacking := self.lacks_snapshots(range(self.snapshots, done + 1, self.snapshots) if self.snapshots else ()):
            self.say(f"begins anew: the snapshots of epochs {', '.join(map(str, lacking))} are gone")
            latest = None
        if latest:
            # The key tells neither threads nor machine. To begin anew would lose more than the last digits are worth.
            inexact = f"; until then on {latest.device}, so not to the last bit as an undisturbed run" if latest.device != trains_on else ""
            self.say(f"resumes after epoch {done} of {progress.total}{inexact}")
            progress.skip(done)
        return Checkpoints(lambda state: self.checkpoint(state, len(state.history.epoch)), checkpoint().seconds, trains_on, latest)

    def _snapshots(self, epochs: list[int]) -> tuple[str, ...]:
        """Publishes those that were taken; the suffix of their file."""
        from pipeline.nets.trained import Snapshots

        taken = [epoch for epoch in epochs if epoch % self.snapshots == 0 or epoch == epochs[-1]] if self.snapshots else []
        return (self.publish_snapshots(Snapshots, taken),) if taken else ()


class TrainBase(Structured, Training, Stage):
    """One net for all keypoints."""

    priority = 1  # of several folds all base nets go first: six specialists wait for each, and a last one alone would leave a worker idle

    weights = luigi.Parameter(
        default="",
        significant=False,
        description="resnet50 and vgg16: file of their ImageNet weights without the top; empty: downloaded into ~/.keras/models",
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.weights and not self._from_imagenet:
            nets = " and ".join(PRETRAINED)
            raise InputError(f"--TrainBase-weights {self.weights}: {nets} alone, with --TrainBase-initialisation net, begin with a file's.")

    @property
    def _from_imagenet(self) -> bool:
        return self.network in PRETRAINED and self.initialisation == "net"

    @property
    def _brought(self) -> Path | None:
        """The file of weights that the user has."""
        return expanded(self.weights, "--TrainBase-weights") if self.weights else None

    def requires(self):
        advice = "Give --TrainBase-weights the file that was fetched, or leave it out to have it downloaded."
        brought = {"weights": ExternalFile(path=str(self._brought), advice=advice)} if self._brought else {}
        return {"faces": Load(), "copies": Augment(), **brought}

    def imagenet(self):
        if not self._from_imagenet:
            return None
        from pipeline.nets import pretrained

        return self._brought or pretrained.fetched(self.network)

    def run(self):
        self.train()


class TrainSpecialist(Training, Stage):
    """A net for one group of keypoints: the base net, trained further on the faces that have these keypoints, and for them alone."""

    group = choice("", "the group of keypoints", GROUPS)
    view = choice("window", "what it sees: window, the part around the group of the face that the base net found; face, the image", VIEWS)
    margin = real(18.0, "window: pixels from the group's outermost keypoints on the mean face to its edge", 1.0)
    extent = real(64.0, "window: pixels from edge to edge at least; what lies around a keypoint helps to find it", 1.0)
    zoom = real(1.0, "window: its pixels for one of the image; more shows finer detail and takes longer", 0.1, 8.0)
    flip = real(0.5, "window: share of mirrored faces", 0.0, 1.0)
    rotation = real(15.0, "window: rotation by up to this many degrees to either side", 0.0, 180.0)
    shift = real(5.0, "window: shift by up to this many of its pixels in x and in y", 0.0)
    scale = real(1.16, "window: scale by a factor up to this or its inverse", 1.0, 4.0)
    stretch = real(1.06, "window: stretch x against y by a factor up to this or its inverse", 1.0, 2.0)
    gain = real(0.3, "window: contrast changes by up to this share", 0.0, 1.0)
    bias = real(0.15, "window: brightness changes by up to this share of the full range", 0.0, 1.0)
    start = choice("base", "the weights to begin with: base, the base net's; scratch, fresh ones, to see what those are worth", STARTS)
    head = choice("kept", "with start base, the output layer to begin with: kept, the base net's; new, as in the tutorial", HEADS)
    epochs = whole(5, "epochs at most; window: in each as many windows for every group, several of a face if few faces have the group", 1)
    batch = whole(16, "faces in a training step", 1)
    learning_rate = real(1e-3, "learning rate at its highest", 1e-9)
    learning_rate_stop = real(1e-6, "learning rate at the end, for linear and cosine", 0.0)
    warmup = real(1.0, "epochs in which the cosine schedule's learning rate rises", 0.0)

    @property
    def identity(self):
        return (self.group,)

    def requires(self):
        copies = {"copies": Augment()} if self.view == "face" else {}
        return {"faces": Load(), **copies, "base": TrainBase()}

    def structure(self, faces, base):
        own = {name: getattr(self, name) for name in ("l1", "l2", "dropout", "initialisation")}
        return dataclasses.replace(base.structure, **own)

    def window(self, target, indices):
        from pipeline.geometry import alignment

        return alignment.window(target, indices, margin=self.margin, extent=self.extent, zoom=self.zoom) if self.view == "window" else None

    @contextlib.contextmanager
    def copies(self, faces, indices, window, base):
        if not window:
            with super().copies(faces, indices, window, base) as copies:
                yield copies
            return
        from pipeline.data import dataset as datasets
        from pipeline.geometry import affine, alignment, augmentation
        from pipeline.nets.samples import DrawnWindows, repeated, rows_with

        labels, held_out = datasets.labels(faces), faces.validation
        yield DrawnWindows(
            faces.images,
            labels,
            faces.source,
            affine.compose(window.matrix, alignment.to_frame(base.located, base.target)),
            keypointset=dataclasses.replace(KAGGLE, side=window.side),
            ranges=from_parameters(augmentation.Ranges, self, shear=0.0, small_share=0.0, small_scale=1.0),
            seed=self.seed,
            faces=repeated(rows_with(labels, indices, among=~held_out), int((~held_out).sum())),
            indices=indices,
        )

    def run(self):
        from pipeline.nets.trained import Trained

        base = self.input()["base"].load(Trained)
        network = base.structure.network
        if self.view == "window" and network not in ANY_SIDE:
            raise InputError(f"The weights of {network} fit the whole image alone: give --TrainSpecialist-view face.")
        self.train(self.group, base, keep_head=self.head == "kept", scratch=self.start == "scratch")
