"""`keypoints clean`: what it lists, what it removes, and what it never touches."""

import json
import os
import re
import shutil

import pytest
from workplace import PATIENCE, make, until

from pipeline import environment
from pipeline.commands import adopt, clean, forget
from pipeline.errors import InputError
from pipeline.store.cleanup import garbage, in_use
from pipeline.store.hdf5 import artifacts
from pipeline.store.workspace import locks

FORMER = {"Scale": {"factor": 3}}
ALL = {"Draw": {"size": 5}}
# No process has this number, because the highest on Linux is 4,194,304.
DEAD = 99_999_999
RECORD = json.dumps({"stage": "Scale", "key": "0123456789", "adopted": "9876543210", "date": "2000-01-01", "in_spite_of": []}).encode()


@pytest.fixture
def stages(workplace):
    """The stages of a finished chain, inputs first, in a workspace that also has the artifacts of another factor."""
    make(workplace.chain(overrides=FORMER)["Total"])
    return current(workplace)


def current(workplace, **parameters):
    """Makes a chain; returns its stages, inputs first."""
    found = workplace.chain(**parameters)
    make(found["Total"])
    return list(reversed(found.values()))


def cleaned(capsys, stages, *, older_than="0m", keep_last=0, yes=True):
    """The exit code and the printed lines of the command."""
    capsys.readouterr()
    code = clean.run(stages, "the test", clean.Limits(clean.duration(older_than), keep_last), yes=yes)
    return code, capsys.readouterr().out.splitlines()


def everything(root):
    """The contents of all files below a folder, by name, without the run log."""
    paths = (path for path in root.rglob("*") if path.name not in ("runs.jsonl", ".file-hashes.json"))
    return {path.relative_to(root).as_posix(): path.is_file() and path.read_bytes() for path in paths}


