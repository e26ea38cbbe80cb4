"""Measures training on a GPU, with TensorFlow or, with KERAS_BACKEND=jax, with JAX. It also runs on a CPU, to check the script itself.

    python bench/gpu.py [FOLDER] [--parts steps epochs chain] [--steps 300] [--batches 64 256 1024] [--epochs 10] [-- LUIGI FLAGS]
    KERAS_BACKEND=jax python bench/gpu.py --drawn 200 --steps 3 --batches 16 --epochs 2 -- --TrainBase-epochs 1 --Augment-copies 1 ...

FOLDER: Kaggle's files (default: drawn faces).
steps: images per second, and the share of the time in which the device computes (on a GPU as nvidia-smi samples it, on a CPU as core time).
epochs: what it costs to copy another augmented version to the device for each epoch, and the RMSE of bfloat16 compared with float32.
chain: `luigi --module pipeline Predict` in an empty workspace, with the given flags. Goal: 3 minutes on an H200.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import chain
import defaults
import numpy as np

import pipeline
from pipeline.data import dataset as datasets
from pipeline.geometry import augmentation
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.nets import device
from pipeline.results.predictions import Predictions

if TYPE_CHECKING:
    from pipeline.nets.samples import StoredVersions
    from pipeline.nets.trained import History
    from pipeline.nets.training import Recipe

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def main() -> None:
    """Runs the chosen parts and prints a table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="what to measure (default: everything)")
    parser.add_argument("--steps", type=int, default=300, help="number of timed steps, after as many untimed ones (default: %(default)s)")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256, 1024], help="faces per step (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of each training; the first one is not timed (default: %(default)s)")
    parser.add_argument("--drawn", type=int, default=1000, help="faces to draw without FOLDER, except for the chain (default: %(default)s)")
    options, flags = chain.arguments(parser)
    print(device.prepare(seed=0, threads=pipeline.device().threads))
    if set(options.parts) - {"chain"}:
        options.data = defaults.dataset(options.folder, options.drawn)
        options.versions = augmented(options.data)
    for part in options.parts:
        PARTS[part](options, flags)


def augmented(data: datasets.Dataset) -> "StoredVersions":
    """Two augmented versions of the training part, in memory."""
    from pipeline.nets.samples import StoredVersions

    training = ~data.validation
    faces, ranges = (data.images[training], datasets.labels(data)[training]), defaults.of(augmentation.Ranges, pipeline.Augment)
    made = augmentation.versions(*faces, keypointset=KAGGLE, ranges=[ranges] * 2, seed=0)
    images, keypoints = (np.stack(arrays) for arrays in zip(*((images[:], keypoints) for images, keypoints in made), strict=True))
    return StoredVersions(images, keypoints, data.source[training], rows=np.arange(len(images[0])), indices=defaults.ALL_KEYPOINTS)


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """A context in which new nets compute with this precision."""
    import keras

    keras.config.set_dtype_policy(POLICIES[name])
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


# Steps


def steps(options: argparse.Namespace, flags: list[str]) -> None:
    """Prints the speed of training steps on faces that are already on the device."""
    from pipeline.nets import training

    n, recipe = len(options.versions), defaults.of(training.Recipe, pipeline.TrainBase)
    print(f"\n{'training step, ' + f'{n:,} faces on the device':<44}{'images/s':>10}{'ms':>8}{'busy':>8}   XLA")
    for name in POLICIES:
        for batch in options.batches:
            with policy(name):
                net = defaults.net(options.data)
                trainer = training._compiled(net, recipe, capacity=n, steps=options.steps)
            trainer.place(options.versions.block(0, slice(0, n)))
            order = device.stream(training.batches([n], min(batch, n), seed=0))
            run = {"steps_per_epoch": options.steps, "verbose": 0, "shuffle": False}
            trainer.fit(order, **run)
            with busy_share() as busy:
                start = time.perf_counter()
                trainer.fit(order, **run)
                seconds = time.perf_counter() - start
            rate, each = options.steps * min(batch, n) / seconds, 1000 * seconds / options.steps
            print(f"  {f'{name}, batch {batch}':<42}{rate:10,.0f}{each:8.1f}{busy():8.0%}   {trainer.jit_compile}", flush=True)


