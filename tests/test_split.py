"""The division into a training part and a validation part."""

import warnings

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from pipeline.data.split import split
from pipeline.errors import InputError


def test_split_keeps_groups_together_and_sources_apart():
    """No duplicate group is divided, and a fifth of each source is held out."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 700, 1000).astype(np.int32)
    source = (group > 200).astype(np.int8)
    held_out = split(source, group, validation_share=0.2, fold=0, seed=3)
    assert not np.intersect1d(group[held_out], group[~held_out]).size
    for number in (0, 1):
        assert held_out[source == number].mean() == pytest.approx(0.2, abs=0.02)


def test_folds_hold_out_each_face_once():
    """The folds of one seed are disjoint and cover all faces; another seed gives other folds, and the same seed the same."""
    source, group = np.repeat(np.array([0, 1], np.int8), 50), np.arange(100, dtype=np.int32)
    folds = np.stack([split(source, group, validation_share=0.1, fold=fold, seed=3) for fold in range(10)])
    assert (folds.sum(axis=0) == 1).all()
    again, other = (split(source, group, validation_share=0.1, fold=0, seed=seed) for seed in (3, 4))
    np.testing.assert_array_equal(again, folds[0])
    assert (other != folds[0]).any()


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (3, {}, "4 folds.*3 distinct samples .*--Load-validation-share 0.34"),
        (0, {}, "0 distinct samples"),
        (8, {"validation_share": 0.0}, "validation-share is 0"),
        (8, {"validation_share": 0.7}, "validation-share is 0.7"),
        (8, {"fold": 4}, "fold is 4.*folds 0 to 3"),
        (8, {"fold": -1}, "fold is -1"),
    ],
)
def test_impossible_splits(count, options, message):
    """A split that is impossible is refused with a sentence that says why."""
    options = {"validation_share": 0.25, "fold": 0, "seed": 0} | options
    with pytest.raises(InputError, match=message):
        split(np.zeros(count, np.int8), np.arange(count, dtype=np.int32), **options)


def test_faces_whose_fold_is_fixed_are_not_dealt():
    """They are held out in their fold; the others are dealt so that the folds are of one size."""
    source, group, fixed = np.zeros(60, np.int8), np.arange(60, dtype=np.int32), np.full(60, -1)
    fixed[:12] = 3  # twice as many as would be dealt to this fold
    held_out = np.stack([split(source, group, validation_share=0.1, fold=fold, seed=1, fixed=fixed) for fold in range(10)])
    assert (held_out.sum(axis=0) == 1).all()
    assert np.flatnonzero(held_out[3]).tolist() == list(range(12))
    assert sorted(held_out.sum(axis=1)) == [5] * 6 + [6] * 3 + [12]


@pytest.mark.parametrize(
    ("count", "advice"), [(1, r"is 1 distinct .*Label more images\.$"), (2, r"are 2 distinct .*--Load-validation-share 0\.5\.$")]
)
def test_one_and_two_images(count, advice):
    """With the default share one sentence says what would do, and of one image that there must be more."""
    with pytest.raises(InputError, match=advice):
        split(np.zeros(count, np.int8), np.arange(count, dtype=np.int32), validation_share=0.1, fold=0, seed=0)


def test_one_group_cannot_be_split():
    """Many faces that are all duplicates of each other are too few distinct faces."""
    with pytest.raises(InputError, match=r"form 1 group .* or are nearly the same\. Label more images\.$"):
        split(np.zeros(50, np.int8), np.zeros(50, np.int32), validation_share=0.25, fold=0, seed=0)


def test_a_source_of_two_faces():
    """A source with fewer faces than folds causes no warning."""
    source = np.array([0, 0] + [1] * 30, np.int8)
    assert split(source, np.arange(32, dtype=np.int32), validation_share=0.1, fold=0, seed=0).any()


@pytest.mark.parametrize("seed", range(6))
def test_dealt_as_by_scikit_learn(seed):
    """Each fold is that of StratifiedGroupKFold, for one and for three sources, and for few and for many groups."""
    rng = np.random.default_rng(seed)
    faces, folds = int(rng.integers(40, 400)), int(rng.integers(2, 11))
    group = rng.integers(0, rng.integers(12, 2 * faces), faces).astype(np.int32)
    source = rng.choice(3, faces, p=[0.1, 0.6, 0.3]).astype(np.int8) if seed else np.zeros(faces, np.int8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        theirs = [held_out for _, held_out in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(source, source, group)]
    for fold, held_out in enumerate(theirs):
        ours = split(source, group, validation_share=1 / folds, fold=fold, seed=seed)
        np.testing.assert_array_equal(np.flatnonzero(ours), held_out)
