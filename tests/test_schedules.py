"""Learning rates and momenta during a training, compared with values computed by hand; every optimizer on a quadratic function."""

import numpy as np
import pytest
from naive import momentum_steps
from toys import linear_net

from pipeline.nets.options import OPTIMIZERS, SCHEDULES

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def schedules():
    from pipeline.nets import device, schedules

    device.prepare(seed=0, threads=0)
    return schedules


# ---- learning rates: 10 epochs of 20 steps, start 0.1 and, if the schedule has one, stop 0.001 ------------------------------------------


def rates(schedules, schedule, at, **changes):
    """The learning rate at each of the optimizer steps `at`."""
    values = {"start": 0.1, "stop": 0.001, "decay": 0.5, "warmup": 2.0, "epochs": 10, "steps": 20}
    rate = schedules.learning_rate(schedule, **values | changes)
    return [float(rate(step)) if callable(rate) else rate for step in at]


def test_constant_stays(schedules):
    """constant is always `start`; so is halving, apart from its callback."""
    assert rates(schedules, "constant", [0, 100, 199]) == rates(schedules, "halving", [0, 100, 199]) == [0.1] * 3


def test_linear_goes_straight_from_start_to_stop(schedules):
    """linear: `start` first, (0.1 + 0.001) / 2 halfway, `stop` at the end and afterwards."""
    assert rates(schedules, "linear", [0, 100, 200, 300]) == pytest.approx([0.1, 0.0505, 0.001, 0.001])


def test_inverse_falls_from_epoch_to_epoch(schedules):
    """inverse: start / (1 + 0.5 * epoch), the same for all 20 steps of an epoch: 0.1, then 0.1 / 1.5, and 0.1 / 5.5 in the tenth epoch."""
    wanted = [0.1, 0.1, 0.1 / 1.5, 0.1 / 1.5, 0.1 / 5.5]
    assert rates(schedules, "inverse", [0, 19, 20, 39, 199]) == pytest.approx(wanted)


def test_cosine_rises_and_falls(schedules):
    """cosine: rises for 2 epochs (40 steps) from 1 / 40 of `start` to `start`, then falls to `stop` along half a cosine over 160 steps.

    Halfway down (step 120) it is the mean of both ends; a quarter down (80) stop + 0.099 * (1 + cos(45 degrees)) / 2.
    """
    quarter = 0.001 + 0.099 * (1 + 0.5**0.5) / 2
    wanted = [0.0025, 0.05125, 0.1, quarter, 0.0505, 0.001, 0.001]
    assert rates(schedules, "cosine", [0, 20, 40, 80, 120, 200, 250]) == pytest.approx(wanted, rel=1e-4)


def test_cosine_without_warm_up_starts_at_the_top(schedules):
    """With warmup 0 the first step has the full learning rate."""
    assert rates(schedules, "cosine", [0, 100, 200], warmup=0.0) == pytest.approx([0.1, 0.0505, 0.001], rel=1e-4)


def test_cosine_with_a_warm_up_longer_than_the_training_stays_finite(schedules):
    """A warm-up that is too long ends one step before the training does; a single step has the full learning rate."""
    assert rates(schedules, "cosine", [199], warmup=50.0) == pytest.approx([0.1])
    assert rates(schedules, "cosine", [0], epochs=1, steps=1) == pytest.approx([0.1])


def halved(schedules, values, *, patience):
    """The learning rate after each epoch with these validation RMSEs."""
    import keras

    net = linear_net()
    net.compile(optimizer=keras.optimizers.SGD(0.1))
    (callback,) = schedules.callbacks("halving", start=0.1, halving_patience=patience)
    callback.set_model(net)
    callback.on_train_begin()
    after = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"validation_rmse": value})
        after.append(float(net.optimizer.learning_rate))
    return after


