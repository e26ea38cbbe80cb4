"""Compares a training step on the CPU with the convolutions in it, and with a step that does not measure the health of the layers.

    python bench/training_step.py [--rounds 15] [--batch 16]

For the base net and for one specialist, on noise instead of faces; needs TensorFlow, whose convolution kernels are the reference. Goals: a
step takes at most 1.4 times as long as its convolutions, and measuring the health of the layers adds at most 3 % to it.
"""

import argparse
import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from unittest import mock

import defaults
import numpy as np
from timing import goal, medians

import pipeline
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.nets import device

if TYPE_CHECKING:
    import keras

SPECIALIST = "mouth"
HEALTH_ROUNDS = 100  # steps with and without measuring health


def main() -> None:
    """Prints the comparison for the base net and for a specialist."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="number of rounds whose median is reported (default: %(default)s)")
    parser.add_argument("--batch", type=int, help="faces per step (default: those of the stage)")
    options = parser.parse_args()
    print(device.prepare(seed=0, threads=pipeline.device().threads))
    window = defaults.window(defaults.dataset(None, 60), SPECIALIST)
    compare("base net", pipeline.TrainBase, SIDE, len(KAGGLE.names), options)
    compare(f"specialist {SPECIALIST}", pipeline.TrainSpecialist, window.side, len(KAGGLE.indices(SPECIALIST)), options)


def compare(title: str, stage: type, side: int, keypoints: int, options: argparse.Namespace) -> None:
    """Prints the times of the training step of a stage's default net, for images of side x side pixels, and of its parts."""
    from pipeline.nets import network

    batch = options.batch or defaults.values(stage)["batch"]
    net = network.build(defaults.structure(128.0, 64.0), side=side, keypoints=keypoints, sources=len(KAGGLE.sources), trains=True)
    products = {**dict(convolutions(net, batch)), "batch norms": batch_norms(net, batch)}
    step = training_step(net, stage, side, batch)
    with mock.patch("pipeline.nets.optimizers.measuring", lambda optimizer: optimizer):
        without_health = training_step(net, stage, side, batch)
    for run in (step, without_health, *products.values()):
        run()
    seconds = medians({"step": step, **products}, options.rounds)
    whole, norms, sums = seconds.pop("step"), seconds.pop("batch norms"), defaultdict[str, float](float)
    for product, value in seconds.items():
        sums[product.split(", ")[1]] += value
    all_products = sum(sums.values())
    size = f"{side} x {side} pixels, {net.count_params():,} weights, batch {batch}"
    print(f"\n{title}: {net.name}, {size}; medians of {options.rounds} rounds")
    for kind, value in (*sums.items(), ("all convolutions", all_products), ("batch norms", norms), ("training step", whole)):
        print(f"  {kind:<34}{1000 * value:9.1f} ms")
    goal("step / its convolutions", whole / all_products, at_most=1.4)
    # A difference of one per cent shows only in many steps that take turns.
    measured, unmeasured = medians({"step": step, "without health": without_health}, HEALTH_ROUNDS).values()
    print(f"  {'measuring health, per step':<34}{1000 * (measured - unmeasured):9.1f} ms, medians of {HEALTH_ROUNDS} rounds")
    goal("step / step without measuring health", measured / unmeasured, at_most=1.03)


def training_step(net: "keras.Model", stage: type, side: int, batch: int) -> Callable[[], object]:
    """A call that trains the net for one step by the stage's default recipe, on noise that is already on the device."""
    from pipeline.nets import training
    from pipeline.nets.samples import Samples

    rng, recipe, n = np.random.default_rng(0), defaults.of(training.Recipe, stage), 4 * batch
    trainer = training._compiled(net, recipe, capacity=n, steps=80)
    images, keypoints = rng.integers(0, 256, (n, side, side), np.uint8), rng.uniform(0, side, (n, net.output_shape[2], 2))
    trainer.place(Samples(images, keypoints.astype(np.float32), np.arange(n, dtype=np.int8) % 2, np.ones(n, np.float32)))
    order = itertools.cycle(np.split(rng.permutation(n).astype(np.int32), n // batch))
    return lambda: trainer.train_on_batch(next(order))


def convolutions(net: "keras.Model", batch: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yields ("LAYER, PRODUCT", a call of TensorFlow's kernel) for every product of a convolution in a training step of the net."""
    import keras
    import tensorflow as tf

    rng = np.random.default_rng(0)
    found = [layer for layer in net.layers if isinstance(layer, keras.layers.Conv2D)]
    for number, layer in enumerate(found):
        image, kernel, maps = (batch, *layer.input.shape[1:]), tuple(layer.kernel.shape), (batch, *layer.output.shape[1:])
        x, w, dy = (tf.constant(rng.standard_normal(shape), tf.float32) for shape in (image, kernel, maps))
        how = {"strides": [1, *layer.strides, 1], "padding": layer.padding.upper()}
        yield f"{layer.name}, forward", functools.partial(tf.raw_ops.Conv2D, input=x, filter=w, **how)
        if number:  # training does not need the gradient with respect to the image
            back = functools.partial(tf.raw_ops.Conv2DBackpropInput, input_sizes=image, filter=w, out_backprop=dy, **how)
            yield f"{layer.name}, gradient of the input", back
        back = functools.partial(tf.raw_ops.Conv2DBackpropFilter, input=x, filter_sizes=kernel, out_backprop=dy, **how)
        yield f"{layer.name}, gradient of the kernel", back


def batch_norms(net: "keras.Model", batch: int) -> Callable[[], object]:
    """A call that computes all batch norms of a training step of the net and their gradients, on noise."""
    import keras
    import tensorflow as tf

    rng = np.random.default_rng(0)
    layers = [layer for layer in net.layers if isinstance(layer, keras.layers.BatchNormalization)]
    shapes = [(batch, *layer.output.shape[1:]) for layer in layers]
    given = [[tf.constant(rng.standard_normal(shape), tf.float32) for _ in range(2)] for shape in shapes]  # maps and gradients

    def run() -> list[object]:
        found = []
        for layer, (maps, gradients) in zip(layers, given, strict=True):
            with tf.GradientTape() as tape:
                tape.watch(maps)
                normed = layer(maps, training=True)
            found += tape.gradient(normed, [maps, *layer.trainable_variables], gradients)
        return found

    return tf.function(run)


if __name__ == "__main__":
    main()
