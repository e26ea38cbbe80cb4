"""How a run ends: exit codes, summary, interrupts, run log."""

import contextlib
import functools
import json
import os
import re
import signal
import time
from types import SimpleNamespace

import pytest
from fresh import run
from workplace import PATIENCE, until

from pipeline.store.hdf5.steady import Steady
from pipeline.store.run import closing, interrupts
from pipeline.store.run.closing import GO_ON
from pipeline.store.workspace import runlog

STAGES = {"Draw", "Scale", "Picture", "Guess", "Total"}


def last(process, lines):
    return process.stderr.rstrip().splitlines()[-lines:]


def test_the_result_comes_last(workplace):
    """The stages that ran in columns, the path of the result, and the result; for a finished chain, that of the run that made it."""
    first, second = workplace.run("Total"), workplace.run("Total")
    assert (first.returncode, second.returncode) == (0, 0)
    result = [f"Total:  submissions/{workplace.artifact('Total').name}", "Result: the sum is 21"]
    title, *ran = last(first, 8)[:-2]
    assert re.fullmatch(r"Ran 5 stages in \d+ s:", title)
    # The order in which Luigi runs independent stages varies.
    assert sorted(re.fullmatch(r"  (\w+) +\d+ s", row)[1] for row in ran) == sorted(STAGES)
    assert len({re.search(r"\d+ s", row).end() for row in ran}) == 1
    assert last(first, 2) == result
    assert last(second, 3) == ["Nothing to do: every result exists and is up to date.", *result]


def test_the_end_of_a_run_is_logged(workplace):
    """With the files of its results, also if there was nothing to do; a run that fails has no end, and keeps the note of the last one."""
    workplace.run("Total")
    workplace.run("Total")
    noted = (workplace.root / "models" / "last-run.json").read_text()
    workplace.numbers.unlink()
    assert workplace.run("Total").returncode == 20
    ends = [entry for entry in workplace.log() if entry["event"] == "end"]
    assert len(ends) == 2
    assert ends[0]["artifacts"] == ends[1]["artifacts"]
    assert set(ends[0]["artifacts"]) == STAGES
    assert all((workplace.root / place).is_file() for place in ends[0]["artifacts"].values())
    assert (workplace.root / "models" / "last-run.json").read_text() == noted
    assert json.loads(noted)["run"] == ends[1]["run"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_was_cached(workplace, workers):
    """A run names the stages that were cached."""
    assert workplace.run("Scale").returncode == 0
    lines = workplace.run("Total", "--workers", workers).stderr.splitlines()
    assert "Cached: Draw, Scale" in lines
    assert {line.split()[0] for line in lines if line.startswith("  ")} == STAGES - {"Draw", "Scale"}


def test_what_a_failure_leaves(workplace):
    """The stages that ran, those that were cached and those that are missing, then what failed and how to continue."""
    assert workplace.run("Draw").returncode == 0
    failed = workplace.run("Total", CHAINLET="Scale:input")
    words = last(failed, 6)
    assert re.fullmatch(r"Ran 1 stage in \d+ s:", words[0])
    assert re.fullmatch(r"  Guess  \d+ s", words[1])
    assert words[2:4] == ["Cached: Draw", "Not made: Picture, Total"]
    assert words[4].startswith("Scale failed: ")
    assert words[5] == GO_ON


def test_several_stages_of_a_family_are_counted():
    """Six specialists are counted, not listed."""
    stages = [SimpleNamespace(task_family=family, address=address) for family, address in (("A", "A:x"), ("B", "B:y"), ("A", "A:z"))]
    assert closing._names(stages) == "A (2), B:y"


def test_a_missing_file(workplace):
    """The exit code is 20; the message names the file and says what to do."""
    workplace.numbers.unlink()
    done = workplace.run("Total")
    assert done.returncode == 20
    assert last(done, 2) == ["Missing: numbers.txt does not exist. Write some numbers into it.", GO_ON]


def test_unusable_input(workplace):
    """The exit code is 30; the last line but one is the message, and there is no traceback. Finished stages are kept."""
    done = workplace.run("Total", CHAINLET="Scale:input")
    assert done.returncode == 30
    assert last(done, 2) == ["Scale failed: numbers.txt, row 3: not a number; write one there.", GO_ON]
    assert "Traceback" not in done.stderr
    again = workplace.run("Total")
    assert again.returncode == 0
    assert "Draw: started" not in again.stderr


def test_any_other_error(workplace):
    """The exit code is 30; the traceback is printed above the summary."""
    done = workplace.run("Total", CHAINLET="Scale:crash")
    assert done.returncode == 30
    assert last(done, 2) == ["Scale failed: RuntimeError('something else')", GO_ON]
    assert "Traceback" in done.stderr
    assert "raise error\nRuntimeError: something else" in done.stderr


def test_an_unusable_backend_stops_the_run_before_anything_is_made(workplace):
    """Stages that need no backend are not computed in vain."""
    done = workplace.run("Total", KERAS_BACKEND="theano")
    assert done.returncode == 30
    assert "Total failed: KERAS_BACKEND names the backend 'theano', which cannot train here." in done.stderr
    assert not list(workplace.root.glob("*/*.h5"))


@pytest.fixture(params=["signals as usual", "signals ignored"])
def disposition(request):
    """That of the process that runs the tests: a shell lets its background processes ignore Ctrl-C."""
    if request.param == "signals as usual":
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("disposition")
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_an_interrupted_run(workplace, workers, how):
    """It ends at once with an exit code other than 0, says how to continue and leaves no process; the same command then resumes."""
    process = workplace.start("Total", "--workers", workers, CHAINLET="Scale:sleep")
    until(lambda: list(workplace.root.glob("asleep-*")))
    if how == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)  # to the whole group, as a terminal does
    else:
        process.send_signal(signal.Signals[how])
    err = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode not in (0, None)
    assert "\nScale interrupted.\n" in err
    assert err.endswith(f"{GO_ON}\n")
    assert "Traceback" not in err
    until(lambda: not group_lives(process.pid))
    assert workplace.log()[-1]["status"] == "interrupted"
    assert not [name for name in workplace.files() if "scale" in name]
    assert workplace.run("Total").returncode == 0


