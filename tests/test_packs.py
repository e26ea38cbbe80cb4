"""Files of nets: what `keypoints pack` writes, what it leaves out, and how such files are read, shown, combined and refused."""

import dataclasses
import getpass
import re
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import kinds
import numpy as np
import pytest

from pipeline import commands
from pipeline.commands.support import loading
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.inference import packs
from pipeline.inference.expected_error import FEATURES, ErrorModel, ExpectedError
from pipeline.inference.measured import HeldOutPredictions, accuracy
from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.stored import StoredSet
from pipeline.metrics.rmse import rmse
from pipeline.nets.structure import Structure
from pipeline.nets.trained import Trained
from pipeline.results.predictions import Predictions
from pipeline.store.hdf5 import artifacts
from pipeline.tasks import packfiles

GROUPS = {"pair": ("left", "right"), "rest": ("top", "base", "tip")}
DOTS = KeypointSet(
    "dots", ("left", "right", "top", "base", "tip"), (("left", "right"),), {"all": ("left", "right", "top", "base", "tip")}, {}
)
SAMPLES, HELD_OUT = 23, 11  # no other axis has these lengths
KEYS = {
    name: f"{number:010x}" for number, name in enumerate(("Load", "TrainBase", "TrainSpecialist:pair", "TrainSpecialist:rest", "Predict"))
}
LABELS = np.random.default_rng(9).uniform(0, 96, (SAMPLES, 5, 2)).astype(np.float32)
STRUCTURE = Structure("compact", 1.0, 0, 2, "relu", 8, 1, 100.0, 50.0, 0.0, 0.0, 0.0, "net")


def random(*shape):
    return np.random.default_rng(0).uniform(0, 96, shape).astype(np.float32)


def net(group=None):
    """A made-up net for a group, or a base net."""
    rng, indices = np.random.default_rng(1), np.arange(5, dtype=np.int32) if group is None else np.array(members(group), np.int32)
    base = group is None
    return replace(
        kinds.filled(Trained, rng),
        structure=STRUCTURE,
        keypointset=StoredSet.of(DOTS),
        weights={"stem/kernel": random(5, 5, 1, 16), "down1/kernel": random(3, 3, 16, 32), "output/bias": random(10)},
        offsets=random(1, len(indices), 2),
        indices=indices,
        keypoints=np.array(DOTS.names)[indices],
        validation=random(HELD_OUT, len(indices), 2),
        located=random(SAMPLES, 5, 2) if base else None,
        target=random(5, 2) if base else None,
        window=None if base else random(2, 3).astype(np.float64),
        zooms=None,
        looks=None if base else np.int32(3),
        side=np.int32(32),
        frame=np.int32(96),
        stored=np.int32(96),
    )


def members(group):
    """The indices of the keypoints of a group."""
    return [DOTS.names.index(name) for name in GROUPS[group]]


def write(folder, stage, content, inputs=(), parameters=None, files=None):
    """Writes an artifact of a stage with the given content; returns its path."""
    path = folder / f"{stage.replace(':', '-').lower()}-{KEYS[stage]}.h5"
    made_from = {
        "stage": stage,
        "parameters": parameters or {"seed": 0},
        "inputs": {name: KEYS[name] for name in inputs},
        "files": files or {},
        "backend": {"backend": "tensorflow"},
    }
    with artifacts.writing(path, {"stage": stage, "key": KEYS[stage], "made_from": made_from, "versions": {"keras": "3"}}) as file:
        artifacts.put(file, content)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder with the artifacts of a run on made-up data: a chain of three nets, and Predict."""
    folder = tmp_path_factory.mktemp("somewhere") / "submissions"
    folder.mkdir()
    rng, validation = np.random.default_rng(2), np.arange(SAMPLES) % 2 == 1
    data = replace(
        kinds.filled(Dataset, rng),
        images=rng.integers(0, 255, (SAMPLES, 16, 16)).astype(np.uint8),
        keypoints=LABELS,
        row=np.arange(SAMPLES, dtype=np.int32),
        source=np.zeros(SAMPLES, np.int8),
        duplicate_group=np.arange(SAMPLES, dtype=np.int32),
        validation=validation,
        keypointset=StoredSet.of(DOTS),
        origin=None,
    )
    write(folder, "Load", data, files={"/home/somebody/training.zip": "a" * 64})
    write(folder, "TrainBase", net(), ["Load"], {"weights": "/home/somebody/w.h5", "epochs": 3})
    for group in GROUPS:
        write(folder, f"TrainSpecialist:{group}", net(group), ["Load", "TrainBase"])
    write(folder, "Predict", predictions(data), KEYS.keys() - {"Predict"}, {"base_share": 0.25, "folds": 1})
    return folder


@pytest.fixture
def workspace(made, tmp_path, monkeypatch):
    """The same folder, which is not the current folder; that one is empty."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return made


