"""Fitting: the loss, samples in blocks, early stopping, and complete trainings on faces made of dots."""

import gc
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from naive import block_sizes, linear_training, order_of_faces
from naive import masked_mean as naive_masked_mean
from toys import DOTS, EYES, SIDE, build, labelled, linear_net, recipe, train_dots, versions_of

from pipeline.errors import InputError
from pipeline.geometry.frame import Frame
from pipeline.metrics.rmse import rmse
from pipeline.nets.samples import Samples, StoredVersions
from pipeline.nets.sources import of_source

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def training():
    from pipeline.nets import device, training

    device.prepare(seed=0, threads=0)
    return training


@pytest.fixture
def faces(training):
    return labelled(50, seed=1)


def fitted(training, net, versions, validation, *, seed=0, reports=None, **changes):
    hooks = training.Hooks() if reports is None else training.Hooks(on_epoch=reports.append)
    return training.fit(net, versions, validation, recipe(seed=seed, **changes), keypointset=DOTS, hooks=hooks)[0]


def weights(net):
    from pipeline.nets import network

    return {path: value.copy() for path, value in network.weights(net).items()}


def same(first, second):
    return all(np.array_equal(first[path], value) for path, value in second.items())


# ---- the loss --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [1.0, 0.4, 0.0])
def test_the_masked_mean_is_the_loops(training, share):
    """It is the mean over the known values only, each counted once, and 0 if nothing is known."""
    from pipeline.nets import losses

    rng = np.random.default_rng(3)
    values, known = rng.normal(0, 5, (6, 4, 2)).astype(np.float32), (rng.random((6, 4, 2)) < share).astype(np.float32)
    assert float(losses.masked_mean(values, known)) == pytest.approx(naive_masked_mean(values, known), rel=1e-5)


@pytest.mark.parametrize(("values", "known"), [((6, 4, 2), (6, 4, 1)), ((6, 4, 2), (1, 4, 2)), ((6, 4, 2), (4, 2)), ((6, 1, 2), (6, 4, 2))])
def test_the_masked_mean_of_different_shapes_raises(training, values, known):
    """Broadcasting would give a wrong mean; the ValueError has both shapes."""
    from pipeline.nets import losses

    with pytest.raises(ValueError, match=re.escape(f"values {values} and known {known}")):
        losses.masked_mean(np.ones(values, np.float32), np.ones(known, np.float32))


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (0.0, 0.0),
        (0.01, 0.0001),  # far below 2 px: the square
        (-2.0, 8 * (2**0.5 - 1)),  # at 2 px: 2 d^2 (sqrt(1 + 1) - 1) with d = 2
        (2000.0, 8 * (1000 - 1)),  # far above: 4 d |x| / 2 - 2 d^2, and sqrt(1 + 1000^2) is 1000.0005
    ],
)
def test_the_robust_square_is_the_square_of_small_errors_and_proportional_to_gross_ones(training, difference, expected):
    """The values of the pseudo-Huber loss with robust_from 2 px are computed by hand."""
    from pipeline.nets import losses

    assert float(losses.robust_square(np.float32(difference), robust_from=2.0)) == pytest.approx(expected, rel=1e-3)


def test_without_a_bend_the_loss_is_the_plain_square(training):
    """With robust_from 0 every error is squared."""
    from pipeline.nets import losses

    np.testing.assert_array_equal(losses.robust_square(np.float32([-3, 50]), robust_from=0.0), [9, 2500])


def test_a_gross_error_counts_less_in_the_loss_and_in_full_in_the_rmse(training, faces):
    """With robust_from 2 px the loss of faces that are 30 px off is smaller, while the reported training RMSE stays the same."""
    off = replace(faces, keypoints=faces.keypoints + np.float32(30))
    plain, robust = (trainer_with(training, linear_net(), off, robust_from=bend) for bend in (0.0, 2.0))
    assert loss_of(robust) < 0.2 * loss_of(plain)
    assert float(robust.squared_error.result()) == pytest.approx(float(plain.squared_error.result()), rel=1e-6)


