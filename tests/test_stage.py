"""The base class of stages: overrides, companions, damaged files, killed writers, edits during a run, two workers."""

import errno
import json
import os
import re
import resource
import subprocess
import sys

import pytest
from workplace import PATIENCE, TESTS, make

from pipeline.errors import InputError, cause
from pipeline.store.hdf5 import artifacts


def test_a_chain_runs_and_a_finished_one_does_nothing(workplace):
    """The second run computes nothing and imports none of the libraries that only computing needs."""
    assert workplace.run("Total").returncode == 0
    before = {path: path.stat().st_mtime_ns for path in workplace.root.glob("*/*.h5")}
    again = workplace.run("Total", python=("-X", "importtime"))
    assert again.returncode == 0
    assert "Nothing to do" in again.stderr
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in again.stderr.splitlines() if line.startswith("import time:")}
    assert "luigi" in imported
    assert not imported & {"h5py", "numpy", "pandas", "keras", "tensorflow", "tqdm"}
    assert {path: path.stat().st_mtime_ns for path in workplace.root.glob("*/*.h5")} == before
    assert sorted(workplace.ran()) == ["Draw", "Guess", "Picture", "Scale", "Total"]


def test_two_workers_make_the_same_bytes(workplace):
    """The number of workers and Python's hash seed have no influence on the bytes."""
    contents = []
    for flags, seed in ((["--workers", "1"], "1"), (["--workers", "2"], "2")):
        assert workplace.run("Total", *flags, PYTHONHASHSEED=seed).returncode == 0
        paths = [path for path in workplace.root.glob("*/*-*.*") if path.suffix in (".h5", ".csv")]
        contents.append({path.name: path.read_bytes() for path in paths})
        assert len(paths) == 6
        for path in paths:
            path.unlink()
    assert contents[0] == contents[1]


# Overrides


def test_overrides_go_down_the_chain(workplace):
    """A value for an indirect input reaches it, and the stage computes with it."""
    plain, varied = workplace.chain()["Total"], workplace.chain(overrides={"Draw": {"size": 4}})["Total"]
    make(plain)
    make(varied)
    from chainlet import work

    # 2 x (1 + 2 + 3) + (2 + 3 + 4); then with a fourth number, 1.
    assert plain.output().load(work.Sum).value == 21
    assert varied.output().load(work.Sum).value == 25
    assert plain.path != varied.path
    assert plain.path.exists()


def test_overrides_are_pruned(workplace):
    """A value for a later stage does not affect the earlier ones, not even their task_id."""
    plain, varied = workplace.chain(), workplace.chain(overrides={"Scale": {"factor": 3}, "Total": {}})
    for address in ("Draw", "Guess"):
        assert plain[address].task_id == varied[address].task_id
        assert not varied[address].overrides
    assert varied["Picture"].overrides == {"Scale": {"factor": 3}}


def test_ancestors_are_there_once_inputs_first(workplace):
    """All stages that a stage is made from, directly or not, without itself and without companions."""
    assert [stage.address for stage in workplace.chain()["Total"].ancestors()] == ["Draw", "Scale", "Guess"]


def test_two_variations_in_one_process(workplace):
    """They are two tasks with their own ids and paths; overriding a parameter with its default is not a variation."""
    workplace.chain()
    from chainlet import Scale

    one, two, three = Scale(), Scale(overrides={"Scale": {"factor": 5}}), Scale(overrides={"Scale": {"factor": 2}})
    assert (one.factor, two.factor) == (2.0, 5.0)
    assert len({one, two}) == 2
    assert one.task_id != two.task_id
    assert one.path != two.path
    assert one == three
    assert one.key in one.task_id


def test_what_a_stage_asks_of_its_input_goes_before_overrides(workplace):
    """An input that was requested with overrides keeps them and takes the others in addition."""
    workplace.edit("tasks", '"guessed": Guess()', '"guessed": Scale(overrides={"Scale": {"factor": 7}})')
    inputs = workplace.chain(overrides={"Scale": {"factor": 3, "mode": "fancy"}, "Draw": {"size": 4}})["Total"].requires()
    assert [(task.factor, task.mode, task.requires().size) for task in (inputs["scaled"], inputs["guessed"])] == [
        (3, "fancy", 4),
        (7, "fancy", 4),
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"Scal": {"factor": 1}}, "overrides for Scal: Total uses only Draw, Guess, Picture, Scale, Total."),
        ({"Scale": {"factr": 1}}, "override Scale-factr: there is no such parameter; did you mean factor?"),
        ({"Scale": {"overrides": {}}}, "override Scale-overrides: there is no such parameter"),
        ({"Scale": {"factor": "x"}}, "--Scale-factor x: must be a number of at least 0"),
        ({"Scale": 3}, "overrides for Scale: must be {parameter: value}, not 3"),
    ],
)
def test_wrong_overrides(workplace, overrides, message):
    """Unknown stages, parameters and values are refused by name."""
    with pytest.raises(InputError) as error:
        workplace.chain(overrides=overrides)
    assert str(error.value).startswith(message)


