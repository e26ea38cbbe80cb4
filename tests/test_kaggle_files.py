"""Kaggle's files are either read exactly or refused with one sentence that names the place of the fault."""

import os
import re
import stat
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.data.formats import archives, csvrows
from pipeline.data.formats.archives import find_file
from pipeline.data.formats.kaggle import (
    KaggleFiles,
    read_lookup,
    read_test,
    read_training,
    write_lookup,
    write_test,
    write_training,
)
from pipeline.errors import InputError
from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.keypoints.kaggle import SIDE as KAGGLE_SIDE

SMALL = KeypointSet(
    name="a small set",
    names=("left_eye", "right_eye", "nose_tip", "chin"),
    mirror=(("left_eye", "right_eye"),),
    sources={"full": ("left_eye", "right_eye", "nose_tip", "chin"), "short": ("nose_tip",)},
    groups={"eyes": ("left_eye", "right_eye"), "middle": ("nose_tip", "chin")},
)
SIDE = 4
IMAGES = np.random.default_rng(7).integers(0, 256, (3, SIDE, SIDE)).astype(np.uint8)
KEYPOINTS = np.array(
    [
        [[2.5, 1.0], [1.5, 1.25], [2.0, 2.0], [2.0, 3.75]],
        [[np.nan, np.nan], [np.nan, np.nan], [2.125, 2.0], [np.nan, np.nan]],
        [[3.0, 0.0], [-0.5, 1.0], [2.0, 4.5], [np.nan, np.nan]],
    ],
    np.float32,
)


def rows_of(images=IMAGES, keypoints=KEYPOINTS) -> list[str]:
    labels = [["" if np.isnan(value) else str(value) for value in face.ravel()] for face in keypoints]
    return [",".join([*label, " ".join(map(str, image.ravel()))]) for label, image in zip(labels, images, strict=True)]


HEADER = ",".join((*SMALL.columns, "Image"))
ROWS = rows_of()
TRAINING = "\n".join([HEADER, *ROWS, ""])
PIXELS = [" ".join(map(str, image.ravel())) for image in IMAGES]
TEST = "".join(["ImageId,Image\n", *(f"{number},{text}\n" for number, text in zip((3, 5, 12), PIXELS, strict=True))])
LOOKUP = "RowId,ImageId,FeatureName,Location\n7,5,chin_y,\n8,3,left_eye_x,\n2,12,left_eye_y,\n4,5,nose_tip_x,\n"
IDS = np.array([3, 5, 12])


