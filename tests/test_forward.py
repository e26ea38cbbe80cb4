"""The forward pass, mirrored averaging, views, refinement, and the offsets of the annotation sources."""

from dataclasses import replace

import numpy as np
import pytest
from toys import DOTS, EYES, SIDE, TARGET, build, dot_faces

from pipeline.geometry import affine, alignment
from pipeline.geometry.frame import Frame
from pipeline.nets.averaged import Averaged
from pipeline.nets.sight import AlignedWindow, View, WholeImage
from pipeline.nets.sources import source_offsets, widest_where_unlabelled

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def forward():
    from pipeline.nets import device, forward

    device.prepare(seed=3, threads=0)
    return forward


@pytest.fixture(scope="module")
def net(forward):
    return build("compact")


@pytest.fixture(scope="module")
def images():
    return dot_faces(11, seed=1)[0]


def mirrored(keypoints):
    """Keypoints (n, S, K, 2) of the mirror images: x reversed, left and right exchanged."""
    return np.array([SIDE, 0]) + keypoints[:, :, list(DOTS.mirror_order)] * [-1, 1]


def test_a_face_and_its_mirror_image_get_mirrored_keypoints(forward, net, images):
    """With mirrored averaging the predictions for mirrored faces are the mirrored predictions; without it they are not."""
    once, turned = (forward.predict(net, faces, DOTS, indices=[0, 1, 2], mirrored=True) for faces in (images, images[:, :, ::-1]))
    np.testing.assert_allclose(turned, mirrored(once), atol=1e-4)
    once, turned = (forward.predict(net, faces, DOTS, indices=[0, 1, 2], mirrored=False) for faces in (images, images[:, :, ::-1]))
    assert np.abs(turned - mirrored(once)).max() > 0.1


def test_mirrored_averaging_is_the_mean_of_two_passes(forward, net, images):
    """It is the mean of the prediction for the faces and the mirrored prediction for their mirror images, in pixels."""
    plain, turned = (forward.predict(net, faces, DOTS, indices=[0, 1, 2], mirrored=False) for faces in (images, images[:, :, ::-1]))
    both = forward.predict(net, images, DOTS, indices=[0, 1, 2], mirrored=True)
    np.testing.assert_allclose(both, (plain + mirrored(turned)) / 2, atol=1e-4)
    assert both.dtype == np.float32


@pytest.mark.parametrize("indices", [EYES, EYES[::-1]])
def test_a_specialists_keypoints_change_places_among_themselves(forward, images, indices):
    """A net for two of the three keypoints, in any order, exchanges left and right according to its own order."""
    eyes = build("compact", keypoints=2)
    once, turned = (forward.predict(eyes, faces, DOTS, indices=indices, mirrored=True) for faces in (images, images[:, :, ::-1]))
    np.testing.assert_allclose(turned, np.array([SIDE, 0]) + once[:, :, ::-1] * [-1, 1], atol=1e-4)


def test_images_that_must_not_be_mirrored_are_predicted_once(forward, net, images):
    """For a keypoint set with mirror=None, mirrored averaging is the plain prediction, byte for byte."""
    unmirrored = replace(DOTS, mirror=None)
    plain, averaged = (forward.predict(net, images, unmirrored, indices=[0, 1, 2], mirrored=mirrored) for mirrored in (False, True))
    np.testing.assert_array_equal(averaged, plain)
    view = WholeImage(SIDE).view(11)
    np.testing.assert_array_equal(forward.predict_view(net, images, view, unmirrored, indices=[0, 1, 2]).keypoints, plain)
    assert np.abs(forward.predict(net, images, DOTS, indices=[0, 1, 2], mirrored=True) - plain).max() > 0.1


@pytest.mark.parametrize("n", [0, 1, 4, 11])
def test_batches_do_not_change_predictions(forward, net, images, monkeypatch, n):
    """Any number of faces, including none and an incomplete batch, gets the same predictions as in a single batch."""
    monkeypatch.setattr(forward, "BATCH", 4)
    expected = np.asarray(net(images.astype(np.float32)))[:n]
    got = forward.forward(net, images[:n])
    assert (got.shape, got.dtype) == ((n, 2, 3, 2), np.float32)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_every_batch_is_full(forward):
    """The net gets only batches of one size, so that it is compiled once."""

    seen = []

    class Net:
        output_shape = (None, 1, 1, 2)

        def predict_on_batch(self, batch):
            seen.append(batch.shape)
            return np.zeros((len(batch), 1, 1, 2), np.float32)

    forward.forward(Net(), np.zeros((forward.BATCH + 1, 8, 8), np.uint8))
    assert seen == [(forward.BATCH, 8, 8)] * 2


