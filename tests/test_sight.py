"""What a net sees of each image: views as maps, the whole image, and a window of the aligned face."""

from types import SimpleNamespace

import numpy as np
import pytest
from toys import EYES, SIDE, TARGET, dot_faces

from pipeline.geometry import affine, alignment
from pipeline.nets.sight import AlignedWindow, View, WholeImage, located_by

N = 6
IMAGES, KEYPOINTS = dot_faces(N, seed=5)
WINDOW = alignment.window(TARGET, EYES, margin=8.0, extent=1.0, zoom=1.5)
# Both ways of choosing images: by a mask, and by their indices.
CHOSEN = [np.arange(N) % 2 == 1, np.array([4, 0, 2])]


@pytest.fixture
def window():
    return AlignedWindow(WINDOW, alignment.aligning(KEYPOINTS, TARGET))


def test_the_view_of_whole_images_changes_nothing():
    """Byte for byte, with identity maps, whether or not the prediction is refined afterwards."""
    for sight in (WholeImage(SIDE), WholeImage(SIDE, TARGET)):
        view = sight.view(N)
        assert view.side == sight.side == SIDE
        np.testing.assert_array_equal(view.matrix, affine.identity(N))
        np.testing.assert_array_equal(view.images(IMAGES)[:], IMAGES)


def test_only_whole_images_have_a_target(window):
    """A target means that predictions are refined, and those for a window are not."""
    assert WholeImage(SIDE).target is None
    np.testing.assert_array_equal(WholeImage(SIDE, TARGET).target, TARGET)
    assert window.target is None


def test_whole_images_stay_whole_for_some_of_the_images():
    """`of` returns an equal sight: it holds nothing about single images."""
    sight = WholeImage(SIDE, TARGET)
    assert sight.of(np.array([1, 2])) is sight


def test_the_view_of_a_window_aligns_and_then_cuts(window):
    """A keypoint arrives where the window's map takes the aligned keypoint; the view is as large as the window."""
    view = window.view(N)
    assert view.side == window.side == WINDOW.side
    aligned = affine.move(KEYPOINTS, window.aligning)
    expected = affine.move(aligned, np.tile(WINDOW.matrix, (N, 1, 1)))
    np.testing.assert_allclose(affine.move(KEYPOINTS, view.matrix), expected, atol=1e-9)
    assert view.images(IMAGES).shape == (N, WINDOW.side, WINDOW.side)


@pytest.mark.parametrize("chosen", CHOSEN, ids=["mask", "indices"])
def test_some_images_keep_their_own_maps(window, chosen):
    """The view of some of the images is the same as those images' part of the view of all, for a view and for a window."""
    count = len(IMAGES[chosen])
    whole, part = window.view(N), window.of(chosen).view(count)
    np.testing.assert_array_equal(part.matrix, whole.matrix[chosen])
    np.testing.assert_array_equal(whole.of(chosen).matrix, whole.matrix[chosen])
    np.testing.assert_array_equal(part.images(IMAGES[chosen])[:], whole.images(IMAGES)[chosen])


@pytest.mark.parametrize("n", [N - 1, N + 1, 0])
def test_a_window_needs_one_alignment_map_for_each_image(window, n):
    """Any other number of images raises a ValueError with both numbers."""
    with pytest.raises(ValueError, match=f"{n} images and {N} alignment maps"):
        window.view(n)


def test_a_view_needs_one_map_for_each_image():
    """Any other number of images raises a ValueError with both numbers."""
    with pytest.raises(ValueError, match=f"{N} images and {N - 1} maps"):
        View(affine.identity(N - 1), SIDE).images(IMAGES)


def test_faces_are_aligned_by_the_predictions_of_a_base_net():
    """The maps bring its predictions for the labelled faces to its target; a specialist has neither, and raises a ValueError."""
    base = SimpleNamespace(located=KEYPOINTS, target=TARGET, frame=SIDE, stored=SIDE)
    np.testing.assert_array_equal(located_by(base).aligning, alignment.aligning(KEYPOINTS, TARGET))
    for located in (None, KEYPOINTS):
        specialist = SimpleNamespace(located=located, target=None, stored=SIDE, frame=SIDE)
        with pytest.raises(ValueError, match="not a base net"):
            located_by(specialist)


def test_several_looks_are_slightly_different():
    """The first is the view itself; the others turn, scale and move the window by a few pixels, each in another way. A number that there is
    not raises a ValueError."""
    view = WholeImage(SIDE).view(N)
    first, *others = view.looks(5)
    assert first is view
    assert len(others) == 4
    moved = [affine.move(KEYPOINTS, other.matrix) for other in others]
    shift = [np.abs(own - KEYPOINTS).mean() for own in moved]
    assert min(shift) > 0.3
    assert max(shift) < 2.5
    np.testing.assert_allclose(np.mean(moved, axis=0).mean(axis=(0, 1)), KEYPOINTS.mean(axis=(0, 1)), atol=0.5)
    for number in (0, 6):
        with pytest.raises(ValueError, match=f"not {number}"):
            view.looks(number)
