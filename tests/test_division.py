"""The division of own sets: nothing leaks from one part to the other, and what leaks in a given division is named."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from filmed import BLOCKS, anywhere, sampled, spiral

from pipeline.data import duplicates
from pipeline.data.division import divided
from pipeline.data.split import Splitting
from pipeline.errors import InputError
from pipeline.progress import ignored


def split(samples, given, *, folds=5, fold=0, sequences="auto"):
    """The division of a set into so many folds."""
    splitting = Splitting(validation_share=1 / folds, fold=fold, twin_correlation=0.985, faces=0, sequences=sequences, seed=0)
    return divided(given, samples, given.source, duplicates.copies(samples.images), splitting, ignored)


def numbered(count, folder="a"):
    return [f"{folder}/img{number:04}.png" for number in range(count)]


@pytest.mark.parametrize("annotators", [1, 2])
def test_each_fold_holds_out_a_block_of_a_video(annotators):
    """The blocks of one video are consecutive, fold f holds out block f, and each frame is held out once, with all of its samples."""
    samples, given = sampled(numbered(58), spiral(58), annotators=annotators)
    parts = [split(samples, given, fold=fold) for fold in range(5)]
    held = np.stack([part.validation for part in parts])
    assert (held.sum(axis=0) == 1).all()
    assert (np.diff(held.argmax(axis=0)) >= 0).all()
    assert set(held.sum(axis=1)) == {11 * annotators, 12 * annotators}
    assert BLOCKS.format(58) in parts[0].notes
    for part in parts[1:]:
        np.testing.assert_array_equal(part.group, parts[0].group)


def test_a_still_scene_leaves_no_near_duplicate_of_a_held_out_frame():
    """Frames that are nearly the same as a held-out one, next to it or elsewhere, are in neither part."""
    places = spiral(60)
    places[10:14] = places[10]  # across the border of the first two of five blocks
    places[40] = places[3]
    samples, given = sampled(numbered(60), places)
    part = split(samples, given)
    assert np.flatnonzero(part.validation).tolist() == list(range(12))
    assert np.flatnonzero(part.left_out).tolist() == [12, 13, 40]
    assert "3 frames of the training part, nearly the same as a held-out frame of the same video, left out." in part.notes
    assert part.group[10] == part.group[11] != part.group[12] == part.group[13]


def test_as_many_videos_as_folds_are_dealt_as_wholes():
    """No video is divided if there are enough of them; of fewer, each is cut into blocks."""
    names = [name for folder in "abcdef" for name in numbered(20, folder)]
    samples, given = sampled(names, np.concatenate([spiral(20, seed=seed) for seed in range(6)]))
    whole = split(samples, given, folds=5)
    assert set(whole.validation.reshape(6, 20).sum(axis=1)) == {0, 20}
    assert whole.notes == ("120 images are frames of 6 videos, so that each video is held out as a whole or not at all.",)
    blocks = split(samples, given, folds=10, fold=3)
    assert np.flatnonzero(blocks.validation).tolist() == [20 * video + frame for video in range(6) for frame in (6, 7)]


def test_photographs_beside_a_video_are_dealt_as_ever():
    """Only the frames are in blocks; all samples are held out once."""
    names = numbered(40) + [f"photo {chr(97 + number)}.png" for number in range(20)]
    samples, given = sampled(names, np.concatenate([spiral(40), anywhere(20, seed=5)]))
    held = np.stack([split(samples, given, fold=fold).validation for fold in range(5)])
    assert (held.sum(axis=0) == 1).all()
    assert (held.sum(axis=1) == 12).all()
    assert held[:, :40].sum(axis=1).tolist() == [8] * 5


def test_numbered_photographs_are_no_video():
    """Neighbours that are no more alike than others are dealt one by one, unless blocks are asked for."""
    samples, given = sampled(numbered(60), anywhere(60, seed=3))
    auto, blocks = split(samples, given), split(samples, given, sequences="blocks")
    assert auto.notes == ()
    assert np.ptp(np.flatnonzero(auto.validation)) > 20
    assert np.flatnonzero(blocks.validation).tolist() == list(range(12))
    assert "60 images are frames of 1 video" in blocks.notes[0]


def test_random_frames_leak_and_say_so():
    """Frames that are dealt at random for comparison with published figures: the note says how many leak and what to do."""
    samples, given = sampled(numbered(60), spiral(60))
    part = split(samples, given, sequences="random")
    assert part.validation.sum() == 12
    assert np.ptp(np.flatnonzero(part.validation)) > 20
    assert not part.left_out.any()
    assert re.fullmatch(
        r"Errors on the validation part are too small: of its 12 images, .*next to, in a video, (one|an image of the training part) "
        r"\(a/img\d{4}.png and a/img\d{4}.png; .*\)\. --Load-sequences auto holds out blocks of consecutive frames\.",
        part.notes[1],
    )
    assert part.notes[0] == "60 images are frames of 1 video, which are divided at random."


def test_what_the_user_keeps_together_is_no_video():
    """Groups of the user's are not divided, and are not cut into blocks."""
    names = numbered(60)
    samples, given = sampled(names, spiral(60), together={name: f"day {number // 6}" for number, name in enumerate(names)})
    part = split(samples, given)
    assert set(part.validation.reshape(10, 6).sum(axis=1)) == {0, 6}
    assert part.notes == ()


