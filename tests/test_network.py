"""The nets: their shapes, their weights by name, and what a specialist takes over from the base net."""

import numpy as np
import pytest
from toys import build

from pipeline.errors import InputError
from pipeline.nets.options import NETWORKS, PRETRAINED, size_fault

pytestmark = pytest.mark.keras

OWN = tuple(name for name in NETWORKS if name not in PRETRAINED)  # test_pretrained has the others


@pytest.fixture(scope="module")
def network():
    from pipeline.nets import device, network

    device.prepare(seed=0, threads=0)
    return network


@pytest.mark.parametrize(("name", "sources"), [("compact", 2), ("kfkd", 1)])
def test_a_net_has_an_output_for_every_source_and_keypoint(network, name, sources):
    """Images (B, side, side) become unit coordinates (B, S, K, 2); kfkd has one output for all sources."""
    net = build(name, side=48, keypoints=5)
    assert net.name == name
    assert net.output_shape == (None, sources, 5, 2)
    output = np.asarray(net(np.full((3, 48, 48), 7, np.float32)))
    assert output.shape == (3, sources, 5, 2)
    assert output.dtype == np.float32
    assert np.isfinite(output).all()


def test_every_net_of_ours_can_be_built_and_no_other(network):
    """options.NETWORKS is the list of nets; any other name is refused with that list."""
    assert {build(name).name for name in OWN} == set(OWN)
    with pytest.raises(ValueError, match="unknown net 'resnet'; expected one of compact, kfkd, resnet50, vgg16"):
        build("resnet")


@pytest.mark.parametrize(
    ("initialisation", "scale"),
    # Standard deviation times the root of the number of inputs. glorot: sqrt(2 / (inputs + outputs)) for 144 and 288.
    [("he", 2**0.5), ("glorot", (2 * 144 / (144 + 288)) ** 0.5), ("uniform", 3**-0.5)],
)
def test_an_initialisation_is_every_kernels(network, initialisation, scale):
    """The initial weights of both nets have the spread of the rule, not of the net's own rule; uniform ones are within 1 / sqrt(inputs)."""
    kernel = network.weights(build("compact", initialisation=initialisation))["down1/kernel"]  # 3 x 3 x 16 inputs, 3 x 3 x 32 outputs
    assert kernel.std() * 144**0.5 == pytest.approx(scale, rel=0.05)
    for name in OWN if initialisation == "uniform" else ():
        for path, values in network.weights(build(name, initialisation=initialisation)).items():
            limit = np.prod(values.shape[:-1]) ** -0.5
            assert not path.endswith("/kernel") or 0.9 * limit < np.abs(values).max() <= limit * (1 + 1e-6)


def test_no_other_initialisation_is_taken(network):
    """Any other name is refused with the list of initialisations."""
    with pytest.raises(ValueError, match="unknown initialisation 'zeros'; expected one of net, he, glorot, uniform"):
        build("kfkd", initialisation="zeros")


def test_layers_of_one_shape_begin_apart(network):
    """Also if all layers have the same initialisation. The rule `net` is each net's own: He's for compact, Glorot's for kfkd."""
    import keras

    weights = network.weights(build("compact", initialisation="uniform"))
    assert not np.array_equal(weights["block1a/kernel"], weights["block1b/kernel"])
    for name, own, path in (("compact", "he", "stem/kernel"), ("kfkd", "glorot", "conv2/kernel")):
        begun = []
        for initialisation in ("net", own):
            keras.utils.set_random_seed(3)
            begun.append(network.weights(build(name, initialisation=initialisation))[path])
        np.testing.assert_array_equal(*begun)


def test_the_compact_net_refuses_a_side_that_cannot_be_halved_four_times(network):
    """A side that is not a multiple of 16 is refused with a message that names it."""
    with pytest.raises(ValueError, match="40 is not a multiple of 16"):
        build("compact", side=40)


def test_the_size_of_the_tutorials_net(network):
    """kfkd has net6's 16,561,502 weights for 96 pixels and 15 keypoints: the sum, layer by layer, of kernels and biases."""
    layers = [9 * 32 + 32, 4 * 32 * 64 + 64, 4 * 64 * 128 + 128, 11 * 11 * 128 * 1000 + 1000, 1000 * 1000 + 1000, 1000 * 30 + 30]
    assert build("kfkd", side=96, keypoints=15).count_params() == sum(layers)


