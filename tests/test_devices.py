"""Several devices for one net, which are two virtual ones here, and a GPU for each process of `--workers N`."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fresh import ROOT
from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

import pipeline
from pipeline.errors import InputError
from pipeline.store.keys import provenance
from pipeline.store.run import gpus
from pipeline.tasks import devices

# Trains on one and on two devices, with another process than that of the tests, whose backend may be another one.
SCRIPT = """
import json
import keras
import numpy as np
from pipeline.nets import device
device.prepare(seed=0, threads=1)
from pipeline.errors import InputError
from pipeline.nets import network, parallel, training
from toys import DOTS, labelled, recipe, versions_of

def net():
    x = keras.layers.Reshape((32, 32, 1))(image := keras.Input((32, 32)))
    # Without a bias: before batch norm its gradient is 0 but for rounding, which Muon and Adam would divide by itself.
    x = keras.layers.Conv2D(4, 5, strides=4, use_bias=False, name="conv")(x / 255)
    x = keras.layers.Flatten()(keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(x)))
    return keras.Model(image, keras.layers.Reshape((2, 3, 2))(keras.layers.Dense(12, name="keypoints")(x)))

def trained(devices, samples, epochs, batch):
    keras.utils.set_random_seed(1)
    parallel.use(devices)
    own, validation = net(), labelled(20, seed=3)
    options = recipe(epochs=epochs, batch=batch, optimizer="muon", learning_rate=4e-3)
    history, _ = training.fit(own, versions_of(labelled(samples, seed=1)), validation, options, keypointset=DOTS, hooks=training.Hooks())
    return network.weights(own), history.validation_rmse.tolist()

(one, _), (two, _) = (trained(devices, 16, 1, 16) for devices in (1, 2))
result = {"weights": max(float(np.abs(one[name] - two[name]).max()) for name in one)}
result["devices"] = len(keras.distribution.distribution().device_mesh.devices)
result["rmse"] = [trained(devices, 160, 5, 16)[1][-1] for devices in (1, 2)]
result["odd"] = trained(2, 15, 1, 15)[1]
try:
    parallel.use(3)
except InputError as error:
    result["too many"] = str(error)
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def measured():
    """What the script finds with two virtual devices of JAX."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is an optional backend and is not installed")
    here = Path(__file__).parent
    own = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    own["PYTHONPATH"] = f"{here}{os.pathsep}{here.parent}"
    result = subprocess.run([sys.executable, "-c", SCRIPT], env=os.environ | own, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow
def test_two_devices_train_as_one(measured):
    """After a step the weights differ by rounding at most, batch norm included, and after five epochs the RMSE is the same."""
    assert measured["devices"] == 2
    assert measured["weights"] < 1e-5
    assert measured["rmse"][1] == pytest.approx(measured["rmse"][0], rel=1e-3)


@pytest.mark.slow
def test_batches_that_cannot_be_divided(measured):
    """They are computed in full by each device, and a training with them does not fail."""
    assert len(measured["odd"]) == 1


@pytest.mark.slow
def test_more_devices_than_there_are(measured):
    """One sentence says how many there are."""
    assert measured["too many"] == "--devices-per-net 3: there are only 2 devices (cpu:0, cpu:1). Give at most 2."


def made(stage, *flags):
    """A stage of the drawn faces with these flags."""
    Register.clear_instance_cache()
    with CmdlineParser.global_instance(
        ["--module", "pipeline", stage, "--dataset-path", "rendered", *flags], allow_override=True
    ) as parser:
        task = parser.get_task_obj()
        return task.key, task.provenance, task.sharing


@pytest.mark.parametrize(
    ("stage", "flags", "sharing"),
    [
        ("TrainBase", ["--devices-per-net", "2"], 2),
        ("TrainBase", ["--devices-per-net", "3"], 2),
        ("TrainBase", ["--devices-per-net", "3", "--TrainBase-batch", "48"], 3),
        ("TrainBase", ["--devices-per-net", "2", "--TrainBase-batch", "31"], 1),
        ("Predict", ["--devices-per-net", "6"], 4),
    ],
    ids=["two", "three for 32", "three for 48", "a prime number", "prediction"],
)
def test_the_devices_that_share_a_batch(stage, flags, sharing, monkeypatch):
    """They are as many as divide the batch, and the key depends on their number if there are several."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    key, now, found = made(stage, *flags)
    alone, then, _ = made(stage, *flags[2:])
    assert found == sharing
    assert (key != alone) == (sharing > 1 or stage == "Predict")
    assert now["backend"].get("devices", "1") == str(sharing)
    if stage == "TrainBase" and sharing > 1:
        assert provenance.differences(now, then) == ["code of nets/parallel.py is new", "devices is new"]


