"""The search for samples whose prediction is a mixture of two faces, or the wrong one of two."""

import numpy as np
import pytest
from toys import DOTS, SIDE, TARGET

from pipeline.geometry import affine
from pipeline.nets.averaged import Averaged
from pipeline.nets.sight import WholeImage

pytestmark = pytest.mark.keras

CENTRE = TARGET.mean(axis=0)
FAR, NEAR = (0.35 * (TARGET - CENTRE) + place for place in ([26.0, 26.0], [13.0, 14.0]))  # two faces; the second is the usual one
FEW = 4  # images


@pytest.fixture
def found(monkeypatch):
    """What the search makes of predictions for images of both faces: the function of Averaged (n, 2, 3, 2) that searches.

    The net of the search predicts a face in the part that it sees if the whole face is there and large enough, NEAR first. Otherwise its
    predictions are far from those for the mirror image. `seen` of the function counts the views.
    """
    from pipeline.inference import elsewhere

    def predict_view(net, images, view, keypointset, *, indices):
        search.seen += len(view.matrix)
        keypoints, spread = np.tile(CENTRE, (len(view.matrix), 1))[:, None].repeat(3, axis=1), np.full(len(view.matrix), 9.0)
        for face in (FAR, NEAR):
            moved = affine.move(np.tile(face, (len(view.matrix), 1, 1)), view.matrix)
            large = affine.magnification(view.matrix) * 0.35 > 0.5
            there = large & ((moved > 0) & (moved < SIDE)).all(axis=(1, 2))
            keypoints, spread = np.where(there[:, None, None], moved, keypoints), np.where(there, 0.1, spread)
        back = affine.inverse(view.matrix)
        return averaged(affine.move(keypoints, back), spread * affine.magnification(back))

    def search(predictions):
        images = np.zeros((len(predictions.keypoints), SIDE, SIDE), np.uint8)
        return elsewhere.SearchElsewhere(None, images, DOTS, WholeImage(SIDE, TARGET), TARGET).improved(predictions)

    search.seen = 0
    monkeypatch.setattr(elsewhere, "predict_view", predict_view)
    return search


def averaged(keypoints, spread):
    """Predictions (n, 3, 2) with a spread (n,), the same for both sources."""
    both = keypoints.astype(np.float32)[:, None].repeat(2, axis=1)
    return Averaged(both, np.broadcast_to(spread[:, None, None], both.shape[:-1]).astype(np.float32))


def predictions(keypoints, spread, n=FEW):
    """Sure predictions of a usual face for n images, the first of which has other keypoints (3, 2) and another spread."""
    every, spreads = np.repeat(TARGET[None], n, axis=0), np.full(n, 0.1)
    every[0], spreads[0] = keypoints, spread
    return averaged(every, spreads)


@pytest.mark.parametrize(("keypoints", "spread"), [((FAR + NEAR) / 2, 5.0), (FAR, 0.1)], ids=["mixture", "other face"])
def test_the_usual_one_of_two_faces_replaces_a_doubtful_prediction(found, keypoints, spread):
    """A mixture of two faces, and a face far from the usual place, give way to the face that is closest to the usual place."""
    result = found(predictions(keypoints, spread)).keypoints
    np.testing.assert_allclose(result[0], np.tile(NEAR, (2, 1, 1)), atol=1e-3)
    np.testing.assert_array_equal(result[1:], predictions(keypoints, spread).keypoints[1:])


def test_sure_predictions_cost_nothing(found):
    """Without doubtful predictions there is not a single further view, and all stay as they are."""
    sure = predictions(NEAR, 0.1)
    assert found(sure) is sure
    assert found.seen == 0


@pytest.mark.parametrize(("name", "value"), [("ODD", 0.0), ("FAR_APART", -1.0)])
def test_what_parts_show_must_be_a_face(found, monkeypatch, name, value):
    """Places with another shape than the usual one, and predictions that differ from those for the mirror images, replace nothing."""
    from pipeline.inference import elsewhere

    search = elsewhere.SearchElsewhere(None, np.zeros((1, SIDE, SIDE), np.uint8), DOTS, WholeImage(SIDE, TARGET), TARGET)
    others = averaged(np.tile(NEAR + np.array([[0.0, 0.0], [0.0, 0.0], [0.5, 0.0]]), (9, 1, 1)), np.full(9, 0.1))
    mixture = predictions((FAR + NEAR) / 2, 5.0, n=1)
    assert search.chosen(mixture, others) >= 0
    monkeypatch.setattr(elsewhere, name, value)
    assert search.chosen(mixture, others) == -1


def test_nets_that_find_hardly_any_sample_do_not_search(found):
    """If many predictions are far apart nothing is searched for; of predictions far from the usual place only the furthest are."""
    n = 60
    apart = averaged(np.repeat(NEAR[None], n, axis=0), np.full(n, 5.0))
    assert found(apart) is apart
    assert found.seen == 0
    places = FAR + np.linspace(0, 2, n)[:, None, None]
    result = found(averaged(places, np.full(n, 0.1))).keypoints[:, 0]
    moved = np.abs(result - places).max(axis=(1, 2)) > 1
    assert np.flatnonzero(moved).tolist() == list(range(n - 6, n))
