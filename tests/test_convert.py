"""Labels from one label format to another and back."""

import importlib.util
import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from labelsets import SETS, draw

from pipeline.commands import main
from pipeline.data import conversion
from pipeline.data.formats.catalogue import FORMATS, format_module
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Instance, LabelledImage, Labels, Reading
from pipeline.errors import InputError

EXISTING = [name for name in FORMATS if importlib.util.find_spec(f"pipeline.data.formats.{name}")]
NAMES = ("1", "2", "3")
NAN = np.nan


def instance(image: str, number: int, *points: tuple[float, float], occluded: tuple[int, ...] = (), **more) -> Instance:
    """An instance whose keypoints are at centres of pixels, as formats of whole pixels need it."""
    hidden = np.isin(np.arange(len(points)), occluded)
    return Instance(image, str(number), np.array(points, np.float64), hidden, place="by hand", **more)


@pytest.fixture
def folder(tmp_path) -> Folder:
    """A folder with three images of 40 x 30 pixels."""
    draw(tmp_path / "set", "a.png", "b.png", "c.png")
    return Folder(tmp_path / "set")


def labels_of(*instances: Instance, **more) -> Labels:
    """Labels of the images a, b and c."""
    images = tuple(LabelledImage(f"{letter}.png") for letter in "abc")
    return Labels("by hand", ("by hand",), NAMES, images, instances, **more)


SIMPLE = labels_of(
    instance("a.png", 1, (3.5, 4.5), (20.5, 21.5), (7.5, 25.5)),
    instance("b.png", 1, (1.5, 2.5), (NAN, NAN), (30.5, 0.5)),
    instance("c.png", 1, (39.5, 29.5), (10.5, 11.5), (12.5, 13.5)),
)
BOXES = ["3 boxes"]  # which some formats add around the keypoints and others cannot hold
RICH = labels_of(
    instance("a.png", 1, (3.5, 4.5), (20.5, 21.5), (7.5, 25.5), occluded=(1,), box=(2.0, 3.0, 30.0, 25.0)),
    instance("a.png", 2, (30.5, 4.5), (31.5, 21.5), (32.5, 25.5), box=(28.0, 3.0, 6.0, 25.0)),
    instance("b.png", 1, (1.5, 2.5), (NAN, NAN), (30.5, 0.5), box=(0.0, 0.0, 31.0, 3.0)),
    skeleton=(("1", "2"), ("2", "3")),
)


def target(folder: Path, name: str) -> Path:
    """A path for labels in a format."""
    return folder / f"{name}{conversion.SUFFIXES.get(name, '')}"


