"""Publishing, quarantine, full disks, and the small files that the program rewrites."""

import errno
import fcntl
import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from workplace import make

from pipeline.errors import InputError
from pipeline.store.cleanup import recovery
from pipeline.store.hdf5 import artifacts
from pipeline.store.workspace import files, locks, runlog


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("content", "left"), [("new", []), ("old", ["a.csv.damaged-1"])])
def test_another_content_is_kept_where_asked(tmp_path, capsys, content, left):
    """An existing file with different content is quarantined if requested, and otherwise replaced."""
    path = tmp_path / "a.csv"
    path.write_text(content)
    with files.publishing(path, keeping=True) as draft:
        draft.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.csv", *left]
    assert [(tmp_path / name).read_text() for name in left] == [content] * len(left)
    assert (str(tmp_path / "a.csv.damaged-1") in capsys.readouterr().err) == bool(left)
    with files.publishing(path) as draft:
        draft.write_text("newer")
    assert names(tmp_path) == ["a.csv", *left]


def test_a_folder_in_the_way_of_a_file(tmp_path):
    """A link is quarantined too."""
    (tmp_path / "a.csv").mkdir()
    with files.publishing(tmp_path / "a.csv", keeping=True) as draft:
        draft.write_text("new")
    assert names(tmp_path) == ["a.csv", "a.csv.damaged-1"]


def test_files_of_one_name_are_quarantined_together(tmp_path):
    """All files that share the artifact's name are quarantined under the next free number, except those quarantined before."""
    for name in ("a.csv", "a.png", "ab.csv", "a.csv.damaged-1", "a.h5"):
        (tmp_path / name).touch()
    files.quarantine(tmp_path / "a.h5", "damaged", but=[tmp_path / "a.png"])
    assert names(tmp_path) == ["a.csv.damaged-1", "a.csv.damaged-2", "a.h5.damaged-1", "a.png", "ab.csv"]


def full(folder, *, needed=None, written=0):
    """The message of `publishing` for a full disk."""
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if needed:
        error = files.WriteError(error, needed)
    with pytest.raises(InputError) as said:
        publish_and_fail(folder / "a.csv", bytes(written), error)
    assert names(folder) == []
    return str(said.value)


def publish_and_fail(path, content, error):
    with files.publishing(path) as draft:
        draft.write_bytes(content)
        raise error


def test_a_full_disk_says_how_much_is_needed_and_where(tmp_path, monkeypatch):
    """The message states the size needed, or else that more is needed than was written; the free space includes the unfinished file."""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9 - 5000, 5000))
    start, end = f"{tmp_path / 'a.csv'} could not be written: no space left on device. ", f" are free in {tmp_path}. Free some space there."
    assert full(tmp_path, needed=2_345_678) == f"{start}2.3 MB are needed; 5.0 kB{end}"
    assert full(tmp_path, written=1500) == f"{start}More than 1.5 kB are needed; 6.5 kB{end}"
    assert full(tmp_path) == f"{start}5.0 kB{end}"


@pytest.mark.parametrize("length", [1, 100, 101, 251])
def test_a_long_name_has_a_shorter_draft(tmp_path, length):
    """A file can be published under any name that the file system allows."""
    path = tmp_path / f"{'n' * length}.csv"
    with files.publishing(path) as draft:
        draft.write_text("new")
        assert draft.suffix == path.suffix
    assert names(tmp_path) == [path.name]


def test_other_errors_stay_as_they_are(tmp_path):
    """They have nothing to do with free space."""
    with pytest.raises(PermissionError):
        publish_and_fail(tmp_path / "a.csv", b"", PermissionError(errno.EACCES, "no"))


def test_a_folder_that_may_not_be_written(tmp_path):
    """The message names the file and says what to do; an error about another folder is passed on."""
    refused = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / ".a.lock"))
    with pytest.raises(InputError, match=r"\.a\.lock cannot be written: permission denied\. Change its permissions, or write elsewhere"):
        publish_and_fail(tmp_path / "a.csv", b"", refused)
    with pytest.raises(PermissionError):
        publish_and_fail(tmp_path / "a.csv", b"", PermissionError(errno.EACCES, "Permission denied", "/elsewhere/b.csv"))


def test_a_full_disk_when_a_lock_is_made(tmp_path, monkeypatch):
    """The lock file needs space too; its content is optional."""
    monkeypatch.setattr(os, "write", failing(errno.ENOSPC))
    with locks.locked(tmp_path / "a.h5", lambda who: None):
        assert names(tmp_path) == [".a.lock"]
    monkeypatch.setattr(os, "open", failing(errno.ENOSPC))
    with pytest.raises(InputError, match=r"a\.h5 could not be written: no space left on device"), locks.locked(tmp_path / "a.h5", print):
        pass


def failing(number):
    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return fail