# ---- views -----------------------------------------------------------------------------------------------------------------------------


class Teller:
    """A net that finds the dots without training: the eyes are the bright spots in the two halves, the nose is the dark spot.

    Its input must be a roughly upright face near the centre.
    """

    def __init__(self, keypoints):
        self.keypoints, self.seen, self.output_shape = keypoints, [], (None, 2, len(keypoints), 2)

    def predict_on_batch(self, images):
        grey = images.astype(float) - 100
        right = np.arange(images.shape[-1]) >= images.shape[-1] / 2
        parts = [np.where(right, np.maximum(grey, 0), 0), np.where(right, 0, np.maximum(grey, 0)), np.maximum(-grey, 0)]
        unit = np.stack([middle_of(parts[k]) for k in self.keypoints], axis=1) / (images.shape[-1] / 2) - 1
        self.seen.append(unit)
        return np.repeat(unit[:, None], 2, axis=1)


def middle_of(weights):
    """The mean position (n, 2) of weights (n, side, side), or the image centre if there are none."""
    weights = weights + 1e-12
    centre = np.arange(weights.shape[-1]) + 0.5
    sums = np.stack([(weights.sum(axis=1) * centre).sum(axis=1), (weights.sum(axis=2) * centre).sum(axis=1)], axis=1)
    return sums / weights.sum(axis=(1, 2))[:, None]


def clear_faces(n, *, turn, width=1.2):
    """Faces for the Teller without noise, and their keypoints: the target rotated by up to `turn` radians, slightly reduced and shifted."""
    rng = np.random.default_rng(4)
    angle, scale = rng.uniform(-turn, turn, n), rng.uniform(0.75, 0.9, n)
    linear = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1).reshape(-1, 2, 2) * scale[:, None, None]
    keypoints = (TARGET - 16) @ linear.transpose(0, 2, 1) + 16 + rng.uniform(-1.5, 1.5, (n, 1, 2))
    centre = np.arange(SIDE) + 0.5
    x, y = (np.exp(-((centre - keypoints[:, :, [axis]]) ** 2) / (2 * width**2)) for axis in (0, 1))
    grey = 100 + np.einsum("k,nky,nkx->nyx", np.array([120, 120, -90]), y, x)
    return np.round(grey).astype(np.uint8), keypoints


def view_of(name, n):
    """A view by name: whole images, enlarged images, rotated by different angles, or a 48-pixel window around the eyes of upright faces."""
    middle = np.tile(np.eye(2, 3), (n, 1, 1))
    if name == "turned":
        angle = np.linspace(-0.3, 0.3, n)
        linear = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1).reshape(-1, 2, 2)
        middle = np.concatenate([linear, (16 - linear @ np.full(2, 16))[:, :, None]], axis=2)
    if name == "window":
        window = alignment.window(TARGET, EYES, margin=9.0, extent=1.0, zoom=1.5)
        return View(affine.compose(window.matrix, middle), window.side)
    return View(2 * middle, 64) if name == "larger" else View(middle, 32)


@pytest.mark.parametrize("name", ["whole", "larger", "turned", "window"])
def test_predictions_through_any_view_are_in_pixels_of_the_image(forward, name):
    """The dots that the net finds in its input are returned at their positions in the image, to 0.1 px, for every source."""
    images, keypoints = clear_faces(20, turn=0.1)
    indices = EYES if name == "window" else [0, 1, 2]
    found = forward.predict_view(Teller(indices), images, view_of(name, 20), DOTS, indices=indices).keypoints
    assert (found.shape, found.dtype) == ((20, 2, len(indices), 2), np.float32)
    np.testing.assert_allclose(found, np.repeat(keypoints[:, None, indices], 2, axis=1), atol=0.1)