def put(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def sound(path, siblings=()):
    """Writes an artifact without arrays."""
    with artifacts.writing(path, {"stage": "Scale"}, siblings):
        pass
    return path


def test_it_lists_with_sizes_and_removes_with_yes_alone(workplace, stages, capsys):
    """The artifacts of the other factor and the CSV published with one are listed, and removed only with --yes; the current ones stay."""
    before = everything(workplace.root)
    code, lines = cleaned(capsys, stages, yes=False)
    assert code == 0
    assert everything(workplace.root) == before
    listed = {line.split()[0]: line for line in lines[1:-1]}
    assert sorted((name.split("-")[0], name.rsplit(".", 1)[-1]) for name in listed) == [
        ("models/picture", "h5"),
        ("models/scale", "csv"),
        ("models/scale", "h5"),
        ("submissions/total", "h5"),
    ]
    # "3.0\n6.0\n9.0\n" is 12 bytes.
    assert next(line for name, line in listed.items() if name.endswith(".csv")).split()[1:3] == ["12", "B"]
    total = sum((workplace.root / name).stat().st_size for name in listed)
    assert lines[-1] == f"4 files, {total / 1e3:.1f} kB. Nothing was removed; `keypoints clean --yes` removes them."

    code, lines = cleaned(capsys, stages)
    assert code == 0
    assert lines[-1] == f"4 files, {total / 1e3:.1f} kB removed."
    assert everything(workplace.root) == {name: content for name, content in before.items() if name not in listed}
    assert cleaned(capsys, stages)[1][-1] == "0 files, 0 B: nothing to remove."


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("scale-KEY.h5.damaged-1", "quarantined as damaged"),
        ("scale-KEY.csv.forgotten-2", "quarantined by forget"),
        ("scale-KEY.checkpoint-0001.h5.damaged-1", "quarantined as damaged"),
        ("scale-0123456789.h5.forgotten-1", "quarantined by forget"),
        (f".scale-KEY.{DEAD}.part.h5", "draft of a process that has died"),
        (f".scale-KEY.{environment.host()}-{DEAD}.part.h5", "draft of a process that has died"),
        (".scale-KEY.another-host-1.part.h5", "draft of a process that has died"),
        (f".scale-0123456789.extra.{DEAD}.part.csv", "draft of a process that has died"),
        (f"..file-hashes.{DEAD}.part.json", "draft of a process that has died"),
        (f"..definitions.{DEAD}.part.json", "draft of a process that has died"),
        (f".last-run.{DEAD}.part.json", "draft of a process that has died"),
        (".scale-0123456789.lock", "lock of a process that has died"),
        (".run-another-host-1-2.lock", "lock of a process that has died"),
        (".run-1-2.lock", "lock of a process that has died"),
        (".last-run.lock", "lock of a process that has died"),
        (".needs.lock", "lock of a process that has died"),
        ("scale-KEY.checkpoint-0001.h5", "checkpoint of a training that has ended"),
        ("scale-0123456789.checkpoint-0001.h5", "checkpoint of a training with other settings, data or code"),
        ("scale-KEY.snapshot-0001.h5", "snapshot of a training that has ended"),
        ("scale-0123456789.snapshot-0001.h5", "snapshot of a training with other settings, data or code"),
        ("adopted/scale-0123456789.json", "adoption of what was made with other settings, data or code"),
        ("adopted/scale-0123456789.json.forgotten-1", "quarantined by forget"),
    ],
)
def test_what_is_left_of_their_making(workplace, capsys, name, why):
    """Quarantined and unfinished files, locks of dead processes, and unneeded checkpoints and adoptions are listed and removed."""
    stages = current(workplace)
    before = everything(workplace.root)
    path = workplace.root / "models" / name.replace("KEY", workplace.keys()["Scale"])
    if ".checkpoint" in name or ".snapshot" in name:
        sound(path)
    elif name.endswith("6789.json"):
        put(path, RECORD)
    else:
        put(path)
    if name == ".needs.lock":  # the command itself takes over this lock
        listed = cleaned(capsys, stages, yes=False)[1]
        cleaned(capsys, stages)
    else:
        listed = cleaned(capsys, stages)[1]
    assert [line.split()[0] for line in listed[1:-1]] == [str(path.relative_to(workplace.root))]
    assert listed[1].endswith(f"  {why}")
    assert set(everything(workplace.root)) - {"models/adopted"} == set(before)


@pytest.mark.parametrize(
    "name",
    [
        "data/training.csv",
        "data/training.zip",
        "data/README.md",
        "data/load-2024010112.csv",
        "data/weights-0123456789.h5",
        "data/weights-0123456789.checkpoint-0001.h5",
        "data/notes-0123456789.json",
        "data/.scale-0123456789.1.part.h5",  # of a running process
        f"data/.scale-0123456789.{environment.host()}-1.part.h5",  # likewise
        "models/adopted/plan-0123456789.json",
        "models/my notes.txt",
        "models/scale-KEY.notes.txt",
        "models/scale-KEY.notes.txt.forgotten-1",
        "models/scale-KEY.h5.bak",
        "models/.DS_Store",
        "models/deeper/scale-0123456789.h5.damaged-1",
        "submissions/best.csv",
        "elsewhere/scale-0123456789.h5.damaged-1",
        "scale-0123456789.h5.damaged-1",
    ],
)
def test_what_is_not_ours_is_never_touched(workplace, stages, capsys, name):
    """Kaggle's files, notes, foreign files with similar names and files in other folders stay, also next to a leftover."""
    content = RECORD if name.endswith("notes-0123456789.json") else b"x"
    path = put(workplace.root / name.replace("KEY", workplace.keys(overrides=FORMER)["Scale"]), content)
    _, lines = cleaned(capsys, stages)
    assert lines[-1].startswith("4 files, ")
    assert path.read_bytes() == content


