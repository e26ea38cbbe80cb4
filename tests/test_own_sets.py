"""A keypoint set of the user's, from its label file to predictions in the pixels of its images, and which stages its settings concern."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from fresh import nursery_of_provenances, run
from PIL import Image

NAMES = ("left_dot", "right_dot", "top", "base")
SMALL = (
    *("--TrainBase-epochs=1", "--TrainBase-fewest=0", "--TrainSpecialist-epochs=1", "--TrainSpecialist-fewest=0"),
    *("--Augment-copies=1", "--Augment-side=32", "--Load-side=64"),
)


def shape(rng, width, height):
    """Four keypoints in an image of this size, float64 (4, 2), pixels."""
    centre, angle, size = rng.uniform(0.35, 0.65, 2) * [width, height], rng.uniform(-0.3, 0.3), rng.uniform(8, 12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return centre + size * np.array([[1, -0.2], [-1, -0.2], [0, -1.2], [0, 0.9]]) @ turn.T


def draw(path: Path, points, width, height):
    """A picture with a blob of its own grey level at each keypoint."""
    y, x = np.mgrid[:height, :width] + 0.5
    levels = [90, 140, 190, 255]
    blobs = [level * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8) for level, (px, py) in zip(levels, points, strict=True)]
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.clip(sum(blobs), 0, 255).astype(np.uint8)).save(path)


def luigi(*arguments):
    """`luigi --module pipeline` in a fresh process."""
    return run("-m", "luigi", "--module", "pipeline", *arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """48 labelled pictures in images/, 3 more in new/, and labels.csv, whose integers are centres of pixels."""
    root, rng = tmp_path_factory.mktemp("set"), np.random.default_rng(0)
    lines = [",".join(["image", *(f"{name}_{axis}" for name in NAMES for axis in "xy")])]
    for number in range(48):
        points = shape(rng, 70, 50)
        draw(root / "images" / f"{number:02}.png", points, 70, 50)
        lines.append(",".join([f"images/{number:02}.png", *(f"{value - 0.5:.3f}" for value in points.ravel())]))
    for number in range(3):
        draw(root / "new" / f"{number}.png", shape(rng, 70, 50), 70, 50)
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def predicted(folder, tmp_path_factory):
    """The workspace after Predict."""
    root = tmp_path_factory.mktemp("workspace")
    done = luigi("Predict", f"--dataset-path={folder}", f"--workspace-root={root}", *SMALL)
    assert done.returncode == 0, done.stderr
    assert " px of samples of 64 x 64 after 1 epoch, with the mirror image" in done.stderr
    assert "in pixels of the original images" in done.stderr
    assert "by annotation source" not in done.stderr
    return root


def table(root, stem):
    """The rows of STEM-KEY.csv."""
    (path,) = (root / "submissions").glob(f"{stem}-*.csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_for_each_keypoint_of_each_image_without_labels(predicted):
    """The images that the label file does not mention are predicted; the columns come in the documented order."""
    rows = table(predicted, "predictions")
    assert list(rows[0])[:5] == ["image", "instance", "keypoint", "x", "y"]
    assert [(row["image"], row["keypoint"]) for row in rows] == [(f"new/{n}.png", name) for n in range(3) for name in NAMES]
    assert {row["instance"] for row in rows} == {"1"}
    assert all(0 <= float(row["x"]) <= 70 for row in rows)


def test_labels_of_held_out_images_are_those_of_the_file(folder, predicted):
    """Through crop and stored side and back, in the pixel convention of the label format."""
    with (folder / "labels.csv").open(newline="") as file:
        labels = {row["image"]: row for row in csv.DictReader(file)}
    rows = table(predicted, "heldout")
    assert len(rows) == 4 * len({row["image"] for row in rows}) > 0
    for row in rows:
        assert float(row["label_x"]) == pytest.approx(float(labels[row["image"]][f"{row['keypoint']}_x"]), abs=2e-3)
        assert float(row["label_y"]) == pytest.approx(float(labels[row["image"]][f"{row['keypoint']}_y"]), abs=2e-3)
        apart = np.hypot(float(row["x"]) - float(row["label_x"]), float(row["y"]) - float(row["label_y"]))
        assert float(row["distance"]) == pytest.approx(apart, abs=2e-3)


@pytest.mark.parametrize("flag", ["--Predict-folds=3", "--Load-validation-share=0.2", "--Load-fold=1"])
def test_a_fixed_validation_part_is_not_divided_again(folder, tmp_path, flag):
    """Folds would all be the same, so the flag is refused before anything runs."""
    split = tmp_path / "split.csv"
    split.write_text("image,part\n" + "".join(f"images/{n:02}.png,{'validation' if n < 8 else 'training'}\n" for n in range(48)))
    done = luigi("Predict", f"--dataset-path={folder}", f"--workspace-root={tmp_path / 'work'}", f"--dataset-split={split}", *SMALL, flag)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert flag.split("=")[0] in done.stderr
    assert "fix the validation part (8 images). Leave it out." in done.stderr
    assert not list(tmp_path.rglob("*.h5"))


def test_messages_say_which_pixels_they_mean(predicted, folder):
    """The nets' RMSE is in pixels of the stored samples, the result in pixels of the images; one source is not listed on its own."""
    said = run("-m", "pipeline", "compare", "TrainBase", "Predict", f"--workspace-root={predicted}", f"--dataset-path={folder}", *SMALL)
    assert said.returncode == 0, said.stderr
    rows = table(predicted, "heldout")
    squares = [(float(row[axis]) - float(row[f"label_{axis}"])) ** 2 for row in rows for axis in "xy"]
    (own,) = (line.split() for line in said.stdout.splitlines() if line.startswith("all keypoints"))
    assert float(own[3]) == pytest.approx(np.sqrt(np.mean(squares)), abs=2e-3)
    assert f"{len(rows) // len(NAMES)} validation samples" in said.stdout