def written(folder: Path, content: str | bytes, name="training.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zipped(folder: Path, members: dict, name="training.zip", method=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(folder / name, "w", method) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return folder / name


def refused(path: Path, *said: str, read=lambda path: read_training(path, SMALL, side=SIDE)) -> str:
    """The message of the InputError, after checking that it contains each of the texts."""
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    for text in (path.name.removesuffix(".csv") if "detection.zip" in str(path) else path.name, *said):
        assert text in message, message
    assert "\n" not in message
    return message


def with_row(number: int, row: str) -> str:
    """The training file with one of its rows, counted from 1, replaced."""
    return "\n".join([HEADER, *ROWS[: number - 1], row, *ROWS[number:], ""])


# What is read


def test_training_values(tmp_path):
    """Images and keypoints are read as they were written, with NaN for empty fields."""
    faces = read_training(written(tmp_path, TRAINING), SMALL, side=SIDE)
    assert (faces.images.dtype, faces.keypoints.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(faces.images, IMAGES)
    np.testing.assert_array_equal(faces.keypoints, KEYPOINTS)


def test_columns_in_any_order(tmp_path):
    """Columns are identified by the header, not by their position."""
    order = np.random.default_rng(1).permutation(len(SMALL.columns) + 1)
    lines = [",".join(np.array(line.split(","))[order]) for line in (HEADER, *ROWS)]
    faces = read_training(written(tmp_path, "\n".join(lines)), SMALL, side=SIDE)
    np.testing.assert_array_equal(faces.images, IMAGES)
    np.testing.assert_array_equal(faces.keypoints, KEYPOINTS)


@pytest.mark.parametrize(
    "content",
    [
        TRAINING.replace("\n", "\r\n"),
        TRAINING.rstrip("\n"),
        TRAINING.replace("\n", "\r\n").rstrip("\n"),
        TRAINING.replace("\n", "\r\r\n"),
        TRAINING.replace("\n", "\r\r\n").rstrip("\n"),
        TRAINING.replace("\n", "\r"),
        TRAINING.rstrip("\n").replace("\n", "\r"),
        TRAINING.replace("\n", "\r") + "\r \r",
        "\ufeff" + TRAINING.replace("\n", "\r"),
        TRAINING.replace("\n", "\r\n", 1),
        TRAINING + "\n\n  \n",
        "\ufeff" + TRAINING,
        re.sub("[^,\n]+", r'"\g<0>"', TRAINING),
        TRAINING.replace(",,", ",nan,").replace(",,", ",NaN,"),
        TRAINING.replace("2.5,", " 2.50 ,"),
        TRAINING.replace("2.5,", "+25e-1,"),
    ],
    ids=[
        "crlf",
        "no end",
        "cut crlf",
        "crcrlf",
        "cut crcrlf",
        "cr",
        "cr no end",
        "cr blank end",
        "cr bom",
        "mixed",
        "blank end",
        "bom",
        "quoted",
        "nan",
        "blanks",
        "exponent",
    ],
)
def test_harmless_variants(tmp_path, content):
    """Other line ends, a missing final line end, blank lines at the end, a byte order mark, quotes and "nan" do not change the result."""
    faces = read_training(written(tmp_path, content), SMALL, side=SIDE)
    np.testing.assert_array_equal(faces.images, IMAGES)
    np.testing.assert_array_equal(faces.keypoints, KEYPOINTS)


def test_test_values(tmp_path):
    """Ids and images of the test file are read in its own order."""
    faces = read_test(written(tmp_path, TEST, "test.csv"), side=SIDE)
    assert faces.image_ids.dtype == np.int64
    np.testing.assert_array_equal(faces.image_ids, IDS)
    np.testing.assert_array_equal(faces.images, IMAGES)


LOOKUP_WITHOUT = LOOKUP.replace(",\n", "\n")


@pytest.mark.parametrize("content", [LOOKUP, LOOKUP_WITHOUT, LOOKUP_WITHOUT.replace(",Location", ""), LOOKUP.replace(",\n", ",1.5\n")])
def test_lookup_values(tmp_path, content):
    """The lookup table is read as indices of faces, keypoints and axes; Location may be empty, omitted from the rows, absent or filled."""
    lookup = read_lookup(written(tmp_path, content, "IdLookupTable.csv"), SMALL, IDS)
    assert lookup.row_ids.tolist() == [7, 8, 2, 4]
    assert lookup.face.tolist() == [1, 0, 2, 1]
    assert lookup.keypoint.tolist() == [3, 0, 0, 2]
    assert lookup.axis.tolist() == [1, 0, 1, 0]
    assert [array.dtype.name for array in vars(lookup).values()] == ["int64", "int32", "int16", "int8"]


def test_arrays_are_as_described(tmp_path):
    """Each array has the dtype and the number of axes that its field declares."""
    tables = (
        read_training(written(tmp_path, TRAINING), SMALL, side=SIDE),
        read_test(written(tmp_path, TEST, "test.csv"), side=SIDE),
        read_lookup(written(tmp_path, LOOKUP, "IdLookupTable.csv"), SMALL, IDS),
    )
    for table in tables:
        for name, declared in type(table).__dataclass_fields__.items():
            description, value = declared.metadata["array"], getattr(table, name)
            axes = [axis for axis in description.axes if not axis.endswith("?")]
            assert (value.dtype.name, value.ndim) == (description.dtype, len(axes))


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 20])
def test_blocks_of_any_size(tmp_path, monkeypatch, block):
    """The boundaries between blocks of bytes affect neither the arrays nor the row numbers in messages."""
    monkeypatch.setattr(archives, "BLOCK", block)
    for end in ("\r\n", "\r\r\n", "\r"):
        path = written(tmp_path, "\ufeff" + TRAINING.replace("\n", end) + end + end)
        np.testing.assert_array_equal(read_training(path, SMALL, side=SIDE).images, IMAGES)
        np.testing.assert_array_equal(read_training(path, SMALL, side=SIDE).keypoints, KEYPOINTS)
    refused(written(tmp_path, with_row(2, ROWS[1] + " 3") + "\n\n"), "row 2 (line 3), column Image", "17 pixels instead of 16")
    refused(written(tmp_path, with_row(3, ROWS[2][:-9]) + "\n\n"), "row 3 (line 4), column Image", "appears to be truncated")


