"""What all trainings share, and the stage of the base net. What their `run` needs is imported there: Keras takes seconds to start."""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from pipeline import units
from pipeline.errors import InputError
from pipeline.nets.options import PRETRAINED, SMALL_SET
from pipeline.store.run.parameters import real, whole
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import ExternalFile, expanded, workspace_root
from pipeline.store.workspace import names
from pipeline.tasks.data import Augment, Load
from pipeline.tasks.learning import Budgeted, Learning, Structured
from pipeline.tasks.sections import checkpoint, dataset, device

if TYPE_CHECKING:
    import numpy as np

    from pipeline.data.dataset import Dataset
    from pipeline.keypoints.definition import KeypointSet
    from pipeline.nets.checkpoints import Checkpoints
    from pipeline.nets.fitting import TrainingJob
    from pipeline.nets.samples import Labelled, Versions
    from pipeline.nets.start import Start
    from pipeline.nets.structure import Structure
    from pipeline.nets.trained import History, Trained
    from pipeline.nets.training import Hooks
    from pipeline.store.workspace.console import Progress


class Training(Budgeted, Learning):
    """The parameters that the base net and the specialists share, and how both are trained."""

    patience = whole(
        0, "stop after this many epochs without improvement and keep the best epoch; 0: train to the end and keep the last epoch", 0
    )
    patience_factor = real(0.5, "the patience is at least this fraction of the number of the best epoch", 0.0)
    improvement = real(0.005, "smallest relative improvement of the validation RMSE that counts as one", 0.0, 1.0)
    fewest = whole(
        -1,
        "smallest number of samples in an epoch: each sample of a smaller set occurs several times, in another version each time;"
        " -1: 2048 for a keypoint set of your own, 0 for Kaggle's and drawn faces",
        -1,
    )
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
        with self._versions(job) as versions:
            job = self._within_budget(job, versions)
            with self.progress(job.recipe.epochs, "epoch") as progress:
                trained = fitting.train(job, versions.over(job.recipe.epochs), hooks=self._hooks(progress, trains_on))
        self.save(trained, siblings=self._publish_snapshots(trained.history.epoch.tolist()))
        self._conclude(job, trained, trains_on)

    def least(self) -> int:
        """The smallest number of samples in an epoch."""
        return self.fewest if self.fewest >= 0 else SMALL_SET if dataset().is_own else 0

    def _data(self) -> "Dataset":
        """The labelled samples."""
        from pipeline.data.dataset import Dataset

        return self.input()["faces"].load(Dataset)

    @staticmethod
    def aligned_shape(dataset: "Dataset", keypointset: "KeypointSet", side: int) -> "np.ndarray":
        """The keypoints of an aligned sample, float32 (K, 2), in pixels of the frame of side x side pixels, made symmetric.

        They are those of the mean face or, for an own set, whose objects may have any direction, of the typical shape.
        """
        from pipeline.geometry.alignment import upright

        shape = dataset.mean_face[0] if dataset.typical is None else dataset.typical
        return upright(shape * (side / dataset.images.shape[1]), keypointset, side=side).astype("float32")

    @staticmethod
    def labelled_samples(dataset: "Dataset") -> "Labelled":
        """The labelled samples of a data set, with the labels that a training may use."""
        from pipeline.data import dataset as datasets
        from pipeline.nets.samples import Labelled

        return Labelled(dataset.images, datasets.labels(dataset), dataset.source, dataset.validation)

    def _job(self) -> "TrainingJob":
        """What to train, on which samples, and from which weights."""
        raise NotImplementedError

    @contextlib.contextmanager
    def _versions(self, job: "TrainingJob") -> "Iterator[Versions]":
        """The augmented versions to train on: those of Augment, or if it stores none, versions drawn anew for each epoch."""
        from pipeline.geometry.augmentation import AugmentedVersions
        from pipeline.nets.samples import DrawnVersions, StoredVersions, repeated, rows_with

        labelled, indices, pixel = job.labelled, job.indices, 1 / job.sight.scale
        training, augment, least = ~labelled.held_out, self.requires()["copies"], self.least()
        samples = int(training.sum())
        if samples < least or not augment.stores(samples, samples * job.sight.side**2 * job.structure.channels):
            ranges = augment.ranges(self._data())
            mild = (ranges.milder(augment.mild), augment.share_of_mild) if augment.share_of_mild else None
            drawn = {"keypointset": job.keypointset, "ranges": ranges, "seed": augment.seed, "zooms": False, "mild": mild}
            rows = repeated(rows_with(labelled.keypoints, indices, among=training), least)
            yield DrawnVersions(labelled, job.sight.view(len(labelled.images)), rows=rows, indices=indices, **drawn)
            return
        rows, source = rows_with(labelled.keypoints[training], indices), labelled.source[training]
        with self.input()["copies"].reading(AugmentedVersions) as file:
            yield StoredVersions(
                file["images"], file["keypoints"], source, rows=rows, indices=indices, pixel=pixel, mild=augment.mild_versions
            )

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
        from pipeline.nets.start import FromEarlier, FromImageNet

        if len(trained.carried_over):
            origin = {FromImageNet: "ImageNet", FromEarlier: "the earlier net"}.get(type(job.start), "the base net")
            self.say(f"started from {len(trained.carried_over)} weights of {origin}; new weights: {', '.join(trained.new) or 'none'}")
        for warning in diagnosis.warnings(trained.history, trained.health):
            self.say(f"warning: {warning}")
        unit = f"px of samples of {trained.stored} x {trained.stored}" if dataset().is_own else "px"
        result = f"validation RMSE {trained.rmse:.3f} {unit} after {units.counted(len(trained.history.epoch), 'epoch')}"
        better = [
            *(["the mirror image"] if job.keypointset.mirror is not None else []),
            *(["refinement"] if trained.refined else []),
        ]
        self.say(f"{result}, with {' and '.join(better)}, which the lines of the epochs leave out" if better else result)
        self.conclude(result=result, rmse=float(trained.rmse), device=trains_on)


