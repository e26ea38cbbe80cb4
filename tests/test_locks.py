"""Locks admit one writer per artifact."""

import errno
import fcntl
import multiprocessing
import os
import re
import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest
from workplace import PATIENCE, until

from pipeline import environment
from pipeline.errors import InputError
from pipeline.store.cleanup import in_use
from pipeline.store.workspace import locks


def test_a_second_process_waits_and_uses_the_result(workplace):
    """The second run says which process it waits for, and the stage runs once."""
    first = workplace.start("Scale", CHAINLET="Scale:wait")
    until((workplace.root / "waiting").exists)
    second = workplace.start("Total")
    line = ""
    while "waiting for it" not in line:
        line = second.stderr.readline()
        assert line, "ended without waiting"
    assert line.startswith(f"Scale: process {first.pid} (")
    assert "--module chainlet Scale) is making the same artifact" in line
    (workplace.root / "go").touch()
    assert re.search(r"\nRan 2 stages in \d+ s:\n  Draw +\d+ s\n  Scale +\d+ s\n", first.communicate(timeout=PATIENCE)[1])
    rest = second.communicate(timeout=PATIENCE)[1]
    assert (first.returncode, second.returncode) == (0, 0)
    assert "Scale: started" not in rest
    assert sorted(workplace.ran()) == ["Draw", "Guess", "Picture", "Scale", "Total"]
    assert not [name for name in workplace.files() if name.startswith(".")]


def test_a_dead_holder_blocks_nobody(tmp_path):
    """The lock file of a dead process is taken over without waiting and then removed."""
    path, told = tmp_path / "a.h5", []
    (tmp_path / ".a.lock").write_text('{"pid": 1, "command": "long dead"}')
    with locks.locked(path, told.append):
        assert f'"pid": {os.getpid()}' in (tmp_path / ".a.lock").read_text()
    assert told == []
    assert list(tmp_path.iterdir()) == []


