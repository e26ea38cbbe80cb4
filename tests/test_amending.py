"""Label files with corrected values: nothing but these values differs."""

import difflib
import json
import shutil
import zipfile
from pathlib import Path

import labelsets
import numpy as np
import pytest

from pipeline.commands import main
from pipeline.data import conversion, corrected
from pipeline.data.amending.files import FINDERS
from pipeline.data.corrections import COLUMNS, LabelValue
from pipeline.data.formats.catalogue import format_module
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Instance, LabelledImage, Labels
from pipeline.keypoints.kaggle import KAGGLE

HEADER = ",".join(COLUMNS)
POINTS = np.array([[3.5, 4.5], [20.5, 21.5]])


@pytest.fixture(params=sorted(FINDERS))
def name(request):
    """The name of each format whose files are texts."""
    return request.param


class Converted:
    """A set in a format, and its label files after corrections."""

    def __init__(self, name, folder):
        self.name, self.folder, self.form = name, folder, format_module(name).CONVENTION
        labelsets.SETS[name](folder / "set")
        self.labels = labelsets.read(name, folder / "set")

    def value(self, at, k):
        """The value of a keypoint in the format's own pixels."""
        one = self.labels.instances[at]
        x, y = self.form.outwards(one.keypoints[k], labelsets.SIZE[1]).tolist()
        return LabelValue.at(x, y, occluded=bool(one.occluded[k]))

    def write(self, *changes):
        """Corrects values, converts the set into its own format, and returns the label files. A change: instance, keypoint, value."""
        places = {at: place for place, at in corrected.named(self.labels).items()}
        lines = [f"{','.join(places[at])},{self.labels.names[k]},{self.value(at, k)},{new},,," for at, k, new in changes]
        (self.folder / "corrections.csv").write_text("\n".join([HEADER, *lines, ""]))
        self.out = self.folder / ("out" if len(self.labels.files) > 1 else f"out{Path(self.labels.files[0]).suffix}")
        flags = [f"--workspace-root={self.folder}", "--out", str(self.out)]
        assert main(["convert", str(self.folder / "set"), "--to", self.name, *flags]) == 0
        found = {file: (self.out / file if self.out.is_dir() else self.out).read_bytes().decode("latin-1") for file in self.labels.files}
        self.again = self.read()
        return found

    def read(self):
        """The labels that the written files have."""
        for file in self.labels.files:
            shutil.copy(self.out / file if self.out.is_dir() else self.out, self.folder / "set" / file)
        return labelsets.read(self.name, self.folder / "set")


def differing(before, after):
    """What is inserted and what is deleted, as pairs of texts."""
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return [(before[a:b], after[c:d]) for kind, a, b, c, d in matcher.get_opcodes() if kind != "equal"]


def test_only_the_corrected_value_differs(name, tmp_path, capsys):
    """In one label file two numbers have changed, and each other byte is the same."""
    converted = Converted(name, tmp_path)
    at, k = next(
        (at, k) for at, one in enumerate(converted.labels.instances) for k in range(len(one.keypoints)) if not np.isnan(one.keypoints[k, 0])
    )
    old = converted.value(at, k)
    new = LabelValue(old.x + 2, old.y + 1, old.occluded)
    before = {file: (tmp_path / "set" / file).read_bytes().decode("latin-1") for file in converted.labels.files}
    after = converted.write((at, k, new))
    assert "written anew" not in capsys.readouterr().out
    changed = [file for file in before if before[file] != after[file]]
    assert len(changed) == 1
    pieces = differing(before[changed[0]], after[changed[0]])
    assert all(not (set(one + other) - set("0123456789.,")) for one, other in pieces)
    converted.labels = converted.again
    assert converted.value(at, k).same(new)


