"""The structure of a net: the effect of each setting, the record in the artifact, and what is refused."""

import dataclasses

import numpy as np
import pytest
from toys import DOTS, EYES, SIDE, TARGET, build, labelled, recipe, sight_of, structure, together, versions_of, windows_of

from pipeline.errors import InputError
from pipeline.nets.options import ACTIVATIONS, NETWORKS, SETTINGS
from pipeline.nets.sight import WholeImage
from pipeline.nets.structure import normalised
from pipeline.nets.trained import Trained
from pipeline.store.hdf5 import artifacts
from pipeline.tasks.specialist import TrainSpecialist
from pipeline.tasks.studies import Sanity
from pipeline.tasks.training import TrainBase

CHANGED = {"filters": 0.5, "kernel": 5, "pool": 3, "activation": "tanh", "hidden": 20, "normalisation": "unit"}


@pytest.fixture(scope="module")
def network():
    from pipeline.nets import device, network

    device.prepare(seed=0, threads=0)
    return network


def kernels(network, *args, **changes):
    """Maps each layer to the shape of its kernel, for a net for 32 pixels and three dots of two sources."""
    return {path.split("/")[0]: value.shape for path, value in network.weights(build(*args, **changes)).items() if path.endswith("/kernel")}


# ---- each setting ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.keras
def test_filters_is_a_factor_of_every_convolutions_own_number(network):
    """For example half of 32, 64 and 128. It applies to all of compact's convolutions except the output, and leaves at least one filter."""
    assert [shape[-1] for shape in kernels(network, "kfkd", filters=0.5).values()] == [16, 32, 64, 1000, 1000, 6]
    once, twice = (kernels(network, "compact", filters=filters) for filters in (1.0, 2.0))
    assert {name: shape[-1] / once[name][-1] for name, shape in twice.items()} == {name: 1 if name == "keypoints" else 2 for name in once}
    assert kernels(network, "compact", filters=0.01)["stem"] == (5, 5, 1, 1)


@pytest.mark.keras
def test_kernel_is_the_size_of_kfkds_convolutions(network):
    """It applies to all three, without padding: with 4, 32 pixels become 29, 14, 11, 5, 2 and 1. With 0 the sizes are 3, 2 and 2."""
    found = kernels(network, "kfkd", kernel=4)
    assert [found[f"conv{n}"][:2] for n in (1, 2, 3)] == [(4, 4)] * 3
    assert network.shapes(build("kfkd", kernel=4))["conv3"].tolist() == [2, 2, 128]
    assert [kernels(network, "kfkd")[f"conv{n}"][0] for n in (1, 2, 3)] == [3, 2, 2]


@pytest.mark.keras
def test_kernel_is_the_size_of_compacts_three_by_three_convolutions(network):
    """The stem stays at 5 x 5, laterals and output stay at 1 x 1, and the feature maps keep their sizes."""
    small, large = kernels(network, "compact"), kernels(network, "compact", kernel=7)
    assert {small[name][0] for name in small if small[name] != large[name]} == {3}
    assert {large[name][0] for name in large if small[name] != large[name]} == {7}
    assert {large[name][0] for name in ("stem", "lateral1", "lateral2", "keypoints")} == {5, 1}
    before, after = (network.shapes(build("compact", kernel=kernel)) for kernel in (0, 7))
    assert all(after[name].tolist() == shape.tolist() for name, shape in before.items())


@pytest.mark.keras
def test_pool_and_hidden_are_kfkds(network):
    """Pools of 3 reduce 48 pixels to 15, 4 and 1; with 1 only the convolutions reduce the maps. Hidden layers have the given size."""
    found = network.shapes(build("kfkd", side=48, pool=3, hidden=7))
    assert {name: found[name].tolist() for name in ("conv2", "conv3", "hidden4", "hidden5")} == {
        "conv2": [14, 14, 64],
        "conv3": [3, 3, 128],
        "hidden4": [7],
        "hidden5": [7],
    }
    assert kernels(network, "kfkd", pool=1, hidden=7, filters=0.1)["hidden4"] == (28 * 28 * 13, 7)


