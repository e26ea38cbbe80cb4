"""`kp.load_nets` and what it returns, with a stub in place of the nets: it places all keypoints at the brightest spot of the crop."""

import re
from dataclasses import replace
from pathlib import Path

import kinds
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_photographs import brightest, dotted

import pipeline as kp
from pipeline import commands
from pipeline.api import predicting
from pipeline.commands import annotate
from pipeline.data.synthetic import rendered
from pipeline.errors import InputError
from pipeline.inference import instances
from pipeline.inference.expected_error import ErrorModel
from pipeline.inference.loaded import LoadedNets, PredictedCrops, SampleFrame
from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.keypoints.stored import StoredSet
from pipeline.nets.structure import Structure
from pipeline.nets.trained import Trained

ROOT = Path(__file__).parents[1]
FACES = LoadedNets(((),), KAGGLE, 0.33, SampleFrame(SIDE, 1), detector="face")
MOUSE = LoadedNets(
    ((),), KeypointSet("mouse", ("nose", "tail"), None, {"labels": ("nose", "tail")}, {}, (("nose", "tail"),)), 0.0, SampleFrame(64, 3)
)


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """The crops that nets have been shown; the current folder is empty."""
    monkeypatch.chdir(tmp_path)
    crops = []

    def predicted(nets, given):
        crops.append(given)
        grey = given.mean(axis=-1) if given.ndim == 4 else given
        spots = np.array([brightest(crop) if crop.max() > 60 else np.zeros(2) for crop in grey])[:, None]
        keypoints = len(nets.keypointset.names)
        expected = None if nets.error_model is None else np.arange(1.0, keypoints + 1) + 0.25 * np.arange(len(given))[:, None]
        return PredictedCrops(spots + np.zeros((1, keypoints, 1)), np.zeros(len(given)), expected)

    monkeypatch.setattr(predicting, "_predicted", predicted)
    monkeypatch.setattr(annotate, "_predict_crops", lambda given, job: predicted(job.nets, given))
    return crops


@pytest.fixture
def detector(monkeypatch):
    """Makes the detector find the given squares in every photograph."""

    def finds(*squares):
        monkeypatch.setattr(instances.detection, "find", lambda photo: np.array(squares, float).reshape(-1, 3))

    return finds


def dots(*centres, size=(300, 200)):
    """Grey images uint8 (n, H, W) with a bright dot at each of the centres."""
    return np.array([np.asarray(dotted(size, centre, 3).convert("L")) for centre in centres])


CENTRES = ((151.3, 90.6), (40.0, 120.5))


# What may be predicted


def colour(images):
    """Grey images in colour."""
    return np.repeat(images[..., None], 3, axis=-1)


# The same two images in all forms that are accepted, made of grey arrays and of the paths of two files.
WAYS = {
    "grey": lambda images, paths: images,
    "channel": lambda images, paths: images[..., None],
    "colour": lambda images, paths: colour(images),
    "not contiguous": lambda images, paths: np.asfortranarray(colour(images)),
    "list": lambda images, paths: list(images),
    "pillow": lambda images, paths: [Image.fromarray(image) for image in images],
    "generator": lambda images, paths: (image for image in colour(images)),
    "paths": lambda images, paths: paths,
    "names": lambda images, paths: [str(path) for path in paths],
    "glob": lambda images, paths: (path for path in sorted(paths[0].parent.glob("*.png"))),
    "folder": lambda images, paths: paths[0].parent,
}


@pytest.mark.parametrize("way", WAYS)
def test_images_in_any_form(shown, tmp_path, way):
    """Arrays of any size, lists, generators, files and folders give the same table; its index says which image a row is of."""
    images, paths = dots(*CENTRES), [tmp_path / "images" / name for name in ("a.png", "b.png")]
    paths[0].parent.mkdir()
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    table = kp.KeypointNets(MOUSE).predict(WAYS[way](images, paths))
    assert list(table) == ["nose_x", "nose_y", "tail_x", "tail_y"]
    assert table.index.names == ["image", "instance"]
    labels = [str(path) for path in paths] if way in ("paths", "names", "glob", "folder") else [0, 1]
    assert table.index.tolist() == [(label, 1) for label in labels]
    np.testing.assert_allclose(table, np.tile(CENTRES, 2), atol=0.5)
    assert (table.dtypes == np.float64).all()


