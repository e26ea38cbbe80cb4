"""Artifacts: dataclasses are written to HDF5 and read back, files appear complete or not at all, and damage is detected."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.lazyrows import Images, LazyRows, chosen
from pipeline.schema import Plot, array, record
from pipeline.store.hdf5 import artifacts, bytereader
from pipeline.store.run import targets
from pipeline.store.run.targets import Artifact
from pipeline.store.workspace import files


@record
class Inner:
    step: np.ndarray = array("int32", "step", "", "counted from 1")
    error: np.ndarray = array("float32", "step", "px", "error after the step")

    PLOT = Plot("error", ("step",))


@record
class Content:
    inner: Inner
    points: np.ndarray = array("float32", "face point xy", "px", "x then y, NaN where unknown")
    flags: np.ndarray = array("bool", "face", "", "yes or no")
    level: np.ndarray = array("float64", "", "grey level", "one number")
    words: np.ndarray = array("text", "word", "", "some words")
    word: np.ndarray = array("text", "", "", "one word")
    weights: dict[str, np.ndarray] = array("float32", "", "", "weight")
    labels: dict[str, np.ndarray] = array("text", "", "", "label")
    maybe: np.ndarray | None = array("int8", "face", "", "may be missing")
    other: Inner | None = None


def content(faces=70, **changes):
    rng = np.random.default_rng(1)
    points = rng.random((faces, 3, 2), "float32")
    points[::3] = np.nan
    values = {
        "inner": Inner(np.arange(1, 4, dtype="int32"), np.array([3, 2, np.inf], "float32")),
        "points": points,
        "flags": rng.random(faces) < 0.5,
        "level": np.float64(0.1),
        "words": np.array(["a", "Übergröße", ""]),
        "word": np.array(""),
        "weights": {"conv/kernel": rng.random((2, 3), "float32"), "bias": np.zeros(0, "float32")},
        "labels": {"x": np.array(["é"])},
        "maybe": None,
    }
    return Content(**{**values, **changes})


def write(path, what, attributes=None, siblings=()):
    with artifacts.writing(path, attributes or {}, siblings) as file:
        artifacts.put(file, what)
    return path


def same(one, two):
    """Equal types, shapes and values, NaN included."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[name], two[name]) for name in one)
    if isinstance(one, Inner | Content):
        return type(one) is type(two) and same(vars(one), vars(two))
    if one is None or two is None:
        return one is two
    return (
        one.dtype.kind == two.dtype.kind
        and one.shape == two.shape
        and (one.dtype.kind == "U" or one.dtype == two.dtype)
        and equal(one, two)
    )


def equal(one, two):
    return np.array_equal(one, two, equal_nan=np.asarray(one).dtype.kind == "f")


@pytest.mark.parametrize("faces", [70, 1, 0])
@pytest.mark.parametrize("changes", [{}, {"maybe": np.zeros(4, "int8"), "other": Inner(np.zeros(0, "int32"), np.zeros(0, "float32"))}])
def test_round_trip(tmp_path, faces, changes):
    """Everything written is read back: types, NaN, texts, scalars, empty arrays, dicts, nested and optional dataclasses."""
    before = content(faces, **changes)
    after = artifacts.load(write(tmp_path / "a.h5", before), Content)
    assert same(before, after)
    assert not same(before, content(faces, **changes, level=np.float64(0.2)))


def test_plain_h5py_reads_it(tmp_path):
    """Any HDF5 reader finds the arrays with units and meaning, a checksum per chunk, and the default plot."""
    with h5py.File(write(tmp_path / "a.h5", content(), {"stage": "X", "made_from": {"b": 1}})) as file:
        assert file["points"].shape == (70, 3, 2)
        assert dict(file["points"].attrs) == {"units": "px", "long_name": "x then y, NaN where unknown", "axes_names": "face point xy"}
        assert file["points"].fletcher32
        assert file["weights/conv/kernel"].shape == (2, 3)
        assert file.attrs["NX_class"] == "NXroot"
        assert file.attrs["stage"] == "X"
        assert json.loads(file.attrs["made_from"]) == {"b": 1}
        plot = file[file.attrs["default"]]
        assert plot.attrs["NX_class"] == "NXdata"
        assert plot[plot.attrs["signal"]][1] == 2
        assert [len(plot[axis]) for axis in plot.attrs["axes"]] == [3]


def test_default_plot_of_the_root(tmp_path):
    """If the dataclass of a file names a plot, it is in a group of its own, because the root cannot be a plot."""
    with h5py.File(write(tmp_path / "a.h5", content().inner)) as file:
        plot = file[file.attrs["default"]]
        assert (plot.name, plot.attrs["signal"], list(plot.attrs["axes"])) == ("/plot", "error", ["step"])
        assert plot["error"] == file["error"]