def test_a_prediction_for_whole_images_is_the_mirrored_average(forward, net, images):
    """The view of the whole image changes nothing, byte for byte."""
    view = WholeImage(SIDE).view(11)
    np.testing.assert_array_equal(view.images(images)[:], images)
    found = forward.predict_view(net, images, view, DOTS, indices=[0, 1, 2]).keypoints
    np.testing.assert_array_equal(found, forward.predict(net, images, DOTS, indices=[0, 1, 2], mirrored=True))


def test_a_view_of_some_faces(forward, images):
    """`of` keeps the maps and the side of the chosen faces."""
    view, chosen = view_of("turned", 11), np.arange(11) % 3 == 1
    np.testing.assert_array_equal(view.of(chosen).images(images[chosen])[:], view.images(images)[chosen])


def test_the_refinement_is_a_prediction_for_the_aligned_face(forward):
    """Rotated and reduced faces are aligned, so that the net sees their dots at the target; both predictions are right."""
    images, keypoints = clear_faces(20, turn=0.25)
    net = Teller([0, 1, 2])
    found = forward.predict_refined(net, images, DOTS, WholeImage(SIDE), TARGET).keypoints
    np.testing.assert_allclose(found[:, 0], keypoints, atol=0.1)
    first, _, second, _ = (
        Frame(SIDE).to_pixels(unit[:20]) for unit in net.seen
    )  # each prediction is followed by that for the mirror images
    assert np.abs(first - TARGET).max() > 2
    np.testing.assert_allclose(second, np.broadcast_to(TARGET, (20, 3, 2)), atol=0.1)


class Shortsighted(Teller):
    """Finds each dot halfway between its place and that on the aligned face, so that each alignment halves the error."""

    def predict_on_batch(self, images):
        return (super().predict_on_batch(images) + Frame(SIDE).to_unit(TARGET)) / 2


def test_faces_that_the_first_prediction_misses_are_aligned_again(forward, monkeypatch):
    """The result is the mean of the last two predictions, and the faces that two predictions agree on are not predicted once more."""
    images, keypoints = clear_faces(8, turn=0.5)
    options = DOTS, WholeImage(SIDE), TARGET
    errors, calls = [], []
    for most in (1, 4):
        monkeypatch.setattr(forward, "MOST_ALIGNMENTS", most)
        net = Shortsighted([0, 1, 2])
        found = forward.predict_refined(net, images, *options).keypoints[:, 0]
        errors.append(np.linalg.norm(found - keypoints, axis=2).mean(axis=1))
        calls.append(len(net.seen))
    once, often = errors
    far = np.abs(once - often) > 0
    assert 0 < far.sum() < 8
    assert (often[far] < 0.7 * once[far]).all()
    assert calls == [4, 6]  # each prediction is followed by that for the mirror images


def one_face_is_small(forward, monkeypatch, n):
    """Predictions for n faces of which the last is small and in a corner. The net finds a face only if it is at least half as large as the
    target, and otherwise answers with a place that depends on the view. Returns (predictions, true keypoints), each (n, 3, 2)."""
    truth = np.repeat(TARGET[None], n, axis=0)
    truth[-1] = (TARGET - 16) * 0.3 + np.array([25.0, 24.0])
    images = np.repeat(np.arange(n, dtype=np.uint8), SIDE * SIDE).reshape(n, SIDE, SIDE)

    def predict_view(net, images, view, keypointset, *, indices):
        own = truth[images[:][:, 0, 0]]
        seen = affine.move(own, view.matrix)
        size = np.linalg.norm(seen[:, 0] - seen[:, 1], axis=1) / np.linalg.norm(TARGET[0] - TARGET[1])
        there = (size > 0.5) & (size < 2) & ((seen > 0) & (seen < SIDE)).all(axis=(1, 2))
        astray = 16 + 9 * np.sin(1e3 * view.matrix.sum(axis=(1, 2)))[:, None, None] + (TARGET - 16)
        unit = np.where(there[:, None, None], seen, astray)
        found = affine.move(unit, affine.inverse(view.matrix)).astype(np.float32)[:, None].repeat(2, axis=1)
        return Averaged(found, np.zeros(found.shape[:-1], np.float32))

    monkeypatch.setattr(forward, "predict_view", predict_view)
    found = forward.predict_refined(None, images, DOTS, WholeImage(SIDE), TARGET).keypoints[:, 0]
    return found, truth


