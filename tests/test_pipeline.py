"""The chain as a user runs it: in fresh processes, on drawn faces, small by parameter values alone."""

import hashlib
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fresh import ROOT, first_command, provenances, run

from pipeline.data.synthetic.rendered import write_kaggle_files
from pipeline.keypoints.kaggle import KAGGLE, SIDE

SMALL = (
    "--Render-training=80",
    "--Render-test=9",
    "--Augment-copies=2",
    "--TrainBase-epochs=2",
    "--TrainSpecialist-epochs=1",
)


def luigi(*arguments):
    """A finished `luigi --module pipeline ARGUMENTS`."""
    return run("-m", "luigi", "--module", "pipeline", *arguments)


def hashes(workspace):
    """SHA-256 of every artifact and published file of a workspace, by its relative path."""
    files = [path for path in workspace.rglob("*") if path.suffix in (".h5", ".csv", ".png")]
    return {path.relative_to(workspace).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A workspace in which the README's first command ran, smaller by parameter values alone, and what it printed."""
    workspace = tmp_path_factory.mktemp("workspace")
    program, *words = first_command()
    assert program == ".venv/bin/luigi"
    result = run("-m", "luigi", *words, f"--workspace-root={workspace}", *SMALL)
    assert result.returncode == 0, result.stderr
    return workspace, result.stderr


@pytest.mark.keras
@pytest.mark.slow
class TestChain:
    def test_submission_answers_the_lookup_table(self, chain):
        """One row for each row of the lookup table, in its order, every location inside the image."""
        workspace, _ = chain
        submission = pd.read_csv(next((workspace / "submissions").glob("submission-rendered-*.csv")))
        lookup = pd.read_csv(next((workspace / "data").glob("render-*.IdLookupTable.csv")))
        assert list(submission.columns) == ["RowId", "Location"]
        assert submission.RowId.tolist() == lookup.RowId.tolist()
        assert submission.Location.between(0, SIDE).all()

    def test_last_words(self, chain):
        """The run ends by naming the submission, the learning curves and the validation RMSE beside the mean shape."""
        workspace, said = chain
        last = said.strip().splitlines()[-4:]
        assert any(str(workspace / "submissions" / "submission-rendered-") in line for line in last)
        assert any(".png" in line for line in last)
        assert "validation RMSE" in last[-1]
        assert "mean shape" in last[-1]

    def test_shows_progress(self, chain):
        """Stage, epoch, RMSE in pixels and time left are shown while it runs."""
        assert "TrainBase: epoch 1/2, RMSE training" in chain[1]
        assert "left" in chain[1]

    def test_artifact_of_predict(self, chain):
        """Predictions of all validation and test faces, of specialists and base net, and their RMSE for each group."""
        from pipeline.results.predictions import Predictions
        from pipeline.store.hdf5 import artifacts

        workspace, _ = chain
        content = artifacts.load(next((workspace / "submissions").glob("*.h5")), Predictions)
        assert content.test.shape == content.test_base.shape == (9, 15, 2)
        assert content.validation.shape == content.validation_base.shape == content.validation_truth.shape == (8, 15, 2)
        assert content.group_rmse.shape == content.group_rmse_base.shape == (6,)
        known = ~np.isnan(content.validation_truth)
        error = (content.validation - content.validation_truth)[known]
        assert content.rmse == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)

    def test_a_specialist_sees_a_window_or_the_whole_face(self, chain, tmp_path):
        """By default an input of its own size, brought there by its window; with view = face the image. Both have a validation RMSE."""
        from pipeline.nets.trained import Trained
        from pipeline.store.hdf5 import artifacts

        workspace, _ = chain
        shutil.copytree(workspace, tmp_path, dirs_exist_ok=True)
        (windowed,) = (tmp_path / "models").glob("trainspecialist-nose_tip-*.h5")
        flags = ("--dataset-path=rendered", f"--workspace-root={tmp_path}", "--TrainSpecialist-view=face", *SMALL)
        result = luigi("TrainSpecialist", "--group=nose_tip", *flags)
        assert result.returncode == 0, result.stderr
        (whole,) = set((tmp_path / "models").glob("trainspecialist-nose_tip-*.h5")) - {windowed}
        window, face = (artifacts.load(path, Trained) for path in (windowed, whole))
        assert (face.side, face.window) == (SIDE, None)
        assert window.window.shape == (2, 3)
        assert window.side % 16 == 0
        assert window.side < SIDE
        for net in (window, face):
            assert net.history.epoch.tolist() == [1]
            assert 0 < net.rmse < 50

    @pytest.mark.parametrize("what", [("TrainBase", "--face=80"), ("TrainSpecialist:mouth", "--test-face=9")])
    def test_a_net_can_be_watched_at_work(self, chain, tmp_path, what):
        """A picture of the activations of a base net and of a specialist, for a labelled face and one of the test faces."""
        workspace, _ = chain
        code = "import sys; from pipeline.commands import main; sys.exit(main())"
        flags = ("--dataset-path=rendered", f"--workspace-root={workspace}", *SMALL)
        result = run("-c", code, "activations", *what, f"--out={tmp_path}/a.png", *flags)
        assert (result.returncode, result.stdout) == (0, f"wrote {tmp_path}/a.png\n"), result.stderr
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")

    def test_annotate_uses_its_nets(self, chain, tmp_path):
        """`keypoints annotate` draws and lists what this chain's nets say, also of another folder's photograph; it trains nothing."""
        from PIL import Image
        from skimage.data import astronaut

        workspace, _ = chain
        before = hashes(workspace)
        Image.fromarray(astronaut()).save(tmp_path / "a.png")
        flags = ("--dataset-path=rendered", f"--workspace-root={workspace}", *SMALL)
        arguments = ("annotate", tmp_path / "a.png", "--box=177,70,94,94", "--out", tmp_path / "out", *flags)
        result = run("-c", "import sys; from pipeline import commands; sys.exit(commands.main())", *map(str, arguments))
        assert result.returncode == 0, result.stderr
        assert "predicting: net 7/7" in result.stderr
        assert "These nets were trained only on synthetic faces." in result.stdout
        table = pd.read_csv(tmp_path / "out" / "keypoints.csv")
        keypoints = table[list(KAGGLE.columns)].to_numpy().reshape(15, 2)
        # Nets of one or two epochs: all that is certain is that they answer within what they see, the box and a margin around it.
        assert np.ptp(keypoints, axis=0).min() > 1
        assert (np.abs(keypoints - (224, 117)) < 94).all()
        assert hashes(workspace) == before

    def test_two_results_side_by_side(self, chain, tmp_path):
        """`keypoints compare` tells what differs between base nets of two seeds, how well each does, and draws both curves."""
        workspace, _ = chain
        shutil.copytree(workspace, tmp_path / "w", dirs_exist_ok=True)
        (first,) = (tmp_path / "w" / "models").glob("trainbase-*.h5")
        flags = ("--dataset-path=rendered", f"--workspace-root={tmp_path}/w", *SMALL)
        assert luigi("TrainBase", *flags, "--TrainBase-seed=1").returncode == 0
        code = "import sys; from pipeline import commands; sys.exit(commands.main())"
        key = first.stem.split("-")[1]
        two = ("compare", f"trainbase@{key}", "TrainBase", f"--out={tmp_path}/a.png")
        result = run("-c", code, *two, *flags, "--TrainBase-seed=1")
        assert result.returncode == 0, result.stderr
        assert "TrainBase: seed 0 -> 1" in result.stdout
        assert "8 validation samples that both share" in result.stdout
        assert "mouth_center_top_lip" in result.stdout
        assert "95 % interval" in result.stdout
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
        same = run("-c", code, "compare", "Predict", "Predict", *flags)
        assert "Both have the same provenance." in same.stdout
        assert "no difference seen" in same.stdout
        wrong = run("-c", code, "compare", "Predict", "Load", *flags)
        assert (wrong.returncode, wrong.stdout.count("validation RMSE")) == (2, 0)
        assert "is neither a training nor a prediction" in wrong.stderr

    def test_an_experiment_compares_trainings(self, chain, tmp_path):
        """Table, CSV, figure and artifact, the best first; one that diverges is an outcome; again, nothing is trained."""
        workspace, _ = chain
        shutil.copytree(workspace, tmp_path / "w", dirs_exist_ok=True)
        text = 'name = "rates"\nepochs = 1\n[settings]\nTrainBase.optimizer = "sgd"\n[grid]\nTrainBase.learning_rate = [1e30, 0.1]\n'
        (tmp_path / "rates.toml").write_text(text)
        flags = ("--dataset-path=rendered", f"--workspace-root={tmp_path}/w", *SMALL)
        result = luigi("Experiment", f"--file={tmp_path}/rates.toml", "--workers=2", *flags)
        assert result.returncode == 0, result.stderr
        (table,) = (tmp_path / "w" / "models").glob("experiment-rates-*.csv")
        rows = pd.read_csv(table)
        assert rows.variation.tolist() == ["learning rate 0.1", "learning rate 1e+30"]
        assert rows.ended.tolist()[1] == "diverged"
        assert rows["seed 0"].notna().tolist() == [True, False]
        assert table.with_suffix(".png").exists()
        again = luigi("Experiment", f"--file={tmp_path}/rates.toml", *flags)
        assert "Nothing to do" in again.stderr
        (tmp_path / "wrong.toml").write_text(text.replace("learning_rate", "learning_rat"))
        wrong = luigi("Experiment", f"--file={tmp_path}/wrong.toml", *flags)
        assert wrong.returncode == 40
        assert "wrong.toml: override TrainBase-learning_rat: there is no such parameter" in wrong.stderr

    def test_again_does_nothing_and_imports_no_tensorflow(self, chain):
        """A finished chain is re-checked without Keras, TensorFlow, pandas or matplotlib, and every file stays as it is."""
        workspace, _ = chain
        before = {path: path.stat().st_mtime_ns for path in workspace.rglob("*.h5")}
        code = (
            "import sys; sys.argv = sys.argv[:1] + sys.argv[1:]\n"
            "from luigi.cmdline import luigi_run\n"
            "try: luigi_run()\n"
            "except SystemExit as end: assert not end.code, end.code\n"
            "print([name for name in ('keras', 'tensorflow', 'pandas', 'matplotlib', 'h5py') if name in sys.modules])"
        )
        arguments = ["--module", "pipeline", "Predict", "--dataset-path=rendered", f"--workspace-root={workspace}", *SMALL]
        result = run("-c", code, *arguments)
        assert result.returncode == 0, result.stderr
        assert result.stdout.strip() == "[]"
        assert "Nothing to do" in result.stderr
        assert before == {path: path.stat().st_mtime_ns for path in workspace.rglob("*.h5")}

    def test_report(self, chain, tmp_path, capsys):
        """From a finished chain the page is made without TensorFlow; a lost page is made again, beside an artifact of the same bytes."""
        from pipeline import commands

        workspace, _ = chain
        shutil.copytree(workspace, tmp_path, dirs_exist_ok=True)
        flags = ["--dataset-path=rendered", f"--workspace-root={tmp_path}", *SMALL]
        made = []
        for _ in range(2):
            result = run("-X", "importtime", "-m", "luigi", "--module", "pipeline", "Report", *flags)
            assert result.returncode == 0, result.stderr
            assert not re.search(r"\| +(keras|tensorflow)$", result.stderr, flags=re.MULTILINE)
            (page,) = (tmp_path / "submissions").glob("report-*.html")
            assert f"Report: {page}" in result.stderr
            made.append(page.with_suffix(".h5").read_bytes())
            text = page.read_text()
            page.unlink()
        assert made[0] == made[1]
        (submission,) = (tmp_path / "submissions").glob("submission-rendered-*.h5")
        assert submission.stem.removeprefix("submission-rendered-") in text
        assert "CPU, " in text
        # What looks at the workspace knows the report from now on.
        assert commands.main(["status", *flags]) == 1
        assert capsys.readouterr().out.splitlines()[-2].startswith("Report ")

    def test_neither_workers_nor_memory_change_a_byte(self, chain, tmp_path):
        """Two specialists trained at a time, no array of images in memory: every artifact has the bytes of the ordinary run.

        The other specialists are those of that run.
        """
        workspace, _ = chain
        (tmp_path / "models").mkdir()
        for group in KAGGLE.groups.keys() - {"mouth", "nose_tip"}:
            (path,) = (workspace / "models").glob(f"trainspecialist-{group}-*.h5")
            shutil.copy(path, tmp_path / "models")
        options = ["--workers=2", "--memory-images=0"]
        result = luigi("Predict", "--dataset-path=rendered", f"--workspace-root={tmp_path}", *options, *SMALL)
        assert result.returncode == 0, result.stderr
        assert "Ran 9 stages in " in result.stderr
        assert hashes(tmp_path) == hashes(workspace)


