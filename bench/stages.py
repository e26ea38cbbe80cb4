"""Load, Augment and Predict beside what a user would otherwise write, and how often a full run imports TensorFlow.

    python bench/stages.py [FOLDER] [--parts load face augment predict imports] [--rounds 3] [--images 10000] [--drawn 1000]

FOLDER with Kaggle's files; without it: drawn faces. Medians of rounds in which the alternatives take turns, and the ratio to the first of
them. Goals: Load at least 5 times as fast as the tutorial's loader and within 2 times of pandas.read_csv alone; Augment at least 3 times
as fast as one call of skimage's warp for each image; Predict at least 80 % as fast as its nets' bare forward passes; one process of a
full run with one worker imports TensorFlow, once; one face out of Load's artifact in at most 50 ms.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import chain
import defaults
import h5py
import numpy as np
import pandas as pd
from skimage.transform import warp
from turns import compare, goal

import pipeline
from pipeline.data.formats import archives, kaggle, pixels
from pipeline.data.synthetic import rendered
from pipeline.geometry import augmentation
from pipeline.inference import prediction
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.nets import device
from pipeline.store.hdf5 import artifacts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=10_000, help="for Predict")
    parser.add_argument("--drawn", type=int, default=1000, help="without FOLDER: faces to draw")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        if options.folder is None:
            options.folder = Path(made)
            rendered.write_kaggle_files(made, KAGGLE, side=SIDE, training=options.drawn, test=options.drawn // 4, seed=0)
        for part in options.parts:
            PARTS[part](options)


# Load


def load(options) -> None:
    path, test = (archives.find_file(options.folder, stem) for stem in ("training", "test"))
    table = pd.read_csv(path)
    texts = table["Image"].tolist()
    print(f"{len(texts):,} faces of {path}")
    compare(
        "parsing the images",
        {
            "df.Image.apply(np.fromstring)": lambda: tutorials_images(table),
            "ours, checked": lambda: pixels.parse_images(texts, side=SIDE),
        },
        options.rounds,
    )
    theirs, bare, ours = compare(
        "the training file",
        {
            "the tutorial's loader": lambda: tutorials_loader(path),
            "pandas.read_csv alone": lambda: pd.read_csv(path),
            "ours: read, checked, parsed": lambda: kaggle.read_training(path, KAGGLE, side=SIDE),
        },
        options.rounds,
    ).values()
    goal("times as fast as the tutorial's loader", theirs / ours, at_least=5)
    goal("times as long as pandas.read_csv", ours / bare, at_most=2)
    theirs, bare, ours = compare(
        "all of Load: training, test and lookup table; ours with duplicates, outliers and split",
        {
            "the tutorial's loader, both files": lambda: (tutorials_loader(path), tutorials_loader(test)),
            "pandas.read_csv alone, both files": lambda: (pd.read_csv(path), pd.read_csv(test)),
            "ours": lambda: defaults.faces(options.folder, 0),
        },
        options.rounds,
    ).values()
    goal("times as fast as the tutorial's loader", theirs / ours, at_least=5)
    goal("times as long as pandas.read_csv", ours / bare, at_most=2)


def tutorials_images(table: pd.DataFrame) -> pd.Series:
    """Pixels as the tutorial parses them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return table["Image"].apply(lambda text: np.fromstring(text, sep=" "))