def test_the_shapes_of_the_tutorials_net(network):
    """kfkd's layers with weights and their outputs are those that the tutorial prints for net6: without padding, the convolutions remove
    2, 1 and 1 pixels, and pooling halves the side."""
    wanted = {"conv1": [94, 94, 32], "conv2": [46, 46, 64], "conv3": [22, 22, 128], "hidden4": [1000], "hidden5": [1000], "keypoints": [30]}
    found = network.shapes(build("kfkd", side=96, keypoints=15))
    assert {name: shape.tolist() for name, shape in found.items()} == wanted
    assert list(found) == list(wanted)


def test_a_net_normalises_its_input(network):
    """A change of brightness and contrast has no effect if pixel_mean and pixel_std change accordingly."""
    image = np.random.default_rng(0).uniform(0, 100, (2, 32, 32)).astype(np.float32)
    net, other = build("compact"), build("compact", pixel_mean=250.0, pixel_std=80.0)
    network.load(other, network.weights(net))
    np.testing.assert_allclose(np.asarray(other(2 * image + 10)), np.asarray(net(image)), atol=1e-4)


def test_weights_make_the_round_trip(network):
    """`load` puts the arrays of `weights` into a fresh net, which then has the same bytes and the same output."""
    net, other = build("compact"), build("compact")
    values = network.weights(net)
    assert next(iter(values)) == "stem/kernel"
    assert not np.array_equal(values["stem/kernel"], network.weights(other)["stem/kernel"])
    network.load(other, values)
    assert all(np.array_equal(network.weights(other)[path], value) for path, value in values.items())
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(other(image)), np.asarray(net(image)))


@pytest.mark.parametrize("name", OWN)
def test_a_specialist_takes_over_all_but_the_output_layer(network, name):
    """`transfer` sets every weight except those of the output layer, which stay as initialised, and returns both lists of names."""
    base, specialist = build(name), build(name, keypoints=2)
    fresh = network.weights(specialist)
    carried, new = network.transfer(specialist, network.weights(base), outputs=None)
    assert new == ["keypoints/kernel", "keypoints/bias"]
    assert set(carried) | set(new) == set(fresh)
    assert not set(carried) & set(new)
    after = network.weights(specialist)
    assert all(np.array_equal(after[path], network.weights(base)[path]) for path in carried)
    assert all(np.array_equal(after[path], fresh[path]) for path in new)


@pytest.mark.parametrize("name", OWN)
def test_a_specialist_can_take_over_the_outputs_too(network, name):
    """Before training, it predicts its keypoints, in its own order, exactly as the base net does."""
    base, specialist = build(name, keypoints=5), build(name, keypoints=2)
    carried, new = network.transfer(specialist, network.weights(base), outputs=[3, 1])
    assert new == []
    assert set(carried) == set(network.weights(specialist))
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(specialist(image)), np.asarray(base(image))[:, :, [3, 1]], atol=1e-6)


def without(values):
    return {path: value for path, value in values.items() if path != "stem/kernel"}


def with_another(values):
    return values | {"stem2/kernel": values["stem/kernel"]}


def misshapen(values):
    return values | {"stem/kernel": values["stem/kernel"][:3]}


@pytest.mark.parametrize("way", [{}, {"outputs": None}, {"outputs": [0, 1, 2]}])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without, r"missing {'stem/kernel'}, unknown set\(\)"),
        (with_another, r"missing set\(\), unknown {'stem2/kernel'}"),
        (misshapen, r"stem/kernel of compact has shape \(5, 5, 1, 16\), but the given array has shape \(3, 5, 1, 16\)"),
    ],
)
def test_any_other_difference_raises_and_sets_nothing(network, way, change, message):
    """A missing, unknown or differently shaped weight raises a ValueError that names it, and the net is left unchanged."""
    net, values = build("compact"), network.weights(build("compact"))
    before = network.weights(net)
    with pytest.raises(ValueError, match=message):
        (network.transfer if way else network.load)(net, change(values), **way)
    assert all(np.array_equal(value, before[path]) for path, value in network.weights(net).items())


def test_loading_needs_the_output_layer_too(network):
    """`load`, unlike `transfer`, refuses weights for another number of keypoints."""
    with pytest.raises(ValueError, match="keypoints/kernel"):
        network.load(build("compact", keypoints=2), network.weights(build("compact")))


def test_the_mean_position_of_one_hot_cell_is_its_centre(network):
    """All weight in row 1, column 3 of 4 x 8 gives x = (2 * 3 + 1) / 8 - 1, y = (2 * 1 + 1) / 4 - 1; a flat map gives 0."""
    maps = np.zeros((1, 4, 8, 2), np.float32)
    maps[0, 1, 3, 0] = 1000
    np.testing.assert_allclose(np.asarray(network.MeanPosition()(maps))[0], [[-0.125, -0.25], [0, 0]], atol=1e-6)