@contextlib.contextmanager
def busy_share() -> Iterator[Callable[[], float]]:
    """Yields a function that returns, after the context, the share of its time in which the device computed; NaN without samples."""
    if shutil.which("nvidia-smi"):
        with _nvidia_samples() as samples:
            yield lambda: statistics.mean(samples) / 100 if samples else float("nan")
        return
    times = [(time.perf_counter(), time.process_time())]
    yield lambda: (times[1][1] - times[0][1]) / (times[1][0] - times[0][0]) / (os.cpu_count() or 1)
    times.append((time.perf_counter(), time.process_time()))


@contextlib.contextmanager
def _nvidia_samples() -> Iterator[list[float]]:
    """Yields a list that grows within the context: ten times a second, the utilisation of the first GPU in per cent."""
    query = ["nvidia-smi", "--id=0", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--loop-ms=100"]
    samples: list[float] = []

    def collect(lines: Iterable[str]) -> None:
        for line in lines:
            with contextlib.suppress(ValueError):  # "[N/A]"
                samples.append(float(line))

    with subprocess.Popen(query, stdout=subprocess.PIPE, text=True) as process:
        reader = threading.Thread(target=collect, args=(process.stdout,))
        reader.start()
        try:
            yield samples
        finally:
            process.terminate()
            reader.join()


# Epochs


def epochs(options: argparse.Namespace, flags: list[str]) -> None:
    """Prints the duration of an epoch and the RMSE, with one and with two augmented versions and with both precisions."""
    from pipeline.nets import training
    from pipeline.nets.samples import StoredVersions

    print(f"\n{f'{options.epochs} epochs of the base net':<44}{'s/epoch':>10}{'faces/s':>10}{'first, s':>10}{'RMSE, px':>10}")
    recipe, two = defaults.of(training.Recipe, pipeline.TrainBase, epochs=options.epochs), options.versions
    one = StoredVersions(two.images[:1], two.keypoints[:1], two.source, rows=two.rows, indices=two.indices)
    for name, versions, what in (
        ("float32", one, "one version for all epochs"),
        ("float32", two, "a new version for each epoch"),
        ("bfloat16", two, "a new version for each epoch"),
    ):
        with policy(name):
            seconds, rmse = fitted(options.data, versions, recipe)
        usual = statistics.median(seconds[1:]) if len(seconds) > 1 else float("nan")
        print(f"  {f'{name}, {what}':<42}{usual:10.2f}{len(versions) / usual:10,.0f}{seconds[0]:10.1f}{rmse:10.3f}", flush=True)


def fitted(data: datasets.Dataset, versions: "StoredVersions", recipe: "Recipe") -> tuple[list[float], float]:
    """The seconds of each epoch of `training.fit`, including validation, and the RMSE on the validation part after the last one."""
    from pipeline.nets import training
    from pipeline.nets.samples import Samples

    times, scores = [time.perf_counter()], []

    def on_epoch(history: "History") -> None:
        times.append(time.perf_counter())
        scores.append(float(history.validation_rmse[-1]))

    held_out = data.validation
    pixel = np.ones(held_out.sum(), np.float32)
    validation = Samples(data.images[held_out], data.keypoints[held_out], data.source[held_out], pixel)
    training.fit(defaults.net(data), versions, validation, recipe, keypointset=KAGGLE, hooks=training.Hooks(on_epoch))
    return np.diff(times).tolist(), scores[-1]


# The whole chain


def whole_chain(options: argparse.Namespace, flags: list[str]) -> None:
    """Prints the duration of a full run and of its stages."""
    with tempfile.TemporaryDirectory() as workspace:
        flags = [*chain.dataset_path(options.folder or "rendered"), "--workspace-root", workspace, *flags]
        ran = chain.run("Predict", flags)
        with chain.task("Predict", flags) as predict:
            found, log = predict.output().load(Predictions), chain.logged(predict)
    print(f"\nwhole chain: {ran.seconds:.0f} s, peak memory {ran.peak_mb:.0f} MB, validation RMSE {found.rmse:.3f} px")
    for entry in log:
        print(f"  {entry['stage']:<42}{entry['seconds']:10.1f} s")


PARTS = {"steps": steps, "epochs": epochs, "chain": whole_chain}

if __name__ == "__main__":
    main()
