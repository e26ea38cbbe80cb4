"""Which images are frames of videos, by their names, pictures and keypoints."""

import numpy as np
import pytest
from filmed import anywhere, keypoints, pictures, walk

from pipeline.data import filenames
from pipeline.data.videos import Videos, follow_each_other, videos


@pytest.mark.parametrize("count", [12, 40, 700])
@pytest.mark.parametrize("seed", range(3))
def test_frames_of_a_video_follow_each_other(count, seed):
    """Neighbours are nearer to each other than in any other order; of more than a few frames also if only the keypoints say so."""
    places = walk(count, seed=seed)
    images, nothing = pictures(places), np.full((count, 2, 2), np.nan)
    assert follow_each_other(images, keypoints(places))
    assert follow_each_other(images, nothing)
    assert count < 40 or follow_each_other(pictures(anywhere(count)), keypoints(places))


@pytest.mark.parametrize("count", [9, 12, 40, 150])
@pytest.mark.parametrize("seed", range(6))
def test_numbered_photographs_do_not(count, seed):
    """Images whose order tells nothing are no frames of a video, however few they are."""
    places = anywhere(count, seed=seed)
    assert not follow_each_other(pictures(places, seed=seed), keypoints(places))


def test_two_odd_images_at_the_end_make_no_video():
    """Neighbours are nearer on average, because only two of them are far apart; but they are so in other orders too."""
    places = np.concatenate([np.full((10, 2), 16.0) + anywhere(10) / 50, np.full((2, 2), 40.0) + anywhere(2) / 50])
    assert not follow_each_other(pictures(anywhere(12)), keypoints(places))


def test_an_order_that_tells_little_makes_no_video():
    """Things that were photographed in some order resemble their neighbours a little, as wings of one species after another."""
    places = anywhere(60)
    places[1::2] = 0.4 * places[::2] + 0.6 * places[1::2]
    assert not follow_each_other(pictures(anywhere(60)), keypoints(places))


def test_a_few_frames_tell_nothing():
    """Fewer than ten images are too few to be recognised as a video."""
    places = walk(9)
    assert not follow_each_other(pictures(places), keypoints(places))


@pytest.mark.parametrize(
    ("names", "series"),
    [
        (["a/img2.png", "a/img10.png", "a/img1.png"], [["a/img1.png", "a/img2.png", "a/img10.png"]]),
        (["a/1.png", "b/1.png", "a/2.png", "b/2.png"], [["a/1.png", "a/2.png"], ["b/1.png", "b/2.png"]]),
        (
            ["f1_left.png", "f1_right.png", "f2_left.png", "f2_right.png"],
            [["f1_left.png", "f2_left.png"], ["f1_right.png", "f2_right.png"]],
        ),
        (["one.png", "two.png", "x7.png"], []),
        (
            ["f2_jpg.rf.0a1b2c3d4e5f.jpg", "f1_JPG_jpg.rf.99887766554433.jpg", "f3_jpg.rf.aabbccddeeff.jpg"],
            [["f1_JPG_jpg.rf.99887766554433.jpg", "f2_jpg.rf.0a1b2c3d4e5f.jpg", "f3_jpg.rf.aabbccddeeff.jpg"]],
        ),
        (["1.jpg", "2.png"], [["1.jpg", "2.png"]]),
    ],
    ids=["numbers", "folders", "views", "words", "roboflow", "suffixes"],
)
def test_series(names, series):
    """Images with the same name but for the last number, in the order of that number, without what Roboflow adds to names."""
    assert filenames.series(names) == series


def test_only_series_that_resemble_their_neighbours_are_videos():
    """Of two folders of numbered images one is a video; without the comparison both are."""
    names = [f"{folder}/{number}.png" for folder in "ab" for number in range(30)]
    places = np.concatenate([walk(30), anywhere(30)])
    images, points = pictures(places), keypoints(places)
    assert [own.tolist() for own in videos(names, images, points, alike=True)] == [list(range(30))]
    assert [len(own) for own in videos(names, images, points, alike=False)] == [30, 30]


def test_blocks_are_consecutive_and_as_large_as_possible():
    """116 frames in five blocks are 23 or 24 frames each; a video with fewer frames than blocks is not cut."""
    found = Videos((np.arange(116), np.array([119, 118, 117])), np.arange(120, dtype=np.int32))
    blocks = found.blocks(5)
    assert sorted(np.bincount(blocks[:116])) == [23, 23, 23, 23, 24]
    assert (np.diff(blocks[:116]) >= 0).all()
    assert blocks[116:].tolist() == [-1, -1, -1, -1]
    assert found.of[116:].tolist() == [-1, 1, 1, 1]
    assert found.frame[116:].tolist() == [-1, 2, 1, 0]
    assert found.frames == 119
