"""Where else a face may be: parts of the image, and the predictions that most others agree with."""

import numpy as np
import pytest

from pipeline.geometry import affine, candidates

SIDE = 96
TARGET = np.array([[66.0, 38.0], [30.0, 38.0], [48.0, 58.0]])


def test_the_parts_cover_the_image():
    """Each part becomes the whole frame, and every point of the image is in several of them."""
    parts = candidates.parts(SIDE)
    corners = np.array([[0.0, 0.0], [SIDE, SIDE]])
    seen = affine.move(np.broadcast_to(corners, (len(parts), 2, 2)), affine.inverse(parts))
    assert (seen[:, 0] >= -1e-9).all()
    assert (seen[:, 1] <= SIDE + 1e-9).all()
    points = np.random.default_rng(0).uniform(0, SIDE, (200, 1, 1, 2))
    inside = ((points >= seen[:, 0] - 1e-9) & (points <= seen[:, 1] + 1e-9)).all(axis=(1, 3))
    assert inside.sum(axis=1).min() >= 2


def places(*centres, size=0.3):
    """Small faces with these centres, (1, m, 3, 2)."""
    return np.stack([(TARGET - 48) * size + np.array(centre) for centre in centres])[None]


def chosen(located, distance):
    return candidates.most_agreed(located, np.array([distance]), TARGET, side=SIDE, scale=1.0).tolist()


def test_predictions_that_agree_win():
    """Two at one place beat one elsewhere, even if that has a smaller distance; of the two the one with the smaller distance counts."""
    assert chosen(places((70, 70), (20, 20), (70.2, 70)), [0.3, 0.1, 0.2]) == [2]


@pytest.mark.parametrize(
    ("located", "distance"),
    [
        (places((70, 70), (20, 20), (40, 60)), [0.1, 0.1, 0.1]),
        (places((70, 70), (20, 20), (70, 70)), [0.1, 0.1, 5.0]),
        (places((70, 70), (20, 20), (71, 71)), [0.1, 0.1, 0.1]),
    ],
    ids=["all apart", "one not at rest", "apart for so small a face"],
)
def test_without_agreement_none_is_chosen(located, distance):
    """Then the prediction for the whole image stays."""
    assert chosen(located, distance) == [-1]


def test_each_face_has_its_own_choice():
    """The faces do not depend on each other."""
    located = np.concatenate([places((70, 70), (20, 20), (70, 70)), places((30, 30), (30, 30), (60, 60))])
    found = candidates.most_agreed(located, np.array([[0.3, 0.1, 0.2], [0.1, 0.2, 0.0]]), TARGET, side=SIDE, scale=1.0)
    assert found.tolist() == [2, 0]