WRITE = """
import numpy, test_artifacts, pathlib, sys
test_artifacts.write(pathlib.Path(sys.argv[1]), test_artifacts.content(), {"b": {"x": 1, "y": 2}})
test_artifacts.write(pathlib.Path(sys.argv[2]), test_artifacts.content().inner)
"""


def test_equal_content_gives_equal_bytes(tmp_path):
    """Two processes with different hash seeds, times and folders write the same bytes."""
    for seed in "12":
        folder = tmp_path / seed
        folder.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)}
        subprocess.run([sys.executable, "-c", WRITE, folder / "a.h5", folder / "b.h5"], check=True, env=environment)
    for name in ("a.h5", "b.h5"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_attributes_are_as_given(tmp_path):
    """A key that consists of digits only remains a text."""
    path = write(tmp_path / "a.h5", content(), {"key": "1234567890", "made_from": {"inputs": {"A": "k"}}})
    found = artifacts.attributes(path)
    assert found["key"] == "1234567890"
    assert found["made_from"] == {"inputs": {"A": "k"}}


@pytest.mark.parametrize("points", [np.zeros((2, 3, 2)), np.zeros((2, 3), "float32")], ids=["type", "axes"])
def test_arrays_must_be_what_their_description_says(tmp_path, points):
    """An array with a different type or number of axes is refused."""
    with pytest.raises(TypeError, match=r"points is .* described as float32"):
        write(tmp_path / "a.h5", content(points=points))
    assert list(tmp_path.iterdir()) == []


@record
class Pictures:
    images: Images = array("uint8", "picture y x channel?", "grey level", "grey or in colours")


@pytest.mark.parametrize(("shape", "axes"), [((2, 4, 4), "picture y x"), ((2, 4, 4, 3), "picture y x channel")], ids=["without", "with"])
def test_an_axis_may_be_optional(tmp_path, shape, axes):
    """A question mark in the description; the file names the axes that are there."""
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = write(tmp_path / "a.h5", Pictures(images))
    assert np.array_equal(artifacts.load(path, Pictures).images, images)
    with h5py.File(path) as file:
        assert file["images"].attrs["axes_names"] == axes


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4, 3, 1)], ids=["fewer", "more"])
def test_only_optional_axes_may_lack(tmp_path, shape):
    """An array with fewer or more axes is refused when it is written and when it is read."""

    @record
    class Others:
        images: np.ndarray = array("uint8", " ".join("abcde"[: len(shape)]), "grey level", "with another number of axes")

    with pytest.raises(TypeError, match=r"described as uint8 \(picture y x channel\?\)"):
        write(tmp_path / "a.h5", Pictures(np.zeros(shape, "uint8")))
    with pytest.raises(artifacts.Damaged, match=r"described as uint8 \(picture y x channel\?\)"):
        artifacts.load(write(tmp_path / "b.h5", Others(np.zeros(shape, "uint8"))), Pictures)


def test_another_layout_is_damaged(tmp_path):
    """An undamaged file of another kind is refused, and the message lists what is missing or different."""
    path = write(tmp_path / "a.h5", content().inner)
    with pytest.raises(artifacts.Damaged, match=r"a\.h5 is not a Content of this program: /inner is missing; /points is missing; "):
        artifacts.load(path, Content)

    @record
    class Doubles:
        error: np.ndarray = array("float64", "step", "px", "error")

    with pytest.raises(artifacts.Damaged, match="error is float32"):
        artifacts.load(path, Doubles)


@record
class Copies:
    images: np.ndarray = array("uint8", "copy face pixel", "grey level", "copies")


def test_copies_are_written_one_by_one(tmp_path):
    """Augmented versions become one dataset in which no chunk belongs to two versions; a wrong count is refused."""
    copies = [np.full((100, 3000), number, "uint8") for number in range(3)]
    with artifacts.writing(tmp_path / "a.h5", {}) as file:
        artifacts.put_versions(file, Copies, ({"images": copy} for copy in copies), 3)
    with artifacts.reading(tmp_path / "a.h5") as file:
        assert file["images"].chunks == (1, 64, 3000)
        assert np.array_equal(file["images"][()], np.stack(copies))
    with pytest.raises(ValueError, match="3 versions were announced but 2 came"), artifacts.writing(tmp_path / "b.h5", {}) as file:
        artifacts.put_versions(file, Copies, ({"images": copy} for copy in copies[:2]), 3)
    assert not (tmp_path / "b.h5").exists()


@record
class Album:
    images: Images = array("uint8", "face pixel", "grey level", "so many that they may stay in the file")
    number: np.ndarray = array("int32", "face", "", "not so many")


IMAGES = np.random.default_rng(3).integers(0, 256, (1000, 500), dtype=np.uint8)


