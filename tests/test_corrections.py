"""The file of corrections: what its lines amount to, what it survives, and what Load makes of it."""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys

import labelsets
import numpy as np
import pytest
from fresh import ROOT, changed, nursery_of_provenances, run

from pipeline.commands.support import doubts
from pipeline.commands.support.last_run import Run
from pipeline.data import corrected, corrections, samples
from pipeline.data.corrections import COLUMNS, Change, ConflictError, LabelPlace, LabelValue
from pipeline.data.formats.catalogue import format_module
from pipeline.data.tables import LabelledFaces
from pipeline.errors import InputError
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.store.workspace import locks
from pipeline.tasks import labelfiles

HEADER = ",".join(COLUMNS)
NOSE = LabelPlace("7", "1", "nose_tip")
RAW = LabelValue(48.5, 57.25)


def locked(path):
    return locks.locked(path, lambda who: None)


@contextlib.contextmanager
def unlocked(path):
    yield


def change(old, new, place=NOSE, **more):
    return Change(place, LabelValue.parse(old), LabelValue.parse(new), "ann", "2026-01-02T03:04:05Z", **more)


def written(path, *lines):
    path.write_text("".join(f"{line}\n" for line in (HEADER, *lines)))
    return corrections.read(path)


@pytest.mark.parametrize("text", ["1 2", "0.125 40", "-3.5 0 occluded", "missing"])
def test_values_are_written_as_they_are_read(text):
    """Two coordinates, the word occluded after them, or the word missing."""
    assert str(LabelValue.parse(text)) == text


@pytest.mark.parametrize("text", ["", "1", "1 2 3", "nan 2", "inf 1", "occluded", "missing occluded", "1 2 hidden"])
def test_other_values_are_refused(text):
    """So that a slip of the pen does not become a label."""
    with pytest.raises(ValueError, match=text or ".*"):
        LabelValue.parse(text)


def test_the_word_occluded_keeps_the_place():
    """In the column new it means the place that the column old names."""
    assert LabelValue.parse("occluded", RAW) == RAW._replace(occluded=True)


def test_a_change_is_one_line(tmp_path):
    """The first change also writes the header; a remark with a comma, a quotation mark or a line end stays on its line."""
    path = tmp_path / "new" / "corrections.csv"
    corrections.append(path, change("48.5 57.25", "50 58", why='he said "left",\nnot right'), RAW, locked)
    corrections.append(path, change("50 58", "missing"), RAW, locked)
    assert path.read_text().splitlines() == [
        HEADER,
        '7,1,nose_tip,48.5 57.25,50 58,ann,2026-01-02T03:04:05Z,"he said ""left"", not right"',
        "7,1,nose_tip,50 58,missing,ann,2026-01-02T03:04:05Z,",
    ]
    assert corrections.read(path).plain() == [["7", "1", "nose_tip", "missing"]]


def test_only_the_values_at_the_end_count(tmp_path):
    """A correction that was undone is none; the order of lines, the remarks and the reviewers do not matter."""
    one = written(tmp_path / "a.csv", "7,1,nose_tip,1 1,2 2,ann,,", "3,1,mouth,5 5,6 6,ann,,", "7,1,nose_tip,2 2,1 1,ben,,back")
    other = written(tmp_path / "b.csv", "3,1,mouth,5 5,5.5 5,cy,,", "3,1,mouth,5.5 5,6 6,,,")
    assert one.plain() == other.plain() == [["3", "1", "mouth", "6 6"]]


def test_a_change_of_another_value_is_a_conflict(tmp_path):
    """It is reported with the value and its author, and nothing is written."""
    path = tmp_path / "corrections.csv"
    corrections.append(path, change("48.5 57.25", "50 58"), RAW, locked)
    before = path.read_bytes()
    with pytest.raises(ConflictError, match=r"is 50 58 by now, not 48\.5 57\.25 by ann on") as caught:
        corrections.append(path, change("48.5 57.25", "51 59"), RAW, locked)
    assert caught.value.standing == LabelValue(50, 58)
    assert path.read_bytes() == before


