"""Training on the CPU: the step beside its bare convolutions, what an epoch costs beside its steps, the tutorial's recipe beside ours.

    python bench/training.py step [--rounds 15] [--batch 16]               # TensorFlow
    python bench/training.py epoch [FOLDER] [--epochs 4] [--drawn 1000]    # the stages themselves, in a workspace that is then removed
    python bench/training.py kfkd [FOLDER] [--minutes 60] [--out CURVES.csv] [-- LUIGI FLAGS, such as --TrainBase-epochs 30]

FOLDER with Kaggle's files; without it: drawn faces. Goals: a step takes at most 1.4 times its convolutions, 3 % of it to measure the
layers' health; what is no step takes under 5 % of an epoch; the tutorial's best score is reached in at most 1/20 of its time: of its
whole run, over which its learning rate falls, and of what it took to its best epoch, which nobody knows before the run is over.
"""

import argparse
import functools
import itertools
import tempfile
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import chain
import defaults
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from turns import goal, medians

import pipeline
from pipeline.data import dataset as datasets
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.metrics.rmse import rmse
from pipeline.nets import device
from pipeline.nets.sources import of_source
from pipeline.results.style import LIGHT, End, label_ends, plain, save_png

SPECIALIST = "mouth"
PAIRS = 100  # steps with and without health


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["step", "epoch", "kfkd"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=15, help="step: the medians are of so many rounds")
    parser.add_argument("--batch", type=int, help="step: faces in it; without it as many as the stage takes")
    parser.add_argument("--epochs", type=int, default=4, help="epoch: of each training; the first is not counted")
    parser.add_argument("--drawn", type=int, default=1000, help="epoch, kfkd without FOLDER: faces to draw")
    parser.add_argument("--minutes", type=float, default=60, help="kfkd: how long the tutorial's recipe trains")
    parser.add_argument("--out", type=Path, help="kfkd: file for both curves; their picture goes beside it, as .png")
    options, flags = chain.arguments(parser)
    print(device.prepare(seed=0, threads=pipeline.device().threads))
    {"step": step, "epoch": epoch, "kfkd": kfkd}[options.part](options, flags)


# The step beside its convolutions


def step(options, flags) -> None:
    window = defaults.window(defaults.faces(None, 60), SPECIALIST)
    for title, stage, side, indices in (
        ("base net", pipeline.TrainBase, KAGGLE.side, list(range(len(KAGGLE.names)))),
        (f"specialist {SPECIALIST}", pipeline.TrainSpecialist, window.side, KAGGLE.indices(SPECIALIST)),
    ):
        _step_of_net(title, stage, side, indices, options.batch or defaults.values(stage)["batch"], options.rounds)


def _step_of_net(title: str, stage: type, side: int, indices: list[int], batch: int, rounds: int) -> None:
    from pipeline.nets import network

    net = network.build(defaults.structure(128.0, 64.0), side=side, keypoints=len(indices), sources=len(KAGGLE.sources))
    products = dict(convolutions(net, batch))
    train = training_step(net, stage, side, len(indices), batch)
    with mock.patch("pipeline.nets.schedules.watched", lambda optimizer: optimizer):
        bare = training_step(net, stage, side, len(indices), batch)
        bare()
    for run in (train, *products.values()):
        run()
    seconds = medians({"step": train, **products}, rounds)
    whole, sums = seconds.pop("step"), Counter()
    for product, value in seconds.items():
        sums[product.split(", ")[1]] += value
    print(f"\n{title}: {net.name}, {side} x {side} pixels, batch {batch}, {net.count_params():,} weights; medians of {rounds} rounds")
    for kind, value in sums.items():
        print(f"  {kind:<34}{1000 * value:9.1f} ms")
    print(f"  {'all convolutions':<34}{1000 * sums.total():9.1f} ms\n  {'the training step':<34}{1000 * whole:9.1f} ms")
    goal("step / its convolutions", whole / sums.total(), at_most=1.4)
    # A difference of a hundredth is only seen in many steps, side by side.
    with_health, without = medians({"step": train, "bare": bare}, PAIRS).values()
    print(f"  {'measuring health, in a step':<34}{1000 * (with_health - without):9.1f} ms, medians of {PAIRS} rounds")
    goal("step / step without measuring health", with_health / without, at_most=1.03)


