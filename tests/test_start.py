"""What a training starts from: which weights each start sets, and what it says about them."""

from dataclasses import replace

import kinds
import numpy as np
import pytest
from toys import DOTS, EYES, TARGET, build, structure

from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.stored import StoredSet
from pipeline.nets.trained import Trained

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def start():
    from pipeline.nets import device

    device.prepare(seed=0, threads=0)
    from pipeline.nets import start

    return start


@pytest.fixture(scope="module")
def base(start):
    """A base net with other weights than any fresh net has."""
    from pipeline.nets import network

    rng = np.random.default_rng(1)
    weights = {path: rng.normal(size=value.shape).astype(np.float32) for path, value in network.weights(build("compact")).items()}
    values = {"weights": weights, "indices": np.arange(3, dtype=np.int32), "structure": structure("compact")}
    return replace(kinds.filled(Trained, np.random.default_rng(0)), **values)


def weights(net):
    from pipeline.nets import network

    return {path: value.copy() for path, value in network.weights(net).items()}


def test_a_fresh_start_changes_nothing(start):
    """Every weight stays as it was initialised and is reported as new."""
    net = build("compact")
    before = weights(net)
    carried, new = start.Fresh().apply(net, [0, 1, 2])
    assert carried == []
    assert new == list(before)
    assert all(np.array_equal(before[path], value) for path, value in weights(net).items())


@pytest.mark.parametrize("indices", [EYES, EYES[::-1], [2]])
def test_a_specialist_with_the_base_nets_outputs_predicts_as_the_base_net_does(start, base, indices):
    """All weights are carried over; the output for each keypoint is that of the base net for the same keypoint of the set."""
    net, whole = build("compact", keypoints=len(indices)), build("compact")
    carried, new = start.FromBase(base, keep_head=True).apply(net, indices)
    assert (carried, new) == (list(weights(net)), [])
    start.FromBase(base, keep_head=True).apply(whole, [0, 1, 2])
    images = np.random.default_rng(2).uniform(0, 255, (2, 32, 32)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(net(images)), np.asarray(whole(images))[:, :, indices], atol=1e-5)


def test_a_specialist_with_a_new_head_keeps_its_own_output_layer(start, base):
    """Everything but the output layer is carried over from the base net."""
    net = build("compact", keypoints=2)
    before = weights(net)
    carried, new = start.FromBase(base, keep_head=False).apply(net, EYES)
    assert new == ["keypoints/kernel", "keypoints/bias"]
    assert sorted([*carried, *new]) == sorted(before)
    after = weights(net)
    assert all(np.array_equal(after[path], before[path]) for path in new)
    assert all(np.array_equal(after[path], base.weights[path]) for path in carried)


def test_a_keypoint_that_the_base_net_does_not_predict_has_no_output_to_keep(start, base):
    """A ValueError, instead of another keypoint's weights."""
    with pytest.raises(ValueError, match="2 is not in list"):
        start.FromBase(replace(base, indices=np.array([0, 1], np.int32)), keep_head=True).apply(build("compact", keypoints=1), [2])


def test_imagenets_weights_are_loaded_from_the_file(start, monkeypatch, tmp_path):
    """The start hands its file on and returns what the loader says; test_pretrained has the loader itself."""
    from pipeline.nets import pretrained

    monkeypatch.setattr(pretrained, "load", lambda net, path: ([f"{net}/{path.name}"], ["new"]))
    assert start.FromImageNet(tmp_path / "weights.h5").apply("net", [0]) == (["net/weights.h5"], ["new"])


GROWN = KeypointSet(
    name="grown",
    names=("mouth", "nose_tip", "left_eye", "right_eye"),
    mirror=(("left_eye", "right_eye"),),
    sources={"others": ("mouth", "nose_tip", "left_eye", "right_eye"), "nose": ("nose_tip",)},
    groups={},
)


def earlier(base, **changes):
    """The base net with the names of what it predicts."""
    named = {"keypoints": np.array(DOTS.names), "keypointset": StoredSet.of(DOTS), "target": TARGET, "side": np.int32(32)}
    return replace(base, **named | changes)


def test_an_earlier_net_keeps_the_outputs_of_its_keypoints(start, base):
    """They are found by name, for each annotation source; a new source begins like the first one, and a new keypoint is fresh."""
    net, whole = build("compact", keypoints=4), build("compact")
    fresh = weights(net)
    carried, new = start.FromEarlier(earlier(base), GROWN).apply(net, [0, 1, 2, 3])
    assert (carried, new) == (list(fresh), [])
    start.FromBase(base, keep_head=True).apply(whole, [0, 1, 2])
    images = np.random.default_rng(2).uniform(0, 255, (2, 32, 32)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(net(images))[:, :, 1:], np.asarray(whole(images))[:, :, [2, 0, 1]], atol=1e-5)
    np.testing.assert_array_equal(weights(net)["keypoints/kernel"][..., [0, 4]], fresh["keypoints/kernel"][..., [0, 4]])


def test_an_earlier_net_may_predict_more_keypoints(start, base):
    """Those that the set no longer has are left out."""
    nose = KeypointSet(name="nose", names=("nose_tip",), mirror=(), sources={"nose": ("nose_tip",)}, groups={})
    from pipeline.nets import network

    net = network.build(structure("compact"), side=32, keypoints=1, sources=1)
    start.FromEarlier(earlier(base), nose).apply(net, [0])
    np.testing.assert_array_equal(weights(net)["keypoints/kernel"][..., 0], base.weights["keypoints/kernel"][..., 5])


def test_an_earlier_net_of_the_tutorials_kind(start):
    """kfkd has one output for all sources."""
    net, rng = build("kfkd", hidden=8), np.random.default_rng(1)
    other = {path: rng.normal(size=value.shape).astype(np.float32) for path, value in weights(net).items()}
    net = build("kfkd", hidden=8, keypoints=4)
    old = earlier(kinds.filled(Trained, rng), weights=other, structure=structure("kfkd", hidden=8))
    start.FromEarlier(old, GROWN).apply(net, [0, 1, 2, 3])
    np.testing.assert_array_equal(weights(net)["keypoints/bias"][2:], other["keypoints/bias"][[4, 5, 0, 1, 2, 3]])


@pytest.mark.parametrize(
    ("changes", "built", "reason"),
    [
        ({}, {}, ""),
        ({"target": None}, {}, "it is a specialist. Name a base net"),
        ({}, {"filters": 2.0}, "its filters is 1.0 and not 2.0. Use the same structure"),
        ({}, {"channels": 3}, "its channels is 1 and not 3. Use the same structure"),
        ({"keypoints": np.array(["tail"])}, {}, "it predicts none of the keypoints of this set. Keypoints are matched by name"),
    ],
    ids=["fits", "specialist", "filters", "colour", "keypoints"],
)
def test_a_net_that_cannot_be_continued(start, base, changes, built, reason):
    """The reason says what differs; other sides do not matter to a net that takes images of any side."""
    assert start.unfit(earlier(base, **changes), structure("compact", **built), GROWN, side=64) == reason


def test_a_net_for_one_side_cannot_be_continued_for_another(start, base):
    """The layers of kfkd fit only one side."""
    old = earlier(base, structure=structure("kfkd"))
    assert "images of 32 x 32 pixels and not 64 x 64" in start.unfit(old, structure("kfkd"), GROWN, side=64)
    assert start.unfit(old, structure("kfkd"), GROWN, side=32) == ""