def test_an_experiment_in_different_units_is_refused(folder, tmp_path):
    """RMSEs of trainings are in pixels of the samples, whose size a variation changes; predictions can be compared."""
    plan = tmp_path / "plan.toml"
    plan.write_text('name = "sides"\nquestion = "How large?"\nepochs = 1\nseeds = [0]\n\n[grid]\nLoad.side = [32, 64]\n')
    done = luigi("Experiment", f"--Experiment-file={plan}", f"--dataset-path={folder}", f"--workspace-root={tmp_path / 'work'}")
    assert done.returncode != 0
    assert "the RMSE of TrainBase is in pixels of the samples, whose size Load.side changes" in done.stderr
    assert "Traceback" not in done.stderr


def test_annotate_predicts_what_predict_does(folder, predicted, tmp_path):
    """For the same images, in pixels of the photograph whose first is from 0 to 1; the skeleton of the set is drawn."""
    toml = tmp_path / "keypoints.toml"
    toml.write_text('skeleton = [["top", "base"]]\n')
    photos = [str(folder / "new" / f"{number}.png") for number in range(3)]
    (nets,) = (predicted / "submissions").glob("predictions-*.h5")
    out = tmp_path / "out"
    done = run(
        "-m", "pipeline", "annotate", *photos, f"--nets={nets}", f"--out={out}", f"--dataset-path={folder}", f"--dataset-keypoints={toml}"
    )
    assert done.returncode == 0, done.stderr
    assert "3 instances in 3 of 3 photographs" in done.stdout
    with (out / "keypoints.csv").open(newline="") as file:
        annotated = {
            (Path(row["photo"]).name, name): [float(row[f"{name}_{axis}"]) for axis in "xy"]
            for row in csv.DictReader(file)
            for name in NAMES
        }
    for row in table(predicted, "predictions"):
        x, y = annotated[Path(row["image"]).name, row["keypoint"]]
        assert (x, y) == pytest.approx((float(row["x"]) + 0.5, float(row["y"]) + 0.5), abs=0.011)


