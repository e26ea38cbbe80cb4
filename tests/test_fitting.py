"""Base net and specialists: the weights that they take over, what they see, and predictions that can be repeated."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from toys import DOTS, EYES, SIDE, TARGET, labelled, recipe, sight_of, structure, together, versions_of, windows_of

from pipeline.geometry import alignment
from pipeline.metrics.rmse import rmse
from pipeline.nets.samples import rows_with
from pipeline.nets.sight import Located, WholeImage

pytestmark = pytest.mark.keras

WINDOW = alignment.window(TARGET, EYES, margin=8.0, extent=1.0, zoom=1.5)
FACES = together(labelled(200, seed=1), labelled(20, seed=2))
HELD_OUT = FACES.held_out


@pytest.fixture(scope="module")
def models():
    from pipeline.nets import device

    device.prepare(seed=0, threads=0)
    from pipeline.inference import prediction
    from pipeline.nets import fitting, start, training

    names = {"fitting": fitting, "start": start, "Hooks": training.Hooks}
    return SimpleNamespace(**names, predict=prediction.predict, predict_chain=prediction.predict_chain)


@pytest.fixture(scope="module")
def train(models):
    """`fitting.train` of a compact net: the base net, or a specialist."""
    plan = recipe(epochs=4, optimizer="adamw", schedule="cosine", learning_rate=3e-3)

    def of(versions, *, base=None, window=None, keep_head=True):
        start = models.start.FromBase(base, keep_head) if base else models.start.Fresh()
        sight = sight_of(base, window) if window else WholeImage(SIDE, None if base else TARGET)
        job = models.fitting.TrainingJob(structure("compact"), FACES, plan, versions.indices, start, sight, DOTS)
        return models.fitting.train(job, versions, hooks=models.Hooks())

    return of


@pytest.fixture(scope="module")
def base(train):
    return train(versions_of(labelled(200, seed=1)))


@pytest.fixture(scope="module")
def face_specialist(train, base):
    faces = labelled(200, seed=1)
    return train(versions_of(faces, rows=rows_with(faces.keypoints, EYES), indices=EYES), base=base, keep_head=False)


@pytest.fixture(scope="module")
def window_specialist(train, base):
    return train(windows_of(FACES, base, WINDOW), base=base, window=WINDOW)


@pytest.fixture(params=["base", "face_specialist", "window_specialist"])
def net(request):
    return request.getfixturevalue(request.param)


def found_at(located):
    return Located(located, alignment.aligning(located, TARGET))


def test_a_base_net_starts_fresh(base):
    """It takes over no weights, sees the whole image, and stores its prediction for every labelled face, which the specialists need."""
    assert not len(base.carried_over)
    assert set(base.new) == set(base.weights)
    assert base.history.epoch.tolist() == [1, 2, 3, 4]
    assert (base.side, base.window) == (SIDE, None)
    np.testing.assert_array_equal(base.target, TARGET)
    assert (base.located.shape, base.located.dtype) == ((220, 3, 2), np.float32)


def test_a_net_carries_its_keypoint_set(net):
    """So a command that reads only the net knows the names, the mirror pairs and the annotation sources."""
    assert net.keypointset.restored() == DOTS


@pytest.mark.parametrize(("specialist", "side"), [("face_specialist", SIDE), ("window_specialist", WINDOW.side)])
def test_a_specialist_starts_from_the_base_nets_weights(request, specialist, side):
    """The record names the weights that a specialist took over and the new ones, and has its window."""
    eyes = request.getfixturevalue(specialist)
    assert eyes.new.tolist() == (["keypoints/kernel", "keypoints/bias"] if specialist == "face_specialist" else [])
    assert set(eyes.carried_over) | set(eyes.new) == set(eyes.weights)
    assert eyes.keypoints.tolist() == ["left_eye", "right_eye"]
    assert eyes.history.epoch.tolist() == [1, 2, 3, 4]
    assert (eyes.validation.shape, eyes.offsets.shape) == ((20, 2, 2), (2, 2, 2))
    assert (eyes.side, eyes.target, eyes.located) == (side, None, None)
    assert (eyes.window is None) == (side == SIDE)


def test_predict_repeats_what_the_training_stored(models, base, net):
    """The stored net gives the same predictions for the validation faces: inside the image and with the stored RMSE."""

    found = found_at(base.located[HELD_OUT])
    again = models.predict(net, FACES.images[HELD_OUT], DOTS, found).of_source(FACES.source[HELD_OUT])
    np.testing.assert_allclose(again.spread, net.validation_spread, atol=1e-4)
    assert again.spread.min() > 0
    again = again.keypoints
    np.testing.assert_allclose(again, net.validation, atol=1e-4)
    assert again.dtype == np.float32
    assert again.min() >= 0
    assert again.max() <= SIDE
    truth = FACES.keypoints[HELD_OUT][:, net.indices]
    assert float(net.rmse) == pytest.approx(rmse(net.validation, truth), rel=1e-6)
    assert all(value.dtype == np.float32 for value in net.weights.values())


def test_a_net_that_sees_a_window_needs_alignment_maps(models, window_specialist):
    """Without them a ValueError is raised, instead of a prediction for the whole image."""
    with pytest.raises(ValueError, match="needs to know where"):
        models.predict(window_specialist, FACES.images[HELD_OUT], DOTS)


def test_every_net_finds_the_eyes(net):
    """After four epochs on 200 faces it is far closer, in pixels of the image, than the mean face; also with a window."""

    truth = FACES.keypoints[HELD_OUT][:, EYES]
    mean_face = rmse(np.broadcast_to(TARGET[EYES], truth.shape), truth)
    assert rmse(net.validation[:, :2], truth) < 0.5 * mean_face


def test_the_base_net_locates_as_the_widest_source_would(models, base):
    """`located` is the prediction for all labelled faces according to the first annotation source, the only one that labels the eyes."""
    np.testing.assert_allclose(base.located, models.predict(base, FACES.images, DOTS, None).keypoints[:, 0], atol=1e-4)


def test_the_chain_repeats_what_the_training_stored(models, base, face_specialist, window_specialist):
    """predict_chain aligns the faces itself, and repeats each net's stored predictions for the validation faces."""
    nets = [base, face_specialist, window_specialist]
    for predicted, net in zip(models.predict_chain(nets, FACES.images[HELD_OUT], FACES.source[HELD_OUT], DOTS), nets, strict=True):
        np.testing.assert_allclose(predicted.keypoints, net.validation, atol=1e-3)


def test_the_base_net_of_a_chain_places_the_windows(models, base, window_specialist):
    """A base net that is 4 px off to the right moves the window of a specialist, whose predictions change but stay plausible."""
    images, source = FACES.images[HELD_OUT], FACES.source[HELD_OUT]
    misled = replace(base, offsets=base.offsets + np.float32([4, 0]))
    located, eyes = models.predict_chain([misled, window_specialist], images, source, DOTS)
    expected = models.predict(window_specialist, images, DOTS, found_at(models.predict(misled, images, DOTS, None).keypoints[:, 0]))
    np.testing.assert_allclose(eyes.keypoints, expected.of_source(source).keypoints, atol=1e-4)
    assert np.abs(eyes.keypoints - window_specialist.validation).max() > 0.2
    assert located.keypoints.max() > base.validation.max()
