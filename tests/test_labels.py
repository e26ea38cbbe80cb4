"""Labels of any keypoint set: pixel conventions, annotation sources, parts."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.data.formats.several import with_sources
from pipeline.data.labels import Convention, Instance, Labels, Reading, check_one_source, with_unique_ids
from pipeline.errors import InputError

LOWER_LEFT = Convention(0.5, upwards=True, visibility="", boxes=False)


def instance(image: str) -> Instance:
    """An instance without keypoints."""
    return Instance(image, "1", np.empty((0, 2)), np.empty(0, bool))


@pytest.mark.parametrize(("upwards", "expected"), [(None, True), (True, True), (False, False)])
def test_the_user_may_say_where_the_origin_is(upwards, expected):
    """Otherwise the format does."""
    assert Reading(upwards=upwards).of(LOWER_LEFT).upwards is expected


def test_files_that_label_the_same_images_are_annotation_sources():
    """Each instance has the file as its source, by what distinguishes the names."""
    found = with_sources({"a.tps": [instance("1.png"), instance("2.png")], "b.tps": [instance("2.png")]})
    assert [(each.image, each.source) for each in found] == [("1.png", "a"), ("2.png", "a"), ("2.png", "b")]


def test_files_that_label_different_images_are_one_source():
    """Also if one file has several instances in an image."""
    found = with_sources({"a.tps": [instance("1.png"), instance("1.png")], "b.tps": [instance("2.png")]})
    assert [each.source for each in found] == ["", "", ""]


def test_instances_are_numbered_where_their_identifiers_are_not_unique():
    """In the images in which two are the same, or in which one has none; others keep theirs."""
    found = [("1.png", "7"), ("2.png", "7"), ("2.png", "7"), ("3.png", ""), ("3.png", "7"), ("1.png", "8")]
    numbered = with_unique_ids([replace(instance(image), id=name) for image, name in found])
    assert [(each.image, each.id) for each in numbered] == [
        *(("1.png", "7"), ("2.png", "1"), ("2.png", "2"), ("3.png", "1"), ("3.png", "2"), ("1.png", "8")),
    ]


def test_labels_of_several_sources_are_refused_by_formats_that_have_one():
    """With the sources."""
    one = Labels("tps", (), (), (), (replace(instance("1.png"), source="x"), replace(instance("1.png"), source="y")))
    check_one_source(replace(one, instances=one.instances[:1]))
    with pytest.raises(InputError, match=r"^The labels are of the annotation sources x, y, which the format cannot keep apart\."):
        check_one_source(one)