@pytest.mark.parametrize("block", [100, 500, 1 << 20])
def test_rows_are_counted_over_all_blocks(tmp_path, monkeypatch, block):
    """The number of a faulty row counts all earlier rows, however they are divided into blocks."""
    monkeypatch.setattr(archives, "BLOCK", block)
    for fault in (ROWS[1] + ",3", ROWS[1] + " 3", ROWS[1].replace("2.125", "far")):
        refused(written(tmp_path, "\n".join([HEADER, *ROWS * 15, ROWS[0], fault, *ROWS, ""])), "row 47 (line 48)")


def test_a_face_without_labels(tmp_path):
    """A face without labels is accepted, but a file without any label is refused."""
    bare = "," * len(SMALL.columns)
    faces = read_training(written(tmp_path, with_row(2, bare + PIXELS[1])), SMALL, side=SIDE)
    assert np.isnan(faces.keypoints[1]).all()
    refused(written(tmp_path, "\n".join([HEADER, *(bare + text for text in PIXELS)])), "no labelled keypoint", "3 rows")


def read_all(files):
    """The content of all three files."""
    test = read_test(files.test, side=SIDE)
    training, lookup = read_training(files.training, SMALL, side=SIDE), read_lookup(files.lookup, SMALL, test.image_ids)
    return SimpleNamespace(training=training, test=test, lookup=lookup)