def test_overrides_on_the_command_line(workplace):
    """Overrides are JSON on the command line; a mistake ends in one sentence."""
    assert workplace.run("Total", "--overrides", '{"Draw": {"size": 4}}').stderr.count("the sum is 25") == 1
    wrong = workplace.run("Total", "--overrides", '{"Drew": {"size": 4}}')
    assert wrong.returncode == 40
    assert "overrides for Drew: Total uses only" in wrong.stderr
    assert "Traceback" not in wrong.stderr


# Companions


def test_a_companion_is_made_along_or_by_itself(workplace):
    """A companion belongs to the stage that is run but not to its key; if only the companion is missing, only it is recomputed."""
    assert workplace.run("Total").returncode == 0
    assert "Picture" not in workplace.chain()["Total"].provenance["inputs"]
    workplace.artifact("Picture").unlink()
    assert not workplace.chain()["Total"].complete()
    again = workplace.run("Total")
    assert again.returncode == 0
    assert re.search(r"^Ran 1 stage in \d+ s:\n  Picture  \d+ s$", again.stderr, re.MULTILINE)
    assert workplace.artifact("Picture").exists()


# Damage, kills, a full disk


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "folder", "sibling gone", "sibling changed"])
def test_a_damaged_file_is_quarantined_and_recomputed(workplace, capsys, damage):
    """A damaged file is never used and never deleted."""
    scale = workplace.chain()["Scale"]
    make(scale)
    whole, csv = scale.path.read_bytes(), scale.sibling(".csv")
    spoil(scale.path, csv, damage)
    spoiled = {path.name: path.is_file() and path.read_bytes() for path in (scale.path, csv) if path.exists()}
    artifacts._verified.clear()
    capsys.readouterr()
    make(scale)
    said = capsys.readouterr().err
    assert "It is not used; its stage runs again and quarantines it." in said
    assert scale.path.read_bytes() == whole
    assert csv.read_text() == "2.0\n4.0\n6.0\n"
    for name, content in spoiled.items():
        aside = scale.path.with_name(f"{name}.damaged-1")
        assert f"kept as models/{aside.name}" in said
        assert (aside.is_file() and aside.read_bytes()) == content
    assert workplace.ran() == ["Draw", "Scale", "Scale"]


def spoil(path, csv, damage):
    whole = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "sibling gone":
        csv.unlink()
    elif damage == "sibling changed":
        csv.write_text("2.0\n4.0\n7.0\n")
    else:
        path.write_bytes({"flip": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], "truncate": whole[:-1], "empty": b""}[damage])


def test_damage_comes_twice(workplace):
    """A second damaged file does not replace the first."""
    scale = workplace.chain()["Scale"]
    make(scale)
    for number in (1, 2):
        scale.path.write_bytes(bytes(number))
        artifacts._verified.clear()
        make(scale)
        assert scale.path.with_name(f"{scale.path.name}.damaged-{number}").stat().st_size == number


@pytest.mark.parametrize("next_stage", ["Scale", "Picture"])
def test_a_killed_writer_leaves_no_artifact(workplace, next_stage):
    """After kill -9 while writing there is no artifact; the next run of any stage in that folder removes the remains and succeeds."""
    killed = workplace.run("Scale", CHAINLET="Scale writing:kill")
    assert killed.returncode == -9
    assert not list(workplace.root.glob("models/scale-*.h5"))
    assert len(list(workplace.root.glob("models/.scale-*.part.h5"))) == 1
    if next_stage == "Picture":
        # Under this key, the killed stage itself never runs again to clean up.
        workplace.configure("[Scale]\nfactor = 3")
    assert workplace.run(next_stage).returncode == 0
    hidden = {name for name in workplace.files() if name.startswith(".")}
    assert hidden == set()


