"""What a running stage shows on a terminal, as lines, and on luigid's page."""

import errno
import io
import os
import pty
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from workplace import PATIENCE, TESTS

from pipeline import environment
from pipeline.data import duplicates
from pipeline.data.formats import archives, kaggle
from pipeline.data.synthetic import rendered
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.store.run import guard
from pipeline.store.workspace import console


@pytest.fixture
def clock(monkeypatch):
    """A clock that advances only when it is told to."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(console.time, "monotonic", lambda: now.seconds)
    return now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_a_bar(monkeypatch, clock):
    """The stage, the number of epochs, the RMSE and the time left on one line that is redrawn."""
    monkeypatch.setattr(console.sys, "stderr", Terminal())
    with console.Progress("TrainBase", 3, "epoch") as shown:
        for _ in range(2):
            clock.seconds += 10
            shown.step("RMSE training 2.00 px, validation 1.50 px")
        said = shown.bar.format_meter(**{**shown.bar.format_dict, "elapsed": 20, "rate": None, "ncols": None})
    assert said.startswith("TrainBase:  67%|")
    assert "2/3 [00:20<00:10" in said
    assert said.endswith("RMSE training 2.00 px, validation 1.50 px]")


def test_two_workers_have_lines_on_a_terminal(monkeypatch):
    """Two bars would overwrite each other."""
    monkeypatch.setattr(console.sys, "stderr", Terminal())
    monkeypatch.setattr(console.multiprocessing, "parent_process", lambda: "parent")
    assert console.Progress("Toy", 3, "epoch").bar is None


def test_lines_come_every_five_seconds(clock, capsys):
    """There are also lines for the first and the last step."""
    shown = console.Progress("Load", 20_400, "MB", scale=1000)
    for _ in range(10):
        clock.seconds += 1
        shown.add(2040)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["Load: MB 2/20, 0:00:09 left", "Load: MB 12/20, 0:00:04 left", "Load: MB 20/20, 0:00:00 left"]


def test_a_scheduler_is_told_once_a_second(clock):
    """However fast the steps are; the last one is always reported."""
    told = []
    shown = console.Progress("Render", 100, "face", lambda share, text: told.append((share, text)))
    for _ in range(100):
        clock.seconds += 0.04
        shown.step()
    assert [share for share, _ in told] == [0.01, 0.26, 0.51, 0.76, 1.0]
    assert told[-1][1] == "Render: face 100/100, 0:00:00 left"


def test_a_stage_that_is_done_shows_what_it_made(workplace):
    """100 per cent, the result, and the file with the name of the host."""
    total, told = workplace.chain()["Total"], []
    for stage in total.needed_stages():
        for name in ("progress_percentage", "status_message"):
            setattr(stage, f"set_{name}", told.append)
        stage.run()
    assert told[-2:] == [100, f"the sum is 21; {total.path.absolute()} on {environment.host()}"]


def test_a_stage_within_another_reports_with_it(workplace, monkeypatch):
    """Luigi knows only the stage that it runs, such as a Trial: the text of a training that the Trial makes is shown with it."""
    chain, told = workplace.chain(), []
    chain["Total"].set_status_message = told.append
    monkeypatch.setattr(guard, "running", [chain["Total"], chain["Draw"]])
    chain["Draw"].tell_scheduler(0.5, "half of it")
    assert told == ["half of it"]


# Reports of the functions that do the work


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Drawn faces as Kaggle's files, with the training table also in a zip file; and the reported numbers of faces."""
    folder, reported = tmp_path_factory.mktemp("files"), []
    paths = kaggle.KaggleFiles(*(folder / name for name in ("training.csv", "test.csv", "IdLookupTable.csv")))
    rendered.write_files(paths, KAGGLE, side=SIDE, training=12, test=6, seed=0, on_progress=reported.append)
    with zipfile.ZipFile(folder / "zipped.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(paths.training, "training.csv")
    return folder, reported


def test_every_drawn_face_is_reported(files):
    """Training and test faces are counted."""
    assert files[1] == [1] * 18


@pytest.mark.parametrize("name", ["training.csv", "zipped.zip"])
def test_every_byte_read_is_reported(files, monkeypatch, name):
    """The blocks add up to the size that `archives.size` returns."""
    monkeypatch.setattr(archives, "BLOCK", 100_000)
    reported, path = [], files[0] / name
    kaggle.read_training(path, KAGGLE, side=SIDE, on_progress=reported.append)
    assert len(reported) > 2
    assert sum(reported) == archives.size(path) == (files[0] / "training.csv").stat().st_size


def test_every_face_is_reported_as_compared():
    """Exact copies and images without contrast are reported too, although they need no comparison."""
    images = np.random.default_rng(0).integers(0, 256, (300, 16, 16), np.uint8)
    images[1], images[2] = images[0], 7
    reported = []
    duplicates.groups(images, correlation=0.99, on_progress=reported.append)
    assert len(reported) > 2
    assert sum(reported) == 300


# Nobody listens


class Deaf(Terminal):
    """A terminal that is gone, a pipe without a reader, or a full disk."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))

    def flush(self):
        self.write("")


@pytest.mark.parametrize("stream", [Deaf(errno.EIO), Deaf(errno.EPIPE), Deaf(errno.ENOSPC), None])
def test_a_stage_does_not_need_listeners(monkeypatch, stream):
    """Lines and bars that cannot be written are lost, and the work continues."""
    monkeypatch.setattr(console.sys, "stderr", stream)
    monkeypatch.setattr(console.sys, "stdout", stream)
    with console.Progress("TrainBase", 3, "epoch") as shown:
        for _ in range(3):
            console.say("a line")
            shown.step("RMSE 2.00 px")
    assert shown.done == 3
    with console.unfailing_prints():
        print("a line", flush=True)
        print("another", file=console.sys.stderr)


def test_a_closed_stream_takes_nothing(monkeypatch):
    """A notebook or a test may have closed the stream."""
    stream = Terminal()
    stream.close()
    monkeypatch.setattr(console.sys, "stderr", stream)
    console.say("a line")


def test_what_a_terminal_would_obey_is_escaped(monkeypatch):
    """Control characters in the name of a file are shown, whether or not the stream can encode the rest of the name."""
    name = "a\x1b[31m\r\u202eß\udcff\N{SMILING FACE WITH SMILING EYES}.csv"
    for encoding, expected in (("utf-8", "ß\\xff\N{SMILING FACE WITH SMILING EYES}"), ("ascii", "\\xdf\\xff\\U0001f60a")):
        raw = io.BytesIO()
        monkeypatch.setattr(console.sys, "stderr", io.TextIOWrapper(raw, encoding=encoding))
        console.say(f"{name} is missing.\n\tNext line")
        shown = f"a\\x1b[31m\\x0d\\u202e{expected}.csv is missing.\n\tNext line\n"
        assert raw.getvalue().decode(encoding) == shown
        monkeypatch.setattr(console.sys, "stdout", console.sys.stderr)
        with console.unfailing_prints():
            print(name)
        assert raw.getvalue().decode(encoding) == shown + shown.split(" is ")[0] + "\n"


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2>&- 1>&- 0<&-", "2>/dev/full >/dev/full", "2>&1 | true"])
def test_a_run_that_nobody_hears_is_a_run(workplace, redirection):
    """It makes every artifact, logs every stage, and ends with its usual exit code."""
    command = f"set -o pipefail; {sys.executable} -m luigi --module chainlet Total {redirection}"
    done = subprocess.run(["bash", "-c", command], cwd=workplace.root, capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert sorted(workplace.ran()) == ["Draw", "Guess", "Picture", "Scale", "Total"]
    assert not [name for name in workplace.files() if name.startswith(".")]
    failed = subprocess.run(
        ["bash", "-c", command.replace("Total", "Total --source-path no.txt")], cwd=workplace.root, capture_output=True, timeout=PATIENCE
    )
    assert failed.returncode == 20


@pytest.mark.parametrize("redirection", ["| true", ">/dev/full", ">&-"])
def test_a_command_that_nobody_hears_has_its_usual_exit_code(tmp_path, redirection):
    """`keypoints status` ends with 1 as long as something is missing, and says nothing of the pipe."""
    start = "import sys; from pipeline.commands import main; sys.exit(main())"
    command = f"set -o pipefail; {sys.executable} -c '{start}' status {redirection}"
    kept = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=kept, capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_the_name_of_a_file_cannot_command_a_terminal(workplace):
    """Not even through Luigi's own messages, nor if the name is not UTF-8."""
    done = workplace.run("Total", "--source-path", b"a\x1b[31m\xff.txt", LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert done.returncode == 20
    assert "Missing: a\\x1b[31m\\xff.txt does not exist." in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_terminal_that_goes_away_ends_nothing(workplace):
    """After the loss of a connection, writing to the terminal is an input/output error; also for the workers of a run."""
    own, terminal = pty.openpty()
    command = [sys.executable, "-m", "luigi", "--module", "chainlet", "Total", "--workers", "2"]
    process = subprocess.Popen(command, cwd=workplace.root, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
    os.close(terminal)
    os.close(own)
    assert process.wait(PATIENCE) == 0
    assert sorted(workplace.ran()) == ["Draw", "Guess", "Picture", "Scale", "Total"]
