"""Trains the tutorial's net by the tutorial's recipe and by the default recipe of this project, and compares their RMSE over time.

    python bench/kfkd.py [FOLDER] [--minutes 60] [--drawn 1000] [--out CURVES.csv] [-- LUIGI FLAGS, such as --TrainBase-epochs 30]

FOLDER: Kaggle's files (default: drawn faces). "kfkd" is the base net of the tutorial by Daniel Nouri, "ours" that of the stages Augment and
TrainBase with the given flags. Goals: ours reaches the best score of the tutorial's recipe in at most 1/20 of the time of its whole run,
over which its learning rate falls, and in at most 1/20 of the time to its best epoch, which nobody knows before the run is over.
"""

import argparse
import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chain
import numpy as np
from defaults import ALL_KEYPOINTS
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from timing import goal

import pipeline
from pipeline.data import dataset as datasets
from pipeline.geometry.frame import Frame
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.metrics.rmse import rmse
from pipeline.nets import device
from pipeline.nets.sources import of_source
from pipeline.results.style import LIGHT, End, label_ends, plain, save_png

if TYPE_CHECKING:
    import keras

BATCH = 128  # of the tutorial's recipe
# Column of a curve's rows -> the validation values that the RMSE in it is over.
SCORES = {1: "all labelled values", 2: "complete rows, the only ones kfkd trains on"}