def test_links_and_folders_are_left_alone(workplace, stages, tmp_path, capsys):
    """Symbolic links with an artifact's name, their targets, linked folders, and folders with an artifact's name stay."""
    outside = workplace.root / "outside"
    real = sound(outside / "scale-0123456789.h5")
    link = workplace.root / "models" / "scale-0123456789.h5"
    link.symlink_to(real)
    folder = put(workplace.root / "models" / "scale-9876543210.h5.damaged-1" / "mine").parent
    shutil.move(workplace.root / "submissions", outside / "submissions")
    (workplace.root / "submissions").symlink_to(outside / "submissions")
    before = everything(outside)
    _, lines = cleaned(capsys, stages)
    assert lines[1] == "submissions is a symbolic link; its contents are left alone."
    assert everything(outside) == before
    assert link.is_symlink()
    assert (folder / "mine").exists()
    assert lines[-1].startswith("3 files, ")


@pytest.mark.parametrize("how", ["edited", "link", "folder", "gone"])
def test_a_file_beside_an_artifact_that_is_not_what_was_published(workplace, stages, capsys, how):
    """The file stays, and the artifact is removed."""
    scale = workplace.chain(overrides=FORMER)["Scale"]
    csv = scale.sibling(".csv")
    outside = csv.rename(workplace.root / "outside.csv")
    if how == "edited":
        csv.write_text("mine")
    elif how == "link":
        csv.symlink_to(outside)
    elif how == "folder":
        csv.mkdir()
    cleaned(capsys, stages)
    assert not scale.path.exists()
    assert os.path.lexists(csv) == (how != "gone")
    assert outside.exists()


def test_an_artifact_that_claims_a_file_of_others(workplace, stages, capsys):
    """Only files that share the name of the artifact are removed with it, whatever else it claims to be published with."""
    mine = put(workplace.root / "models" / "training.zip")
    claims = sound(workplace.root / "models" / "scale-0123456789.h5", [mine])
    cleaned(capsys, stages)
    assert not claims.exists()
    assert mine.exists()


def test_older_than_and_keep_last(workplace, stages, capsys):
    """The age is that of the artifact; the newest ones are counted for each stage, the current one included."""
    former = workplace.chain(overrides=FORMER)
    for age, stage in ((3, former["Scale"]), (1, former["Total"]), (1, former["Picture"])):
        os.utime(stage.path, (then := stage.path.stat().st_mtime - age * 86400, then))

    def listed(**options):
        return {
            line.split("/")[1].split("-")[0] for line in cleaned(capsys, stages, yes=False, **options)[1] if line.startswith(("m", "s"))
        }

    assert listed(older_than="2d") == {"scale"}
    assert listed(older_than="23h") == {"scale", "total", "picture"}
    assert listed(older_than="4d") == set()
    assert listed(keep_last=1) == {"scale", "total", "picture"}
    assert listed(keep_last=2) == set()
    sound(workplace.root / "models" / "scale-0123456789.h5")  # the newest now
    assert listed(keep_last=2) == {"scale"}


@pytest.mark.parametrize("text", ["7", "d", "7 d", "-1d", "1y", "1d12h", ""])
def test_a_duration_is_a_number_and_a_unit(text):
    """Anything else is refused, with examples."""
    with pytest.raises(InputError, match=f"--older-than {text}: write .* such as 7d, 12h, 30m or 2w"):
        clean.duration(text)


def test_durations():
    """Durations are converted to seconds."""
    assert [clean.duration(text) for text in ("30m", "12h", "7d", "2w")] == [1800, 43_200, 604_800, 1_209_600]


def test_the_last_results_of_a_stage_are_pointed_out(workplace, stages, capsys):
    """If only outdated results of a stage exist after an edit, the list says so and how to keep them."""
    workplace.edit("deep", "UNIT = 1.0", "UNIT = 1.5")
    after = list(reversed(workplace.chain().values()))
    _, lines = cleaned(capsys, after, yes=False)
    said = re.fullmatch(r"([\w, ]+) have no current results, but .*; --keep-last 1 keeps the newest of each stage\.", lines[-2])
    assert set(said[1].split(", ")) == {"Draw", "Scale", "Guess", "Picture", "Total"}


