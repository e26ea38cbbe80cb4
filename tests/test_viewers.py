"""Artifacts in other tools: h5py, h5glance, and viewers that follow the NeXus conventions."""

import dataclasses
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import h5py
import kinds
import nexus
import numpy as np
import pytest

from pipeline.scatter import points
from pipeline.store.hdf5 import artifacts

README = (Path(__file__).parent.parent / "README.md").read_text()
(SNIPPET,) = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
SHOWN = {
    "Truth": ("scatter", "keypoint"),
    "Dataset": ("image", "images"),
    "AugmentedVersions": ("image", "images"),
    "Trained": ("curve", "validation_rmse"),
    "Curves": ("curve", "validation_rmse"),
    "Scores": ("curve", "keypoint_rmse"),
    "Predictions": ("scatter", "keypoint"),
}


@pytest.fixture(params=SHOWN)
def artifact(request, tmp_path):
    """An artifact of each kind, with its class. Snapshots are not a kind of their own; they are files next to the training's artifact."""
    kind = kinds.KINDS[request.param]
    return kind, kinds.write(kind, tmp_path)


def test_every_artifact_has_a_default_plot(artifact):
    """A viewer finds the curves of a training, the images of a data set or the points of predictions, with axes of the right lengths."""
    kind, path = artifact
    with h5py.File(path) as file:
        shown, group = nexus.default_plot(file)
        assert (shown, group.attrs["signal"]) == SHOWN[kind.__name__]
        assert nexus.faults(file) == []
    artifacts.verify(path)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda group: group.attrs.update(signal="nowhere"), "/history: nowhere is no array"),
        (lambda group: group.attrs.update(axes=["epoch", "epoch", "epoch"]), "/history: 3 axes for 1"),
        (lambda group: replace(group, "epoch", np.arange(4)), "/history: axis epoch has (4,) where 5 are needed"),
        (lambda group: replace(group, "epoch", np.array([b"a"] * 5)), "/history: epoch has no numbers"),
        (lambda group: replace(group, "training_rmse", np.zeros(3)), "/history: training_rmse has (3,) beside (5,)"),
        (lambda group: group["epoch"].attrs.pop("long_name"), "/history: epoch does not say what it is"),
    ],
)
def test_the_rules_find_a_spoiled_plot(tmp_path, spoil, fault):
    """The checker of the test above reports each fault in its own words."""
    with h5py.File(kinds.write(kinds.KINDS["Trained"], tmp_path), "r+") as file:
        spoil(file["history"])
        assert nexus.faults(file) == [fault]


def replace(group, name, values):
    attributes = dict(group[name].attrs)
    del group[name]
    group[name] = values
    group[name].attrs.update(attributes)


def test_h5glance_shows_every_array(artifact):
    """The tree that h5glance prints has the names of all fields."""
    kind, path = artifact
    done = subprocess.run([sys.executable, "-m", "h5glance", path], capture_output=True, text=True, check=True)
    shown = set(re.findall(r"[├└]([\w]+)", done.stdout))
    assert {field.name for field in dataclasses.fields(kind)} <= shown


def test_the_readme_s_snippet_reads_a_workspace(tmp_path, monkeypatch, capsys):
    """The snippet runs unchanged in a folder with a base net and a data set, and takes the net of the last finished run."""
    names = {"TrainBase": "models/trainbase-0123456789.h5", "Load": "data/load-0123456789.h5"}
    for name, kind in zip(names.values(), ("Trained", "Dataset"), strict=True):
        (tmp_path / name).parent.mkdir()
        kinds.write(kinds.KINDS[kind], tmp_path).rename(tmp_path / name)
    for other in ("0000000000", "ffffffffff"):
        (tmp_path / f"models/trainbase-{other}.h5").write_bytes(b"not this one")
    (tmp_path / "models" / "last-run.json").write_text(json.dumps({"event": "run", "files": names}))
    monkeypatch.chdir(tmp_path)
    exec(SNIPPET, {})
    said = capsys.readouterr().out
    assert "validation_rmse px [" in said
    assert "(8, 8) " in said


@pytest.mark.parametrize("kind", ["Dataset", "AugmentedVersions"])
def test_colour_images_are_plotted_in_colour(tmp_path, kind):
    """The default plot of images with channels names each of their axes, and says that the last one is the colour."""
    filled = kinds.filled(kinds.KINDS[kind], np.random.default_rng(0))
    colour = dataclasses.replace(filled, images=np.zeros((*filled.images.shape, 3), np.uint8))
    with artifacts.writing(tmp_path / "a.h5", {}) as file:
        artifacts.put(file, colour)
    with h5py.File(tmp_path / "a.h5") as file:
        assert len(file["plot"].attrs["axes"]) == colour.images.ndim
        assert file["plot/images"].attrs["interpretation"] == "rgb-image"


class Counting(io.FileIO):
    """A file that counts the bytes that are read from it."""

    total = 0

    def readinto(self, buffer):
        count = super().readinto(buffer)
        self.total += count
        return count


@pytest.mark.parametrize("kind", ["Dataset", "AugmentedVersions"])
def test_one_face_is_read_without_the_others(tmp_path, kind):
    """Of 300 faces only a chunk of 64 is read, and the index that locates it."""
    images = np.random.default_rng(0).integers(0, 256, (300, 96, 96), np.uint8)
    filled = kinds.filled(kinds.KINDS[kind], np.random.default_rng(0))
    with artifacts.writing(tmp_path / "a.h5", {}) as file:
        if kind == "AugmentedVersions":
            artifacts.put_versions(file, type(filled), ({"images": images, "keypoints": np.zeros((300, 5, 2), "f4")} for _ in "ab"), 2)
        else:
            artifacts.put(file, dataclasses.replace(filled, images=images))
    with Counting(tmp_path / "a.h5") as counting, h5py.File(counting) as file:
        face = file["images"][123] if kind == "Dataset" else file["images"][1, 123]
        assert np.array_equal(face, images[123])
        assert images[:64].nbytes < counting.total < images[:70].nbytes


def test_points_are_upright():
    """There is a point for each known keypoint, with y counted upwards from the lower edge."""
    keypoints = np.array([[[1, 2], [np.nan, np.nan]], [[3, 4], [5, 90]]], np.float32)
    found = points(keypoints, 96)
    assert found.keypoint.tolist() == [0, 0, 1]
    assert found.x.tolist() == [1, 3, 5]
    assert found.y.tolist() == [94, 92, 6]
