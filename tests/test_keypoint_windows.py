"""Windows around single keypoints: where they lie, what a training sees in them, and predictions in several passes."""

from dataclasses import replace

import numpy as np
import pytest
from toys import DOTS, EYES, SIDE, STILL, TARGET, centroid, dots_at, labelled, recipe, structure, together, versions_of

from pipeline.geometry import affine, alignment
from pipeline.nets.samples import DrawnWindows, Labelled, balanced, labels_of, only, seen
from pipeline.nets.sight import KeypointWindows, Located, WholeImage, located_by

WIDE = 240  # width and height of the images, pixels
WINDOW = 32
RANGES = replace(STILL, rotation=20.0, shift=4.0, scale=1.2)


def scattered(n, seed=0):
    """Keypoints (n, 3, 2) of samples of about 60 px anywhere in images of WIDE x WIDE pixels, and maps that align them to TARGET."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-0.6, 0.6, n)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1).reshape(-1, 2, 2) * 3
    keypoints = np.einsum("nij,kj->nki", turn, TARGET - TARGET.mean(axis=0)) + rng.uniform(80, WIDE - 80, (n, 1, 2))
    return keypoints, alignment.aligning(keypoints, TARGET, scale=1 / 3)


def windows(n=12, zooms=(1.5, 3.0), indices=(0, 1, 2)):
    keypoints, aligning = scattered(n)
    return keypoints, KeypointWindows(WINDOW, zooms, aligning, keypoints[:, list(indices)], 1 / 3)


def test_a_window_lies_around_its_keypoint_and_is_turned_and_scaled_like_the_aligned_sample():
    """A keypoint is in the middle of its window; the others are where the aligned sample, enlarged by the zoom, has them."""
    keypoints, sight = windows()
    which = np.arange(12)
    view = sight.around(keypoints[:, 1], which, np.full(12, 3.0))
    placed = affine.move(keypoints, view.matrix)
    np.testing.assert_allclose(placed[:, 1], np.full((12, 2), WINDOW / 2), atol=1e-9)
    aligned = affine.move(keypoints, sight.aligning)
    np.testing.assert_allclose(placed - placed[:, [1]], 3 * (aligned - aligned[:, [1]]), atol=1e-9)


def test_of_no_images_there_are_no_windows():
    """A set may have no samples to predict."""
    _, sight = windows()
    nothing = np.zeros(0, int)
    view = sight.around(np.zeros((0, 2)), nothing, np.zeros(0))
    assert view.matrix.shape == (0, 2, 3)
    assert view.reduction == sight.around(sight.located[:1, 0], np.zeros(1, int), np.array([1.5])).reduction


def test_the_view_is_that_of_the_first_keypoint_in_the_last_pass():
    """So a picture of what such a net sees shows one of its windows. Another number of images raises a ValueError."""
    keypoints, sight = windows()
    expected = sight.around(keypoints[:, 0], np.arange(12), np.full(12, 3.0))
    np.testing.assert_array_equal(sight.view(12).matrix, expected.matrix)
    with pytest.raises(ValueError, match="11 images and 12 alignment maps"):
        sight.view(11)
    part = sight.of(np.array([3, 1]))
    np.testing.assert_array_equal(part.view(2).matrix, expected.matrix[[3, 1]])


def drawn(keypoints, sight, images=None, *, indices=(0, 1, 2), ranges=RANGES, size=24, keypointset=DOTS, pairs=None):
    n = len(keypoints)
    images = np.zeros((n, WIDE, WIDE), np.uint8) if images is None else images
    faces = Labelled(images, keypoints.astype(np.float32), np.zeros(n, np.int8), np.zeros(n, bool))
    pairs = labels_of(faces.keypoints, np.arange(n), list(indices)) if pairs is None else pairs
    return DrawnWindows(faces, sight, keypointset=keypointset, ranges=ranges, seed=1, pairs=pairs, size=size, indices=list(indices))


@pytest.mark.parametrize("flip", [0.0, 1.0], ids=["plain", "mirrored"])
def test_a_dot_follows_its_keypoint_into_its_window(flip):
    """The only label of a window is that of its keypoint, in a mirrored one that of its partner; a dot drawn there stays within 0.1 px."""
    keypoints, sight = windows(zooms=(3.0,))
    pairs = np.stack([np.arange(12), np.full(12, 1)], axis=1)
    made = drawn(keypoints, sight, dots_at(keypoints[:, 1], side=WIDE), pairs=pairs, size=12, ranges=replace(RANGES, flip=flip))
    samples = made.block(2, slice(0, 12))
    known = np.isfinite(samples.keypoints).all(axis=2)
    assert known.sum(axis=1).tolist() == [1] * 12
    assert known[:, 0 if flip else 1].all()
    assert np.abs(centroid(samples.images) - samples.keypoints[known]).max() < 0.1
    assert np.abs(samples.keypoints[known] - WINDOW / 2).max() <= 4.0


def test_epochs_go_through_all_labels_before_they_begin_again():
    """Three epochs of 24 windows see each of 36 labels twice; equal arguments give equal samples, and blocks can be cut anywhere."""
    keypoints, sight = windows()
    made = drawn(keypoints, sight)
    taken = np.concatenate([made._pairs(epoch, slice(0, 24)) for epoch in range(3)])
    assert sorted(map(tuple, taken.tolist())) == sorted(2 * [(n, k) for n in range(12) for k in range(3)])
    np.testing.assert_array_equal(np.concatenate([made._pairs(1, slice(0, 5)), made._pairs(1, slice(5, 24))]), made._pairs(1, slice(0, 24)))
    np.testing.assert_array_equal(made.block(1, slice(0, 6)).keypoints, made.block(1, slice(0, 6)).keypoints)
    assert len(made) == 24


def test_windows_have_each_of_the_zooms():
    """About half of the windows have either; the length of their pixels says which."""
    keypoints, sight = windows()
    pixel = drawn(keypoints, sight, ranges=STILL, size=200).block(0, slice(0, 200)).pixel
    assert 60 < (pixel > 1.5).sum() < 140
    np.testing.assert_allclose(np.unique(pixel.round(4)), [1.0, 2.0])


def test_rare_labels_are_repeated():
    """Ten labels of one keypoint, four of another and one of a third become about ten, eight and at most four."""
    pairs = np.array([(n, 0) for n in range(10)] + [(n, 1) for n in range(4)] + [(0, 2)])
    assert np.bincount(balanced(pairs)[:, 1]).tolist() == [10, 8, 4]
    assert len(balanced(pairs[:0])) == 0


def test_only_one_label_is_kept():
    """The label at the given place stays; the others become NaN, and the argument is unchanged."""
    labels = np.arange(12.0).reshape(2, 3, 2)
    kept = only(labels, np.array([2, 0]))
    np.testing.assert_array_equal(kept[0], [[np.nan] * 2, [np.nan] * 2, [4, 5]])
    np.testing.assert_array_equal(kept[1], [[6, 7], [np.nan] * 2, [np.nan] * 2])
    assert np.isfinite(labels).all()


def test_the_validation_sees_one_window_for_each_label():
    """Around where the base net has found the keypoint, in the last zoom; a missing label has no window."""
    keypoints, sight = windows()
    labels = keypoints.astype(np.float32)
    labels[4, 1] = np.nan
    faces = Labelled(np.zeros((12, WIDE, WIDE), np.uint8), labels, np.zeros(12, np.int8), np.arange(12) >= 4)
    samples = seen(faces, sight, faces.held_out, [0, 1, 2])
    assert samples.images.shape == (23, WINDOW, WINDOW)
    known = np.isfinite(samples.keypoints).all(axis=2)
    assert known.sum() == 23
    np.testing.assert_allclose(samples.keypoints[known], WINDOW / 2, atol=1e-3)


class Teller:
    """A stand-in for a net: in each window it places every keypoint at the brightest pixel."""

    output_shape = (None, 2, 2, 2)

    def predict_on_batch(self, images):
        brightest = images.reshape(len(images), -1).argmax(axis=1)
        row, column = np.divmod(brightest, images.shape[2])
        unit = (np.stack([column, row], axis=1) + 0.5) / (images.shape[1] / 2) - 1
        return np.tile(unit[:, None, None], (1, 2, 2, 1)).astype(np.float32)


@pytest.mark.keras
def test_the_second_pass_begins_where_the_first_has_found_the_keypoint():
    """A window of the second pass would miss a keypoint that the base net has placed 27 px off; with the first pass before it, each
    keypoint is found to half a pixel."""
    from pipeline.nets import forward

    keypoints, sight = windows(zooms=(0.75, 3.0), indices=EYES)
    images = dots_at(keypoints[:, 1], side=WIDE)
    off = replace(sight, located=sight.located + np.array([20.0, -18.0]))
    found = forward.predict_windows(Teller(), images, DOTS, off, indices=EYES).keypoints[:, :, [1]]
    assert found.shape == (12, 2, 1, 2)
    assert np.abs(found[:, :, 0] - keypoints[:, None, 1]).max() < 0.8
    single = forward.predict_windows(Teller(), images, DOTS, replace(off, zooms=(3.0,)), indices=EYES).keypoints
    assert np.abs(single[:, 0, 1] - keypoints[:, 1]).max() > 4


@pytest.mark.keras
def test_nothing_is_predicted_for_no_images():
    """A set may have no samples to predict; the predictions are empty."""
    from pipeline.nets import forward

    _, sight = windows(indices=EYES)
    images = np.zeros((0, WIDE, WIDE), np.uint8)
    assert forward.predict_windows(Teller(), images, DOTS, sight.of(np.zeros(0, int)), indices=EYES).keypoints.shape == (0, 2, 2, 2)


@pytest.mark.keras
def test_the_last_pass_is_the_mean_of_several_looks():
    """Each look moves the window, so that a net that always predicts the middle of its window is right only on average."""
    from pipeline.nets import forward

    class Middle(Teller):
        def predict_on_batch(self, images):
            return np.zeros((len(images), 2, 2, 2), np.float32)

    keypoints, sight = windows(zooms=(3.0,), indices=EYES)
    images = np.zeros((12, WIDE, WIDE), np.uint8)
    once, five = (forward.predict_windows(Middle(), images, DOTS, replace(sight, looks=looks), indices=EYES).keypoints for looks in (1, 5))
    np.testing.assert_allclose(once[:, 0], keypoints[:, EYES], atol=1e-3)
    difference = five[:, 0] - once[:, 0]
    assert np.abs(difference).max() < 1
    assert np.abs(difference).min() > 0


@pytest.mark.keras
def test_a_specialist_trains_on_windows_and_repeats_its_predictions():
    """It starts from the base net, stores its zooms, repeats what the training stored, and comes closer than the base net."""
    from pipeline.inference import prediction
    from pipeline.nets import device, fitting, training
    from pipeline.nets.start import Fresh, FromBase

    device.prepare(seed=0, threads=0)
    faces = together(labelled(120, seed=1), labelled(20, seed=2))
    plan, hooks = recipe(epochs=2, optimizer="adamw", schedule="cosine", learning_rate=3e-3), training.Hooks()
    job = fitting.TrainingJob(structure("compact"), faces, plan, [0, 1, 2], Fresh(), WholeImage(SIDE, TARGET), DOTS)
    base = fitting.train(job, versions_of(labelled(120, seed=1)), hooks=hooks)
    found = located_by(base)
    sight = KeypointWindows(WINDOW, (1.0, 1.5), found.aligning, found.located[:, EYES])
    pairs = labels_of(faces.keypoints, np.flatnonzero(~faces.held_out), EYES)
    versions = DrawnWindows(faces, sight, DOTS, replace(RANGES, flip=0.5), 0, pairs, 240, EYES)
    own = replace(plan, epochs=6, frame_pixel=0.0)
    eyes = fitting.train(replace(job, recipe=own, indices=EYES, start=FromBase(base, True), sight=sight), versions, hooks=hooks)
    assert (eyes.zooms.tolist(), eyes.window, eyes.target, eyes.sees_windows) == ([1.0, 1.5], None, None, True)
    which = Located(found.located[faces.held_out], found.aligning[faces.held_out])
    again = prediction.predict(eyes, faces.images[faces.held_out], DOTS, which).keypoints[np.arange(20), faces.source[faces.held_out]]
    np.testing.assert_allclose(again, eyes.validation, atol=1e-3)
    assert eyes.rmse < np.sqrt(np.nanmean(np.square(base.validation[:, EYES] - faces.keypoints[faces.held_out][:, EYES])))
    with pytest.raises(ValueError, match="needs to know where"):
        prediction.predict(eyes, faces.images, DOTS)


@pytest.mark.keras
def test_the_entropy_of_heat_maps_is_that_of_the_loop():
    """Softmax of each map, a normal density around each label, normalised over the map: minus the sum of density times logarithm."""
    from keras import ops

    from pipeline.nets.losses import heat_map_entropy

    rng = np.random.default_rng(0)
    maps, labels = rng.normal(size=(2, 5, 6, 3)).astype(np.float32), rng.uniform(1, 4, (2, 3, 2)).astype(np.float32)
    known = np.array([[1, 0, 1], [1, 1, 1]], np.float32)
    found = np.asarray(heat_map_entropy(*map(ops.convert_to_tensor, (maps, labels, known)), spread=0.8))
    for n in range(2):
        for k in range(3):
            weights = np.exp(maps[n, :, :, k]) / np.exp(maps[n, :, :, k]).sum()
            y, x = np.mgrid[:5, :6] + 0.5
            density = np.exp(-((x - labels[n, k, 0]) ** 2 + (y - labels[n, k, 1]) ** 2) / (2 * 0.8**2))
            expected = -(density / density.sum() * np.log(weights)).sum() * known[n, k]
            assert found[n, k] == pytest.approx(expected, rel=1e-4)


@pytest.mark.keras
def test_the_loss_of_heat_maps_gives_them_peaks_of_its_width():
    """With it, the heat maps of a net that was trained otherwise the same are closer to normal densities around the labels."""
    import keras
    from keras import ops

    from pipeline.nets import device, network, training
    from pipeline.nets.losses import heat_map_entropy
    from pipeline.nets.start import Fresh

    new = labelled(8, seed=3)

    def entropy(weight):
        device.prepare(seed=0, threads=0)
        net = network.build(structure("compact"), side=SIDE, keypoints=3, sources=2)
        Fresh().apply(net, [0, 1, 2])
        plan = recipe(epochs=4, learning_rate=3e-3, heat_map=weight)
        training.fit(net, versions_of(labelled(96, seed=1)), labelled(8, seed=2), plan, keypointset=DOTS, hooks=training.Hooks())
        maps = keras.Model(net.input, network.heat_maps(net)).predict_on_batch(new.images)[..., :3]
        known = np.isfinite(new.keypoints).all(axis=2).astype(np.float32)
        places = np.nan_to_num(new.keypoints) * (maps.shape[1] / SIDE)
        found = heat_map_entropy(*map(ops.convert_to_tensor, (maps, places, known)), spread=1.0)
        return np.asarray(found).sum() / known.sum()

    assert entropy(1.0) < 0.95 * entropy(0.0)


def test_the_number_of_different_labels_does_not_count_repetitions():
    """A budget in passes through the labels would otherwise last longer for rare keypoints."""
    keypoints, sight = windows()
    pairs = balanced(np.array([(n, 0) for n in range(12)] + [(0, 1)]))
    assert len(pairs) == 16
    assert drawn(keypoints, sight, pairs=pairs).different == 13
