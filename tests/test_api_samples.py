"""`kp.read`, `kp.rmse` and `kp.draw`: what notebooks do with labels."""

import doctest

import numpy as np
import pandas as pd
import pytest
from fresh import run
from labelsets import SETS
from PIL import Image

import pipeline as kp
from pipeline.api import points
from pipeline.data.formats import images, kaggle
from pipeline.data.synthetic import rendered
from pipeline.errors import InputError
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.results.annotations import COLOUR

NAMES = ("nose", "tail")
DOT = tuple(bytes.fromhex(COLOUR[1:]))


def table(rows, names=NAMES):
    """A table of keypoints as nets predict it."""
    return pd.DataFrame(np.reshape(rows, (len(rows), -1)), columns=[f"{name}_{axis}" for name in names for axis in "xy"])


def sample(keypoints, image=None, skeleton=(), names=NAMES):
    """A sample with these keypoints (K, 2) in an image, by default a black one of 60 x 40 pixels."""
    pixels = np.zeros((40, 60, 3), np.uint8) if image is None else image
    given = np.array(keypoints, float)
    return kp.Sample("a.png", "1", names, given, np.zeros(len(given), bool), skeleton, _pixels=lambda: pixels)


# Reading


@pytest.mark.parametrize("name", SETS)
def test_every_label_format_is_read(tmp_path, name):
    """The samples are the labelled instances of the set, and each has its image."""
    SETS[name](tmp_path)
    samples = list(kp.read(tmp_path))
    assert samples
    for each in samples:
        assert each.keypoints.shape == (len(each.names), 2)
        assert np.isfinite(each.keypoints).any()
        height, width = each.pixels().shape[:2]
        assert each.path is None or images.size(each.path) == (width, height)
    assert [each.image for each in samples] == sorted(each.image for each in samples)


def test_labels_of_test_images_are_read_too(tmp_path):
    """Each sample names its part; keypoints, skeleton and names are those that keypoints.toml selects."""
    for part in ("train", "val", "test"):
        (tmp_path / "images" / part).mkdir(parents=True)
        (tmp_path / "labels" / part).mkdir(parents=True)
        Image.new("L", (40, 20)).save(tmp_path / "images" / part / "1.png")
        (tmp_path / "labels" / part / "1.txt").write_text("0 0.5 0.5 0.5 0.5 0.25 0.5 2 0.75 0.5 1\n")
    (tmp_path / "data.yaml").write_text("names: [mouse]\nkpt_shape: [2, 3]\ntrain: images/train\nval: images/val\ntest: images/test\n")
    (tmp_path / "keypoints.toml").write_text('names = ["nose", "tail"]\nskeleton = [["tail", "nose"]]\nmirror = false\n')
    samples = list(kp.read(tmp_path))
    assert [each.part for each in samples] == ["test", "training", "validation"]
    for each in samples:
        assert each.names == NAMES
        assert each.skeleton == ((1, 0),)
        assert each.box == (10, 5, 20, 10)
        assert each.occluded.tolist() == [False, True]
        np.testing.assert_allclose(each.keypoints, [[10, 10], [30, 10]])


@pytest.mark.parametrize("what", [".", "training.csv"], ids=["folder", "table"])
def test_kaggles_files_are_read(tmp_path, what):
    """Their rows are samples with grey images and the annotation source that has the labels."""
    rendered.write_kaggle_files(tmp_path, KAGGLE, side=96, training=9, test=6, seed=0)
    read = kaggle.read_training(tmp_path / "training.csv", KAGGLE, side=96)
    samples = list(kp.read(tmp_path / what))
    assert [each.image for each in samples] == [str(row) for row in range(1, 10)]
    np.testing.assert_array_equal([each.pixels() for each in samples], read.images)
    np.testing.assert_array_equal([each.keypoints for each in samples], read.keypoints.astype(float))
    assert [each.source for each in samples] == 3 * ["15-point"] + 6 * ["4-point"]