def test_images_of_the_size_of_the_samples_are_shown_as_they_are(shown, detector):
    """Nets for faces see crops of 96 x 96 pixels unchanged, without a search for faces in them."""
    detector((0, 0, 10), (50, 50, 10))
    images = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE), np.uint8)
    assert len(kp.KeypointNets(FACES).predict(images)) == 5
    np.testing.assert_array_equal(shown[0], images)


def test_faces_are_found_in_files(shown, detector):
    """Each face of a photograph is a row, from left to right; one without a face has none, and a table without rows has its columns."""
    Image.fromarray(dots((90, 110))[0]).save("a.png")
    detector((240, 20, 50), (60, 80, 60))
    table = kp.KeypointNets(FACES).predict("a.png")
    assert table.index.tolist() == [("a.png", 1), ("a.png", 2)]
    assert table.loc[("a.png", 1), ["nose_tip_x", "nose_tip_y"]].tolist() == pytest.approx([90, 110], abs=0.2)
    detector()
    nothing = kp.KeypointNets(FACES).predict(["a.png"])
    assert nothing.shape == (0, 30)
    assert list(nothing) == list(KAGGLE.columns)
    assert nothing.index.names == ["image", "instance"]


@pytest.mark.parametrize(
    ("boxes", "rows"),
    [
        ([[110, 50, 80, 80], [0, 80, 80, 80]], [(0, 1), (1, 1)]),
        (np.array([[110, 50, 80, 80], [0, 80, 80, 80]]), [(0, 1), (1, 1)]),
        (pd.DataFrame([[110, 50, 80, 80], [0, 80, 80, 80]]), [(0, 1), (1, 1)]),
        ([[[110, 50, 80, 80], [100, 40, 90, 90]], [0, 80, 80, 80]], [(0, 1), (0, 2), (1, 1)]),
        ([np.zeros((0, 4)), [[0, 80, 80, 80]]], [(1, 1)]),
    ],
    ids=["list", "array", "table", "several", "none"],
)
@pytest.mark.parametrize("nets", [FACES, MOUSE], ids=["faces", "mouse"])
def test_boxes_say_where_instances_are(shown, nets, boxes, rows):
    """Each box is a row, also for nets for faces."""
    table = kp.KeypointNets(nets).predict(dots(*CENTRES), boxes)
    assert table.index.tolist() == rows
    np.testing.assert_allclose(table.iloc[:, :2], [CENTRES[image] for image, _ in rows], atol=0.3)


def test_one_image_may_have_one_box(shown):
    """For a single path the boxes need no further axis."""
    Image.fromarray(dots(CENTRES[0])[0]).save("a.png")
    nets = kp.KeypointNets(MOUSE)
    one = nets.predict("a.png", [110, 50, 80, 80])
    pd.testing.assert_frame_equal(one, nets.predict("a.png", [[110, 50, 80, 80]]))
    assert len(nets.predict("a.png", [[110, 50, 80, 80], [100, 40, 90, 90]])) == 2


def test_many_images_are_predicted_in_blocks(shown, monkeypatch):
    """Blocks bound the memory for crops and change nothing else."""
    images = dots(*CENTRES, CENTRES[0], CENTRES[1], CENTRES[0])
    expected = kp.KeypointNets(MOUSE).predict(images)
    shown.clear()
    monkeypatch.setattr(predicting, "BLOCK_BYTES", 2 * 64 * 64 * 3)
    pd.testing.assert_frame_equal(kp.KeypointNets(MOUSE).predict(images), expected)
    assert [len(crops) for crops in shown] == [2, 2, 1]