def training_step(net, stage: type, side: int, keypoints: int, batch: int):
    """One step of the stage's default recipe on faces of noise that lie on the device."""
    from dataclasses import replace

    from pipeline.nets import training
    from pipeline.nets.samples import Samples

    rng, recipe, n = np.random.default_rng(0), defaults.of(training.Recipe, stage), 4 * batch
    trainer = training.FacesOnDevice(net, n, replace(KAGGLE, side=side), robust_from=recipe.robust_from)
    trainer.compile(optimizer=training._optimizer(recipe, 80))
    images, points = rng.integers(0, 256, (n, side, side), np.uint8), rng.uniform(0, side, (n, keypoints, 2)).astype(np.float32)
    trainer.place(Samples(images, points, np.arange(n, dtype=np.int8) % 2, np.ones(n, np.float32)))
    order = itertools.cycle(np.split(rng.permutation(n).astype(np.int32), n // batch))
    return lambda: trainer.train_on_batch(next(order))


def convolutions(net, batch: int):
    """Yields (layer, product) -> a call of TensorFlow's own kernel, for each convolution's product of a training step of the net."""
    import keras
    import tensorflow as tf

    rng = np.random.default_rng(0)
    found = [layer for layer in net.layers if isinstance(layer, keras.layers.Conv2D)]
    for number, layer in enumerate(found):
        image, kernel, maps = (batch, *layer.input.shape[1:]), tuple(layer.kernel.shape), (batch, *layer.output.shape[1:])
        x, w, dy = (tf.constant(rng.standard_normal(shape), tf.float32) for shape in (image, kernel, maps))
        how = {"strides": [1, *layer.strides, 1], "padding": layer.padding.upper()}
        yield f"{layer.name}, forward", functools.partial(tf.raw_ops.Conv2D, input=x, filter=w, **how)
        if number:  # nobody asks for the gradient of the image
            back = functools.partial(tf.raw_ops.Conv2DBackpropInput, input_sizes=image, filter=w, out_backprop=dy, **how)
            yield f"{layer.name}, gradient of the input", back
        back = functools.partial(tf.raw_ops.Conv2DBackpropFilter, input=x, filter_sizes=kernel, out_backprop=dy, **how)
        yield f"{layer.name}, gradient of the kernel", back


# An epoch beside its steps


class Stopwatch:
    """Seconds spent in functions, by label; `marks` holds the state whenever an epoch began."""

    def __init__(self):
        self.spent, self.marks = Counter(), []

    def mark(self) -> None:
        self.marks.append((time.perf_counter(), Counter(self.spent)))

    def timed(self, function, label: str):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent[label] += time.perf_counter() - start

        wrapped.timed = True
        return wrapped

    def watch(self) -> None:
        """Times what an epoch consists of, wherever `training.fit` calls it from now on."""
        from pipeline.nets import checkpoints, checkup, monitoring, training

        for owner, name, label in (
            (training.PlaceFaces, "brought", "waiting for the next copy"),
            (training.FacesOnDevice, "place", "placing on the device"),
            (monitoring.Validation, "on_epoch_end", "validation"),
            (checkup.Checkup, "on_epoch_end", "health"),
            (checkpoints.Keeper, "on_epoch_end", "checkpoints"),
        ):
            setattr(owner, name, self.timed(getattr(owner, name), label))
        make, begin, fit = training.FacesOnDevice.make_train_function, training.PlaceFaces.on_epoch_begin, training.FacesOnDevice.fit

        def make_timed(model, force=False):
            make(model, force)
            if not hasattr(model.train_function, "timed"):
                model.train_function = self.timed(model.train_function, "training steps")

        def begin_marked(callback, epoch, logs=None):
            self.mark()
            begin(callback, epoch, logs)

        def fit_marked(model, *args, **kwargs):
            self.marks.clear()
            fit(model, *args, **kwargs)
            self.mark()

        training.FacesOnDevice.make_train_function = make_timed
        training.PlaceFaces.on_epoch_begin, training.FacesOnDevice.fit = begin_marked, fit_marked


def epoch(options, flags) -> None:
    stopwatch = Stopwatch()
    stopwatch.watch()
    lengths = ["--TrainBase-epochs", str(options.epochs), "--TrainSpecialist-epochs", str(options.epochs)]
    with tempfile.TemporaryDirectory() as workspace:
        flags = [*data_flags(options), "--workspace-root", workspace, *lengths, *flags]
        for stage, title in ((["TrainBase"], "base net"), (["TrainSpecialist", "--group", SPECIALIST], f"specialist {SPECIALIST}")):
            with chain.task(stage[0], [*stage[1:], *flags]) as task:
                chain.make(task)
            _epoch_table(title, stopwatch.marks)


def _epoch_table(title: str, marks: list[tuple[float, Counter]]) -> None:
    """The first epoch, which compiles, is left out."""
    (start, before), (end, after) = marks[1], marks[-1]
    wall, spent = end - start, after - before
    print(f"\n{title}, {len(marks) - 2} epochs of {wall / (len(marks) - 2):.2f} s")
    spent["everything else"] = wall - spent.total()
    for label, seconds in spent.most_common():
        print(f"  {label:<34}{100 * seconds / wall:7.2f} %")
    goal("per cent of an epoch that is no training step", 100 * (1 - spent["training steps"] / wall), at_most=5)


def data_flags(options) -> list[str]:
    if options.folder:
        return ["--dataset-path", str(options.folder.resolve())]
    return ["--dataset-path", "rendered", "--Render-training", str(options.drawn), "--Render-test", "6"]


# The tutorial's recipe beside ours


class Curve:
    """RMSE on the validation part over the seconds of a training; what it costs to measure is not counted."""

    def __init__(self, title: str, data: datasets.Dataset):
        held_out = data.validation
        self.title, self.rows, self.start = title, [], time.perf_counter()
        self.images, self.source, self.truth = data.images[held_out], data.source[held_out], data.keypoints[held_out]
        self.complete = data.complete[held_out]

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def add(self, predict) -> None:
        """predict: images -> keypoints (n, K, 2) in pixels."""

        now = time.perf_counter()
        predicted = predict(self.images, self.source)
        everything = rmse(predicted, self.truth)
        complete = rmse(predicted[self.complete], self.truth[self.complete])
        self.rows.append((now - self.start, everything, complete))
        print(f"{self.title:<6}{self.rows[-1][0]:9.1f} s   all {everything:7.3f}   complete rows {complete:7.3f} px", flush=True)
        self.start += time.perf_counter() - now

    def first(self, column: int, at_most: float) -> float:
        """Seconds until the RMSE was that low; inf if it never was."""
        return next((row[0] for row in self.rows if row[column] <= at_most), float("inf"))


def kfkd(options, flags) -> None:
    if options.out and not options.out.parent.is_dir():
        raise SystemExit(f"--out {options.out}: there is no folder {options.out.parent}")
    with tempfile.TemporaryDirectory() as workspace:
        flags = [*data_flags(options), "--workspace-root", workspace, *flags]
        with chain.task("Load", flags) as load:
            chain.make(load)
            data = load.output().load(datasets.Dataset)
        # Ours first: the recipe's dataset of a generator makes TensorFlow give all freed memory back at once (M_TRIM_THRESHOLD), and the
        # augmentation after it, in the same process, takes up to four times as long.
        ours, theirs = train_ours(data, flags), train_kfkd(data, options.minutes * 60)
    for column, what in ((1, "all labelled values"), (2, "complete rows, which alone kfkd trains on")):
        end, best = theirs.rows[-1], min(theirs.rows, key=lambda row, column=column: row[column])
        needed = ours.first(column, best[column])
        print(f"\n{what}: kfkd {end[column]:.3f} px after {end[0]:.0f} s, at best {best[column]:.3f} after {best[0]:.0f} s;", end=" ")
        print(f"ours there after {needed:.1f} s, at its end {ours.rows[-1][column]:.3f}")
        goal("times as fast as kfkd's whole run to its best score", end[0] / needed, at_least=20)
        goal("times as fast as kfkd itself was there", best[0] / needed, at_least=20)
    if options.out:
        lines = [f"{curve.title},{','.join(f'{value:.3f}' for value in row)}" for curve in (theirs, ours) for row in curve.rows]
        options.out.write_text("\n".join(["recipe,seconds,rmse_all,rmse_complete_rows", *lines]) + "\n")
        save_png(picture({curve.title: np.array(curve.rows) for curve in (theirs, ours)}), options.out.with_suffix(".png"))


def picture(curves: dict[str, np.ndarray]) -> Figure:
    """curves: rows of seconds, RMSE on all labelled values and on complete rows. Dotted: the tutorial's best."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    panels[0].set(yscale="log", ylabel="RMSE, pixels")
    titles = ("All labelled values", "Complete rows, which alone kfkd trains on")
    for column, (axes, title) in enumerate(zip(panels, titles, strict=True), 1):
        axes.set(title=title, xscale="log", xlabel="seconds of training")
        for rows, colour in zip(curves.values(), LIGHT.colours, strict=False):
            axes.plot(rows[:, 0], rows[:, column], color=colour, linewidth=1.8)
        axes.axhline(curves["kfkd"][:, column].min(), color=LIGHT.colours[0], linestyle=":", linewidth=1)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(NullLocator())
        plain(axes)
    for column, axes in enumerate(panels, 1):
        ends = zip(curves.items(), LIGHT.colours, strict=False)
        label_ends(axes, [End(rows[-1, column], f"{name} {rows[-1, column]:.2f}", colour) for (name, rows), colour in ends])
    return figure


def train_kfkd(data: datasets.Dataset, budget: float) -> Curve:
    """The tutorial's base net as its readers write it in Keras, with Adam: complete rows, half of each batch mirrored."""
    import keras
    from keras import layers

    curve = Curve("kfkd", data)
    chosen = data.complete & ~data.validation
    images = data.images[chosen].astype(np.float32)[..., None] / 255
    targets = ((data.keypoints[chosen] - 48) / 48).reshape(len(images), 30)
    exchange = np.array([2 * k + axis for k in KAGGLE.mirror_order for axis in (0, 1)])
    rng = np.random.default_rng(0)

    class Mirroring(keras.utils.PyDataset):
        def __len__(self):
            return -(-len(images) // 128)

        def __getitem__(self, index):
            rows = self.order[128 * index : 128 * (index + 1)]
            x, y = images[rows], targets[rows]
            half = rng.choice(len(rows), len(rows) // 2, replace=False)
            x[half], y[half] = x[half, :, ::-1], y[half][:, exchange] * np.tile([-1, 1], 15)
            return x, y

        def on_epoch_begin(self):
            self.order = rng.permutation(len(images))

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            # The tutorial's linear ramp, over the time that it gets.
            share = min(1.0, curve.seconds / budget)
            self.model.optimizer.learning_rate = 1e-3 + share * (1e-5 - 1e-3)

        def on_epoch_end(self, epoch, logs=None):
            curve.add(lambda images, _: self.answers(images))
            self.model.stop_training = curve.seconds >= budget

        def answers(self, images):
            return self.model.predict(images[..., None] / np.float32(255), batch_size=128, verbose=0).reshape(-1, 15, 2) * 48 + 48

    net = keras.Sequential(
        [
            keras.Input((96, 96, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.1),
            layers.Conv2D(64, 2, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Conv2D(128, 2, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(1000, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1000, activation="relu"),
            layers.Dense(30),
        ]
    )
    net.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
    batches = Mirroring()
    batches.on_epoch_begin()
    net.fit(batches, epochs=10**6, verbose=0, callbacks=[Watch()])
    return curve


def train_ours(data: datasets.Dataset, flags: list[str]) -> Curve:
    """The stages Augment and TrainBase from the faces on; the clock runs while they augment, read, validate and write."""
    from pipeline.nets import monitoring, views

    curve, end = Curve("ours", data), monitoring.Validation.on_epoch_end
    everything = list(range(len(KAGGLE.names)))

    def end_noted(callback, epoch, logs=None):
        end(callback, epoch, logs)
        net = callback.model.net
        answers = functools.partial(views.predict, net, keypointset=KAGGLE, indices=everything, mirrored=False)
        curve.add(lambda images, source: of_source(answers(images), source))

    monitoring.Validation.on_epoch_end = end_noted
    with chain.task("TrainBase", flags) as task:
        chain.make(task)
    return curve


if __name__ == "__main__":
    main()