def test_contradicting_lines_are_refused(tmp_path):
    """As a merge of two files leaves them: the message names both lines. Two changes to the same value agree."""
    with pytest.raises(InputError, match="line 3 replaces 1 1 of nose_tip of image 7, instance 1, but line 2 has changed that to 2 2"):
        written(tmp_path / "a.csv", "7,1,nose_tip,1 1,2 2,,,", "7,1,nose_tip,1 1,3 3,,,")
    agreed = written(tmp_path / "b.csv", "7,1,nose_tip,1 1,2 2,ann,,", "7,1,nose_tip,1 1,2 2,ben,,")
    assert agreed.plain() == [["7", "1", "nose_tip", "2 2"]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("7,1,nose_tip,1 1", "line 2 has 4 values instead of 8"),
        ("7,1,nose_tip,1 1,two,,,", "line 2: new is 'two'"),
        ('7,1,nose_tip,1 1,2 2,,,"open', "line 2: unexpected end of data"),
    ],
    ids=["too few", "value", "quotation mark"],
)
def test_a_line_that_cannot_be_understood(tmp_path, line, said):
    """The message names the file and the line."""
    with pytest.raises(InputError, match=said):
        written(tmp_path / "corrections.csv", line, "3,1,mouth,5 5,6 6,ann,,")


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_ignored_and_never_continued(tmp_path, cut):
    """Wherever it ends: the note shows it, and the next change follows on a line of its own, after a remark with what there was."""
    path = tmp_path / "corrections.csv"
    path.write_bytes(
        f"{HEADER}\n7,1,nose_tip,48.5 57.25,50 58,ann,,\n".encode() + b"8,1,nose_tip,48.5 57.25,50 58,ann,2026-01-02,a remark"[:cut]
    )
    found = corrections.read(path)
    assert "the last line has no line end" in found.note
    assert found.plain() == [["7", "1", "nose_tip", "50 58"]]
    corrections.append(path, change("50 58", "60 60"), RAW, locked)
    assert corrections.read(path).plain() == [["7", "1", "nose_tip", "60 60"]]
    assert corrections.read(path).note == ""
    assert len(path.read_text().splitlines()) == 4
    *_, remark, last = path.read_text().splitlines()
    assert "8,1,nose_tip,48.5 57.25,50 58,ann,2026-01-02,a remark".startswith(remark.removeprefix("# not written completely: "))
    assert last.startswith("7,1,nose_tip,50 58,60 60,")


def test_an_image_whose_name_begins_like_a_remark(tmp_path):
    """Its lines are corrections."""
    path, place = tmp_path / "corrections.csv", LabelPlace("#1.png", "1", "nose_tip")
    corrections.append(path, change("1 1", "2 2", place), LabelValue(1, 1), locked)
    assert corrections.read(path).plain() == [["#1.png", "1", "nose_tip", "2 2"]]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    """Also if a part of the line was written already."""
    path = tmp_path / "corrections.csv"
    corrections.append(path, change("48.5 57.25", "50 58"), RAW, locked)
    before, whole = path.read_bytes(), os.pwrite
    calls = iter([lambda fd, data, at: whole(fd, data[:9], at)])

    def full(fd, data, at):
        for call in calls:
            return call(fd, data, at)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        corrections.append(path, change("50 58", "60 60"), RAW, locked)
    assert path.read_bytes() == before


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from pipeline.data import corrections
from pipeline.data.corrections import Change, LabelPlace, LabelValue
from pipeline.store.workspace import locks
path, name = Path(sys.argv[2]), sys.argv[3]
for number in range(int(sys.argv[4])):
    place = LabelPlace(f"{name}{number}", "1", "nose_tip")
    change = Change(place, LabelValue(1, 1), LabelValue(2, number), name, "now", "x" * 200)
    corrections.append(path, change, LabelValue(1, 1), lambda file: locks.locked(file, lambda who: None))
    print(number, flush=True)