def test_halving_halves_after_epochs_without_improvement(schedules):
    """With patience 2, two consecutive epochs without improvement halve the rate; any improvement, however small, restarts the count."""
    values = [5.0, 4.0, 4.0, 3.999, 4.0, 4.0, 3.0, 3.1, 3.1, 3.1, 3.1]
    wanted = [0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.0125]
    assert halved(schedules, values, patience=2) == pytest.approx(wanted)


def test_halving_ends_at_a_1024th(schedules):
    """It is halved at most ten times."""
    after = halved(schedules, [1.0] * 15, patience=1)
    assert after[10:] == pytest.approx([0.1 / 1024] * 5)
    assert after[9] == pytest.approx(0.1 / 512)


def test_every_schedule_works_and_no_other_name(schedules):
    """options.SCHEDULES is the list of schedules; only halving needs a callback; any other name is refused with the list."""
    for name in SCHEDULES:
        assert np.isfinite(rates(schedules, name, [0, 7, 200])).all()
        assert len(schedules.callbacks(name, start=0.1, halving_patience=1)) == (name == "halving")
    with pytest.raises(ValueError, match="unknown schedule 'steps'; expected one of constant, linear, inverse, halving, cosine"):
        rates(schedules, "steps", [0])


# ---- optimizers on a quadratic function: loss = sum(steepness * (position - 1) ** 2) / 2 -------------------------------------------------

STEEPNESS = np.array([1.0, 0.3, 4.0])
START = np.array([3.0, -2.0, 0.0])


def gradient(position):
    return STEEPNESS * (position - 1)


def loss(position):
    return float((STEEPNESS * (position - 1) ** 2).sum() / 2)


def descend(optimizer, steps):
    """The positions after each step of a Keras optimizer."""
    import keras

    variable, positions = keras.Variable(START, dtype="float32"), []
    for _ in range(steps):
        optimizer.apply([keras.ops.convert_to_tensor(gradient(np.asarray(variable).copy()), "float32")], [variable])
        positions.append(np.asarray(variable).copy())
    return positions


def made(schedules, name, rate=0.05, **changes):
    from pipeline.nets import optimizers

    values = {"momentum": 0.8, "momentum_stop": 0.8, "weight_decay": 0.0, "clip_norm": 0.0, "total_steps": 30}
    return optimizers.optimizer(name, rate, **values | changes)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_down(schedules, name):
    """Thirty steps of every optimizer lower the loss."""
    assert loss(descend(made(schedules, name), 30)[-1]) < loss(START)


def test_another_name_is_refused(schedules):
    """A name that is not in options.OPTIMIZERS raises an error that lists the names."""
    with pytest.raises(ValueError, match="unknown optimizer 'lion'; expected one of sgd, momentum"):
        made(schedules, "lion")


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_constant_ramp_is_keras_momentum(schedules, nesterov):
    """If momentum equals momentum_stop, the steps are exactly those of keras.optimizers.SGD."""
    import keras

    ours = descend(made(schedules, "nesterov" if nesterov else "momentum"), 30)
    theirs = descend(keras.optimizers.SGD(0.05, momentum=0.8, nesterov=nesterov), 30)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_the_momentum_rises_step_by_step(schedules, nesterov, start):
    """The momentum of step i is start + (0.9 - start) * i / 20 up to 0.9, where it stays; this also works from momentum 0."""
    ours = descend(made(schedules, "nesterov" if nesterov else "momentum", momentum=start, momentum_stop=0.9, total_steps=20), 30)
    momenta = [start + (0.9 - start) * min(step / 20, 1) for step in range(30)]
    np.testing.assert_allclose(ours, momentum_steps(START, gradient, rate=0.05, momenta=momenta, nesterov=nesterov), atol=1e-4)


