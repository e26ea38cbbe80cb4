"""Malicious artifacts, tables and zip files are refused with one sentence, quickly and with little memory.

Each artifact here has a correct digest, as one written by a stranger can have.
"""

import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from mutations import with_checksum
from test_kaggle_files import zipped

from pipeline import commands, schema
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.nets.trained import History
from pipeline.store.hdf5 import artifacts, bytereader, contents
from pipeline.store.run.targets import Artifact

# Artifacts


def forged(path, fill=lambda file: None, **options):
    """A History with a correct digest, to which `fill` adds something through h5py."""
    with h5py.File(path, "w", userblock_size=artifacts.USER_BLOCK, **options) as file:
        contents.put(file, History(np.arange(1, 5, dtype="int32"), *(np.full(4, value, "float32") for value in (3.5, 2.5, 0.5))))
        fill(file)
    path.write_bytes(with_checksum(path.read_bytes(), {}))
    return path


def refused(path, *said, read=artifacts.verify):
    """Damaged is raised with a one-line message that contains all the texts."""
    artifacts._verified.clear()
    with pytest.raises(artifacts.Damaged) as caught:
        read(path)
    message = str(caught.value)
    for text in (path.name, *said):
        assert text in message, message
    assert message.isprintable()
    assert len(message) < 500


def test_without_the_harm_it_is_sound(tmp_path):
    """The file that `forged` starts from in the tests below is a valid artifact."""
    assert artifacts.load(forged(tmp_path / "a.h5"), History).epoch.tolist() == [1, 2, 3, 4]


def link(to):
    return lambda file: file.__setitem__("x", to)


def array(shape=(4,), dtype="f4", **options):
    return lambda file: file.create_dataset("x", shape, dtype, **options)


def attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


def group(name):
    return lambda file: file.create_group(name)


def circle(file):
    file["x/inner"] = file.create_group("x")


def virtual(file):
    sources = h5py.VirtualLayout((4,), "f4")
    sources[:] = h5py.VirtualSource("other.h5", "epoch", (4,), "f4")
    file.create_virtual_dataset("x", sources)