def test_without_the_users_files_nothing_is_known(workplace, stages, capsys):
    """Without the user's files no key is known, so nothing is removed."""
    workplace.numbers.unlink()
    before = everything(workplace.root)
    with pytest.raises(InputError, match=r"numbers\.txt does not exist"):
        cleaned(capsys, list(reversed(workplace.chain().values())))
    assert everything(workplace.root) == before


def test_what_is_adopted_is_needed(workplace, stages, capsys):
    """An adopted artifact and its record stay as long as a current stage needs them, and are removed together."""
    workplace.edit("tasks", "POWER = 1", "POWER = 2")
    adopt.run("Scale", list(reversed(workplace.chain().values())))
    adopted = workplace.chain()
    cleaned(capsys, list(reversed(adopted.values())))
    assert adopted["Scale"].adoption
    assert all(stage.path.exists() for stage in adopted.values())
    assert len(list(workplace.root.glob("models/adopted/*"))) == 1
    cleaned(capsys, current(workplace, overrides=ALL))
    assert not adopted["Scale"].path.exists()
    assert not list(workplace.root.glob("models/adopted/*"))


# While other processes run


@pytest.fixture
def running(workplace):
    """A run in the middle of Scale: the artifact of Draw exists, Guess is still to come."""
    make(workplace.chain()["Draw"])
    process = workplace.start("Total", CHAINLET="Scale:wait")
    until((workplace.root / "waiting").exists)
    yield process
    process.kill()
    process.communicate()


def test_nothing_in_use_is_removed(workplace, running, capsys):
    """What a running command needs or will need stays, is shown as in use, and can be removed after the command has ended."""
    stages = current(workplace, overrides=ALL)
    former = put(workplace.root / "models" / "scale-0123456789.h5.damaged-1")
    _, lines = cleaned(capsys, stages)
    assert not former.exists()
    draw = next(line for line in lines if line.startswith("data/draw-"))
    assert "in use, kept: made with other settings, data or code" in draw
    assert any(line.startswith(f"In use by process {running.pid} (") and "--module chainlet Total" in line for line in lines)
    (workplace.root / "go").touch()
    err = running.communicate(timeout=PATIENCE)[1]
    assert running.returncode == 0, err
    assert "Draw: started" not in err
    cleaned(capsys, stages)
    assert not [path for stage in workplace.chain().values() if (path := stage.path).exists()]


def test_forget_leaves_alone_what_is_in_use(workplace, running):
    """It names the process that needs the files, and quarantines nothing."""
    before = workplace.files()
    with pytest.raises(InputError, match=rf"process {running.pid} \(.* needs these files, so nothing was quarantined"):
        forget.run("Draw", list(reversed(workplace.chain().values())))
    assert workplace.files() == before


def test_a_dead_process_needs_nothing(workplace, running, capsys):
    """After kill -9, the list of what the process needed is removed, and so is what was on it."""
    running.kill()
    running.communicate()
    cleaned(capsys, current(workplace, overrides=ALL))
    assert not [name for name in workplace.files() if name.startswith((".run", ".scale"))]
    assert not workplace.chain()["Draw"].path.exists()


def test_the_next_run_sweeps_the_list_of_a_dead_one(workplace, running):
    """Nobody has to run clean for that."""
    running.kill()
    running.communicate()
    assert len(list(workplace.root.glob("models/.run-*"))) == 1
    assert workplace.run("Draw", "--Draw-size", "7").returncode == 0
    assert not list(workplace.root.glob("models/.run-*"))