@pytest.mark.parametrize(
    ("root", "file", "said"),
    [
        ("numbers.txt", None, "numbers.txt is not a folder. Move it, or let --workspace-root name another folder."),
        ("numbers.txt/deep/er", None, "numbers.txt is not a folder. Move it, or let --workspace-root name another folder."),
        (".", "submissions", "submissions is not a folder. Move it, or let --workspace-root name another folder."),
    ],
)
def test_a_file_in_the_place_of_a_folder(workplace, root, file, said):
    """One sentence names it, and nothing runs."""
    if file:
        (workplace.root / file).touch()
    done = workplace.run("Total", "--workspace-root", root)
    assert (done.returncode, done.stderr) == (40, f"ERROR: {said}\n")


def test_a_current_folder_that_was_deleted(workplace):
    """One sentence, also if the workspace is elsewhere."""
    command = (
        f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -m luigi --module pipeline Load --workspace-root {workplace.root}"
    )
    kept = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run(
        ["sh", "-c", command], cwd=workplace.root, env=kept, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 40
    assert done.stderr.splitlines()[-1].startswith("ERROR: The current folder no longer exists.")
    assert "Traceback" not in done.stderr


def test_an_artifact_that_may_not_be_read(workplace, monkeypatch):
    """It is neither damaged nor missing: its stage is refused in one sentence, which the summary repeats, and the file stays."""
    make(workplace.chain()["Scale"])
    scale = workplace.chain()["Scale"]

    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as context:
        context.setattr(artifacts, "verify", refused)
        assert not scale.complete()
    said = rf"^{scale.path}: permission denied\. Change its permissions, or use another folder\.$"
    with pytest.raises(InputError, match=said):
        scale.run()
    assert re.search(said, workplace.log()[-1]["error"])
    assert scale.complete()


def test_errors_of_the_operating_system_that_a_user_can_resolve():
    """They become one sentence; others keep their traceback."""
    error = ValueError("outer")
    error.__cause__ = OSError(errno.ENAMETOOLONG, "File name too long", "a")
    assert str(cause(error)) == "a: file name too long. Use a shorter name."
    assert cause(FileNotFoundError(errno.ENOENT, "No such file or directory", "a")) is None
    assert cause(PermissionError("without a file")) is None


def test_a_full_disk(workplace):
    """The failed stage names the file that could not be written; no partial file remains, and Luigi's exit code is returned."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    full = workplace.run("Draw", "--Draw-size", "50000", first=limit)
    assert full.returncode == 30
    assert full.stderr.splitlines()[-2].startswith("Draw failed: data/draw-")
    assert "could not be written: file too large" in full.stderr.splitlines()[-2]
    assert "Traceback" not in full.stderr
    assert workplace.files() == set()


# Code and files edited while a stage runs


def test_code_edited_while_a_stage_runs(workplace):
    """Neither the artifact nor the CSV file is published, and the message says why."""
    edited = workplace.run("Scale", CHAINLET="Scale:edit")
    assert edited.returncode == 30
    assert "Traceback" not in edited.stderr
    assert "Scale failed: code of deep.py changed while Scale ran. Its result was not kept; run the command again." in edited.stderr
    assert not [name for name in workplace.files() if "scale" in name]


def test_a_file_edited_while_a_stage_runs(workplace):
    """The same applies to an external file."""
    draw = workplace.chain()["Draw"]
    workplace.numbers.write_text("7\n")
    with pytest.raises(InputError, match=r"numbers\.txt changed while Draw ran"):
        draw.run()
    assert workplace.files() == set()


# Subclassing


def test_run_of_a_base_class(workplace):
    """`super().run()` runs under the same lock and writes one line to the log."""
    workplace.edit(
        "tasks", "class Picture(Stage)", "class Again(Draw):\n    def run(self):\n        super().run()\n\n\nclass Picture(Stage)"
    )
    workplace.edit("__init__", "import Draw", "import Again, Draw")
    make(workplace.chain("Again")["Again"])
    assert workplace.ran() == ["Again"]


def test_run_of_a_base_that_is_no_stage(workplace):
    """`run` and `requires` of a mixin are guarded like those of a stage."""
    workplace.edit(
        "tasks", "class Guess(Stage)", "class Mixin:\n    def run(self):\n        raise RuntimeError\n\n\nclass Guess(Mixin, Stage)"
    )
    workplace.edit(
        "tasks",
        '    def run(self):\n        from chainlet import work\n\n        work.hook("Guess")',
        "    def unused(self):\n        pass",
    )
    guess = workplace.chain()["Guess"]
    make(guess.requires())
    with pytest.raises(RuntimeError):
        guess.run()
    assert workplace.log()[-1]["status"] == "failed"


# Several builds in one process, as in a notebook

NOTEBOOK = """
import json, luigi
from chainlet import Total
from pipeline.store.run.targets import workspace_root
from chainlet.work import Sum
held, found = Total(), []

def build(task):
    assert luigi.build([task], log_level="ERROR")
    found.append([task.key, float(task.output().load(Sum).value)])

build(held)
open("numbers.txt", "w").write("1 2 4\\n")
build(Total())
build(held)
luigi.configuration.get_config().set("Scale", "factor", "3")
build(held)
build(Total())
open("numbers.txt", "w").write("1 2 3\\n")
assert luigi.run(["Total", "--Scale-factor", "2"])
assert luigi.run(["Total"])
build(held)
print(json.dumps(found))
"""


def test_a_key_does_not_outlive_a_build(workplace):
    """A file or a setting that changes between two builds of one process gives another key, also for a task that was created before."""
    command = [sys.executable, "-c", NOTEBOOK]
    done = subprocess.run(command, cwd=workplace.root, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    keys, sums = zip(*json.loads(done.stdout.splitlines()[-1]), strict=True)
    # factor x (1 + 2 + 3) + (2 + 3 + 4), and so on
    assert sums == (21, 24, 24, 31, 31, 27)
    assert keys[1] == keys[2]
    assert keys[3] == keys[4]
    assert len(set(keys)) == 4


def test_a_file_name_may_depend_on_a_flag(workplace):
    """The exit code is 0, although Luigi asks for the name of the task again when it has discarded the flags: submission-rendered."""
    named = 'folder = "submissions"\n\n    @property\n    def stem(self):\n        return f"total-of-{source().path[:-4]}"'
    workplace.edit("tasks", 'folder = "submissions"', named)
    (workplace.root / "others.txt").write_text("4 5 6\n")
    for said in ("Ran 5 stages", "Nothing to do"):
        done = workplace.run("Total", "--source-path=others.txt")
        assert said in done.stderr
        assert done.returncode == 0
    assert workplace.artifact("Total").name.startswith("total-of-others-")


EDITED = """
import luigi
from chainlet import Scale, Total
luigi.build([Scale()], log_level="ERROR")
open("chainlet/deep.py", "a").write("NEW = 1\\n")
luigi.build([Total()], log_level="ERROR")
"""


def test_code_that_is_edited_between_two_builds(workplace):
    """The process would run the old code under the key of the new code, so it refuses."""
    done = subprocess.run([sys.executable, "-c", EDITED], cwd=workplace.root, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    failed = [entry for entry in workplace.log() if entry["status"] == "failed"]
    assert [entry["stage"] for entry in failed] == ["Draw"]
    assert workplace.ran() == ["Draw", "Scale"]
    assert failed[0]["error"].endswith(
        "code of deep.py changed since this process started. Restart it (in a notebook, the kernel) to use the new code."
    )


def test_variations_are_told_apart(workplace, capsys):
    """The lines and the run log of a variation say what is different; those of an ordinary run have the address alone."""
    make(workplace.chain("Scale")["Scale"])
    assert capsys.readouterr().err.splitlines()[0] == "Draw: started"
    varied = workplace.chain("Scale", overrides={"Scale": {"factor": 3.5, "mode": "fancy"}, "Draw": {"size": 4}})["Scale"]
    assert varied.title == "Scale (factor 3.5, mode fancy, size 4)"
    make(varied)
    err = capsys.readouterr().err
    assert "Draw (size 4): started\n" in err
    assert "Scale (factor 3.5, mode fancy, size 4): done in " in err
    assert [entry.get("variation") for entry in workplace.log() if entry["event"] == "stage"] == [
        None,
        None,
        "size 4",
        "factor 3.5, mode fancy, size 4",
    ]


def test_folds_are_counted():
    """A fold is named as people count; its share is not repeated."""
    from pipeline.tasks.results import Predict

    chains = Predict(folds=3).requires()["chains"]
    assert [chain["base"].title for chain in chains] == [f"TrainBase (fold {fold} of 3)" for fold in (1, 2, 3)]
    assert chains[1]["specialists"]["mouth"].title == "TrainSpecialist:mouth (fold 2 of 3)"


def test_a_check_that_fails_stops_the_run(workplace):
    """It is made for every stage before any runs; the sentence is the failure of the stage that the command names."""
    workplace.edit(
        "tasks", "    mode = choice(", "    def check(self):\n        raise InputError('This cannot work.')\n\n    mode = choice("
    )
    workplace.edit("tasks", "import luigi\n", "import luigi\n\nfrom pipeline.errors import InputError\n")
    done = workplace.run("Total", "--workers", "2")
    assert done.returncode == 30
    assert "Total failed: This cannot work." in done.stderr
    assert workplace.ran() == []