@pytest.mark.parametrize(("one", "other"), list(product(EXISTING, EXISTING)))
def test_there_and_back(one, other, folder, tmp_path):
    """Labels in any format, written in any other and read again in the first, have their coordinates, and nothing else is lost."""
    conversion.converted(SIMPLE, folder, one, target(tmp_path, one))
    first = conversion.read_again(SIMPLE, folder, one, target(tmp_path, one))
    (tmp_path / "other").mkdir()
    assert conversion.converted(first, folder, other, target(tmp_path / "other", other)) in ([], BOXES)
    there = conversion.read_again(first, folder, other, target(tmp_path / "other", other))
    (tmp_path / "back").mkdir()
    assert conversion.converted(there, folder, one, target(tmp_path / "back", one)) in ([], BOXES)
    back = conversion.read_again(there, folder, one, target(tmp_path / "back", one))
    for again in (first, there, back):
        assert [found.image for found in again.instances] == ["a.png", "b.png", "c.png"]
        assert np.allclose(again.keypoints(), SIMPLE.keypoints(), rtol=0, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("name", EXISTING)
def test_what_a_format_has_no_place_for_is_said(name, folder, tmp_path):
    """Boxes, occlusion, a second instance, an image without labels and the skeleton are read again, or were said to be lost."""
    try:
        said = " ".join(conversion.converted(RICH, folder, name, target(tmp_path, name)))
    except InputError:
        return
    again = conversion.read_again(RICH, folder, name, target(tmp_path, name))
    kept = {
        "box": all(found.box for found in again.instances),
        "occluded": any(found.occluded.any() for found in again.instances),
        "instance": len(again.instances) == 3,
        "without labels": len(again.images) == 3,
        "skeleton": bool(again.skeleton),
    }
    assert {word: word in said for word in kept} == {word: not there for word, there in kept.items()}


@pytest.mark.parametrize("name", sorted(set(SETS) & set(EXISTING)))
def test_the_same_format_gives_the_same_bytes(name, tmp_path):
    """Where nothing changes, the label files are copied byte by byte."""
    SETS[name](tmp_path / "set")
    folder = Folder(tmp_path / "set")
    files = format_module(name).find(folder)
    out = tmp_path / ("out" if len(files) > 1 else "out" + Path(files[0]).suffix)
    assert main(["convert", str(folder.root), "--to", name, "--out", str(out)]) == 0
    for file in files:
        assert (out / file if len(files) > 1 else out).read_bytes() == folder.path(file).read_bytes()


@pytest.mark.parametrize("name", sorted(set(SETS) & set(EXISTING)))
def test_the_command_writes_another_format(name, tmp_path, capsys):
    """The written file, beside the images, is read as the same labels; no images are copied."""
    SETS[name](tmp_path / "set")
    out = tmp_path / "set" / "labels.tps"
    before = format_module(name).read(Folder(tmp_path / "set"), format_module(name).find(Folder(tmp_path / "set")), Reading())
    sources = conversion.sources_of(before)
    before = conversion.of_source(before, sources[0]) if sources else before
    assert main(["convert", str(tmp_path / "set"), "--to", "tps", "--out", str(out), *(("--source", sources[0]) if sources else ())]) == 0
    if any(image.embedded for image in before.images):
        assert "The images are inside " in capsys.readouterr().out
        return
    again = format_module("tps").read(Folder(tmp_path / "set"), ("labels.tps",), Reading())
    assert np.allclose(again.keypoints(), before.keypoints(), rtol=0, atol=1e-6, equal_nan=True)
    assert "labels.tps (tps)" in capsys.readouterr().out


def csv_set(folder: Path) -> Path:
    """A set with two annotators."""
    SETS["wide_csv"](folder)
    (folder / "labels.csv").unlink()
    for who, x in (("junior", 3), ("senior", 4)):
        (folder / f"train_{who}.csv").write_text(f"image,nose_x,nose_y,tail_x,tail_y\na.png,{x},4,20,21.5\nb.png,{x},8,9,10\n")
    return folder


def test_annotation_sources_are_never_mixed(tmp_path, capsys):
    """Two annotators of one image would be two instances in most formats, so one of them is to be chosen."""
    folder = csv_set(tmp_path / "set")
    arguments = ["convert", str(folder), "--to", "tps", "--out", str(tmp_path / "a.tps")]
    assert main(arguments) == 2
    assert "annotation sources junior, senior. Choose one with --source." in capsys.readouterr().err
    assert main([*arguments, "--source", "senor"]) == 2
    assert "did you mean senior?" in capsys.readouterr().err
    assert main([*arguments, "--source", "senior"]) == 0
    assert (tmp_path / "a.tps").read_text().count("LM=2") == 2


def test_a_folder_has_a_file_for_each_annotation_source(tmp_path):
    """Tables keep annotators apart if the output is a folder."""
    folder = csv_set(tmp_path / "set")
    (folder / "keypoints.toml").write_text('names = ["snout", "end"]\n')
    assert main(["convert", str(folder), "--to", "wide_csv", "--out", str(tmp_path / "out")]) == 0
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["junior.csv", "senior.csv"]
    assert "snout_x" in (tmp_path / "out" / "junior.csv").read_text()


@pytest.mark.parametrize("kind", ["file", "folder", "link to nothing"])
def test_nothing_is_overwritten(kind, tmp_path, capsys):
    """A path at which there is something is refused, and stays as it was."""
    SETS["wide_csv"](tmp_path / "set")
    out = tmp_path / "out.tps"
    {"file": lambda: out.write_text("mine"), "folder": out.mkdir, "link to nothing": lambda: out.symlink_to("nowhere")}[kind]()
    assert main(["convert", str(tmp_path / "set"), "--to", "tps", "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert kind != "file" or out.read_text() == "mine"


@pytest.mark.parametrize("error", [InputError("no place."), RuntimeError("other coordinates"), KeyboardInterrupt()], ids=repr)
def test_nothing_half_written_remains(error, tmp_path, monkeypatch):
    """If writing ends early, in whatever way, neither the output nor a draft of it remains."""
    SETS["wide_csv"](tmp_path / "set")

    def write(labels, folder, out):
        out.write_text("half")
        raise error

    monkeypatch.setattr(format_module("tps"), "write", write)
    before = sorted(tmp_path.rglob("*"))
    arguments = ["convert", str(tmp_path / "set"), "--to", "tps", "--out", str(tmp_path / "out.tps")]
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError):
            main(arguments)
    else:
        assert main(arguments) in (2, 130)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "cocoo", "--out", "out.json"], "did you mean coco?"),
        (["--to", "tps", "--out", "out.csv"], "tps is a file that ends in .tps"),
        (["--to", "labelme", "--out", "out.json"], "labelme is a folder of label files"),
        (["--to", "tps", "--out", "set/a.png/out.tps"], "could not be written"),
        (["--to", "tps", "--out", "out.tps", "--TrainBase-epochs", "3"], "--TrainBase-epochs=3 selects a run"),
        (["--to", "tps", "--out", "out.tps", "--format", "yolo"], "yolo"),
        (["--to", "tps", "--out", "out.tps", "--source", "me"], "the labels are of one source"),
    ],
    ids=[
        "unknown format",
        "wrong suffix",
        "a file for a folder",
        "a file in the way",
        "a flag of a run",
        "not in this format",
        "no source",
    ],
)
def test_what_cannot_be_converted_is_one_sentence(arguments, said, tmp_path, monkeypatch, capsys):
    """The exit code is 2, and the message says what is wrong."""
    monkeypatch.chdir(tmp_path)
    SETS["wide_csv"](tmp_path / "set")
    draw(tmp_path / "set", "a.png")
    shutil.rmtree(tmp_path / "set" / "images")
    draw(tmp_path / "set", "b.png")
    assert main(["convert", "set", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_moved_keypoints_are_a_failure(folder, tmp_path, monkeypatch):
    """A format that writes other coordinates than it reads is found out before the output is at its place."""
    module = format_module("tps")
    write = module.write
    moved = labels_of(*(instance(one.image, 1, *(one.keypoints + 1).tolist()) for one in SIMPLE.instances))
    monkeypatch.setattr(module, "write", lambda labels, folder, out: write(moved, folder, out))
    with pytest.raises(RuntimeError, match=r"up to 1 px from their places"):
        conversion.converted(SIMPLE, folder, "tps", tmp_path / "a.tps")


@pytest.fixture
def predictions(tmp_path) -> Path:
    """Predictions for a set of TPS files, in which y grows upwards from the lower edge of images of 40 x 30 pixels."""
    draw(tmp_path / "set", "a.png", "sub/b.png")
    (tmp_path / "set" / "labels.tps").write_text("LM=2\n3 4\n20 21.5\nIMAGE=a.png\nID=0\n")
    lines = ["image,instance,keypoint,x,y,deviation", "sub/b.png,1,1,3.5,4.5,1", "sub/b.png,1,2,20.25,30,1", "a.png,7,2,5,6,1"]
    path = tmp_path / "predictions-0123456789.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_predictions_are_converted(predictions, tmp_path, capsys):
    """They are in the convention of the set's label format; the written ones are in that of the other format."""
    out = tmp_path / "out.json"
    assert main(["convert", str(predictions), "--to", "coco", "--out", str(out), "--dataset-path", str(tmp_path / "set")]) == 0
    shutil.copy(out, tmp_path / "set" / "out.json")
    again = format_module("coco").read(Folder(tmp_path / "set"), ("out.json",), Reading())
    by_image = {one.image: one.keypoints for one in again.instances}
    assert np.allclose(by_image["sub/b.png"], [(3.5, 25.5), (20.25, 0)])
    assert np.allclose(by_image["a.png"], [(NAN, NAN), (5, 24)], equal_nan=True)
    assert "2 instances in 2 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("a.png,7", "c.png,7", "line 4: there is no image c.png"),
        ("1,2,20.25", "1,3,20.25", "line 3: the set has no keypoint '3'"),
        ("1,2,20.25", "1,1,20.25", "line 3: the keypoint 1 of this instance is there already"),
        ("20.25", "x", "line 3"),
    ],
    ids=["image", "keypoint", "twice", "number"],
)
def test_predictions_of_another_set_are_refused(old, new, said, predictions, tmp_path, capsys):
    """The message names the row."""
    predictions.write_text(predictions.read_text().replace(old, new))
    assert (
        main(["convert", str(predictions), "--to", "tps", "--out", str(tmp_path / "o.tps"), "--dataset-path", str(tmp_path / "set")]) == 2
    )
    assert said in capsys.readouterr().err


