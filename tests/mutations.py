"""Harmful files in endless variety, and the checks of what reading them results in.

An artifact with changed bytes gets a checksum that fits, so that what stands behind the checksum is reached. Reading ends with a sound
result, or with Damaged or InputError that say why in one line; anything else is a failure.
"""

import csv
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import kinds
import labelsets
import numpy as np
import test_kaggle_files as tables
from hypothesis import strategies as st

from pipeline.data.formats import catalogue, kaggle
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Reading
from pipeline.data.tables import Lookup, UnlabelledFaces
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts, bytereader, layout
from pipeline.store.hdf5.tree import Attributes, StoredArray, StoredGroup
from pipeline.store.workspace.files import Damaged

# Artifacts

NUMBERS = [0, 1, 2, 3, 8, 16, 127, 255, 256, 1024, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]


class Sound:
    """A sound artifact, and where in it the HDF5 library looks before it reads an array."""

    def __init__(self, path: Path, kind: type):
        self.kind, self.whole = kind, path.read_bytes()
        with path.open("rb") as file:
            noting = _Noting(file, path, artifacts.USER_BLOCK)
            layout._Survey(noting).root()
        self.addresses = sorted(noting.claimed)
        self.places = [artifacts.USER_BLOCK + place for start, size in noting.seen for place in range(start, start + size)]


class _Noting(bytereader.Pieces):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.seen = []

    def read(self, address, size, what):
        self.seen.append((address, size))
        return super().read(address, size, what)


def sound_artifacts(folder: Path) -> list[Sound]:
    """One artifact of each kind, without siblings."""
    sound = []
    for kind in kinds.KINDS.values():
        path = kinds.write(kind, folder)
        path.write_bytes(with_checksum(path.read_bytes(), {}))
        sound.append(Sound(path, kind))
    return sound


def with_checksum(whole: bytes, siblings: dict[str, str] | None = None) -> bytes:
    """The same file with the right checksum in its user block, and with its length in its superblock."""
    content = bytearray(whole[artifacts.USER_BLOCK :])
    content[40:48] = struct.pack("<Q", len(whole))
    if siblings is None:
        siblings = json.loads(whole[len(artifacts.MAGIC) + 65 : artifacts.USER_BLOCK])
    return artifacts._user_block(io.BytesIO(content), siblings) + content


def changed_artifact(sound: Sound) -> st.SearchStrategy[bytes]:
    """The artifact after a few changes, most of them where the library looks first."""
    end = len(sound.whole)
    place = _one_of(sound.places) | _one_of(sound.places) | st.integers(artifacts.USER_BLOCK, end - 1)
    numbers = st.sampled_from(NUMBERS) | st.builds(sum, st.tuples(_one_of(sound.addresses), st.sampled_from([0, 8, -8])))
    number = st.builds(lambda value, size: (value % 256**size).to_bytes(size, "little"), numbers, st.sampled_from([1, 2, 4, 8]))
    copied = st.builds(lambda start, size: sound.whole[start : start + size], place, st.sampled_from([1, 2, 8, 16, 24, 40, 96]))
    change = st.tuples(place, number | copied | st.binary(min_size=1, max_size=8))

    def changed(changes, tail):
        content = bytearray(sound.whole)
        for start, new in changes:
            content[start : start + len(new)] = new
        return with_checksum(bytes(content[:end]) + tail)

    return st.builds(changed, st.lists(change, min_size=1, max_size=4), st.just(b"") | st.binary(max_size=64))


def _one_of(values: list) -> st.SearchStrategy:
    """Like st.sampled_from, which would look at all of many values each time."""
    return st.integers(0, len(values) - 1).map(values.__getitem__)


def read_artifact(path: Path, kind: type) -> bool:
    """Whether the artifact was read, in all the ways in which the program reads; False if it was refused.

    Raises AssertionError if the HDF5 library sees another content than the survey saw.
    """
    artifacts._verified.clear()
    try:
        tree = artifacts.verify(path)
        artifacts.attributes(path)
        with artifacts.reading(path) as file:
            assert _as_h5py_sees(file) == tree
        artifacts.load(path, kind)
    except Damaged as error:
        _check_message(error, path)
        return False
    return True


def _as_h5py_sees(group) -> StoredGroup:
    members = {name: _as_h5py_sees(item) if isinstance(item, h5py.Group) else _array_as_h5py_sees(item) for name, item in group.items()}
    return StoredGroup(members, _attributes(group))


def _array_as_h5py_sees(dataset) -> StoredArray:
    dataset[()]
    dtype = "text" if dataset.dtype.kind == "S" else dataset.dtype.name
    return StoredArray(dtype, dataset.dtype.itemsize, dataset.shape, _attributes(dataset))


def _attributes(item) -> Attributes:
    return {name: value if isinstance(value, str) else list(value) for name, value in item.attrs.items()}