def test_weights_of_keypoints_count_in_the_loss_and_not_in_the_rmse(training, faces):
    """The loss is the weighted mean of the squared errors of the labelled values, and equal weights change nothing."""
    count = faces.keypoints.shape[1]
    weights = np.where(np.arange(count) == 3, 3.0, 1.0)
    plain, equal, weighted = (trainer_with(training, linear_net(), faces, weights=w) for w in ((), (2.0,) * count, tuple(weights)))
    squared = np.square(Frame(SIDE).to_pixels(np.asarray(plain(np.arange(len(faces.images)))))[:, 0] - faces.keypoints)
    known = ~np.isnan(squared)
    expected = np.nansum(squared * weights[:, None]) / (known * weights[:, None]).sum()
    assert loss_of(equal) == pytest.approx(loss_of(plain), rel=1e-6)
    assert loss_of(weighted) == pytest.approx(expected, rel=1e-5)
    assert float(weighted.squared_error.result()) == pytest.approx(float(plain.squared_error.result()), rel=1e-6)


def trainer_with(training, net, faces, *, robust_from=0.0, weights=()):
    trainer = training.SamplesOnDevice(net, len(faces.images), robust_from=robust_from, weights=weights)
    trainer.place(faces)
    return trainer


def loss_of(trainer):
    """The loss of all faces as one training step."""
    index = np.arange(trainer.images.shape[0], dtype=np.int32)
    return float(trainer.compute_loss(x=index, y_pred=trainer(index, training=True)))


def test_the_loss_is_the_squared_error_of_each_faces_own_source(training, faces):
    """For a net with two sources the loss is the squared RMSE, in pixels, of the predictions that of_source selects."""

    net = build("compact")
    predicted = Frame(SIDE).to_pixels(np.asarray(net(faces.images.astype(np.float32), training=True)))
    expected = rmse(of_source(predicted, faces.source), faces.keypoints) ** 2
    assert loss_of(trainer_with(training, net, faces)) == pytest.approx(expected, rel=1e-4)


def test_penalties_are_part_of_the_loss(training, faces):
    """If no face is labelled, the loss consists of the l1 and l2 penalties, and is 0 without them."""
    unlabelled = replace(faces, keypoints=np.full_like(faces.keypoints, np.nan))
    assert loss_of(trainer_with(training, build("compact"), unlabelled)) == 0
    net = build("compact", l1=1e-3, l2=1e-3)
    assert loss_of(trainer_with(training, net, unlabelled)) == pytest.approx(float(sum(net.losses)), rel=1e-5)


def magnified(faces, factor):
    """Faces with keypoints moved away from the image centre by factors (n,), in pixels that are shorter by the same factors."""
    factor = np.asarray(factor, np.float32)
    keypoints = SIDE / 2 + (faces.keypoints - SIDE / 2) * factor[:, None, None]
    return replace(faces, keypoints=keypoints, pixel=1 / factor)


def test_loss_and_rmse_are_in_pixels_of_the_image(training, faces):
    """A net that always predicts the image centre has the same error for a magnified face: twice as many pixels, each half as long.

    With robust_from 2 px this also checks that the errors are scaled before the loss and not their squares afterwards.
    """
    seen = magnified(faces, np.linspace(0.5, 2, 50))
    plain, zoomed = (trainer_with(training, linear_net(), of, robust_from=2.0) for of in (faces, seen))
    assert loss_of(zoomed) == pytest.approx(loss_of(plain), rel=1e-5)
    assert float(zoomed.squared_error.result()) == pytest.approx(float(plain.squared_error.result()), rel=1e-5)


