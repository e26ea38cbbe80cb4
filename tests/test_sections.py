"""Where the faces come from: what --dataset-path may name."""

import numpy as np
import pytest
from fresh import run
from test_kaggle_files import zipped

from pipeline.data.formats.kaggle import read_training, write_training
from pipeline.data.synthetic.rendered import write_kaggle_files
from pipeline.errors import InputError
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.tasks.kaggle import PACK, are_in, files, inside
from pipeline.tasks.sections import dataset

FILES = ("training", "test", "IdLookupTable")


def luigi(*arguments):
    return run("-m", "luigi", "--module", "pipeline", *arguments)


def fill(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def paths(folder):
    """The paths of the three files as names relative to the folder."""
    tasks = files(dataset(path=str(folder)).folder())
    assert list(tasks) == list(FILES)
    return [task.path.removeprefix(f"{folder}/") for task in tasks.values()]


@pytest.mark.parametrize("path", ["", " ", "\t"])
def test_an_empty_path_is_refused(path):
    """An empty path is not the default: it comes from a variable that is not set."""
    with pytest.raises(InputError, match="--dataset-path is empty; give a folder, or leave the flag out"):
        dataset(path=path).folder()


@pytest.mark.parametrize(
    "flags",
    [
        ["--dataset-path", ""],
        ["--dataset-path="],
        ["--workspace-root", "", "--dataset-path=rendered"],
        ["--Load-seed", "", "--dataset-path=rendered"],
        ["--workers=", "--dataset-path=rendered"],
    ],
)
def test_an_empty_flag_is_refused(flags):
    """Luigi takes an empty flag for one that was not given; here the command ends in one sentence and nothing is made."""
    result = luigi("Load", *flags)
    assert result.returncode == 2
    assert result.stderr.splitlines() == [f"luigi: {flags[0].removesuffix('=')} is empty; give a value, or leave the flag out."]


def test_what_is_found_in_a_folder(tmp_path):
    """Plain or zipped files are found; all that are missing have the same advice, which names them."""
    assert paths(fill(tmp_path / "a", "training.zip", "test.csv", "IdLookupTable.csv")) == ["training.zip", "test.csv", "IdLookupTable.csv"]
    folder = fill(tmp_path / "b", "training.zip", PACK)
    assert paths(folder) == ["training.zip", "test.csv", "IdLookupTable.csv"]
    _, *missing = files(folder).values()
    assert {task.subject for task in missing} == {f"{folder}/test.csv"}
    (advice,) = {task.advice for task in missing}
    assert advice.startswith("Put test.csv or test.zip and IdLookupTable.csv of https://www.kaggle.com/")


def test_one_zip_of_all_files(tmp_path):
    """Kaggle's zip file can be named itself, or the folder that contains nothing else of the data."""
    members = {"training.zip": b"", "test.csv": "", "faces/IdLookupTable.csv": ""}
    folder = fill(tmp_path / "a")
    path = zipped(folder, members, PACK)
    assert paths(path) == [str(path)] * 3
    assert paths(folder) == [PACK] * 3
    assert [str(inside(path, stem).relative_to(path)) for stem in FILES] == list(members)
    assert inside(folder / "training.zip", "training") == folder / "training.zip"
    with pytest.raises(InputError, match=r"lacks test\.csv or test\.zip; give Kaggle's complete facial-keypoints-detection\.zip"):
        inside(zipped(tmp_path, {"training.csv": ""}), "test")


def test_the_zip_in_the_workspace(tmp_path, monkeypatch):
    """With --dataset-path auto, Kaggle's zip file in data/ of the workspace is used; an empty data/ means drawn faces."""
    monkeypatch.chdir(tmp_path)
    assert dataset(path="auto").folder() is None
    fill(tmp_path / "data")
    assert dataset(path="auto").folder() is None
    zipped(tmp_path / "data", {}, PACK)
    assert str(dataset(path="auto").folder()) == f"data/{PACK}"


def test_another_file_is_refused(tmp_path):
    """A table named instead of its folder is one sentence."""
    path = tmp_path / "training.csv"
    path.write_text("left_eye_center_x,left_eye_center_y,Image\n")
    with pytest.raises(InputError, match=r"training\.csv is a file; name the folder that contains it"):
        dataset(path=str(path)).definition()


@pytest.mark.parametrize("name", ["gone", "gone.zip"])
def test_a_missing_folder_is_one_sentence(name, tmp_path):
    """The run ends with code 20, and the folder or zip file is named once, without the warnings of Luigi."""
    result = luigi("Load", f"--dataset-path={tmp_path}/{name}", f"--workspace-root={tmp_path}")
    assert result.returncode == 20
    assert result.stderr.count("gone") == 1
    assert f"Missing: {tmp_path}/{name} does not exist. Name " in result.stderr
    assert "WARNING" not in result.stderr


def test_several_missing_files_are_one_sentence(tmp_path):
    """A folder that lacks all files is one sentence too."""
    result = luigi("Load", f"--dataset-path={fill(tmp_path / 'a')}", f"--workspace-root={tmp_path}")
    assert result.returncode == 20
    (said,) = [line for line in result.stderr.splitlines() if "not exist" in line]
    assert said.startswith(
        f"Missing: {tmp_path}/a/training.csv does not exist. Put training.csv or training.zip, test.csv or test.zip and "
    )


def test_load_says_which_groups_cannot_be_trained(tmp_path):
    """With faces of one source only, Load stops before anything is trained, and names the groups; from one zip file, as it is."""
    write_kaggle_files(tmp_path, KAGGLE, side=SIDE, training=90, test=6, seed=0)
    faces = read_training(tmp_path / "training.csv", KAGGLE, side=SIDE)
    four = np.isnan(faces.keypoints[:, 2, 0])
    write_training(tmp_path / "training.csv", KAGGLE, faces.images[four], faces.keypoints[four])
    path = zipped(tmp_path, {f"{stem}.csv": (tmp_path / f"{stem}.csv").read_bytes() for stem in FILES}, PACK)
    result = luigi("TrainBase", f"--dataset-path={path}", f"--workspace-root={tmp_path}/w")
    assert result.returncode == 30
    (said,) = [line for line in result.stderr.splitlines() if line.startswith("Load failed: ")]
    assert said.startswith("Load failed: No sample of the training part has a usable label for mouth_left_corner, ")
    assert "Traceback" not in result.stderr
    assert "TrainBase: started" not in result.stderr
    assert not list(tmp_path.rglob("*.h5"))


def test_a_table_of_another_format_may_have_kaggles_name(tmp_path):
    """What counts is the header: without Kaggle's columns, training.csv is a label file of a set of the user's."""
    (tmp_path / "training.csv").write_text("image,a_x,a_y\n1.png,1,2\n")
    assert not are_in(tmp_path)
    (tmp_path / "training.csv").write_text("left_eye_center_x,left_eye_center_y,Image\n1,2,3\n")
    assert are_in(tmp_path)
    (tmp_path / "training.csv").write_text("image,a_x,a_y\n1.png,1,2\n")
    (tmp_path / "IdLookupTable.csv").write_text("")
    assert are_in(tmp_path)