"""


def writer(path, name, count):
    command = [sys.executable, "-c", WRITER, str(ROOT), str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_writers_lose_nothing(tmp_path):
    """Processes that append at the same time wait for each other; every confirmed change is in the file."""
    path = tmp_path / "corrections.csv"
    with writer(path, "ann", 40) as ann, writer(path, "ben", 40) as ben:
        ann.communicate(timeout=300)
        ben.communicate(timeout=300)
    assert (ann.returncode, ben.returncode) == (0, 0)
    assert len(corrections.read(path).effective) == 80


def test_a_killed_writer_loses_nothing(tmp_path):
    """Every change that it has confirmed is in the file, and another writer continues."""
    path, confirmed = tmp_path / "corrections.csv", []
    for name in ("ann", "ben", "cy"):
        with writer(path, name, 10**6) as process:
            told = [process.stdout.readline() for _ in range(5)]
            process.send_signal(signal.SIGKILL)
            told += process.stdout.readlines()
        confirmed += [LabelPlace(f"{name}{line.strip()}", "1", "nose_tip") for line in told if line.endswith("\n")]
    assert len(confirmed) >= 15
    assert set(confirmed) <= corrections.read(path).effective.keys()


# What labels become


@pytest.fixture
def faces():
    points = np.full((9, 15, 2), 40, np.float32)
    points[6, KAGGLE.names.index("nose_tip")] = [48.5, 57.25]
    return LabelledFaces(np.zeros((9, 96, 96), np.uint8), points)


def test_faces_with_corrections(tmp_path, faces):
    """The image is the row, counted from 1; a missing label is NaN; no other label changes."""
    found = written(tmp_path / "c.csv", "7,1,nose_tip,48.5 57.25,50 58.125,,,", "1,1,nose_tip,40 40,missing,,,")
    after = corrected.of_faces(faces, KAGGLE, found)
    nose = KAGGLE.names.index("nose_tip")
    assert after.keypoints[6, nose].tolist() == [50, 58.125]
    assert np.isnan(after.keypoints[0, nose]).all()
    assert np.argwhere((after.keypoints != faces.keypoints).any(axis=2)).tolist() == [[0, nose], [6, nose]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("10,1,nose_tip,40 40,1 1,,,", "line 2: the training table has no image 10 with an instance 1. Its images are the rows 1 to 9"),
        ("2,2,nose_tip,40 40,1 1,,,", "line 2: the training table has no image 2 with an instance 2"),
        ("a.png,1,nose_tip,40 40,1 1,,,", "line 2: the training table has no image a.png"),
        ("2,1,nose_tp,40 40,1 1,,,", "line 2: there is no keypoint nose_tp; did you mean nose_tip?"),
        ("2,1,nose_tip,41 40,1 1,,,", "line 2 replaces 41 40 of nose_tip of image 2, instance 1, but the label files have 40 40"),
        ("2,1,nose_tip,40 40,1 1 occluded,,,", "line 2: the labels of Kaggle's tables cannot be occluded"),
    ],
    ids=["row", "instance", "name", "keypoint", "old value", "occluded"],
)
def test_corrections_that_do_not_fit_the_faces(tmp_path, faces, line, said):
    """Each is refused with its line."""
    with pytest.raises(InputError, match=said):
        corrected.of_faces(faces, KAGGLE, written(tmp_path / "c.csv", line))


@pytest.mark.parametrize("name", sorted(labelsets.SETS))
def test_labels_of_each_format_with_corrections(tmp_path, name):
    """Coordinates are in the format's own pixels: the value of one instance moves by one pixel there, and nothing else changes."""
    labelsets.SETS[name](tmp_path)
    labels, form = labelsets.read(name, tmp_path), format_module(name).CONVENTION
    places, sizes = corrected.named(labels), lambda image: labelsets.SIZE
    (image, instance), at = next((place, at) for place, at in places.items() if not np.isnan(labels.instances[at].keypoints).all())
    own = labels.instances[at]
    k = int(np.flatnonzero(~np.isnan(own.keypoints).any(axis=1))[0])
    x, y = form.outwards(own.keypoints[k], labelsets.SIZE[1]).tolist()
    old, place = LabelValue.at(x, y, occluded=bool(own.occluded[k])), LabelPlace(image, instance, labels.names[k])
    path = tmp_path / "corrections.csv"
    corrections.append(path, Change(place, old, LabelValue(x + 1, y, old.occluded)), old, unlocked)
    after = corrected.of_labels(labels, corrections.read(path), form, sizes)
    moved = after.instances[[(one.image, one.id, one.source) for one in after.instances].index((own.image, own.id, own.source))]
    assert moved.keypoints[k].tolist() == pytest.approx([own.keypoints[k, 0] + 1, own.keypoints[k, 1]], abs=1e-3)
    rest = dataclasses.replace(moved, keypoints=np.where(np.arange(len(labels.names))[:, None] == k, own.keypoints, moved.keypoints))
    assert str(rest) == str(own)
    unknown = written(tmp_path / "other.csv", f"{place.image},no,{place.keypoint},1 1,2 2,,,")
    with pytest.raises(InputError, match=r"other\.csv, line 2: the labels have no image .* with an instance no"):
        corrected.of_labels(labels, unknown, form, sizes)