def test_the_history_is_in_pixels_of_the_image(training, faces):
    """A net that always predicts the image centre has the same training and validation RMSE for magnified faces as for plain ones.

    Blocks of unequal size show that the lengths of the pixels are placed on the device with their faces.
    """
    versions, rate = versions_of(faces), {"optimizer": "sgd", "learning_rate": 1e-12, "epochs": 2, "batch": 8, "device_memory": 0}
    seen = magnified(faces, np.linspace(0.5, 2, 50))

    class Magnified:
        indices, version, __len__ = versions.indices, versions.version, lambda self: 50

        def block(self, version, rows):
            return Samples(*(values[rows] for values in vars(seen).values()))

    plain, zoomed = (fitted(training, linear_net(), *parts, **rate) for parts in ((versions, faces), (Magnified(), seen)))
    np.testing.assert_allclose(zoomed.training_rmse, plain.training_rmse, rtol=1e-5)
    np.testing.assert_allclose(zoomed.validation_rmse, plain.validation_rmse, rtol=1e-5)


def test_faces_without_labels_move_nothing(training, faces):
    """Training on faces whose keypoints are all NaN leaves the weights unchanged, byte for byte, with an RMSE of 0."""
    net = linear_net()
    before = weights(net)
    history = fitted(training, net, versions_of(replace(faces, keypoints=np.full_like(faces.keypoints, np.nan))), faces)
    assert same(before, weights(net))
    assert (history.training_rmse == 0).all()


def test_a_missing_keypoint_moves_nothing(training, faces):
    """The outputs for a keypoint without any label do not change while the others learn."""
    keypoints = faces.keypoints.copy()
    keypoints[:, 1] = np.nan
    net = linear_net()
    fitted(training, net, versions_of(replace(faces, keypoints=keypoints)), replace(faces, keypoints=keypoints))
    moved = np.abs(weights(net)["keypoints/kernel"]).sum(axis=0).reshape(3, 2) > 0
    np.testing.assert_array_equal(moved, [[True, True], [False, False], [True, True]])


# ---- order of the samples --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("faces", "capacity"), [(1, 2), (10, 10), (11, 10), (65, 128), (129, 128), (1000, 300)])
def test_blocks_hold_every_face_once_and_are_at_least_half_full(training, faces, capacity):
    """There are as few blocks as possible, each face is in one, none exceeds the capacity, and sizes differ by at most one."""
    blocks = training.blocks_of(faces, capacity=capacity)
    assert [i for block in blocks for i in range(block.start, block.stop)] == list(range(faces))
    sizes = [block.stop - block.start for block in blocks]
    assert sorted(sizes) == block_sizes(faces, capacity)
    assert len(blocks) == 1 or min(sizes) >= capacity // 2


def test_faces_come_in_the_order_of_the_loops(training, tmp_path):
    """With room for 16 of 50 faces, a linear net gets the same weights from three versions in an HDF5 file as a training in loops.

    This shows that blocks and versions take turns, that the order depends on (seed, epoch, block), and that the best epoch is kept.
    """
    versions = [labelled(50, seed=seed) for seed in (1, 2, 3)]
    validation = labelled(20, seed=4)
    net = linear_net()
    with h5py.File(tmp_path / "versions.h5", "w") as file:
        file["images"], file["keypoints"] = np.stack([v.images for v in versions]), np.stack([v.keypoints for v in versions])
        source = StoredVersions(file["images"], file["keypoints"], versions[0].source, rows=np.arange(50), indices=[0, 1, 2])
        options = {"optimizer": "sgd", "learning_rate": 3e-4, "epochs": 4, "batch": 8, "device_memory": 0, "patience": 4}
        history = fitted(training, net, source, validation, seed=9, **options)
    order = order_of_faces([12, 13, 12, 13], batch=8, epochs=4, seed=9)
    images, keypoints = np.stack([v.images for v in versions]).astype(float), np.stack([v.keypoints for v in versions])
    expected = linear_training(images, keypoints, (validation.images, validation.keypoints), order=order, rate=3e-4, side=SIDE)
    np.testing.assert_allclose(history.validation_rmse, [rmse for _, _, rmse in expected], rtol=1e-4)
    kernel, bias, _ = min(expected, key=lambda epoch: epoch[2])
    np.testing.assert_allclose(weights(net)["keypoints/kernel"], kernel, rtol=1e-3, atol=1e-8)
    np.testing.assert_allclose(weights(net)["keypoints/bias"], bias, rtol=1e-3)