# The same as `keypoints annotate`


@pytest.mark.parametrize("box", [None, "110,50,80,80"], ids=["no box", "box"])
@pytest.mark.parametrize("nets", [FACES, MOUSE], ids=["faces", "mouse"])
def test_the_values_are_those_of_annotate(shown, detector, monkeypatch, nets, box):
    """For each photograph and instance, `keypoints annotate` writes what the table has, rounded, and the nets see the same crops."""
    detector((120, 60, 60), (20, 100, 40))
    monkeypatch.setattr(annotate.loading, "chosen", lambda given, stages: annotate.loading.Chosen(nets))
    dotted((300, 200), CENTRES[0], 3).save("a.png")
    commands.main(["annotate", "a.png", "--nets", "nets.h5", *(["--box", box] if box else [])])
    written = pd.read_csv("annotated/keypoints.csv")
    table = kp.KeypointNets(nets).predict("a.png", box and [float(value) for value in box.split(",")])
    np.testing.assert_array_equal(shown[0], shown[1])
    assert len(table) == len(written)
    assert table.round(2).to_numpy().tolist() == written[list(table)].to_numpy().tolist()


JUDGED = replace(FACES, error_model=kinds.filled(ErrorModel, np.random.default_rng(0)))
KNOWN = replace(MOUSE, error_model=kinds.filled(ErrorModel, np.random.default_rng(0)))


def test_expected_errors_follow_if_they_are_asked_for(shown):
    """A column for each keypoint, in pixels of the image, with the values that `keypoints annotate` writes; also for boxes."""
    nets, images, boxes = kp.KeypointNets(KNOWN), dots(*CENTRES), [[110, 50, 64, 64], [0, 80, 80, 80]]
    plain, table = nets.predict(images, boxes), nets.predict(images, boxes, expected_errors=True)
    assert list(table) == [*plain, "nose_expected_error", "tail_expected_error"]
    pd.testing.assert_frame_equal(table[list(plain)], plain)
    sides = nets.loaded.squares(np.array(boxes, float))[:, 2:] / 64  # of a pixel of the crops
    np.testing.assert_allclose(table.iloc[:, 4:], np.array([[1, 2], [1.25, 2.25]]) * sides)
    assert kp.rmse(table, plain) == 0
    assert kp.draw(images[0], table.iloc[0]).tobytes() == kp.draw(images[0], plain.iloc[0]).tobytes()


def test_expected_errors_are_those_of_annotate(shown, monkeypatch):
    """Columns and values are the same."""
    monkeypatch.setattr(annotate.loading, "chosen", lambda given, stages: annotate.loading.Chosen(KNOWN))
    dotted((300, 200), CENTRES[0], 3).save("a.png")
    commands.main(["annotate", "a.png", "--nets", "nets.h5"])
    written, table = pd.read_csv("annotated/keypoints.csv"), kp.KeypointNets(KNOWN).predict("a.png", expected_errors=True)
    assert [column for column in written if column.endswith("_error")] == list(table)[4:]
    assert table.round(2).to_numpy().tolist() == written[list(table)].to_numpy().tolist()


def test_unknown_expected_errors_are_refused(shown):
    """Before anything is predicted, in a sentence."""
    with pytest.raises(InputError, match=r"expected errors of these nets are not known, .* Leave out expected_errors"):
        kp.KeypointNets(MOUSE).predict(dots(*CENTRES), expected_errors=True)
    assert not shown


# Nets of Keras