def test_an_instance_gets_its_first_label(tmp_path):
    """One without any label is no sample; a correction can make it one, and can take the last label of another."""
    labelsets.SETS["image_json"](tmp_path)
    labels = labelsets.read("image_json", tmp_path)
    first, second = labels.instances[:2]
    bare = dataclasses.replace(second, keypoints=np.full_like(second.keypoints, np.nan))
    labels, names = dataclasses.replace(labels, instances=(first, bare)), labels.names
    form = format_module("image_json").CONVENTION
    given = form.outwards(first.keypoints, labelsets.SIZE[1]).tolist()
    lines = [f"{first.image},{first.id},{name},{x:g} {y:g},missing,,," for name, (x, y) in zip(names, given, strict=True)]
    found = written(tmp_path / "c.csv", *lines, f"{second.image},{second.id},{names[0]},missing,5 6,,,")
    after = corrected.of_labels(labels, found, form, lambda image: labelsets.SIZE)
    assert [np.isnan(one.keypoints).all() for one in after.instances] == [True, False]
    assert [one.id for one in samples.usable(after)] == [second.id]


# What a run makes of them


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A workspace with a set of Kaggle's format in faces/, whose keys use only the bytes."""
    root = tmp_path_factory.mktemp("work")
    files = {
        "training": "nose_tip_x,nose_tip_y,Image\n48.5,57.25,0 1\n47.0,58.0,7 7\n",
        "test": "ImageId,Image\n1,9 9\n",
        "IdLookupTable": "RowId,ImageId,FeatureName,Location\n1,1,nose_tip_x,\n",
    }
    (root / "faces").mkdir()
    for name, text in files.items():
        (root / "faces" / f"{name}.csv").write_text(text)
    return root


@pytest.fixture(scope="module")
def provenances():
    """Computes the provenances of all stages."""
    with nursery_of_provenances() as computed:
        yield computed


def test_which_stages_a_correction_makes_stale(work, provenances):
    """Load and what follows from it; an undone correction, another remark, a missing and an empty file change no key."""
    flags = (f"--dataset-path={work / 'faces'}", f"--workspace-root={work}")
    none, file = provenances(*flags), work / "corrections.csv"
    assert "facts" not in none["Load"]
    written(file, "1,1,nose_tip,48.5 57.25,50 58,ann,,")
    one = provenances(*flags)
    assert changed(none, one) == none.keys() - {"LoadTest"}
    assert one["Load"]["facts"] == {"list of corrections": '[["1", "1", "nose_tip", "50 58"]]'}
    written(file, "1,1,nose_tip,48.5 57.25,50.0 58,ben,today,for another reason")
    assert changed(one, provenances(*flags)) == set()
    written(file, "1,1,nose_tip,48.5 57.25,50 58,,,", "1,1,nose_tip,50 58,48.50 57.25,,,")
    assert changed(none, provenances(*flags)) == set()
    named = file.rename(work / "named.csv")
    written(named, "1,1,nose_tip,48.5 57.25,50 58,,,")
    assert changed(none, provenances(*flags)) == set()
    assert changed(one, provenances(*flags, f"--dataset-corrections={named}")) == set()


