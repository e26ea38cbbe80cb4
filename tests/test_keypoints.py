"""A keypoint set that contradicts itself is refused at once, and what is mirrored is never guessed."""

import re

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.geometry.alignment import upright
from pipeline.geometry.augmentation import Ranges, versions
from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.keypoints.stored import StoredSet

NAMES = ("nose", "left_ear", "right_ear", "tail")
VALID = {
    "name": "mouse",
    "names": NAMES,
    "mirror": (("left_ear", "right_ear"),),
    "sources": {"video": NAMES, "photo": ("nose", "tail")},
    "groups": {"ears": ("left_ear", "right_ear"), "ends": ("nose", "tail")},
}


def defined(**changes) -> KeypointSet:
    """The valid set with some of its fields replaced."""
    return KeypointSet(**{**VALID, **changes})


def of_names(*names: str, mirror) -> KeypointSet:
    """A set of these keypoints with one source and one group."""
    return KeypointSet("a set", names, mirror, {"all": names}, {"all": names})


def test_a_consistent_set_is_accepted():
    """Columns, partners, mirror order and the positions of a group follow from the definition."""
    mouse = defined()
    assert mouse.columns == ("nose_x", "nose_y", "left_ear_x", "left_ear_y", "right_ear_x", "right_ear_y", "tail_x", "tail_y")
    assert mouse.partners == {"left_ear": "right_ear", "right_ear": "left_ear"}
    assert mouse.mirror_order == (0, 2, 1, 3)
    assert mouse.source_names == ("video", "photo")
    assert mouse.indices("ends") == [0, 3]


def test_an_unknown_group_is_refused():
    """Asking for a group that the set does not have names the group and the ones that it has."""
    with pytest.raises(InputError, match=r"mouse has no keypoint group 'ear'; .*ears"):
        defined().indices("ear")


CONTRADICTIONS = {
    "no keypoints": ({"names": ()}, "it has no keypoints"),
    "a repeated name": ({"names": (*NAMES, "nose")}, "the keypoint name 'nose' occurs more than once"),
    "names that differ only in case": ({"names": (*NAMES, "Nose")}, "the keypoint name 'nose' occurs more than once"),
    "an unknown name in a mirror pair": ({"mirror": (("left_ear", "right_eye"),)}, "the mirror pairs name 'right_eye'"),
    "a keypoint with two partners": (
        {"mirror": (("left_ear", "right_ear"), ("right_ear", "tail"))},
        "the keypoint 'right_ear' occurs more than once in the mirror pairs",
    ),
    "a mirror pair given in both orders": (
        {"mirror": (("left_ear", "right_ear"), ("right_ear", "left_ear"))},
        "the keypoint 'left_ear' occurs more than once in the mirror pairs",
    ),
    "a keypoint paired with itself": ({"mirror": (("nose", "nose"),)}, "the keypoint 'nose' occurs more than once in the mirror pairs"),
    "no sources": ({"sources": {}}, "the first annotation source must label every keypoint"),
    "a first source that lacks a keypoint": (
        {"sources": {"photo": ("nose", "tail"), "video": NAMES}},
        "the first annotation source must label every keypoint",
    ),
    "an unknown name in a source": (
        {"sources": {"video": NAMES, "photo": ("nose", "paw")}},
        "the annotation source 'photo' labels 'paw', which is not one of its keypoints",
    ),
    "an unknown name in a group": ({"groups": {"ears": ("left_ear", "right_ear"), "ends": ("nose", "tail", "paw")}}, "not so for 'paw'"),
    "a keypoint in no group": ({"groups": {"ears": ("left_ear", "right_ear"), "ends": ("nose",)}}, "not so for 'tail'"),
    "a keypoint in two groups": (
        {"groups": {"ears": ("left_ear", "right_ear"), "ends": ("nose", "tail", "left_ear")}},
        "not so for 'left_ear'",
    ),
    "a keypoint twice in one group": (
        {"groups": {"ears": ("left_ear", "right_ear"), "ends": ("nose", "nose", "tail")}},
        "not so for 'nose'",
    ),
    "a group without a keypoint's partner": (
        {"groups": {"left": ("left_ear", "nose"), "right": ("right_ear", "tail")}},
        "the group 'left' contains 'left_ear' but not 'right_ear', its partner in a mirrored image",
    ),
    "group names that differ only in case": (
        {"groups": {"ears": ("left_ear", "right_ear"), "Ears": ("nose", "tail")}},
        "the group name 'ears' occurs more than once",
    ),
    **{
        f"a group called {name!r}": ({"groups": {name: NAMES}}, f"{name!r} cannot be the name of a group")
        for name in ("base", "Base", "", "two words", "a/b", "..", "a.b", "mouth:left", "mouth@1f3a", "a-b", "é", "a\n")
    },
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_a_contradiction_is_refused_at_once(what):
    """Defining the set raises one sentence that names the set and the fault; no training has to fail first."""
    changes, said = CONTRADICTIONS[what]
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        defined(**changes)
    message = str(caught.value)
    assert message.startswith("The keypoint set 'mouse' is inconsistent: ")
    assert message.endswith(".")
    assert "\n" not in message


PAIRS = [
    ("leftear", "rightear"),
    ("L_ear", "R_ear"),
    ("ear_l", "ear_r"),
    ("LeftEar", "RightEar"),
    ("left-ear", "right-ear"),
    ("left_ear", "right_ear"),
    ("17", "26"),
]


@pytest.mark.parametrize("pair", PAIRS, ids="/".join)
def test_mirror_pairs_are_given_and_never_guessed(pair):
    """Whatever the names suggest: without `mirror` there is no set, and keypoints exchange places only where a pair says so."""
    names = ("nose", *pair)
    with pytest.raises(TypeError, match="mirror"):
        KeypointSet(name="a set", names=names, sources={"all": names}, groups={"all": names})
    assert of_names(*names, mirror=()).mirror_order == (0, 1, 2)
    assert of_names(*names, mirror=(pair,)).mirror_order == (0, 2, 1)
    with pytest.raises(ValueError, match="must not be mirrored"):
        _ = of_names(*names, mirror=None).mirror_order


@pytest.mark.parametrize(("mirror", "flipped"), [((("left_ear", "right_ear"),), True), ((), True), (None, False)])
def test_augmented_versions_are_mirrored_only_where_the_set_allows_it(mirror, flipped):
    """With flip at 1 every version is mirrored; with mirror=None none is, and images and keypoints stay as they are."""
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16), dtype=np.uint8)
    keypoints = np.random.default_rng(1).uniform(0, 16, (5, 4, 2)).astype(np.float32)
    flips_only = Ranges(
        flip=1.0, rotation=0.0, shear=0.0, shift=0.0, scale=1.0, stretch=1.0, small_share=0.0, small_scale=1.0, gain=0.0, bias=0.0
    )
    for made, moved in versions(images, keypoints, keypointset=defined(mirror=mirror), ranges=[flips_only] * 3, seed=0):
        expected = keypoints[:, [0, 2, 1, 3] if mirror else [0, 1, 2, 3]] * [-1, 1] + [16, 0] if flipped else keypoints
        np.testing.assert_array_equal(made[:], images[:, :, ::-1] if flipped else images)
        np.testing.assert_allclose(moved, expected, atol=1e-5)


