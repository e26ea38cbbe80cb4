"""Fitting a net: samples on the device, blocks and batches, and the loop over the epochs."""

from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, pairwise
from math import prod
from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.errors import InputError
from pipeline.geometry.frame import Frame
from pipeline.keypoints.definition import KeypointSet
from pipeline.metrics.rmse import rmse
from pipeline.nets import device, forward, monitoring, network, optimizers, schedules
from pipeline.nets.checkpoints import Checkpoints, SaveCheckpoints
from pipeline.nets.health import MeasureHealth
from pipeline.nets.losses import heat_map_entropy, masked_mean, robust_square
from pipeline.nets.samples import Samples, Versions
from pipeline.nets.snapshots import Series, TakeSnapshots
from pipeline.nets.sources import of_source
from pipeline.nets.trained import Health, History


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters of a training. The tasks' parameters of the same names document the meaning and range of each field.

    robust_from: pixels of the frame, see `Trained.frame`. frame_pixel: the length of one such pixel in pixels of the whole images. The loss
    is in pixels of the frame, so that learning rates and penalties mean the same whatever the size of the images. If frame_pixel is 0, the
    loss and robust_from are in pixels of what the net sees, so that windows of all zooms count alike. heat_map: the weight of
    `losses.heat_map_entropy` in the loss. keypoint_weights: of the keypoints in the loss, see `rarity.keypoint_weights`; empty if all weigh
    the same.
    """

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
    seed: int
    frame_pixel: float = 1.0
    heat_map: float = 0.0
    keypoint_weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Hooks:
    """What happens alongside a training.

    on_epoch: called after each epoch. checkpoints: save the state of the training, and may hold a state to resume from, with the same
    result as without the interruption. snapshots: of the weights after some of the epochs, None for none.
    """

    on_epoch: monitoring.OnEpoch = lambda history: None
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    snapshots: Series | None = None


class SamplesOnDevice(keras.Model):
    """A net with the samples that it trains on: the images are a variable on the device, and a batch is a list of their indices.

    So an epoch copies its samples to the device once, and a training step copies nothing.
    """

    def __init__(
        self,
        net: keras.Model,
        capacity: int,
        *,
        robust_from: float,
        unit_loss: bool = False,
        frame_pixel: float = 1.0,
        heat_map: float = 0.0,
        weights: tuple[float, ...] = (),
    ) -> None:
        """Reserves room for `capacity` samples as the net takes them.

        robust_from, frame_pixel: see `Recipe`, `losses.robust_square`. unit_loss: whether the loss is in squared unit coordinates instead
        of square pixels, see `optimizers.STEP_WITH_THE_LOSS`. heat_map: weight of `losses.heat_map_entropy`, 0 for a net without heat maps.
        weights: those of the keypoints, see `Recipe`.
        """
        super().__init__(name="samples_on_device")
        frame = Frame(net.input_shape[1])
        self.net, self.frame, self.robust_from, self.frame_pixel = net, frame, robust_from, frame_pixel
        self.heat_map = heat_map
        self.with_maps = keras.Model(net.input, [net.output, network.heat_maps(net)]) if heat_map else None
        self.loss_scale = (2 / frame.side) ** 2 if unit_loss else 1.0
        self.keypoint_weights = np.array(weights, np.float32)[:, None]
        sources, keypoints = net.output_shape[1:3]

        def resident(name: str, *shape: int, dtype: str = "float32") -> keras.Variable:
            return self.add_weight(shape=(capacity, *shape), dtype=dtype, initializer="zeros", trainable=False, name=name)

        self.images = resident("images", *net.input_shape[1:], dtype="uint8")
        self.labels = resident("labels", keypoints, 2)
        self.known = resident("known", keypoints, 2)
        self.own_source = resident("own_source", sources)
        self.pixel = resident("pixel")
        self.squared_error = keras.metrics.Mean(name="squared_error")

    def place(self, samples: Samples) -> None:
        """Copies a block of at most `capacity` samples to the device."""
        known = ~np.isnan(samples.keypoints)
        sources = self.own_source.shape[1]
        own_source = np.eye(sources, dtype=np.float32)[samples.source if sources > 1 else np.zeros_like(samples.source)]
        for variable, value in (
            (self.images, samples.images[:]),
            (self.labels, np.where(known, samples.keypoints, 0.0).astype(np.float32)),
            (self.known, known.astype(np.float32)),
            (self.own_source, own_source),
            (self.pixel, samples.pixel),
        ):
            missing = variable.shape[0] - len(value)
            variable.assign(np.pad(value, ((0, missing),) + ((0, 0),) * (value.ndim - 1)) if missing else value)

    def call(self, index: Any, training: bool = False) -> Any:
        """The net's output (B, S, K, 2), unit coordinates, for the samples on the device with the indices int32 (B,).

        With a loss for heat maps, the list of this output and the heat maps.
        """
        return (self.with_maps or self.net)(ops.cast(ops.take(self.images, index, axis=0), "float32"), training=training)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True) -> Any:
        """The robust loss over the labelled values plus the penalties of the layers, a scalar.

        x: indices of the samples, int32 (B,). y_pred: the net's output for them, of which the own annotation source of each sample counts.
        """
        found, *maps = y_pred if self.with_maps else [y_pred]
        own = ops.einsum("bs,bskc->bkc", ops.take(self.own_source, x, axis=0), ops.cast(found, "float32"))
        known = ops.take(self.known, x, axis=0)
        difference = self.frame.to_pixels(own) - ops.take(self.labels, x, axis=0)
        whole = difference * ops.reshape(ops.take(self.pixel, x, axis=0), (-1, 1, 1))
        self.squared_error.update_state(masked_mean(ops.square(whole), known), sample_weight=ops.sum(known))
        if self.frame_pixel:
            difference = whole if self.frame_pixel == 1 else whole / self.frame_pixel
        if len(self.keypoint_weights):
            known = known * self.keypoint_weights
        loss = self.loss_scale * masked_mean(robust_square(difference, robust_from=self.robust_from), known)
        if maps:
            loss = loss + self.loss_scale * self.heat_map * self._entropy(x, ops.cast(maps[0], "float32"))
        return loss + sum(self.losses) if self.losses else loss

    def _entropy(self, x: Any, maps: Any) -> Any:
        """The mean cross-entropy of the heat maps (B, H, W, S * K) of the own annotation sources, a scalar. x: see `compute_loss`."""
        _, height, width, _ = maps.shape
        own_source, labels = ops.take(self.own_source, x, axis=0), ops.take(self.labels, x, axis=0)
        by_source = ops.reshape(maps, (-1, height, width, own_source.shape[1], labels.shape[1]))
        own = ops.einsum("bs,bhwsk->bhwk", own_source, by_source)
        known = ops.take(self.known, x, axis=0)[..., 0]
        entropy = heat_map_entropy(own, labels * (width / self.frame.side), known, spread=1.0)
        return masked_mean(entropy, known)


def blocks_of(samples: int, *, capacity: int) -> list[slice]:
    """Divides samples into as few blocks of at most `capacity` as possible, with sizes that differ by at most one.

    If there are several blocks, each of them is at least half full.
    """
    number = -(-samples // capacity)
    edges = [samples * i // number for i in range(number + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def batches(blocks: list[int], batch: int, *, seed: int, start: int = 0) -> Iterator[tuple[np.ndarray]]:
    """Yields batches (indices,) of indices into each block, int32 (batch,), epoch after epoch without end.

    blocks: the number of samples in each block. start: number of the first epoch, from 0. The order depends only on seed, epoch and block.
    Every batch is full, so that the training step is compiled only once; samples left over in one epoch take part in others.
    """
    for epoch in count(start):
        for block, size in enumerate(blocks):
            order = np.random.default_rng([seed, epoch, block]).permutation(size).astype(np.int32)
            for step in range(size // batch):
                yield (order[step * batch : (step + 1) * batch],)


class PlaceSamples(keras.callbacks.Callback):
    """Copies each block of samples to the device before its first batch, while a thread of `reader` prepares the block after it.

    Without that thread, a specialist would spend a tenth of its training time waiting for its windows to be cut. It begins with the first
    block at once, so that the net can be compiled in the meantime.
    """

    def __init__(self, versions: Versions, blocks: list[slice], steps: list[int], reader: Executor, *, start: int = 0) -> None:
        """steps: the number of training steps in each block. start: number of the first epoch, from 0."""
        super().__init__()
        self.versions, self.blocks, self.reader, self.epoch = versions, blocks, reader, 0
        self.block_at = {int(step): number for number, step in enumerate(np.cumsum([0, *steps[:-1]]))}
        self.placed: tuple[int, slice] | None = None
        self.coming = self._requested(self._wanted(start, 0))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if (number := self.block_at.get(batch)) is None or (wanted := self._wanted(self.epoch, number)) == self.placed:
            return
        self.model.place(self._read(wanted))
        self.placed = wanted
        epoch, number = divmod(self.epoch * len(self.blocks) + number + 1, len(self.blocks))
        if epoch < self.params["epochs"] and (upcoming := self._wanted(epoch, number)) != wanted:
            self.coming = self._requested(upcoming)

    def _requested(self, wanted: tuple[int, slice]) -> tuple[tuple[int, slice], Future[Samples]]:
        """A block of a version, and what the thread reads for it."""
        return wanted, self.reader.submit(self.versions.block, *wanted)

    def _read(self, wanted: tuple[int, slice]) -> Samples:
        """A block of a version; waits for the thread if that is already preparing the block."""
        if self.coming[0] == wanted:
            return self.coming[1].result()
        return self.versions.block(*wanted)

    def _wanted(self, epoch: int, number: int) -> tuple[int, slice]:
        return self.versions.version(epoch), self.blocks[number]


def fit(
    net: keras.Model, versions: Versions, validation: Samples, recipe: Recipe, *, keypointset: KeypointSet, hooks: Hooks
) -> tuple[History, Health]:
    """Trains a net, in each epoch on the next augmented version, and sets it to the weights of its best or last epoch.

    validation: samples with the keypoints of the net, in its order. Returns the history and the health of the training. Raises InputError
    if the training or validation part has no label, and Diverged if the training diverged before there were weights to keep.
    """
    _check_labels(versions, validation, keypointset)
    batch, size = min(recipe.batch, len(versions)), prod(net.input_shape[1:])
    blocks = blocks_of(len(versions), capacity=max(2 * batch, recipe.device_memory * 2**20 // size))
    sizes = [block.stop - block.start for block in blocks]
    steps = [size // batch for size in sizes]
    checkpoints, rows = hooks.checkpoints, hooks.checkpoints.rows()
    done, plan = len(rows), {"steps_per_epoch": sum(steps), "epochs": recipe.epochs}
    with ThreadPoolExecutor(1) as reader:
        place_samples = PlaceSamples(versions, blocks, steps, reader, start=done)
        trainer = _compiled(net, recipe, capacity=max(sizes), steps=sum(steps))
        log = monitoring.Validation(lambda: _validation_rmse(net, validation, keypointset, versions.indices), hooks.on_epoch, rows)
        stopping = monitoring.EarlyStopping(
            net, patience=recipe.patience, patience_factor=recipe.patience_factor, improvement=recipe.improvement
        )
        halving = schedules.callbacks(recipe.schedule, start=recipe.learning_rate, halving_patience=recipe.halving_patience)
        measure_health = MeasureHealth(net, validation.images, checkpoints.health())
        save_checkpoints = SaveCheckpoints(checkpoints, log, measure_health, [stopping, *halving])
        take_snapshots = [TakeSnapshots(net, hooks.snapshots)] if hooks.snapshots else []
        order = batches(sizes, batch, seed=recipe.seed, start=done)
        callbacks = [place_samples, log, measure_health, stopping, *halving, *take_snapshots, save_checkpoints]
        trainer.fit(device.stream(order), initial_epoch=done, shuffle=False, verbose=0, callbacks=callbacks, **plan)
    history = History.of(log.rows)
    stopping.finish(history)
    return history, measure_health.health


def _check_labels(versions: Versions, validation: Samples, keypointset: KeypointSet) -> None:
    names = ", ".join(keypointset.names[k] for k in versions.indices)
    if len(versions) == 0:
        raise InputError(f"No sample of the training part has a label for {names}. Provide more labelled samples.")
    if np.isnan(validation.keypoints).all():
        raise InputError(
            f"No sample of the validation part has a label for {names}. Choose another --Load-fold or a larger --Load-validation-share."
        )


def _compiled(net: keras.Model, recipe: Recipe, *, capacity: int, steps: int) -> SamplesOnDevice:
    """The net with room for `capacity` samples and with the recipe's optimizer. steps: training steps in an epoch."""
    unit_loss = recipe.optimizer in optimizers.STEP_WITH_THE_LOSS
    bend, pixel = recipe.robust_from, recipe.frame_pixel
    trainer = SamplesOnDevice(
        net,
        capacity,
        robust_from=bend,
        unit_loss=unit_loss,
        frame_pixel=pixel,
        heat_map=recipe.heat_map,
        weights=recipe.keypoint_weights,
    )
    trainer.compile(optimizer=_optimizer(recipe, steps))
    trainer.optimizer.build(trainer.trainable_variables)
    return trainer


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
    """The RMSE over the labelled values, in pixels of the whole images."""
    predicted = forward.predict(net, validation.images, keypointset, indices=indices, mirrored=False)
    pixel = validation.pixel[:, None, None]
    return rmse(of_source(predicted, validation.source) * pixel, validation.keypoints * pixel)
