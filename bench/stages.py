"""Compares Load, Augment and Predict with the code that a user would write otherwise, and counts the imports of TensorFlow in a full run.

    python bench/stages.py [FOLDER] [--parts load face augment predict imports] [--rounds 3] [--images 10000] [--drawn 1000]

FOLDER: Kaggle's files (default: drawn faces). Prints medians of rounds in which the alternatives take turns, and their speed relative to
the first alternative. Goals: Load is at least 5 times as fast as the tutorial's loader and takes at most twice as long as pandas.read_csv;
Augment is at least 3 times as fast as one call of skimage's warp per image; Predict is at least 80 % as fast as the bare forward passes of
its nets; a full run with one worker imports TensorFlow once, in one process; reading one face from Load's artifact takes at most 50 ms.
"""

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import chain
import defaults
import h5py
import numpy as np
import pandas as pd
from skimage.transform import warp
from timing import compare, goal

import pipeline
from pipeline.data.formats import kaggle, pixels
from pipeline.data.synthetic import rendered
from pipeline.geometry import augmentation
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.nets import device
from pipeline.store.hdf5 import artifacts

if TYPE_CHECKING:
    from pipeline.nets.trained import Trained


def main() -> None:
    """Runs the chosen parts and prints a table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="what to measure (default: everything)")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds whose median is reported (default: %(default)s)")
    parser.add_argument("--images", type=int, default=10_000, help="faces to predict in the part `predict` (default: %(default)s)")
    parser.add_argument("--drawn", type=int, default=1000, help="labelled faces to draw if there is no FOLDER (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        if options.folder is None:
            options.folder = Path(made)
            rendered.write_kaggle_files(made, KAGGLE, side=SIDE, training=options.drawn, test=options.drawn // 4, seed=0)
        for part in options.parts:
            PARTS[part](options)


# Load


def load(options: argparse.Namespace) -> None:
    """Compares parsing the images, reading the training file, and all of Load."""
    path, test, _ = defaults.files(options.folder)
    table = pd.read_csv(path)
    texts = table["Image"].tolist()
    print(f"{len(texts):,} faces of {path}")
    compare(
        "parsing the images",
        {
            "df.Image.apply(np.fromstring)": lambda: tutorials_images(table),
            "ours, with checks": lambda: pixels.parse_images(texts, side=SIDE),
        },
        options.rounds,
    )
    compare_loaders(
        "the training file",
        {
            "the tutorial's loader": lambda: tutorials_loader(path),
            "only pandas.read_csv": lambda: pd.read_csv(path),
            "ours: read, checked, parsed": lambda: kaggle.read_training(path, KAGGLE, side=SIDE),
        },
        options.rounds,
    )
    compare_loaders(
        "all of Load: training, test and lookup table; ours with duplicates, outliers and split",
        {
            "the tutorial's loader, both files": lambda: (tutorials_loader(path), tutorials_loader(test)),
            "only pandas.read_csv, both files": lambda: (pd.read_csv(path), pd.read_csv(test)),
            "ours": lambda: defaults.dataset(options.folder, 0),
        },
        options.rounds,
    )


def compare_loaders(title: str, alternatives: dict[str, Callable[[], object]], rounds: int) -> None:
    """Compares the tutorial's loader, pandas.read_csv and ours, in this order, and prints the goals."""
    theirs, bare, ours = compare(title, alternatives, rounds).values()
    goal("speed-up over the tutorial's loader", theirs / ours, at_least=5)
    goal("time / time of pandas.read_csv", ours / bare, at_most=2)


def tutorials_images(table: pd.DataFrame) -> pd.Series:
    """The pixels, parsed as the tutorial does it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return table["Image"].apply(lambda text: np.fromstring(text, sep=" "))


def tutorials_loader(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images and keypoints, read as the tutorial does it, but of all rows instead of only the complete ones."""
    table = pd.read_csv(path)
    table["Image"] = tutorials_images(table)
    images = (np.vstack(table["Image"].values) / 255.0).astype(np.float32)
    keypoints = ((table[table.columns[:-1]].values - SIDE / 2) / (SIDE / 2)).astype(np.float32)
    return images, keypoints


# One face from the cache


