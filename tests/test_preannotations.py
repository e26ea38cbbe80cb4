"""Predictions as pre-annotations: what DeepLabCut, CVAT, Label Studio and COCO's tools import, with the points where they belong."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from labelsets import SETS, read

from pipeline.commands import main
from pipeline.data.formats.catalogue import format_module
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Labels, Reading
from pipeline.errors import InputError

TARGETS = {"deeplabcut": "out.csv", "cvat": "out.xml", "label_studio": "out", "coco": "out.json"}
# Sets whose label formats place keypoints differently: counted from 1, from the lower left, from the edge, and at centres of pixels.
SOURCES = ("pts", "tps", "cvat", "coco")


def tps(folder: Path) -> None:
    """A set in which y grows upwards."""
    SETS["wide_csv"](folder)
    (folder / "labels.csv").unlink()
    (folder / "labels.tps").write_text("LM=2\n3 4\n20 21.5\nIMAGE=a.png\nID=0\n")


def written(folder: Path, source: str, *, scores: bool = True, name: str = "predictions-0123456789.csv") -> tuple[Path, pd.DataFrame]:
    """A set of this format, and a file with two samples to predict, in the convention of the format."""
    {**SETS, "tps": tps}[source](folder / "set")
    names, images = read(source, folder / "set").names, Folder(folder / "set").images[:2]
    rows = [(image, str(index + 5), keypoint) for index, image in enumerate(images) for keypoint in names]
    table = pd.DataFrame(rows, columns=["image", "instance", "keypoint"])
    rng = np.random.default_rng(0)
    table["x"], table["y"] = rng.uniform(2, 38, len(rows)).round(3), rng.uniform(2, 28, len(rows)).round(3)
    if scores:
        table["score"] = np.linspace(0.5, 1, len(rows)).round(3)
        table["expected_error"] = np.linspace(0.1, 9.5, len(rows)).round(3)
    table.to_csv(folder / name, index=False)
    return folder / name, table


def convert(path: Path, to: str, *more: str) -> tuple[int, Path]:
    """The exit code of `keypoints convert`, and the path that it writes."""
    out = path.parent / TARGETS[to]
    return main(["convert", str(path), "--dataset-path", str(path.parent / "set"), "--to", to, "--out", str(out), *more]), out


def again(folder: Path, to: str, out: Path) -> Labels:
    """The written file, read beside the images of the set."""
    place = folder / "set" / out.name
    out.rename(place)
    files = (out.name,) if place.is_file() else tuple(f"{out.name}/{path.name}" for path in sorted(place.iterdir()))
    return format_module(to).read(Folder(folder / "set"), files, Reading(predictions=True))


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
def test_points_are_where_they_were_predicted(source, to, tmp_path):
    """Each convention is converted to each other: read again and converted back, the coordinates are those of the file to 0.001 px."""
    path, table = written(tmp_path, source)
    code, out = convert(path, to)
    assert code == 0
    found, convention = again(tmp_path, to, out), format_module(source).CONVENTION
    assert [one.image for one in found.instances] == list(dict.fromkeys(table["image"]))
    for one, (_, rows) in zip(found.instances, table.groupby("image", sort=False), strict=True):
        back = convention.outwards(one.keypoints[[found.names.index(name) for name in rows["keypoint"]]], 30)
        assert np.allclose(back, rows[["x", "y"]], rtol=0, atol=1e-3)


def test_label_studio_gets_predictions(tmp_path):
    """A task has predictions with the model's name and a score, and each region its own; there is no annotation of a person."""
    path, table = written(tmp_path, "pts")
    _, out = convert(path, "label_studio")
    first, _ = json.loads((out / "tasks.json").read_text())
    (prediction,) = first["predictions"]
    assert "annotations" not in first
    assert prediction["model_version"] == "predictions-0123456789"
    assert prediction["score"] == pytest.approx(table["score"][:3].mean())
    assert [region["score"] for region in prediction["result"]] == table["score"][:3].tolist()
    assert 100 * (table["x"][0] - 0.5) / 40 == pytest.approx(prediction["result"][0]["value"]["x"])
    with pytest.raises(InputError, match="has only predictions, which are not labels"):
        format_module("label_studio").read(Folder(tmp_path / "set", ""), (f"../{out.name}/tasks.json",), Reading())