def test_a_run_under_nohup(workplace):
    """Where SIGHUP is ignored, the loss of the terminal does not end the run."""
    process = workplace.start("Total", CHAINLET="Scale:wait", first=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    until((workplace.root / "waiting").exists)
    process.send_signal(signal.SIGHUP)
    (workplace.root / "go").touch()
    err = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 0, err


def test_children_die_with_their_parent(workplace):
    """After kill -9 of the command itself, its workers end too and write nothing."""
    process = workplace.start("Total", "--workers", "2", CHAINLET="Scale:sleep")
    until(lambda: list(workplace.root.glob("asleep-*")))
    process.kill()
    process.communicate(timeout=PATIENCE)
    until(lambda: not group_lives(process.pid))
    assert not (workplace.root / "awake").exists()


def test_a_child_that_does_not_listen(workplace):
    """A worker that is busy in a library and cannot be interrupted is killed after a few seconds."""
    process = workplace.start("Total", "--workers", "2", CHAINLET="Scale:ignore")
    until(lambda: list(workplace.root.glob("asleep-*")))
    process.terminate()
    err = process.communicate(timeout=PATIENCE)[1]
    assert err.endswith(f"{GO_ON}\n")
    until(lambda: not group_lives(process.pid))
    assert not (workplace.root / "awake").exists()


@pytest.mark.parametrize("how", ["swallow", "compute"])
def test_a_stage_that_an_exception_does_not_end(workplace, how):
    """A process in which libraries swallow the exception or never let it be raised ends too, with only the advice how to continue."""
    process = workplace.start("Total", CHAINLET=f"Scale:{how}")
    until(lambda: list(workplace.root.glob("asleep-*")))
    process.terminate()
    err = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert err.endswith(f"\nInterrupted. {GO_ON}\n")
    assert workplace.run("Total").returncode == 0
    assert not [name for name in workplace.files() if name.startswith(".")]


def test_a_worker_that_is_killed(workplace):
    """The summary names the stage and possible reasons."""
    killed = workplace.run("Total", "--workers", "2", CHAINLET="Scale:kill")
    assert killed.returncode == 30
    assert last(killed, 2) == ["Scale failed: its process was killed from outside, or the system ran out of memory", GO_ON]


@pytest.fixture
def interruptible(monkeypatch):
    """SIGTERM is handled as in a run, for the duration of a test."""
    monkeypatch.setattr(interrupts, "_received", [])
    before = signal.signal(signal.SIGTERM, functools.partial(interrupts._interrupted, os.getpid()))
    yield
    signal.signal(signal.SIGTERM, before)


def test_an_interrupt_under_hdf5_comes_a_moment_later(interruptible):
    """No exception is raised inside the file that HDF5 writes to, because HDF5 could not handle it; it is raised shortly afterwards."""
    steady = Steady(SimpleNamespace(truncate=signal.raise_signal))
    with pytest.raises(KeyboardInterrupt):
        interrupted_in(steady)
    assert steady.failure is None


def test_an_interrupt_while_an_hdf5_file_is_closed_comes_a_moment_later(interruptible):
    """The file is closed completely before KeyboardInterrupt is raised."""
    closed = []

    class Interrupting:
        def close(self):
            signal.raise_signal(signal.SIGTERM)
            closed.append(interrupts.received())

    Steady(SimpleNamespace()).close_hdf5(Interrupting())
    with pytest.raises(KeyboardInterrupt):
        time.sleep(20)
    assert closed == [False]


def interrupted_in(steady):
    steady.truncate(signal.SIGTERM)
    assert not interrupts.received()
    time.sleep(20)


FORK = """
import functools, multiprocessing, os, signal, time
from pipeline.store.run import interrupts
signal.signal(signal.SIGTERM, functools.partial(interrupts._interrupted, os.getpid()))
os.register_at_fork(after_in_parent=lambda: signal.raise_signal(signal.SIGTERM))
try:
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(0,)).start()
    print("started", flush=True)
    time.sleep(20)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_while_a_child_is_started_comes_a_moment_later():
    """Python ignores exceptions in the callbacks around a fork."""
    ended = run("-c", FORK)
    assert (ended.stdout, ended.stderr) == ("started\ninterrupted\n", "")


@pytest.mark.parametrize("error", [None, ValueError])
def test_an_interrupt_that_a_library_swallowed(interruptible, error):
    """The stage ends as interrupted although no exception, or a different one, arrives."""
    with pytest.raises(KeyboardInterrupt):
        swallowed_and_replaced_by(error)


def swallowed_and_replaced_by(error):
    with interrupts.heeded():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        if error:
            raise error


def group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_last_run_of_a_folder_is_known(workplace):
    """models/last-run.json of the current folder contains the arguments although the workspace is elsewhere."""
    assert workplace.run("Draw", "--workspace-root", "elsewhere", "--Draw-size", "5").returncode == 0
    entry = json.loads((workplace.root / "models" / "last-run.json").read_text())
    assert entry["event"] == "run"
    assert entry["arguments"] == ["--module", "chainlet", "Draw", "--workspace-root", "elsewhere", "--Draw-size", "5"]
    assert [path.parts[-2:] for path in workplace.root.glob("elsewhere/models/*")] == [("models", "runs.jsonl")]
    assert len(list(workplace.root.glob("elsewhere/data/draw-*.h5"))) == 1


def test_the_preset_of_a_run_is_known(workplace):
    """Only the parameters of stages are recorded, as flags; editing the preset later does not change the record."""
    (workplace.root / "five.cfg").write_text("[Draw]\nsize = 5\n[core]\nlog_level = WARNING\n")
    assert workplace.run("Draw", LUIGI_CONFIG_PATH="five.cfg").returncode == 0
    assert json.loads((workplace.root / "models" / "last-run.json").read_text())["preset"] == ["--Draw-size=5"]


def test_other_tools_of_luigi_stay_silent(workplace):
    """Inspecting the chain is not a run: it writes no log and no summary."""
    stages = workplace.chain()
    assert not stages["Total"].complete()
    assert not list(workplace.root.glob("models/*"))


def test_the_run_log_survives_a_cut_off_line(tmp_path):
    """A line that a crash cut off is skipped, and the next one starts on a new line."""
    assert runlog.entries(tmp_path) == []
    runlog.append(tmp_path, {"event": "run", "n": 1})
    with (tmp_path / runlog.NAME).open("a") as file:
        file.write('{"event": "stage", "n": 2, "sta')
    assert [entry["n"] for entry in runlog.entries(tmp_path)] == [1]
    runlog.append(tmp_path, {"event": "run", "n": 3})
    with (tmp_path / runlog.NAME).open("ab") as file:
        file.write(b"\xff\xfe\n[1]\n\n")
    assert [entry["n"] for entry in runlog.entries(tmp_path)] == [1, 3]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path):
    """The log is a record, not a result."""
    (tmp_path / "models").touch()
    runlog.append(tmp_path / "models", {"event": "run"})
    assert (tmp_path / "models").read_bytes() == b""