def test_a_lost_face_is_searched_for_in_parts_of_the_image(forward, monkeypatch):
    """Several enlarged parts show it, and their predictions agree; the other faces are unchanged."""
    found, truth = one_face_is_small(forward, monkeypatch, 10)
    np.testing.assert_allclose(found, truth, atol=0.2)


def test_nets_that_find_hardly_any_face_do_not_search(forward, monkeypatch):
    """If too many faces are lost, the predictions for the whole images stay."""
    monkeypatch.setattr(forward, "FEW_LOST", 0)
    found, truth = one_face_is_small(forward, monkeypatch, 10)
    np.testing.assert_allclose(found[:-1], truth[:-1], atol=0.2)
    assert np.abs(found[-1] - truth[-1]).max() > 3


def test_prediction_and_refinement_are_averaged(forward, net, images, monkeypatch):
    """For an untrained net they differ; the result is their mean, for every source. The first source's prediction aligns the face."""
    monkeypatch.setattr(forward, "FAR_APART", np.inf)
    first = forward.predict_view(net, images, WholeImage(SIDE).view(11), DOTS, indices=[0, 1, 2]).keypoints
    aligned = View(alignment.aligning(first[:, 0], TARGET), SIDE)
    second = forward.predict_view(net, images, aligned, DOTS, indices=[0, 1, 2]).keypoints
    assert np.abs(second - first).max() > 0.1
    found = forward.predict_refined(net, images, DOTS, WholeImage(SIDE), TARGET).keypoints
    np.testing.assert_allclose(found, (first + second) / 2, atol=1e-4)


def test_the_sight_decides_between_one_prediction_and_a_refined_one(forward, net, images):
    """With a target the prediction is refined; without one it is the prediction through the view of the sight."""
    options = {"keypointset": DOTS, "indices": [0, 1, 2]}
    whole, refined = (forward.predict_sight(net, images, WholeImage(SIDE, target), **options).keypoints for target in (None, TARGET))
    once = forward.predict_view(net, images, WholeImage(SIDE).view(11), DOTS, indices=[0, 1, 2])
    np.testing.assert_array_equal(whole, once.keypoints)
    np.testing.assert_array_equal(refined, forward.predict_refined(net, images, DOTS, WholeImage(SIDE), TARGET).keypoints)
    window = alignment.window(TARGET, EYES, margin=9.0, extent=1.0, zoom=1.0)
    sight = AlignedWindow(window, affine.identity(11))
    through = forward.predict_sight(build("compact", side=window.side, keypoints=2), images, sight, DOTS, indices=EYES)
    assert (through.keypoints.shape, through.spread.shape) == ((11, 2, 2, 2), (11, 2, 2))


# ---- spread ----------------------------------------------------------------------------------------------------------------------------


def distances(parts, mean):
    """The root mean square distance of predictions (m, n, S, k, 2) from their mean, by definition."""
    return np.sqrt(np.mean([np.sum((part - mean) ** 2, axis=-1) for part in parts], axis=0))


def through(forward, net, images, view, *, mirror):
    """The prediction through a view, or that for the mirror image, in pixels of the images, without any average."""
    seen = view.images(images)[:]
    if not mirror:
        found = forward.predict(net, seen, DOTS, indices=[0, 1, 2], mirrored=False)
    else:
        found = mirrored(forward.predict(net, seen[:, :, ::-1], DOTS, indices=[0, 1, 2], mirrored=False))
    return affine.move(found, affine.inverse(view.matrix))