def test_the_batch_of_a_prediction():
    """A stage that only predicts divides the batches of `nets.forward`."""
    text = (Path(pipeline.__file__).parent / "nets" / "forward.py").read_text()
    assert f"\nBATCH = {devices.OnDevices.divided.fget(None)}" in text


def test_several_devices_need_jax(monkeypatch):
    """With another backend one sentence says so before anything runs."""
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(InputError, match=r"--devices-per-net 2 needs the backend jax, but KERAS_BACKEND names tensorflow\. Set KERAS_BACK"):
        made("TrainBase", "--devices-per-net", "2")


# ---- a GPU for each process ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("others", "count", "chosen"),
    [
        ([], 1, ("0",)),
        ([("0",)], 1, ("1",)),
        ([("0",), ("2",)], 1, ("1",)),
        ([("0",), ("1",), ("2",)], 1, ("0",)),
        ([("0", "1")], 2, ("0", "2")),
        ([], 5, ("0", "1", "2")),
    ],
    ids=["first", "second", "the free one", "all taken", "two each", "more than there are"],
)
def test_the_gpus_of_a_process(others, count, chosen):
    """They are those that the fewest other processes use."""
    assert gpus.least_used(["0", "1", "2"], others, count) == chosen


@pytest.mark.parametrize(
    ("variable", "files", "found"),
    [
        (None, ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"], ["0", "1"]),
        ("2, GPU-ab", ["nvidia0"], ["2", "GPU-ab"]),
        ("", ["nvidia0"], []),
        ("-1", ["nvidia0"], []),
    ],
    ids=["drivers", "variable", "none", "minus one"],
)
def test_the_gpus_that_are_there(variable, files, found, tmp_path, monkeypatch):
    """They are those of CUDA_VISIBLE_DEVICES if that is set, otherwise those for which the driver has a file."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    for name in files:
        (tmp_path / name).touch()
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    assert gpus.visible() == found


STAGES = """
import os, time
from pathlib import Path
import luigi
import numpy as np
from pipeline.schema import array, record
from pipeline.store.run.stage import Stage

@record
class Seen:
    number: np.ndarray = array("float64", "", "", "nothing")

class Sees(Stage):
    number = luigi.IntParameter()

    @property
    def identity(self):
        return (str(self.number),)

    def run(self):
        Path(f"sees-{self.number}").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
        while len(list(Path().glob("sees-*"))) < 2:
            time.sleep(0.05)
        self.save(Seen(np.float64(0)))

class Both(Stage):
    def requires(self):
        return [Sees(number=0), Sees(number=1)]

    def run(self):
        self.save(Seen(np.float64(0)))
"""


def test_each_worker_has_a_gpu_of_its_own(tmp_path, monkeypatch):
    """With `--workers 2`, two stages that run at the same time see another GPU each."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    (tmp_path / "seeing.py").write_text(STAGES)
    shutil.copy(ROOT / "luigi.cfg", tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    command = [sys.executable, "-m", "luigi", "--module", "seeing", "Both", "--workers", "2"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert sorted((tmp_path / f"sees-{number}").read_text() for number in (0, 1)) == ["4", "7"]
    assert "uses GPU 7" in result.stderr