FORGERIES = {
    "soft link": (link(h5py.SoftLink("/epoch")), "/x is a soft link"),
    "link to another file": (link(h5py.ExternalLink("other.h5", "/epoch")), "links of the newer kind"),
    "circle of groups": (circle, "the header of /x/inner overlaps another structure"),
    "one dataset twice": (lambda file: link(file["learning_rate"])(file), "the header of /x overlaps another structure"),
    "type with a name": (link(np.dtype("f4")), "the header of /x mentions something unknown"),
    "virtual dataset": (virtual, "the header of /x mentions something unknown"),
    "dataset in another file": (array(external=[("/etc/passwd", 0, 16)]), "storage in another file"),
    "gzip": (array(compression="gzip"), "the filter of /x has an unknown format"),
    "lzf": (array(compression="lzf"), "the filter of /x has an unknown format"),
    "shuffle": (array(shuffle=True, fletcher32=True), "the filter of /x has an unknown format"),
    "scale and offset": (array(dtype="i4", scaleoffset=3), "the filter of /x has an unknown format"),
    "chunks without checksums": (array(chunks=(2,)), "the fill value of /x has an unknown format"),
    "4 TB that are not there": (array((1 << 40,), chunks=(1 << 20,), fletcher32=True), "the tree of /x extends beyond the end of the file"),
    "4 TB in one piece": (array((1 << 40,)), "/x should have 4398046511104 bytes"),
    "an array that can grow to a limit": (array(chunks=(2,), fletcher32=True, maxshape=(99,)), "the shape of /x is extendible"),
    "fill value": (array(fillvalue=7), "the header of /x mentions something unknown"),
    "reference": (array(dtype=h5py.ref_dtype), "the type of /x is unknown"),
    "reference to a region": (array(dtype=h5py.regionref_dtype), "the type of /x is unknown"),
    "texts of any length": (array(dtype=h5py.string_dtype()), "the type of /x is unknown"),
    "arrays of any length": (array(dtype=h5py.vlen_dtype("i4")), "the type of /x is unknown"),
    "records": (array(dtype=[("a", "f4"), ("b", "f4")]), "the type of /x is unknown"),
    "bytes without a type": (array(dtype="V8"), "the type of /x is unknown"),
    "names for numbers": (array(dtype=h5py.enum_dtype({"a": 1})), "the type of /x is unknown"),
    "big-endian": (array(dtype=">f4"), "the type of /x is unknown"),
    "half precision": (array(dtype="f2"), "the type of /x is unknown"),
    "complex": (array(dtype="c8"), "the type of /x is unknown"),
    "many axes": (array((1,) * 9), "the shape of /x has an unknown format"),
    "deep groups": (group("/".join("g" * 500)), "/g/g/g/g/g/g/g/g/g is nested too deeply"),
    "name that climbs": (group("../x"), "a name in / is empty, too long, out of order, or has unusual characters"),
    "name that drives a terminal": (group("\x1b[2J"), "a name in / is"),
    "long name": (group("x" * 201), "a name in / is"),
    "attribute of a megabyte": (attribute("x", " " * (1 << 20)), "the attribute of / has 1,048,576 bytes"),
    "attribute with a number": (attribute("x", 3), "the attribute of / has an unknown format"),
    "attribute with bytes": (attribute("x", np.bytes_(b"abc")), "the attribute of / has an unknown format"),
    "an empty array of any length": (array((0, 1 << 62)), "the shape of /x is too large"),
    "empty texts of any length": (array((0,), "S2147483647"), "the type of /x is unknown"),
    "attribute with a table": (attribute("x", [["a"]]), "the attribute of / has an unknown format"),
    "attribute that drives a terminal": (attribute("x", "\x1b[2J"), "the attribute of / is not a line of text"),
    "attribute of an unusual name": (attribute("\x1b[2J", "x"), "the attribute of / has an unknown format"),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_what_no_artifact_has(tmp_path, what, monkeypatch):
    """Links, types, filters, names and sizes that this program does not write are refused before the HDF5 library opens the file."""
    fill, said = FORGERIES[what]
    path = forged(tmp_path / "a.h5", fill)
    monkeypatch.setattr(h5py, "File", lambda *_: pytest.fail("opened"))
    for read in (artifacts.verify, artifacts.attributes, lambda path: artifacts.load(path, History)):
        refused(path, said, read=read)
    assert not Artifact(path).exists()


def test_the_newer_format(tmp_path):
    """A file of the newer HDF5 format is refused as a whole."""
    refused(forged(tmp_path / "a.h5", libver="latest"), "the superblock has an unknown format")


# Case: (first bytes to search for, offset behind their beginning, new bytes, message). TREE 1 holds the chunks of /epoch, written first.
PATCHES = {
    # The HDF5 library (1.14.6, 2.0) searches for the next text forever.
    "a text without number and length": (b"GCOL", 16, bytes(16), "the texts of attributes are not numbered correctly"),
    # The HDF5 library (1.14.6, 2.0) crashes.
    "a chunk that is shorter than its checksum": (b"TREE\1", 24, b"\1", "the chunks of /epoch are out of order"),
    "a text without a number": (b"GCOL", 16, bytes(2), "the texts of attributes are not numbered correctly"),
    "a tree that leads back": (b"TREE\1", 8, bytes(8), "the tree of /epoch is tangled"),
    "a tree without end": (b"TREE\1", 5, b"\1", "the tree of /epoch"),
    "a tree of too many branches": (b"TREE\1", 6, b"\xff\xff", "the tree of /epoch has an impossible number of branches"),
    "a chunk that is longer": (b"TREE\1", 25, b"\1", "the chunks of /epoch are out of order"),
    "a chunk without its checksum": (b"TREE\1", 28, b"\1", "the chunks of /epoch are out of order"),
    "a chunk that is a header": (b"TREE\1", 48, b"\x70\0\0\0\0\0\0\0", "/epoch overlaps another structure"),
    "a chunk over a header": (b"TREE\1", 48, b"\x71\0\0\0\0\0\0\0", " overlaps the one at "),
    "a chunk behind the end": (b"TREE\1", 48, b"\0\0\0\1", "/epoch extends beyond the end of the file"),
    "names in a circle": (b"HEAP", 16, b"\x08", "the names of / have gaps"),
    "names of a gigabyte": (b"HEAP", 8, b"\0\0\0\x40", "the names of / has a size of 1073741824 bytes"),
    "names without end": (b"HEAP", 8, b"\1\0", "the names of /"),
    "a tree that begins behind its first name": (b"TREE\0", 24, b"\x08", "the list of / is out of order"),
    "a header of many links": (b"\x89HDF", 96 + 4, b"\0", "the header of / has 0 links"),
    "a name without end": (b"long_name", 9, b"x", "the attribute of /epoch has an unknown format"),
    "a text that is not there": (b"long_name", 60, b"\xff", "the attribute of /epoch refers to a missing text"),
    "a text of another length": (b"long_name", 48, b"\1", "the attribute of /epoch refers to a missing text"),
    "more members than a list has": (b"SNOD", 6, b"\xff", "a name in / is empty"),
    "no members": (b"SNOD", 6, b"\0", "the list of / is out of order"),
    "a base elsewhere": (b"\x89HDF", 24, bytes(2), "the superblock has an unknown format"),
    "two lists of members": (b"\x89HDF", 80, b"\xff", "/ has two lists of members"),
    "a header without end": (b"\x89HDF", 96 + 8, b"\xff\xff\xff\x7f", "the header of / has a size of 2147483647 bytes"),
    "another number of messages": (b"\x89HDF", 96 + 2, b"\7", "the header of / does not have the number of messages"),
}


@pytest.mark.parametrize("what", PATCHES)
def test_metadata_that_harms_the_library(tmp_path, what):
    """Metadata that crash the HDF5 library, keep it busy or contradict themselves are refused."""
    mark, offset, new, said = PATCHES[what]
    path = forged(tmp_path / "a.h5")
    content = path.read_bytes()
    place = content.index(mark, artifacts.USER_BLOCK) + offset
    path.write_bytes(with_checksum(content[:place] + new + content[place + len(new) :]))
    refused(path, said)


LIES = {
    "climbs": '{"../a.csv": "0"}',
    "absolute": '{"/etc/passwd": "0"}',
    "folder": '{"..": "0"}',
    "no name": '{"": "0"}',
    "zero byte": '{"a\\u0000.csv": "0"}',
    "no dict": '["a.csv"]',
    "a text": '"a.csv"',
    "twice": '{"a.csv": "0", "a.csv": "0"}',
    "deep": "[" * 900,
    "another superblock": '{"\x89HDF\r\n\x1a\n": "0"}',
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_first_bytes_that_lie(tmp_path, lie):
    """An invalid list of published files, or one that leads to another folder, is refused."""
    content = forged(tmp_path / "a.h5").read_bytes()[artifacts.USER_BLOCK :]
    text = lie.encode("latin-1")
    block = artifacts.MAGIC + artifacts._digest(io.BytesIO(content), text).encode() + b"\n" + text
    (tmp_path / "a.csv").touch()
    (tmp_path / "a.h5").write_bytes(block.ljust(artifacts.USER_BLOCK, b"\n") + content)
    refused(tmp_path / "a.h5")


@pytest.mark.parametrize(
    "text",
    [
        "{" * 3,
        "Load",
        '{"inputs": 3}',
        '{"a":' * 30000,
        '{"a": ' + "1" * 5000 + "}",
        '{"a": {"b": [1]}}',
        '{"a": {"b": "\\u001b[2J"}}',
        '{"\\u0007": 1}',
    ],
    ids=[
        "cut off",
        "no dict",
        "no dict inside",
        "deep",
        "long number",
        "deeper than a provenance",
        "control character",
        "control character in a name",
    ],
)
def test_what_it_was_made_from_is_no_such_thing(tmp_path, text):
    """Provenance is refused if it is not JSON, too deeply nested, or could control a terminal."""
    refused(forged(tmp_path / "a.h5", attribute("made_from", text)), "made_from", read=artifacts.attributes)


def history_with(path, **others):
    """The arrays of a History, with others added or replaced; None leaves one out, a dict makes a group."""
    arrays = {"epoch": np.zeros(4, "int32")}
    arrays |= dict.fromkeys(["training_rmse", "validation_rmse", "learning_rate"], np.zeros(4, "float32"))
    with h5py.File(path, "w", userblock_size=artifacts.USER_BLOCK) as file:
        for name, value in {**arrays, **others}.items():
            if isinstance(value, dict):
                file.create_group(name)
            elif value is not None:
                file.create_dataset(name, data=value, chunks=value.shape, fletcher32=True)
    path.write_bytes(with_checksum(path.read_bytes(), {}))
    return path


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.zeros(3)}, "/x is unknown"),
        ({"epoch": None}, "/epoch is missing"),
        ({"epoch": np.zeros(4)}, "/epoch is float64 (4,) but is described as int32 (epoch)"),
        ({"epoch": np.zeros(4, "uint32")}, "/epoch is uint32"),
        ({"epoch": np.array([b"1"])}, "/epoch is text"),
        ({"epoch": np.zeros((4, 1), "int32")}, "/epoch is int32 (4, 1)"),
        ({"epoch": {}}, "/epoch is a group"),
        ({"epoch": None, "training_rmse": None, "x": {}}, "/epoch is missing; /training_rmse is missing; /x is unknown"),
    ],
)
def test_arrays_that_the_reader_does_not_describe(tmp_path, arrays, said):
    """Missing arrays, unknown arrays and arrays of other types or shapes are refused before any array is read."""
    path = history_with(tmp_path / "a.h5", **arrays)
    artifacts.verify(path)
    for read in (artifacts.load, lambda *what: artifacts.reading(*what).__enter__()):
        refused(path, said, read=lambda path, read=read: read(path, History))