def test_a_list_that_cannot_be_read_has_everything_on_it(tmp_path):
    """Its process is alive, so it is safer to remove nothing."""
    name, descriptor = locks.acquire(tmp_path / "run-1-2")
    try:
        for content in (b"", b"[]", b'{"pid": 1}', b"\xff"):
            name.write_bytes(content)
            assert in_use.needed_by(tmp_path, {"data/draw-0123456789"})
        name.write_text('{"pid": 1, "command": "x", "needs": ["data/draw-0123456789"]}')
        assert in_use.needed_by(tmp_path, {"data/draw-0123456789", "data/b"}) == "process 1 (x)"
        assert in_use.needed_by(tmp_path, {"data/other-0123456789"}) is None
    finally:
        locks.release(name, descriptor)


def test_what_is_being_written_stays(workplace, stages, capsys):
    """The lock of an artifact protects it even if its process keeps no list."""
    scale = workplace.chain(overrides=FORMER)["Scale"]
    with locks.locked(scale.path, lambda who: None):
        _, lines = cleaned(capsys, stages)
        assert scale.path.exists()
        assert not garbage.remove(workplace.root, garbage.Leftover({scale.path: 1}, "artifact", scale.place, "", 0.0))
        assert scale.path.exists()
    assert len([line for line in lines if "in use, kept" in line]) == 2
    cleaned(capsys, stages)
    assert not scale.path.exists()


def test_what_cannot_be_removed(workplace, stages, capsys, monkeypatch):
    """It is named, the other files are removed, and the exit code is 1."""

    def refuse(path, missing_ok=False):
        if path.name.startswith("picture"):
            raise PermissionError(13, "Permission denied", str(path))
        return unlink(path, missing_ok=missing_ok)

    path = workplace.chain(overrides=FORMER)["Picture"].path
    unlink = type(path).unlink
    with monkeypatch.context() as patched:
        patched.setattr(type(path), "unlink", refuse)
        code, lines = cleaned(capsys, stages)
    assert code == 1
    assert lines[-1].endswith(f"not all of them could be removed: {path}: permission denied.")
    assert [line.split()[0] for line in cleaned(capsys, stages, yes=False)[1][1:-1]] == [str(path)]


def test_a_file_that_vanishes_meanwhile(workplace, stages, capsys, monkeypatch):
    """A file that another process removes in the meantime is skipped."""
    real = garbage._found

    def vanishing(root, path, *arguments):
        if found := real(root, path, *arguments):
            path.unlink()
        return found

    monkeypatch.setattr(garbage, "_found", vanishing)
    assert cleaned(capsys, stages)[1][-1] == "0 files, 0 B: nothing to remove."


def test_a_view_goes_with_its_artifact(workplace):
    """A page with dates in it, whose checksum the artifact does not know, is removed when the artifact is no longer needed."""
    folder = workplace.root / "submissions"
    folder.mkdir()
    path, view = folder / "report-0123456789.h5", folder / "report-0123456789.html"
    view.write_text("Monday")
    with artifacts.writing(path, {}, views=[view]):
        pass
    view.write_text("Tuesday")
    assert list(garbage.find(workplace.root, {"submissions/report-0123456789"})) == []
    (found,) = garbage.find(workplace.root, set())
    assert set(found.files) == {path, view}


def test_a_draft_of_another_host_is_in_use_as_long_as_its_lock_says_so(tmp_path):
    """In containers every process may have the number 1, so a number alone says nothing of a process elsewhere."""
    draft = put(tmp_path / "models" / ".scale-0123456789.another-host-1.part.h5")
    artifact = tmp_path / "models" / "scale-0123456789.h5"

    def found():
        return [path.name for leftover in garbage.find(tmp_path, set()) for path in leftover.files if path == draft]

    assert found() == [draft.name]  # without a lock nobody writes it
    with locks.locked(artifact, lambda who: None):
        assert found() == []
    put(artifact.with_name(".scale-0123456789.lock"))  # seen from here nobody holds it, but locks may not reach across hosts
    assert found() == []
    os.utime(draft, (0, 0))
    assert found() == [draft.name]
