"""Snapshots: arrays that grow in a file, single files until they are published, and what the commands do with them."""

import numpy as np
import pytest
from workplace import make

from pipeline import commands
from pipeline.commands import forget, inspect, verify
from pipeline.nets.trained import Snapshots
from pipeline.schema import array, record
from pipeline.store.hdf5 import artifacts, contents
from pipeline.store.run.partial_results import PartialResults
from pipeline.store.workspace import partials


def taken(epoch):
    """Weights after an epoch whose values identify the epoch and the weight."""
    kernel = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4) + 100 * epoch
    return Snapshots(np.array([epoch], np.int32), {"stem/kernel": kernel, "stem/bias": np.float32([[epoch] * 4])})


@pytest.fixture
def draw(workplace):
    """A stage whose inputs exist."""
    return workplace.chain()["Draw"]


def of(artifact):
    """The partial results of an artifact outside of a stage."""
    return PartialResults(artifact, {}, lambda: True)


def save(stage, *epochs):
    for epoch in epochs:
        stage.partials.save_snapshot(taken(epoch), epoch)


# ---- arrays that grow ------------------------------------------------------------------------------------------------------------------


def test_arrays_grow_by_what_is_appended(tmp_path):
    """Arrays grow along the first axis, which is unlimited in the file; a chunk holds one index of it; the file is verified as usual."""
    path = tmp_path / "net-0123456789.h5"
    with artifacts.writing(path, {}) as file:
        for epoch in range(1, 200):
            contents.append(file, taken(epoch))
    found = artifacts.load(path, Snapshots)
    assert found.epoch.tolist() == list(range(1, 200))
    np.testing.assert_array_equal(found.weights["stem/kernel"], np.concatenate([taken(n).weights["stem/kernel"] for n in range(1, 200)]))
    with artifacts.reading(path, Snapshots) as file:
        kernel, epoch = file["weights/stem/kernel"], file["epoch"]
        assert (kernel.maxshape, kernel.chunks) == ((None, 2, 3, 4), (1, 2, 3, 4))
        assert (epoch.maxshape, epoch.chunks) == ((None,), (1,))
        assert kernel.fletcher32
        assert kernel[:, 1, 2, 3].tolist() == [123 + 100 * n for n in range(199)]


def test_a_large_array_has_chunks_of_a_megabyte(tmp_path):
    """So that following a single weight does not read the whole kernel of each epoch: 1,048 of 4,000 rows of 1,000 bytes."""
    path, content = tmp_path / "net-0123456789.h5", Snapshots(np.array([1], np.int32), {"a": np.zeros((1, 4000, 250), np.float32)})
    with artifacts.writing(path, {}) as file:
        contents.append(file, content)
        assert file["weights/a"].chunks == (1, 1048, 250)


def test_growth_along_another_axis_is_no_artifact(tmp_path):
    """A file that could not be read again is not published."""
    with pytest.raises(RuntimeError, match="is extendible"), artifacts.writing(tmp_path / "net-0123456789.h5", {}) as file:
        file.create_dataset("a", (2, 2), "float32", maxshape=(None, None), chunks=(1, 2), fletcher32=True)
    assert list(tmp_path.iterdir()) == []


# ---- of a stage ------------------------------------------------------------------------------------------------------------------------


def test_snapshots_are_published_with_the_artifact(draw, monkeypatch):
    """In the given order and no others; the single files are removed once the artifact, with the digest of their file, is published."""
    from chainlet import work

    save(draw, 2, 4, 5, 6)
    seen = []
    monkeypatch.setattr(work, "hook", lambda place: seen.append(draw.partials.publish_snapshots(Snapshots, [2, 4, 5])))
    make(draw)
    assert set(seen) == {".snapshots.h5"}
    assert artifacts.load(draw.sibling(".snapshots.h5"), Snapshots).epoch.tolist() == [2, 4, 5]
    assert partials.of(draw.path) == []


def test_what_is_gone_or_damaged_is_lacking(draw, capsys):
    """A damaged snapshot is quarantined, with a warning."""
    save(draw, 2, 4, 6)
    draw.partials.snapshot(2).unlink()
    damaged = draw.partials.snapshot(4)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert draw.partials.missing_snapshots([2, 4, 6]) == [2, 4]
    assert damaged.with_name(f"{damaged.name}.damaged-1").exists()
    assert capsys.readouterr().err.startswith(f"warning: {damaged} is")
    assert draw.partials.missing_snapshots([]) == []


def test_what_a_killed_stage_set_down_stays(workplace):
    """Until the stage has finished: cleaning up after dead writers affects only finished stages."""
    stages = workplace.chain()
    make(stages["Guess"])
    finished, killed = stages["Guess"].path, stages["Guess"].path.with_name("guess-fedcba9876.h5")
    for artifact in (finished, killed):
        of(artifact).save_snapshot(taken(1), 1)
        artifact.with_name(f".{artifact.stem}.lock").touch()
    make(stages["Scale"])
    assert partials.of(finished) == []
    assert len(partials.of(killed)) == 1


def test_verify_and_forget_know_snapshots(draw, capsys):
    """verify checks them; forget quarantines them even without an artifact."""
    save(draw, 1)
    snapshot = draw.partials.snapshot(1)
    assert verify.run() == 0
    whole = snapshot.read_bytes()
    snapshot.write_bytes(b"")
    assert verify.run() == 1
    assert f"damaged: {snapshot} is" in capsys.readouterr().out
    snapshot.write_bytes(whole)
    assert forget.run("Draw", [draw]) == 0
    assert partials.of(draw.path) == []
    assert snapshot.with_name(f"{snapshot.name}.forgotten-1").exists()


@record
class Anything:
    number: np.ndarray = array("int32", "", "", "a number")


def test_inspect_says_how_to_follow_a_weight(tmp_path, monkeypatch, capsys):
    """It lists the epochs and three lines of Python that work; nothing without snapshots; verify notices a missing file."""
    for folder in ("data", "models", "submissions"):
        (tmp_path / folder).mkdir()
    path = tmp_path / "models" / "net-0123456789.h5"
    for epoch in (2, 4, 5):
        of(path).save_snapshot(taken(epoch), epoch)
    of(path).publish_snapshots(Snapshots, [2, 4, 5])
    with artifacts.writing(path, {"stage": "Net", "key": "0123456789"}, [path.with_suffix(".snapshots.h5")]) as file:
        contents.put(file, Anything(np.int32(3)))
    assert inspect.run(str(path), []) == 0
    said = capsys.readouterr().out
    assert f"{path.with_suffix('.snapshots.h5')} contains the weights after epochs 2, 4, 5; the first axis is the epoch:" in said
    lines = said.splitlines()[-3:]
    import h5py

    exec("\n".join(line.removeprefix("    ") for line in lines), {"h5py": h5py})
    assert capsys.readouterr().out == "[2 4 5] [200. 400. 500.]\n"
    path.with_suffix(".snapshots.h5").unlink()
    assert commands.main(["verify", f"--workspace-root={tmp_path}"]) == 1
    with artifacts.writing(path, {"stage": "Net", "key": "0123456789"}) as file:
        contents.put(file, Anything(np.int32(3)))
    capsys.readouterr()
    assert inspect.run(str(path), []) == 0
    assert "snapshots" not in capsys.readouterr().out