def test_what_is_written_is_read_back(tmp_path):
    """Images, keypoints to six decimals, and the requested values; rows and images are numbered from 1."""
    files = KaggleFiles(tmp_path / "training.csv", tmp_path / "test.csv", tmp_path / "IdLookupTable.csv")
    requested = np.array([[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], bool)
    write_training(files.training, SMALL, IMAGES, KEYPOINTS)
    write_test(files.test, IMAGES[::-1])
    write_lookup(files.lookup, SMALL, requested)
    tables = read_all(files)
    np.testing.assert_array_equal(tables.training.images, IMAGES)
    np.testing.assert_allclose(tables.training.keypoints, KEYPOINTS, atol=1e-6)
    np.testing.assert_array_equal(tables.test.images, IMAGES[::-1])
    assert tables.test.image_ids.tolist() == [1, 2, 3]
    assert tables.lookup.row_ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert tables.lookup.face.tolist() == [0, 0, 0, 0, 2, 2]
    assert tables.lookup.keypoint.tolist() == [1, 1, 3, 3, 0, 0]
    assert tables.lookup.axis.tolist() == [0, 1] * 3


# Finding the file


def test_find_file(tmp_path):
    """The plain file or the zip file is found; None means that there is neither, and having both is an error that names both."""
    assert find_file(tmp_path, "training") is None
    plain = written(tmp_path, TRAINING)
    assert find_file(tmp_path, "training") == plain
    packed = zipped(tmp_path, {"training.csv": TRAINING})
    with pytest.raises(InputError, match=r"both training\.csv and training\.zip"):
        find_file(tmp_path, "training")
    plain.unlink()
    assert find_file(tmp_path, "training") == packed


def test_dangling_link(tmp_path):
    """A dangling link does not count as an absent file: it is found, and reading it reports the fault."""
    (tmp_path / "training.csv").symlink_to(tmp_path / "gone.csv")
    refused(find_file(tmp_path, "training"), "No such file")


def test_missing_file(tmp_path):
    """The message names a file that has disappeared."""
    refused(tmp_path / "training.csv", "No such file", "check that it exists")
    refused(tmp_path / "training.zip", "No such file")


def test_folder_in_a_files_place(tmp_path):
    """The message says that there is a folder instead of the file."""
    for name in ("training.csv", "training.zip"):
        (tmp_path / name).mkdir()
        refused(tmp_path / name, "is a folder")


def test_pipe_in_a_files_place(tmp_path):
    """A named pipe is refused, because reading it would block forever."""
    os.mkfifo(tmp_path / "training.csv")
    refused(tmp_path / "training.csv", "not a regular file")


@pytest.mark.parametrize("name", ["training.csv", "training.zip"])
def test_unreadable_file(tmp_path, monkeypatch, name):
    """The message names a file without read permission and the reason; simulated, because permissions do not apply to the superuser."""

    def denied(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    path = written(tmp_path, TRAINING, name)
    monkeypatch.setattr(Path, "open", denied)
    monkeypatch.setattr(zipfile, "ZipFile", denied)
    refused(path, "Permission denied", "that you have permission to read it")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not apply to the superuser")
def test_file_without_permissions(tmp_path):
    """The same is true of a real file."""
    path = written(tmp_path, TRAINING)
    path.chmod(stat.S_IWUSR)
    refused(path, "Permission denied")


# Structure


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ["is empty"]),
        ("\ufeff", ["is empty"]),
        ("\n\n", ["is empty"]),
        (HEADER, ["header but no rows"]),
        (HEADER + "\n\n", ["header but no rows"]),
        (TRAINING.replace("left_eye_x", "left_ear_x"), ["lacks 'left_eye_x'", "unknown 'left_ear_x'"]),
        (TRAINING.replace(",Image", ""), ["lacks 'Image'"]),
        (TRAINING.replace("left_eye_y", "left_eye_x"), ["repeats 'left_eye_x'", "lacks 'left_eye_y'"]),
        (TRAINING.replace("Image", "Image,Image"), ["repeats 'Image'"]),
        (TRAINING.replace("Image", "Image,Name"), ["unknown 'Name'"]),
        (TRAINING.replace(",", ";"), ["separates its columns with semicolons", "commas"]),
        (TRAINING.replace(",", "\t"), ["separates its columns with tabs", "commas"]),
        ("<!DOCTYPE html>\n<html></html>", ["lacks", "Download the file again"]),
        ("\n" + TRAINING, ["line 1 is blank"]),
        (TRAINING.replace("\n", "\n\n"), ["line 2 is blank"]),
        (TRAINING + "\n" * 5000, ["more than 1000 blank lines from line 5 on"]),
        (with_row(2, ROWS[1] + ",3"), ["row 2 (line 3)", "10 fields but the header has 9"]),
        ("\n".join([HEADER, *("1," + row for row in ROWS)]), ["row 1 (line 2)", "10 fields but the header has 9"]),
        ("\n".join([HEADER, *(row + "," for row in ROWS)]), ["row 1 (line 2)", "10 fields but the header has 9"]),
        ("\n".join([HEADER, *(row.split(",", 1)[1] for row in ROWS)]), ["row 1 (line 2)", "8 fields but the header has 9"]),
        (with_row(1, ROWS[0].split(",", 1)[1]), ["row 1 (line 2)", "8 fields", "correct the row"]),
        (with_row(3, "2.5,3.5"), ["row 3 (line 4)", "2 fields", "appears to be truncated"]),
        (with_row(3, ROWS[2][:-9]), ["row 3 (line 4), column Image", "pixels instead of 16", "appears to be truncated"]),
        (with_row(2, ROWS[1][:-9]), ["row 2 (line 3), column Image", "pixels instead of 16", "correct the row"]),
        (with_row(3, ROWS[2] + " 3"), ["row 3 (line 4), column Image", "17 pixels instead of 16", "correct the row"]),
        (TRAINING.replace("2.5,", "2\0.5,"), ["row 1 (line 2)", "NUL byte"]),
        (TRAINING.replace("\n", "\n\ufeff", 1), ["row 1 (line 2)", "begins with a byte order mark"]),
        ("\0" * 5000, ["header (line 1)", "NUL byte"]),
        (TRAINING.encode("utf-16"), ["header (line 1)", "is UTF-16 text; save the file as UTF-8"]),
        ("\ufeff".encode("utf-16-be") + TRAINING.replace("\n", "\r\n").encode("utf-16-be"), ["header (line 1)", "is UTF-16 text"]),
        (TRAINING.encode().replace(b"2.5,", b"2\xe9,"), ["row 1 (line 2)", "not UTF-8"]),
        (TRAINING.replace(" ", "\r", 1), ["row 1 (line 2)", "carriage return or a line feed that does not end it"]),
        (TRAINING.replace("\n", "\r").replace(" ", "\n", 1), ["row 1 (line 2)", "carriage return or a line feed that does not end it"]),
        (TRAINING.replace("\n", "\r", 2), ["row 2 (line 3)", "carriage return or a line feed that does not end it"]),
        (TRAINING.replace("\n", "\r", 1), ["row 1 (line 2)", "carriage return or a line feed that does not end it"]),
        (TRAINING.replace("\n", "\r\r"), ["line 2 is blank"]),
        (TRAINING.replace("2.5,", '"2.5,'), ["row 1 (line 2)", "quote"]),
        (TRAINING.replace("2.5,", '2"5,'), ["row 1 (line 2)", "quote"]),
        (TRAINING.replace("2.5,1.0,", '"2.5,1.0",'), ["row 1 (line 2)", "8 fields"]),
        (TRAINING.replace(" ", "\n", 1), ["row 2 (line 3)", "1 fields but the header has 9"]),
    ],
)
def test_bad_structure(tmp_path, content, said):
    """A file without the right columns, or with different numbers of fields in its rows, is refused, and the message names the place."""
    refused(written(tmp_path, content), *said)


