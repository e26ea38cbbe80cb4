"""The first filters of a net and its activations, computed and drawn."""

import dataclasses
from types import SimpleNamespace

import kinds
import numpy as np
import pytest
from toys import DOTS, EYES, SIDE, TARGET, build, dot_faces, structure

from pipeline.geometry import affine, alignment
from pipeline.nets.trained import Trained
from pipeline.results import feature_maps, style

# ---- drawn -----------------------------------------------------------------------------------------------------------------------------


def test_the_first_layer_is_found():
    """It is the net's first convolution, whatever the order of the names; three channels are summed, as for a grey image."""
    kernel = np.arange(18, dtype=np.float32).reshape(3, 3, 1, 2)
    weights = {"a/kernel": np.zeros((3, 3, 1, 2)), "conv1/kernel": kernel, "dense/kernel": np.zeros((4, 1)), "stem/bias": np.zeros(2)}
    order = {"carried_over": np.array(["conv1/kernel"]), "new": np.array(["a/kernel", "dense/kernel", "stem/bias"])}
    for whole in (kernel, np.concatenate([kernel, 0 * kernel, kernel], axis=2) / 2):
        name, found = feature_maps.first_filters(SimpleNamespace(weights=weights | {"conv1/kernel": whole}, **order))
        assert name == "conv1"
        np.testing.assert_array_equal(found, kernel[:, :, 0])


@pytest.mark.parametrize("number", [1, 8, 11])
def test_filters_have_one_scale_around_zero(number, tmp_path):
    """Each filter is a numbered image, all share one colour scale that is white at 0, and the title describes them."""
    kernel = np.random.default_rng(0).normal(0.3, 1, (5, 5, number))
    figure = feature_maps.filters("TrainBase@key", "stem", kernel)
    pictures = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in pictures] == [str(n + 1) for n in range(number)]
    for place, axes in enumerate(pictures):
        (image,) = axes.images
        np.testing.assert_array_equal(image.get_array(), kernel[:, :, place])
        assert image.get_clim() == (-np.abs(kernel).max(), np.abs(kernel).max())
        assert min(image.cmap(image.norm(0.0))) > 0.95  # white
    assert figure.get_suptitle().startswith(f"TrainBase@key, layer stem: {number} filters of 5 x 5 pixels")
    style.save_png(figure, tmp_path / "a.png")


def looked(seen, **maps):
    return SimpleNamespace(seen=seen, corners=np.array([[2, 2], [9, 2], [9, 9], [2, 9]]), maps=maps)


def test_activations_are_rows_of_maps(tmp_path):
    """All maps of a layer are drawn with their numbers, each scaled from its lowest to its highest value, a constant one dark."""
    maps = np.random.default_rng(0).normal(0, 1, (4, 4, 70))
    maps[:, :, 1] = 3
    image = np.zeros((16, 16), np.uint8)
    figure = feature_maps.activations("Net", "face 7", image, looked(image[:8, :8] + 1, stem=maps, keypoints=maps[:2, :2, :3]))
    axes = figure.axes[-1]
    numbers = [str(number) for number in range(1, 71)]
    assert [text.get_text() for text in axes.texts] == ["stem\n4 x 4 x 70", *numbers, "keypoints\n2 x 2 x 3", "1", "2", "3"]
    shown = drawn_maps(axes)
    assert len(shown) == 70 + 3
    assert (shown[0].min(), shown[0].max()) == (0, 1)
    assert (shown[1] == 0).all()
    for place in (0, 31, 32, 69):
        one = maps[:, :, place]
        np.testing.assert_allclose(shown[place], (one - one.min()) / np.ptp(one))
    said = " ".join(text.get_text() for part in figure.subfigs for text in part.texts)
    assert "Net\napplied to face 7" in said
    style.save_png(figure, tmp_path / "a.png")


def drawn_maps(axes):
    """The drawn maps in their order, without the gaps between them."""
    found = []
    for image in axes.images:
        row, height = image.get_array().data, image.get_array().shape[0]
        row = np.where(np.isnan(row), np.nan, row)
        maps = row.reshape(height, -1, 17 * height).transpose(1, 0, 2)
        assert np.isnan(maps[:, :, 16 * height :]).all()
        found += list(maps[:, :, : 16 * height : 16])
    return found


def test_the_maps_of_the_output_have_names(tmp_path):
    """They are larger than the others, and each has its name above it."""
    image, maps = np.zeros((16, 16), np.uint8), np.random.default_rng(0).normal(0, 1, (4, 4, 10))
    names = [f"keypoint {number}\nall labels" for number in range(10)]
    figure = feature_maps.activations("Net", "face 7", image, looked(image, stem=maps, keypoints=maps), names)
    axes = figure.axes[-1]
    assert [text.get_text() for text in axes.texts if "keypoint " in text.get_text()] == names
    small, large, _ = (image.get_extent() for image in axes.images)
    assert large[2] - large[3] > 3 * (small[2] - small[3])
    places = [text.get_position() for text in axes.texts if "keypoint " in text.get_text()]
    assert len(set(places)) == 10
    style.save_png(figure, tmp_path / "a.png")


def test_thousands_of_maps_are_drawn_without_numbers():
    """A net such as resnet50 has more maps than can be numbered."""
    image, maps = np.zeros((4, 4), np.uint8), np.zeros((1, 1, feature_maps.MOST_NUMBERS + 1))
    axes = feature_maps.activations("Net", "face 7", image, looked(image, stem=maps)).axes[-1]
    assert len(axes.texts) == 1
    assert len(drawn_maps(axes)) == feature_maps.MOST_NUMBERS + 1