def _check_message(error: Exception, path: Path) -> None:
    assert path.name in str(error)
    _check_line(str(error))


def _check_line(message: str) -> None:
    assert message.isprintable()
    assert len(message) < 1000


# Tables and zips

READERS = {
    "training": lambda path: kaggle.read_training(path, tables.SMALL, side=tables.SIDE),
    "test": lambda path: kaggle.read_test(path, side=tables.SIDE),
    "IdLookupTable": lambda path: kaggle.read_lookup(path, tables.SMALL, tables.IDS),
}
SOUND_TABLES = {"training": tables.TRAINING, "test": tables.TEST, "IdLookupTable": tables.LOOKUP}
MARKS = [
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"\r\r\n",
    b'"',
    b'""',
    b" ",
    b"\0",
    b"-",
    b"9",
    b".",
    b"e",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\n\n",
    b"nan",
    b"\xc3",
]
FIELDS = ["", "0", "1", "3", "5", "12", "-1", "2.5", "1e400", "9" * 19, "9" * 5000, "nan", "NaN", "inf", "1_0", "٣"]
FIELDS += ['"', '""', '"a"', '","', *tables.PIXELS, "0 " * 16, "256 " * 16, " ", "left_eye_x", "chin_y"]
FIELDS += ["é", "\ufeff", "\u2028", "=1+1", "\x1b[2J"]
NAMES = ["training.csv", "a/b.csv", "../training.csv", "/etc/training.csv", "c:\\x.csv", ".csv", "x.CSV", "x.zip", "\x1b[2J.csv"]
NAMES += ["n" * 300 + ".csv"]