def tutorials_loader(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images and keypoints of all rows as the tutorial reads them, without its choice of complete rows."""
    table = pd.read_csv(path)
    table["Image"] = tutorials_images(table)
    images = (np.vstack(table["Image"].values) / 255.0).astype(np.float32)
    keypoints = ((table[table.columns[:-1]].values - 48) / 48).astype(np.float32)
    return images, keypoints


# One face out of the cache


def face(options) -> None:
    """With h5py alone, as a viewer would: Load's artifact and one copy of Augment's have the same chunks."""
    data = defaults.faces(options.folder, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "load.h5"
        with artifacts.writing(path, {}) as file:
            artifacts.put(file, data)
        _, one = compare(
            f"out of Load's artifact, {len(data.images):,} faces",
            {"all faces": lambda: read(path, slice(None)), "one face": lambda: read(path, len(data.images) // 2)},
            5 * options.rounds,
        ).values()
    goal("ms for one face", 1000 * one, at_most=50)


def read(path: Path, faces) -> np.ndarray:
    with h5py.File(path) as file:
        return file["images"][faces]


# Augment


def augment(options) -> None:
    data = kaggle.read_training(archives.find_file(options.folder, "training"), KAGGLE, side=SIDE)
    labelled, ranges = (data.images, data.keypoints), defaults.of(augmentation.Ranges, pipeline.Augment)
    transforms = augmentation.draw(len(data.images), SIDE, ranges, rng=np.random.default_rng(0))
    theirs, ours = compare(
        f"one augmented copy of {len(data.images):,} faces",
        {
            "skimage.transform.warp for each image": lambda: one_warp_each(data.images, transforms),
            "ours, with contrast and keypoints": lambda: augmentation.apply(*labelled, transforms, KAGGLE, side=SIDE)[0][:],
        },
        options.rounds,
    ).values()
    goal("times as fast", theirs / ours, at_least=3)


def one_warp_each(images: np.ndarray, transforms: augmentation.Transforms) -> list[np.ndarray]:
    """One call of scikit-image's warp for each image, without contrast and brightness."""
    backward = [np.linalg.inv(np.vstack([matrix, [0, 0, 1]])) for matrix in transforms.matrix]
    return [warp(image, matrix, order=1, mode="edge") for image, matrix in zip(images, backward, strict=True)]


# Predict


def predict(options) -> None:
    print(f"\n{device.prepare(seed=0, threads=pipeline.device().threads)}")

    data = defaults.faces(options.folder, 0)
    n, groups = options.images, [None, *KAGGLE.groups]
    images, source = np.resize(data.test_images, (n, SIDE, SIDE)), np.resize(data.test_source, n)
    nets = [defaults.untrained(data, group) for group in groups]
    bare = [bare_passes(net, n) for net in nets]
    alternatives = {
        "the nets' bare forward passes": lambda: [run() for run in bare],
        "ours: nets built, windows cut, passes averaged": lambda: prediction.predict_chain(nets, images, source, KAGGLE),
        "of that, the nets built and compiled": lambda: prediction.predict_chain(nets, images[:1], source[:1], KAGGLE),
    }
    for run in bare:
        run(1)
    forward, ours, _ = compare(f"keypoints of {n:,} faces, a base net and {len(KAGGLE.groups)} specialists", alternatives, 1).values()
    goal("per cent of the speed of the bare forward passes", 100 * forward / ours, at_least=80)


def bare_passes(trained, n: int):
    """A call that runs the net over n images of its size as often as a prediction does: mirrored or not; a base net's two looks."""
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

# Python imports a module of this name by itself when it starts.
COUNTER = """
import os, sys

class Counter:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            with open(os.environ["TENSORFLOW_IMPORTS"], "a") as file:
                file.write(f"{os.getpid()}\\n")

sys.meta_path.insert(0, Counter())
"""


def imports(options) -> None:
    """Runs the whole chain, as small as it gets, and counts the imports in it and in the processes that it starts."""
    small = ["--Render-training", "60", "--Render-test", "6", "--Augment-copies", "1", "--TrainBase-epochs", "1", "--TrainBase-batch", "16"]
    small += ["--TrainSpecialist-epochs", "1", "--dataset-path", "rendered"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sitecustomize.py").write_text(COUNTER)
        log = Path(folder) / "imports"
        flags = [*small, "--workspace-root", str(Path(folder) / "workspace")]
        ran = chain.run("Predict", flags, python_path=Path(folder), TENSORFLOW_IMPORTS=str(log))
        times = len(log.read_text().split()) if log.exists() else 0
    print(f"\na full run with one worker, {ran.seconds:.0f} s")
    goal("imports of TensorFlow", times, at_most=1)


PARTS = {"load": load, "face": face, "augment": augment, "predict": predict, "imports": imports}

if __name__ == "__main__":
    main()