class Recorded:
    """Versions that record each block that is read and whether the main thread read it; reading block number `broken` fails."""

    def __init__(self, versions, broken=None):
        self.versions, self.indices, self.version, self.read, self.broken = versions, versions.indices, versions.version, [], broken

    def __len__(self):
        return len(self.versions)

    def block(self, version, rows):
        self.read.append((version, rows.start, threading.current_thread() is threading.main_thread()))
        if len(self.read) == self.broken:
            raise InputError("the disk is gone")
        return self.versions.block(version, rows)


def test_the_next_block_is_read_while_the_net_trains(training, faces):
    """Each block of two versions is read once, in order, by another thread, and none after the last epoch."""
    recorded = Recorded(versions_of(faces, labelled(50, seed=2)))
    fitted(training, linear_net(), recorded, faces, epochs=3, batch=8, device_memory=0)
    starts = (0, 12, 25, 37)
    assert recorded.read == [(version, start, False) for version in (0, 1, 0) for start in starts]


def test_a_version_that_stays_on_the_device_is_read_once(training, faces):
    """If the only version fits on the device, it is not read again for another epoch."""
    recorded = Recorded(versions_of(faces))
    fitted(training, linear_net(), recorded, faces, epochs=3, batch=8)
    assert recorded.read == [(0, 0, False)]


def test_an_error_of_the_reading_thread_ends_the_training(training, faces):
    """The error is raised in the main thread when the block is needed."""
    with pytest.raises(InputError, match="the disk is gone"):
        fitted(training, linear_net(), Recorded(versions_of(faces), broken=3), faces, epochs=3, batch=8, device_memory=0)


def test_a_batch_larger_than_the_set_is_the_whole_set(training, faces):
    """With fewer faces than a batch, each epoch has one step with all faces."""
    few = Samples(*(values[:5] for values in vars(faces).values()))
    net = linear_net()
    fitted(training, net, versions_of(few), faces, optimizer="sgd", learning_rate=3e-4, epochs=1, batch=64)
    order = order_of_faces([5], batch=5, epochs=1, seed=0)
    expected = linear_training(
        few.images[None].astype(float), few.keypoints[None], (few.images, few.keypoints), order=order, rate=3e-4, side=SIDE
    )
    np.testing.assert_allclose(weights(net)["keypoints/kernel"], expected[0][0], rtol=1e-3, atol=1e-8)


# ---- early stopping --------------------------------------------------------------------------------------------------------------------


class FakeNet:
    """A net whose only weight is the number of the epoch."""

    weight, stop_training = 0, False

    def get_weights(self):
        return self.weight

    def set_weights(self, weight):
        self.weight = weight


def stopping(values, *, patience, patience_factor=0.0, improvement=0.01):
    """(epochs trained, epoch of the weights that are kept) for a sequence of validation RMSEs."""
    from pipeline.nets import monitoring

    net = FakeNet()
    callback = monitoring.EarlyStopping(net, patience=patience, patience_factor=patience_factor, improvement=improvement)
    callback.set_model(net)
    for epoch, value in enumerate(values):
        net.weight = epoch + 1
        callback.on_epoch_end(epoch, {"validation_rmse": value})
        if net.stop_training:
            break
    trained = net.weight
    callback.finish(None)
    return trained, net.weight


def test_a_training_stops_after_patience_epochs_without_improvement(training):
    """Epoch 2 is the best and patience is 3: epochs 3, 4 and 5 are not better, so the training ends and epoch 2's weights are restored."""
    assert stopping([5, 4, 4.5, 4.5, 4.5, 4.5, 1], patience=3) == (5, 2)


def test_an_improvement_counts_from_a_relative_size_on(training):
    """With improvement 0.1 the step from 4 to 3.7 earns no patience, but its weights are kept."""
    assert stopping([5, 4, 3.7, 3.7, 3.7, 3.7], patience=3, improvement=0.1) == (5, 3)
    assert stopping([5, 4, 3.5, 3.5, 3.5, 3.5], patience=3, improvement=0.1) == (6, 3)


