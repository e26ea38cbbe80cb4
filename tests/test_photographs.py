"""Faces in photographs: they are read, detected and cut out, and keypoints are mapped back to the photograph."""

import numpy as np
import pytest
import skimage.data
from PIL import Image

from pipeline.data.formats import images
from pipeline.errors import InputError
from pipeline.geometry import crops
from pipeline.inference import detection

# Positions of eyes and mouth in scikit-image's picture of an astronaut, pixels, determined by eye.
EYES_AND_MOUTH = (225, 118)


def scene(width=61, height=40):
    """A colour picture without symmetry."""
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3)).astype(np.uint8))


@pytest.fixture(scope="module")
def astronaut():
    return Image.fromarray(skimage.data.astronaut())


# The inverse of what a viewer does for each orientation (EXIF 2.32, tag 0x0112).
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
def test_read_turns_upright(orientation, tmp_path):
    """Every EXIF orientation results in the same upright picture."""
    upright, exif = scene(), Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(STORED[orientation]) if STORED[orientation] is not None else upright
    stored.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(images.read(tmp_path / "a.png"), upright)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "F"])
def test_read_gives_eight_bits_of_colour(mode, tmp_path):
    """Whatever the mode of the file, a grey picture has the same grey in red, green and blue."""
    grey = np.tile(np.array([0, 255] if mode == "1" else [0, 85, 170, 255], np.uint8), (8, 4))
    image = Image.fromarray(grey)
    image = (
        Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else image.convert("RGB").convert(mode) if mode == "CMYK" else image
    )
    image = image if mode in ("I;16", "CMYK") else image.convert(mode)
    path = tmp_path / ("a.tif" if mode in ("CMYK", "F") else "a.png")
    image.save(path)
    read = images.read(path)
    assert read.mode == "RGB"
    assert np.array_equal(read, np.repeat(grey[..., None], 3, axis=2))


def test_read_lays_transparency_over_white(tmp_path):
    """Semi-transparent black is read as mid grey, as viewers display it."""
    Image.new("RGBA", (5, 4), (0, 0, 0, 128)).save(tmp_path / "a.png")
    assert set(np.unique(images.read(tmp_path / "a.png"))) == {127}


@pytest.mark.parametrize("content", [b"", b"no picture", "cut short"])
def test_read_refuses_what_is_no_picture(content, tmp_path):
    """For files that are empty, of another kind or truncated the message is one sentence with the file's name."""
    path = tmp_path / "a.jpg"
    if content == "cut short":
        scene(200, 200).save(path)
        content = path.read_bytes()[:3000]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.jpg cannot be read as a picture"):
        images.read(path)


@pytest.mark.parametrize("enlarged", [1, 4])
def test_find_finds_a_face(astronaut, enlarged):
    """One of the squares contains the astronaut's face, also in a photograph that is reduced for the detection."""
    photo = astronaut.resize((512 * enlarged, 512 * enlarged))
    squares = detection.find(photo) / enlarged
    centre = squares[:, :2] + squares[:, 2:] / 2
    about = (np.abs(centre - EYES_AND_MOUTH) < 12).all(axis=1)
    # The distance from the eyebrows to the chin is 90 pixels.
    assert any(75 < side < 115 for side in squares[about, 2])


@pytest.mark.parametrize("size", [(1, 1), (10, 300), (3000, 2)])
def test_find_in_what_holds_no_face(size):
    """In photographs that are too small for a face nothing is detected, without an error."""
    assert detection.find(Image.new("RGB", size)).shape == (0, 3)


def dotted(size, place, radius):
    """A grey photograph with a soft bright dot at `place`."""
    x, y = np.arange(size[0]) + 0.5 - place[0], np.arange(size[1])[:, None] + 0.5 - place[1]
    return Image.fromarray((40 + 200 * np.exp(-(x**2 + y**2) / radius**2)).astype(np.uint8)).convert("RGB")


def brightest(image):
    """Centre of mass, in pixels, of what is brighter than the background."""
    light = image.astype(float) - 40
    light[light < 8] = 0
    centres = np.arange(len(image)) + 0.5
    return np.array([light.sum(axis=0) @ centres, light.sum(axis=1) @ centres]) / light.sum()


@pytest.mark.parametrize(
    "square",
    [(100, 80, 96), (100.4, 79.7, 96), (60.3, 40.8, 200.6), (140, 110, 20.5), (-40, -30, 300), (150, 100, 250)],
    ids=["whole", "shifted", "larger", "smaller", "over the corner", "over the other corner"],
)
def test_a_dot_comes_back(square):
    """The position of a dot in the crop is mapped back to its position in the photograph, to a twentieth of a pixel of the crop."""
    place = np.array([151.3, 121.6]) if square[0] != 150 else np.array([250.2, 180.7])
    squares, photo = np.array([square], float), dotted((300, 240), place, max(2.5, square[2] / 20))
    crop = crops.crop(photo, squares, 96)
    assert crop.shape == (1, 96, 96)
    back = crops.to_photo(brightest(crop[0])[None, None], squares, 96)[0, 0]
    assert np.abs(back - place).max() < 0.05 * square[2] / 96


def test_crop_is_luma_and_repeats_the_edge():
    """The weights of red, green and blue are 0.299, 0.587 and 0.114 (ITU-R BT.601); outside the photograph its edge is repeated."""
    photo = Image.new("RGB", (50, 50), (200, 100, 50))
    assert np.unique(crops.crop(photo, np.array([[-60.0, 20.0, 200.0]]), 96)) == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]


def test_crop_does_not_alias():
    """Stripes that are too fine for the crop become a uniform grey."""
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(crops.crop(Image.fromarray(stripes), np.array([[10.3, 10.0, 700.0]]), 96).astype(int)) < 12


def test_boxes_become_squares():
    """The square around a box has the box's centre and longer side; scaling keeps the centre."""
    assert crops.around(np.array([[10.0, 20, 30, 50]])).tolist() == [[0, 20, 50]]
    assert crops.scaled(np.array([[10.0, 20, 30]]), 2.0).tolist() == [[-5, 5, 60]]


def test_distinct_faces_from_left_to_right():
    """Of two squares with nearly the same keypoints the one with less doubt is kept; the result is ordered from left to right."""
    squares = np.array([[300.0, 0, 100], [0, 50, 100], [10, 40, 60], [150, 90, 100]])
    keypoints = np.array([[350.0, 50], [50, 100], [52, 101], [200, 140]])[:, None] + np.zeros((1, 15, 1))
    assert detection.distinct(squares, keypoints, np.array([0.1, 0.5, 0.2, 0.3])) == [2, 3, 0]
    assert detection.distinct(squares, keypoints, np.array([0.1, 0.1, 0.2, 0.3])) == [1, 3, 0]
    assert detection.distinct(squares[:0], keypoints[:0], np.zeros(0)) == []


def test_listed_takes_files_and_folders(tmp_path):
    """Files are listed as given and pictures of a folder by name, each once; hidden files and other kinds of files are omitted."""
    for name in ("b.JPG", "a.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    a, b = tmp_path / "a.png", tmp_path / "b.JPG"
    assert images.listed([b, tmp_path]) == [b, a]
    with pytest.raises(InputError, match="does not exist"):
        images.listed([tmp_path / "c.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="contains no pictures"):
        images.listed([tmp_path / "empty"])
