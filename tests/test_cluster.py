"""Runs that share a scheduler: a real luigid, and workers in processes of their own that run the small chain."""

import contextlib
import hashlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from luigid import WORKERS, Luigid
from workplace import PATIENCE, Workplace, until

from pipeline.store.run import server, shared
from pipeline.store.workspace import files, identity, names

STAGES = ["Draw", "Guess", "Picture", "Scale", "Total"]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A server for all tests of this module that do not stop it: each has a workspace of its own."""
    luigid = Luigid(tmp_path_factory.mktemp("luigid"))
    yield luigid
    luigid.stop(signal.SIGKILL)


@pytest.fixture
def own(tmp_path_factory):
    """A server that the test may stop."""
    luigid = Luigid(tmp_path_factory.mktemp("own"))
    yield luigid
    luigid.stop(signal.SIGKILL)


@pytest.fixture
def place(workplace):
    workplace.configure(WORKERS)
    return workplace


def copy_of(place: Workplace, folder: Path) -> Workplace:
    """Another folder with the same chain, numbers and settings, and no results."""
    folder.mkdir()
    other = Workplace(folder)
    shutil.copy(place.root / "luigi.cfg", folder)
    return other


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The SHA-256 of each artifact after a run without a server, by file name."""
    place = Workplace(tmp_path_factory.mktemp("undisturbed"))
    assert place.run("Total").returncode == 0
    return artifacts_of(place)


def artifacts_of(place: Workplace) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.root.glob("*/*.h5")}


def ended(*workers: subprocess.Popen) -> list[SimpleNamespace]:
    """The exit codes and messages of workers, once all have ended. None prints a traceback."""
    results = []
    for worker in workers:
        _, err = worker.communicate(timeout=PATIENCE)
        assert "Traceback" not in err, err
        results.append(SimpleNamespace(code=worker.returncode, said=err))
    return results


def kill(worker: subprocess.Popen) -> None:
    os.killpg(worker.pid, signal.SIGKILL)
    worker.communicate()


def workers_of(place: Workplace, luigid: Luigid) -> set[str]:
    """The workers that have told the server about stages of a workspace."""
    tasks = luigid.rpc.task_search(identity.of(place.root)).values()
    return {worker for status in tasks for task in status.values() for worker in task["workers"]}


def joined(place: Workplace, luigid: Luigid, *flags: str, **options: str) -> tuple[subprocess.Popen, subprocess.Popen]:
    """A worker that has begun the stage where CHAINLET stops it, and a second one that has then told the server about its stages."""
    first = place.start("Total", *luigid.flags, **options)
    until(lambda: (place.root / "waiting").exists() or list(place.root.glob("asleep-*")))
    second = place.start("Total", *luigid.flags, *flags)
    until(lambda: len(workers_of(place, luigid)) == 2)
    return first, second


# Sharing the work


def test_two_workers(place, running, undisturbed):
    """Both stay until everything is there and exit with 0; each stage is made once, with the bytes of a run without a server."""
    first, second = joined(place, running, "--scheduler-url", f"http://127.0.0.1:{running.port}/", CHAINLET="Draw:wait")
    (place.root / "go").touch()
    assert [end.code for end in ended(first, second)] == [0, 0]
    assert sorted(place.ran()) == STAGES
    assert artifacts_of(place) == undisturbed


CLOCK = "import time; now = time.time; time.time = lambda: now() + {hours} * 3600; from luigi.cmdline import luigi_run; import sys; "


def test_clocks_an_hour_apart(place, running, undisturbed):
    """Two hosts, one an hour ahead of luigid and one an hour behind it, make each stage once, with the same bytes, and exit with 0."""
    start = "del sys.argv[1:3]; sys.exit(luigi_run(sys.argv[1:]))"
    first, second = (place.start("Total", *running.flags, python=("-c", CLOCK.format(hours=hours) + start)) for hours in (1, -1))
    assert [end.code for end in ended(first, second)] == [0, 0]
    assert sorted(place.ran()) == STAGES
    assert artifacts_of(place) == undisturbed


