"""Rows that are read or computed when needed behave like the rows of an array."""

import tracemalloc

import numpy as np
import pytest

from pipeline import lazyrows
from pipeline.data import duplicates
from pipeline.geometry import augmentation
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.lazyrows import Collector, LazyRows, Spilled, blocks, chosen, each, in_blocks, runs
from pipeline.schema import array, record
from pipeline.store.hdf5 import artifacts

IMAGES = np.random.default_rng(0).integers(0, 256, (300, 4, 5), dtype=np.uint8)


class Noted(LazyRows):
    """The rows of an array, with a list of how many were taken at a time."""

    def __init__(self, array):
        super().__init__(array.shape, array.dtype)
        self.array, self.taken = array, []

    def take(self, rows):
        self.taken.append(len(rows))
        return self.array[rows]


def spilled(images=IMAGES, folder=None):
    collector = Collector(0, folder)
    for start in range(0, len(images), 7):
        collector.add(images[start : start + 7])
    return collector.rows()


@pytest.fixture(params=["made", "spilled", "chosen of spilled"])
def lazy(request, tmp_path):
    if request.param == "made":
        return Noted(IMAGES)
    if request.param == "spilled":
        return spilled(folder=tmp_path)
    shuffled = np.random.default_rng(1).permutation(len(IMAGES))
    return chosen(spilled(IMAGES[np.argsort(shuffled)], tmp_path), shuffled)


INDICES = {
    "all": slice(None),
    "some": slice(3, 290, 5),
    "backwards": slice(None, None, -1),
    "none": slice(5, 5),
    "mask": np.arange(300) % 3 == 0,
    "numbers": np.array([5, 6, 7, 2, 2, 299, 0]),
    "no number": np.zeros(0, int),
    "one": 17,
    "the last": -1,
    "numpy's": np.int64(4),
}


@pytest.mark.parametrize("name", INDICES)
def test_rows_are_those_of_the_array(lazy, name):
    """A slice, a mask, indices in any order and a single index give the same rows as the array, in its dtype."""
    found, expected = lazy[INDICES[name]], IMAGES[INDICES[name]]
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)


def test_no_such_row(lazy):
    """An index out of range raises IndexError, as for an array."""
    with pytest.raises(IndexError):
        lazy[300]


def test_sizes(lazy):
    """Length, shape, dtype, number of values and number of bytes are those of the array."""
    assert (len(lazy), lazy.shape, lazy.dtype) == (300, (300, 4, 5), np.uint8)
    assert (lazy.size, lazy.nbytes) == (IMAGES.size, IMAGES.nbytes)


def test_never_more_than_a_block_at_a_time(monkeypatch):
    """Any number of rows is taken block by block, in multiples of 128 except for the last block."""
    monkeypatch.setattr(lazyrows, "BLOCK_BYTES", 150 * 20)  # 150 rows
    noted = Noted(IMAGES)
    assert [len(block) for _, block in in_blocks(noted)] == noted.taken == [128, 128, 44]
    np.testing.assert_array_equal(noted[:], IMAGES)
    np.testing.assert_array_equal(list(each(noted)), IMAGES)
    assert noted.taken == 3 * [128, 128, 44]


@pytest.mark.parametrize(("fitting", "rows"), [(0.5, 1), (1, 1), (11, 8), (127, 64), (128, 128), (300, 256)])
def test_a_block_of_large_rows_has_few_of_them(monkeypatch, fitting, rows):
    """If fewer than 128 rows fit, a block has a power of two of them, and at least one."""
    monkeypatch.setattr(lazyrows, "BLOCK_BYTES", int(fitting * 20))
    assert next(blocks(Noted(IMAGES))) == slice(0, rows)


@pytest.mark.parametrize("rows", [IMAGES[:0], Noted(IMAGES[:0])], ids=["array", "lazy"])
def test_of_no_rows_an_empty_block(rows):
    """Concatenating the results of all blocks gives the right shape even without rows."""
    ((part, block),) = in_blocks(rows)
    assert (part, block.shape) == (slice(0, 0), (0, 4, 5))


PARTS = [IMAGES[:1], IMAGES[1:1], IMAGES[1:200:2], IMAGES[200:, ::-1]]
COLLECTED = np.concatenate(PARTS)


@pytest.mark.parametrize(("limit", "kind"), [(COLLECTED.nbytes, np.ndarray), (COLLECTED.nbytes - 1, Spilled), (500, Spilled), (0, Spilled)])
def test_a_collector_spills_beyond_its_limit(tmp_path, limit, kind):
    """Up to the limit, the rows are an array; beyond it, they are in a file without a name. The rows are equal."""
    collector = Collector(limit, tmp_path)
    for part in PARTS:
        collector.add(part)
    rows = collector.rows()
    assert isinstance(rows, kind)
    np.testing.assert_array_equal(rows[:], COLLECTED)
    assert not list(tmp_path.iterdir())


def test_chosen_of_an_array_is_an_array():
    """Rows of an array are an array; rows of lazy rows stay lazy, and none of them is read."""
    mask, noted = np.arange(300) < 10, Noted(IMAGES)
    np.testing.assert_array_equal(chosen(IMAGES, mask), IMAGES[:10])
    assert len(chosen(noted, mask)) == 10
    assert noted.taken == []


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([4], [(0, 1, 4, 5)]),
        ([4, 5, 6, 9, 8, 8], [(0, 3, 4, 7), (3, 4, 9, 10), (4, 5, 8, 9), (5, 6, 8, 9)]),
    ],
)
def test_runs(rows, expected):
    """Consecutive indices form one run, from position to position and from row to row."""
    found = [(part.start, part.stop, run.start, run.stop) for part, run in runs(np.array(rows, int))]
    assert found == expected


# Memory


@record
class Album:
    images: lazyrows.Images = array("uint8", "face y x", "grey level", "faces")


def find_twins(images, _):
    duplicates.groups(images, correlation=0.985)


def write(images, file):
    artifacts.put(file, Album(chosen(images, np.arange(len(images))[::-1])))


def augment(images, file):
    ranges = augmentation.Ranges(0.5, 10, 5, 3, 1.1, 1.05, 0.2, 0.5, 0.2, 0.1)
    keypoints = np.zeros((len(images), 15, 2), np.float32)
    made = augmentation.versions(images, keypoints, keypointset=KAGGLE, ranges=[ranges] * 2, seed=0)
    artifacts.put_versions(file, augmentation.AugmentedVersions, ({"images": copy, "keypoints": own} for copy, own in made), 2)


def peak(work, images, path):
    """The largest number of bytes that Python and numpy had allocated during the work."""
    with artifacts.writing(path, {}) as file:
        tracemalloc.start()
        work(images, file)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return most


@pytest.mark.parametrize("work", [find_twins, write, augment])
def test_memory_does_not_grow_with_the_images(work, tmp_path, monkeypatch):
    """Three thousand more faces, 7 MB of images in a file, need less than half of that in memory."""
    monkeypatch.setattr(lazyrows, "BLOCK_BYTES", 1 << 18)
    images = np.kron(np.random.default_rng(4).integers(0, 256, (4000, 6, 6), dtype=np.uint8), np.ones((8, 8), np.uint8))
    peak(work, spilled(images[:300], tmp_path), tmp_path / "first.h5")  # with what it imports
    few, many = (peak(work, spilled(images[:n], tmp_path), tmp_path / f"{n}.h5") for n in (1000, 4000))
    assert many - few < 3_500_000