def test_small_steps_add_up(training):
    """Steps that are too small to count individually count as soon as their sum reaches the relative improvement."""
    assert stopping([4, 3.8, 3.5, 3.5, 3.5, 3.5, 3.5], patience=3, improvement=0.1) == (6, 3)


def test_patience_grows_with_the_best_epoch(training):
    """With factor 0.5, best epoch 8 earns 4 more epochs although patience is 2; best epoch 2 earns 2."""
    falling = [9 - epoch for epoch in range(8)]
    assert stopping(falling + [5] * 20, patience=2, patience_factor=0.5) == (12, 8)
    assert stopping([5, 4] + [5] * 20, patience=2, patience_factor=0.5) == (4, 2)


def test_patience_zero_never_stops_and_chooses_nothing(training):
    """With patience 0 all epochs are trained, however early the best one was, and the last epoch's weights are kept."""
    assert stopping([1] + [2] * 50, patience=0, patience_factor=0.5) == (51, 51)


def test_a_training_that_diverges_stops_at_once(training):
    """If the validation RMSE becomes NaN, the best weights so far are kept; if there are none, an error says what to do."""
    assert stopping([3, 2, np.nan, 1], patience=5) == (3, 2)
    for values, patience in (([np.nan], 5), ([3, 2, np.nan, 1], 0), ([np.inf], 5), ([3, np.inf], 0)):
        with pytest.raises(InputError, match=r"diverged.*Lower the learning rate"):
            stopping(values, patience=patience)


@pytest.mark.parametrize(("part", "message"), [("training", "training part .* left_eye, right_eye\\."), ("validation", "validation part")])
def test_a_part_without_labels_is_refused(training, faces, part, message):
    """If the training or the validation part has no label at all, an InputError says so."""
    versions = versions_of(faces, rows=np.arange(0 if part == "training" else 50), indices=EYES)
    keypoints = faces.keypoints[:, EYES] * (np.nan if part == "validation" else 1)
    with pytest.raises(InputError, match=message):
        fitted(training, linear_net(keypoints=2), versions, replace(faces, keypoints=keypoints))


# ---- whole trainings -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("compact", {"optimizer": "adamw", "schedule": "cosine", "learning_rate": 3e-3, "weight_decay": 1e-4, "epochs": 12}),
        ("kfkd", {"optimizer": "nesterov", "schedule": "linear", "learning_rate": 1e-2, "momentum_stop": 0.99, "epochs": 12}),
    ],
)
def test_a_net_learns_where_the_dots_are(training, name, changes):
    """Both nets are far better than the mean face; each epoch is in the history and reported, and the last epoch's weights are kept."""
    import keras

    from pipeline.nets import forward

    keras.utils.set_random_seed(0)
    versions, validation, reports = [labelled(300, seed=seed) for seed in (1, 2)], labelled(60, seed=3), []
    net = build(name)
    history = fitted(training, net, versions_of(*versions), validation, reports=reports, **changes)
    np.testing.assert_array_equal(history.epoch, np.arange(1, 13))
    assert [told.rows() for told in reports] == [history.rows()[:epochs] for epochs in range(1, len(history.epoch) + 1)]
    assert history.learning_rate[-1] < history.learning_rate[5]

    predicted = forward.predict(net, validation.images, DOTS, indices=[0, 1, 2], mirrored=False)
    last = rmse(of_source(predicted, validation.source), validation.keypoints)
    assert last == pytest.approx(history.validation_rmse[-1], rel=1e-5)
    mean_face = np.broadcast_to(np.nanmean(versions[0].keypoints, axis=0), validation.keypoints.shape)
    assert last < 0.5 * rmse(mean_face, validation.keypoints)


# ---- processes and backends ------------------------------------------------------------------------------------------------------------