def real(weights=None):
    """A chain of two small nets for MOUSE, with their first weights unless others are given."""
    from pipeline.nets import network

    structure, stored = Structure("compact", 0.25, 0, 2, "relu", 8, 3, 100.0, 50.0, 0.0, 0.0, 0.0, "net"), StoredSet.of(MOUSE.keypointset)
    chain = []
    for indices, target in (([0, 1], np.full((2, 2), 20, np.float32)), ([1], None)):
        net = network.build(structure, side=32, keypoints=len(indices), sources=1)
        chain.append(
            replace(
                kinds.filled(Trained, np.random.default_rng(1)),
                **{name: np.int32(side) for name, side in (("side", 32), ("frame", 64), ("stored", 64))},
                structure=structure,
                keypointset=stored,
                weights=network.weights(net) if weights is None else weights,
                offsets=np.zeros((1, len(indices), 2), np.float32),
                indices=np.array(indices, np.int32),
                target=target,
                refined=np.bool_(False),
                window=None,
                zooms=None,
                looks=None,
            )
        )
    return replace(MOUSE, chains=(tuple(chain),))


@pytest.mark.keras
def test_nets_are_built_once(monkeypatch):
    """Later calls use the nets of the first one and give the same values; what annotates keeps none of them."""
    from pipeline.inference import prediction

    built, rebuilt = [], prediction.rebuilt
    monkeypatch.setattr(prediction, "rebuilt", lambda net, keypointset: built.append(net) or rebuilt(net, keypointset))
    nets, images = kp.KeypointNets(real()), colour(dots(*CENTRES, size=(64, 64)))
    first = nets.predict(images)
    pd.testing.assert_frame_equal(nets.predict(images), first)
    assert len(built) == len(nets.loaded.chains[0]) == 2
    again = replace(nets.loaded)
    np.testing.assert_array_equal(again.predict(images).keypoints.reshape(2, 4), first)
    assert len(built) == 4
    assert not again._kept


@pytest.mark.keras
@pytest.mark.parametrize("name", ["stem/kernel", "unknown"])
def test_weights_that_do_not_fit_are_refused(name):
    """A sentence names the net by its keypoints and its file, also after Keras has built it."""
    weights = {**real().chains[0][0].weights, name: np.zeros((3, 3), np.float32)}
    loaded = replace(real(weights), origins=("mouse.h5",))
    with pytest.raises(InputError, match=r"The weights of the net for nose, tail in mouse\.h5 do not fit its structure, so it is no net"):
        kp.KeypointNets(loaded).predict(np.zeros((1, 64, 64), np.uint8))


# What is refused


