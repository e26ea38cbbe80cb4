"""Fitting a net: the loss, faces that live on the device, early stopping, the history of a training."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, pairwise

import keras
import numpy as np
from keras import ops

from pipeline.errors import InputError
from pipeline.keypoints.definition import KeypointSet
from pipeline.metrics.rmse import rmse
from pipeline.nets import device, monitoring, optimizers, schedules, views
from pipeline.nets.checkpoints import Checkpoints, Keeper
from pipeline.nets.checkup import Checkup
from pipeline.nets.losses import masked_mean, robust_square
from pipeline.nets.samples import DrawnWindows, Samples, StoredVersions
from pipeline.nets.snapshots import Series, TakeSnapshots
from pipeline.nets.sources import of_source
from pipeline.nets.trained import Health, History


@dataclass(frozen=True)
class Recipe:
    """How to train; see the parameters of the tasks for the meaning and range of each field."""

    epochs: int
    batch: int
    optimizer: str
    schedule: str
    learning_rate: float
    learning_rate_stop: float
    decay: float
    warmup: float
    halving_patience: int
    momentum: float
    momentum_stop: float
    weight_decay: float
    clip_norm: float
    robust_from: float
    patience: int
    patience_factor: float
    improvement: float
    device_memory: int


class FacesOnDevice(keras.Model):
    """A net with the faces that it trains on: the images lie on the device as a variable, a batch is a list of their indices.

    So an epoch copies its faces to the device once, and a training step copies nothing.
    """

    def __init__(self, net: keras.Model, capacity: int, keypointset: KeypointSet, *, robust_from: float, unit_loss: bool = False):
        super().__init__(name="faces_on_device")
        self.net, self.keypointset, self.robust_from = net, keypointset, robust_from
        # From square pixels to the squares of unit coordinates, for whom it matters: see schedules.STEP_WITH_THE_LOSS.
        self.loss_scale = (2 / keypointset.side) ** 2 if unit_loss else 1.0
        sources, keypoints = net.output_shape[1:3]

        def resident(name, *shape, dtype="float32"):
            return self.add_weight(shape=(capacity, *shape), dtype=dtype, initializer="zeros", trainable=False, name=name)

        self.images = resident("images", keypointset.side, keypointset.side, dtype="uint8")
        self.labels = resident("labels", keypoints, 2)
        self.known = resident("known", keypoints, 2)
        self.own_source = resident("own_source", sources)
        self.pixel = resident("pixel")
        self.squared_error = keras.metrics.Mean(name="squared_error")

    def place(self, faces: Samples) -> None:
        """Copies a block of faces to the device; at most `capacity`."""
        known = ~np.isnan(faces.keypoints)
        sources = self.own_source.shape[1]
        own_source = np.eye(sources, dtype=np.float32)[faces.source if sources > 1 else np.zeros_like(faces.source)]
        for variable, value in (
            (self.images, faces.images),
            (self.labels, np.where(known, faces.keypoints, 0.0).astype(np.float32)),
            (self.known, known.astype(np.float32)),
            (self.own_source, own_source),
            (self.pixel, faces.pixel),
        ):
            missing = variable.shape[0] - len(value)
            variable.assign(np.pad(value, ((0, missing),) + ((0, 0),) * (value.ndim - 1)) if missing else value)

    def call(self, index, training=False):
        return self.net(ops.cast(ops.take(self.images, index, axis=0), "float32"), training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        own = ops.einsum("bs,bskc->bkc", ops.take(self.own_source, x, axis=0), ops.cast(y_pred, "float32"))
        known = ops.take(self.known, x, axis=0)
        difference = self.keypointset.to_pixels(own) - ops.take(self.labels, x, axis=0)
        difference = difference * ops.reshape(ops.take(self.pixel, x, axis=0), (-1, 1, 1))
        self.squared_error.update_state(masked_mean(ops.square(difference), known), sample_weight=ops.sum(known))
        loss = self.loss_scale * masked_mean(robust_square(difference, robust_from=self.robust_from), known)
        return loss + sum(self.losses) if self.losses else loss


def blocks_of(faces: int, *, capacity: int) -> list[slice]:
    """The fewest blocks of at most `capacity` faces, equally large but for one face; if there are several, each at least half full."""
    number = -(-faces // capacity)
    edges = [faces * i // number for i in range(number + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def batches(blocks: list[int], batch: int, *, seed: int, start: int = 0) -> Iterator[tuple[np.ndarray]]:
    """Yields, epoch after epoch without end, batches of indices into each block of faces; shuffled by (seed, epoch, block) alone.

    blocks: the number of faces in each. start: the first epoch's number. A batch is always full, so that the training step is compiled
    once: what is left over of a block takes its turn in another epoch.
    """
    for epoch in count(start):
        for block, size in enumerate(blocks):
            order = np.random.default_rng([seed, epoch, block]).permutation(size).astype(np.int32)
            for step in range(size // batch):
                yield (order[step * batch : (step + 1) * batch],)


class PlaceFaces(keras.callbacks.Callback):
    """Copies the next block of faces to the device when its first batch comes; `reader`, a thread, brings the block after it meanwhile.

    Without the thread a specialist's training stands still for a tenth of its time, while its windows are cut.
    """

    def __init__(self, copies: StoredVersions | DrawnWindows, blocks: list[slice], steps: list[int], reader: Executor):
        super().__init__()
        self.copies, self.blocks, self.reader, self.epoch = copies, blocks, reader, 0
        self.block_at = {int(step): number for number, step in enumerate(np.cumsum([0, *steps[:-1]]))}
        self.placed, self.coming = None, (None, None)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (number := self.block_at.get(batch)) is None or (wanted := self._wanted(self.epoch, number)) == self.placed:
            return
        self.model.place(self.brought(wanted))
        self.placed = wanted
        epoch, number = divmod(self.epoch * len(self.blocks) + number + 1, len(self.blocks))
        if epoch < self.params["epochs"] and (upcoming := self._wanted(epoch, number)) != wanted:
            self.coming = upcoming, self.reader.submit(self.copies.block, *upcoming)

    def brought(self, wanted: tuple[int, slice]) -> Samples:
        """The faces of a block of a copy, waited for if the thread is on them."""
        upcoming, promise = self.coming
        return promise.result() if upcoming == wanted else self.copies.block(*wanted)

    def _wanted(self, epoch: int, number: int) -> tuple[int, slice]:
        return self.copies.copy(epoch), self.blocks[number]


def fit(
    net: keras.Model,
    copies: StoredVersions | DrawnWindows,
    validation: Samples,
    recipe: Recipe,
    *,
    keypointset: KeypointSet,
    seed: int,
    report: monitoring.OnEpoch,
    checkpoints: Checkpoints | None = None,
    snapshots: Series | None = None,
) -> tuple[History, Health]:
    """Trains `net` on the augmented copies, one copy for each epoch in turn, and leaves it with its best or last epoch's weights.

    validation: labelled faces in the order of the net's keypoints. report: told after each epoch, see monitoring.Report.
    checkpoints: take the state after epochs, and may hold the one to go on from, as if nothing had happened in between.
    snapshots: of the weights on the way; none without it.
    Raises InputError where one of the two parts has no label, Diverged where no epoch left weights to keep.
    """
    _check_labels(copies, validation, keypointset)
    batch = min(recipe.batch, len(copies))
    blocks = blocks_of(len(copies), capacity=max(2 * batch, recipe.device_memory * 2**20 // keypointset.side**2))
    sizes = [block.stop - block.start for block in blocks]
    steps = [size // batch for size in sizes]

    unit_loss = recipe.optimizer in optimizers.STEP_WITH_THE_LOSS
    trainer = FacesOnDevice(net, max(sizes), keypointset, robust_from=recipe.robust_from, unit_loss=unit_loss)
    trainer.compile(optimizer=_optimizer(recipe, sum(steps)))
    trainer.optimizer.build(trainer.trainable_variables)
    checkpoints = checkpoints or Checkpoints()
    rows = checkpoints.rows()
    log = monitoring.Validation(lambda: _validation_rmse(net, validation, keypointset, copies.indices), report, rows)
    stopping = monitoring.EarlyStopping(
        net, patience=recipe.patience, patience_factor=recipe.patience_factor, improvement=recipe.improvement
    )
    halving = schedules.callbacks(recipe.schedule, start=recipe.learning_rate, halving_patience=recipe.halving_patience)
    checkup = Checkup(net, validation.images, checkpoints.health())
    keeper = Keeper(checkpoints, log, checkup, [stopping, *halving])
    taking = [TakeSnapshots(net, snapshots)] if snapshots else []
    done, schedule = len(rows), {"steps_per_epoch": sum(steps), "epochs": recipe.epochs}
    order = batches(sizes, batch, seed=seed, start=done)
    with ThreadPoolExecutor(1) as reader:
        callbacks = [PlaceFaces(copies, blocks, steps, reader), log, checkup, stopping, *halving, *taking, keeper]
        trainer.fit(device.stream(order), initial_epoch=done, shuffle=False, verbose=0, callbacks=callbacks, **schedule)
    history = History.of(log.rows)
    stopping.finish(history)
    return history, checkup.health


def _check_labels(copies: StoredVersions | DrawnWindows, validation: Samples, keypointset: KeypointSet) -> None:
    names = ", ".join(keypointset.names[k] for k in copies.indices)
    if len(copies) == 0:
        raise InputError(f"No face of the training part has a label for {names}: give more labelled faces.")
    if np.isnan(validation.keypoints).all():
        raise InputError(f"No face of the validation part has a label for {names}: choose another fold or a larger validation-share.")


def _optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    rate = schedules.learning_rate(
        recipe.schedule,
        start=recipe.learning_rate,
        stop=recipe.learning_rate_stop,
        decay=recipe.decay,
        warmup=recipe.warmup,
        epochs=recipe.epochs,
        steps=steps,
    )
    return optimizers.optimizer(
        recipe.optimizer,
        rate,
        momentum=recipe.momentum,
        momentum_stop=recipe.momentum_stop,
        weight_decay=recipe.weight_decay,
        clip_norm=recipe.clip_norm,
        total_steps=recipe.epochs * steps,
    )


def _validation_rmse(net: keras.Model, validation: Samples, keypointset: KeypointSet, indices: list[int]) -> float:
    predicted = views.predict(net, validation.images, keypointset, indices=indices, mirrored=False)
    pixel = validation.pixel[:, None, None]
    return rmse(of_source(predicted, validation.source) * pixel, validation.keypoints * pixel)
