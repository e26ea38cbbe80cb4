"""The picture of the README: drawn test faces with their predicted keypoints, and learning curves.

    luigi --module pipeline Predict --dataset-path rendered
    luigi --module pipeline LearningCurves --dataset-path FOLDER --workspace-root WORKSPACE
    python bench/overview.py submissions/submission-rendered-KEY.h5 data/render-KEY.h5 WORKSPACE/models/learningcurves-KEY.h5 OUT.png

Drawn faces alone: pictures of Kaggle's faces must not be shown.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipeline.data.synthetic.rendered import Truth
from pipeline.results.curves import Curves, draw_learning_curves
from pipeline.results.predictions import Predictions
from pipeline.results.style import save_png
from pipeline.store.hdf5 import artifacts

ROWS, COLUMNS = 3, 4


def draw_faces(axes, predictions: Predictions, truth: np.ndarray) -> None:
    """Evenly chosen test faces, dots for the predictions and circles for where the keypoints were drawn."""
    chosen = np.linspace(0, len(predictions.test_images) - 1, ROWS * COLUMNS).round().astype(int)
    side = predictions.test_images.shape[1]
    for face, place in zip(chosen, axes.ravel(), strict=True):
        place.imshow(predictions.test_images[face], cmap="gray", vmin=0, vmax=255, extent=(0, side, side, 0))
        place.plot(*truth[face].T, "o", markersize=5, markerfacecolor="none", markeredgecolor="white", markeredgewidth=0.8)
        place.plot(*predictions.test[face].T, "o", markersize=2.2, color="tab:orange")
        place.set_axis_off()


def main(submission: Path, render: Path, curves: Path, out: Path) -> None:
    predictions, truth = artifacts.load(submission, Predictions), artifacts.load(render, Truth).keypoints
    figure = Figure(figsize=(15, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.6])
    draw_faces(left.subplots(ROWS, COLUMNS, gridspec_kw={"wspace": 0.03, "hspace": 0.03}), predictions, truth)
    draw_learning_curves(right, artifacts.load(curves, Curves))
    save_png(figure, out)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:5]))