def test_near_duplicates_and_groups_are_connected():
    """An image that is nearly the same as one of a group belongs to the group, and so do images that it is nearly the same as."""
    names, places = [f"{chr(97 + number)}.png" for number in range(20)], anywhere(20)
    places[5] = places[4]  # near duplicates of each other
    places[7] = places[6]
    samples, given = sampled(names, places, together={"e.png": "g", "g.png": "g"})
    group = split(samples, given).group
    assert len(set(group[4:8])) == 1
    assert len(set(group)) == 17


def test_photographs_are_compared_as_well_as_samples():
    """Samples cut from two nearly equal photographs are not divided, however much they differ themselves."""
    names, places = [f"{chr(97 + number)}.png" for number in range(20)], anywhere(20)
    places[9] = places[8]
    samples, given = sampled(names, places)
    samples.images[9] = samples.images[9].T
    group = split(samples, given).group
    assert group[8] == group[9]
    assert len(set(group)) == 19
    given.photographs[9] = given.photographs[9].T
    assert len(set(split(samples, given).group)) == 20


def test_blocks_without_numbered_images():
    """Blocks that are asked for need frames with numbers."""
    samples, given = sampled(["a.png", "b.png", "c.png"], anywhere(3))
    with pytest.raises(InputError, match=r"^--Load-sequences blocks divides numbered frames, but no two images .* Leave it out\.$"):
        split(samples, given, sequences="blocks")


@pytest.mark.parametrize(
    ("count", "more", "message"),
    [
        (1, {}, r"There is 1 distinct sample of one annotation source\. Label more images\.$"),
        (2, {"annotators": 2}, r"The 4 samples form 2 groups .* or use --Load-validation-share 0\.5\.$"),
        (
            20,
            {"together": {f"{letter}.png": "all" for letter in "abcdefghijklmnopqrst"}},
            r"The 20 samples form 1 group .* Label more images\.$",
        ),
    ],
    ids=["one", "two", "one-group"],
)
def test_too_few_images(count, more, message):
    """One sentence says what there is and what would do."""
    names = [f"{chr(97 + number)}.png" for number in range(count)]
    with pytest.raises(InputError, match=r"^--Load-validation-share 0\.2 divides the set into 5 folds\. " + message):
        split(*sampled(names, anywhere(count), **more))


def test_a_given_division_of_two_images():
    """One image in each part is enough for a division that is given."""
    part = split(*sampled(["a.png", "b.png"], anywhere(2), validation=["b.png"]))
    assert part.validation.tolist() == [False, True]


FIXED = "The division is kept as the labels or --dataset-split give it."


def fixed(names, places, held_out, **more):
    """The notes on a division that is given."""
    return split(*sampled(names, places, validation=held_out, **more)).notes


def test_leaks_of_a_given_division_are_named():
    """Identical images, near duplicates and images of one group on both sides are counted, with the first pairs of each kind."""
    names, places = [f"{chr(97 + number)}.png" for number in range(20)], anywhere(20)
    places[10] = places[0]
    (note,) = fixed(names, places, names[:3], together={"b.png": "day", "t.png": "day"})
    assert note == (
        "Errors on the validation part are too small: of its 3 images, 1 is nearly the same as an image of the training part "
        f"(a.png and k.png) and 1 is of the same photograph or group as one (b.png and t.png). {FIXED}"
    )
    assert fixed(names, anywhere(20), names[:3]) == ()


def test_frames_next_to_each_other_in_a_given_division():
    """A block that is held out has only neighbours at its borders and is honest; every fifth frame of a video is not."""
    names, places = numbered(60), spiral(60)
    assert fixed(names, places, names[20:35]) == ()
    (note,) = fixed(names, places, names[::5])
    assert "12 are next to, in a video, an image of the training part (a/img0000.png and a/img0001.png; " in note
    assert note.endswith(f"; ...). {FIXED}")


def test_the_same_image_twice_in_a_given_division():
    """Identical files under two names are named as such."""
    names, places = [f"{chr(97 + number)}.png" for number in range(20)], anywhere(20)
    samples, given = sampled(names, places, validation=names[:4])
    samples.images[12] = samples.images[1]
    given.photographs[12] = given.photographs[1]
    assert "1 is identical with an image of the training part (b.png and m.png)" in split(samples, given).notes[0]


SETS = os.environ.get("KEYPOINTS_SETS")
EXPECTED = {"openfield": 1, "mirror-mouse": 0, "fly-wings": 0, "glue-tubes": 0, "coco-people": 0, "cephalograms": 0, "faces68": 0}


@pytest.mark.parametrize("name", EXPECTED)
def test_videos_of_public_sets(name):
    """Only the consecutive frames of a mouse are recognised as a video; X-rays, wings, tubes and photographs, numbered too, are not."""
    if not SETS or not (Path(SETS) / name).is_dir():
        pytest.skip("KEYPOINTS_SETS does not name a folder with this set")
    from pipeline.data import ownset
    from pipeline.data.defining import define
    from pipeline.data.definition import Asked
    from pipeline.lazyrows import Collector

    own = ownset.opened(define(Asked(str(Path(SETS) / name))), test=False)
    samples, given = own.labelled(64, "grey", Collector(), ignored)
    held = np.stack([split(samples, given, fold=fold).validation for fold in range(5)])
    assert (held.sum(axis=0) == 1).all() or given.validation is not None
    notes = split(samples, given).notes
    assert len(notes) == EXPECTED[name]
    if notes:
        assert notes == (BLOCKS.format(116),)
        assert sorted(held.sum(axis=1)) == [23, 23, 23, 23, 24]