@pytest.fixture(scope="module")
def packed(made):
    """A pack of this run."""
    out = made.parent / "dots.h5"
    assert commands.main(["pack", f"--nets={artifact(made)}", "--out", str(out), "--licence", "CC BY 4.0"]) == 0
    return out


def predictions(data):
    truth = data.keypoints[data.validation].copy()
    truth[0, 4] = np.nan
    model = ErrorModel(np.array(FEATURES), np.zeros(6), np.zeros((1, 5)), np.array(0.05))
    return replace(
        kinds.filled(Predictions, np.random.default_rng(3)),
        validation=truth + np.float32(1.5),
        validation_truth=truth,
        validation_face=data.row[data.validation],
        validation_source=data.source[data.validation],
        validation_origin=None,
        metrics=None,
        expected_error=replace(kinds.filled(ExpectedError, np.random.default_rng(4)), model=model),
    )


@pytest.fixture
def pack(workspace, packed, tmp_path):
    """A copy of this pack, with an empty current folder."""
    return Path(shutil.copy(packed, tmp_path / "dots.h5"))


def artifact(workspace, stage="Predict"):
    return next(workspace.glob(f"{stage.replace(':', '-').lower()}-*.h5"))


def said(capsys, *arguments):
    capsys.readouterr()
    code = commands.main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def equal(one, other):
    """Whether two records hold the same arrays."""
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and all(
            equal(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one)
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    return (one is None) == (other is None) and np.array_equal(np.asarray(one), np.asarray(other))


def test_a_pack_holds_all_that_predicts(workspace, pack):
    """What is read from it equals what the workspace gives, but for the record of the training; nothing is converted."""
    from_pack = loading.of_pack(pack).nets
    from_run = loading.loaded(loading.chains.chosen(str(artifact(workspace)), []))
    assert [len(chain) for chain in from_pack.chains] == [3]
    assert (from_pack.base_share, from_pack.frame, from_pack.source, from_pack.detector) == (0.25, (96, 1), 0, None)
    assert from_pack.keypointset.sources == from_run.keypointset.sources
    assert equal(from_pack.error_model, from_run.error_model)
    for one, other in zip(from_pack.chains[0], from_run.chains[0], strict=True):
        assert equal(packs.PackedNet.of(one), packs.PackedNet.of(other))


def test_a_pack_of_a_base_net(workspace, tmp_path, capsys):
    """It has one net; its accuracy is that of the base net on its own held-out samples."""
    out = tmp_path / "base.h5"
    assert said(capsys, "pack", f"--nets={artifact(workspace, 'TrainBase')}", "--out", out)[0] == 0
    found = packfiles.read(out)
    assert list(found.nets) == ["001-base"]
    truth = LABELS[np.arange(SAMPLES) % 2 == 1]
    assert found.accuracy.rmse[0] == pytest.approx(rmse(random(HELD_OUT, 5, 2), truth), rel=1e-6)
    assert "1 base net, no specialists" in said(capsys, "inspect", out)[1]


def texts(path):
    """All texts of an artifact: names, attributes and arrays of texts."""
    with artifacts.reading(path) as file:
        found = [*map(str, file.attrs.values())]
        file.visititems(lambda name, item: found.extend([name, *map(str, item.attrs.values())]))
        file.visititems(lambda _, item: found.append(str(item[()])) if getattr(item, "dtype", np.dtype("f")).kind == "S" else None)
    return "\n".join(found)


def test_a_pack_says_nothing_of_people_machines_and_single_samples(workspace, pack):
    """Neither paths nor names of users and hosts are in it, no array has an entry for each sample, and no image or label can be found."""
    content, words = pack.read_bytes(), texts(pack)
    assert str(workspace.parent).encode() not in content
    assert b"somebody" not in content
    assert not re.search(rf"\b({re.escape(getpass.getuser())}|{re.escape(socket.gethostname())})\b|/home|/tmp", words)
    assert {"training.zip", "w.h5"} <= set(re.findall(r"[\w.]+", words))
    shapes = [array.shape for _, array in artifacts.verify(pack).arrays()]
    assert not [shape for shape in shapes if {SAMPLES, HELD_OUT} & set(shape)]
    with artifacts.reading(artifact(workspace, "Load"), Dataset) as file:
        assert file["images"][0].tobytes() not in content
        assert file["keypoints"][1].tobytes() not in content


def test_equal_runs_give_equal_bytes(workspace, pack, tmp_path, capsys):
    """A second pack of the same nets has the same bytes; it replaces the first, but no other file."""
    other, before = tmp_path / "other.h5", pack.read_bytes()
    for out in (other, pack):
        assert said(capsys, "pack", f"--nets={artifact(workspace)}", "--out", out, "--licence", "CC BY 4.0")[0] == 0
        assert out.read_bytes() == before
    other.write_text("mine")
    code, _, err = said(capsys, "pack", f"--nets={artifact(workspace)}", "--out", other)
    assert (code, other.read_text()) == (2, "mine")
    assert err.endswith(f"--out {other} exists and is not a file of nets. Name another file.\n")


def test_the_model_card(pack, capsys, workspace):
    """It gives data, accuracy by keypoint with intervals, licence, intended use, limits and versions."""
    assert said(capsys, "pack", f"--nets={artifact(workspace)}", "--out", pack, "--intended-use", "tests", "--intended-use", "fun")[0] == 0
    code, out, _ = said(capsys, "inspect", pack)
    assert code == 0
    assert "data          23 samples; accuracy measured on 11 held-out ones\n" in out
    assert "licence       not given\nintended use  tests; fun\n" in out
    assert "keras 3" in out
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith("  ")}
    assert lines["left"] == ["left", "11", "1.50", "1.50", "to", "1.50"]
    assert lines["tip"][1] == "10"
    assert "limits\n  The accuracy holds for images like those of the training; it was not measured on any others.\n" in out