def test_a_finished_run_again(place, running):
    """The third command has nothing to do, exits with 0, and says so; a worker whose stages others made names them."""
    first, second = joined(place, running, CHAINLET="Total:wait")
    (place.root / "go").touch()
    _, other = ended(first, second)
    assert other.code == 0
    assert "Cached: Draw, Scale, Guess, Picture\nMade by other processes: Total\n" in other.said
    again = place.run("Total", *running.flags)
    assert (again.returncode, "Nothing to do" in again.stderr) == (0, True)


@pytest.mark.parametrize("stage", ["Draw", "Scale writing", "Total"])
def test_a_killed_worker_is_replaced(place, running, undisturbed, stage):
    """Whether in the first, a middle or the last stage: another worker takes the stage over, and all bytes are as ever."""
    first, second = joined(place, running, CHAINLET=f"{stage}:sleep")
    kill(first)
    (end,) = ended(second)
    assert end.code == 0
    assert sorted(place.ran()) == STAGES
    assert artifacts_of(place) == undisturbed
    assert "Waiting for stages that other workers make." in end.said
    assert [name for name in place.files() if ".part" in name or ".checkpoint" in name] == []


@pytest.mark.parametrize(("action", "why"), [("input", "numbers.txt, row 3: not a number; write one there."), ("crash", "something else")])
def test_a_stage_that_fails_is_tried_three_times(place, running, action, why):
    """Then each worker that waits for it ends with 30 and says why, also the one that never ran it; the same command tries again."""
    first = place.start("Total", *running.flags, CHAINLET=f"Scale:{action}")
    second = place.start("Total", *running.flags, CHAINLET=f"Scale:{action}")
    for worker in (first, second):
        _, err = worker.communicate(timeout=PATIENCE)
        assert worker.returncode == 30
        assert f"Scale failed: {why}" in err or (
            f"Scale failed: RuntimeError('{why}')" in err or f"Scale failed: RuntimeError: {why}" in err
        )
        assert action == "crash" or "Traceback" not in err
    failed = [entry["stage"] for entry in place.log() if entry.get("status") == "failed"]
    assert failed == ["Scale"] * 3
    assert place.run("Total", *running.flags).returncode == 0


def test_files_that_are_missing(place, running):
    """A worker does not wait for a file that the user must provide: exit code 20."""
    place.numbers.unlink()
    (end,) = ended(place.start("Total", *running.flags))
    assert end.code == 20
    assert "numbers.txt does not exist" in end.said


def test_two_workspaces(place, running, tmp_path, undisturbed):
    """Two colleagues with the same data and settings share a server, and each gets results of their own."""
    other = copy_of(place, tmp_path / "other")
    workers = [each.start("Total", *running.flags, CHAINLET="Draw:wait") for each in (place, other)]
    until(lambda: all((each.root / "waiting").exists() for each in (place, other)))
    for each in (place, other):
        (each.root / "go").touch()
    assert [end.code for end in ended(*workers)] == [0, 0]
    for each in (place, other):
        assert sorted(each.ran()) == STAGES
        assert artifacts_of(each) == undisturbed


def test_two_versions_of_the_code(place, running, tmp_path):
    """Two hosts with different code share what does not depend on the difference and make the rest twice, under other keys."""
    other = copy_of(place, tmp_path / "other")
    other.edit("tasks", "values.clip(-LIMIT, LIMIT)", "values.clip(-LIMIT, LIMIT) * 2")
    first = place.start("Total", *running.flags, CHAINLET="Draw:wait")
    until((place.root / "waiting").exists)
    second = other.start("Total", *running.flags, "--workspace-root", str(place.root))
    until(lambda: len(workers_of(place, running)) == 2)
    (place.root / "go").touch()
    assert [end.code for end in ended(first, second)] == [0, 0]
    made = sorted(name.split("-")[0] for name in artifacts_of(place))
    assert made == ["draw", "guess", "picture", "picture", "scale", "scale", "total", "total"]
    assert len(place.ran()) == len(made)


