"""The samples that a training reads: stored augmented versions in turn, and windows drawn anew for each epoch."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from toys import DOTS, EYES, STILL, centroid, dots_at, labelled, versions_of
from toys import SIDE as DOTS_SIDE

from pipeline import lazyrows
from pipeline.geometry import affine
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.nets.samples import DrawnVersions, Labelled, StoredVersions, repeated, rows_with
from pipeline.nets.sight import View

K = len(KAGGLE.names)
RANGES = replace(STILL, rotation=15.0, shift=5.0, scale=1.16, stretch=1.06)


def test_stored_versions_take_turns():
    """Epoch e reads the chosen faces and keypoints of version e modulo the number of versions, from arrays as from HDF5 data sets."""
    sets = [labelled(12, seed=seed) for seed in (1, 2)]
    rows = np.array([1, 3, 4, 9, 11])
    versions = versions_of(*sets, rows=rows, indices=[2, 0])
    assert len(versions) == 5
    with h5py.File("in memory", "w", driver="core", backing_store=False) as file:
        file["images"], file["keypoints"] = versions.images, versions.keypoints
        stored = StoredVersions(file["images"], file["keypoints"], versions.source, rows=rows, indices=[2, 0])
        for epoch, number in ((0, 0), (1, 1), (2, 0), (7, 1)):
            for part in (slice(0, 5), slice(1, 4)):
                chosen = rows[part]
                for block in (versions.block(versions.version(epoch), part), stored.block(stored.version(epoch), part)):
                    np.testing.assert_array_equal(block.images, sets[number].images[chosen])
                    np.testing.assert_array_equal(block.keypoints, sets[number].keypoints[chosen][:, [2, 0]])
                    np.testing.assert_array_equal(block.source, sets[0].source[chosen])
                    np.testing.assert_array_equal(block.pixel, np.ones(len(chosen)))


@pytest.mark.parametrize(
    ("mild", "epochs", "numbers"),
    [
        (2, 9, [0, 1, 2, 3, 0, 1, 4, 5, 4]),  # a third of the versions, and of the epochs
        (2, 3, [0, 1, 4]),
        (2, 1, [0]),
        (0, 8, [0, 1, 2, 3, 4, 5, 0, 1]),
    ],
    ids=["a third", "few epochs", "one epoch", "none"],
)
def test_the_last_epochs_train_on_the_mild_versions(mild, epochs, numbers):
    """The same share of the epochs as of the versions trains on the last versions; those before take turns without them."""
    faces = labelled(3, seed=1)
    six = np.broadcast_to(faces.images, (6, *faces.images.shape)), np.broadcast_to(faces.keypoints, (6, *faces.keypoints.shape))
    versions = StoredVersions(*six, faces.source, rows=np.arange(3), indices=[0], mild=mild).over(epochs)
    assert [versions.version(epoch) for epoch in range(epochs)] == numbers


def test_the_last_epochs_draw_mild_transforms():
    """With milder ranges for the last half of four epochs, epochs 0 and 1 are as without them, and 2 and 3 as with only the milder ones."""
    faces = labelled(5, seed=1)
    keypoints = np.tile(faces.keypoints[:, :1], (1, K, 1))
    matrix, everything = np.tile(np.eye(2, 3), (5, 1, 1)), slice(0, 5)
    full = windows(faces.images, keypoints, matrix, side=DOTS_SIDE)
    both = replace(full, mild=(STILL, 0.5)).over(4)
    for epoch, same in ((0, full), (1, full), (2, replace(full, ranges=STILL)), (3, replace(full, ranges=STILL))):
        np.testing.assert_array_equal(both.block(epoch, everything).images, same.block(epoch, everything).images)


def test_a_few_faces_of_many_are_read_in_blocks(monkeypatch):
    """However far apart the faces are, no more than a block of a version is in memory at once, and the right faces are returned."""
    faces, rows, read = labelled(600, seed=1), np.arange(3, 600, 50), []
    monkeypatch.setattr(lazyrows, "BLOCK_BYTES", 128 * faces.images[0].nbytes)

    class Recorded:
        shape, dtype = (1, *faces.images.shape), faces.images.dtype

        def __len__(self):
            return 1

        def __getitem__(self, index):
            found = faces.images[None][index]
            read.append(len(found))
            return found

    versions = StoredVersions(Recorded(), faces.keypoints[None], faces.source, rows=rows, indices=[0])
    np.testing.assert_array_equal(versions.block(0, slice(None)).images, faces.images[rows])
    assert len(read) == 5
    assert max(read) <= 128


def test_a_specialist_sees_only_faces_with_its_keypoints():
    """rows_with finds the faces with any keypoint of a group: only faces of the first source have labels for the eyes."""
    faces = labelled(50, seed=1)
    np.testing.assert_array_equal(rows_with(faces.keypoints, EYES), np.flatnonzero(faces.source == 0))
    keypoints = faces.keypoints.copy()
    keypoints[0, 0] = np.nan  # one of the two eyes is enough
    keypoints[3, :2] = np.nan
    assert rows_with(keypoints, EYES)[:3].tolist() == [0, 1, 4]
    assert rows_with(keypoints, EYES, among=np.arange(50) >= 4)[:3].tolist() == [4, 6, 7]


# ---- windows ---------------------------------------------------------------------------------------------------------------------------


def frames(n, *, zoom=1.0, side=SIDE, seed=0):
    """Maps that rotate faces about the image centre, enlarge them by zoom / 1.2 to zoom * 1.2, and shift them slightly."""
    rng = np.random.default_rng(seed)
    angle, factor = rng.uniform(-0.5, 0.5, n), zoom * np.exp(rng.uniform(-np.log(1.2), np.log(1.2), n))
    linear = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1).reshape(-1, 2, 2) * factor[:, None, None]
    middle = np.full(2, side / 2)
    return np.concatenate([linear, (zoom * middle - linear @ middle + rng.uniform(-3, 3, (n, 2)))[:, :, None]], axis=2)


def windows(images, keypoints, matrix, *, side=SIDE, ranges=RANGES, seed=0, keypointset=KAGGLE, rows=None, indices=None):
    n = len(images)
    return DrawnVersions(
        Labelled(images, keypoints, (np.arange(n) % 2).astype(np.int8), np.zeros(n, bool)),
        View(matrix, side),
        keypointset=keypointset,
        ranges=ranges,
        seed=seed,
        rows=np.arange(n) if rows is None else rows,
        indices=list(range(keypoints.shape[1])) if indices is None else indices,
    )


def keypoints_near_the_middle(n, reach=14):
    return (SIDE / 2 + np.random.default_rng(1).uniform(-reach, reach, (n, K, 2))).astype(np.float32)


@pytest.mark.parametrize("flip", [0.0, 1.0], ids=["plain", "mirrored"])
@pytest.mark.parametrize(("side", "zoom"), [(SIDE, 1.0), (160, 1.6)])
def test_a_dot_follows_its_keypoint_into_the_window(flip, side, zoom):
    """The centroid of a dot drawn at a keypoint stays within 0.1 px of it, or, in a mirrored window, of its mirror partner."""
    n = 60
    keypoints, which = keypoints_near_the_middle(n), np.arange(n) % K
    images = dots_at(keypoints[np.arange(n), which], side=SIDE)
    seen = windows(images, keypoints, frames(n, zoom=zoom), side=side, ranges=replace(RANGES, flip=flip)).block(3, slice(0, n))
    wanted = seen.keypoints[np.arange(n), np.array(KAGGLE.mirror_order)[which] if flip else which]
    assert seen.images.shape == (n, side, side)
    inside = (np.abs(wanted - side / 2) < side / 2 - 14 * zoom).all(axis=1)  # dots that are completely inside the window
    assert inside.sum() > n / 2
    assert np.abs(centroid(seen.images[inside]) - wanted[inside]).max() < 0.1


def test_a_still_window_is_the_part_of_the_image_that_the_matrix_says():
    """Without random transforms, a matrix that moves the pixel (12, 20) to the corner selects exactly those pixels, byte for byte.
    A keypoint outside the window becomes NaN."""
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
    keypoints = np.full((3, K, 2), 40, np.float32)
    keypoints[:, 1] = [12 + 32.5, 30]
    matrix = np.tile([[1.0, 0, -12], [0, 1, -20]], (3, 1, 1))
    seen = windows(images, keypoints, matrix, side=32, ranges=STILL).block(0, slice(0, 3))
    np.testing.assert_array_equal(seen.images, images[:, 20:52, 12:44])
    np.testing.assert_array_equal(seen.keypoints[:, 0], np.full((3, 2), [28, 20]))
    assert np.isnan(seen.keypoints[:, 1]).all()


@pytest.mark.parametrize(("size", "times"), [(1, 1), (4, 1), (7, 2), (8, 2), (13, 3), (400, 100)])
def test_few_faces_are_repeated_until_an_epoch_is_as_long_as_over_all(size, times):
    """As a whole, so often that the number of rows is closest to the size, but at least once."""
    assert repeated(np.array([1, 3, 4, 9]), size).tolist() == [1, 3, 4, 9] * times
    assert len(repeated(np.zeros(0, np.int64), size)) == 0


def test_a_face_that_is_named_several_times_has_as_many_different_windows():
    """A repeated row is drawn independently each time, with the same annotation source."""
    faces = labelled(6, seed=1)
    rows = repeated(np.array([2, 5]), 6)
    seen = windows(faces.images, faces.keypoints, affine.identity(6), side=DOTS_SIDE, keypointset=DOTS, rows=rows).block(0, slice(0, 6))
    assert len(np.unique(seen.images.reshape(6, -1), axis=0)) == 6
    np.testing.assert_array_equal(seen.source, [0, 1] * 3)


def test_windows_are_those_of_the_chosen_faces_and_keypoints():
    """A block is a part of `rows`, which are rows of the images. Source and keypoints belong to the same rows, keypoints in the order of
    `indices`."""
    faces, rows = labelled(12, seed=1), np.array([1, 3, 4, 9, 11])
    matrix = affine.identity(12)
    matrix[:, 0, 2] = np.arange(12) / 4  # a different shift for each face
    seen = windows(faces.images, faces.keypoints, matrix, side=DOTS_SIDE, ranges=STILL, keypointset=DOTS, rows=rows, indices=[2, 0])
    assert len(seen) == 5
    block = seen.block(0, slice(1, 4))
    np.testing.assert_array_equal(block.images, affine.warp(faces.images[[3, 4, 9]], matrix[[3, 4, 9]], DOTS_SIDE))
    expected = faces.keypoints[[3, 4, 9]][:, [2, 0]] + np.array([3, 4, 9])[:, None, None] / 4 * [1, 0]
    np.testing.assert_allclose(block.keypoints, expected, rtol=1e-6)
    np.testing.assert_array_equal(block.source, [1, 0, 1])
    assert (block.keypoints.dtype, block.pixel.dtype) == (np.float32, np.float32)


def test_pixel_tells_how_long_the_windows_pixels_are():
    """If a face is enlarged by a factor of 2, a pixel of the window is half as long as a pixel of the image."""
    keypoints = keypoints_near_the_middle(2)
    images = np.zeros((2, SIDE, SIDE), np.uint8)
    matrix = np.tile([[2.0, 0, 0], [0, 2, 0]], (2, 1, 1))
    matrix[1] /= 4
    np.testing.assert_array_equal(windows(images, keypoints, matrix, side=192, ranges=STILL).block(0, slice(0, 2)).pixel, [0.5, 2])


def test_pixel_counts_every_magnification():
    """It includes the alignment and the random scale: distances in the window times `pixel` are distances in the image."""
    n = 30
    keypoints = keypoints_near_the_middle(n)
    ranges = replace(RANGES, scale=1.5, stretch=1.0, flip=0.5)
    windows_of_zeros = windows(np.zeros((n, SIDE, SIDE), np.uint8), keypoints, frames(n, zoom=1.6), side=256, ranges=ranges)
    seen = windows_of_zeros.block(0, slice(0, n))
    # The eye centres exchange places in mirrored windows, but their distance stays the same.
    apart, in_window = (np.linalg.norm(points[:, 0] - points[:, 1], axis=1) for points in (keypoints, seen.keypoints))
    assert np.isfinite(in_window).all()
    assert np.ptp(seen.pixel) > 0.2
    np.testing.assert_allclose(in_window * seen.pixel, apart, rtol=1e-4)


def bytes_of(faces):
    return b"".join(value.tobytes() for value in vars(faces).values())


def test_windows_are_those_of_seed_epoch_and_block():
    """Equal seeds, epochs and blocks give equal bytes in any order of reading; another seed, epoch or block gives different ones, even
    for identical faces."""
    images, keypoints = np.repeat(labelled(1, seed=1).images, 10, axis=0), np.repeat(labelled(1, seed=1).keypoints, 10, axis=0)

    def made(seed):
        ranges = replace(RANGES, flip=0.5, gain=0.3, bias=0.15)
        return windows(images, keypoints, affine.identity(10), side=DOTS_SIDE, keypointset=DOTS, ranges=ranges, seed=seed)

    first, second = slice(0, 5), slice(5, 10)
    one, again = made(0), made(0)
    blocks = [bytes_of(one.block(one.version(epoch), rows)) for epoch in (0, 1, 16) for rows in (first, second)]
    assert blocks == [bytes_of(again.block(again.version(epoch), rows)) for epoch in (16, 1, 0) for rows in (second, first)][::-1]
    assert len({*blocks, bytes_of(made(1).block(0, first))}) == 7


def test_errors_count_as_in_the_view_if_it_does_not_zoom():
    """Drawn versions of whole images have one length of a pixel, as stored versions have, however a random transform enlarges a face."""
    keypoints, images = keypoints_near_the_middle(5), np.zeros((5, SIDE, SIDE), np.uint8)
    view = {"matrix": affine.scaling(5, 0.5), "side": SIDE // 2, "ranges": replace(STILL, scale=3.0)}
    drawn = windows(images, keypoints, **view)
    assert len(np.unique(drawn.block(0, slice(0, 5)).pixel)) == 5
    np.testing.assert_array_equal(replace(drawn, zooms=False).block(0, slice(0, 5)).pixel, np.full(5, 2, np.float32))