def test_a_pack_predicts_what_its_workspace_does(folder, predicted, tmp_path, monkeypatch):
    """In an empty folder, without home: table and pictures have the same bytes, and the skeleton of the set is drawn."""
    toml, photos = tmp_path / "keypoints.toml", [str(folder / "new" / f"{number}.png") for number in range(3)]
    toml.write_text('skeleton = [["top", "base"]]\n')
    (nets,) = (predicted / "submissions").glob("predictions-*.h5")
    run_of_it, pack = (f"--nets={nets}", f"--dataset-path={folder}", f"--dataset-keypoints={toml}"), tmp_path / "dots.h5"
    done = run("-m", "pipeline", "pack", f"--out={pack}", *run_of_it)
    assert done.returncode == 0, done.stderr
    assert run("-m", "pipeline", "annotate", *photos, *run_of_it, f"--out={tmp_path / 'one'}").returncode == 0
    monkeypatch.delenv("HOME")
    done = run("-m", "pipeline", "annotate", *photos, f"--nets={pack}", f"--out={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    one, two = ({file.name: file.read_bytes() for file in (tmp_path / place).iterdir()} for place in ("one", "two"))
    assert len(one) == 4
    assert one == two


@pytest.fixture(scope="module")
def keys():
    """The keys of the stages of Predict by address, as a function of the folder of the set, of a workspace and of a keypoints.toml."""
    with nursery_of_provenances() as computed:

        def of(folder, root, toml=""):
            file = root / "keypoints.toml"
            file.write_text(toml)
            found = computed(f"--dataset-path={folder}", f"--workspace-root={root}", f"--dataset-keypoints={file}")
            return {address: provenance["key"] for address, provenance in found.items()}

        yield of


@pytest.fixture(scope="module")
def keys_before(keys, folder, tmp_path_factory):
    """Those of the set with nothing but two groups."""
    return keys(folder, tmp_path_factory.mktemp("before"), GROUPS)


GROUPS = '[groups]\ndots = ["left_dot", "right_dot"]\nrest = ["top", "base"]\n'


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        ("# a comment\n" + GROUPS, set()),
        ('normalise = {pair = ["top", "base"]}\n' + GROUPS, {"Predict"}),
        ('skeleton = [["top", "base"]]\n' + GROUPS, set()),
        ('name = "dots"\n' + GROUPS, set()),
        ('detector = "face"\n' + GROUPS, set()),
        ('origin = "lower-left"\n' + GROUPS, {"all"}),
        (GROUPS + '[sources]\nlabels = ["left_dot", "right_dot", "top", "base"]\nwide = ["left_dot", "right_dot"]\n', {"all"}),
        ("mirror = []\n" + GROUPS, {"all"}),
        ('names = ["left_dot", "right_dot", "base", "top"]\n' + GROUPS, {"all"}),
        ('group-by = "(.*)\\\\d.png"\n' + GROUPS, {"all"}),
        ('[groups]\ndots = ["left_dot", "right_dot"]\nrest = ["top"]\nbase_of = ["base"]\n', {"TrainSpecialist:rest", "Predict"}),
    ],
    ids=["comment", "normalise", "skeleton", "name", "detector", "origin", "sources", "mirror", "names", "group-by", "groups"],
)
def test_a_value_of_keypoints_toml_concerns_the_stages_that_use_it(keys, keys_before, folder, tmp_path, changed, stale):
    """A reworded comment concerns none; what Load uses concerns all that are made from it."""
    before, after = keys_before, keys(folder, tmp_path, changed)
    common = before.keys() & after.keys()
    different = {address for address in common if before[address] != after[address]}
    companions = {"LearningCurves"}
    assert different - companions == (common - companions if stale == {"all"} else stale)


