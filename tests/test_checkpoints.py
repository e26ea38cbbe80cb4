"""Trainings that resume from a checkpoint give the same bytes as uninterrupted ones; the files of checkpoints."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from toys import DOTS, EYES, SIDE, TARGET, build, labelled, linear_net, recipe, sight_of, structure, together, versions_of, windows_of
from workplace import make

import pipeline
from pipeline.commands import forget, status, verify
from pipeline.commands.support import addresses
from pipeline.errors import InputError
from pipeline.geometry import alignment
from pipeline.nets.sight import WholeImage
from pipeline.nets.trained import Snapshots, Trained
from pipeline.schema import array, record
from pipeline.store.hdf5 import artifacts, contents
from pipeline.store.run.partial_results import PartialResults
from pipeline.store.workspace import partials
from pipeline.store.workspace.console import Progress


@record
class Numbers:
    values: np.ndarray = array("float64", "number", "", "some numbers")


def numbers(*values):
    return Numbers(np.array(values, "float64"))


def of(artifact):
    """The partial results of an artifact outside of a stage."""
    return PartialResults(artifact, {}, lambda: True)


# ---- trainings -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nets():
    """The modules that train."""
    from pipeline.nets import device

    device.prepare(seed=0, threads=0)
    from pipeline.nets import checkpoints, fitting, network, start, training

    class Modules:
        pass

    Modules.fitting, Modules.start, Modules.network, Modules.training, Modules.checkpoints = fitting, start, network, training, checkpoints
    return Modules


def uninterrupted_and_resumed(nets, train, folder):
    """The result of `train(checkpoints)` without interruption, and for each of its epochs the result of resuming after that epoch."""
    kept = []
    whole = train(nets.checkpoints.Checkpoints(kept.append, 0.0, "toy"))
    resumed = {}
    for state in kept:
        epoch = len(state.history.epoch)
        artifact = folder / f"net{epoch}-0.h5"
        of(artifact).save_checkpoint(state, epoch)
        latest = of(artifact).latest_checkpoint(nets.checkpoints.Checkpoint)
        resumed[epoch] = train(nets.checkpoints.Checkpoints(lambda state: None, 0.0, "toy", latest))
    return whole, resumed


def fitted(nets, net_of, **changes):
    """A `train` for `uninterrupted_and_resumed` that returns the bytes of weights, history and health, and the history."""
    import keras

    faces, validation, plan = (
        [labelled(30, seed=s) for s in (1, 2)],
        labelled(10, seed=3),
        recipe(**{"epochs": 4, "batch": 8, "seed": 5} | changes),
    )

    def train(keeping):
        keras.utils.set_random_seed(5)
        net = net_of()
        hooks = nets.training.Hooks(checkpoints=keeping)
        history, health = nets.training.fit(net, versions_of(*faces), validation, plan, keypointset=DOTS, hooks=hooks)
        arrays = [*nets.network.weights(net).values(), *vars(history).values(), *vars(health).values()]
        return b"".join(array.tobytes() for array in arrays), history

    return train


SGD = {"learning_rate": 3e-4, "device_memory": 0}
RECIPES = {
    "nesterov with a ramp": {"optimizer": "nesterov", "schedule": "linear", "momentum": 0.5, "momentum_stop": 0.99, **SGD},
    # Learning rates so high that the RMSE goes up and down.
    "halving": {"optimizer": "adam", "schedule": "halving", "learning_rate": 0.005, "halving_patience": 2, "epochs": 7},
    "early stopping": {"optimizer": "adam", "learning_rate": 0.02, "patience": 2, "patience_factor": 0.0, "epochs": 20},
}


@pytest.mark.keras
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_resumes_exactly(nets, tmp_path, name):
    """After any epoch, a resumed training gives the same weights, history and health, byte for byte."""
    whole, resumed = uninterrupted_and_resumed(nets, fitted(nets, linear_net, **RECIPES[name]), tmp_path)
    history = whole[1]
    if name == "halving":
        assert len(set(history.learning_rate.tolist())) > 1
    if name == "early stopping":
        assert 3 < len(history.epoch) < 20
        assert history.validation_rmse.argmin() + 1 < len(history.epoch)
    # In the epoch in which early stopping ends the training, no checkpoint is saved.
    assert list(resumed) == history.epoch.tolist()[: None if len(history.epoch) == RECIPES[name].get("epochs", 4) else -1]
    assert [epoch for epoch, again in resumed.items() if again[0] != whole[0]] == []


@pytest.mark.keras
def test_dropout_resumes_with_its_random_numbers(nets, tmp_path):
    """Even if Keras has given the generators other names, as it does for each net that a process builds."""
    train = fitted(nets, lambda: build("kfkd", dropout=1.0), optimizer="adam", epochs=3, batch=16)
    whole, resumed = uninterrupted_and_resumed(nets, train, tmp_path)
    assert list(resumed) == [1, 2, 3]
    assert [epoch for epoch, again in resumed.items() if again[0] != whole[0]] == []


@pytest.fixture(scope="module")
def stage(nets):
    """A `train` for `uninterrupted_and_resumed` of a base net or a specialist with a window, which returns artifact and net."""
    import keras

    training = labelled(32, seed=1)
    faces = together(training, labelled(10, seed=2))
    window = alignment.window(TARGET, EYES, margin=8.0, extent=1.0, zoom=1.0)
    plan = recipe(epochs=2, optimizer="adamw", schedule="cosine", weight_decay=1e-3, seed=5)

    def training_of(base, folder):
        def train(keeping):
            keras.utils.set_random_seed(5)
            versions = windows_of(faces, base, window) if base else versions_of(training)
            sight = sight_of(base, window) if base else WholeImage(SIDE, TARGET)
            start = nets.start.FromBase(base, keep_head=True) if base else nets.start.Fresh()
            job = nets.fitting.TrainingJob(structure("compact", dropout=1.0), faces, plan, versions.indices, start, sight, DOTS)
            net = nets.fitting.train(job, versions, hooks=nets.training.Hooks(checkpoints=keeping))
            with artifacts.writing(folder / "net-0.h5", {}) as file:
                contents.put(file, net)
            return (folder / "net-0.h5").read_bytes(), net

        return train

    return training_of


@pytest.mark.keras
@pytest.mark.slow
def test_base_net_and_specialist_resume(nets, stage, tmp_path):
    """After any epoch the artifact is the same, and its history has every epoch once."""
    whole, resumed = uninterrupted_and_resumed(nets, stage(None, tmp_path), tmp_path)
    assert list(resumed) == [1, 2]
    assert [epoch for epoch, again in resumed.items() if again[0] != whole[0]] == []
    whole, resumed = uninterrupted_and_resumed(nets, stage(whole[1], tmp_path), tmp_path)
    assert list(resumed) == whole[1].history.epoch.tolist() == [1, 2]
    assert [epoch for epoch, again in resumed.items() if again[0] != whole[0]] == []


@pytest.mark.keras
def test_a_checkpoint_of_another_net_is_refused(nets, tmp_path):
    """Its variables have other names."""
    kept = []
    fitted(nets, linear_net, epochs=1)(nets.checkpoints.Checkpoints(kept.append, 0.0, "toy"))
    with pytest.raises(ValueError, match=r"checkpoint of another training: .*optimizer/2/.*"):
        fitted(nets, linear_net, optimizer="sgd")(nets.checkpoints.Checkpoints(kept.append, 0.0, "toy", kept[0]))


@pytest.mark.keras
def test_a_checkpoint_of_a_net_of_another_size_is_refused(nets):
    """It has one value less than the variables of the same names."""
    kept = []
    fitted(nets, linear_net, epochs=1)(nets.checkpoints.Checkpoints(kept.append, 0.0, "toy"))
    smaller = replace(kept[0], variables=kept[0].variables[1:])
    with pytest.raises(ValueError, match=r"checkpoint of another training: it has [\d,]+ values, but the variables take [\d,]+"):
        fitted(nets, linear_net)(nets.checkpoints.Checkpoints(kept.append, 0.0, "toy", smaller))


@pytest.mark.keras
@pytest.mark.parametrize(
    ("epoch", "expected"),
    # 12: after 24 s the next would end at 36. 29: after 29 s, at 58. 15: after 15 s in time, at 30; after 30 s, at 45.
    [(12, [2, 4, 6, 8]), (29, [1, 2, 3, 4]), (31, [1, 2, 3, 4]), (15, [2, 4, 6, 8]), (7, [4, 8]), (100, [1, 2])],
)
def test_checkpoints_come_before_the_next_epoch_would_end_too_late(nets, monkeypatch, epoch, expected):
    """With an interval of 30 s and epochs of the given seconds, a kill costs no more than 30 s or one epoch, whichever is longer."""
    now = [0.0]
    monkeypatch.setattr(nets.checkpoints.time, "monotonic", lambda: now[0])
    keeping, saved = nets.checkpoints.Checkpoints(lambda state: saved.append(state), 30.0, "toy"), []
    keeper = nets.checkpoints.SaveCheckpoints(keeping, None, None, [])
    keeper.set_model(type("Trainer", (), {"stop_training": False}))
    monkeypatch.setattr(keeper, "_state", lambda: number)
    for number in range(1, expected[-1] + 1):
        keeper.on_epoch_begin(number)
        now[0] += epoch
        keeper.on_epoch_end(number)
    assert saved == expected


@pytest.mark.keras
@pytest.mark.slow
def test_a_stage_resumes_after_its_last_checkpoint(nets, tmp_path, monkeypatch, capsys):
    """A TrainBase that is interrupted after its second epoch reports that it resumes there, and writes the same artifact and snapshots as
    an uninterrupted one."""
    from pipeline import TrainBase

    small = {"Render": {"training": 60, "test": 6}, "Augment": {"copies": 2}, "TrainBase": {"epochs": 3, "batch": 32, "snapshots": 1}}
    monkeypatch.setattr(pipeline.checkpoint.seconds, "_default", 0.0)
    monkeypatch.setattr(pipeline.dataset, "folder", lambda self: None)

    def in_workspace(name):
        monkeypatch.setattr(pipeline.workspace.root, "_default", str(tmp_path / name))
        return TrainBase(overrides=small)

    whole = in_workspace("whole")
    make(whole)
    uninterrupted = [path.read_bytes() for path in (whole.path, whole.sibling(".snapshots.h5"))]
    shutil.copytree(tmp_path / "whole" / "data", tmp_path / "interrupted" / "data")
    task = in_workspace("interrupted")
    with monkeypatch.context() as patch:
        patch.setattr(PartialResults, "save_checkpoint", interrupted_after(2))
        with pytest.raises(KeyboardInterrupt):
            task.run()
    assert [path.name for path in partials.of(task.path, ("checkpoint",))] == [f"{task.path.stem}.checkpoint-000{n}.h5" for n in (2, 1)]
    assert not task.path.exists()
    task.run()
    assert partials.of(task.path) == []
    assert [path.read_bytes() for path in (task.path, task.sibling(".snapshots.h5"))] == uninterrupted
    taken, trained = artifacts.load(task.sibling(".snapshots.h5"), Snapshots), artifacts.load(task.path, Trained)
    assert taken.epoch.tolist() == [1, 2, 3]
    assert all(np.array_equal(taken.weights[path][-1], value) for path, value in trained.weights.items())
    said = capsys.readouterr().err
    assert f"{task.title}: resumes after epoch 2 of 3\n" in said
    assert said.count(f"{task.title}: epoch 3/3") == 2


def interrupted_after(number):
    save = PartialResults.save_checkpoint

    def saved(self, content, epoch):
        save(self, content, epoch)
        if epoch == number:
            raise KeyboardInterrupt

    return saved


# ---- files -----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def artifact(tmp_path):
    return tmp_path / "train-0123abcdef.h5"


def keep(artifact, *epochs):
    for epoch in epochs:
        of(artifact).save_checkpoint(numbers(epoch), epoch)


def test_the_last_two_checkpoints_are_kept(artifact):
    """Only those of the artifact itself are counted, and the latest is used."""
    other = artifact.with_name("train-other.h5")
    keep(other, 7)
    keep(artifact, 9, 10, 9999, 10000)
    names = [path.name for path in partials.of(artifact)]
    assert names == ["train-0123abcdef.checkpoint-10000.h5", "train-0123abcdef.checkpoint-9999.h5"]
    assert of(artifact).latest_checkpoint(Numbers).values == 10000
    assert of(other).latest_checkpoint(Numbers).values == 7
    assert of(artifact.with_name("train-none.h5")).latest_checkpoint(Numbers) is None


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_checkpoint_is_quarantined_and_the_one_before_it_used(artifact, damage, capsys):
    """One line warns of it; if both are damaged, the training starts again."""
    keep(artifact, 3, 4)
    for epoch, left in ((4, 3), (3, None)):
        path = artifact.with_name(f"{artifact.stem}.checkpoint-000{epoch}.h5")
        whole = path.read_bytes()
        spoiled = {"flip": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], "truncate": whole[:-1], "empty": b""}[damage]
        path.write_bytes(spoiled)
        found = of(artifact).latest_checkpoint(Numbers)
        assert (found and found.values.item()) == left
        assert path.with_name(f"{path.name}.damaged-1").read_bytes() == spoiled
        warning = capsys.readouterr().err
        reason = "has changed since it was written" if damage == "flip" else "is not an artifact of this program"
        assert warning.startswith(f"warning: {path} {reason}")
        assert warning.count("\n") == 1
    assert partials.of(artifact) == []


@pytest.fixture
def draw(workplace):
    """A stage that makes no checkpoints itself and whose input exists."""
    return workplace.chain()["Draw"]


def test_a_stage_finds_its_checkpoints_when_it_runs_and_drops_them_afterwards(draw, monkeypatch):
    """They are not mistaken for remains of an unfinished run."""
    from chainlet import work

    draw.partials.save_checkpoint(numbers(1), 1)
    draw.partials.save_checkpoint(numbers(2), 2)
    seen = []
    monkeypatch.setattr(work, "hook", lambda place: seen.append(draw.partials.latest_checkpoint(Numbers).values.item()))
    make(draw)
    assert seen == [2]
    assert [path.name for path in draw.path.parent.glob("draw-*")] == [draw.path.name]


def test_what_a_finished_stage_left_is_dropped_by_the_next(workplace):
    """A process killed just after publishing leaves checkpoints and a lock file, which are removed; those of an unfinished stage stay."""
    stages = workplace.chain()
    make(stages["Guess"])
    finished, killed = stages["Guess"].path, stages["Guess"].path.with_name("guess-fedcba9876.h5")
    for artifact in (finished, killed):
        keep(artifact, 1)
        artifact.with_name(f".{artifact.stem}.lock").touch()
    make(stages["Scale"])
    assert partials.of(finished) == []
    assert len(partials.of(killed)) == 1


def test_edited_code_leaves_no_checkpoint(draw, workplace):
    """It would have the key of the code from the beginning of the run."""
    draw.partials.save_checkpoint(numbers(1), 1)
    workplace.edit("work", "+ 0 * seed", "+ 1 * seed")
    draw.partials.save_checkpoint(numbers(2), 2)
    assert draw.partials.latest_checkpoint(Numbers).values == 1


def test_verify_and_forget_know_checkpoints(draw, workplace, capsys):
    """verify checks them, forget quarantines them even without an artifact, and addresses refer only to artifacts."""
    make(draw)
    other = draw.path.with_name("draw-fedcba9876.h5")
    for artifact in (draw.path, other):
        keep(artifact, 12)
    assert verify.run() == 0
    assert "3 artifacts" in capsys.readouterr().out
    partials.of(other)[0].write_bytes(b"")
    assert verify.run() == 1
    assert f"damaged: {partials.of(other)[0]} is" in capsys.readouterr().out

    assert addresses.find(f"Draw@{draw.key[:3]}", [draw]) == draw.path
    with pytest.raises(InputError, match=rf"0 artifacts whose key starts with 0012\. Its keys: {draw.key}"):
        addresses.find("Draw@0012", [draw])
    draw.path.unlink()
    assert status._state(draw, False) == ("missing", ["never computed in this workspace"])
    assert forget.run("Draw", [draw]) == 0
    assert partials.of(draw.path) == []
    assert len(list(draw.path.parent.glob(f"{draw.path.stem}.checkpoint-0012.h5.forgotten-1"))) == 1
    with pytest.raises(InputError, match="nothing to forget"):
        forget.run("Draw", [draw])


def test_forget_also_forgets_what_an_unfinished_training_had_of_a_stage(workplace):
    """Checkpoints made from a forgotten artifact are quarantined with it; others stay."""
    stages = workplace.chain()
    make(stages["Scale"])
    stages["Picture"].partials.save_checkpoint(numbers(1), 1)
    stages["Guess"].partials.save_checkpoint(numbers(1), 1)
    forget.run("Scale", list(stages.values()))
    assert partials.of(stages["Picture"].path) == []
    assert len(partials.of(stages["Guess"].path)) == 1


def test_progress_leaves_earlier_steps_out_of_the_time_left(monkeypatch, capsys):
    """After 8 of 10 steps by an earlier run, one step of 5 s leaves another 5 s."""
    from pipeline.store.workspace import console

    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    shown = Progress("Toy", 10, "epoch")
    shown.skip(8)
    now[0] += 5
    shown.step()
    assert capsys.readouterr().err == "Toy: epoch 9/10, 0:00:05 left\n"