def test_images_beyond_a_limit_stay_in_the_file(tmp_path):
    """Up to the limit, images are an array; beyond it, rows are read when needed. All other arrays are in memory."""
    path = write(tmp_path / "a.h5", Album(IMAGES, np.arange(1000, dtype="int32")))
    assert isinstance(artifacts.load(path, Album, limit=IMAGES.nbytes).images, np.ndarray)
    found = artifacts.load(path, Album, limit=IMAGES.nbytes - 1)
    assert isinstance(found.images, LazyRows)
    assert isinstance(found.number, np.ndarray)
    for index in (slice(None), slice(990, 2, -3), np.array([7, 8, 9, 3]), IMAGES[:, 0] > 100, 999):
        np.testing.assert_array_equal(found.images[index], IMAGES[index])


def test_lazy_rows_are_written_as_an_array_is(tmp_path):
    """An artifact written block by block from the rows of another has the same bytes as one written from an array, also for versions."""
    number = np.arange(1000, dtype="int32")
    path = write(tmp_path / "a.h5", Album(IMAGES, number))
    lazy = artifacts.load(path, Album, limit=0)
    assert write(tmp_path / "b.h5", lazy).read_bytes() == path.read_bytes()
    backwards = np.arange(1000)[::-1]
    reversed_one, reversed_lazy = Album(IMAGES[::-1], number), Album(chosen(lazy.images, backwards), number)
    assert write(tmp_path / "c.h5", reversed_lazy).read_bytes() == write(tmp_path / "d.h5", reversed_one).read_bytes()
    for name, images in (("e.h5", IMAGES), ("f.h5", lazy.images)):
        with artifacts.writing(tmp_path / name, {}) as file:
            artifacts.put_versions(file, Copies, iter([{"images": images}, {"images": images}]), 2)
    assert (tmp_path / "e.h5").read_bytes() == (tmp_path / "f.h5").read_bytes()


def test_images_damaged_after_they_were_found_whole(tmp_path, monkeypatch):
    """The artifact is verified again when its rows are read; if it has been damaged since, it is quarantined and the message says so."""
    monkeypatch.setattr(targets, "images_limit", lambda: 0)
    path = write(tmp_path / "a.h5", Album(IMAGES, np.arange(1000, dtype="int32")))
    images = Artifact(path).load(Album).images
    content = bytearray(path.read_bytes())
    content[-5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.h5 has changed since it was written: its checksum differs\. It was quarantined"):
        images[10:20]
    assert not path.exists()


def fail_within(path, error):
    with artifacts.writing(path, {}) as file:
        artifacts.put(file, content())
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_while_writing_leaves_nothing(tmp_path, error):
    """Neither the artifact nor a temporary file remains, and a previous artifact is kept."""
    old = write(tmp_path / "old.h5", content()).read_bytes()
    for name in ("new.h5", "old.h5"):
        with pytest.raises(error):
            fail_within(tmp_path / name, error)
    assert [path.name for path in tmp_path.iterdir()] == ["old.h5"]
    assert (tmp_path / "old.h5").read_bytes() == old


FILL_DISK = """
import numpy, pathlib, resource
from pipeline import units
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts, bytereader
from pipeline.store.workspace import files

def fill():
    with artifacts.writing(pathlib.Path("a.h5"), {}) as file:
        for number in range(9):
            file.create_dataset(f"x{number}", data=numpy.random.random((300, 100)), chunks=(64, 100), fletcher32=True)

fill()
print(units.size(pathlib.Path("a.h5").stat().st_size))
pathlib.Path("a.h5").unlink()
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    fill()
except InputError as error:
    print(error)
try:
    with files.publishing(pathlib.Path("b.csv")) as draft:
        draft.write_bytes(bytes(1_000_000))
except InputError as error:
    print(error)
"""


def test_too_little_space_is_reported_before_an_array_is_written(tmp_path, monkeypatch):
    """Of augmented versions nothing is written if all of them together need more space than is free."""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 0, 500_000))
    copies, read = [np.full((100, 3000), number, "uint8") for number in range(3)], []

    def versions():
        for number, copy in enumerate(copies):
            read.append(number)
            yield {"images": copy}

    told = r"a\.h5 could not be written: no space left on device\. 900.0 kB are needed; 50\d.\d kB are free"
    with pytest.raises(InputError, match=told), artifacts.writing(tmp_path / "a.h5", {}) as file:
        artifacts.put_versions(file, Copies, versions(), 3)
    assert read == [0]
    assert list(tmp_path.iterdir()) == []


def test_too_many_pieces_are_reported_before_an_array_is_written(tmp_path, monkeypatch):
    """An artifact that could not be read again is not written."""
    monkeypatch.setattr(bytereader, "MOST", 5)
    with pytest.raises(InputError, match=r"^a\.h5 would have more than 5 pieces, which is the limit of an artifact\. Use fewer or smaller"):
        with artifacts.writing(tmp_path / "a.h5", {}) as file:
            artifacts.put(file, Album(np.zeros((400, 3000), "uint8"), np.zeros(400, "int32")))
    assert list(tmp_path.iterdir()) == []