SCRIPT = """
from pipeline.nets import device
said = device.prepare(seed=0, threads=0)
from toys import train_dots
digest, history, health = train_dots(seed=1)
assert history.epoch.tolist() == [1, 2] and (history.validation_rmse < 50).all()
assert health.ratio.shape == (2, 15) and ((health.ratio > 0) & (health.gradient > 0) & (health.spread > 0)).all()
print(said, digest)
"""


def started(backend, script=SCRIPT):
    here = Path(__file__).parent
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"}
    return subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out.split("\n")[-2]


def backend():
    import keras

    return keras.backend.backend()


@pytest.mark.slow
def test_equal_seeds_give_equal_bytes(training):
    """Two trainings with the same seed, in two processes, give the same weights byte for byte."""
    elsewhere = started(backend())
    assert output(elsewhere).endswith(train_dots(seed=1)[0])


def test_the_seed_determines_the_initial_weights_and_the_order(training):
    """Another seed gives other initial weights and another order of the same faces."""
    import keras

    first, orders = [], []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        first.append(weights(build("kfkd"))["conv1/kernel"])
        orders.append(next(training.batches([50], 50, seed=seed))[0])
    assert not np.array_equal(*first)
    assert not np.array_equal(*orders)
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(50))


def test_the_stream_of_batches_starts_no_thread_that_fit_waits_for(training):
    """Batches are unchanged and in order, and TensorFlow's tuning of buffers, for which `fit` would wait at the end, is off."""
    from pipeline.nets import device

    wanted = [np.arange(start, start + 3, dtype=np.int32) for start in (5, 1, 8)]
    stream = device.stream((batch,) for batch in wanted)
    np.testing.assert_array_equal([np.asarray(batch) for (batch,) in stream], wanted)
    if backend() == "tensorflow":
        assert stream.options().autotune.enabled is False


@pytest.mark.slow
def test_jax_trains_through_the_same_code(training):
    """With KERAS_BACKEND=jax the same program prepares, trains and measures."""
    pytest.importorskip("jax", reason="JAX is an optional backend and is not installed")
    assert "(jax " in output(started("jax"))


def test_earlier_nets_are_freed(training):
    """Preparing the next training frees the memory of the previous one, without waiting for Python's garbage collector."""
    from pipeline.nets import device

    faces = labelled(20, seed=1)
    gc.disable()
    try:
        fitted(training, linear_net(), versions_of(faces), faces, epochs=1)
        device.prepare(seed=0, threads=0)
        assert [thing for thing in gc.get_objects() if isinstance(thing, training.SamplesOnDevice)] == []
    finally:
        gc.enable()


THREADS = """
from pipeline.nets import device
once, again = (device.prepare(seed=0, threads=3) for _ in range(2))
import tensorflow as tf
assert once == again
print(once, tf.config.threading.get_intra_op_parallelism_threads(), tf.config.threading.get_inter_op_parallelism_threads())
"""


@pytest.mark.slow
def test_the_number_of_threads_is_set_and_told(training):
    """`prepare` sets TensorFlow's threads and returns device and version; a second call with the same number returns the same."""
    pytest.importorskip("tensorflow")
    import tensorflow as tf

    said = output(started("tensorflow", THREADS))
    assert said.endswith(" 3 3")
    assert said.startswith((f"CPU, 3 threads (tensorflow {tf.__version__})", "GPU"))


def test_a_net_without_heat_maps_takes_no_loss_for_them(monkeypatch):
    """The message names the flag; auto leaves the loss out."""
    import pipeline
    from pipeline.tasks.specialist import TrainSpecialist

    stage = pipeline.TrainBase(network="kfkd", heat_map=0.3)
    with pytest.raises(InputError, match=r"--TrainBase-heat-map 0.3: kfkd has no heat maps"):
        stage.recipe("kfkd", 96, 96)
    assert pipeline.TrainBase(network="kfkd").recipe("kfkd", 96, 96).heat_map == 0
    assert TrainSpecialist(group="mouth").recipe("compact", 96, 96).heat_map == 0
