"""Training on a GPU, measured in one call; on TensorFlow or, with KERAS_BACKEND=jax, on JAX. It runs on a CPU as well, to check itself.

    python bench/gpu.py [FOLDER] [--steps 300] [--batches 64 256 1024] [--epochs 10] [--parts steps epochs chain] [-- LUIGI FLAGS]
    KERAS_BACKEND=jax python bench/gpu.py --drawn 200 --steps 3 --batches 16 --epochs 2 -- --TrainBase-epochs 1 --Augment-copies 1 ...

FOLDER with Kaggle's files; without it: drawn faces. steps: images a second, and the share of the time in which the device computes (GPU:
as nvidia-smi samples it; CPU: core time). epochs: what it costs to bring a new copy for each, and the RMSE that bfloat16 reaches beside
float32's. chain: `luigi --module pipeline Predict` from an empty workspace, with the flags given. Aim for the chain: 3 minutes on an H200.
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
from collections.abc import Iterator
from pathlib import Path

import chain
import defaults
import numpy as np

import pipeline
from pipeline.data import dataset as datasets
from pipeline.geometry import augmentation
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.nets import device
from pipeline.results.predictions import Predictions

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--steps", type=int, default=300, help="timed steps, after as many to warm up")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--epochs", type=int, default=10, help="epochs: of each training; the first is not timed")
    parser.add_argument("--drawn", type=int, default=1000, help="without FOLDER: faces to draw, not for the chain")
    options, flags = chain.arguments(parser)
    print(device.prepare(seed=0, threads=pipeline.device().threads))
    if [part for part in options.parts if part != "chain"]:
        options.data = defaults.faces(options.folder, options.drawn)
        options.copies = made_copies(options.data)
    for part in options.parts:
        PARTS[part](options, flags)


def made_copies(data: datasets.Dataset):
    """Two augmented copies of the training part."""
    from pipeline.nets.samples import StoredVersions

    training = ~data.validation
    faces = (data.images[training], datasets.labels(data)[training])
    ranges = defaults.of(augmentation.Ranges, pipeline.Augment)
    copies = augmentation.versions(*faces, keypointset=KAGGLE, ranges=ranges, count=2, seed=0)
    made = [(images[:], keypoints) for images, keypoints in copies]
    images, keypoints = (np.stack(arrays) for arrays in zip(*made, strict=True))
    everything = list(range(len(KAGGLE.names)))
    return StoredVersions(images, keypoints, data.source[training], faces=np.arange(len(images[0])), indices=everything)


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """What the nets built in this context compute in."""
    import keras

    keras.config.set_dtype_policy(POLICIES[name])
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def built(data: datasets.Dataset):
    """The default net with its first weights."""
    import keras

    from pipeline.nets import network

    keras.utils.set_random_seed(0)
    options = {"side": KAGGLE.side, "keypoints": len(KAGGLE.names), "sources": len(KAGGLE.sources)}
    return network.build(defaults.structure(float(data.pixel_mean), float(data.pixel_std)), **options)


# Steps


def steps(options, flags) -> None:
    from pipeline.nets import training

    n, recipe = len(options.copies), defaults.of(training.Recipe, pipeline.TrainBase)
    print(f"\n{'training step, ' + f'{n:,} faces on the device':<44}{'images/s':>10}{'ms':>8}{'busy':>8}   XLA")
    for name in POLICIES:
        for batch in options.batches:
            with policy(name):
                trainer = training.FacesOnDevice(built(options.data), n, KAGGLE, robust_from=recipe.robust_from)
            trainer.compile(optimizer=training._optimizer(recipe, options.steps))
            trainer.place(options.copies.block(0, slice(0, n)))
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
def busy_share():
    """Yields a call that tells, after the context, the share of its time in which the device computed; NaN if nobody counted."""
    if shutil.which("nvidia-smi"):
        with _nvidia_samples() as samples:
            yield lambda: statistics.mean(samples) / 100 if samples else float("nan")
        return
    start, cores = (time.perf_counter(), time.process_time()), os.cpu_count()
    end = []
    yield lambda: (end[1] - start[1]) / (end[0] - start[0]) / cores
    end += [time.perf_counter(), time.process_time()]


@contextlib.contextmanager
def _nvidia_samples():
    """Per cent of the last tenth of a second in which the first GPU ran a kernel, collected while the context lasts."""
    query = ["nvidia-smi", "--id=0", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--loop-ms=100"]
    samples: list[float] = []

    def collect(lines) -> None:
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


def epochs(options, flags) -> None:
    from pipeline.nets import training
    from pipeline.nets.samples import StoredVersions

    print(f"\n{f'{options.epochs} epochs of the base net':<44}{'s/epoch':>10}{'faces/s':>10}{'first':>9}{'RMSE, px':>10}")
    recipe, two = defaults.of(training.Recipe, pipeline.TrainBase, epochs=options.epochs), options.copies
    one = StoredVersions(two.images[:1], two.keypoints[:1], two.source, faces=two.faces, indices=two.indices)
    for name, copies, what in (
        ("float32", one, "one copy, never swapped"),
        ("float32", two, "a copy brought for each epoch"),
        ("bfloat16", two, "a copy brought for each epoch"),
    ):
        with policy(name):
            seconds, rmse = fitted(options.data, copies, recipe)
        usual = statistics.median(seconds[1:]) if len(seconds) > 1 else float("nan")
        print(f"  {f'{name}, {what}':<42}{usual:10.2f}{len(copies) / usual:10,.0f}{seconds[0]:9.1f}{rmse:10.3f}", flush=True)


def fitted(data: datasets.Dataset, copies, recipe) -> tuple[list[float], float]:
    """Seconds of each epoch of `training.fit`, validation included, and the last validation RMSE."""
    from pipeline.nets import fitting, training

    times, scores = [time.perf_counter()], []

    def report(history) -> None:
        times.append(time.perf_counter())
        scores.append(float(history.validation_rmse[-1]))

    held_out = data.validation
    validation = fitting.labelled(data.images[held_out], data.keypoints[held_out], data.source[held_out])
    training.fit(built(data), copies, validation, recipe, keypointset=KAGGLE, seed=0, report=report)
    return np.diff(times).tolist(), scores[-1]


# The whole chain


def whole_chain(options, flags) -> None:
    data = ["--dataset-path", str(options.folder.resolve()) if options.folder else "rendered"]
    with tempfile.TemporaryDirectory() as workspace:
        flags = [*data, "--workspace-root", workspace, *flags]
        ran = chain.run("Predict", flags)
        with chain.task("Predict", flags) as predict:
            found, log = predict.output().load(Predictions), chain.logged(predict)
    print(f"\nthe whole chain: {ran.seconds:.0f} s, largest memory {ran.peak_mb:.0f} MB, validation RMSE {found.rmse:.3f} px")
    for entry in log:
        print(f"  {entry['stage']:<42}{entry['seconds']:10.1f} s")


PARTS = {"steps": steps, "epochs": epochs, "chain": whole_chain}

if __name__ == "__main__":
    main()