def test_scores_are_not_invented(tmp_path):
    """Without a column of scores the files have none."""
    path, _ = written(tmp_path, "pts", scores=False)
    _, tasks = convert(path, "label_studio")
    _, annotations = convert(path, "coco")
    assert '"score"' not in (tasks / "tasks.json").read_text() + annotations.read_text()


def test_cocos_annotations_are_results(tmp_path):
    """Images have sizes, the category its name, names and skeleton; annotations have box, area and score around their keypoints."""
    path, table = written(tmp_path, "coco")
    _, out = convert(path, "coco")
    content = json.loads(out.read_text())
    (category,), first = content["categories"], content["annotations"][0]
    assert [(image["width"], image["height"]) for image in content["images"]] == [(40, 30)] * 2
    assert (category["name"], category["keypoints"], category["skeleton"]) == ("animal", ["nose", "tail"], [[1, 2]])
    x, y = table["x"][:2], table["y"][:2]
    assert first["bbox"] == pytest.approx([x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1])
    assert first["area"] == pytest.approx(first["bbox"][2] * first["bbox"][3])
    assert first["score"] == pytest.approx(table["score"][:2].mean())
    assert first["id"] == 5


def test_images_keep_the_numbers_that_they_are_named_by(tmp_path):
    """COCO's own images are numbered by their names, so that results refer to the same images as COCO's labels."""
    path, _ = written(tmp_path, "pts")
    (tmp_path / "set" / "b_2.pts").unlink()
    for old, new in (("a", "000000000139"), ("b_1", "000000000285")):
        for suffix in (".png", ".pts"):
            (tmp_path / "set" / f"{old}{suffix}").rename(tmp_path / "set" / f"{new}{suffix}")
        path.write_text(path.read_text().replace(f"{old}.png", f"{new}.png"))
    _, out = convert(path, "coco")
    assert [image["id"] for image in json.loads(out.read_text())["images"]] == [139, 285]


def test_cvat_gets_the_skeleton_of_the_project(tmp_path):
    """The label of the skeleton is that of the label files, because CVAT refuses others; shapes say that no person has drawn them."""
    path, _ = written(tmp_path, "cvat")
    _, out = convert(path, "cvat")
    root = ET.parse(out).getroot()
    assert {skeleton.get("label") for skeleton in root.iter("skeleton")} == {"mouse"}
    assert {shape.get("source") for tag in ("skeleton", "points") for shape in root.iter(tag)} == {"auto"}
    assert [name.text for name in root.iterfind("meta//label/name")] == ["mouse", "left", "right"]


def test_deeplabcut_gets_a_table_of_labels(tmp_path):
    """DeepLabCut's convertcsv2h5 reads three header rows and paths under labeled-data; a column likelihood would be one of predictions."""
    path, table = written(tmp_path, "deeplabcut")
    _, out = convert(path, "deeplabcut")
    found = pd.read_csv(out, index_col=0, header=[0, 1, 2])
    assert found.index.tolist() == ["labeled-data/v/img1.png", "labeled-data/v/img2.png"]
    assert found.columns.names == ["scorer", "bodyparts", "coords"]
    assert {scorer for scorer, *_ in found.columns} == {"predictions-0123456789"}
    assert set(found.columns.get_level_values("coords")) == {"x", "y"}
    assert found.to_numpy().ravel().tolist() == table[["x", "y"]].to_numpy().ravel().tolist()


