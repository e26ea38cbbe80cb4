"""Draws the picture in the README: drawn test faces with their predicted keypoints, and the learning curves.

    luigi --module pipeline Predict --dataset-path rendered
    luigi --module pipeline LearningCurves --dataset-path FOLDER --workspace-root WORKSPACE
    python bench/overview.py submissions/submission-rendered-KEY.h5 data/render-KEY.h5 WORKSPACE/models/learningcurves-KEY.h5 OUT.png

The faces must be drawn ones, because Kaggle's faces must not be published.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipeline.data.synthetic.rendered import Truth
from pipeline.results.curves import Curves, draw_learning_curves
from pipeline.results.predictions import Predictions
from pipeline.results.style import save_png
from pipeline.store.hdf5 import artifacts

ROWS, COLUMNS = 3, 4


def main() -> None:
    """Reads the three artifacts and saves the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("submission", type=Path, help="Predict's artifact for drawn faces")
    parser.add_argument("render", type=Path, help="Render's artifact, which has the true keypoints of these faces")
    parser.add_argument("curves", type=Path, help="LearningCurves' artifact")
    parser.add_argument("out", type=Path, help="the picture, a PNG file")
    options = parser.parse_args()
    predictions, truth = artifacts.load(options.submission, Predictions), artifacts.load(options.render, Truth).keypoints
    figure = Figure(figsize=(15, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.6])
    draw_faces(left.subplots(ROWS, COLUMNS, gridspec_kw={"wspace": 0.03, "hspace": 0.03}), predictions, truth)
    draw_learning_curves(right, artifacts.load(options.curves, Curves))
    save_png(figure, options.out)


def draw_faces(axes: np.ndarray, predictions: Predictions, truth: np.ndarray) -> None:
    """Draws evenly spaced test faces into axes (ROWS, COLUMNS): dots are predictions, circles the true keypoints (n, K, 2) in pixels."""
    chosen = np.linspace(0, len(predictions.test_images) - 1, ROWS * COLUMNS).round().astype(int)
    side = predictions.test_images.shape[1]
    for face, place in zip(chosen, axes.ravel(), strict=True):
        place.imshow(predictions.test_images[face], cmap="gray", vmin=0, vmax=255, extent=(0, side, side, 0))
        place.plot(*truth[face].T, "o", markersize=5, markerfacecolor="none", markeredgecolor="white", markeredgewidth=0.8)
        place.plot(*predictions.test[face].T, "o", markersize=2.2, color="tab:orange")
        place.set_axis_off()


if __name__ == "__main__":
    main()