def test_more_than_belongs_into_memory(tmp_path, monkeypatch):
    """An artifact with too many bytes is refused when it is loaded as a whole but can be read in parts."""
    monkeypatch.setattr(artifacts, "LARGEST", 63)  # four arrays of four values of four bytes
    path = forged(tmp_path / "a.h5")
    refused(path, "holds 64 bytes of arrays", read=lambda path: artifacts.load(path, History))
    with artifacts.reading(path, History) as file:
        assert file["epoch"][0] == 1


def test_more_pieces_than_any_artifact(tmp_path, monkeypatch):
    """A file with too many structures is refused."""
    monkeypatch.setattr(bytereader, "MOST", 20)
    refused(forged(tmp_path / "a.h5"), "it has more than 20 structures")


@schema.record
class Words:
    words: np.ndarray = schema.array("text", "word", "", "some words")


def test_a_text_that_is_none(tmp_path):
    """Bytes that are not UTF-8 are detected when they are read."""
    with artifacts.writing(tmp_path / "a.h5", {}) as file:
        artifacts.put(file, Words(np.array([b"\xff"])))
    refused(tmp_path / "a.h5", "contains a text that is not UTF-8", read=lambda path: artifacts.load(path, Words))


def test_an_array_with_a_wrong_checksum_of_its_own(tmp_path):
    """If the digest of the file was forged to match changed values, HDF5's own checksum detects them, however they are read."""
    path = forged(tmp_path / "a.h5")
    path.write_bytes(with_checksum(path.read_bytes().replace(np.float32(3.5).tobytes(), np.float32(1.5).tobytes())))

    def piece_by_piece(path):
        with artifacts.reading(path, History) as file:
            return file["training_rmse"][:2]

    for read in (piece_by_piece, lambda path: artifacts.load(path, History)):
        refused(path, "cannot be read", read=read)


