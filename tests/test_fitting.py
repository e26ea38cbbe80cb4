"""Base net and specialists, from faces to what they predict: what they take over, where they look, and that they say the same again."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from toys import DOTS, EYES, SIDE, TARGET, labelled, recipe, sight_of, structure, together, versions_of, windows_of

from pipeline.geometry import alignment
from pipeline.metrics.rmse import rmse
from pipeline.nets.samples import rows_with
from pipeline.nets.sight import WholeImage
from pipeline.nets.sources import of_source

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
        job = models.fitting.TrainingJob(structure("compact"), FACES, plan, versions.indices, start, sight)
        return models.fitting.train(job, versions, keypointset=DOTS, hooks=models.Hooks())

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


def frame_of(located):
    return alignment.aligning(located, TARGET)


def test_a_base_net_begins_fresh(base):
    """It takes over nothing, sees the whole image, and keeps where it has located every labelled face, for the specialists."""
    assert not len(base.carried_over)
    assert set(base.new) == set(base.weights)
    assert base.history.epoch.tolist() == [1, 2, 3, 4]
    assert (base.side, base.window) == (SIDE, None)
    np.testing.assert_array_equal(base.target, TARGET)
    assert (base.located.shape, base.located.dtype) == ((220, 3, 2), np.float32)


@pytest.mark.parametrize(("specialist", "side"), [("face_specialist", SIDE), ("window_specialist", WINDOW.side)])
def test_a_specialist_begins_with_the_base_nets_weights(request, specialist, side):
    """fitting.train names what a specialist took over and what began fresh; its view is kept."""
    eyes = request.getfixturevalue(specialist)
    assert eyes.new.tolist() == (["keypoints/kernel", "keypoints/bias"] if specialist == "face_specialist" else [])
    assert set(eyes.carried_over) | set(eyes.new) == set(eyes.weights)
    assert eyes.keypoints.tolist() == ["left_eye", "right_eye"]
    assert eyes.history.epoch.tolist() == [1, 2, 3, 4]
    assert (eyes.validation.shape, eyes.offsets.shape) == ((20, 2, 2), (2, 2, 2))
    assert (eyes.side, eyes.target, eyes.located) == (side, None, None)
    assert (eyes.window is None) == (side == SIDE)


def test_predict_says_what_the_training_stored(models, base, net):
    """The validation faces' predictions, again from the stored net: the same, inside the image, with the RMSE that is told."""

    frame = frame_of(base.located[HELD_OUT])
    again = of_source(models.predict(net, FACES.images[HELD_OUT], DOTS, frame), FACES.source[HELD_OUT])
    np.testing.assert_allclose(again, net.validation, atol=1e-4)
    assert again.dtype == np.float32
    assert again.min() >= 0
    assert again.max() <= SIDE
    truth = FACES.keypoints[HELD_OUT][:, net.indices]
    assert float(net.rmse) == pytest.approx(rmse(net.validation, truth), rel=1e-6)
    assert all(value.dtype == np.float32 for value in net.weights.values())


def test_a_net_that_sees_a_window_needs_alignment_maps(models, window_specialist):
    """Without them it would not know where to look: a ValueError, and not a prediction for the whole image."""
    with pytest.raises(ValueError, match="needs the maps that align"):
        models.predict(window_specialist, FACES.images[HELD_OUT], DOTS)


def test_every_net_finds_the_eyes(net):
    """Also through a window: far closer, in pixels of the image, than the mean face, after four epochs on 200 faces."""

    truth = FACES.keypoints[HELD_OUT][:, EYES]
    mean_face = rmse(np.broadcast_to(TARGET[EYES], truth.shape), truth)
    assert rmse(net.validation[:, :2], truth) < 0.5 * mean_face


def test_the_base_net_locates_as_the_widest_source_would(models, base):
    """`located` is what `predict` says of all labelled faces for the first label source, which alone labels the eyes."""
    np.testing.assert_allclose(base.located, models.predict(base, FACES.images, DOTS, None)[:, 0], atol=1e-4)


def test_the_chain_says_of_new_faces_what_the_training_stored(models, base, face_specialist, window_specialist):
    """predict_chain finds where to look by itself: each net's stored predictions of the validation faces."""
    nets = [base, face_specialist, window_specialist]
    for answer, net in zip(models.predict_chain(nets, FACES.images[HELD_OUT], FACES.source[HELD_OUT], DOTS), nets, strict=True):
        np.testing.assert_allclose(answer, net.validation, atol=1e-3)


def test_the_chain_looks_where_the_base_net_says(models, base, window_specialist):
    """A base net that puts everything 4 px too far to the right misleads a specialist with a window, and not into nonsense."""
    images, source = FACES.images[HELD_OUT], FACES.source[HELD_OUT]
    misled = replace(base, offsets=base.offsets + np.float32([4, 0]))
    located, eyes = models.predict_chain([misled, window_specialist], images, source, DOTS)
    expected = models.predict(window_specialist, images, DOTS, frame_of(models.predict(misled, images, DOTS, None)[:, 0]))
    np.testing.assert_allclose(eyes, expected[np.arange(20), source], atol=1e-4)
    assert np.abs(eyes - window_specialist.validation).max() > 0.2
    assert located.max() > base.validation.max()