def test_the_mean_position_is_the_weighted_mean_of_the_cells(network):
    """For any map it is the softmax-weighted mean of the cells' centres, computed with loops."""
    maps = np.random.default_rng(1).normal(0, 2, (2, 3, 5, 2)).astype(np.float32)
    expected = np.zeros((2, 2, 2))
    for b, row, column, c in np.ndindex(maps.shape):
        weight = np.exp(maps[b, row, column, c]) / np.exp(maps[b, :, :, c]).sum()
        expected[b, c] += weight * np.array([(column + 0.5) / 2.5 - 1, (row + 0.5) / 1.5 - 1])
    np.testing.assert_allclose(np.asarray(network.MeanPosition()(maps)), expected, atol=1e-5)


@pytest.mark.parametrize("name", OWN)
def test_penalties_are_those_of_all_kernels(network, name):
    """The losses sum to l1 * |w| + l2 * w ** 2 over every kernel, and there are none without l1 and l2."""
    net = build(name, l1=1e-3, l2=1e-2)
    kernels = [value.astype(float) for path, value in network.weights(net).items() if path.endswith("/kernel")]
    expected = sum(1e-3 * np.abs(kernel).sum() + 1e-2 * np.square(kernel).sum() for kernel in kernels)
    assert float(sum(net.losses)) == pytest.approx(expected, rel=1e-4)
    assert not build(name).losses


@pytest.mark.parametrize("name", OWN)
def test_dropout_is_a_factor_of_the_nets_own_rates(network, name):
    """With factor 0, two passes in training mode are equal; with factor 1 they differ."""
    image = np.random.default_rng(0).uniform(0, 255, (4, 32, 32)).astype(np.float32)
    for factor, equal in ((0.0, True), (1.0, False)):
        net = build(name, dropout=factor)
        once, again = (np.asarray(net(image, training=True)) for _ in range(2))
        assert np.array_equal(once, again) == equal


@pytest.mark.parametrize("name", ["compact", "kfkd"])
@pytest.mark.parametrize(("kernel", "pool"), [(0, 2), (1, 2), (3, 2), (4, 2), (11, 2), (12, 2), (13, 2), (31, 2), (0, 9), (0, 4), (2, 5)])
def test_sizes_are_refused_at_once_exactly_if_they_cannot_be_built(network, name, kernel, pool):
    """The check of the tasks, which do not import Keras, agrees with the network."""
    fault = size_fault(name, kernel, pool, 96)
    if fault is None:
        assert build(name, side=96, kernel=kernel, pool=pool, hidden=4).input_shape == (None, 96, 96)
    else:
        with pytest.raises(InputError, match="kernel"):
            build(name, side=96, kernel=kernel, pool=pool, hidden=4)


def test_fused_batch_norm_computes_what_keras_does(network):
    """Maps, gradients and moving statistics are those of Keras' layer, but for a variance with n - 1 instead of n values."""
    import keras

    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow has the fused operation")
    rng = np.random.default_rng(0)
    given, slope = (tf.constant(rng.normal(3, 2, (4, 5, 6, 7)), tf.float32) for _ in range(2))
    layers = [kind(momentum=0.9) for kind in (keras.layers.BatchNormalization, network.FusedBatchNormalization)]
    found = []
    for layer in layers:
        layer.build(given.shape)
        layer.gamma.assign(np.linspace(0.5, 1.5, 7))
        with tf.GradientTape() as tape:
            tape.watch(given)
            normed = layer(given, training=True)
        moving = [np.asarray(value) for value in (layer.moving_mean, layer.moving_variance)]
        gradients = tape.gradient(normed, [given, layer.gamma.value, layer.beta.value], slope)
        found.append([np.asarray(normed), *map(np.asarray, gradients), *moving])
    found[0][-1] += 0.1 * np.var(given, axis=(0, 1, 2)) / (4 * 5 * 6 - 1)
    for own, keras_own in zip(*found, strict=True):
        np.testing.assert_allclose(own, keras_own, rtol=1e-3, atol=1e-4)


def test_only_nets_that_train_have_layers_that_keras_does_not_know(network):
    """Files for other programs hold the layers of Keras."""
    from toys import structure

    options = {"side": 32, "keypoints": 3, "sources": 2}
    kinds = [{type(layer) for layer in network.build(structure("compact"), **options, trains=trains).layers} for trains in (True, False)]
    assert [network.FusedBatchNormalization in found for found in kinds] == [True, False]
    assert {kind for kind in kinds[1] if not kind.__module__.startswith("keras.")} == {network.MeanPosition}