ARRAY = "The array of images has the"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "There are no images to predict. Give at least one; check the pattern"),
        (np.zeros((0, 96, 96), np.uint8), "There are no images to predict"),
        (np.zeros((2, 9, 9)), "has the dtype float64. .* from 0 to 1 with .255 . images"),
        (np.zeros((2, 9, 9), np.uint16), "has the dtype uint16. .* Convert 16 bits with .images // 257"),
        (np.zeros((2, 9, 9), int), "has the dtype int64. .* images.astype"),
        (np.zeros((2, 9, 9), bool), "has the dtype bool. .* 255 . images"),
        (np.array([None, None]), "has the dtype object. .* give a list of arrays"),
        (np.zeros((9, 9), np.uint8), rf"{ARRAY} shape \(9, 9\), which is that of a single image. Add an axis: images\[None\]"),
        (np.zeros((9, 8, 3), np.uint8), rf"{ARRAY} shape \(9, 8, 3\), which is that of a single image"),
        (np.zeros((2, 9, 9, 4), np.uint8), r"Leave out the transparency: images\[..., :3\]"),
        (np.zeros((2, 3, 9, 9), np.uint8), r"Put the channels last: images.transpose\(0, 2, 3, 1\)"),
        (np.zeros((2, 9, 9, 5), np.uint8), r"shape \(2, 9, 9, 5\). Give \(n, H, W\)"),
        (np.zeros(9, np.uint8), r"shape \(9,\). Give \(n, H, W\)"),
        (np.zeros((2, 0, 9), np.uint8), "image 0 has the shape .0, 9.. An image has at least one pixel"),
        ([np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8)], r"image 1 has the shape \(9, 9, 4\). Leave out the transparency"),
        ([np.zeros((3, 9, 9), np.uint8)], "image 0 has the shape .3, 9, 9.. Put the channels last"),
        ([np.zeros((9, 9), np.float32)], "image 0 has the dtype float32"),
        ([Image.new("RGBA", (9, 9))], "image 0 has the mode RGBA of Pillow. Convert it first"),
        ([1, 2], "image 0 is of the type int. Give the path of a file"),
        (None, "The images are of the type NoneType. Give an array"),
        ("nowhere.png", "nowhere.png cannot be read as a picture: no such file"),
        (["nowhere.png"], "nowhere.png cannot be read as a picture: no such file"),
        (".", "contains no photographs"),
    ],
    ids=lambda value: None,
)
def test_images_that_cannot_be_predicted(shown, images, message):
    """A sentence says what is wrong with which image, and how to convert it."""
    with pytest.raises(InputError, match=message):
        kp.KeypointNets(MOUSE).predict(images)
    assert not shown


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[110, 50, 80, 80]], "There are boxes for 1 image, but 2 images"),
        ([[110, 50, 80], [0, 80, 80]], r"The boxes of image 0 have the shape \(3,\). A box is x, y, width and height"),
        ([[110, 50, 80, 80], [250, 80, 80, 80]], "image 1: the box 250,80,80,80 must be .* within the photograph, which has 300 x 200"),
        ([[-1, 50, 80, 80], [0, 0, 9, 9]], "image 0: the box -1,50,80,80 must be"),
        ([[0, 0, np.nan, 9], [0, 0, 9, 9]], "image 0: the box 0,0,nan,9 must be"),
        ([[0, 0, 0.5, 9], [0, 0, 9, 9]], "at least one pixel large"),
        ("0,0,9,9", "boxes is of the type str"),
        (["a", "b"], "The boxes of image 0 are no numbers"),
        (5, "boxes is of the type int"),
    ],
    ids=["too few", "three numbers", "outside", "negative", "nan", "small", "text", "texts", "number"],
)
def test_boxes_that_cannot_be(shown, boxes, message):
    """A sentence names the image and its box, and what the image's size allows."""
    with pytest.raises(InputError, match=message):
        kp.KeypointNets(MOUSE).predict(dots(*CENTRES), boxes)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nowhere", "nowhere does not exist. Give a workspace"),
        (".", "No run has finished in ."),
        ([], "There are no nets to load"),
        ("a.h5", "a.h5"),
        (["nowhere", "."], "nowhere does not exist"),
        (None, "nets is of the type NoneType"),
        (3, "nets is of the type int"),
    ],
    ids=["missing", "no workspace", "empty", "no artifact", "list", "none", "number"],
)
def test_nets_that_cannot_be_loaded(tmp_path, monkeypatch, what, message):
    """A sentence says what is not there and what to give."""
    monkeypatch.chdir(tmp_path)
    Path("a.h5").write_bytes(b"nothing")
    with pytest.raises(InputError, match=message):
        kp.load_nets(what)


def test_the_examples_of_the_documentation_run(shown, detector, tmp_path, monkeypatch):
    """The code of docs/python-api.md runs as it stands, one block after the other, in a folder with the files that it names."""
    detector((100, 50, 90))
    monkeypatch.setattr(kp, "load_nets", lambda name: kp.KeypointNets(JUDGED))
    Path("photographs").mkdir()
    for name in ("photographs/1.jpg", "a.jpg", "b.jpg"):
        dotted((420, 260), CENTRES[0], 3).save(name)
    Path("FOLDER").mkdir()
    rendered.write_kaggle_files(Path("FOLDER"), KAGGLE, side=SIDE, training=9, test=6, seed=0)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8"), re.DOTALL)
    images = dots(*CENTRES)
    values = {"images": images, "boxes": [[0, 0, 300, 200]] * len(images)}
    for block in blocks:
        exec(block, values)
    assert len(values["table"]) == len(values["samples"]) == 9
    assert Path("a-keypoints.png").exists()
