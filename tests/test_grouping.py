"""Specialist groups for a set that has none."""

import numpy as np
import pytest

from pipeline.data import grouping
from pipeline.keypoints.file import KeypointFile


def placed(*points):
    """Ten equal samples."""
    return np.tile(np.array(points, float), (10, 1, 1))


def test_near_keypoints_and_mirror_pairs_are_together():
    """The groups are named after the words that their keypoints share, or after all of them."""
    names = ("nose", "left_eye_inner", "right_eye_inner", "left_eye_outer", "right_eye_outer", "left_foot", "right_foot")
    keypoints = placed((0, 0), (-3, -3), (3, -3), (-4, -3), (4, -3), (-5, 60), (5, 60))
    mirror = (names[1:3], names[3:5], names[5:])
    assert grouping.guessed(keypoints, names, mirror) == {"nose_eye_inner_outer": names[:5], "foot": names[5:]}
    assert grouping.guessed(keypoints, names, None).keys() == {"nose_eye_inner_outer", "foot"}


@pytest.mark.parametrize("count", [1, 2, 5, 17, 68, 300])
def test_any_number_of_keypoints_makes_few_groups(count):
    """At most six groups, which a keypoint set accepts."""
    keypoints = np.random.default_rng(0).uniform(0, 100, (20, count, 2))
    names = tuple(map(str, range(1, count + 1)))
    mirror = tuple((names[index], names[-1 - index]) for index in range(count // 2))
    found = grouping.guessed(keypoints, names, mirror)
    assert len(found) <= 6
    assert KeypointFile().keypointset(names, title="points", mirror=mirror, groups=found).groups == found
    assert grouping.guessed(keypoints[::-1], names, mirror) == grouping.guessed(keypoints[::-1], names, mirror)


@pytest.mark.parametrize(
    "keypoints", [np.full((3, 4, 2), np.nan), np.zeros((0, 4, 2)), np.full((3, 4, 2), 5.0)], ids=["unlabelled", "none", "one place"]
)
def test_without_usable_labels_there_is_one_group(keypoints):
    """Nothing is known of the shape."""
    assert list(grouping.guessed(keypoints, ("a", "b", "c", "d"), None).values()) == [("a", "b", "c", "d")]


@pytest.mark.parametrize(
    ("names", "titles"),
    [
        (("base", "Base2"), ["base_1", "base_2"]),
        (("left ear/1", "right ear/1"), ["ear", "ear_2"]),
        (("1", "2"), ["point_1", "point_2"]),
        (("Schnauze", "Öhrchen"), ["schnauze", "hrchen"]),
        (("鼻", "尾"), ["point_1", "point_2"]),
        (("a" * 40, "b"), ["point_1", "b"]),
    ],
    ids=["reserved", "signs", "numbers", "umlaut", "other letters", "long"],
)
def test_names_of_groups_fit_into_file_names(names, titles):
    """Whatever the keypoints are called, a keypoint set accepts the groups."""
    found = grouping.guessed(placed((0, 0), (5, 5)), names, None)
    assert list(found) == titles
    assert KeypointFile().keypointset(names, title="points", mirror=None, groups=found).groups == found


@pytest.mark.parametrize(
    ("labelled", "groups"),
    [(0, {"nose_eye_tail", "leg"}), (13, {"nose_eye", "tail_leg"}), (14, {"nose_eye", "tail", "leg"})],
)
def test_what_is_rarely_labelled_joins_the_nearest_group(labelled, groups):
    """A specialist for it might have no label in the validation part. What is never labelled has no place."""
    keypoints = np.tile(placed((0, 0), (1, 0), (0, 90), (40, 45)), (4, 1, 1))
    keypoints[labelled:, 2] = np.nan
    assert grouping.guessed(keypoints, ("nose", "eye", "tail", "leg"), None).keys() == groups
