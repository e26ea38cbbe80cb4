"""The health of a training: what is measured, for which layers, and that measuring does not change the training."""

import numpy as np
import pytest
from toys import DOTS, build, labelled, linear_net, recipe, versions_of

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def nets():
    """The modules that train and measure."""
    from pipeline.nets import device

    device.prepare(seed=0, threads=0)
    from pipeline.nets import health, network, optimizers, training

    class Modules:
        pass

    Modules.health, Modules.network, Modules.optimizers, Modules.training = health, network, optimizers, training
    return Modules


def fitted(nets, net, *, faces=32, **changes):
    options = {"keypointset": DOTS, "hooks": nets.training.Hooks()}
    return nets.training.fit(net, versions_of(labelled(faces, seed=1)), labelled(80, seed=2), recipe(seed=3, **changes), **options)


def kernel(nets, net):
    return nets.network.weights(net)["keypoints/kernel"].copy()


def test_a_row_is_what_the_steps_did(nets, monkeypatch):
    """With plain gradient descent a step is rate x gradient, so update and gradient follow from the kernels before and after each step."""
    net, rate, seen, begin = linear_net(), 1e-6, [], nets.training.PlaceSamples.on_train_batch_begin

    def noted(callback, batch, logs=None):
        seen.append(kernel(nets, net))
        begin(callback, batch, logs)

    monkeypatch.setattr(nets.training.PlaceSamples, "on_train_batch_begin", noted)
    # Gradient descent uses the loss in unit coordinates, see optimizers.STEP_WITH_THE_LOSS.
    _, health = fitted(nets, net, optimizer="sgd", learning_rate=rate, epochs=2, batch=16)
    steps = np.diff([*seen, kernel(nets, net)], axis=0).reshape(2, 2, -1)  # epoch, step, weight
    assert health.layers.tolist() == ["keypoints"]
    np.testing.assert_allclose(health.update[:, 0], np.abs(steps).mean(axis=(1, 2)), rtol=1e-3)
    np.testing.assert_allclose(health.gradient[:, 0], np.linalg.norm(steps, axis=2).mean(axis=1) / rate, rtol=1e-3)
    np.testing.assert_allclose(health.weight[:, 0], [np.abs(seen[2]).mean(), np.abs(kernel(nets, net)).mean()], rtol=1e-4)
    np.testing.assert_allclose(health.ratio, health.update / health.weight, rtol=1e-4)


def test_of_a_large_kernel_some_rows_are_enough(nets, monkeypatch):
    """With 250 of its 6,144 values, 41 of 1,024 rows, the measured update differs from that of all values by less than a tenth."""
    found = []
    for values in (10**6, 250):
        monkeypatch.setattr(nets.health, "MEASURED_VALUES", values)
        found.append(fitted(nets, linear_net(), optimizer="adam", epochs=1)[1])
    whole, part = found
    assert part.update != whole.update
    np.testing.assert_allclose(part.update, whole.update, rtol=0.1)
    np.testing.assert_array_equal(part.gradient, whole.gradient)


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "nesterov"])
def test_measuring_changes_nothing(nets, monkeypatch, optimizer):
    """Weights and history are, byte for byte, those of a training in which nothing is measured."""
    import keras

    class Nothing(keras.callbacks.Callback):
        def __init__(self, *arguments):
            super().__init__()
            self.health = None

    def trained():
        keras.utils.set_random_seed(5)
        net = build("kfkd", dropout=1.0)
        history, _ = fitted(nets, net, optimizer=optimizer, epochs=2, weight_decay=1e-3, learning_rate=1e-3)
        return b"".join(values.tobytes() for values in [*nets.network.weights(net).values(), *vars(history).values()])

    measured = trained()
    monkeypatch.setattr(nets.optimizers, "measuring", lambda kind: kind)
    monkeypatch.setattr(nets.training, "MeasureHealth", Nothing)
    assert trained() == measured


def ends(nets, net):
    """Maps the name of each layer to the name of the layer that outputs its activation."""
    measure = nets.health.MeasureHealth(net, np.zeros((1, 32, 32), np.uint8), None)
    return {layer.name: end.name for layer, end in zip(measure.layers, measure.ends, strict=True)}


def test_an_activation_is_measured_behind_norm_and_relu(nets):
    """If they follow directly: a residual block's second convolution ends with its norm, before the sum; kfkd's ReLUs are built in."""
    found = ends(nets, build("compact"))
    assert next(iter(found)) == "stem"
    assert list(found)[-1] == "keypoints"
    assert len(found) == 15
    assert [found[name] for name in ("stem", "block1a", "block1b", "lateral1", "keypoints")] == [
        "stem_relu",
        "block1a_relu",
        "block1b_norm",
        "lateral1",
        "keypoints",
    ]
    assert ends(nets, build("kfkd")) == {name: name for name in ("conv1", "conv2", "conv3", "hidden4", "hidden5", "keypoints")}


def test_activations_are_those_of_the_first_validation_faces(nets):
    """Mean and spread are those of the first faces after the last epoch; a very negative bias makes one of 32 ReLU channels dead."""
    import keras

    net = build("kfkd")
    conv = net.get_layer("conv1")
    bias = np.zeros(32, np.float32)
    bias[7] = -1e6
    conv.bias.assign(bias)
    _, health = fitted(nets, net, optimizer="sgd", learning_rate=1e-6, epochs=1)
    assert health.dead[0, 0] == 1 / 32
    assert np.isnan(health.dead[0]).tolist() == [False] * 5 + [True]
    seen = np.asarray(keras.Model(net.input, conv.output)(labelled(80, seed=2).images[: nets.health.FACES].astype(np.float32)))
    np.testing.assert_allclose([health.activation[0, 0], health.spread[0, 0]], [seen.mean(), seen.std()], rtol=1e-4)