@pytest.mark.keras
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_follows_every_layer_but_the_last(network, activation):
    """It is Keras' function, applied in kfkd after the convolution's bias and in compact after the batch norm."""
    import keras
    from keras import ops

    images = labelled(4, seed=1).images.astype(np.float32)
    nets = [build(name, activation=activation, filters=0.2, hidden=5) for name in ("kfkd", "compact")]
    conv, (norm, end) = nets[0].get_layer("conv2"), (nets[1].get_layer(f"block1a_{part}") for part in ("norm", activation))
    assert network.activation(nets[0], conv) is conv
    assert network.activation(nets[1], nets[1].get_layer("block1a")) is end
    seen, output = keras.Model(nets[0].input, [conv.input, conv.output])(images)
    bare, activated = keras.Model(nets[1].input, [norm.output, end.output])(images)
    function = keras.activations.get(activation)
    np.testing.assert_allclose(np.asarray(output), np.asarray(function(ops.conv(seen, conv.kernel) + conv.bias)), atol=1e-5)
    np.testing.assert_allclose(np.asarray(activated), np.asarray(function(bare)), atol=1e-5)


@pytest.mark.keras
def test_only_a_relu_can_be_dead(network):
    """With another activation the share of dead channels is NaN; mean and spread are measured behind that activation."""
    from pipeline.nets import training

    faces, options = labelled(64, seed=1), {"keypointset": DOTS, "hooks": training.Hooks()}
    _, health = training.fit(build("kfkd", activation="sigmoid", hidden=5), versions_of(faces), faces, recipe(epochs=1), **options)
    assert np.isnan(health.dead).all()
    assert ((health.activation > 0) & (health.activation < 1))[0, :-1].all()
    assert np.isfinite(health.spread).all()


@pytest.mark.parametrize(("normalisation", "seen"), [("standard", (1.0, 2.5)), ("unit", (150 / 255, 210 / 255)), ("none", (150, 210))])
def test_the_pixels_that_a_net_sees(normalisation, seen):
    """Grey levels 150 and 210 of faces with mean 110 and standard deviation 40; pretrained nets always get plain grey levels."""
    found = normalised("kfkd", normalisation, mean=110.0, std=40.0)
    assert [(grey - found["pixel_mean"]) / found["pixel_std"] for grey in (150, 210)] == pytest.approx(seen)
    assert normalised("vgg16", normalisation, mean=110.0, std=40.0) == {"pixel_mean": 0.0, "pixel_std": 1.0}


# ---- what does not fit -----------------------------------------------------------------------------------------------------------------


@pytest.mark.keras
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": 31}, "conv2 needs an input of at least 31 x 31 pixels but gets 1 x 1"),
        ({"pool": 8}, "pool2 needs an input of at least 8 x 8 pixels but gets 2 x 2"),
    ],
)
def test_a_net_that_shrinks_to_nothing_is_refused(network, changes, message):
    """The message names the layer, its size and the size of its input."""
    with pytest.raises(InputError, match=message):
        build("kfkd", **changes)


@pytest.mark.keras
def test_compact_takes_only_odd_kernels(network):
    """Its maps are padded to keep their size, and an even kernel has no centre."""
    with pytest.raises(InputError, match="size is 4, but compact needs an odd one"):
        build("compact", kernel=4)


@pytest.mark.parametrize("stage", [TrainBase, Sanity])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_setting_that_the_net_does_not_have_is_refused(stage, network):
    """Unless it has its default value. A setting that the net does have changes the key."""
    plain = stage(overrides={stage.__name__: {"network": network}})
    for name, value in CHANGED.items():
        overrides = {stage.__name__: {"network": network, name: value}}
        if name in SETTINGS[network]:
            assert stage(overrides=overrides).key != plain.key
        else:
            with pytest.raises(InputError, match=f"--{stage.__name__}-{name} {value}: {network} has no such setting"):
                stage(overrides=overrides)


def test_every_setting_is_tried_here():
    """CHANGED has the settings of all nets."""
    assert {*CHANGED} == set().union(*SETTINGS.values())