def test_predictions_belong_to_the_set_of_the_last_run(predictions, tmp_path, monkeypatch, capsys):
    """Without --dataset-path the set is that of the last run; without a run, the message says how to name it."""
    monkeypatch.chdir(tmp_path)
    arguments = ["convert", predictions.name, "--to", "tps", "--out", "out.tps"]
    assert main(arguments) == 2
    assert "Name the folder of the set with --dataset-path." in capsys.readouterr().err
    (tmp_path / "models").mkdir()
    entry = {"event": "run", "time": "2026-01-01T00:00:00", "arguments": ["Predict", "--dataset-path", "set"], "folder": str(tmp_path)}
    (tmp_path / "models" / "runs.jsonl").write_text(json.dumps(entry) + "\n")
    assert main(arguments) == 0
    assert (tmp_path / "out.tps").read_text().count("LM=2") == 2


@pytest.mark.parametrize(("sources", "code"), [("only only only", 0), ("junior junior senior", 2)], ids=["one", "two"])
def test_held_out_predictions_may_have_sources(sources, code, predictions, tmp_path):
    """Their column is looked at only if there are several."""
    header, *lines = predictions.read_text().splitlines()
    lines = [f"{line},{source}" for line, source in zip(lines, sources.split(), strict=True)]
    predictions.write_text("\n".join([f"{header},source", *lines]))
    assert (
        main(["convert", str(predictions), "--to", "tps", "--out", str(tmp_path / "o.tps"), f"--dataset-path={tmp_path / 'set'}"]) == code
    )