def test_endless_line(tmp_path, monkeypatch):
    """A line that does not end is refused before it fills the memory."""
    monkeypatch.setattr(csvrows, "LONGEST_ROW", 100_000)
    monkeypatch.setattr(archives, "BLOCK", 50_000)
    refused(written(tmp_path, TRAINING + "1" * 1_000_000), "line 5 has more than 100,000 bytes")


# Values


@pytest.mark.parametrize("value", ["256", "300", "1000", "-1", "1.5", "x", "nan", "1e2", "0x10"])
def test_bad_pixel(tmp_path, value):
    """The message names a pixel that is not an integer from 0 to 255 by row, column and number within the image."""
    image = PIXELS[1].split(" ")
    image[5] = value
    row = ROWS[1].rsplit(",", 1)[0] + "," + " ".join(image)
    refused(written(tmp_path, with_row(2, row)), "row 2 (line 3), column Image", f"pixel 6 is '{value}'", "integer from 0 to 255")


def test_missing_pixel(tmp_path):
    """A pixel missing between two blanks, and an empty image, are detected by the number of pixels."""
    missing = ROWS[0].replace(PIXELS[0], PIXELS[0].replace(f" {IMAGES[0, 1, 1]} ", "  ", 1))
    refused(written(tmp_path, with_row(1, missing)), "row 1 (line 2), column Image", "15 pixels instead of 16")
    refused(written(tmp_path, with_row(1, ROWS[0].replace(PIXELS[0], ""))), "row 1 (line 2), column Image", "0 pixels instead of 16")


@pytest.mark.parametrize("value", ["inf", "-inf", "1e999", "Infinity", "here", "1_0", "0x1", "None", "6.01", "-2.01", "2,5", "٣", "9" * 20])
def test_bad_coordinate(tmp_path, value):
    """The message names a coordinate that is text, infinite or more than half an image side outside the image by row and column."""
    row = ROWS[1].replace("2.125", f'"{value}"')
    refused(written(tmp_path, with_row(2, row)), "row 2 (line 3)", *([f"column nose_tip_x is '{value}'"] if "," not in value else []))


def test_coordinates_a_little_outside(tmp_path):
    """Coordinates up to half an image side outside the image are accepted."""
    faces = read_training(written(tmp_path, with_row(2, ROWS[1].replace("2.125", "6.0").replace(",2.0,", ",-2.0,"))), SMALL, side=SIDE)
    assert faces.keypoints[1, 2].tolist() == [6.0, -2.0]


@pytest.mark.parametrize("value", ["", "nan", "0", "-5", "5.0", "five", "1e3", "9" * 30])
def test_bad_id(tmp_path, value):
    """In both files the message names an id that is not a positive integer by row and column."""
    refused(
        written(tmp_path, TEST.replace("5,", f"{value},", 1), "test.csv"),
        f"row 2 (line 3), column ImageId is '{value}'",
        read=lambda path: read_test(path, side=SIDE),
    )
    refused(
        written(tmp_path, LOOKUP.replace("\n8,", f"\n{value},"), "IdLookupTable.csv"),
        f"row 2 (line 3), column RowId is '{value}'",
        read=lambda path: read_lookup(path, SMALL, IDS),
    )


