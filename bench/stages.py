"""Load and Augment beside what a user would otherwise write, in one run.

    python bench/stages.py FOLDER        # FOLDER with Kaggle's training.csv or training.zip; without it: 1,000 drawn faces

Prints the median of three rounds in which the alternatives take turns, and the ratio to the reference.
"""

import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from skimage.transform import warp

from pipeline.faces import archives, augmentation, csvfiles, pixels, rendered
from pipeline.keypointset import KAGGLE

ROUNDS = 3
RANGES = augmentation.Ranges(
    flip=0.5, rotation=20, shear=8.5, shift=8, scale=1.17, stretch=1.08, small_share=0.25, small_scale=0.45, gain=0.3, bias=0.15
)


def tutorials_images(table: pd.DataFrame) -> np.ndarray:
    """Pixels as the tutorial parses them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.vstack(table["Image"].apply(lambda text: np.fromstring(text, sep=" ")).values)


def one_warp_each(images: np.ndarray, transforms: augmentation.Transforms) -> list[np.ndarray]:
    """One call of scikit-image's warp for each image, without contrast and brightness."""
    backward = [np.linalg.inv(np.vstack([matrix, [0, 0, 1]])) for matrix in transforms.matrix]
    return [warp(image, matrix, order=1, mode="edge") for image, matrix in zip(images, backward, strict=True)]


def compare(title: str, alternatives: dict) -> None:
    """Times the alternatives in turn; the first is the reference."""
    times = {name: [] for name in alternatives}
    for _ in range(ROUNDS):
        for name, run in alternatives.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    median = {name: statistics.median(values) for name, values in times.items()}
    reference = next(iter(median.values()))
    print(title)
    for name, seconds in median.items():
        print(f"  {name:<44} {seconds:8.2f} s   {reference / seconds:6.1f} x")


def main(folder: Path) -> None:
    path = archives.find_file(folder, "training")
    table = pd.read_csv(path)
    texts = table["Image"].tolist()
    faces = csvfiles.read_training(path, KAGGLE)
    print(f"{len(texts):,} faces of {path}")
    compare(
        "parsing the images",
        {
            "df.Image.apply(np.fromstring)": lambda: tutorials_images(table),
            "ours, checked": lambda: pixels.parse_images(texts, side=KAGGLE.side),
        },
    )
    compare(
        "the whole training file",
        {"pandas.read_csv alone": lambda: pd.read_csv(path), "ours: read, checked, parsed": lambda: csvfiles.read_training(path, KAGGLE)},
    )
    images, transforms = faces.images, augmentation.draw(len(faces.images), KAGGLE.side, RANGES, rng=np.random.default_rng(0))
    compare(
        "one augmented copy",
        {
            "skimage.transform.warp for each image": lambda: one_warp_each(images, transforms),
            "ours, with contrast and keypoints": lambda: augmentation.apply(images, faces.keypoints, transforms, KAGGLE),
        },
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            rendered.write_kaggle_files(folder, KAGGLE, training=1000, test=3, seed=0)
            main(Path(folder))
