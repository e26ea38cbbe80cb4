"""Which edit makes which stages of the real chain stale, and how the reason is reported."""

import re
import shutil

import pytest
from fresh import ROOT, changed, nursery_of_provenances, provenances

from pipeline.keypoints.kaggle import KAGGLE
from pipeline.store.keys import provenance

SPECIALISTS = {f"TrainSpecialist:{group}" for group in KAGGLE.groups}
LAST = {"LearningCurves", "Predict"}
NETS = {"TrainBase", *SPECIALISTS, *LAST}
DATA = {"Load", "Augment", *NETS}
TEST = {"LoadTest", "Predict"}
EVERYTHING = DATA | TEST
SETTINGS = "[TrainBase]\nepochs = 20\nbatch = 32\n[Augment]\ncopies = 8\n"


class Project:
    """A copy of the package with its luigi.cfg, and three data files, of which the keys use only the bytes."""

    def __init__(self, root):
        self.root, self.files = root, root / "faces"
        shutil.copytree(ROOT / "pipeline", root / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
        (root / "luigi.cfg").write_text((ROOT / "luigi.cfg").read_text() + SETTINGS)
        self.files.mkdir()
        (self.files / "training.csv").write_text("nose_tip_x,nose_tip_y,Image\n48.5,57.25,0 1 2 3\n47.0,58.0,7 7 7 7\n")
        (self.files / "test.csv").write_text("ImageId,Image\n1,9 9 9 9\n")
        (self.files / "IdLookupTable.csv").write_text("RowId,ImageId,FeatureName,Location\n1,1,nose_tip_x,\n")
        self.flags = (f"--dataset-path={self.files}",)
        self.before = self.provenances()

    def provenances(self, *flags):
        """As a fresh process computes them."""
        return provenances(*(flags or self.flags), cwd=self.root)

    def edit(self, name, change):
        """Rewrites a file and returns a function that restores it."""
        path = self.root / name
        text = path.read_text()
        assert change(text) != text
        path.write_text(change(text))
        return lambda: path.write_text(text)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def after_edits(project):
    """Computes the provenances after an edit of a file that no process reads when it starts."""
    with nursery_of_provenances(project.root) as computed:
        yield lambda *flags: computed(*(flags or project.flags))


def replaced(old, new):
    def change(text):
        assert old in text
        return text.replace(old, new, 1)

    return change


def in_run_of(stage):
    """An additional statement in the `run` of a stage, or in the method of a training that its `run` calls."""
    return lambda text: re.sub(
        rf"(class {stage}\(.*?def (?:run|_job)\(self\)[^\n]*:\n)", r"\1        assert self\n", text, count=1, flags=re.DOTALL
    )


def one_more_function(text):
    return text + "\n\ndef added():\n    return 0\n"


@pytest.mark.parametrize(
    ("name", "change", "stale", "reason"),
    [
        ("faces/training.csv", replaced("48.5", "48.6"), DATA, "training.csv changed"),
        ("faces/training.csv", replaced("0 1 2 3", "0 1 2 4"), DATA, "training.csv changed"),
        ("faces/training.csv", lambda text: "\n".join([(lines := text.split())[0], *lines[:0:-1]]), DATA, "training.csv changed"),
        ("faces/test.csv", replaced("9 9 9 9", "9 9 9 8"), TEST, "test.csv changed"),
        ("faces/IdLookupTable.csv", replaced("_x", "_y"), TEST, "IdLookupTable.csv changed"),
        ("luigi.cfg", replaced("epochs = 20", "epochs = 30"), NETS, "epochs 20 -> 30"),
        ("luigi.cfg", lambda text: text + "[TrainSpecialist]\nmargin = 24/96\n", SPECIALISTS | LAST, "margin 0.1875 -> 0.25"),
        ("luigi.cfg", replaced("copies = 8", "copies = 9"), {"Augment", *NETS}, "copies 8 -> 9"),
        ("luigi.cfg", replaced(SETTINGS, "[Augment]\ncopies = 8\n[TrainBase]\nbatch = 32\nepochs = 20\n"), set(), None),
        ("pipeline/tasks/data.py", in_run_of("Load"), DATA, "code of tasks.data.Load changed"),
        ("pipeline/tasks/training.py", in_run_of("TrainBase"), NETS, "code of tasks.training.TrainBase changed"),
        ("pipeline/tasks/results.py", in_run_of("LearningCurves"), {"LearningCurves"}, "code of tasks.results.LearningCurves changed"),
        ("pipeline/tasks/results.py", in_run_of("Predict"), {"Predict"}, "code of tasks.results.Predict changed"),
        ("pipeline/data/duplicates.py", one_more_function, EVERYTHING, "code of data/duplicates.py changed"),
        ("pipeline/geometry/augmentation.py", one_more_function, {"Augment", *NETS}, "code of geometry/augmentation.py changed"),
        ("pipeline/nets/training.py", one_more_function, NETS, "code of nets/training.py changed"),
        ("pipeline/nets/samples.py", one_more_function, NETS, "code of nets/samples.py changed"),
        ("pipeline/geometry/alignment.py", one_more_function, NETS, "code of geometry/alignment.py changed"),
        ("pipeline/geometry/affine.py", one_more_function, {"Augment", *NETS}, "code of geometry/affine.py changed"),
        ("pipeline/results/curves.py", one_more_function, {"LearningCurves"}, "code of results/curves.py changed"),
        ("pipeline/results/submission.py", one_more_function, {"Predict"}, "code of results/submission.py changed"),
        ("pipeline/data/formats/pixels.py", one_more_function, EVERYTHING, "code of data/formats/pixels.py changed"),
        ("pipeline/nets/schedules.py", one_more_function, NETS, "code of nets/schedules.py changed"),
        ("pipeline/store/workspace/files.py", one_more_function, set(), None),
        ("pipeline/nets/training.py", lambda text: text + "\n# A comment.\n", set(), None),
        ("pipeline/nets/training.py", replaced('"""', '"""Otherwise said: '), set(), None),
        ("pipeline/nets/training.py", lambda text: re.sub(r"^( +)return ", r"\1return   ", text, flags=re.MULTILINE), set(), None),
    ],
    ids=[
        "label",
        "pixel",
        "row order",
        "pixel of a test face",
        "lookup table",
        "parameter",
        "parameter of the specialists",
        "parameter of the augmentation",
        "order of keys in luigi.cfg",
        "code of Load",
        "code of TrainBase",
        "code of LearningCurves",
        "code of Predict",
        "helper of Load",
        "helper of Augment",
        "helper of the nets",
        "copies",
        "alignment",
        "affine maps",
        "helper of the curves",
        "helper of Predict",
        "two imports from Load",
        "two imports from the nets",
        "store",
        "comment",
        "docstring",
        "formatting",
    ],
)
def test_an_edit(project, after_edits, name, change, stale, reason):
    """Exactly the stages that an edit affects, and what is made from them, become stale; the first of them gives the reason in one line."""
    undo = project.edit(name, change)
    after = project.provenances() if name == "luigi.cfg" else after_edits()
    undo()
    assert changed(project.before, after) == stale
    if stale:
        first = next(address for address in after if address in stale)
        assert provenance.differences(after[first], project.before[first]) == [reason]


def test_an_edit_while_a_process_runs(project, after_edits):
    """It gives the keys that a process has that starts after the edit."""
    undo = project.edit("pipeline/nets/training.py", one_more_function)
    running, started = after_edits(), project.provenances()
    undo()
    assert running == started


def test_code_of_the_drawn_faces(project, after_edits):
    """It counts only where the faces are drawn."""
    before = after_edits("--dataset-path=rendered")
    undo = project.edit("pipeline/data/synthetic/portrait.py", one_more_function)
    own, drawn = after_edits(), after_edits("--dataset-path=rendered")
    undo()
    assert changed(project.before, own) == set()
    assert changed(before, drawn) == {"Render", *EVERYTHING}


def test_a_file_date(project, after_edits):
    """The modification time is not part of a key."""
    path = project.files / "training.csv"
    path.write_bytes(path.read_bytes())
    assert changed(project.before, after_edits()) == set()


@pytest.mark.parametrize(("package", "stale"), [("keras", NETS), ("tensorflow", NETS), ("numpy", set())])
def test_the_version_of_a_package(project, monkeypatch, package, stale):
    """Only the versions of Keras and its backend count, in stages that train or predict and in what is made from them."""
    metadata = project.root / f"{package}-9.9.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 9.9\n")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    after = project.provenances()
    shutil.rmtree(metadata.parent)
    assert changed(project.before, after) == stale
    reasons = provenance.differences(after["TrainBase"], project.before["TrainBase"])
    assert reasons == ([f"{package} {provenance.version(package)} -> 9.9"] if stale else [])


def test_another_backend(project, monkeypatch):
    """It affects the stages that train or predict, and what is made from them."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    after = project.provenances()
    assert changed(project.before, after) == NETS
    assert provenance.differences(after["TrainBase"], project.before["TrainBase"]) == ["backend tensorflow -> jax"]
