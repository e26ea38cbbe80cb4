"""The tutorial's net from three kinds of first weights: the gradient in each layer, how far each layer moves, what it learns.

    python bench/initialisations.py [FOLDER] [--faces 480] [--epochs 12] [--out initialisations.png]

FOLDER with Kaggle's files; without it: drawn faces. The net trains as the tutorial's (Nesterov, momentum 0.9, dropout) but at
a thirtieth of its learning rate, at which none diverges, on the first complete faces as they are; only the initialisation differs.
"""

import argparse
from pathlib import Path

import defaults
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

import pipeline
from pipeline.data import dataset as datasets
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.nets import device
from pipeline.nets.options import INITIALISATIONS
from pipeline.nets.trained import Health, History
from pipeline.results.style import LIGHT, plain, save_png

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--faces", type=int, default=480, help="to train on; a quarter as many to validate on")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("initialisations.png"))
    options = parser.parse_args()
    print(device.prepare(seed=0, threads=pipeline.device().threads))
    data = defaults.faces(options.folder, 4 * options.faces)  # of drawn ones a third is complete
    if (needed := options.faces + options.faces // 4) > data.complete.sum():
        raise SystemExit(f"{needed} complete faces are needed, {options.folder} has {data.complete.sum()}: give a smaller --faces.")
    runs = {name: trained(name, data, options.faces, options.epochs) for name in SHOWN}
    print(table(runs))
    save_png(picture(runs), options.out)
    print(f"\n{options.out}")


def trained(initialisation: str, data: datasets.Dataset, faces: int, epochs: int) -> tuple[History, Health]:
    """A base net of the kind kfkd, trained on complete faces without augmentation; its first weights depend on the seed alone."""
    import keras

    from pipeline.nets import fitting, network, samples, training

    chosen = np.flatnonzero(data.complete)[: faces + faces // 4]
    part = fitting.labelled(data.images[chosen], data.keypoints[chosen], data.source[chosen])
    rows, everything = np.arange(faces), list(range(len(KAGGLE.names)))
    held_out = fitting.labelled(*(values[len(rows) :] for values in (part.images, part.keypoints, part.source)))
    keras.utils.set_random_seed(0)
    sizes = {"side": KAGGLE.side, "keypoints": len(everything), "sources": len(KAGGLE.sources)}
    kfkd = {"network": "kfkd", "dropout": 1.0, "initialisation": initialisation}
    net = network.build(defaults.structure(float(data.pixel_mean), float(data.pixel_std), **kfkd), **sizes)
    return training.fit(
        net,
        samples.StoredVersions(part.images[None], part.keypoints[None], part.source, faces=rows, indices=everything),
        held_out,
        defaults.of(training.Recipe, pipeline.TrainBase, epochs=epochs, **RECIPE),
        keypointset=KAGGLE,
        seed=0,
        report=lambda history: print(f"{initialisation}: {history.last}", flush=True),
    )


def table(runs: Runs) -> str:
    """Of the first epoch: gradient and update / weight of each layer; and the RMSE at the end."""
    lines = [
        f"\n{'in the first epoch':<22}" + "".join(f"{name:>24}" for name in runs),
        f"{'':<22}" + f"{'gradient':>10}{'update/weight':>14}" * len(runs),
    ]
    for place, layer in enumerate(next(iter(runs.values()))[1].layers):
        values = "".join(f"{health.gradient[0, place]:>10.2g}{health.ratio[0, place]:>14.2g}" for _, health in runs.values())
        lines.append(f"{layer:<22}{values}")
    for title, of in (("training RMSE, end", "training_rmse"), ("validation RMSE, end", "validation_rmse")):
        lines.append(f"{title:<22}" + "".join(f"{getattr(history, of)[-1]:>21.2f} px" for history, _ in runs.values()))
    return "\n".join(lines)


def picture(runs: Runs) -> Figure:
    """Above, for each initialisation, gradient and update by layer and epoch; below, all by layer in the first epoch, and the RMSE."""
    figure = Figure(figsize=(13, 11), layout="constrained")
    grid = figure.add_gridspec(3, len(runs))
    for row, (of, title) in enumerate((("gradient", "norm of the gradient"), ("ratio", "update / weight"))):
        shared = None
        for column, (name, (history, health)) in enumerate(runs.items()):
            shared = axes = figure.add_subplot(grid[row, column], sharey=shared)
            _by_epoch(axes, history.epoch, getattr(health, of), health.layers)
            _dress(axes, f"{name}: {title}", "epoch", title if not column else "")
            axes.set_yscale("log")
            if row == 0 and column == len(runs) - 1:
                axes.legend(fontsize="small", frameon=False, ncols=2)
    _by_layer(figure.add_subplot(grid[2, 0]), runs)
    _rmse(figure.add_subplot(grid[2, 1:]), runs)
    return figure


def _by_epoch(axes, epoch: np.ndarray, values: np.ndarray, layers: np.ndarray) -> None:
    """A line for each layer, from light at the image to dark at the output."""
    shades = colormaps["viridis_r"](np.linspace(0.1, 1, len(layers)))
    for place, (layer, shade) in enumerate(zip(layers, shades, strict=True)):
        axes.plot(epoch, values[:, place], color=shade, label=layer, linewidth=1.8)


def _by_layer(axes, runs: Runs) -> None:
    for (name, (_, health)), colour in zip(runs.items(), LIGHT.colours, strict=False):
        axes.plot(health.layers, health.gradient[0], "o-", color=colour, label=name)
    axes.set_yscale("log")
    axes.tick_params(axis="x", rotation=30)
    _dress(axes, "norm of the gradient in the first epoch", "", "")
    axes.legend(frameon=False)


def _rmse(axes, runs: Runs) -> None:
    for (name, (history, _)), colour in zip(runs.items(), LIGHT.colours, strict=False):
        axes.plot(history.epoch, history.validation_rmse, color=colour, linewidth=2, label=f"{name}: validation")
        axes.plot(history.epoch, history.training_rmse, "--", color=colour, label=f"{name}: training")
    # A first epoch far beyond would squeeze the rest.
    axes.set_ylim(0, 3 * max(np.median(history.training_rmse) for history, _ in runs.values()))
    _dress(axes, "RMSE", "epoch", "pixels")
    axes.legend(frameon=False, ncols=len(runs))


def _dress(axes, title: str, below: str, left: str) -> None:
    axes.set(title=title, xlabel=below, ylabel=left)
    plain(axes)


if __name__ == "__main__":
    main()