def test_what_cannot_be_read_is_said_at_once(tmp_path):
    """The call itself raises, not the first sample."""
    with pytest.raises(InputError, match="does not exist"):
        kp.read(tmp_path / "nowhere")
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="no labels in a known format"):
        kp.read(tmp_path)
    with pytest.raises(InputError, match="There is no label format 'cocoa'; did you mean coco"):
        kp.read(tmp_path, format="cocoa")


# RMSE


def test_the_docstrings_examples_are_true():
    """The examples of `kp.rmse` give what they say."""
    failed, tried = doctest.testmod(points, extraglobs={"np": np})
    assert tried
    assert not failed


def test_the_rmse_of_arrays_tables_and_samples():
    """Errors of 3 and 4 px in two of four values give sqrt((9 + 16) / 4); what is not labelled is left out."""
    truth = np.array([[[0, 0], [10, 10]], [[5, 5], [np.nan, np.nan]]], float)
    predicted = np.array([[[3, 0], [10, 10]], [[5, 9], [1, 1]]], float)
    expected = np.sqrt(25 / 6)
    for one in (predicted, table(predicted), [sample(each) for each in predicted]):
        for other in (truth, table(truth), [sample(each) for each in truth]):
            assert kp.rmse(one, other) == pytest.approx(expected)


def test_keypoints_are_compared_by_their_names():
    """Not by their order, where both sides have names."""
    values = np.arange(8.0).reshape(2, 2, 2)
    assert kp.rmse(table(values), table(values[:, ::-1], NAMES[::-1])) == 0


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        (np.zeros((3, 2, 2)), np.zeros((2, 2, 2)), r"predicted has the shape \(3, 2, 2\), and truth \(2, 2, 2\)"),
        (table(np.zeros((1, 2, 2))), table(np.zeros((1, 2, 2)), ("nose", "ear")), "Only one of predicted and truth has the keypoint tail"),
        (np.full((1, 2, 2), np.nan), np.zeros((1, 2, 2)), "predicted is NaN in row 0 for the keypoint number 0"),
        (np.zeros((4, 30)), np.zeros((4, 30)), r"predicted is of the type ndarray, of the shape \(4, 30\)"),
        (pd.DataFrame({"nose_x": [1.0], "tail_x": [1.0]}), np.zeros((1, 1, 2)), "other columns than NAME_x and NAME_y .* tail_x"),
        (pd.DataFrame({"nose_x": ["a"], "nose_y": ["b"]}), np.zeros((1, 1, 2)), "not all values are numbers"),
        ([], np.zeros((1, 1, 2)), "predicted is of the type list"),
        ("a.csv", np.zeros((1, 1, 2)), "predicted is of the type str"),
    ],
    ids=["rows", "names", "nan", "flat", "columns", "text", "empty", "path"],
)
def test_what_cannot_be_compared_is_refused(predicted, truth, message):
    """A sentence says which argument is wrong and what to give."""
    with pytest.raises(InputError, match=message):
        kp.rmse(predicted, truth)


# Drawing


