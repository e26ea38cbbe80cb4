"""How certain a net is: the peaks of its heat maps."""

from types import SimpleNamespace

import numpy as np
import pytest
from toys import DOTS, SIDE, build, dot_faces

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def peaks():
    from pipeline.nets import device, peaks

    device.prepare(seed=3, threads=0)
    return peaks


def test_a_peak_is_the_softmax_of_the_best_nine_cells(peaks):
    """As in a loop over all cells of each map, at the border too."""
    maps = np.random.default_rng(0).normal(0, 2, (2, 5, 6, 3)).astype(np.float32)
    maps[0, 0, 0, 0] = 9
    found = peaks._highest(maps)
    for image in range(2):
        for channel in range(3):
            weights = np.exp(maps[image, :, :, channel].astype(float))
            cells = [weights[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].sum() for y in range(5) for x in range(6)]
            assert found[image, channel] == pytest.approx(max(cells) / weights.sum(), rel=1e-5)
    assert found[0, 0] > 0.9


def test_each_source_has_its_own_maps(peaks):
    """The channels of the net are in the order of its coordinates; a sharp map of one source and keypoint is that one's peak."""
    net = build("compact")
    kernel, bias = net.get_layer("keypoints").get_weights()
    net.get_layer("keypoints").set_weights([np.zeros_like(kernel), bias])
    flat = peaks.peaks(net, dot_faces(3, seed=1)[0], 2)
    np.testing.assert_allclose(flat, np.full((3, 2, 3), 9 / (SIDE // 4) ** 2), rtol=1e-5)
    kernel[..., 4] *= 100  # of the second source, keypoint 1
    net.get_layer("keypoints").set_weights([np.where(np.arange(6) == 4, kernel, 0), bias])
    sharp = peaks.peaks(net, dot_faces(3, seed=1)[0], 2)
    assert (sharp[:, 1, 1] > 0.5).all()
    np.testing.assert_allclose(np.delete(sharp.reshape(3, 6), 4, axis=1), np.full((3, 5), 9 / (SIDE // 4) ** 2), rtol=1e-5)


def test_a_net_without_heat_maps_has_no_peaks(peaks):
    """Its predictions have no score; no images have no peaks."""
    assert peaks.peaks(build("kfkd"), dot_faces(2, seed=1)[0], 2) is None
    assert peaks.peaks(build("compact"), np.zeros((0, SIDE, SIDE), np.uint8), 2).shape == (0, 2, 3)


def test_each_sample_has_the_confidence_of_its_source(peaks, monkeypatch):
    """In images as they are stored, which the net sees reduced."""
    from pipeline.inference import confidence

    net = build("compact")
    base = SimpleNamespace(side=SIDE, frame=SIDE, window=None, sees_windows=False, target=None, refined=False)
    monkeypatch.setattr(confidence.prediction, "rebuilt", lambda trained, keypointset: net)
    images = dot_faces(4, seed=2)[0]
    source = np.array([0, 1, 1, 0])
    found = confidence.confidence(base, images, source, DOTS)
    np.testing.assert_allclose(found, peaks.peaks(net, images, 2)[np.arange(4), source], rtol=1e-6)
    doubled = confidence.confidence(base, images.repeat(2, axis=1).repeat(2, axis=2), source, DOTS)
    np.testing.assert_allclose(doubled, found, rtol=0.02)