@pytest.mark.parametrize(("sources", "channels", "named"), [(2, 6, True), (1, 3, True), (2, 128, False)])
def test_outputs_are_named_by_keypoint_and_source(monkeypatch, sources, channels, named):
    """A map of the output belongs to a keypoint and, if the net tells them apart, to an annotation source; other last layers have none."""
    from pipeline.commands import activations as command

    net = SimpleNamespace(offsets=np.zeros((sources, 3, 2)), keypoints=np.array(["left_eye", "right_eye", "nose_tip"]))
    look = looked(None, stem=np.zeros((4, 4, 6)), last=np.zeros((2, 2, channels)))
    monkeypatch.setattr(command.reading, "load", lambda path, kind: SimpleNamespace(source_names=np.array(["all", "nose"])))
    own = ["left eye", "right eye", "nose tip"]
    expected = own if sources == 1 else [f"{name}\n{source} labels" for source in ("all", "nose") for name in own]
    assert command._outputs(net, look, None) == (expected if named else [])


def test_a_net_that_sees_the_whole_image_has_one_picture_of_it():
    """A specialist's window is shown as a second image and outlined in the first."""
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    whole, window = (
        feature_maps.activations("Net", "face 7", image, looked(seen, a=np.zeros((2, 2, 1)))) for seen in (image, image[:8, :8])
    )
    assert [axes.get_title() for axes in whole.axes] == ["image, 16 x 16", ""]
    assert [axes.get_title() for axes in window.axes] == ["image, 16 x 16", "input of the net, 8 x 8", ""]
    assert window.axes[0].lines[0].get_xdata().tolist() == [2, 9, 9, 2, 2]


# ---- computed --------------------------------------------------------------------------------------------------------------------------


def trained(name, indices, **changes):
    """The record of a net with initial weights."""
    from pipeline.nets import network

    side = changes.get("side", SIDE)
    weights = network.weights(build(name, keypoints=len(indices), side=side))
    values = {
        "weights": weights,
        "indices": np.array(indices),
        "structure": structure(name),
        "target": None,
        "window": None,
        "side": side,
        "zooms": None,
    }
    offsets = {"offsets": np.zeros((2, len(indices), 2), np.float32), "frame": np.int32(SIDE), "stored": np.int32(SIDE)}
    return dataclasses.replace(kinds.filled(Trained, np.random.default_rng(0)), **values | offsets | changes)


@pytest.fixture
def base():
    return trained("compact", [0, 1, 2], target=TARGET)


@pytest.mark.keras
def test_the_last_maps_are_those_that_the_net_predicts_from(base):
    """The mean position in each of the output layer's maps is the net's raw output; the layers are in the net's order."""
    from pipeline.inference import activations as nets_insides
    from pipeline.inference import prediction
    from pipeline.nets import forward

    image = dot_faces(1, seed=0)[0][0]
    look = nets_insides.activations_of(base, image, DOTS, None)
    np.testing.assert_array_equal(look.seen, image)
    first, *_, last = look.maps
    assert (first, last) == ("stem", "keypoints")
    assert look.maps["stem"].shape == (16, 16, 16)
    assert (look.maps["stem"].min(), look.maps["block1a"].min()) == (0, 0)  # after the ReLU
    assert look.maps["block1b"].min() < 0  # which this layer does not have
    heat = np.exp(look.maps["keypoints"])
    centre = (np.arange(8) + 0.5) / 4 - 1
    x, y = (np.einsum("yxc,x->c", heat, centre), np.einsum("yxc,y->c", heat, centre)) / heat.sum(axis=(0, 1))
    wanted = forward.forward(prediction.rebuilt(base, DOTS), image[None])[0].reshape(-1, 2)
    np.testing.assert_allclose(np.stack([x, y], axis=1), wanted, atol=1e-5)


@pytest.mark.keras
def test_every_convolution_of_the_tutorial_s_net():
    """There are three, after their ReLU; the dense layers have no maps."""
    from pipeline.inference import activations as nets_insides

    look = nets_insides.activations_of(trained("kfkd", [0, 1, 2], target=TARGET), dot_faces(1, seed=0)[0][0], DOTS, None)
    assert {name: maps.shape for name, maps in look.maps.items()} == {"conv1": (30, 30, 32), "conv2": (14, 14, 64), "conv3": (6, 6, 128)}
    assert all(maps.min() == 0 for maps in look.maps.values())


@pytest.mark.keras
def test_a_specialist_sees_its_window_of_the_aligned_face(base):
    """The window is placed by the base net's prediction: its corners in the image map to the corners of the net's input."""
    from pipeline.inference import activations as nets_insides
    from pipeline.inference import prediction

    window = alignment.window(TARGET, EYES, margin=4.0, extent=16.0, zoom=1.0)
    image = dot_faces(1, seed=0)[0]
    look = nets_insides.activations_of(trained("compact", EYES, window=window.matrix, side=window.side), image[0], DOTS, base)
    assert look.seen.shape == (window.side, window.side)
    frame = alignment.aligning(prediction.predict(base, image, DOTS, None).keypoints[:, 0], TARGET)
    matrix = affine.compose(window.matrix, frame)
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * window.side
    np.testing.assert_allclose(affine.move(look.corners[None], matrix)[0], square, atol=1e-6)
    np.testing.assert_array_equal(look.seen, affine.warp(image, matrix, window.side)[0])