def test_what_the_reader_does_itself_stays_its_own_error(tmp_path):
    """Errors of the operating system while an artifact is open are not errors of the artifact."""
    with pytest.raises(FileNotFoundError), artifacts.reading(forged(tmp_path / "a.h5"), History):
        (tmp_path / "nowhere").read_bytes()


def test_an_array_that_the_program_itself_may_not_write(tmp_path):
    """Content that could not be read again is an error when it is written, not damage later."""

    def write():
        with artifacts.writing(tmp_path / "a.h5", {}) as file:
            file.create_dataset("x", data=np.zeros(3), compression="gzip")

    with pytest.raises(RuntimeError, match="the filter of /x has an unknown format"):
        write()
    assert list(tmp_path.iterdir()) == []


def bind(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


IN_PLACE = {
    "pipe": os.mkfifo,
    "socket": bind,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
    "link to nowhere": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "another file": lambda path: path.symlink_to("/etc/passwd"),
    "empty": Path.touch,
}


@pytest.mark.parametrize("what", IN_PLACE)
def test_what_is_no_file_in_the_place_of_an_artifact(tmp_path, monkeypatch, what):
    """Pipes, devices, folders and links are not waited for, not read, and not mistaken for a missing artifact."""
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    path = Path("a.h5")
    IN_PLACE[what](path)
    signal.alarm(60)  # ends the tests if one of these is waited for
    refused(path)
    signal.alarm(0)


# Commands


def test_commands_meet_a_forged_artifact(tmp_path, capsys):
    """verify and inspect say what is wrong with it; status and forget ignore it."""
    (tmp_path / "data").mkdir()
    forged(tmp_path / "data" / "load-0123456789.h5", link(h5py.SoftLink("/epoch")))
    forged(tmp_path / "data" / "augment-0123456789.h5")  # says nothing of its origin
    at = f"--workspace-root={tmp_path}"
    for arguments, code, said in (
        (["verify"], 1, "damaged: "),
        (["inspect", str(tmp_path / "data" / "load-0123456789.h5")], 2, "/x is a soft link"),
        (["inspect", "Augment@0123"], 0, "validation_rmse"),
        (["status"], 1, "Augment"),
        (["forget", "Augment@0123"], 0, "augment-0123456789.h5.forgotten-1"),
    ):
        assert commands.main([*arguments, at]) == code, arguments
        assert said in "".join(capsys.readouterr())


def test_nothing_is_unpickled():
    """No module of the package imports or calls anything that creates objects or code from the bytes of a file."""
    root = Path(artifacts.__file__).parent.parent
    for path in root.rglob("*.py"):
        words = set(re.findall(r"\w+", path.read_text()))
        assert not words & {"pickle", "joblib", "dill", "marshal", "shelve", "allow_pickle", "load_model", "load_weights", "eval", "exec"}


# Tables and zips


def training(*cells):
    """A training file with Kaggle's columns and one row: the cells, then empty ones up to the image, and the image as the last cell."""
    return ",".join([*KAGGLE.columns, "Image"]) + "\n" + ",".join([*cells[:-1], *[""] * (len(KAGGLE.columns) - len(cells) + 1), cells[-1]])


def sparse(folder):
    path = folder / "training.csv"
    path.write_text(training("1"))
    os.truncate(path, 1 << 30)
    return path


def table(name, text):
    """Writes a table. `text` is a function, so that only one of the texts is in memory at a time."""

    def written(folder):
        (folder / name).write_text(text())
        return folder / name

    return written


def packed(members):
    return lambda folder: zipped(folder, members())


def endless_questions(folder):
    rows = (f"{number},3,nose_tip_x\n" for number in range(1, 300_000))
    return table("IdLookupTable.csv", lambda: "RowId,ImageId,FeatureName\n" + "".join(rows))(folder)


def many_files(folder):
    """A zip file whose directory has the same entry 100,000 times."""
    path = zipped(folder, {"training.csv": ""})
    content = path.read_bytes()
    start = content.index(b"PK\1\2")
    directory, end = 100_000 * content[start:-22], content[-22:]
    path.write_bytes(content[:start] + directory + end[:12] + struct.pack("<II", len(directory), start) + end[20:])
    return path


def in_one_zip(build):
    """A zip file of all files that has a zip file for training."""

    def packed_again(folder):
        inner = build(folder).read_bytes()
        return zipped(folder, {"training.zip": inner, "test.csv": ""}, "facial-keypoints-detection.zip") / "training.zip"

    return packed_again


TABLES = {
    "field of 1 GB": (sparse, "line 2 has more than 4,194,304 bytes"),
    "field of 30 MB": (table("training.csv", lambda: training("1" * 30_000_000)), "line 2 has more than 4,194,304 bytes"),
    "number of 4 MB": (table("training.csv", lambda: training("9" * 4_000_000, "0 " * 9216)), "column left_eye_center_x is '9999"),
    "blanks of 4 MB": (table("training.csv", lambda: training(" " * 4_000_000)), "0 pixels instead of 9216"),
    "pixels of 4 MB": (table("training.csv", lambda: training("12 " * 1_300_000)), "1300000 pixels instead of 9216"),
    "zeros of 4 MB": (table("training.csv", lambda: training("0" * 4_000_000)), "1 pixels instead of 9216"),
    "foreign letters of 4 MB": (table("training.csv", lambda: training("\U0001f600" * 1_000_000)), "pixel 1 is"),
    "quote without end": (
        table("training.csv", lambda: training('"' + "1\n" * 10_000_000)),
        "contains a quote that does not enclose a whole field",
    ),
    "many quotes": (table("training.csv", lambda: training('"' * 4_000_000)), "contains a quote that does not enclose a whole field"),
    "a million columns": (table("training.csv", lambda: "a," * 1_000_000 + "\n"), "has more than 1000 columns"),
    "a million fields": (table("training.csv", lambda: training("," * 1_000_000)), "row 1 (line 2) has 1000031 fields"),
    "a row many times": (
        table("test.csv", lambda: "ImageId,Image\n" + f"1,{'0 ' * 9216}\n" * 2000),
        "column ImageId is 1, which an earlier row has already",
    ),
    "a question many times": (
        table("IdLookupTable.csv", lambda: "RowId,ImageId,FeatureName\n" + "1,3,nose_tip_x\n" * 2_000_000),
        "column RowId is 1, which an earlier row has already",
    ),
    "endless questions": (endless_questions, "asks for more than the 90 values that the test images have"),
    "blank lines": (packed(lambda: {"training.csv": b"\n" * 100_000_000}), "more than 1000 blank lines from line 1 on"),
    "blank lines at the end": (
        packed(lambda: {"training.csv": training("1") + "\n" * 100_000_000}),
        "more than 1000 blank lines from line 3 on",
    ),
    "bomb": (packed(lambda: {"training.csv": bytes(110_000_000)}), "would inflate to 110,000,000 bytes"),
    "zip in a zip": (packed(lambda: {"training.zip": "PK"}), "must contain exactly one CSV file but contains none"),
    "bomb in a zip of all files": (in_one_zip(lambda folder: zipped(folder, {"training.csv": bytes(110_000_000)})), "would inflate to"),
    "long zip in a zip of all files": (in_one_zip(lambda folder: table("x", lambda: "x" * 90_000_000)(folder)), "not a usable zip file"),
    "many files in a zip of all files": (in_one_zip(many_files), "its directory has"),
    "zip called CSV in a zip": (packed(lambda: {"training.csv": b"PK\3\4\0"}), "contains a NUL byte"),
    "names that climb": (packed(lambda: {"../training.csv": ""}), "whose name points outside the folder (../training.csv)"),
    "names from the root": (packed(lambda: {"training.csv": training("1"), "/etc/x": ""}), "whose name points outside the folder (/etc/x)"),
    "names of another system": (packed(lambda: {"..\\training.csv": ""}), "whose name points outside the folder"),
    "a long name": (packed(lambda: {"n" * 60_000 + ".csv": ""}), f"({'n' * 60}... inside) is empty"),
    "many files": (many_files, "its directory has"),
}


# Reads the files named on standard input, one per line, and prints for each the seconds, the peak of its memory in MB and the message.
READ = """
import contextlib, json, sys, time
import numpy as np
from pathlib import Path
from pipeline.errors import InputError
from pipeline.data.formats import kaggle
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.nets.trained import History
from pipeline.store.hdf5 import artifacts

READERS = {
    "training": lambda path: kaggle.read_training(path, KAGGLE, side=SIDE),
    "test": lambda path: kaggle.read_test(path, side=SIDE),
    "IdLookupTable": lambda path: kaggle.read_lookup(path, KAGGLE, np.array([3, 5, 12])),
    "artifact": lambda path: artifacts.load(path, History),
}
for line in sys.stdin:
    path, started, message = Path(line.strip()), time.monotonic(), None
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    try:
        READERS[path.stem](path)
    except (InputError, artifacts.Damaged) as error:
        message = str(error)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps([round(time.monotonic() - started, 2), int(status["VmHWM"].split()[0]) // 1024, message]), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Name of the case -> (seconds, peak in MB, message); one process reads all files."""
    paths = {}
    for name, (build, _) in {**TABLES, **FORGERIES}.items():
        folder = tmp_path_factory.mktemp("hostile")
        paths[name] = build(folder) if name in TABLES else forged(folder / "artifact.h5", build)
    names = "".join(f"{path}\n" for path in paths.values())
    done = subprocess.run([sys.executable, "-c", READ], input=names, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for path in paths.values():
        (path if path.exists() else path.parent).unlink()
    return dict(zip(paths, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak memory of a process")
@pytest.mark.parametrize("what", TABLES)
def test_tables_that_fill_memory(outcomes, what):
    """The file is refused with one sentence that names the place, before it fills the memory."""
    _, _, message = outcomes[what]
    assert TABLES[what][1] in message
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak memory of a process")
def test_memory(outcomes):
    """Refusing a hostile file takes at most 300 MB, including the libraries."""
    assert max(peak for _, peak, _ in outcomes.values()) < 300, outcomes
    assert all(message for _, _, message in outcomes.values())
