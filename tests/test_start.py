"""What a training starts from: which weights each start sets, and what it says about them."""

from dataclasses import replace

import kinds
import numpy as np
import pytest
from toys import EYES, build, structure

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