@pytest.mark.parametrize("mirror", [(), None])
def test_the_aligned_shape_of_a_set_without_pairs_is_its_mean_shape(mirror):
    """Nothing says what is symmetric to what, so nothing is made symmetric; a set with pairs is."""
    mean = np.array([[9, 3], [12, 7], [2, 5], [8, 14]], np.float32)
    np.testing.assert_array_equal(upright(mean, defined(mirror=mirror), side=16), mean)
    np.testing.assert_allclose(upright(mean, defined(), side=16), [[8, 3], [13, 6], [3, 6], [8, 14]])


def test_kaggles_set_is_consistent():
    """Fifteen keypoints, of which six pairs exchange places; two sources; every keypoint is in one of six groups."""
    order = np.array(KAGGLE.mirror_order)
    np.testing.assert_array_equal(order[order], np.arange(15))
    assert (order != np.arange(15)).sum() == 12
    for here, there in enumerate(order):
        if here != there:
            assert {KAGGLE.names[here].replace("left", "right"), KAGGLE.names[here].replace("right", "left")} >= {KAGGLE.names[there]}
    assert [len(names) for names in KAGGLE.sources.values()] == [15, 4]
    assert sorted(index for group in KAGGLE.groups for index in KAGGLE.indices(group)) == list(range(15))


@pytest.mark.parametrize("groups", [{}, VALID["groups"]], ids=["no groups", "groups"])
@pytest.mark.parametrize("mirror", [(), None, VALID["mirror"]], ids=["no pairs", "never mirrored", "pairs"])
def test_a_set_is_restored_from_its_arrays(groups, mirror):
    """The arrays of an artifact give the same set, also if it has no groups or no pairs."""
    made = KeypointSet(**{**VALID, "groups": groups, "mirror": mirror})
    assert StoredSet.of(made).restored() == made