def test_repeated_id(tmp_path):
    """A repeated id is reported with its second row, even if the two are written differently."""
    refused(
        written(tmp_path, TEST.replace("\n12,", "\n03,"), "test.csv"),
        "row 3 (line 4), column ImageId is 3",
        read=lambda path: read_test(path, side=SIDE),
    )
    refused(
        written(tmp_path, LOOKUP.replace("\n2,", "\n8,"), "IdLookupTable.csv"),
        "row 3 (line 4), column RowId is 8",
        read=lambda path: read_lookup(path, SMALL, IDS),
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("12,left", "13,left", "row 3 (line 4), column ImageId is '13', not an image of the test file"),
        ("nose_tip_x", "tail_x", "row 4 (line 5), column FeatureName is 'tail_x', not a feature of a small set"),
        ("chin_y", "", "row 1 (line 2), column FeatureName is '', not a feature"),
        (",Location", "", "row 1 (line 2) has 4 fields but the header has 3"),
        ("\n8,3,left_eye_x,", "\n8,3", "row 2 (line 3) has 2 fields but the header has 4"),
        ("RowId,", "", "lacks 'RowId'"),
    ],
)
def test_bad_lookup(tmp_path, old, new, said):
    """A lookup table with an unknown image, an unknown feature or other columns is refused, and the message names the place."""
    path = written(tmp_path, LOOKUP.replace(old, new), "IdLookupTable.csv")
    refused(path, said, read=lambda path: read_lookup(path, SMALL, IDS))


# Zips


def test_zip(tmp_path):
    """The only CSV file of a zip file is read, whatever its name; hidden files and the companion files of macOS are ignored."""
    path = zipped(tmp_path, {"__MACOSX/faces.csv": b"\0", ".hidden.csv": b"", "readme.txt": "", "data/faces.csv": TRAINING})
    np.testing.assert_array_equal(read_training(path, SMALL, side=SIDE).images, IMAGES)


def test_messages_name_the_file_inside(tmp_path):
    """The message about a fault inside a zip file names both files."""
    path = zipped(tmp_path, {"training.csv": with_row(2, "1,2")})
    refused(path, "training.zip (training.csv inside), row 2 (line 3)")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({}, "exactly one CSV file but contains none"),
        ({"a.txt": "", "c.csv/": ""}, "contains none"),
        ({"a.csv": "", "b.CSV": ""}, "contains 2"),
    ],
)
def test_not_one_csv(tmp_path, members, said):
    """A zip file without a CSV file or with several is refused, and the message names them."""
    message = refused(zipped(tmp_path, members), said)
    assert ("a.csv, b.CSV" in message) == (len(members) == 2 and "b.CSV" in members)


def test_no_zip(tmp_path):
    """A file that is not a zip file despite its name is refused."""
    refused(written(tmp_path, "<html>please sign in</html>", "training.zip"), "not a usable zip file", "create or copy it again")
    refused(written(tmp_path, "", "training.zip"), "not a usable zip file")


def test_damaged_zip(tmp_path):
    """A zip file whose content does not match its checksum is refused, even though every byte could be read."""
    path = zipped(tmp_path, {"training.csv": TRAINING}, method=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"2.125", b"2.250"))
    refused(path, "not a usable zip file", "CRC")


def test_truncated_zip(tmp_path):
    """A truncated zip file is refused."""
    path = zipped(tmp_path, {"training.csv": TRAINING})
    path.write_bytes(path.read_bytes()[:-30])
    refused(path, "not a usable zip file", "create or copy it again")