def changed_bytes(whole: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The bytes after some have been replaced, removed, inserted, copied from elsewhere or cut off."""
    place = st.integers(0, 1 << 20)  # wraps around at the end
    change = st.tuples(place, st.integers(0, 4), st.sampled_from(MARKS) | st.binary(max_size=4) | st.tuples(place, st.integers(1, 30)))

    def changed(whole, changes, end):
        content = bytearray(whole)
        for start, size, new in changes:
            start %= len(content) + 1
            if isinstance(new, tuple):
                new = content[new[0] % (len(content) + 1) :][: new[1]]
            content[start : start + size] = new
        return bytes(content if end is None else content[: end % (len(content) + 1)])

    return st.builds(changed, whole, st.lists(change, max_size=3), st.sampled_from([None] * 9) | place)


def changed_cells(header: str, *rows: str) -> st.SearchStrategy[bytes]:
    """Some of the rows with a few harmful fields or a field too many."""
    width = header.count(",") + 1
    field = st.sampled_from(FIELDS) | st.text("\x00\t\r\n\x85 ,.;\"'09ae\xe9\u2028\ufeff\ud800", max_size=5)
    change = st.dictionaries(st.integers(0, width), field, max_size=2)

    def changed(row, new):
        fields = {**dict(enumerate(row.split(","))), **new}
        return ",".join(fields[place] for place in sorted(fields))

    lines = st.lists(st.builds(changed, st.sampled_from(rows), change), max_size=4)
    return st.builds(lambda *lines: "\n".join([lines[0], *lines[1]]).encode("utf-8", "surrogatepass"), st.just(header) | field, lines)


def changed_table() -> st.SearchStrategy[tuple[str, bytes]]:
    """File name and content of a table, either plain or in a zip file that may be changed as well."""

    def table(stem):
        whole = SOUND_TABLES[stem]
        content = changed_bytes(st.just(whole.encode())) | changed_cells(*whole.splitlines())
        plain = content.map(lambda content: (f"{stem}.csv", content))
        packed = st.tuples(st.just(f"{stem}.zip"), zipped(content) | changed_bytes(zipped(st.just(whole.encode()))))
        return plain | packed

    return st.one_of([table(stem) for stem in sorted(SOUND_TABLES)])


def zipped(content: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    def packed(members, method):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    others = st.dictionaries(st.sampled_from(NAMES), content, max_size=2)
    members = st.builds(lambda content, others: {**others, "training.csv": content}, content, others) | others
    methods = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2]
    return st.builds(packed, members, st.sampled_from(methods))


def read_table(path: Path) -> bool:
    """Whether the table was read, after checking its values; False if it was refused."""
    try:
        table = READERS[path.stem](path)
    except InputError as error:
        _check_message(error, path)
        return False
    _check_table(table)
    if path.suffix == ".csv":
        _compare_with_csv(path, table)
    return True


def _check_table(table) -> None:
    small = tables.SMALL
    if isinstance(table, Lookup):
        assert len(set(table.row_ids)) == len(table.row_ids) == len(table.face) > 0
        assert ((table.face >= 0) & (table.face < len(tables.IDS))).all()
        assert ((table.keypoint >= 0) & (table.keypoint < len(small.names))).all()
        assert np.isin(table.axis, (0, 1)).all()
        return
    assert table.images.dtype == np.uint8
    assert table.images.shape[1:] == (tables.SIDE, tables.SIDE)
    if isinstance(table, UnlabelledFaces):
        assert len(set(table.image_ids)) == len(table.image_ids) == len(table.images) > 0
        assert (table.image_ids > 0).all()
    else:
        assert table.keypoints.shape == (len(table.images), len(small.names), 2)
        labelled = table.keypoints[~np.isnan(table.keypoints)]
        assert labelled.size
        assert ((labelled >= -tables.SIDE / 2) & (labelled <= 1.5 * tables.SIDE)).all()


def _compare_with_csv(path: Path, table) -> None:
    """The same rows as Python's own reader sees, and the same values in one of the columns."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    for column, values in {"Image": getattr(table, "images", None), "RowId": getattr(table, "row_ids", None)}.items():
        if values is not None:
            cells = [row[header.index(column)].split(" ") for row in rows]
            assert [[int(number) for number in cell if number.strip()] for cell in cells] == values.reshape(len(rows), -1).tolist()


# Label files

TOKEN = re.compile(rb"""[-+.\w]+|"[^"\n]*"|[^\s\w]""")
TOKENS = [
    *FIELDS,
    "null",
    "true",
    "NaN",
    "Infinity",
    "[]",
    "{}",
    "{",
    "]",
    "<a>",
    "</a>",
    "&b;",
    ":",
    "'",
    ";",
    "-",
    "2",
    "7",
    "1e7",
    "-0.0",
]
TOKENS += ["[" * 20000, "9" * 400, "../../etc/passwd", "/etc/passwd", '"../a.png"', '"a.png"', "a.png", '"nose"', "nose_x", "<!DOCTYPE a>"]


def changed_tokens(whole: bytes) -> st.SearchStrategy[bytes]:
    """The text after a few of its numbers, strings, words and marks have been replaced, removed or repeated."""
    places = [match.span() for match in TOKEN.finditer(whole)]
    token = st.sampled_from(TOKENS).map(lambda text: text.encode("utf-8", "surrogatepass"))
    change = st.tuples(_one_of(places), token | st.just(b"") | _one_of(places))

    def changed(changes):
        content = whole
        for (start, end), new in sorted(changes, key=lambda change: change[0], reverse=True):
            content = content[:start] + (whole[slice(*new)] if isinstance(new, tuple) else new) + content[end:]
        return content

    return st.lists(change, min_size=1, max_size=3).map(changed)


def read_labels(name: str, folder: Path, files: tuple[str, ...]) -> bool:
    """Whether label files were read, after checking the labels; False if they were refused."""
    form = catalogue.format_module(name)
    try:
        form.find(Folder(folder))  # may be anything: a damaged file can be that of another format
        labels = form.read(Folder(folder), files, Reading())
    except InputError as error:
        _check_line(str(error))
        return False
    labelsets.check(labels)
    return True


# What is drawn, and the function that reads it and says whether it was sound


def artifacts_in(folder: Path) -> tuple[st.SearchStrategy, Callable[..., bool]]:
    sound = sound_artifacts(folder)
    strategies = [st.tuples(st.just(one.kind), changed_artifact(one)) for one in sound]

    def read(drawn) -> bool:
        kind, content = drawn
        path = folder / f"{kind.__name__}.h5"
        path.write_bytes(content)
        return read_artifact(path, kind)

    return st.one_of(strategies), read


def tables_in(folder: Path) -> tuple[st.SearchStrategy, Callable[..., bool]]:
    def read(drawn) -> bool:
        name, content = drawn
        path = folder / name
        path.write_bytes(content)
        return read_table(path)

    return changed_table(), read


def labels_in(folder: Path, names: Iterable[str] = tuple(labelsets.SETS)) -> tuple[st.SearchStrategy, Callable[..., bool]]:
    """Changed label files of the sets of these formats. The folder gets a set of each."""
    strategies, sound = [], {}
    for name in names:
        place = folder / name
        labelsets.SETS[name](place)
        files = catalogue.format_module(name).find(Folder(place))
        sound[name] = {file: (place / file).read_bytes() for file in files if (place / file).is_file()}
        for file, whole in sound[name].items():
            strategies.append(st.tuples(st.just(name), st.just(file), changed_tokens(whole) | changed_bytes(st.just(whole))))

    def read(drawn) -> bool:
        name, file, content = drawn
        (folder / "last").write_text(f"{name}: {file}")
        (folder / name / file).write_bytes(content)
        outcome = read_labels(name, folder / name, tuple(sound[name]))
        (folder / name / file).write_bytes(sound[name][file])
        return outcome

    return st.one_of(strategies), read