def test_a_sample_is_drawn_with_its_skeleton():
    """There is a dot at each keypoint and a line between them; the image stays as it was."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    picture = np.asarray(kp.draw(sample([[10.5, 20.5], [50.5, 20.5]], pixels, skeleton=((0, 1),))))
    assert picture.shape == (40, 60, 3)
    for x in (10, 30, 50):
        assert tuple(picture[20, x]) == DOT
    assert not picture[5].any()
    assert not pixels.any()
    assert not np.asarray(kp.draw(sample([[10.5, 20.5], [50.5, 20.5]]), skeleton=()))[20, 30].any()


def test_predictions_are_drawn_in_place_of_labels():
    """A table, one of its rows and an array place the same dots; NaN is not drawn."""
    points = np.array([[10.5, 20.5], [np.nan, np.nan]])
    expected = np.asarray(kp.draw(np.zeros((40, 60), np.uint8), points))
    assert tuple(expected[20, 10]) == DOT
    for keypoints in (points[None], table(points[None]), table(points[None]).iloc[0], sample(points)):
        np.testing.assert_array_equal(kp.draw(sample([[50, 20], [50, 20]]), keypoints), expected)


def test_an_instance_without_keypoints_draws_nothing():
    """Neither dots nor a number."""
    image = np.zeros((40, 60), np.uint8)
    assert not np.asarray(kp.draw(image, np.full((2, 2, 2), np.nan))).any()


def test_several_instances_are_numbered():
    """Two instances differ from each of them by their numbers."""
    both = np.array([[[10, 30], [20, 30]], [[40, 30], [50, 30]]], float)
    image = np.zeros((40, 60), np.uint8)
    one = np.asarray(kp.draw(image, both[:1]))
    assert np.asarray(kp.draw(image, both))[:25].any()
    assert not one[:25].any()


def test_small_images_are_enlarged():
    """The dot is where the keypoint is in the enlarged picture."""
    picture = kp.draw(np.zeros((40, 60), np.uint8), [[10.5, 20.5]], scale=4)
    assert picture.size == (240, 160)
    assert picture.getpixel((42, 82)) == pytest.approx(DOT, abs=5)  # its edge is blended


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": np.zeros((4, 4), np.uint8)}, "There are no keypoints to draw"),
        ({"image": np.zeros((4, 4)), "keypoints": [[1, 1]]}, "the image has the dtype float64"),
        ({"image": "nowhere.png", "keypoints": [[1, 1]]}, "nowhere.png cannot be read as a picture: no such file"),
        ({"image": np.zeros((4, 4), np.uint8), "keypoints": [1, 1]}, "keypoints is of the type list"),
        ({"image": np.zeros((4, 4), np.uint8), "keypoints": [[1, 1]], "skeleton": [(0, 1)]}, r"skeleton has the entry \(0, 1\)"),
        ({"image": np.zeros((4, 4), np.uint8), "keypoints": [[1, 1]], "scale": 0}, "scale is 0"),
    ],
    ids=["nothing", "dtype", "file", "keypoints", "skeleton", "scale"],
)
def test_what_cannot_be_drawn_is_refused(arguments, message):
    """A sentence says which argument is wrong and what to give."""
    with pytest.raises(InputError, match=message):
        kp.draw(**arguments)


# The package


def test_names_are_imported_when_they_are_used():
    """`import pipeline` imports none of the libraries that start slowly, `kp.rmse` not even Pillow; dir() lists the functions."""
    slow = ("keras", "tensorflow", "pandas", "matplotlib", "h5py", "skimage", "sklearn")
    code = (
        f"import sys, pipeline as kp; slow = lambda: [name for name in {slow} if name in sys.modules]; print(slow(), 'pipeline.api' in"
        " sys.modules, 'load_nets' in dir(kp)); kp.rmse([[[1, 2]]], [[[1, 2]]]); print(slow())"
    )
    result = run("-c", code)
    assert result.stdout.splitlines() == ["[] False True", "[]"], result.stderr


@pytest.mark.keras
@pytest.mark.parametrize(("backend", "left"), [("svg", "svg"), ("nonsense", "agg")])
def test_the_users_figures_keep_their_backend(backend, left):
    """`plt.show()` of a notebook shows figures after `kp.draw` and after Keras has started; a backend that does not exist does no harm."""
    code = (
        "import numpy as np, pipeline as kp; kp.draw(np.zeros((9, 9), np.uint8), [[3, 3]]);"
        "from pipeline.api import predicting; predicting._prepare(); from matplotlib import pyplot; print(pyplot.get_backend())"
    )
    result = run("-c", f"import os; os.environ.update(MPLBACKEND={backend!r}, TF_CPP_MIN_LOG_LEVEL='3'); {code}")
    assert result.stdout.strip() == left, result.stderr


def test_a_misspelt_name_is_guessed():
    """An AttributeError says which name was probably meant."""
    with pytest.raises(AttributeError, match="has no attribute 'load_net'; did you mean load_nets"):
        kp.load_net  # noqa: B018