def test_zip_whose_names_disagree(tmp_path):
    """If a name in the file seems to extend over the following bytes, the message does not repeat all of them."""
    path = zipped(tmp_path, {"training.csv": TRAINING}, method=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[26:28] = (300).to_bytes(2, "little")  # the length of the name in the file's own header
    path.write_bytes(content)
    assert len(refused(path, "not a usable zip file")) < 300 + len(str(path))


def test_encrypted_zip(tmp_path):
    """An encrypted zip file is refused, and the message says that it is encrypted."""
    path = zipped(tmp_path, {"training.csv": TRAINING})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flags of the file's own header and of the directory's entry for it
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    refused(path, "is encrypted; unpack it with its password")


def test_unusual_compression(tmp_path):
    """Compression methods other than deflate are refused, because some of them allocate as much memory as the file demands."""
    refused(zipped(tmp_path, {"training.csv": TRAINING}, method=zipfile.ZIP_LZMA), "unusual compression method")


def test_zip_bomb_by_ratio(tmp_path, monkeypatch):
    """A zip file that would inflate to far more than its size is refused because of the declared size, without inflating it."""
    monkeypatch.setattr(archives, "HARMLESS", 1 << 20)
    path = zipped(tmp_path, {"training.csv": b"\n" * (2 << 20)})
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("inflated"))
    refused(path, "would inflate to 2,097,152 bytes")


def test_zip_bomb_by_size(tmp_path, monkeypatch):
    """A zip file with too large a content is refused whatever its ratio."""
    monkeypatch.setattr(archives, "LARGEST", 100)
    refused(zipped(tmp_path, {"training.csv": TRAINING}, method=zipfile.ZIP_STORED), "would inflate to")


def test_zip_that_understates_its_size(tmp_path):
    """No more than the declared size is inflated, so that a small declared size cannot hide a large content."""
    path = zipped(tmp_path, {"training.csv": TRAINING + "\n" * 500})
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\1\2")
    content[entry + 24 : entry + 28] = len(TRAINING).to_bytes(4, "little")
    path.write_bytes(content)
    refused(path, "not a usable zip file", "CRC")


def test_blank_images_compress_well(tmp_path):
    """Small files are read whatever their ratio, because a few black images compress by a factor of hundreds."""
    labels = np.full((4000, 4, 2), np.nan, np.float32)
    labels[0] = 2.0
    black = rows_of(np.zeros((4000, 4, 4), np.uint8), labels)
    path = zipped(tmp_path, {"training.csv": "\n".join([HEADER, *black])})
    assert path.stat().st_size * archives.LARGEST_RATIO < 4000 * len(black[0])
    assert read_training(path, SMALL, side=SIDE).images.shape == (4000, 4, 4)


# One zip file with all files


def pack(folder, members, method=zipfile.ZIP_DEFLATED):
    return zipped(folder, members, "facial-keypoints-detection.zip", method)


def packed_again(folder, stem, content):
    """The bytes of a zip file with STEM.csv."""
    return zipped(folder, {f"{stem}.csv": content}, "inner.zip").read_bytes()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
@pytest.mark.parametrize("layout", ["as on Kaggle", "CSV files", "in a folder", "one folder each", "of macOS"])
def test_one_zip_with_all_files(tmp_path, layout, method):
    """Kaggle's zip file with all files is read as it is: with zip files inside, or with the CSV files, in folders or not."""
    inner = {stem: packed_again(tmp_path, stem, content) for stem, content in (("training", TRAINING), ("test", TEST))}
    plain = {"training.csv": TRAINING, "test.csv": TEST, "IdLookupTable.csv": LOOKUP}
    path = pack(
        tmp_path,
        {
            "as on Kaggle": {
                "IdLookupTable.csv": LOOKUP,
                "SampleSubmission.csv": "RowId",
                "training.zip": inner["training"],
                "test.zip": inner["test"],
            },
            "CSV files": plain,
            "in a folder": {f"faces/{name}": content for name, content in plain.items()},
            "one folder each": {f"{name.split('.')[0]}/{name}": content for name, content in plain.items()},
            "of macOS": {**plain, **{f"__MACOSX/._{name}": b"\0" for name in plain}, "__MACOSX/training.csv": b"\0"},
        }[layout],
        method,
    )
    files = KaggleFiles(*(find_file(path, stem) for stem in ("training", "test", "IdLookupTable")))
    tables = read_all(files)
    np.testing.assert_array_equal(tables.training.images, IMAGES)
    np.testing.assert_array_equal(tables.training.keypoints, KEYPOINTS)
    np.testing.assert_array_equal(tables.test.images, IMAGES)
    assert tables.lookup.row_ids.tolist() == [7, 8, 2, 4]
    assert archives.size(files.training) == len(TRAINING)