def test_the_learning_rate_can_be_a_schedule(schedules):
    """Two steps of plain descent with the rates 0.1 and 0.1 / 1.5 of the inverse schedule."""
    rate = schedules.learning_rate("inverse", start=0.1, stop=0.0, decay=0.5, warmup=0.0, epochs=2, steps=1)
    first = START - 0.1 * gradient(START)
    np.testing.assert_allclose(descend(made(schedules, "sgd", rate), 2)[1], first - 0.1 / 1.5 * gradient(first), rtol=1e-5)


def test_clip_norm_bounds_the_step(schedules):
    """A gradient longer than clip_norm is scaled down to this length; with 0 it is left unchanged."""
    clipped, free = (descend(made(schedules, "sgd", 1.0, clip_norm=norm), 1)[0] - START for norm in (0.5, 0.0))
    assert np.linalg.norm(clipped) == pytest.approx(0.5, rel=1e-5)
    np.testing.assert_allclose(free, -gradient(START), rtol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_adamw_and_muon_decay_kernels_alone(schedules, name):
    """Without a gradient, each step shrinks a kernel by rate * decay; bias, gamma and beta stay the same."""
    import keras

    variables = [keras.Variable([1.0], name=name) for name in ("kernel", "bias", "gamma", "beta")]
    made(schedules, name, 0.1, weight_decay=0.2).apply([keras.ops.zeros(1)] * 4, variables)
    np.testing.assert_allclose([float(variable[0]) for variable in variables], [0.98, 1, 1, 1], rtol=1e-6)


def test_muon_changes_a_convolution_in_all_directions_alike(schedules):
    """The step of a kernel as a matrix has singular values of about 1, times rate * 0.2 * the root of its larger side."""
    import keras

    rng = np.random.default_rng(0)
    kernel = keras.Variable(rng.normal(size=(3, 3, 8, 16)), dtype="float32", name="kernel")
    before, slope = np.asarray(kernel).copy(), rng.normal(size=(3, 3, 8, 16)) * np.geomspace(1, 100, 16)
    made(schedules, "muon", 0.1).apply([keras.ops.convert_to_tensor(slope, "float32")], [kernel])
    step = (np.asarray(kernel) - before).reshape(72, 16) / (0.1 * 0.2 * np.sqrt(72))
    values = np.linalg.svd(step, compute_uv=False)
    assert np.linalg.cond(slope.reshape(72, 16)) > 50
    assert 0.5 < values.min() < values.max() < 1.3
    assert (step * slope.reshape(72, 16)).sum() < 0


@pytest.mark.parametrize("shape", [(90, 12), (12, 90), (20, 20)], ids=["tall", "wide", "square"])
def test_muon_orthogonalises_as_keras_does(schedules, shape):
    """The iteration on the smaller product gives what the iteration on the matrix gives."""
    import keras

    matrix = keras.ops.convert_to_tensor(np.random.default_rng(0).normal(size=shape), "float32")
    muon = made(schedules, "muon", 0.1)
    expected = keras.optimizers.Muon.zeropower_via_newtonschulz5(muon, matrix, 5)
    np.testing.assert_allclose(muon.zeropower_via_newtonschulz5(matrix, 5), expected, atol=1e-4)
    assert np.linalg.svd(expected, compute_uv=False).min() > 0.5


def test_muon_leaves_the_first_and_the_last_layer_to_adamw(schedules):
    """Their kernels, and all biases, change as they do with keras.optimizers.AdamW."""
    import keras

    def after(optimizer):
        rng = np.random.default_rng(0)
        net = keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="stem"), keras.layers.Conv2D(3, 1, name="keypoints")]
        )
        for variable in net.trainable_variables:
            variable.assign(rng.normal(size=variable.shape))
        slopes = [keras.ops.convert_to_tensor(rng.normal(size=variable.shape), "float32") for variable in net.trainable_variables]
        optimizer.apply(slopes, net.trainable_variables)
        return [np.asarray(variable).copy() for variable in net.trainable_variables]

    for ours, theirs in zip(after(made(schedules, "muon", 0.1)), after(keras.optimizers.AdamW(0.1, weight_decay=0.0)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