def test_the_spread_is_the_distance_of_all_predictions_from_their_mean(forward, net, images, monkeypatch):
    """Of image and mirror image, of both alignments, and of several looks, in pixels of the image."""
    monkeypatch.setattr(forward, "FAR_APART", np.inf)
    whole, turned = WholeImage(SIDE).view(11), view_of("turned", 11)
    aligned = View(alignment.aligning(forward.predict_view(net, images, whole, DOTS, indices=[0, 1, 2]).keypoints[:, 0], TARGET), SIDE)
    refined = forward.predict_refined(net, images, DOTS, WholeImage(SIDE), TARGET)
    looks = forward.predict_looks(net, images, turned, 3, DOTS, indices=[0, 1, 2])
    for found, views in ((refined, [whole, aligned]), (looks, turned.looks(3))):
        parts = [through(forward, net, images, view, mirror=mirror) for view in views for mirror in (False, True)]
        np.testing.assert_allclose(found.keypoints, np.mean(parts, axis=0), atol=1e-3)
        np.testing.assert_allclose(found.spread, distances(parts, np.mean(parts, axis=0)), atol=1e-3)
        assert found.spread.dtype == np.float32
        assert found.spread.min() > 0


def test_a_single_prediction_has_no_spread(forward, net, images):
    """Images of a set that must not be mirrored are predicted once."""
    found = forward.predict_view(net, images, WholeImage(SIDE).view(11), replace(DOTS, mirror=None), indices=[0, 1, 2])
    assert found.spread.shape == found.keypoints.shape[:-1]
    assert not found.spread.any()


# ---- offsets ---------------------------------------------------------------------------------------------------------------------------


def planted(n, *, wrong):
    """Predictions (n, 2, 3, 2), labels, sources and the offsets of each source and keypoint; a share `wrong` of labels is 40 px off."""
    rng = np.random.default_rng(7)
    offsets = rng.uniform(-1, 1, (2, 3, 2))
    truth, source = rng.uniform(20, 60, (n, 3, 2)), rng.integers(0, 2, n)
    labels = truth + offsets[source] + rng.normal(0, 0.5, (n, 3, 2))
    labels[rng.random((n, 3)) < wrong] += 40
    return np.repeat(truth[:, None], 2, axis=1).astype(np.float32), labels.astype(np.float32), source, offsets


def test_offsets_are_found_among_gross_errors(forward):
    """Each source's offset is found to 0.15 px although 4 % of the labels are 40 px off; their plain mean would be off by 1.6."""
    predicted, labels, source, offsets = planted(800, wrong=0.04)
    found = source_offsets(predicted, labels, source)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, offsets, atol=0.15)
    assert np.abs(np.mean(labels[source == 0] - predicted[source == 0, 0], axis=0) - offsets[0]).max() > 1


def test_missing_labels_do_not_affect_the_offsets(forward):
    """Missing labels are ignored; if a source has none for a keypoint, the offset is 0."""
    predicted, labels, source, offsets = planted(800, wrong=0)
    labels[::5] = np.nan
    labels[source == 1, 2] = np.nan
    found = source_offsets(predicted, labels, source)
    assert (found[1, 2] == 0).all()
    found[1, 2] = offsets[1, 2]
    np.testing.assert_allclose(found, offsets, atol=0.15)


def test_a_net_with_one_head_has_one_offset_for_all(forward):
    """With S = 1 the offset is that of all faces together; here the labels of every source are exactly 2 px further to the right."""
    predicted = np.full((30, 1, 3, 2), 5, np.float32)
    labels = np.full((30, 3, 2), [7, 5], np.float32)
    found = source_offsets(predicted, labels, np.arange(30) % 2)
    np.testing.assert_array_equal(found, np.full((1, 3, 2), [2, 0], np.float32))


def test_keypoints_that_a_source_does_not_label_are_those_of_the_widest_source(forward):
    """The second source labels only the nose: its eyes are those of the first source, its nose is its own. S = 1 changes nothing."""
    by_source = np.arange(2 * 2 * 3 * 2, dtype=np.float32).reshape(2, 2, 3, 2)
    predicted = widest_where_unlabelled(by_source, DOTS, [0, 1, 2])
    np.testing.assert_array_equal(predicted[:, 0], by_source[:, 0])
    np.testing.assert_array_equal(predicted[:, 1, :2], by_source[:, 0, :2])
    np.testing.assert_array_equal(predicted[:, 1, 2], by_source[:, 1, 2])
    specialist = by_source[:, :, :1]
    np.testing.assert_array_equal(widest_where_unlabelled(specialist, DOTS, [2]), specialist)
    one_head = by_source[:, :1]
    np.testing.assert_array_equal(widest_where_unlabelled(one_head, DOTS, [0, 1, 2]), one_head)
