"""What the log says of the data set of an own set."""

import functools

import numpy as np
import pytest
from filmed import BLOCKS, anywhere, sampled, spiral

from pipeline.data import summary
from pipeline.data.dataset import Cleaning, Dataset, assemble
from pipeline.data.division import divided
from pipeline.data.split import Splitting
from pipeline.keypoints.definition import KeypointSet
from pipeline.store.hdf5 import contents

SENIOR_JUNIOR = KeypointSet(
    "spots", ("spot", "side"), None, {"senior": ("spot", "side"), "junior": ("spot", "side")}, {"all": ("spot", "side")}
)
CLEANING = Cleaning(clean=True, outlier_deviations=4.5, outlier_pixels=5.0, conflict_pixels=8.0)


def made(samples, given, *, fold=0, faces=0, keypointset=SENIOR_JUNIOR):
    """The data set of a set of pictures with a spot, in five folds."""
    splitting = Splitting(validation_share=0.2, fold=fold, twin_correlation=0.985, faces=faces, sequences="auto", seed=0)
    rules = {"splitting": splitting, "cleaning": CLEANING, "given": given, "divide": functools.partial(divided, given)}
    return assemble(samples, keypointset, **rules)


def letters(count):
    return [f"{chr(97 + number)}.png" for number in range(count)]


def last_lines(dataset):
    """The lines below the tables."""
    return summary.table(dataset).rsplit("\n\n", 1)[1].splitlines()


def test_two_annotators_of_the_same_images():
    """Their samples are not called duplicates: the images are labelled twice."""
    assert last_lines(made(*sampled(letters(20), anywhere(20), annotators=2)))[:-1] == [
        "All 20 images are labelled by several annotation sources, whose samples of one image stay together.",
        "No image is nearly the same as another one or belongs to a group of images.",
    ]


def test_several_instances_of_an_image():
    """Samples of one image are counted as instances, not as near duplicates."""
    samples, given = sampled(letters(20), anywhere(20), annotators=2)
    given.source[:] = 0
    assert last_lines(made(samples, given))[0] == "All 20 images have several instances, which stay together."


def test_images_that_repeat_others_or_belong_together():
    """Copies, near duplicates and groups of the user's are counted as images."""
    places = anywhere(20)
    places[3] = places[2]
    samples, given = sampled(letters(20), places, together={"k.png": "day", "l.png": "day", "m.png": "day"})
    samples.images[7] = samples.images[6]
    given.photographs[7] = given.photographs[6]
    assert last_lines(made(samples, given))[:-1] == [
        "1 image repeats an earlier one.",
        "7 images are near duplicates or belong together: 3 groups of up to 3 images, which are not divided.",
    ]


@pytest.mark.parametrize(("fold", "part"), [(0, "validation"), (1, "training")])
def test_an_annotation_source_with_one_sample(fold, part):
    """One of the parts has none of it, and the log says what follows."""
    samples, given = sampled([f"img{number}.png" for number in range(60)], spiral(60))
    given.source[5] = 1
    warning = [line for line in summary.lines(made(samples, given, fold=fold)) if line.startswith("warning")]
    missing = {"validation": "training", "training": "validation"}[part]
    assert len(warning) == 1
    assert warning[0].startswith(f"warning: the {missing} part has no sample of the annotation source junior (1 sample), so that ")


def test_what_is_left_out_and_why_is_stored(tmp_path):
    """The data set lacks the frames that are nearly the same as a held-out one, and says so after it has been stored."""
    import h5py

    places = spiral(60)
    places[10:14] = places[10]
    dataset = made(*sampled([f"img{number}.png" for number in range(60)], places))
    assert dataset.row.tolist() == [*range(12), *range(14, 60)]
    assert len(dataset.images) == len(dataset.origin.image) == 58
    with h5py.File(tmp_path / "a.h5", "w") as file:
        contents.put(file, dataset)
        again = contents.take(file, Dataset)
    assert again.notes.tolist() == [
        BLOCKS.format(60),
        "2 frames of the training part, nearly the same as a held-out frame of the same video, left out.",
    ]
    assert summary.lines(dataset)[:2] == again.notes.tolist()


def test_a_sample_of_the_faces_without_those_left_out():
    """--Load-faces takes its sample from what is not left out, and keeps the validation part."""
    places = spiral(60)
    places[10:14] = places[10]
    dataset = made(*sampled([f"img{number}.png" for number in range(60)], places), faces=30)
    assert len(dataset.row) == 42
    assert not np.isin([12, 13], dataset.row).any()
    assert dataset.validation.sum() == 12