def test_a_table_without_predictions_names_the_other(tmp_path, capsys):
    """Without images to predict there are only predictions for held-out samples."""
    path, _ = written(tmp_path, "pts")
    held_out = tmp_path / "heldout-0123456789.csv"
    held_out.write_text(path.read_text())
    path.write_text(path.read_text().splitlines()[0])
    assert convert(path, "coco")[0] == 2
    assert f"Those for held-out samples are in {held_out}." in capsys.readouterr().err
    assert convert(held_out, "coco")[0] == 0


@pytest.mark.parametrize(("score", "said"), [("1.5", "score is 1.5, not a number from 0 to 1"), ("high", "score is 'high', not a number")])
def test_a_score_is_checked(score, said, tmp_path, capsys):
    """The message names the line."""
    path, _ = written(tmp_path, "pts")
    path.write_text(path.read_text().replace(",0.5,", f",{score},", 1))
    assert convert(path, "coco")[0] == 2
    message = capsys.readouterr().err
    assert "line 2" in message
    assert said in message


def test_predictions_beside_the_images_are_pointed_out(tmp_path, capsys):
    """In the folder of the set, the written file is the labels of the next run."""
    path, _ = written(tmp_path, "pts")
    arguments = ["convert", str(path), "--dataset-path", str(tmp_path / "set"), "--to", "coco", "--out"]
    assert main([*arguments, str(tmp_path / "elsewhere.json")]) == 0
    assert "next run" not in capsys.readouterr().out
    assert main([*arguments, str(tmp_path / "set" / "out.json")]) == 0
    assert "the next run takes these predictions for labels" in capsys.readouterr().out


@pytest.fixture
def run_of(tmp_path, monkeypatch):
    """A function that logs a finished run of Predict in the current folder, whose table is given."""

    def logged(table: Path) -> None:
        monkeypatch.chdir(tmp_path)
        place = tmp_path / "submissions" / table.name
        for folder in ("models", "submissions"):
            (tmp_path / folder).mkdir()
        table.rename(place)
        place.with_suffix(".h5").touch()
        run = {"event": "run", "run": "1", "time": "2026-01-01T00:00:00", "folder": str(tmp_path)}
        run["arguments"] = ["Predict", "--dataset-path", "set"]
        end = {"event": "end", "run": "1", "time": "2026-01-01T00:00:00"}
        end["artifacts"] = {"Predict": f"submissions/{place.with_suffix('.h5').name}"}
        (tmp_path / "models" / "runs.jsonl").write_text(f"{json.dumps(run)}\n{json.dumps(end)}\n")

    return logged


@pytest.mark.parametrize("what", ["Predict", "predict@0123", "01234", "submissions/predictions-0123456789.h5"])
def test_predictions_are_named_as_artifacts_are(what, run_of, tmp_path, capsys):
    """The stage means its last finished run; a key and the artifact mean their table. The set is that of the run."""
    run_of(written(tmp_path, "pts")[0])
    assert main(["convert", what, "--to", "coco", "--out", "out.json"]) == 0
    assert "2 instances in 2 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "said"),
    [("Predict", "is a submission to Kaggle"), ("Predict@9999", "0 artifacts"), ("TrainBase", "TrainBase does not exist")],
    ids=["kaggle", "key", "stage"],
)
def test_what_has_no_predictions_is_one_sentence(what, said, run_of, tmp_path, capsys):
    """The exit code is 2, and the message names it."""
    path, _ = written(tmp_path, "pts")
    path.write_text("RowId,Location\n1,2.5\n")
    run_of(path)
    assert main(["convert", what, "--to", "coco", "--out", "out.json"]) == 2
    assert said in capsys.readouterr().err


def test_flags_of_a_run_need_a_run(tmp_path, capsys):
    """The labels of a set are of no run, so a flag that selects one would have no effect."""
    SETS["pts"](tmp_path / "set")
    arguments = ["convert", str(tmp_path / "set"), "--to", "coco", "--out", str(tmp_path / "out.json"), "--Predict-folds", "3"]
    assert main(arguments) == 2
    assert "selects a run, but the labels of a set belong to none" in capsys.readouterr().err