def test_a_new_image_to_predict_retrains_nothing(keys, folder, tmp_path):
    """It concerns LoadTest and what needs it."""
    copy = tmp_path / "set"
    shutil.copytree(folder, copy)
    root = tmp_path / "workspace"
    root.mkdir()
    before = keys(copy, root)
    shutil.copy(copy / "new" / "0.png", copy / "new" / "9.png")
    after = keys(copy, root)
    assert {address for address in before if before[address] != after[address]} == {"LoadTest", "Predict"}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--dataset-format=cocoo"], "did you mean coco?"),
        (["--dataset-keypoints=none.toml"], "none.toml"),
        (["--dataset-split=none.csv"], "none.csv"),
        (["--dataset-test=none"], "none"),
    ],
)
def test_a_mistyped_setting_is_one_sentence(folder, tmp_path, flags, said):
    """Nothing is trained, and the code is that of missing files or a failed stage."""
    done = luigi("Predict", f"--dataset-path={folder}", f"--workspace-root={tmp_path}", *SMALL, *flags)
    assert done.returncode in (20, 30)
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert not list(tmp_path.rglob("*.h5"))


def test_marks_of_missing_labels_stop_the_run(folder, tmp_path):
    """A net would learn them like any others."""
    copy = tmp_path / "set"
    shutil.copytree(folder, copy)
    header, *rows = (copy / "labels.csv").read_text().splitlines()
    marked = [",".join([row.split(",")[0], "-1", "-1", *row.split(",")[3:]]) for row in rows[:9]]
    (copy / "labels.csv").write_text("\n".join([header, *marked, *rows[9:]]) + "\n")
    done = luigi("Load", f"--dataset-path={copy}", f"--workspace-root={tmp_path / 'workspace'}")
    assert done.returncode == 30
    assert "9 of 48 labels of left_dot are at (-1, -1), as if that marked missing ones" in done.stderr


def test_an_interrupt_while_labels_are_read_leaves_no_traceback(folder, tmp_path):
    """That happens before the first stage runs."""
    code = (
        "import sys, luigi, pipeline\n"
        "from pipeline.tasks import sections\n"
        "def stop(asked): raise KeyboardInterrupt\n"
        "sections.defined = stop\n"
        f"sys.argv = ['luigi', 'Load', '--dataset-path', {str(folder)!r}, '--workspace-root', {str(tmp_path)!r}]\n"
        "luigi.run()\n"
    )
    done = run("-c", code)
    assert done.returncode not in (0, 1)
    assert "Traceback" not in done.stderr


def test_settings_of_own_sets_are_refused_for_drawn_faces(tmp_path):
    """They would have no effect."""
    done = luigi("Load", "--dataset-path=rendered", f"--workspace-root={tmp_path}", "--dataset-format=coco")
    assert done.returncode != 0
    assert "--dataset-format coco has an effect only for a keypoint set of your own" in done.stderr
    done = luigi("Load", "--dataset-path=rendered", f"--workspace-root={tmp_path}", "--Load-channels=colour")
    assert "--Load-side, --Load-limit, --Load-sequences and --Load-channels have an effect" in done.stderr


def test_code_of_a_label_format_concerns_only_its_sets():
    """No stage contains the reader of any format but that of its own set, not even Kaggle's, which is the first."""
    import pipeline
    from pipeline.data.formats.catalogue import FORMATS, KAGGLE
    from pipeline.store.keys.fingerprints import fingerprint

    readers = {f"data/formats/{name}.py" for name in (*FORMATS, KAGGLE)}
    for stage in (pipeline.Load, pipeline.LoadTest, pipeline.Augment, pipeline.TrainBase, pipeline.TrainSpecialist, pipeline.Predict):
        assert not readers & fingerprint(stage).keys(), stage
        assert "data/formats/coco.py" in fingerprint(stage, ("pipeline.data.formats.coco",))