def test_one_holder_at_a_time(tmp_path):
    """Many short-lived processes never hold a lock at the same time, although each removes the lock file."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=hold_often, args=(tmp_path,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []


def hold_often(folder):
    for _ in range(60):
        with locks.locked(folder / "a.h5", lambda who: None):
            (folder / "held").mkdir()  # fails if there is one
            time.sleep(0.001)
            (folder / "held").rmdir()


def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    """A process that the holder forked and that outlives it does not block the next holder."""
    path = tmp_path / "a.h5"
    read, write = os.pipe()
    with locks.locked(path, lambda who: None):
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
        former = os.open(tmp_path / ".a.lock", os.O_RDWR)
    fcntl.flock(former, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0
    os.close(read)
    os.close(former)


def test_abandoned_locks(tmp_path):
    """The locks of dead writers are found and removed; locks that are held and files of other programs are left alone."""
    for name in ("dead-0123456789", "run-17-4", "run-a-host-17-4", "editor"):
        (tmp_path / f".{name}.lock").touch()
    with locks.locked(tmp_path / "held-0123456789.h5", lambda who: None):
        assert list(locks.abandoned(tmp_path)) == ["dead-0123456789", "run-17-4", "run-a-host-17-4"]
        assert sorted(path.name for path in tmp_path.iterdir()) == [".editor.lock", ".held-0123456789.lock"]
    assert list(locks.abandoned(tmp_path)) == []


def test_who_is_told_when_it_is_not_known(tmp_path):
    """A holder that has not written its name yet is called another process."""
    name, told = tmp_path / ".a.lock", []
    holder = os.open(name, os.O_RDWR | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)
    threading.Timer(0.1, os.close, (holder,)).start()
    with locks.locked(tmp_path / "a.h5", told.append):
        assert told == ["another process"]


def test_two_paths_to_one_workspace(workplace):
    """A process that uses a link to the workspace waits for one that uses the real path, and uses its result."""
    first = workplace.start("Scale", CHAINLET="Scale:wait")
    until((workplace.root / "waiting").exists)
    link = workplace.root / "link"
    link.symlink_to(workplace.root, target_is_directory=True)
    second = workplace.start("Total", "--workspace-root", str(link))
    line = ""
    while "waiting for it" not in line:
        line = second.stderr.readline()
        assert line, "ended without waiting"
    assert line.startswith(f"Scale: process {first.pid} (")
    (workplace.root / "go").touch()
    assert first.communicate(timeout=PATIENCE)[1]
    assert "Scale: started" not in second.communicate(timeout=PATIENCE)[1]
    assert (first.returncode, second.returncode) == (0, 0)
    assert sorted(workplace.ran()) == ["Draw", "Guess", "Picture", "Scale", "Total"]


def test_free_holds_the_lock_or_says_no(tmp_path):
    """It never waits, and leaves a lock alone that another process holds."""
    path = tmp_path / "a.h5"
    with locks.free(path) as free:
        assert free
        with locks.free(path) as again:
            assert not again
        assert locks.holder(tmp_path / ".a.lock")["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []
    assert locks.holder(tmp_path / ".a.lock") is None


def test_the_holder_of_a_lock(tmp_path):
    """A lock file without a process has no holder; one without a description is held by another process."""
    name = tmp_path / ".a.lock"
    name.write_text('{"pid": 1, "command": "long dead"}')
    assert locks.holder(name) is None
    assert name.exists()
    with locks.locked(tmp_path / "a.h5", lambda who: None):
        for text in ("", "[1]", "{"):
            name.write_text(text)
            assert locks.who(locks.holder(name)) == "another process"


def test_a_full_disk_does_not_keep_anybody_from_a_lock(tmp_path, monkeypatch):
    """The name of the holder is only for messages: a lock works without it."""

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with locks.locked(tmp_path / "a.h5", lambda who: None):
        assert locks.holder(tmp_path / ".a.lock") == {}


def test_lists_do_not_change_while_somebody_tidies(tmp_path):
    """A process that is about to start its run waits until the list of files is final."""
    context = multiprocessing.get_context("spawn")
    with in_use.settled(tmp_path):
        process = context.Process(target=announce, args=(tmp_path,))
        process.start()
        until((tmp_path / "before").exists)
        time.sleep(0.2)
        assert not (tmp_path / "after").exists()
        assert in_use.needed_by(tmp_path, {"data/a"}) is None
    until((tmp_path / "after").exists)
    assert in_use.needed_by(tmp_path, {"data/a"}).startswith(f"process {process.pid} (")
    assert in_use.needed_by(tmp_path, {"data/b"}) is None
    (tmp_path / "go").touch()
    process.join()
    assert process.exitcode == 0
    assert in_use.needed_by(tmp_path, {"data/a"}) is None


def announce(folder):
    (folder / "before").touch()
    in_use.add(folder, {"data/a"})
    (folder / "after").touch()
    until((folder / "go").exists)


# Other users and hosts


def test_a_lock_names_its_host(tmp_path):
    """In containers every first process has the number 1; on this host the name is left out, as in lock files of earlier versions."""
    with locks.locked(tmp_path / "a.h5", lambda who: None):
        description = locks.holder(tmp_path / ".a.lock")
    assert description["host"] == environment.host()
    assert "on" not in locks.who({**description, "command": "c"}).split()
    assert locks.who({"host": "node7", "pid": 1, "command": "luigi Predict"}) == "process 1 on node7 (luigi Predict)"
    assert locks.who({"pid": 1, "command": "luigi Predict"}) == "process 1 (luigi Predict)"


@pytest.mark.parametrize(
    ("node", "host"),
    [
        ("Node7.cluster.example.org", "node7"),
        ("3f1c9d2e7a10", "3f1c9d2e7a10"),
        ("", "host"),
        ("a_b c", "a-b-c"),
        ("\u00fcbung", "bung"),
    ],
)
def test_the_name_of_a_host_fits_into_file_names(node, host, monkeypatch):
    """Letters, digits and hyphens only; long names that differ at their ends stay different."""
    monkeypatch.setattr(environment.platform, "node", lambda: node)
    assert environment.host.__wrapped__() == host
    long = [f"training-of-keypoints-with-folds-{pod}" for pod in "ab"]
    names = []
    for name in long:
        monkeypatch.setattr(environment.platform, "node", lambda name=name: name)
        names.append(environment.host.__wrapped__())
    assert names[0] != names[1]
    assert max(map(len, names)) <= 30


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_a_lock_file_has_the_permissions_that_the_umask_allows(tmp_path, umask, mode):
    """So a group that shares its files shares its locks."""
    before = os.umask(umask)
    try:
        with locks.locked(tmp_path / "a.h5", lambda who: None):
            assert (tmp_path / ".a.lock").stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


@pytest.fixture
def shared():
    """A folder in which everybody may write."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def as_another_user(function, *arguments):
    """Calls a function in a child process of another user; returns what it returns, as text."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            said = str(function(*arguments))
        except BaseException as error:
            said = repr(error)
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    said = os.read(read, 10_000).decode()
    os.close(read)
    os.waitpid(child, 0)
    return said


def taken_over(path, told):
    with locks.locked(path, told):
        return f"{locks.holder(path.with_name('.a.lock'))['pid'] == os.getpid()} {path.with_name('.a.lock').stat().st_uid}"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
def test_a_lock_that_may_only_be_read(shared):
    """Its holder is seen; the lock of a dead process is taken over, whether or not its file may be removed."""
    path, lock = shared / "a.h5", shared / ".a.lock"
    with locks.locked(path, lambda who: None):
        lock.chmod(0o644)
        assert as_another_user(lambda: locks.who(locks.holder(lock))).startswith(f"process {os.getpid()} (")
        assert as_another_user(lambda: locks.free(path).__enter__()) == "False"
    lock.write_text('{"pid": 1, "command": "long dead"}')
    assert as_another_user(taken_over, path, print) == "True 65534"
    assert list(shared.iterdir()) == []
    lock.write_text("{}")
    shared.chmod(0o1777)
    assert as_another_user(lambda: locks.free(path).__enter__()) == "True"
    lock.chmod(0o600)
    assert "InputError" in as_another_user(taken_over, path, print)
    assert ".a.lock cannot be written: permission denied. Change its permissions" in as_another_user(taken_over, path, print)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EIO, errno.EPERM, errno.EACCES, errno.ESTALE])
def test_a_file_system_without_locks(tmp_path, monkeypatch, number):
    """One sentence with advice. What may be lost, such as a cached digest, is lost without a word, and nothing is left behind locked."""

    def refused(descriptor, operation):
        raise OSError(number, os.strerror(number))

    (tmp_path / ".b-0123456789.lock").touch()
    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(InputError, match=r"/\.a\.lock cannot be locked: .*Let --workspace-root name a folder"):
        locks.acquire(tmp_path / "a.h5")
    locks.rewrite(tmp_path / "last-run.json", "{}")
    assert list(locks.abandoned(tmp_path)) == []


def test_a_lock_file_that_cannot_be_removed_is_released(tmp_path, monkeypatch):
    """The error is reported, and the same process can take the lock again instead of waiting for itself."""

    def refused(path, missing_ok=False):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    name, descriptor = locks.acquire(tmp_path / "a.h5")
    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", refused)
        with pytest.raises(OSError, match="Input/output error"):
            locks.release(name, descriptor)
    locks.release(*locks.acquire(tmp_path / "a.h5"))


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE])
def test_a_lock_file_that_another_host_removes(tmp_path, monkeypatch, number):
    """On a network file system it can neither be opened nor created for a moment; then it is created."""
    opened, refusals = os.open, [number] * 3

    def late(path, *arguments):
        if refusals and str(path).endswith(".lock"):
            raise OSError(refusals.pop(), "a moment later", str(path))
        return opened(path, *arguments)

    monkeypatch.setattr(os, "open", late)
    with locks.locked(tmp_path / "a.h5", lambda who: None):
        assert refusals == []
    monkeypatch.setattr(locks, "TRIES", 2)
    refusals += [number] * 3
    with pytest.raises((OSError, InputError)):
        locks.acquire(tmp_path / "a.h5")


def test_a_small_file_is_no_reason_for_a_folder(tmp_path):
    """What commands remember is lost where there is no workspace, which stays as it was."""
    locks.rewrite(tmp_path / "data" / "remembered.json", "{}")
    assert not list(tmp_path.iterdir())
    (tmp_path / "data").mkdir()
    locks.rewrite(tmp_path / "data" / "remembered.json", "{}")
    assert (tmp_path / "data" / "remembered.json").read_text() == "{}"
