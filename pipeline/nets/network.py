"""The nets by name, and their weights as named arrays.

Every net maps grey images (B, side, side), 0..255, to unit coordinates (B, S, K, 2): x and y in [-1, 1] of K keypoints, as each of S label
sources would place them. A net that does not tell the sources apart has S = 1.
"""

import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import layers, ops

from pipeline.errors import InputError
from pipeline.nets import pretrained
from pipeline.nets.options import INITIALISATIONS, NETWORKS
from pipeline.nets.structure import Structure

# The layer that differs in a specialist: it has as many outputs as the group has keypoints.
OUTPUT = "keypoints"

# Names of Keras' initializers, or how to make one: each layer makes its own, because one that is shared gives equal layers equal weights.
_INITIALIZERS = {
    "he": "he_normal",  # He et al. 2015, https://arxiv.org/abs/1502.01852
    "glorot": "glorot_uniform",  # Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html
    # The rule before these, the latter's equation 1: uniform within 1 / sqrt(n), of variance 1 / (3 n).
    "uniform": {"class_name": "VarianceScaling", "config": {"scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"}},
}


def build(structure: Structure, *, side: int, keypoints: int, sources: int) -> keras.Model:
    """Builds a net with fresh weights, also one whose own are ImageNet's.

    ValueError for a name that is not in NETWORKS, or an unknown initialisation; InputError where the structure does not fit the side.
    """
    if structure.network not in NETWORKS:
        raise ValueError(f"unknown net {structure.network!r}; there are {', '.join(NETWORKS)}")
    image = keras.Input((side, side), name="image")
    x = layers.Reshape((side, side, 1), name="channel")(image)
    x = layers.Rescaling(1 / structure.pixel_std, -structure.pixel_mean / structure.pixel_std, name="normalise")(x)
    outputs = _NETS[structure.network](x, keypoints, sources, structure, _kernels(structure))
    return keras.Model(image, outputs, name=structure.network)


def _kernels(structure: Structure) -> dict:
    """What is said of every layer's kernel; what isn't is the net's own affair."""
    initialisation, l1, l2 = structure.initialisation, structure.l1, structure.l2
    if initialisation not in INITIALISATIONS:
        raise ValueError(f"unknown initialisation {initialisation!r}; there are {', '.join(INITIALISATIONS)}")
    penalty = {"kernel_regularizer": keras.regularizers.L1L2(l1, l2)} if l1 or l2 else {}
    return penalty | ({} if initialisation == "net" else {"kernel_initializer": _INITIALIZERS[initialisation]})


def _filters(own: int, structure: Structure) -> int:
    return max(1, round(own * structure.filters))


def _kfkd(x, keypoints: int, sources: int, structure: Structure, kernels: dict):
    """The net of the kfkd tutorial (net6): three convolutions, two hidden layers of 1,000, one linear output for all sources."""
    activated = {"activation": structure.activation, **kernels}
    for number, (filters, size, rate) in enumerate([(32, 3, 0.1), (64, 2, 0.2), (128, 2, 0.3)], start=1):
        size = structure.kernel or size
        _check_room(x, f"conv{number}", size)
        x = layers.Conv2D(_filters(filters, structure), size, name=f"conv{number}", **activated)(x)
        _check_room(x, f"pool{number}", structure.pool)
        x = layers.MaxPooling2D(structure.pool, name=f"pool{number}")(x)
        x = layers.Dropout(rate * structure.dropout, name=f"dropout{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(structure.hidden, name="hidden4", **activated)(x)
    x = layers.Dropout(0.5 * structure.dropout, name="dropout4")(x)
    x = layers.Dense(structure.hidden, name="hidden5", **activated)(x)
    x = layers.Dense(2 * keypoints, name=OUTPUT, **kernels)(x)
    return layers.Reshape((1, keypoints, 2), name="coordinates")(x)


def _check_room(x, layer: str, size: int) -> None:
    """Without padding a layer needs maps of its own size at least."""
    if (side := x.shape[1]) < size:
        raise InputError(
            f"kernel or pool are too large for kfkd: {layer} takes {size} x {size} pixels, and {side} x {side} are left of the image."
        )


def _compact(x, keypoints: int, sources: int, structure: Structure, kernels: dict):
    """A small encoder-decoder whose output is the mean position of one heat map for each source and keypoint.

    Residual stages down to a 16th of the side, two steps up again with skip connections, then integral regression
    (Sun et al. 2018, "Integral human pose regression", https://arxiv.org/abs/1711.08229).
    """
    if x.shape[1] % 16:
        raise ValueError(f"the compact net halves the side four times; {x.shape[1]} is not a multiple of 16")
    size = structure.kernel or 3
    if size % 2 == 0:
        raise InputError(f"kernel {size}: compact takes odd ones alone, for an even one moves the maps by half a pixel.")
    conv = functools.partial(_conv, activation=structure.activation, kernels=kernels)
    x = conv(x, _filters(16, structure), 5, "stem", strides=2)
    skips = []
    for number, own in enumerate([32, 64, 128], start=1):
        filters = _filters(own, structure)
        x = conv(x, filters, size, f"down{number}", strides=2)
        y = conv(x, filters, size, f"block{number}a")
        y = _normed(y, filters, size, f"block{number}b", kernels)
        x = _activated(layers.Add(name=f"block{number}_add")([x, y]), f"block{number}", structure.activation)
        skips.append(x)
    for number, skip in zip((2, 1), reversed(skips[:-1]), strict=True):
        x = layers.Conv2D(skip.shape[-1], 1, use_bias=False, name=f"lateral{number}", **{"kernel_initializer": "he_normal", **kernels})(x)
        x = layers.UpSampling2D(2, name=f"up{number}")(x)
        x = layers.Add(name=f"skip{number}")([x, skip])
        x = conv(x, skip.shape[-1], size, f"merge{number}")
    x = layers.Dropout(0.1 * structure.dropout, name="dropout")(x)
    maps = layers.Conv2D(sources * keypoints, 1, name=OUTPUT, **kernels)(x)
    x = MeanPosition(dtype="float32", name="coordinates")(maps)
    return layers.Reshape((sources, keypoints, 2), name="by_source")(x)


def _conv(x, filters: int, size: int, name: str, *, activation: str, kernels: dict, strides: int = 1):
    return _activated(_normed(x, filters, size, name, kernels, strides=strides), name, activation)


def _normed(x, filters: int, size: int, name: str, kernels: dict, *, strides: int = 1):
    options = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal", **kernels}
    x = layers.Conv2D(filters, size, strides=strides, name=name, **options)(x)
    return layers.BatchNormalization(momentum=0.95, name=f"{name}_norm")(x)


def _activated(x, name: str, activation: str):
    return layers.Activation(activation, name=f"{name}_{activation}")(x)


def _pretrained(x, keypoints: int, sources: int, structure: Structure, kernels: dict):
    """A net for photographs with one linear layer instead of its top.

    It answers for each source, as compact does: two conventions of labels in one answer would cost it what is not the net's fault.
    The dropout is that of Keras' guide to transfer learning, https://keras.io/guides/transfer_learning/.
    """
    x = pretrained.trunk(structure.network, x, kernels)
    x = layers.Dropout(0.2 * structure.dropout, name="dropout")(x)
    x = layers.Dense(2 * sources * keypoints, name=OUTPUT, **kernels)(x)
    return layers.Reshape((sources, keypoints, 2), name="coordinates")(x)


_NETS: dict[str, Callable] = dict(zip(NETWORKS, (_compact, _kfkd, _pretrained, _pretrained), strict=True))


class MeanPosition(layers.Layer):
    """Softmax over the positions of each map (B, H, W, C), then the mean position: (B, C, 2), x and y in [-1, 1], float32."""

    def call(self, maps):
        _, height, width, channels = maps.shape
        weights = ops.softmax(ops.reshape(ops.cast(maps, "float32"), (-1, height * width, channels)), axis=1)
        row, column = np.mgrid[:height, :width].astype("float32")
        positions = np.stack([(2 * column.ravel() + 1) / width - 1, (2 * row.ravel() + 1) / height - 1])
        return ops.transpose(ops.matmul(ops.convert_to_tensor(positions), weights), (0, 2, 1))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[3], 2)