def test_the_accuracy_is_that_of_the_labels():
    """By source and by keypoint, from the labels of that part; without labels it is NaN."""
    truth, source = random(8, 2, 2), np.arange(8) % 2
    truth[source == 1, 1] = np.nan
    own = KeypointSet("two", ("a", "b"), None, {"wide": ("a", "b"), "narrow": ("a",)}, {})
    predicted = np.nan_to_num(truth) + np.where(source == 1, 3, 1)[:, None, None]
    found = accuracy(HeldOutPredictions(predicted, truth, source, np.arange(8)), own)
    assert found.rows.tolist() == ["all keypoints", "wide", "narrow", "a", "b"]
    assert found.labels.tolist() == [12, 8, 4, 8, 4]
    assert found.rmse == pytest.approx([np.sqrt((8 + 36) / 12), 1, 3, np.sqrt(5), 1])
    low, high = found.interval[3]
    assert 1 <= low < np.sqrt(5) < high <= 3
    nothing = accuracy(HeldOutPredictions(predicted, np.full_like(truth, np.nan), source, np.arange(8)), own)
    assert np.isnan(nothing.rmse).all()
    assert np.isnan(nothing.interval).all()


def test_the_chains_of_all_folds_are_in_a_pack(pack):
    """Each with its base net first, whatever the order in the file."""
    nets = loading.of_pack(pack).nets
    every = packs.packed_nets(replace(nets, chains=nets.chains * 12), [["base", "pair", "rest"]] * 12)
    assert list(every)[::12] == ["001-base", "005-base", "009-base"]
    found = replace(packfiles.read(pack), nets=dict(reversed(every.items()))).chains
    assert [[len(net.indices) for net in chain] for chain in found] == [[5, 2, 3]] * 12


def test_several_packs_are_an_ensemble(pack):
    """Their chains are averaged; a single one is as it was."""
    found = loading.chosen([str(pack), str(pack)], [])
    assert len(found.nets.chains) == 2
    assert found.said[-1] == "They form an ensemble of 2 chains."
    assert found.nets.error_model is None
    assert len(loading.chosen([str(pack)], []).nets.chains) == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"keypointset": replace(DOTS, names=(*DOTS.names[:4], "toe"), sources={"all": (*DOTS.names[:4], "toe")})}, "only one has 'tip'"),
        ({"keypointset": replace(DOTS, names=DOTS.names[::-1])}, "their keypoints differ in their order"),
        ({"keypointset": replace(DOTS, sources={"others": DOTS.names})}, "their annotation sources differ"),
        ({"keypointset": replace(DOTS, mirror=None)}, "their mirror pairs differ"),
        ({"frame": packs.SampleFrame(64, 1)}, "their nets see samples of different sizes or colours"),
        ({"detector": "face"}, "only one of them detects faces"),
        ({"base_share": 0.5}, "their base nets have different weights in the mean: 0.25, 0.5"),
    ],
    ids=["names", "order", "sources", "mirror", "frame", "detector", "share"],
)
def test_packs_that_do_not_fit_are_refused(pack, changes, why):
    """In a sentence that names both and says what differs."""
    own = loading.of_pack(pack).nets
    with pytest.raises(InputError, match=r"one\.h5 and two\.h5 cannot be combined, because") as caught:
        packs.merged([own, replace(own, **changes)], ["one.h5", "two.h5"])
    assert why in str(caught.value)