def test_a_note_is_replaced_as_a_whole(tmp_path, monkeypatch):
    """Drafts of a killed writer are removed; if the file cannot be written, the old one is kept without an error."""
    note = tmp_path / "last.json"
    (tmp_path / ".last.1.part.json").touch()
    (tmp_path / ".last.lock").touch()
    locks.rewrite(note, "1")
    assert (note.read_text(), names(tmp_path)) == ("1", ["last.json"])
    monkeypatch.setattr(Path, "write_text", failing(errno.ENOSPC))
    locks.rewrite(note, "2")
    assert (note.read_text(), names(tmp_path)) == ("1", ["last.json"])


def test_what_dead_writers_left_is_removed(tmp_path):
    """Locks, drafts and the checkpoints of finished artifacts are removed, but not those of unfinished trainings or of locked artifacts."""
    done, training, busy = (f"{name}-0123456789" for name in ("done", "training", "busy"))
    for name in (done, training, busy):
        for left in (f".{name}.lock", f".{name}.1.part.h5", f"{name}.checkpoint-0001.h5"):
            (tmp_path / left).touch()
    (tmp_path / f"{done}.h5").touch()
    with locks.locked(tmp_path / f"{busy}.h5", lambda who: None):
        recovery.clear(tmp_path)
        left = [f".{busy}.1.part.h5", f".{busy}.lock", f"{busy}.checkpoint-0001.h5", f"{done}.h5", f"{training}.checkpoint-0001.h5"]
        assert names(tmp_path) == left


def test_what_the_log_could_not_take_is_known_to_the_run(tmp_path, monkeypatch):
    """So that the summary can mention it."""
    monkeypatch.setattr(runlog, "_unwritten", [])
    runlog.append(tmp_path, {"n": 1})
    with monkeypatch.context() as context:
        context.setattr(Path, "open", failing(errno.ENOSPC))
        runlog.append(tmp_path, {"n": 2})
    assert [entry["n"] for entry in runlog.entries(tmp_path)] == [1, 2]
    assert len((tmp_path / runlog.NAME).read_text().splitlines()) == 1
    assert runlog.entries(tmp_path / "elsewhere") == []
    runlog.append(tmp_path, {"n": 3})
    assert [json.loads(line)["n"] for line in (tmp_path / runlog.NAME).read_text().splitlines()] == [1, 2, 3]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS])
def test_a_file_system_that_cannot_flush_a_folder(tmp_path, monkeypatch, number):
    """What says that flushing is not supported is ignored. An input/output error is not, and neither is a refusal."""
    flush = os.fsync

    def refused(descriptor):
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return flush(descriptor)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refused)
    with files.publishing(tmp_path / "a.csv") as draft:
        draft.write_text("new")
    assert names(tmp_path) == ["a.csv"]
    number = errno.EIO
    expected = r"/b\.csv could not be written: input/output error\. Check the disk, or write elsewhere\.$"
    with pytest.raises(InputError, match=expected), files.publishing(tmp_path / "b.csv") as draft:
        draft.write_text("new")
    number = errno.EROFS
    expected = r"test_\w+ cannot be written: read-only file system\. Change its permissions, or write elsewhere\.$"
    with pytest.raises(InputError, match=expected), files.publishing(tmp_path / "c.csv") as draft:
        draft.write_text("new")


def test_a_finished_artifact_needs_no_lock(workplace, monkeypatch):
    """Where the file system has no locks, results that were copied there can still be read."""
    make(workplace.chain()["Total"])

    def refused(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    (workplace.root / "data" / ".file-hashes.json").unlink(missing_ok=True)
    assert workplace.chain()["Total"].complete()


def test_hdf5_does_not_lock_an_artifact(workplace):
    """HDF5 has locks of its own, which fail where the file system has none, or where another program has locked the file."""
    make(workplace.chain()["Total"])
    total = workplace.chain()["Total"]
    with total.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with artifacts.reading(total.path) as content:
            assert float(content["value"][()]) == 21


def test_a_file_with_the_key_of_an_artifact_is_quarantined_with_it(tmp_path):
    """It was published with the artifact under another name. What a checkpoint leaves behind has the same key and stays."""
    key = "0123456789"
    for name in (f"predictions-{key}.h5", f"predictions-{key}.csv", f"heldout-{key}.csv", "heldout-9876543210.csv"):
        (tmp_path / name).touch()
    files.quarantine(tmp_path / f"predictions-{key}.h5", "forgotten")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "heldout-0123456789.csv.forgotten-1",
        "heldout-9876543210.csv",
        "predictions-0123456789.csv.forgotten-1",
        "predictions-0123456789.h5.forgotten-1",
    ]
    for number in (1, 2):
        (tmp_path / f"trainbase-{key}.checkpoint-{number}.h5").touch()
    files.quarantine(tmp_path / f"trainbase-{key}.checkpoint-2.h5", "damaged")
    assert (tmp_path / f"trainbase-{key}.checkpoint-1.h5").exists()