def test_an_image_without_labels_gets_some(tmp_path, provenances):
    """Its bytes are then part of the key of Load."""
    labelsets.draw(tmp_path / "set", "a.png", "b.png", "new.png")
    (tmp_path / "set" / "labels.csv").write_text("image,nose_x,nose_y\na.png,3,4\nb.png,5,6\n")
    flags = (f"--dataset-path={tmp_path / 'set'}", f"--workspace-root={tmp_path}")
    none = provenances(*flags)
    written(tmp_path / "corrections.csv", "new.png,1,nose,missing,7 8,ann,,")
    one = provenances(*flags)
    assert changed(none, one) >= {"Load", "TrainBase", "Predict"}
    labelsets.draw(tmp_path / "set", "new.png", size=(30, 30))
    assert "images labelled by corrections" in set(one["Load"]["facts"]) - set(none["Load"]["facts"])
    assert one["Load"]["facts"] != provenances(*flags)["Load"]["facts"]


def test_a_run_with_corrections(tmp_path):
    """Load takes the corrected values, `status` counts them, and without the line the first artifact is up to date again."""
    flags = ("--dataset-path=rendered", "--Render-training=60", "--Render-test=6", f"--workspace-root={tmp_path}")
    load = ("-m", "luigi", "--module", "pipeline", "Load", *flags)
    assert run(*load).returncode == 0
    (first,) = (tmp_path / "data").glob("load-*.h5")
    before, (raw,) = labels(first), (tmp_path / "data").glob("render-*.training.csv")
    header, row = (line.split(",") for line in raw.read_text().splitlines()[:2])
    nose = header.index("nose_tip_x")
    file = tmp_path / "corrections.csv"
    written(file, f"1,1,nose_tip,{float(row[nose]):.4f} {float(row[nose + 1]):.4f},40 41,ann,,")
    told = run("-m", "pipeline", "status", *flags)
    assert f"1 correction of labels: {file}" in told.stdout
    done = run(*load)
    assert done.returncode == 0, done.stderr
    assert f"Load: 1 correction of labels from {file}" in done.stderr
    (second,) = {*(tmp_path / "data").glob("load-*.h5")} - {first}
    k, after = KAGGLE.names.index("nose_tip"), labels(second)
    assert after[0, k].tolist() == [40, 41]
    after[0, k] = before[0, k]
    assert np.array_equal(after, before, equal_nan=True)
    with Run.selected_by([*flags]).in_force():  # the review page takes the labels as given from an artifact without corrections
        given, read = doubts.faces(), labelfiles.labelled_faces()
    assert np.array_equal(given.keypoints, read.keypoints, equal_nan=True)
    assert np.array_equal(given.images[:], read.images[:])
    written(file)
    assert "1 correction" not in run("-m", "pipeline", "status", *flags).stdout
    assert run(*load).stderr.count("Load: started") == 0
    written(file, "61,1,nose_tip,1 1,40 41,ann,,")
    failed = run(*load)
    assert failed.returncode == 30
    assert "corrections.csv, line 2: the training table has no image 61" in failed.stderr
    assert "Traceback" not in failed.stderr


def labels(path):
    import h5py

    with h5py.File(path) as file:
        return file["keypoints"][:]


def test_a_file_that_cannot_be_read(work, tmp_path):
    """Any command says so in one sentence, with the line."""
    shutil.copytree(work / "faces", tmp_path / "faces")
    (tmp_path / "corrections.csv").write_text(f"{HEADER}\n1,1\n")
    flags = (f"--dataset-path={tmp_path / 'faces'}", f"--workspace-root={tmp_path}")
    for command in (("-m", "luigi", "--module", "pipeline", "Load"), ("-m", "pipeline", "status")):
        done = run(*command, *flags)
        assert done.returncode not in (0, 1)
        assert "corrections.csv, line 2 has 2 values instead of 8" in done.stderr
        assert "Traceback" not in done.stderr