def main() -> None:
    """Trains both, prints the comparison, and saves the curves and their figure if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--minutes", type=float, default=60, help="how long the tutorial's recipe trains (default: %(default)g)")
    parser.add_argument("--drawn", type=int, default=1000, help="labelled faces to draw if there is no FOLDER (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="CSV file for both curves; their figure is saved next to it with the suffix .png")
    options, flags = chain.arguments(parser)
    if options.out and options.out.suffix.lower() == ".png":
        parser.error(f"--out {options.out} must name the CSV file; the figure is saved next to it with the suffix .png")
    if options.out and not options.out.parent.is_dir():
        parser.error(f"--out {options.out}: the folder {options.out.parent} does not exist")
    print(device.prepare(seed=0, threads=pipeline.device().threads))
    with tempfile.TemporaryDirectory() as workspace:
        flags = [*chain.dataset_flags(options.folder, options.drawn), "--workspace-root", workspace, *flags]
        with chain.task("Load", flags) as load:
            chain.make(load)
            data = load.output().load(datasets.Dataset)
        # Ours first: the tutorial's dataset, a generator, makes TensorFlow return all freed memory at once (M_TRIM_THRESHOLD), and
        # augmentation later in the same process takes up to four times as long.
        ours, theirs = train_ours(data, flags), train_kfkd(data, options.minutes * 60)
    print_comparison(theirs, ours)
    if options.out:
        lines = [f"{curve.title},{','.join(f'{value:.3f}' for value in row)}" for curve in (theirs, ours) for row in curve.rows]
        options.out.write_text("\n".join(["recipe,seconds,rmse_all,rmse_complete_rows", *lines]) + "\n")
        save_png(figure({curve.title: np.array(curve.rows) for curve in (theirs, ours)}), options.out.with_suffix(".png"))


class Curve:
    """The RMSE on the validation part over the seconds of a training; the time that the measuring takes is not counted.

    rows: one per epoch, of (seconds, RMSE over all labelled values, RMSE over the complete rows), both in pixels.
    """

    def __init__(self, title: str, data: datasets.Dataset) -> None:
        held_out = data.validation
        self.title, self.start = title, time.perf_counter()
        self.rows: list[tuple[float, float, float]] = []
        self.images, self.source, self.truth = data.images[held_out], data.source[held_out], data.keypoints[held_out]
        self.complete = data.complete[held_out]

    @property
    def seconds(self) -> float:
        """The seconds of training so far."""
        return time.perf_counter() - self.start

    def add(self, predict: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        """Adds a row. predict: from images and their annotation sources to keypoints (n, K, 2) in pixels."""
        now = time.perf_counter()
        predicted = predict(self.images, self.source)
        everything = rmse(predicted, self.truth)
        complete = rmse(predicted[self.complete], self.truth[self.complete])
        self.rows.append((now - self.start, everything, complete))
        print(f"{self.title:<6}{now - self.start:9.1f} s   all {everything:7.3f}   complete rows {complete:7.3f} px", flush=True)
        self.start += time.perf_counter() - now

    def first(self, column: int, at_most: float) -> float:
        """The seconds until the RMSE in a column of `rows` was at most this; inf if it never was."""
        return next((row[0] for row in self.rows if row[column] <= at_most), float("inf"))


def print_comparison(theirs: Curve, ours: Curve) -> None:
    """Prints for both scores how much longer the tutorial's recipe took than ours to reach the tutorial's best."""
    for column, what in SCORES.items():
        end, best = theirs.rows[-1], min(theirs.rows, key=lambda row, column=column: row[column])
        needed = ours.first(column, best[column])
        reached = f"ours reaches that after {needed:.1f} s" if needed < float("inf") else "ours never reaches that"
        print(f"\n{what}: kfkd {end[column]:.3f} px after {end[0]:.0f} s, at best {best[column]:.3f} px after {best[0]:.0f} s;", end=" ")
        print(f"{reached} and ends at {ours.rows[-1][column]:.3f} px")
        goal("speed-up over the whole run of kfkd", end[0] / needed, at_least=20)
        goal("speed-up over kfkd up to its best epoch", best[0] / needed, at_least=20)


def figure(curves: dict[str, np.ndarray]) -> Figure:
    """A panel for each score, with the RMSE over the seconds; dotted: the best of kfkd. curves: the `rows` by title."""
    made = Figure(figsize=(12, 4.5), layout="constrained")
    panels = made.subplots(1, 2, sharey=True)
    panels[0].set(yscale="log", ylabel="RMSE, pixels")
    for axes, (column, what) in zip(panels, SCORES.items(), strict=True):
        draw(axes, curves, column)
        axes.set_title(what[0].upper() + what[1:])
    # Both panels share the limits of y, so the names are placed only when all curves are drawn.
    for axes, column in zip(panels, SCORES, strict=True):
        ends = zip(curves.items(), LIGHT.colours, strict=False)
        label_ends(axes, [End(rows[-1, column], f"{name} {rows[-1, column]:.2f}", colour) for (name, rows), colour in ends])
    return made


def draw(axes: Axes, curves: dict[str, np.ndarray], column: int) -> None:
    """Draws one column of each curve over the seconds, on logarithmic axes."""
    axes.set(xscale="log", xlabel="seconds of training")
    for rows, colour in zip(curves.values(), LIGHT.colours, strict=False):
        axes.plot(rows[:, 0], rows[:, column], color=colour, linewidth=1.8)
    axes.axhline(curves["kfkd"][:, column].min(), color=LIGHT.colours[0], linestyle=":", linewidth=1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    plain(axes)


def train_kfkd(data: datasets.Dataset, budget: float) -> Curve:
    """Trains the tutorial's base net for `budget` seconds, written in Keras with Adam: on complete rows, half of each batch mirrored."""
    import keras

    curve, frame = Curve("kfkd", data), Frame(SIDE)
    chosen = data.complete & ~data.validation
    images, targets = data.images[chosen].astype(np.float32)[..., None] / 255, frame.to_unit(data.keypoints[chosen])
    rng = np.random.default_rng(0)

    class Mirroring(keras.utils.PyDataset):
        def __len__(self) -> int:
            return -(-len(images) // BATCH)

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            rows = self.order[BATCH * index : BATCH * (index + 1)]
            x, y = images[rows], targets[rows]
            half = rng.choice(len(rows), len(rows) // 2, replace=False)
            x[half], y[half] = x[half, :, ::-1], y[half][:, KAGGLE.mirror_order] * np.array([-1, 1], np.float32)
            return x, y.reshape(len(y), -1)

        def on_epoch_begin(self) -> None:
            self.order = rng.permutation(len(images))

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            # The tutorial's linear schedule, over the time that is available.
            share = min(1.0, curve.seconds / budget)
            self.model.optimizer.learning_rate = 1e-3 + share * (1e-5 - 1e-3)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            curve.add(lambda images, _: self.predictions(images))
            self.model.stop_training = curve.seconds >= budget

        def predictions(self, images: np.ndarray) -> np.ndarray:
            unit = self.model.predict(images[..., None] / np.float32(255), batch_size=BATCH, verbose=0)
            return frame.to_pixels(unit.reshape(len(unit), -1, 2))

    net = tutorials_net()
    net.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
    batches = Mirroring()
    batches.on_epoch_begin()
    net.fit(batches, epochs=10**6, verbose=0, callbacks=[Watch()])
    return curve


def tutorials_net() -> "keras.Model":
    """The tutorial's base net, with fresh weights."""
    import keras
    from keras import layers

    net = keras.Sequential([keras.Input((SIDE, SIDE, 1))])
    for filters, kernel, dropout in ((32, 3, 0.1), (64, 2, 0.2), (128, 2, 0.3)):
        net.add(layers.Conv2D(filters, kernel, activation="relu"))
        net.add(layers.MaxPooling2D())
        net.add(layers.Dropout(dropout))
    net.add(layers.Flatten())
    net.add(layers.Dense(1000, activation="relu"))
    net.add(layers.Dropout(0.5))
    net.add(layers.Dense(1000, activation="relu"))
    net.add(layers.Dense(2 * len(KAGGLE.names)))
    return net


def train_ours(data: datasets.Dataset, flags: list[str]) -> Curve:
    """Runs the stages Augment and TrainBase; their augmenting, reading, validating and writing are on the clock."""
    from pipeline.nets import forward, monitoring

    curve, end = Curve("ours", data), monitoring.Validation.on_epoch_end

    def end_noted(callback: Any, epoch: int, logs: Any = None) -> None:
        end(callback, epoch, logs)
        predict = functools.partial(forward.predict, callback.model.net, keypointset=KAGGLE, indices=ALL_KEYPOINTS, mirrored=False)
        curve.add(lambda images, source: of_source(predict(images), source))

    monitoring.Validation.on_epoch_end = end_noted
    with chain.task("TrainBase", flags) as task:
        chain.make(task)
    return curve


if __name__ == "__main__":
    main()