def rewritten(pack, out, content=None, **attributes):
    """A pack with some attributes or its content replaced, and a checksum to match."""
    known = artifacts.attributes(pack)
    known.pop("NX_class")
    known.pop("default", None)
    with artifacts.writing(out, {**known, **attributes}) as file:
        artifacts.put(file, content or packfiles.read(pack))
    return out


def test_a_file_of_a_later_version_is_refused(pack, tmp_path, capsys):
    """By the number of its format, in a sentence."""
    out = rewritten(pack, tmp_path / "later.h5", pack_format="2")
    (tmp_path / "empty" / "a.png").touch()
    for arguments in (("inspect", out), ("annotate", "a.png", "--nets", out)):
        code, _, err = said(capsys, *arguments)
        assert code == 2
        assert err.endswith(f"{out} has the format 2 of files of nets, but this version reads 1. Install a newer version.\n")


def test_a_damaged_file_is_refused(pack, capsys, tmp_path):
    """A changed byte is found by inspect, annotate and verify, which says so; an undamaged file passes."""
    assert said(capsys, "verify", pack)[0] == 0
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    bad = tmp_path / "bad.h5"
    bad.write_bytes(content)
    (tmp_path / "empty" / "a.png").touch()
    for arguments in (("inspect", bad), ("annotate", "a.png", "--nets", bad)):
        code, _, err = said(capsys, *arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert str(bad) in err
    code, out, _ = said(capsys, "verify", bad)
    assert code == 1
    assert out.startswith(f"damaged: {bad}")
    assert said(capsys, "verify", tmp_path / "missing.h5")[0] == 2


# Settings with which a net would have layers or inputs of gigabytes; its weights have not changed.
HUGE = {
    "filters": {"structure": replace(STRUCTURE, filters=1e6)},
    "hidden": {"structure": replace(STRUCTURE, network="kfkd", hidden=10**9)},
    "kernel": {"structure": replace(STRUCTURE, kernel=9001)},
    "network": {"structure": replace(STRUCTURE, network="vgg19")},
    "side": {"side": np.int32(1 << 20)},
    "frame": {"frame": np.int32(1 << 20)},
    "looks": {"looks": np.int32(1 << 30)},
}


def forged(pack, what):
    found = packfiles.read(pack)
    nets = dict(found.nets)
    if what == "index":
        nets["001-rest"] = replace(nets["001-rest"], indices=np.array([2, 3, 7], np.int32))
    elif what == "base":
        del nets["001-base"]
    elif what == "offsets":
        nets["001-base"] = replace(nets["001-base"], offsets=np.zeros((1, 4, 2), np.float32))
    elif what in HUGE:
        nets["001-base"] = replace(nets["001-base"], **HUGE[what])
    return replace(found, nets=nets, source=np.int32(7 if what == "source" else 0))


@pytest.mark.parametrize("what", ["index", "base", "offsets", "source", *HUGE])
def test_contradictions_are_refused(pack, tmp_path, capsys, what):
    """A file with a checksum that matches but nets that do not fit its keypoint set or weights is refused in a sentence that names it."""
    out = rewritten(pack, tmp_path / "forged.h5", forged(pack, what))
    (tmp_path / "empty" / "a.png").touch()
    code, _, err = said(capsys, "annotate", "a.png", "--nets", out)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"keypoints: {out} cannot be used. The ")
    assert "001-base do not have the sizes" in err or what not in HUGE


def test_a_missing_file_is_named(workspace, capsys):
    """With the advice to check its name, because no stage of a workspace makes it."""
    Path("a.png").touch()
    for arguments in (("annotate", "a.png", "--nets", "typo.h5"), ("inspect", "typo.h5"), ("compare", "typo.h5", "typo.h5")):
        code, _, err = said(capsys, *arguments)
        assert (code, err) == (2, "keypoints: typo.h5 does not exist. Check its name.\n"), arguments


def test_other_commands_take_no_pack(pack, capsys):
    """`compare` and `filters` say in a sentence that it is no training, and `pack` that it is one already."""
    for arguments in (("compare", pack, pack), ("filters", pack), ("pack", "--nets", pack)):
        code, _, err = said(capsys, *arguments)
        assert code == 2, arguments
        assert str(pack) in err
        assert "Traceback" not in err