class TestInterface:
    def test_a_full_disk_while_images_wait_there(self, tmp_path):
        """Images beyond the limit wait in a file; where that has no room the stage says so, and nothing is left."""
        write_kaggle_files(tmp_path / "files", KAGGLE, side=SIDE, training=60, test=6, seed=0)
        small = "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))"
        code = f"import resource, sys; from luigi.cmdline import luigi_run; {small}; luigi_run(sys.argv[1:])"
        flags = [f"--dataset-path={tmp_path}/files", f"--workspace-root={tmp_path}/w", "--memory-images=0"]
        result = run("-c", code, "--module", "pipeline", "Load", *flags)
        assert result.returncode == 30
        assert re.search(r"Load failed: .*/data/load-\w+\.h5 could not be written: file too large\. .*Raise that limit\.", result.stderr)
        assert "Traceback" not in result.stderr
        assert not list((tmp_path / "w").rglob("*load*"))

    def test_overrides_give_two_variations(self):
        """Overrides handed down the chain give two variations of TrainBase in one process, on the same data."""
        from pipeline import Predict

        tasks = Predict(), Predict(overrides={"TrainBase": {"epochs": 3}})
        plain, varied = (task.requires()["chains"][0] for task in tasks)
        assert varied["base"].epochs == 3
        assert plain["base"].epochs != 3
        assert plain["base"].path != varied["base"].path
        assert tasks[0].task_id != tasks[1].task_id
        assert plain["faces"] is varied["faces"]

    def test_only_whole_faces_come_from_augment(self):
        """A specialist that sees the face trains on Augment's copies; one with a window draws its own and does not need them."""
        from pipeline import TrainSpecialist

        face = TrainSpecialist(group="mouth", overrides={"TrainSpecialist": {"view": "face"}})
        assert set(TrainSpecialist(group="mouth").requires()) == {"faces", "base"}
        assert set(face.requires()) == {"faces", "base", "copies"}
        assert TrainSpecialist(group="mouth").key != face.key

    def test_each_group_has_as_many_windows_in_an_epoch(self):
        """Of nine faces to train on three have a mouth: each is named three times. All have a nose tip: once. No held-out face is named."""
        from pipeline import TrainSpecialist
        from pipeline.geometry import alignment
        from pipeline.nets.samples import Labelled
        from pipeline.nets.sight import AlignedWindow

        n, target = 12, np.random.default_rng(0).uniform(20, 76, (len(KAGGLE.names), 2)).astype(np.float32)
        keypoints = np.tile(target, (n, 1, 1))
        keypoints[3:9, KAGGLE.indices("mouth")] = np.nan
        held_out = np.arange(n) >= 9
        images, source = np.zeros((n, SIDE, SIDE), np.uint8), np.zeros(n, np.int8)
        labelled, aligning = Labelled(images, keypoints, source, held_out), alignment.aligning(keypoints[:, :3], target[:3])
        for group, rows in (("mouth", [0, 1, 2] * 3), ("nose_tip", list(range(9)))):
            indices = KAGGLE.indices(group)
            window = alignment.window(target, indices, margin=18.0, extent=64.0, zoom=1.0)
            job = SimpleNamespace(labelled=labelled, indices=indices, sight=AlignedWindow(window, aligning), keypointset=KAGGLE)
            with TrainSpecialist(group=group)._versions(job) as versions:
                assert versions.rows.tolist() == rows

    def test_folds_are_as_many_chains(self):
        """Each fold of Predict has another part held out, and its nets are trained on the same data; one fold is the plain chain."""
        from pipeline import Predict, TrainBase

        chains = Predict(folds=3).requires()["chains"]
        assert [chain["faces"].fold for chain in chains] == [0, 1, 2]
        assert {round(1 / chain["faces"].validation_share) for chain in chains} == {3}
        assert len({chain["base"].path for chain in chains}) == 3
        for chain in chains:
            assert chain["base"].requires()["faces"] is chain["faces"]
            assert {specialist.requires()["base"] for specialist in chain["specialists"].values()} == {chain["base"]}
        (plain,) = Predict().requires()["chains"]
        assert plain["base"] is TrainBase()

    def test_the_report_follows_from_its_template_and_no_submission_from_it(self):
        """Its page is another when the template or the style is edited; it reads the first chain's nets and all chains' faces."""
        from pipeline import Predict, Report

        found = Report(overrides={"Predict": {"folds": 2}})
        assert set(Report().provenance["files"]) == {"report.html", "parts.html", "report.css", "report.js"}
        assert [faces.fold for faces in found.requires()["faces"]] == [0, 1]
        first = Predict(folds=2).requires()["chains"][0]
        assert found.requires()["nets"] == {"base": first["base"], **first["specialists"]}
        assert found.requires()["copies"] is first["base"].requires()["copies"]
        assert not any(name.startswith("results/report") for name in Predict().provenance["code"])

    @pytest.mark.parametrize(
        ("parameters", "size", "stored"),
        [({}, 250, True), ({}, 251, False), ({"copies": 0}, 1, False), ({"limit": 0}, 1, False), ({"copies": 2}, 2000, True)],
    )
    def test_versions_that_are_too_many_are_drawn_anew(self, parameters, size, stored):
        """By default 16 versions are stored of faces of up to 250 MB, which are then 4000 MB; with 0 copies there are never any."""
        from pipeline import Augment

        assert Augment(**parameters).stores(10, size * 10**6) == stored

    @pytest.mark.parametrize(("own", "samples", "stored"), [(True, 2047, False), (True, 2048, True), (False, 1, True)])
    def test_versions_of_a_small_set_of_the_users_are_not_stored(self, monkeypatch, own, samples, stored):
        """Each sample occurs several times in an epoch, so the trainings draw the versions; Kaggle's faces are stored in any number."""
        from pipeline import Augment
        from pipeline.tasks import data

        augment = Augment()
        monkeypatch.setattr(data, "dataset", lambda: SimpleNamespace(is_own=own))
        assert augment.stores(samples, samples) == stored

    def test_auto_and_its_usual_value_have_the_same_key(self):
        """For drawn faces nothing is chosen from the data."""
        from pipeline import Augment

        assert Augment().key == Augment(rotation=20, side="96").key != Augment(rotation=19).key

    def test_the_artifact_of_drawn_versions_has_an_example(self):
        """It has 16 versions of the face with the most labels; otherwise the versions of all faces are stored."""
        from pipeline import Augment

        images, labels = np.arange(5, dtype=np.uint8).repeat(256).reshape(5, 16, 16), np.full((5, 3, 2), np.nan, np.float32)
        labels[3] = 7
        anew, every = Augment(copies=0), Augment(copies=4)
        shown, own = anew._stored(images, labels)
        assert (anew._count, shown.shape, shown.min(), own.tolist()) == (16, (1, 16, 16), 3, labels[3:4].tolist())
        assert (every._count, len(every._stored(images, labels)[0])) == (4, 5)

    def test_import_is_light(self):
        """`import pipeline` leaves the heavy packages alone."""
        heavy = ("keras", "tensorflow", "matplotlib", "pandas", "h5py", "sklearn", "skimage")
        code = f"import sys, pipeline; print([name for name in {heavy} if name in sys.modules])"
        result = run("-c", code)
        assert result.stdout.strip() == "[]"

    def test_missing_file(self, tmp_path):
        """Where one of Kaggle's files is missing the run stops with code 20, names it, and says how to get it."""
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "test.csv").write_text("ImageId,Image\n")
        result = luigi("Predict", f"--workspace-root={tmp_path}")
        assert result.returncode == 20
        assert "training.csv does not exist. Put training.csv or training.zip" in result.stderr
        assert "Traceback" not in result.stderr
        assert not list(tmp_path.rglob("*.h5"))

    def test_bad_pixel(self, tmp_path):
        """Bad input ends in one sentence that names file, row and column, with code 30 and no artifact but that of the test faces."""
        header = ",".join([*KAGGLE.columns, "Image"])
        row = ",".join(["40"] * len(KAGGLE.columns))
        pixels = ["7"] * SIDE**2
        pixels[5] = "300"
        (tmp_path / "training.csv").write_text(f"{header}\n{row},{' '.join(pixels)}\n")
        (tmp_path / "test.csv").write_text(f"ImageId,Image\n1,{' '.join(['7'] * SIDE**2)}\n")
        (tmp_path / "IdLookupTable.csv").write_text("RowId,ImageId,FeatureName,Location\n1,1,nose_tip_x,\n")
        result = luigi("Predict", f"--dataset-path={tmp_path}", f"--workspace-root={tmp_path}")
        assert result.returncode == 30
        assert "Traceback" not in result.stderr
        assert "training.csv, row 1 (line 2), column Image" in result.stderr.splitlines()[-2]
        assert "300" in result.stderr.splitlines()[-2]
        assert [path.name.split("-")[0] for path in tmp_path.rglob("*.h5")] == ["loadtest"]

    def test_dependency_tree(self, tmp_path):
        """`luigi-deps-tree` shows every stage of the chain."""
        result = run("-m", "luigi.tools.deps_tree", "--module", "pipeline", "Predict", f"--workspace-root={tmp_path}")
        for stage in ("Render", "Load", "Augment", "TrainBase", "TrainSpecialist", "LearningCurves", "Predict"):
            assert f"[{stage}-" in result.stdout

    @pytest.mark.parametrize("preset", sorted((ROOT / "configs").glob("*.cfg")), ids=lambda path: path.name)
    def test_presets_are_valid(self, preset, monkeypatch):
        """Every preset in configs/ has known sections, keys and values only."""
        monkeypatch.setenv("LUIGI_CONFIG_PATH", str(preset))
        assert provenances()

    @pytest.mark.parametrize("flag", ["--TrainBase-epochs=many", "--TrainBase-epochs=0", "--TrainBase-network=vgg", "--Load-clean=maybe"])
    def test_bad_parameter(self, flag, tmp_path):
        """A bad value is one sentence that names the flag, without a traceback."""
        result = luigi("Predict", f"--workspace-root={tmp_path}", flag)
        assert result.returncode == 40
        assert "Traceback" not in result.stderr
        assert flag.split("=")[0] in result.stderr.strip().splitlines()[-1]
