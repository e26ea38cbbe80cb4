"""Labels of any keypoint set: pixel conventions, annotation sources, parts."""

import numpy as np
import pytest

from pipeline.data.labels import Convention, Instance, Reading, by_source

LOWER_LEFT = Convention(0.5, upwards=True, visibility="", boxes=False)


def instance(image: str) -> Instance:
    """An instance without keypoints."""
    return Instance(image, "1", np.empty((0, 2)), np.empty(0, bool))


@pytest.mark.parametrize(("upwards", "expected"), [(None, True), (True, True), (False, False)])
def test_the_user_may_say_where_the_origin_is(upwards, expected):
    """Otherwise the format does."""
    assert Reading(upwards=upwards).of(LOWER_LEFT).upwards is expected


def test_files_that_label_the_same_images_are_annotation_sources():
    """Each instance has the file as its source."""
    found = by_source({"a.tps": [instance("1.png"), instance("2.png")], "b.tps": [instance("2.png")]})
    assert [(each.image, each.source) for each in found] == [("1.png", "a.tps"), ("2.png", "a.tps"), ("2.png", "b.tps")]


def test_files_that_label_different_images_are_one_source():
    """Also if one file has several instances in an image."""
    found = by_source({"a.tps": [instance("1.png"), instance("1.png")], "b.tps": [instance("2.png")]})
    assert [each.source for each in found] == ["", "", ""]