def test_the_page_of_the_server(place, running):
    """It shows the key, a percentage, the result and the place of the file as text; there is no link that only works on one host."""
    assert place.run("Total", *running.flags).returncode == 0
    key = names.key_of(place.artifact("Total"))
    tasks = running.rpc.task_search(identity.of(place.root))["DONE"]
    task = tasks[f"total-{key}-{identity.of(place.root)}"]
    assert f"key={key}" in task["display_name"]
    assert task["progress_percentage"] == 100
    assert task["status_message"].startswith(f"the sum is 21; {place.artifact('Total')} on ")
    assert task["tracking_url"] is None


# Servers that are away


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["with its state", "without its state"])
def test_a_server_that_is_restarted(place, own, undisturbed, number):
    """The workers wait for it, tell it what it has forgotten, and exit with 0; no stage is made twice."""
    first, second = joined(place, own, CHAINLET="Draw:wait")
    own.stop(number)
    (place.root / "go").touch()
    until(lambda: list(place.root.glob("data/draw-*.h5")))
    own.start()
    assert [end.code for end in ended(first, second)] == [0, 0]
    assert sorted(place.ran()) == STAGES
    assert artifacts_of(place) == undisturbed


@pytest.mark.parametrize(("goal", "code"), [("Total", 40), ("Draw", 0)])
def test_a_server_that_is_gone(place, own, goal, code):
    """The running stage is finished and kept; the worker ends with a sentence, or with 0 if that stage was all it was asked for."""
    (place.root / "brief.cfg").write_text("[core]\nrpc_retry_attempts = 2\n")
    worker = place.start(goal, *own.flags, CHAINLET="Draw:wait", LUIGI_CONFIG_PATH="brief.cfg")
    until((place.root / "waiting").exists)
    own.stop(signal.SIGKILL)
    (place.root / "go").touch()
    (end,) = ended(worker)
    assert end.code == code
    assert f"luigid at http://localhost:{own.port} does not answer (connection refused)" in end.said
    assert place.ran() == ["Draw"]


def test_no_server(place):
    """A flag or a file that names a server is obeyed: without one the command fails with a sentence instead of running without it."""
    flags = {"port": "[core]\n", "url": "[core]\n", "file": "[core]\ndefault-scheduler-port = 1\n"}
    for name, text in flags.items():
        (place.root / f"{name}.cfg").write_text(f"{text}rpc_retry_attempts = 1\n")
    workers = [
        place.start("Total", "--scheduler-port", "1", LUIGI_CONFIG_PATH="port.cfg"),
        place.start("Total", "--scheduler-url", "http://127.0.0.1:1", LUIGI_CONFIG_PATH="url.cfg"),
        place.start("Total", LUIGI_CONFIG_PATH="file.cfg"),
    ]
    for end in ended(*workers):
        assert end.code == 40
        assert ":1 does not answer (connection refused). Start it, or correct the address" in end.said
    assert not (place.root / "models" / "runs.jsonl").exists()
    assert place.run("Total", "--local-scheduler", "--scheduler-port", "1").returncode == 0


def test_reports_never_hold_up_a_stage():
    """While the server does not answer, a stage goes on; of the reports in the meantime, only the latest is sent."""
    asked, answer = threading.Event(), threading.Event()
    received = []

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append(body)
            asked.set()
            answer.wait(PATIENCE)
            with contextlib.suppress(OSError):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"response": null}')

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as slow:
        threading.Thread(target=slow.serve_forever, daemon=True).start()
        reports = server.Reports(server.Server(f"http://127.0.0.1:{slow.server_port}"), "a task", "a worker")
        reports.update_progress_percentage(0)
        assert asked.wait(PATIENCE)
        for percentage in range(1, 100):
            reports.update_progress_percentage(percentage)  # returns although the first has no answer
        assert len(received) == 1
        answer.set()
        reports.close()
        slow.shutdown()
    assert len(received) == 2
    assert "99" in received[1]


