"""Trains the tutorial's net from three kinds of initial weights and compares gradients, update sizes and RMSE.

    python bench/initialisations.py [FOLDER] [--faces 480] [--epochs 12] [--out initialisations.png]

FOLDER: Kaggle's files (default: drawn faces). The net trains as the tutorial's does (Nesterov momentum 0.9, dropout), but at a thirtieth of
its learning rate, at which no initialisation diverges, and on the first complete faces without augmentation. Only the initialisation
differs. Saves a figure and prints a table.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import defaults
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import pipeline
from pipeline.data import dataset as datasets
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.nets import device
from pipeline.nets.options import INITIALISATIONS
from pipeline.nets.trained import Health, History
from pipeline.results.style import LIGHT, plain, save_png

if TYPE_CHECKING:
    from pipeline.nets.samples import Samples

SHOWN = [name for name in INITIALISATIONS if name != "net"]
RECIPE = {
    "optimizer": "nesterov",
    "schedule": "constant",
    "learning_rate": 0.001,
    "momentum": 0.9,
    "momentum_stop": 0.9,
    "robust_from": 0.0,
}

Runs = dict[str, tuple[History, Health]]


def main() -> None:
    """Trains a net for each initialisation, prints the table and saves the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--faces", type=int, default=480, help="faces to train on; a quarter as many validate (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=12, help="epochs of each training (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("initialisations.png"), help="the figure (default: %(default)s)")
    options = parser.parse_args()
    print(device.prepare(seed=0, threads=pipeline.device().threads))
    data = defaults.dataset(options.folder, 4 * options.faces)  # a third of the drawn faces are complete
    if (needed := options.faces + options.faces // 4) > data.complete.sum():
        source = options.folder or "the drawn data set"
        raise SystemExit(f"{needed} complete faces are needed, but {source} has only {data.complete.sum()}. Give a smaller --faces.")
    runs = {name: trained(name, data, options.faces, options.epochs) for name in SHOWN}
    print(table(runs))
    save_png(figure(runs), options.out)
    print(f"\n{options.out}")


def trained(initialisation: str, data: datasets.Dataset, faces: int, epochs: int) -> tuple[History, Health]:
    """Trains the net kfkd for all keypoints on the first complete faces; its initial weights depend only on seed and initialisation."""
    from pipeline.nets import training
    from pipeline.nets.samples import Samples, StoredVersions

    def samples(rows: np.ndarray) -> "Samples":
        return Samples(data.images[rows], data.keypoints[rows], data.source[rows], np.ones(len(rows), np.float32))

    complete = np.flatnonzero(data.complete)
    part, validation = samples(complete[:faces]), samples(complete[faces : faces + faces // 4])
    return training.fit(
        defaults.net(data, network="kfkd", dropout=1.0, initialisation=initialisation),
        StoredVersions(part.images[None], part.keypoints[None], part.source, rows=np.arange(faces), indices=defaults.ALL_KEYPOINTS),
        validation,
        defaults.of(training.Recipe, pipeline.TrainBase, epochs=epochs, **RECIPE),
        keypointset=KAGGLE,
        hooks=training.Hooks(lambda history: print(f"{initialisation}: {history.last}", flush=True)),
    )


def table(runs: Runs) -> str:
    """The gradient and the relative update of each layer in the first epoch, and the RMSE after the last one, as text."""
    lines = [
        f"\n{'in the first epoch':<26}" + "".join(f"{name:>24}" for name in runs),
        f"{'':<26}" + f"{'gradient':>10}{'update/weight':>14}" * len(runs),
    ]
    for place, layer in enumerate(next(iter(runs.values()))[1].layers):
        values = "".join(f"{health.gradient[0, place]:>10.2g}{health.ratio[0, place]:>14.2g}" for _, health in runs.values())
        lines.append(f"{layer:<26}{values}")
    for title, of in (("training RMSE at the end", "training_rmse"), ("validation RMSE at the end", "validation_rmse")):
        lines.append(f"{title:<26}" + "".join(f"{getattr(history, of)[-1]:>21.2f} px" for history, _ in runs.values()))
    return "\n".join(lines)


def figure(runs: Runs) -> Figure:
    """Top: gradient and update of each layer over the epochs. Bottom: gradients of all layers in the first epoch, and the RMSE."""
    made = Figure(figsize=(13, 11), layout="constrained")
    grid = made.add_gridspec(3, len(runs))
    for row, (of, title) in enumerate((("gradient", "norm of the gradient"), ("ratio", "update / weight"))):
        shared = None
        for column, (name, (history, health)) in enumerate(runs.items()):
            shared = axes = made.add_subplot(grid[row, column], sharey=shared)
            _by_epoch(axes, history.epoch, getattr(health, of), health.layers)
            _label(axes, f"{name}: {title}", "epoch", title if not column else "")
            axes.set_yscale("log")
            if row == 0 and column == len(runs) - 1:
                axes.legend(fontsize="small", frameon=False, ncols=2)
    _by_layer(made.add_subplot(grid[2, 0]), runs)
    _rmse(made.add_subplot(grid[2, 1:]), runs)
    return made


def _by_epoch(axes: Axes, epoch: np.ndarray, values: np.ndarray, layers: np.ndarray) -> None:
    """A line for each layer, from light near the image to dark near the output."""
    shades = colormaps["viridis_r"](np.linspace(0.1, 1, len(layers)))
    for place, (layer, shade) in enumerate(zip(layers, shades, strict=True)):
        axes.plot(epoch, values[:, place], color=shade, label=layer, linewidth=1.8)


def _by_layer(axes: Axes, runs: Runs) -> None:
    for (name, (_, health)), colour in zip(runs.items(), LIGHT.colours, strict=False):
        axes.plot(health.layers, health.gradient[0], "o-", color=colour, label=name)
    axes.set_yscale("log")
    axes.tick_params(axis="x", rotation=30)
    _label(axes, "norm of the gradient in the first epoch", "", "")
    axes.legend(frameon=False)


def _rmse(axes: Axes, runs: Runs) -> None:
    for (name, (history, _)), colour in zip(runs.items(), LIGHT.colours, strict=False):
        axes.plot(history.epoch, history.validation_rmse, color=colour, linewidth=2, label=f"{name}: validation")
        axes.plot(history.epoch, history.training_rmse, "--", color=colour, label=f"{name}: training")
    # A first epoch far above the others would leave no room for them.
    axes.set_ylim(0, 3 * max(np.median(history.training_rmse) for history, _ in runs.values()))
    _label(axes, "RMSE", "epoch", "pixels")
    axes.legend(frameon=False, ncols=len(runs))


def _label(axes: Axes, title: str, below: str, left: str) -> None:
    axes.set(title=title, xlabel=below, ylabel=left)
    plain(axes)


if __name__ == "__main__":
    main()