def test_missing_and_found_again(name, tmp_path, capsys):
    """A keypoint that is marked as missing is so in the written files, and gets a place again from there."""
    converted = Converted(name, tmp_path)
    at, k = next(
        (at, k)
        for at, one in enumerate(converted.labels.instances)
        for k in range(len(one.keypoints))
        if not np.isnan(one.keypoints[k, 0]) and (~np.isnan(one.keypoints[:, 0])).sum() > 1
    )
    old, before = converted.value(at, k), converted.labels
    converted.write((at, k, "missing"))
    converted.labels = conversion.in_order(converted.again, before.names)
    assert np.isnan(converted.labels.instances[at].keypoints[k]).all()
    for path in (converted.out, tmp_path / "corrections.csv"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    converted.write((at, k, LabelValue(old.x, old.y)))
    assert "written anew" not in capsys.readouterr().out
    again = conversion.in_order(converted.again, before.names)
    assert np.allclose(again.keypoints(), before.keypoints(), rtol=0, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("name", ["coco", "cvat", "labelme", "yolo"])
def test_occluded_and_visible_again(name, tmp_path, capsys):
    """In the formats that can say so, the place stays and only the mark changes."""
    converted = Converted(name, tmp_path)
    before = converted.labels
    marked = [
        (at, k, one.occluded[k]) for at, one in enumerate(before.instances) for k in range(len(before.names)) if one.keypoints[k, 0] > 0
    ]
    changes = [(at, k, converted.value(at, k)._replace(occluded=not occluded)) for at, k, occluded in marked]
    converted.write(*changes)
    assert "written anew" not in capsys.readouterr().out
    for at, k, occluded in marked:
        assert converted.again.instances[at].occluded[k] != occluded
        assert converted.again.instances[at].keypoints[k].tolist() == before.instances[at].keypoints[k].tolist()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("image,a_x,a_y\r\ni.png,3,4\r\n", "image,a_x,a_y\r\ni.png,5.5,6\r\n"),
        ("\ufeffimage;a_x;a_y;note\ni.png;3,25;4,5;x\n", "\ufeffimage;a_x;a_y;note\ni.png;5,5;6;x\n"),
        ('image,who,"a_x","a_y"\n"i.png","a ""b"",\nc","3",4\n\n', 'image,who,"a_x","a_y"\n"i.png","a ""b"",\nc","5.5",6\n\n'),
        ("image\ta_x\ta_y\ni.png\t3.00\t 4\n", "image\ta_x\ta_y\ni.png\t5.5\t6\n"),
    ],
    ids=["line ends", "decimal commas", "quotation marks", "tabs"],
)
def test_tables_keep_their_ways(before, after, tmp_path):
    """Line ends, separators, decimal commas, quotation marks, a byte order mark and a missing last line end stay."""
    labelsets.draw(tmp_path / "set", "i.png")
    (tmp_path / "set" / "t.csv").write_bytes(before.encode())
    one = labelsets.read("wide_csv", tmp_path / "set").instances[0]
    x, y = (one.keypoints[0] - 0.5).tolist()
    (tmp_path / "corrections.csv").write_text(f"{HEADER}\ni.png,1,a,{x} {y},5.5 6,,,\n")
    arguments = ["--to", "wide_csv", f"--workspace-root={tmp_path}", "--out", str(tmp_path / "out.csv")]
    assert main(["convert", str(tmp_path / "set"), *arguments]) == 0
    assert (tmp_path / "out.csv").read_bytes() == after.encode()


def test_kaggles_table(tmp_path, capsys):
    """The corrected cells differ, also in a zip file; a missing label is an empty cell. Other formats are refused in a sentence."""
    header, pixels = ",".join((*KAGGLE.columns, "Image")), " ".join(["7"] * 96 * 96)
    rows = [",".join([*[f"{40 + row + column}.50" for column in range(30)], pixels]) for row in range(3)]
    text = "\r\n".join([header, *rows, ""])
    with zipfile.ZipFile(tmp_path / "training.zip", "w") as file:
        file.writestr("training.csv", text)
    x = KAGGLE.columns.index("nose_tip_x")
    lines = [f"2,1,nose_tip,{41.5 + x} {42.5 + x},50 51.25,,,", "3,1,left_eye_center,42.5 43.5,missing,,,"]
    (tmp_path / "corrections.csv").write_text("\n".join([HEADER, *lines, ""]))
    convert = ["convert", str(tmp_path), "--to", "kaggle", f"--workspace-root={tmp_path}", "--out"]
    assert main([*convert, str(tmp_path / "out.csv")]) == 0
    assert "2 corrections of labels from" in capsys.readouterr().out
    rows[1] = rows[1].replace(f"{41 + x}.50,{42 + x}.50,", "50,51.25,")
    rows[2] = rows[2].replace("42.50,43.50,", ",,", 1)
    assert (tmp_path / "out.csv").read_bytes().decode() == "\r\n".join([header, *rows, ""])
    assert main([*convert, str(tmp_path / "out.zip")]) == 2
    assert "Kaggle's table is a file that ends in .csv" in capsys.readouterr().err