class TrainBase(Structured, Training, Stage):
    """One net for all keypoints."""

    priority = 1  # base nets of all folds first: six specialists wait for each of them, and one left for the end would idle a worker

    weights = luigi.Parameter(
        default="",
        significant=False,
        description="resnet50 and vgg16: file with the ImageNet weights (without the top layers); empty: download to ~/.keras/models",
    )

    start = luigi.Parameter(
        default="",
        significant=False,
        description="base net to continue from when the set has grown: the file of a finished TrainBase, or the key of one in the"
        " workspace; outputs are matched by the names of the keypoints; empty: none",
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.weights and not self._from_imagenet:
            nets = " or ".join(PRETRAINED)
            needed = f"--TrainBase-network {nets}, --TrainBase-initialisation net and no --TrainBase-start"
            raise InputError(f"--TrainBase-weights {self.weights}: works only with {needed}.")

    @property
    def _from_imagenet(self) -> bool:
        return self.network in PRETRAINED and self.initialisation == "net" and not self.start

    @property
    def _brought(self) -> Path | None:
        """The file of weights that the user provides."""
        return expanded(self.weights, "--TrainBase-weights") if self.weights else None

    def requires(self):
        advice = "Let --TrainBase-weights name the downloaded file, or omit the flag to download it."
        brought = {"weights": ExternalFile(path=str(self._brought), advice=advice)} if self._brought else {}
        return {"faces": Load(), "copies": Augment(), **brought, **self._earlier()}

    def _earlier(self) -> dict[str, ExternalFile]:
        """The file of the net to continue from, if any. Raises InputError for a key that no base net of the workspace has."""
        if not self.start:
            return {}
        path = expanded(self.start, "--TrainBase-start")
        if re.fullmatch("[0-9a-f]{4,10}", self.start) and not path.exists():
            found = [
                file for file in names.artifacts(workspace_root() / self.folder, self.stem) if names.key_of(file).startswith(self.start)
            ]
            if len(found) != 1:
                many = f"{len(found)} base nets of this workspace have a key that begins so"
                raise InputError(f"--TrainBase-start {self.start}: {many}. Name the file.")
            (path,) = found
        return {"earlier": ExternalFile(path=str(path), advice="Let --TrainBase-start name the file of a base net, or its key.")}

    def _largest_side(self) -> int:
        return self.requires()["copies"].least_side()

    def _job(self) -> "TrainingJob":
        from pipeline.nets.fitting import TrainingJob
        from pipeline.nets.sight import WholeImage

        data = self._data()
        stored, keypointset = data.images.shape[1], data.keypointset.restored()
        side, everything = self.requires()["copies"].frame_side(data), list(range(len(keypointset.names)))
        sight = WholeImage(side, self.aligned_shape(data, keypointset, side), side / stored)
        structure, start = self._start(self.structure(data), keypointset, side)
        labelled, free = self.labelled_samples(data), dataset().is_own
        recipe = self.recipe(self.network, side, stored, keypoint_weights=self._weights(labelled))
        return TrainingJob(structure, labelled, recipe, everything, start, sight, keypointset, may_drop_refinement=free)

    def sentences(self, trained: "Trained", data: "Dataset") -> list[str]:
        from pipeline.nets import rarity

        weights = self._weights(self.labelled_samples(data))
        heavy = rarity.sentence(weights, data.keypointset.restored().names) if weights else ""
        return [*super().sentences(trained, data), *([heavy] if heavy else [])]

    def _weights(self, labelled: "Labelled") -> tuple[float, ...]:
        """The weights of the keypoints of an own set, whose labels may be unequally frequent; empty for others."""
        from pipeline.nets.rarity import keypoint_weights

        return keypoint_weights(labelled.keypoints[~labelled.held_out]) if dataset().is_own else ()

    def _start(self, structure: "Structure", keypointset: "KeypointSet", side: int) -> "tuple[Structure, Start]":
        """The structure of the net, and the weights to start from. side: width and height of the net's input."""
        from pipeline.nets.start import Fresh, FromEarlier, FromImageNet, unfit
        from pipeline.nets.trained import Trained
        from pipeline.store.hdf5 import artifacts

        if not self.start:
            weights = self._imagenet_weights()
            return structure, FromImageNet(weights) if weights else Fresh()
        path = Path(self.requires()["earlier"].path)
        try:
            earlier = artifacts.load(path, Trained)
        except artifacts.Damaged as error:
            raise InputError(f"--TrainBase-start {self.start}: {error}. Name the file of a base net, or its key.") from None
        if reason := unfit(earlier, structure, keypointset, side=side):
            raise InputError(f"--TrainBase-start {self.start}: {path.name} cannot be continued, because {reason}.")
        fresh = ", ".join(name for name in keypointset.names if name not in earlier.keypoints) or "none"
        self.say(f"continues from {path}; keypoints with fresh outputs: {fresh}")
        self.say("the validation RMSE is too low if that net was trained on samples that are held out now")
        mean, std = earlier.structure.pixel_mean, earlier.structure.pixel_std
        return dataclasses.replace(structure, pixel_mean=mean, pixel_std=std), FromEarlier(earlier, keypointset)

    def _imagenet_weights(self) -> Path | None:
        """The file of weights to start from; None: fresh weights."""
        if not self._from_imagenet:
            return None
        from pipeline.nets import pretrained

        return self._brought or pretrained.fetched(self.network)