# Files that other hosts write


def test_inputs_that_are_not_visible_yet(place, running, monkeypatch):
    """A stage waits for an input that another host has just written."""
    assert place.run("Draw").returncode == 0
    (draw,) = place.root.glob("data/draw-*.h5")
    hidden = draw.rename(place.root / "hidden")
    scale = place.chain()["Scale"]
    timer = threading.Timer(0.7, hidden.rename, (draw,))
    timer.start()
    assert shared.absent_inputs(scale) == {}
    timer.join()
    draw.rename(hidden)
    monkeypatch.setattr(shared, "LATENCY", 0.0)
    (absent,) = shared.absent_inputs(scale).values()
    assert absent.endswith(draw.name)


HOST = """
import fcntl, platform, sys
fcntl.flock = lambda *arguments: None
platform.node = lambda: "{name}"
from luigi.cmdline import luigi_run
sys.argv[:] = ["luigi", "--module", "chainlet", "Total"]
luigi_run(sys.argv[1:])
"""


def test_hosts_that_share_no_locks(place, undisturbed):
    """Without a server they may make a stage twice, at the same time; neither disturbs the other, and both exit with 0."""
    for stage in ("Draw", "Scale writing"):
        names_of = ("alpha", "beta")
        first = place.start("Total", CHAINLET=f"{stage}:wait", python=("-c", HOST.format(name=names_of[0])))
        until((place.root / "waiting").exists)
        second = place.start("Total", python=("-c", HOST.format(name=names_of[1])))
        assert [end.code for end in ended(second)] == [0]
        (place.root / "go").touch()
        assert [end.code for end in ended(first)] == [0]
        assert artifacts_of(place) == undisturbed
        shutil.rmtree(place.root / "data")
        shutil.rmtree(place.root / "submissions")
        for left in (place.root / "models").glob("*.h5"):
            left.unlink()
        for name in ("go", "waiting"):
            (place.root / name).unlink()


def test_drafts_of_other_hosts(tmp_path, monkeypatch):
    """They stay for as long as they may be written, and are removed later; those of this host's dead processes are removed at once."""
    stem = "scale-0123456789"
    for host in ("here", "elsewhere"):
        (tmp_path / f".{stem}.{host}-1.part.h5").touch()
    monkeypatch.setattr(files.environment, "host", lambda: "here")
    now = time.time()
    for difference in (0, 3600, -3600):  # of the clocks
        monkeypatch.setattr(files.time, "time", lambda difference=difference: now + difference)
        files.sweep(tmp_path, stem)
        assert [path.name for path in tmp_path.iterdir()] == [f".{stem}.elsewhere-1.part.h5"]
    monkeypatch.setattr(files.time, "time", lambda: now)
    monkeypatch.setattr(files, "ABANDONED", 0.0)
    files.sweep(tmp_path, stem)
    assert list(tmp_path.iterdir()) == []


def test_the_identity_of_a_workspace(tmp_path):
    """It is the same for every process, differs between workspaces, and one that a killed process left unwritten is written anew."""
    (tmp_path / "models").mkdir()
    code = "import sys; from pathlib import Path; from pipeline.store.workspace import identity; print(identity.of(Path(sys.argv[1])))"
    askers = [subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {asker.communicate(timeout=PATIENCE)[0].strip() for asker in askers}
    assert answers == {identity.of(tmp_path)}
    assert identity.of(tmp_path / "other") not in answers
    (tmp_path / "models" / identity.NAME).write_text("")
    assert len(identity.of(tmp_path)) == 8


def test_example_of_the_settings():
    """configs/cluster.cfg sets what luigid knows."""
    import configparser

    from luigi.scheduler import scheduler

    found = configparser.ConfigParser()
    found.read(Path(__file__).parent.parent / "configs" / "cluster.cfg")
    assert found.sections() == ["scheduler"]
    assert set(found["scheduler"]) <= {name for name, _ in scheduler.get_params()}
    assert json.loads(found["scheduler"]["retry_count"]) == shared.RETRIES