def test_what_one_zip_lacks_or_has_twice(tmp_path):
    """A file that is missing is None, one that is there twice an error that names both."""
    path = pack(tmp_path, {"training.csv": TRAINING, "a/training.zip": b""})
    assert find_file(path, "test") is None
    with pytest.raises(InputError, match=r"contains both training\.csv and a/training\.zip"):
        find_file(path, "training")


def test_messages_name_the_files_inside(tmp_path):
    """The message about a fault in a zip file inside another names all three files."""
    path = pack(tmp_path, {"training.zip": packed_again(tmp_path, "training", with_row(2, "1,2"))})
    said = "detection.zip (training.zip / training.csv inside), row 2 (line 3)"
    assert said in refused(find_file(path, "training"))
    path = pack(tmp_path, {"training.zip": zipped(tmp_path, {"a.csv": "", "b.csv": ""}, "inner.zip").read_bytes()})
    assert "detection.zip (training.zip inside) must contain exactly one CSV file but contains 2" in refused(find_file(path, "training"))


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ({"../training.csv": TRAINING}, "points outside the folder (../training.csv)"),
        ({"training.zip": b""}, "must contain exactly one CSV file but contains none"),
        (None, "is not a usable zip file"),
    ],
)
def test_a_bad_zip_in_a_zip(tmp_path, inner, said):
    """What is refused of a zip file is refused of one inside another, and zip files are not sought any deeper."""
    content = b"no zip" if inner is None else zipped(tmp_path, inner, "inner.zip").read_bytes()
    assert said in refused(find_file(pack(tmp_path, {"training.zip": content}), "training"))


def test_bad_names_beside_a_file_in_one_zip(tmp_path):
    """A zip file with a harmful name is refused even if that is not the name of the file that is read."""
    path = pack(tmp_path, {"training.csv": TRAINING, "../x": ""})
    with pytest.raises(InputError, match="points outside the folder"):
        find_file(path, "training")


def test_bombs_in_one_zip(tmp_path, monkeypatch):
    """Ratios multiply: a small file that inflates to a small zip file that inflates to a large file is refused without inflating it."""
    monkeypatch.setattr(archives, "HARMLESS", 1 << 20)
    bomb = zipped(tmp_path, {"training.csv": b"\n" * (2 << 20)}, "inner.zip").read_bytes()
    assert "would inflate to 2,097,152 bytes" in refused(find_file(pack(tmp_path, {"training.zip": bomb}), "training"))
    outer = pack(tmp_path, {"training.zip": bytes(2 << 20)})
    assert "would inflate to 2,097,152 bytes" in refused(find_file(outer, "training"))


# The real files


@pytest.mark.slow
@pytest.mark.skipif("KEYPOINTS_DATASET" not in os.environ, reason="KEYPOINTS_DATASET names no folder with Kaggle's files")
def test_real_files():
    """Kaggle's own files are read as pandas and numpy read them."""
    folder = Path(os.environ["KEYPOINTS_DATASET"])
    faces = read_training(find_file(folder, "training"), KAGGLE, side=KAGGLE_SIDE)
    table = pd.read_csv(find_file(folder, "training"))
    expected = table[list(KAGGLE.columns)].to_numpy().reshape(len(table), -1, 2)
    np.testing.assert_array_equal(faces.keypoints, expected.astype(np.float32))
    for row in range(0, len(table), 50):
        np.testing.assert_array_equal(faces.images[row].ravel(), np.array(table["Image"][row].split(" "), np.uint8))
    asked = read_test(find_file(folder, "test"), side=KAGGLE_SIDE)
    lookup = read_lookup(find_file(folder, "IdLookupTable"), KAGGLE, asked.image_ids)
    names = np.array(KAGGLE.columns)[lookup.keypoint.astype(int) * 2 + lookup.axis]
    table = pd.read_csv(find_file(folder, "IdLookupTable"))
    assert names.tolist() == table["FeatureName"].tolist()
    assert asked.image_ids[lookup.face].tolist() == table["ImageId"].tolist()
