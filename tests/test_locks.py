"""One writer for each artifact."""

import fcntl
import multiprocessing
import os
import re
import threading
import time

from workplace import PATIENCE, until

from pipeline.store import locks


def test_a_second_process_waits_and_uses_the_result(workplace):
    """It says for whom it waits; the stage runs once."""
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
    assert re.search(r"\nRan: Draw \d+ s, Scale \d+ s\.\n", first.communicate(timeout=PATIENCE)[1])
    rest = second.communicate(timeout=PATIENCE)[1]
    assert (first.returncode, second.returncode) == (0, 0)
    assert "Scale: started" not in rest
    assert sorted(workplace.ran()) == ["Draw", "Guess", "Picture", "Scale", "Total"]
    assert not [name for name in workplace.files() if name.startswith(".")]


def test_a_dead_holder_blocks_nobody(tmp_path):
    """The lock file of a dead process is taken over without waiting, and removed."""
    path, told = tmp_path / "a.h5", []
    (tmp_path / ".a.lock").write_text('{"pid": 1, "command": "long dead"}')
    with locks.locked(path, told.append):
        assert f'"pid": {os.getpid()}' in (tmp_path / ".a.lock").read_text()
    assert told == []
    assert list(tmp_path.iterdir()) == []


def test_one_holder_at_a_time(tmp_path):
    """Many processes that come and go never hold one lock together, although each removes the file."""
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
    """A process that the holder forked and that lives on does not block the next holder."""
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
    """Those of dead writers are found and removed, those that are held are left alone."""
    for name in ("dead-1", "dead-2"):
        (tmp_path / f".{name}.lock").touch()
    with locks.locked(tmp_path / "held.h5", lambda who: None):
        assert list(locks.abandoned(tmp_path)) == ["dead-1", "dead-2"]
        assert [path.name for path in tmp_path.iterdir()] == [".held.lock"]
    assert list(locks.abandoned(tmp_path)) == []


def test_who_is_told_when_it_is_not_known(tmp_path):
    """A holder that has not written its name yet is another process."""
    name, told = tmp_path / ".a.lock", []
    holder = os.open(name, os.O_RDWR | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)
    threading.Timer(0.1, os.close, (holder,)).start()
    with locks.locked(tmp_path / "a.h5", told.append):
        assert told == ["another process"]
