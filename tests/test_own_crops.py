"""Samples of an own set: what is cut out of each image, and the way back."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data import samples
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Instance
from pipeline.data.storage import Storage
from pipeline.errors import InputError
from pipeline.geometry import affine
from pipeline.keypoints.definition import KeypointSet
from pipeline.lazyrows import Collector

DOT = KeypointSet("dots", ("one", "two"), None, {"labels": ("one", "two")}, {})


def picture(path: Path, width: int, height: int, dots=()) -> None:
    """A black picture with white dots of 3 x 3 pixels whose centres are these pixels."""
    pixels = np.zeros((height, width), np.uint8)
    for x, y in dots:
        pixels[y - 1 : y + 2, x - 1 : x + 2] = 255
    Image.fromarray(pixels).save(path)


def instance(name: str, points, box=None, number="1", source="") -> Instance:
    """An instance with these keypoints, in pixels."""
    points = np.array(points, float)
    return Instance(name, number, points, np.zeros(len(points), bool), box, source, f"labels.csv, {name}")


def cut(tmp_path, instances, *, side=64, channels="grey"):
    """The samples of these instances, cut as a set with at most this side is."""
    source = samples.ImageSource(Folder(tmp_path))
    wanted = samples.squares_of(instances, samples.framing(instances, [], ()), source)
    squares = np.array([sample.square for sample in wanted])
    stored, _ = Storage(side, 1, channels).chosen(squares)
    return samples.cut(wanted, source, side=stored, channels=channels, images_to=Collector())


@pytest.mark.parametrize(("width", "height"), [(64, 64), (100, 40), (40, 100), (301, 77)])
def test_a_keypoint_stays_on_its_dot(tmp_path, width, height):
    """Whole images are padded, not squeezed: the dot is where the keypoint has been moved to, and the way back is exact."""
    picture(tmp_path / "a.png", width, height, [(20, 30)])
    found = cut(tmp_path, [instance("a.png", [[20.5, 30.5], [np.nan, np.nan]])], side=512)
    moved = affine.move(np.array([[[20.5, 30.5]]]), found.to_sample)[0, 0]
    light = found.images[0] / found.images[0].sum()
    places = np.arange(len(light)) + 0.5
    np.testing.assert_allclose([light.sum(axis=0) @ places, light.sum(axis=1) @ places], moved, atol=0.05)
    np.testing.assert_allclose(affine.move(moved[None, None], found.origin.to_original)[0, 0], [20.5, 30.5], atol=1e-9)
    assert found.origin.size.tolist() == [[width, height]]


def test_boxes_are_used_if_all_have_one():
    """One instance without a box, or an image to predict without one, and all samples of the set are cut in another way."""
    boxed, bare = instance("a.png", [[5, 5], [9, 9]], (0, 0, 10, 10)), instance("b.png", [[5, 5], [9, 9]])
    assert samples.framing([boxed], [], ()) == "box"
    assert samples.framing([boxed], ["c.png"], ("c.png",)) == "box"
    assert samples.framing([boxed], ["c.png"], ()) == "image"
    assert samples.framing([boxed, bare], [], ()) == "image"
    assert samples.framing([bare, bare], [], ()) == "keypoints"


def test_two_annotators_are_not_two_instances():
    """An image that two annotators have labelled still contains one object."""
    both = [instance("a.png", [[5, 5], [9, 9]], source=source) for source in ("senior", "junior")]
    assert samples.framing(both, [], ()) == "image"


def test_several_instances_give_several_samples(tmp_path):
    """Each is cut around its own keypoints, with the whole of them inside, even where a single keypoint has no extent."""
    picture(tmp_path / "a.png", 200, 100, [(30, 30), (170, 60)])
    one = instance("a.png", [[30.5, 30.5], [np.nan, np.nan]])
    other = instance("a.png", [[160.5, 50.5], [170.5, 60.5]], number="2")
    found = cut(tmp_path, [one, other])
    assert found.origin.instance.tolist() == ["1", "2"]
    for number, own in enumerate((one, other)):
        inside = affine.move(own.keypoints[None], found.to_sample[[number]])[0]
        side = found.images.shape[1]
        assert (np.nan_to_num(inside, nan=1) >= 0).all()
        assert (np.nan_to_num(inside, nan=1) <= side).all()


def test_colour_and_grey(tmp_path):
    """Colour samples keep the channels in the order red, green, blue."""
    Image.new("RGB", (40, 40), (250, 10, 60)).save(tmp_path / "a.png")
    found = cut(tmp_path, [instance("a.png", [[5, 5], [9, 9]])], channels="colour")
    assert found.images.shape == (1, 48, 48, 3)
    assert found.images[0, 20, 20].tolist() == [250, 10, 60]
    assert cut(tmp_path, [instance("a.png", [[5, 5], [9, 9]])]).images.shape == (1, 48, 48)


@pytest.mark.parametrize(("most", "white"), [(200, 255), (900, 1023), (4000, 4095), (60000, 65535)])
def test_white_of_sixteen_bits_is_recorded(tmp_path, most, white):
    """Sixteen bits are scaled so that white is the smallest usual white level that no pixel exceeds, and that level is stored."""
    pixels = np.zeros((40, 40), np.uint16)
    pixels[10:30, 10:30] = most
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = cut(tmp_path, [instance("a.png", [[5, 5], [9, 9]])])
    assert found.origin.white.tolist() == [white]
    assert abs(int(found.images.max()) - round(255 * most / white)) <= 1


def test_a_keypoint_far_outside_is_refused(tmp_path):
    """The message names the place, the keypoint, the image and its size."""
    picture(tmp_path / "a.png", 100, 50)
    source = samples.ImageSource(Folder(tmp_path))
    with pytest.raises(InputError, match=r"labels.csv, a.png: the keypoint two is at x 5, y 500, .* a.png of 100 x 50 pixels"):
        samples.check_places([instance("a.png", [[5, 5], [5, 500]])], DOT.names, source)
    samples.check_places([instance("a.png", [[5, 5], [-20, 60]])], DOT.names, source)


def test_samples_of_one_image_stay_together(tmp_path):
    """Instances of an image, and images that a rule keeps together, have one number."""
    for name in ("a.png", "b.png", "c.png"):
        picture(tmp_path / name, 40, 40)
    instances = [instance(name, [[5, 5], [9, 9]]) for name in ("a.png", "a.png", "b.png", "c.png")]
    parts = samples.Parts(frozenset({"c.png"}), {"a.png": "video", "b.png": "video"})
    table, given = samples.labelled(instances, cut(tmp_path, instances), DOT, parts)
    assert len(set(given.together[:3])) == 1
    assert given.together[3] != given.together[0]
    assert given.validation.tolist() == [False, False, False, True]
    assert table.keypoints.dtype == np.float32


def test_versions_of_one_photograph_stay_together(tmp_path):
    """Roboflow exports augmented versions of a photograph under its name and a hash. A group of the user's with the name of an image is not
    that image."""
    names = ["a_jpg.rf.0123456789abcdef.jpg", "a_jpg.rf.fedcba9876543210.jpg", "b.png", "c.png"]
    for name in names:
        picture(tmp_path / name, 40, 40)
    instances = [instance(name, [[5, 5], [9, 9]]) for name in names]
    _, given = samples.labelled(instances, cut(tmp_path, instances), DOT, samples.Parts(None, {"c.png": "b.png"}))
    assert given.together[0] == given.together[1]
    assert len(set(given.together.tolist())) == 3
    assert given.photograph.tolist() == [0, 1, 2, 3]
    assert given.photographs.shape == (4, 48, 48)


def test_images_to_predict_without_boxes_are_seen_whole(tmp_path):
    """Where samples are cut around boxes, each box of an image gives one."""
    picture(tmp_path / "a.png", 100, 50)
    source = samples.ImageSource(Folder(tmp_path))
    assert [sample.square for sample in samples.to_predict(["a.png"], {}, "box", source)] == [None]
    boxes = {"a.png": [("7", (10, 10, 20, 20)), ("9", (50, 10, 20, 20))]}
    wanted = list(samples.to_predict(["a.png"], boxes, "box", source))
    assert [(sample.instance, sample.square) for sample in wanted] == [("7", (7.5, 7.5, 25.0)), ("9", (47.5, 7.5, 25.0))]