def test_other_formats_get_the_corrected_labels(tmp_path, capsys):
    """And an instance without any label left is gone, as in the labels that Load uses."""
    labelsets.draw(tmp_path / "set", "a.png", "b.png")
    (tmp_path / "set" / "t.csv").write_text("image,a_x,a_y\na.png,3,4\nb.png,5,6\n")
    (tmp_path / "c.csv").write_text(f"{HEADER}\na.png,1,a,3 4,7 8 occluded,,,\nb.png,1,a,5 6,missing,,,\n")
    flags = ["--to", "coco", "--out", str(tmp_path / "out.json"), "--dataset-corrections", str(tmp_path / "c.csv")]
    assert main(["convert", str(tmp_path / "set"), *flags]) == 0
    (one,) = json.loads((tmp_path / "out.json").read_text())["annotations"]
    assert one["keypoints"] == [7, 8, 1]
    assert "2 corrections of labels from" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["wide_csv", "deeplabcut", "coco", "labelme", "pts", "image_json", "tps"])
def test_a_sample_that_the_files_do_not_have(kind, tmp_path, capsys):
    """It is added behind what is there, in a new row, annotation or file; TPS files are written anew, which is said."""
    labelsets.draw(tmp_path / "set", "a.png")
    labels = Labels(kind, (), ("1", "2"), (LabelledImage("a.png"),), (Instance("a.png", "1", POINTS, np.zeros(2, bool)),))
    suffix = conversion.SUFFIXES.get(kind, "")
    format_module(kind).write(labels, Folder(tmp_path / "set"), tmp_path / "set" / f"t{suffix}" if suffix else tmp_path / "set")
    if kind == "deeplabcut":  # an image that the table mentions without labels
        with (tmp_path / "set" / "t.csv").open("a") as file:
            file.write("b.png,,,,\n")
    labelsets.draw(tmp_path / "set", "b.png")
    before = labelsets.read(kind, tmp_path / "set")
    lines = [f"b.png,1,{name},missing,{x} {y},,," for name, (x, y) in zip("12", [(7, 8), (9, 20)], strict=True)]
    (tmp_path / "corrections.csv").write_text("\n".join([HEADER, *lines, ""]))
    out = tmp_path / ("out" if not suffix else f"out{suffix}")
    assert main(["convert", str(tmp_path / "set"), "--to", kind, "--out", str(out), f"--workspace-root={tmp_path}"]) == 0
    assert ("written anew" in capsys.readouterr().out) == (kind == "tps")
    if not suffix:
        assert [path.stem for path in sorted(out.iterdir())] == ["a", "b"]
    for file in before.files:
        old, new = (tmp_path / "set" / file).read_text(), (out / file if out.is_dir() else out).read_text()
        assert kind == "tps" or not any(one.strip(",") for one, _ in differing(old, new))
        shutil.copy(out / file if out.is_dir() else out, tmp_path / "set" / file)
    if out.is_dir():
        shutil.copytree(out, tmp_path / "set", dirs_exist_ok=True)
    again = labelsets.read(kind, tmp_path / "set")
    assert [one.image for one in again.instances] == ["a.png", "b.png"]
    form = format_module(kind).CONVENTION
    assert form.outwards(again.instances[1].keypoints, labelsets.SIZE[1]).tolist() == [[7, 8], [9, 20]]
    assert again.instances[0].keypoints.tolist() == POINTS.tolist()