def activation(net: keras.Model, layer: layers.Layer) -> layers.Layer:
    """The layer whose output is the activation of one with a kernel: the norm and activation that follow at once, or the layer itself."""
    for kind in (layers.BatchNormalization, layers.Activation):
        layer = next((follower for follower in net.layers if isinstance(follower, kind) and follower.input is layer.output), layer)
    return layer


def weights(model: keras.Model) -> dict[str, np.ndarray]:
    """The model's weights (trained and moving statistics) by `variable.path`."""
    return {variable.path: np.asarray(variable) for variable in model.weights}


def shapes(model: keras.Model) -> dict[str, np.ndarray]:
    """Output shape of each layer that has weights, of one image: height, width, channels, or the number of values."""
    return {layer.name: np.array(layer.output.shape[1:], np.int32) for layer in model.layers if layer.weights}


def load(model: keras.Model, values: dict[str, np.ndarray]) -> None:
    """Sets every weight of the model; any missing, unknown or differently shaped array is a ValueError."""
    _assign(model, values, new_layers=())


def transfer(model: keras.Model, values: dict[str, np.ndarray], *, outputs: list[int] | None) -> tuple[list[str], list[str]]:
    """Sets every weight from those of a net with other keypoints. Returns the paths that were (carried over, left new).

    outputs: which of that net's keypoints the model has, in order; None leaves its output layer as initialised.
    Any other difference between the model and `values` is a ValueError that names it.
    """
    if outputs is None:
        return _assign(model, values, new_layers=(OUTPUT,))
    sources, keypoints = model.output_shape[1:3]
    chosen = {}
    for variable in model.weights:
        if variable.path.split("/")[0] == OUTPUT and variable.path in values:
            # The last axis runs over the sources, their keypoints, and what a keypoint has of it.
            value, each = values[variable.path], variable.shape[-1] // (sources * keypoints)
            parts = value.reshape(*value.shape[:-1], sources, -1, each)
            chosen[variable.path] = parts[..., outputs, :].reshape(*value.shape[:-1], -1)
    return _assign(model, values | chosen, new_layers=())


def _assign(model: keras.Model, values: dict[str, np.ndarray], *, new_layers: tuple[str, ...]) -> tuple[list[str], list[str]]:
    def is_new(path: str) -> bool:
        return path.split("/")[0] in new_layers

    wanted = {variable.path: variable for variable in model.weights if not is_new(variable.path)}
    given = {path: value for path, value in values.items() if not is_new(path)}
    if set(wanted) != set(given):
        raise ValueError(f"weights of {model.name} do not match: missing {set(wanted) - set(given)}, unknown {set(given) - set(wanted)}")
    for path, variable in wanted.items():
        if tuple(variable.shape) != given[path].shape:
            raise ValueError(f"weight {path} of {model.name} has shape {tuple(variable.shape)}, the given array {given[path].shape}")
    for path, variable in wanted.items():
        variable.assign(given[path])
    return list(wanted), [variable.path for variable in model.weights if is_new(variable.path)]
