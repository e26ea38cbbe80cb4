"""Nets that start from ImageNet weights: their construction, weights from a file or a download, and what is refused."""

import dataclasses
import hashlib
import socket

import h5py
import numpy as np
import pytest
from toys import DOTS, EYES, SIDE, TARGET, build, labelled, recipe, sight_of, structure, together, versions_of, windows_of

from pipeline.errors import InputError
from pipeline.nets.options import PRETRAINED
from pipeline.nets.sight import WholeImage
from pipeline.tasks.training import TrainBase

FACES = together(labelled(40, seed=1), labelled(20, seed=2))


@pytest.fixture(scope="module")
def pretrained():
    from pipeline.nets import device

    device.prepare(seed=0, threads=0)
    from pipeline.nets import pretrained

    return pretrained


def write_weights(net, path):
    """Writes a file in the format that keras.applications downloads: a group for each layer, with its weights by name."""
    layers = [layer for layer in net.layers if layer.weights]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [variable.path.encode() for variable in layer.weights]
            for variable in layer.weights:
                group[variable.path] = np.asarray(variable)
    return path


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def shaken(net):
    """The net with slightly changed weights, including biases, means and variances, which are constant in a fresh net."""
    rng = np.random.default_rng(0)
    for variable in net.weights:
        variable.assign(np.asarray(variable) * rng.uniform(0.8, 1.2, variable.shape) + 0.01 * rng.uniform(0, 1, variable.shape))
    return net


