"""What a running stage shows on a terminal, as lines, and on luigid's page."""

import io
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from luigi.rpc import RPCError

from pipeline.data import duplicates
from pipeline.data.formats import archives, kaggle
from pipeline.data.synthetic import rendered
from pipeline.keypoints.kaggle import KAGGLE, SIDE
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


def test_a_server_that_is_gone_stops_no_stage(workplace, capsys):
    """One line reports it, and the server is not contacted again, because each attempt would take a minute."""
    stage, asked = workplace.chain()["Draw"], []

    def set_progress_percentage(percentage):
        asked.append(percentage)
        raise RPCError("no route")

    stage.set_progress_percentage = set_progress_percentage
    shown = stage.progress(1000, "face")
    shown.step(by=999)
    shown.step()
    assert asked == [100]
    assert "luigi's server does not answer (no route); continuing without it" in capsys.readouterr().err


def test_a_stage_that_is_done_shows_what_it_made(workplace):
    """100 per cent, the result, and a link to the file."""
    total, told = workplace.chain()["Total"], []
    for stage in total.needed_stages():
        for name in ("progress_percentage", "status_message", "tracking_url"):
            setattr(stage, f"set_{name}", told.append)
        stage.run()
    assert told[-3:] == [100, "the sum is 21", total.path.absolute().as_uri()]


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