def test_full_disk(tmp_path):
    """The error names the file, what it needs and the limit; nothing remains, and HDF5 does not crash when the process ends."""
    done = subprocess.run([sys.executable, "-c", FILL_DISK], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    size, artifact, other = done.stdout.splitlines()
    assert artifact.startswith(
        f"a.h5 could not be written: file too large. {size} are needed; the limit for a file is 200.0 kB (ulimit -f)."
    )
    # For any other file, only the number of bytes written is known.
    allowed = "the limit for a file is 200.0 kB (ulimit -f)."
    assert other.startswith(f"b.csv could not be written: file too large. More than 200.0 kB are needed; {allowed}")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def published(tmp_path):
    """An artifact with a CSV file published with it."""
    sibling = tmp_path / "a.csv"
    with files.publishing(sibling) as draft:
        draft.write_text("1,2\n")
    return write(tmp_path / "a.h5", content(), {"stage": "X"}, [sibling])


def judged(path):
    """The message of verify, or None; nothing is remembered."""
    artifacts._verified.clear()
    try:
        artifacts.verify(path)
    except artifacts.Damaged as error:
        assert not Artifact(path).exists()
        return str(error)
    assert Artifact(path).exists()
    return None


def test_a_view_must_be_there_whatever_is_in_it(tmp_path):
    """A file that contains dates may change without changing the artifact; if it is missing, the artifact is damaged."""
    path, view = tmp_path / "a.h5", tmp_path / "a.html"
    contents = []
    for text in ("Monday", "Tuesday"):
        view.write_text(text)
        with artifacts.writing(path, {}, views=[view]) as file:
            artifacts.put(file, content())
        contents.append(path.read_bytes())
        assert judged(path) is None
    assert contents[0] == contents[1]
    view.write_text("Wednesday")
    assert judged(path) is None
    view.unlink()
    assert judged(path) == f"{view}, published with a.h5, is missing"


def test_any_flipped_bit_is_found(published):
    """A single changed bit anywhere in the file, including the user block and its padding, is damage."""
    whole = published.read_bytes()
    rng = np.random.default_rng(0)
    places = [
        *rng.integers(0, artifacts.USER_BLOCK, 50),
        *rng.integers(artifacts.USER_BLOCK, len(whole), 50),
        0,
        1023,
        1024,
        len(whole) - 1,
    ]
    assert judged(published) is None
    for place in places:
        broken = bytearray(whole)
        broken[place] ^= 1 << int(rng.integers(8))
        published.write_bytes(broken)
        assert judged(published), f"bit in byte {place}"
    published.write_bytes(whole)
    assert judged(published) is None


@pytest.mark.parametrize("size", [0, 10, 1023, 1024, 1025, -1])
def test_a_truncated_file_is_found(published, size):
    """A truncated file is damaged, however much is missing."""
    published.write_bytes(published.read_bytes()[:size])
    assert str(published) in judged(published)


def test_what_else_can_be_wrong(published):
    """A longer file, a missing, changed or replaced sibling, and a folder in place of the artifact each have their own message."""
    whole, sibling = published.read_bytes(), published.with_suffix(".csv")
    published.write_bytes(whole + b"\0")
    assert "but 33017 were written" in judged(published)
    published.write_bytes(whole[:1023] + b" " + whole[1024:])
    assert "its first bytes were changed" in judged(published)
    published.write_bytes(whole)
    sibling.write_text("1,3\n")
    assert f"{sibling} has changed since it was written" in judged(published)
    sibling.unlink()
    assert f"{sibling}, published with a.h5, is missing" in judged(published)
    sibling.mkdir()
    assert f"{sibling}, published with a.h5, is missing" in judged(published)
    published.unlink()
    with pytest.raises(FileNotFoundError):
        artifacts.verify(published)
    published.mkdir()
    assert "is not a readable file" in judged(published)


def test_verification_is_remembered_until_a_file_changes(published, monkeypatch):
    """A second check of an unchanged file reads nothing; a touched artifact or sibling is read again."""
    read = []
    monkeypatch.setattr(artifacts, "verify_itself", lambda path, real=artifacts.verify_itself: read.append(path) or real(path))
    artifacts.verify(published)
    artifacts.verify(published)
    assert len(read) == 1
    for file in (published, published.with_suffix(".csv")):
        os.utime(file, ns=(0, 1))
        artifacts.verify(published)
    assert len(read) == 3
    published.with_suffix(".csv").unlink()
    with pytest.raises(artifacts.Damaged):
        artifacts.verify(published)