# ---- in the artifact -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(network):
    """A base net with a non-default structure, trained for one epoch on dots."""
    return trained(structure("compact", filters=0.5, kernel=5, activation="leaky_relu", pixel_mean=0.0, pixel_std=255.0, dropout=1.0))


FACES = together(labelled(60, seed=1), labelled(20, seed=2))


def trained(built_from, versions=None, *, base=None, window=None, scratch=False):
    from pipeline.nets import fitting, training
    from pipeline.nets.start import Fresh, FromBase

    versions = versions or versions_of(labelled(60, seed=1))
    start = FromBase(base, keep_head=True) if base and not scratch else Fresh()
    sight = sight_of(base, window) if base else WholeImage(SIDE, TARGET)
    job = fitting.TrainingJob(built_from, FACES, recipe(epochs=1), versions.indices, start, sight, DOTS)
    return fitting.train(job, versions, hooks=training.Hooks())


@pytest.mark.keras
def test_the_artifact_alone_rebuilds_the_net(network, other, tmp_path):
    """Record and weights are read back unchanged and with plain types, and the net built from them gives the same predictions."""
    from pipeline.inference import prediction

    path = tmp_path / "net-0123456789.h5"
    with artifacts.writing(path, {"stage": "TrainBase"}) as file:
        artifacts.put(file, other)
    read = artifacts.load(path, Trained)
    assert read.structure == other.structure
    assert {type(value) for value in vars(read.structure).values()} == {str, int, float}
    images = FACES.images[:3]
    found, expected = (prediction.predict(net, images, DOTS, None).keypoints for net in (read, other))
    np.testing.assert_array_equal(found, expected)
    assert {name: value.shape for name, value in network.weights(prediction.rebuilt(read, DOTS)).items()} == {
        name: value.shape for name, value in other.weights.items()
    }


@pytest.mark.keras
@pytest.mark.parametrize("scratch", [False, True])
def test_a_specialist_has_its_base_nets_structure(network, other, scratch):
    """Also with a window of another size, both with the base net's weights and from scratch."""
    from pipeline.geometry import alignment

    window = alignment.window(TARGET, EYES, margin=8.0, extent=1.0, zoom=1.5)
    built_from = dataclasses.replace(other.structure, dropout=0.0)
    eyes = trained(built_from, windows_of(FACES, other, window), base=other, window=window, scratch=scratch)
    assert eyes.structure == built_from
    assert eyes.side != other.side
    assert {name: value.shape for name, value in eyes.weights.items() if not name.startswith("keypoints")} == {
        name: value.shape for name, value in other.weights.items() if not name.startswith("keypoints")
    }
    assert (len(eyes.carried_over), len(eyes.new)) == ((0, len(eyes.weights)) if scratch else (len(eyes.weights), 0))


def test_the_start_of_a_specialist_affects_only_the_specialist():
    """A start from scratch changes its key, but it still depends on the same base net."""
    base, scratch = (TrainSpecialist(group="mouth", overrides={"TrainSpecialist": {"start": start}}) for start in ("base", "scratch"))
    assert base.key == TrainSpecialist(group="mouth").key != scratch.key
    assert base.provenance["inputs"] == scratch.provenance["inputs"]


def test_a_base_net_to_continue_from_is_part_of_the_key(tmp_path):
    """Its content is, and not its path; a key that no base net of the workspace has is one sentence."""
    one, copy, other = (tmp_path / name / "trainbase-0123456789.h5" for name in ("one", "copy", "other"))
    for path, content in ((one, b"a"), (copy, b"a"), (other, b"b")):
        path.parent.mkdir()
        path.write_bytes(content)
    keys = [TrainBase(start=str(path)).key for path in (one, copy, other)]
    assert keys[0] == keys[1] != keys[2] != TrainBase().key
    with pytest.raises(InputError, match="--TrainBase-start 0123: 0 base nets of this workspace have a key that begins so"):
        TrainBase(start="0123")


def test_a_file_that_is_no_net_cannot_be_continued(tmp_path):
    """The message names the flag and the file."""
    path = tmp_path / "trainbase-0123456789.h5"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=f"--TrainBase-start {path}: .*Name the file of a base net, or its key"):
        TrainBase(start=str(path))._start(structure("compact"), DOTS, 32)