# ---- the nets --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.keras
@pytest.mark.parametrize("name", ["vgg16", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_a_net_is_keras_own_but_for_its_top(pretrained, monkeypatch, name, tmp_path):
    """With weights from a file, the trunk gives for grey images what Keras' net gives for the same images as RGB; one output per source."""
    import keras

    application = pretrained.APPLICATIONS[name]
    own = shaken(application.build(include_top=False, weights=None, pooling="avg", input_shape=(32, 32, 3)))
    path = write_weights(own, tmp_path / application.file)
    monkeypatch.setitem(pretrained.APPLICATIONS, name, dataclasses.replace(application, md5=md5(path)))
    net = build(name, pixel_mean=0.0, pixel_std=1.0)
    carried, new = pretrained.load(net, path)
    assert carried == [variable.path for variable in own.weights]
    assert new == ["keypoints/kernel", "keypoints/bias"]
    images = labelled(2, seed=1).images.astype(np.float32)
    wanted = own(application.preprocess(np.repeat(images[..., None], 3, axis=3)))
    found = keras.Model(net.input, net.get_layer(pretrained.POOLED).output)(images)
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=1e-4, atol=1e-5)
    assert net.output_shape == (None, 2, 3, 2)
    kernel, bias = (np.asarray(variable) for variable in net.get_layer("keypoints").weights)
    np.testing.assert_allclose(np.asarray(net(images)).reshape(2, 12), np.asarray(found) @ kernel + bias, rtol=1e-4, atol=1e-4)


@pytest.mark.keras
def test_penalties_and_initialisations_apply_to_every_kernel(pretrained):
    """Also to those that keras.applications builds: l2 and uniform weights within 1 / sqrt(inputs) for vgg16's 13 and the output's."""
    from pipeline.nets import network

    net = build("vgg16", l2=1e-2, initialisation="uniform")
    kernels = [value for path, value in network.weights(net).items() if path.endswith("/kernel")]
    assert len(kernels) == 14
    for kernel in kernels:
        limit = np.prod(kernel.shape[:-1]) ** -0.5
        assert 0.9 * limit < np.abs(kernel).max() <= limit * (1 + 1e-6)
    assert float(sum(net.losses)) == pytest.approx(sum(1e-2 * np.square(kernel).sum(dtype=float) for kernel in kernels), rel=1e-4)


@pytest.mark.keras
@pytest.mark.parametrize("name", PRETRAINED)
def test_a_smaller_image_is_refused(pretrained, name):
    """Keras requires at least 32 pixels for these nets, and a specialist's window can be smaller."""
    with pytest.raises(InputError, match=f"{name} takes images of at least 32 x 32 pixels, not 16 x 16"):
        build(name, side=16)


# ---- from a file to specialists --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(pretrained, monkeypatch, tmp_path):
    """Replaces vgg16 by a net with one convolution, whose weights are on the local disk; Keras' cache is an empty folder."""
    import keras
    from keras import layers

    def one(*, include_top, weights, input_tensor=None, input_shape=None):
        assert not include_top
        x = keras.Input(input_shape) if input_tensor is None else input_tensor
        x = layers.Conv2D(4, 5, strides=4, activation="relu", name="block1_conv1")(x)
        net = keras.Model(keras.utils.get_source_inputs(x), x)
        if weights:
            net.load_weights(weights)
        return net

    path = write_weights(shaken(one(include_top=False, weights=None, input_shape=(32, 32, 3))), tmp_path / "one.h5")
    changed = dataclasses.replace(pretrained.APPLICATIONS["vgg16"], build=one, url=path.as_uri(), md5=md5(path))
    monkeypatch.setitem(pretrained.APPLICATIONS, "vgg16", changed)
    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setenv("KERAS_HOME", str(cache))
    return changed


def trained(versions, start, sight):
    from pipeline.nets import fitting, training

    built_from, plan = structure("vgg16", pixel_mean=0.0, pixel_std=1.0), recipe(epochs=1, learning_rate=1e-9)
    job = fitting.TrainingJob(built_from, FACES, plan, versions.indices, start, sight, DOTS)
    return fitting.train(job, versions, hooks=training.Hooks())


@pytest.mark.keras
def test_a_base_net_starts_from_the_downloaded_weights(pretrained, small, tmp_path):
    """And its specialist, which sees a window, from the base net's. Without the file the artifact still gives the same predictions."""
    from pipeline.geometry import alignment
    from pipeline.inference import prediction
    from pipeline.nets.start import FromBase, FromImageNet

    path = pretrained.fetched("vgg16")
    assert path == tmp_path / "cache" / "models" / "one.h5"
    base = trained(versions_of(labelled(40, seed=1)), FromImageNet(path), WholeImage(SIDE, TARGET))
    with h5py.File(path) as file:
        np.testing.assert_allclose(base.weights["block1_conv1/kernel"], file["block1_conv1/block1_conv1/kernel"], atol=1e-6)
    assert base.carried_over.tolist() == ["block1_conv1/kernel", "block1_conv1/bias"]
    assert base.new.tolist() == ["keypoints/kernel", "keypoints/bias"]
    window = alignment.window(TARGET, EYES, margin=8.0, extent=1.0, zoom=1.5)
    eyes = trained(windows_of(FACES, base, window), FromBase(base, keep_head=True), sight_of(base, window))
    assert eyes.side == 48
    assert not len(eyes.new)
    path.unlink()
    (tmp_path / "one.h5").unlink()
    predicted = prediction.predict(base, FACES.images[FACES.held_out], DOTS, None)
    np.testing.assert_allclose(predicted.of_source(FACES.source[FACES.held_out]).keypoints, base.validation, atol=1e-4)


# ---- unusable weights ------------------------------------------------------------------------------------------------------------------


@pytest.mark.keras
@pytest.mark.parametrize("server", ["none", "silent", "another file"])
def test_a_failed_download_is_explained_on_one_line(pretrained, small, monkeypatch, server):
    """The message names the address, the file and the flag; the wait for a silent server is limited."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = {"none": "http://127.0.0.1:1/a.h5", "silent": f"http://127.0.0.1:{silent.getsockname()[1]}/a.h5", "another file": small.url}
        changed = dataclasses.replace(small, url=url[server], md5="0" * 32)
        monkeypatch.setitem(pretrained.APPLICATIONS, "vgg16", changed)
        monkeypatch.setattr(pretrained, "SILENCE", 0.2)
        with pytest.raises(InputError) as caught:
            pretrained.fetched("vgg16")
    sentence = str(caught.value)
    assert all(part in sentence for part in (changed.url, f"Download {changed.file} by hand", "--TrainBase-weights FILE"))
    assert {"none": "refused", "silent": "timed out", "another file": "hash"}[server] in sentence
    assert "\n" not in sentence


@pytest.mark.keras
def test_any_other_file_is_refused_unopened(pretrained, small, monkeypatch, tmp_path):
    """The checksum decides, and the message says where the right file is. The right file is refused under a name that misleads Keras."""
    other = tmp_path / "other.h5"
    other.write_bytes((tmp_path / "one.h5").read_bytes() + b"1")
    net = build("vgg16")
    with monkeypatch.context() as patch:
        patch.setattr(h5py.h5f, "open", None)
        with pytest.raises(InputError, match=r"other\.h5 is not the file from file://.*one\.h5: its MD5 is \w{32} instead of \w{32}\."):
            pretrained.load(net, other)
    with pytest.raises(InputError, match="cannot be read: is a directory"):
        pretrained.load(net, tmp_path)
    (tmp_path / "one.h5").rename(tmp_path / "one.weights.h5")
    with pytest.raises(InputError, match=r"one\.weights\.h5 must have its original name\. Rename it to one\.h5"):
        pretrained.load(net, tmp_path / "one.weights.h5")


def test_a_file_counts_by_its_content(tmp_path):
    """The key depends on its bytes and not on its path. A net that does not start from a file refuses one."""
    places = [tmp_path / folder / "weights.h5" for folder in "abc"]
    for place, content in zip(places, (b"1", b"1", b"2"), strict=True):
        place.parent.mkdir()
        place.write_bytes(content)

    def key(path="", **settings):
        return TrainBase(overrides={"TrainBase": {"network": "vgg16", **settings}}, weights=str(path)).key

    one, same, other = map(key, places)
    assert one == same
    assert len({one, other, key()}) == 3
    for settings in ({"initialisation": "glorot"}, {"network": "kfkd"}):
        with pytest.raises(InputError, match=r"--TrainBase-weights .*: works only with --TrainBase-network resnet50 or vgg16"):
            key(places[0], **settings)