def face(options: argparse.Namespace) -> None:
    """Compares reading one face and all faces from Load's artifact with h5py, as a viewer would read them.

    One augmented version in Augment's artifact has the same chunks.
    """
    data = defaults.dataset(options.folder, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "load.h5"
        with artifacts.writing(path, {}) as file:
            artifacts.put(file, data)
        _, one = compare(
            f"reading Load's artifact, {len(data.images):,} faces",
            {"all faces": lambda: read(path, slice(None)), "one face": lambda: read(path, len(data.images) // 2)},
            5 * options.rounds,
        ).values()
    goal("ms for one face", 1000 * one, at_most=50)


def read(path: Path, faces: slice | int) -> np.ndarray:
    """Reads one or several images from an artifact."""
    with h5py.File(path) as file:
        return file["images"][faces]


# Augment


def augment(options: argparse.Namespace) -> None:
    """Compares one augmented version of all faces with one call of scikit-image's warp per image."""
    data = kaggle.read_training(defaults.files(options.folder).training, KAGGLE, side=SIDE)
    ranges = defaults.of(augmentation.Ranges, pipeline.Augment)
    transforms = augmentation.draw(len(data.images), SIDE, ranges, rng=np.random.default_rng(0))
    labelled = data.images, data.keypoints
    theirs, ours = compare(
        f"one augmented version of {len(data.images):,} faces",
        {
            "one call of skimage.transform.warp per image": lambda: one_warp_each(data.images, transforms),
            "ours, with contrast and keypoints": lambda: augmentation.apply(*labelled, transforms, KAGGLE, side=SIDE)[0][:],
        },
        options.rounds,
    ).values()
    goal("speed-up over one call of warp per image", theirs / ours, at_least=3)


def one_warp_each(images: np.ndarray, transforms: augmentation.Transforms) -> list[np.ndarray]:
    """The transformed images by one call of scikit-image's warp per image, without contrast and brightness."""
    backward = [np.linalg.inv(np.vstack([matrix, [0, 0, 1]])) for matrix in transforms.matrix]
    return [warp(image, matrix, order=1, mode="edge") for image, matrix in zip(images, backward, strict=True)]


# Predict


def predict(options: argparse.Namespace) -> None:
    """Compares the prediction of a chain with the bare forward passes of its nets."""
    print(f"\n{device.prepare(seed=0, threads=pipeline.device().threads)}")
    from pipeline.inference import prediction

    data, n = defaults.dataset(options.folder, 0), options.images
    images, source = np.resize(data.images, (n, SIDE, SIDE)), np.resize(data.source, n)
    nets = [defaults.untrained(data, group) for group in (None, *KAGGLE.groups)]
    bare = [bare_passes(net, n) for net in nets]
    for run in bare:
        run(1)
    alternatives = {
        "the nets' bare forward passes": lambda: [run() for run in bare],
        "ours: nets built, windows cut, passes averaged": lambda: prediction.predict_chain(nets, images, source, KAGGLE),
        "of which building and compiling the nets": lambda: prediction.predict_chain(nets, images[:1], source[:1], KAGGLE),
    }
    title = f"keypoints of {n:,} faces, a base net and {len(KAGGLE.groups)} specialists"
    forward, ours, _ = compare(title, alternatives, 1).values()
    goal("speed relative to the bare forward passes, per cent", 100 * forward / ours, at_least=80)


def bare_passes(trained: "Trained", n: int) -> Callable[..., None]:
    """A function that runs the net on n images (or a given number) as often as a prediction does.

    A prediction is the mean of two passes, for the image and its mirror image; a base net makes two predictions, because of the refinement.
    """
    from pipeline.nets import forward, network

    options = {"side": int(trained.side), "keypoints": len(trained.indices), "sources": len(KAGGLE.sources)}
    net = network.build(trained.structure, **options)
    passes = 2 if trained.target is None else 4
    block = np.zeros((forward.BATCH, trained.side, trained.side), np.uint8)

    def run(faces: int = n) -> None:
        for _ in range(passes * -(-faces // forward.BATCH)):
            net.predict_on_batch(block)

    return run


# Imports

# The content of sitecustomize.py, a module that Python imports when it starts.
COUNTER = """
import os, sys

class Counter:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            with open(os.environ["TENSORFLOW_IMPORTS"], "a") as file:
                file.write(f"{os.getpid()}\\n")

sys.meta_path.insert(0, Counter())
"""


def imports(options: argparse.Namespace) -> None:
    """Runs the smallest possible chain and counts the imports of TensorFlow in its process and in those that it starts."""
    small = ["--Render-training", "60", "--Render-test", "6", "--Augment-copies", "1", "--TrainBase-epochs", "1", "--TrainBase-batch", "16"]
    small += ["--TrainSpecialist-epochs", "1", "--dataset-path", "rendered"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sitecustomize.py").write_text(COUNTER)
        log = Path(folder) / "imports"
        flags = [*small, "--workspace-root", str(Path(folder) / "workspace")]
        ran = chain.run("Predict", flags, python_path=Path(folder), TENSORFLOW_IMPORTS=str(log))
        times = len(log.read_text().split()) if log.exists() else 0
    print(f"\na small full run with one worker, {ran.seconds:.0f} s")
    goal("imports of TensorFlow", times, at_most=1)


PARTS = {"load": load, "face": face, "augment": augment, "predict": predict, "imports": imports}

if __name__ == "__main__":
    main()
