"""From parsed tables to the data set that all stages share."""

from dataclasses import asdict, fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.data import dataset as module
from pipeline.data import summary, testset, trainable
from pipeline.data.dataset import Cleaning, Dataset, assemble, held_out, labels, sources
from pipeline.data.split import Splitting
from pipeline.data.tables import LabelledFaces, Lookup, UnlabelledFaces
from pipeline.errors import InputError
from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.kaggle import KAGGLE

TINY = KeypointSet(
    name="tiny",
    names=("left_eye", "right_eye", "nose", "chin"),
    mirror=(("left_eye", "right_eye"),),
    sources={"wide": ("left_eye", "right_eye", "nose", "chin"), "narrow": ("nose", "chin")},
    groups={"all": ("left_eye", "right_eye", "nose", "chin")},
)
SPLITTING = Splitting(validation_share=0.25, fold=0, twin_correlation=0.985, faces=0, sequences="auto", seed=0)
CLEANING = Cleaning(clean=True, outlier_deviations=4.5, outlier_pixels=5.0, conflict_pixels=8.0)
WIDE, NARROW = 24, 40


def tables(*, wide=WIDE, narrow=NARROW, seed=0):
    """A training table of noise images, a test table of three faces, and a lookup table for an eye, a nose and nothing of them."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (wide + narrow + 3, 20, 20), dtype=np.uint8)
    shape = np.array([[14, 6], [6, 6], [10, 11], [10, 17]], np.float32)
    keypoints = shape + rng.normal(0, 0.5, (wide + narrow, 4, 2)).astype(np.float32)
    keypoints[wide:, :2] = np.nan
    training = LabelledFaces(images=images[:-3], keypoints=keypoints)
    test = UnlabelledFaces(images=images[-3:], image_ids=np.array([5, 7, 9]))
    lookup = Lookup(
        row_ids=np.array([1, 2, 3, 4]),
        face=np.array([0, 0, 0, 1], np.int32),
        keypoint=np.array([1, 1, 3, 2], np.int16),
        axis=np.array([0, 1, 0, 1], np.int8),
    )
    return SimpleNamespace(training=training, test=test, lookup=lookup)


def make(given=None, *, clean=True, **splitting):
    """The data set of some tables, with changes of how they are split and cleaned."""
    return assemble((given or tables()).training, TINY, splitting=replace(SPLITTING, **splitting), cleaning=replace(CLEANING, clean=clean))


def contradicted():
    """Tables in which faces 2k and 2k + 1 of the narrow source share an image and their noses are 12 px apart."""
    given = tables()
    images, keypoints = given.training.images, given.training.keypoints
    images[WIDE + 1 :: 2] = images[WIDE::2]
    keypoints[WIDE + 1 :: 2, 2, 0] = keypoints[WIDE::2, 2, 0] + 12
    return given


def test_source_is_the_last_that_covers_the_labels():
    """A face belongs to the wide source if a keypoint is labelled that only this source labels, and otherwise to the narrow source."""
    labelled = np.array([[1, 1, 1, 1], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]], bool)
    assert sources(labelled, TINY).tolist() == [0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match=r"\(n, 4\).*\(5, 3\)"):
        sources(labelled[:, :3], TINY)


def test_fewer_faces_to_train_on():
    """The validation part is unchanged, `row` has the remaining faces, a smaller sample is part of a larger one, and 0 keeps all."""
    everything, some, fewer = (make(faces=faces) for faces in (0, 20, 7))
    assert everything.row.tolist() == list(range(WIDE + NARROW))
    assert make(faces=1000).row.tolist() == everything.row.tolist()
    assert (~some.validation).sum() == 20
    held_out = everything.row[everything.validation].tolist()
    for part in (some, fewer):
        assert part.row[part.validation].tolist() == held_out
        np.testing.assert_array_equal(part.images, everything.images[part.row])
        np.testing.assert_array_equal(part.keypoints, everything.keypoints[part.row])
        assert part.labelled.sum() == (~np.isnan(part.keypoints[..., 0])).sum()
    assert set(fewer.row) < set(some.row)


def test_fields_are_as_described():
    """Every array of the data set has the dtype and the number of dimensions in its description."""
    dataset = make()
    for field in (field for field in fields(Dataset) if "array" in field.metadata and getattr(dataset, field.name) is not None):
        values, described = getattr(dataset, field.name), field.metadata["array"]
        assert values.dtype.kind == "U" if described.dtype == "text" else values.dtype == described.dtype, field.name
        assert values.ndim == len([axis for axis in described.axes if not axis.endswith("?")]), field.name


def test_same_tables_same_bytes():
    """Two runs give the same bytes in every array."""
    one, other = (asdict(faces) for faces in (make(), make(tables())))
    for name, value in {**one, **one["keypointset"]}.items():
        if isinstance(value, np.ndarray):
            assert value.tobytes() == {**other, **other["keypointset"]}[name].tobytes(), name


def test_conflicts_are_dropped_from_training_alone():
    """Contradicted labels are not used for training; the validation part keeps them, and so does the training part without cleaning."""
    dataset = make(contradicted())
    nose = dataset.conflict[:, 2]
    assert nose.sum() == NARROW
    assert 0 < (nose & dataset.validation).sum() < NARROW
    np.testing.assert_array_equal(dataset.dropped, dataset.conflict & ~dataset.validation[:, None])
    np.testing.assert_array_equal(labels(dataset), np.where(dataset.dropped[..., None], np.nan, dataset.keypoints))
    unclean = make(contradicted(), clean=False)
    assert not unclean.dropped.any()
    np.testing.assert_array_equal(unclean.conflict, dataset.conflict)


def test_outliers_are_dropped():
    """A label of the training part that is 9 px off is not used for training, and its distance is recorded."""
    given = tables()
    trained = np.flatnonzero(~make().validation)[0]
    given.training.keypoints[trained, 2] += [9, 0]
    dataset = make(given)
    assert np.argwhere(dataset.dropped).tolist() == [[trained, 2]]
    assert dataset.outlier_distance[trained, 2] == pytest.approx(9, abs=3)


def test_mean_face_is_of_the_labels_trained_on():
    """The mean face excludes the validation part and dropped labels, and uses the labels of the other source if a source has none."""
    dataset = make(contradicted())
    wide = (dataset.source == 0) & ~dataset.validation
    np.testing.assert_allclose(dataset.mean_face[0, 0], dataset.keypoints[wide, 0].mean(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(dataset.mean_face[1, :2], dataset.mean_face[0, :2])
    np.testing.assert_array_equal(dataset.mean_face[1, 2], dataset.mean_face[0, 2])  # every nose of the narrow source is in conflict


@pytest.mark.parametrize(("wide", "narrow", "eyes"), [(30, 0, [14, 6]), (0, 30, [10, 10])])
def test_one_source_alone(wide, narrow, eyes):
    """A data set may have only one source; the mean of a keypoint without labels is the middle of the image."""
    dataset = make(tables(wide=wide, narrow=narrow))
    np.testing.assert_allclose(dataset.mean_face[:, 0], [eyes, eyes], atol=0.5)
    assert dataset.validation.any()


def test_pixel_statistics_are_those_of_the_training_part():
    """Mean and standard deviation exclude the validation part; the deviation of equal pixels is 1, so that it can be a divisor."""
    dataset = make()
    pixels = dataset.images[~dataset.validation].astype(np.float64)
    assert dataset.pixel_mean == pytest.approx(pixels.mean(), rel=1e-6)
    assert dataset.pixel_std == pytest.approx(pixels.std(), rel=1e-6)
    flat = module._pixel_statistics(np.full((2, 3, 3), 9, np.uint8))
    assert (flat["pixel_mean"], flat["pixel_std"]) == (9, 1)


def test_test_faces_have_the_source_of_what_is_asked():
    """The sources of test faces with an eye, a nose and nothing to predict are wide, narrow and narrow; the lookup table is passed on."""
    given = tables()
    wanted = testset.requested(given.test, given.lookup, TINY)
    assert wanted.source.tolist() == [0, 1, 1]
    assert wanted.image_id.tolist() == [5, 7, 9]
    assert wanted.lookup_keypoint.tolist() == [1, 1, 3, 2]
    assert testset.table(wanted) == "3 test samples (wide 1, narrow 2); 4 values to predict"


def test_exploration_counts():
    """The printed table shows the numbers of faces, labels, duplicates and dropped labels, and fits on a screen."""
    dataset = make(contradicted())
    lines = summary.table(dataset).splitlines()
    cells = {line.split()[0]: line.split()[1:] for line in lines if line}
    held_out = [int((dataset.validation & (dataset.source == number)).sum()) for number in (0, 1)]
    assert cells["wide"] == [str(WIDE - held_out[0]), str(held_out[0]), str(WIDE)]
    assert cells["narrow"] == [str(NARROW - held_out[1]), str(held_out[1]), "0"]
    assert cells["left_eye"][:2] == [str(WIDE), "0"]
    assert cells["nose"][3] == str(dataset.dropped[:, 2].sum())
    assert "20 samples repeat" in lines[-3]
    assert "40 samples in 20 groups, of up to 2" in lines[-2]
    assert max(map(len, lines)) <= 80


def test_exploration_of_kaggles_set_fits_on_a_screen():
    """With fifteen keypoints the table has at most 35 lines."""
    dataset = make()
    columns = {name: np.zeros((len(dataset.source), 15), bool) for name in ("outlier", "conflict", "dropped")}
    columns |= {"labelled": np.zeros((2, 15), np.int32), "keypoint_names": np.array(KAGGLE.names)}
    assert len(summary.table(replace(dataset, **columns)).splitlines()) <= 35


GROUPS = replace(TINY, groups={"eyes": ("left_eye", "right_eye"), "middle": ("nose", "chin")})


def test_groups_that_can_be_trained():
    """Faces with labels of each group in both parts pass; a keypoint may have all its labels from its partner in a mirrored image."""
    faces = make()
    trainable.check(faces, GROUPS)
    faces.keypoints[:, 0] = np.nan
    trainable.check(faces, GROUPS)


def test_groups_without_a_label_to_train_on():
    """The message names the group, the keypoints, and what to do; one source alone is the usual reason."""
    only_narrow = tables(wide=0)
    with pytest.raises(InputError) as caught:
        trainable.check(make(only_narrow), GROUPS)
    assert str(caught.value).startswith(
        "No sample of the training part has a usable label for left_eye, right_eye (group eyes), so this group "
    )
    assert "Label it in more images, or raise --Load-faces" in str(caught.value)
    faces = make()
    faces.keypoints[~faces.validation, 3] = np.nan
    with pytest.raises(InputError, match=r"label for chin \(group middle\), so this group cannot be trained"):
        trainable.check(faces, GROUPS)


def test_groups_without_a_label_to_validate_on():
    """The message names the flags that change the validation part."""
    faces = make()
    faces.keypoints[faces.validation, :2] = np.nan
    with pytest.raises(
        InputError, match=r"No sample of the validation part .* \(group eyes\).* --Load-fold or a larger --Load-validation-share"
    ):
        trainable.check(faces, GROUPS)


def test_kaggles_four_point_source_alone():
    """Three of the six groups are named."""
    given = tables(wide=0)
    keypoints = np.full((NARROW, 15, 2), np.nan, np.float32)
    keypoints[:, [0, 1, 10, 14]] = given.training.keypoints[:, [2, 3, 2, 3]]
    faces = assemble(replace(given.training, keypoints=keypoints), KAGGLE, splitting=SPLITTING, cleaning=CLEANING)
    with pytest.raises(InputError) as caught:
        trainable.check(faces, KAGGLE)
    for group in ("mouth", "eye_corners", "eyebrows"):
        assert f"(group {group})" in str(caught.value)
    assert str(caught.value).count("(group ") == 3
    assert "so these groups cannot be trained" in str(caught.value)


def test_held_out_faces_come_in_the_order_of_the_table():
    """From data sets that hold out different parts, each face is taken from the data set that held it out, in the order of the table."""
    parts = [make(faces=20, fold=fold, validation_share=0.25) for fold in range(4)]
    found = held_out(parts[::-1], lambda some: np.stack([some.row, some.images[:, 0, 0]], axis=1))
    whole = make()
    assert len(parts[0].row) < len(whole.row)
    np.testing.assert_array_equal(found, np.stack([whole.row, whole.images[:, 0, 0]], axis=1))


def test_the_middle_of_colour_images():
    """The mean of a keypoint without labels is the middle of the image, whose side is not the number of its channels."""
    given = tables(wide=0, narrow=30).training
    colour = replace(given, images=np.repeat(given.images[..., None], 3, axis=3))
    dataset = assemble(colour, TINY, splitting=SPLITTING, cleaning=CLEANING)
    np.testing.assert_allclose(dataset.mean_face[:, 0], 10, atol=0.5)
