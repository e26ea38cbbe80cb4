"""The nets by name, and their weights as named arrays.

Every net maps images (B, side, side) or, in colour, (B, side, side, 3), 0..255, to unit coordinates (B, S, K, 2): x and y in [-1, 1] of K
keypoints, as each of S annotation sources would place them. A net that does not distinguish the sources has S = 1. Symbolic tensors are
annotated as `Any`, because Keras has no type for them.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pipeline.errors import InputError
from pipeline.nets import pretrained
from pipeline.nets.fused import FusedBatchNormalization
from pipeline.nets.options import INITIALISATIONS, NETWORKS
from pipeline.nets.structure import Structure

# The output layer. Only this layer differs in a specialist: it has outputs for the keypoints of the group.
OUTPUT = "keypoints"

# Keras' initializers by name or configuration, so that each layer creates its own: a shared one would give equal layers equal weights.
_INITIALIZERS: dict[str, Any] = {
    "he": "he_normal",  # He et al. 2015, https://arxiv.org/abs/1502.01852
    "glorot": "glorot_uniform",  # Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html
    # The rule used before these (equation 1 of Glorot and Bengio): uniform within 1 / sqrt(n), which has the variance 1 / (3 n).
    "uniform": {"class_name": "VarianceScaling", "config": {"scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"}},
}


@dataclass(frozen=True)
class _Made:
    """How the layers of a net are made: the options of every kernel that are not up to the net, and the class of its batch norms."""

    kernels: dict[str, Any]
    norm: type[layers.BatchNormalization]


def build(structure: Structure, *, side: int, keypoints: int, sources: int, trains: bool = False) -> keras.Model:
    """Builds a net with freshly initialised weights, even if its own are those of ImageNet.

    side: width and height of its input, pixels. keypoints, sources: the numbers K and S of its outputs; nets that do not distinguish the
    sources have S = 1 whatever `sources` is. trains: whether the net will be trained, see `fused`; otherwise its layers are Keras' own and
    `MeanPosition`. Raises ValueError for an unknown network or initialisation, and InputError if the structure
    does not fit the side.
    """
    if structure.network not in NETWORKS:
        raise ValueError(f"unknown net {structure.network!r}; expected one of {', '.join(NETWORKS)}")
    colour = (structure.channels,) if structure.channels > 1 else ()
    image = keras.Input((side, side, *colour), name="image")
    x = image if colour else layers.Reshape((side, side, 1), name="channel")(image)
    x = layers.Rescaling(1 / structure.pixel_std, -structure.pixel_mean / structure.pixel_std, name="normalise")(x)
    made = _Made(_kernels(structure), FusedBatchNormalization if trains else layers.BatchNormalization)
    outputs = _NETS[structure.network](x, keypoints, sources, structure, made)
    return keras.Model(image, outputs, name=structure.network)


def _kernels(structure: Structure) -> dict[str, Any]:
    """The options that apply to every layer's kernel; all others are up to the net."""
    initialisation, l1, l2 = structure.initialisation, structure.l1, structure.l2
    if initialisation not in INITIALISATIONS:
        raise ValueError(f"unknown initialisation {initialisation!r}; expected one of {', '.join(INITIALISATIONS)}")
    penalty = {"kernel_regularizer": keras.regularizers.L1L2(l1, l2)} if l1 or l2 else {}
    return penalty | ({} if initialisation == "net" else {"kernel_initializer": _INITIALIZERS[initialisation]})


def _filters(own: int, structure: Structure) -> int:
    return max(1, round(own * structure.filters))


def _kfkd(x: Any, keypoints: int, sources: int, structure: Structure, made: _Made) -> Any:
    """The net of the kfkd tutorial (net6): three convolutions, two hidden layers, and one linear output for all sources."""
    activated = {"activation": structure.activation, **made.kernels}
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
    x = layers.Dense(2 * keypoints, name=OUTPUT, **made.kernels)(x)
    return layers.Reshape((1, keypoints, 2), name="coordinates")(x)


def _check_room(x: Any, layer: str, size: int) -> None:
    """Without padding, a layer needs maps that are at least as large as its kernel."""
    if (side := x.shape[1]) < size:
        raise InputError(
            f"The kernel or pool is too large for kfkd: {layer} needs an input of at least {size} x {size} pixels but gets {side} x {side}."
        )


def _compact(x: Any, keypoints: int, sources: int, structure: Structure, made: _Made) -> Any:
    """A small encoder-decoder that predicts the expected position of one heat map for each source and keypoint.

    Residual stages reduce the side to a 16th and two upsampling stages with skip connections enlarge it to a quarter; integral regression
    (soft-argmax) follows (Sun et al. 2018, "Integral human pose regression", https://arxiv.org/abs/1711.08229).
    """
    if x.shape[1] % 16:
        raise ValueError(f"the compact net halves the side four times, but {x.shape[1]} is not a multiple of 16")
    size = structure.kernel or 3
    if size % 2 == 0:
        raise InputError(f"The kernel size is {size}, but compact needs an odd one; an even one shifts the feature maps by half a pixel.")
    conv = functools.partial(_conv, activation=structure.activation, made=made)
    x = conv(x, _filters(16, structure), 5, "stem", strides=2)
    skips = []
    for number, own in enumerate([32, 64, 128], start=1):
        filters = _filters(own, structure)
        x = conv(x, filters, size, f"down{number}", strides=2)
        y = conv(x, filters, size, f"block{number}a")
        y = _normed(y, filters, size, f"block{number}b", made)
        x = _activated(layers.Add(name=f"block{number}_add")([x, y]), f"block{number}", structure.activation)
        skips.append(x)
    for number, skip in zip((2, 1), reversed(skips[:-1]), strict=True):
        x = layers.Conv2D(
            skip.shape[-1], 1, use_bias=False, name=f"lateral{number}", **{"kernel_initializer": "he_normal", **made.kernels}
        )(x)
        x = layers.UpSampling2D(2, name=f"up{number}")(x)
        x = layers.Add(name=f"skip{number}")([x, skip])
        x = conv(x, skip.shape[-1], size, f"merge{number}")
    x = layers.Dropout(0.1 * structure.dropout, name="dropout")(x)
    maps = layers.Conv2D(sources * keypoints, 1, name=OUTPUT, **made.kernels)(x)
    x = MeanPosition(dtype="float32", name="coordinates")(maps)
    return layers.Reshape((sources, keypoints, 2), name="by_source")(x)


def _conv(x: Any, filters: int, size: int, name: str, *, activation: str, made: _Made, strides: int = 1) -> Any:
    return _activated(_normed(x, filters, size, name, made, strides=strides), name, activation)


def _normed(x: Any, filters: int, size: int, name: str, made: _Made, *, strides: int = 1) -> Any:
    options = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal", **made.kernels}
    x = layers.Conv2D(filters, size, strides=strides, name=name, **options)(x)
    return made.norm(momentum=0.95, name=f"{name}_norm")(x)


def _activated(x: Any, name: str, activation: str) -> Any:
    return layers.Activation(activation, name=f"{name}_{activation}")(x)


def _pretrained(x: Any, keypoints: int, sources: int, structure: Structure, made: _Made) -> Any:
    """A net of keras.applications with one linear layer in place of its top.

    Like compact it predicts for each annotation source: mixing two conventions in one output would cost accuracy that is not the net's
    fault. The dropout is that of Keras' guide to transfer learning, https://keras.io/guides/transfer_learning/.
    """
    x = pretrained.trunk(structure.network, x, made.kernels)
    x = layers.Dropout(0.2 * structure.dropout, name="dropout")(x)
    x = layers.Dense(2 * sources * keypoints, name=OUTPUT, **made.kernels)(x)
    return layers.Reshape((sources, keypoints, 2), name="coordinates")(x)


_NETS: dict[str, Callable[[Any, int, int, Structure, _Made], Any]] = dict(
    zip(NETWORKS, (_compact, _kfkd, _pretrained, _pretrained), strict=True)
)


class MeanPosition(layers.Layer):
    """Soft-argmax: the expected position under a softmax over each map. (B, H, W, C) becomes (B, C, 2) float32, x and y in [-1, 1]."""

    def call(self, maps: Any) -> Any:
        _, height, width, channels = maps.shape
        weights = ops.softmax(ops.reshape(ops.cast(maps, "float32"), (-1, height * width, channels)), axis=1)
        row, column = np.mgrid[:height, :width].astype("float32")
        positions = np.stack([(2 * column.ravel() + 1) / width - 1, (2 * row.ravel() + 1) / height - 1])
        return ops.transpose(ops.matmul(ops.convert_to_tensor(positions), weights), (0, 2, 1))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], input_shape[3], 2)


def heat_maps(net: keras.Model) -> Any:
    """The heat maps of a compact net, before the softmax over each: symbolic, (B, H, W, S * K). Raises ValueError for another net."""
    if not any(isinstance(layer, MeanPosition) for layer in net.layers):
        raise ValueError(f"{net.name} has no heat maps")
    return net.get_layer(OUTPUT).output


def activation(net: keras.Model, layer: layers.Layer) -> layers.Layer:
    """The layer that outputs the activation of `layer`: a batch norm and activation directly behind it, or the layer itself."""
    for kind in (layers.BatchNormalization, layers.Activation):
        layer = next((follower for follower in net.layers if isinstance(follower, kind) and follower.input is layer.output), layer)
    return layer


def weights(model: keras.Model) -> dict[str, np.ndarray]:
    """The model's weights, trained ones and moving statistics, by `variable.path`."""
    return {variable.path: np.asarray(variable) for variable in model.weights}


def shapes(model: keras.Model) -> dict[str, np.ndarray]:
    """The output shape for one image of each layer with weights, int32: height, width, channels, or the number of values."""
    return {layer.name: np.array(layer.output.shape[1:], np.int32) for layer in model.layers if layer.weights}


def load(model: keras.Model, values: dict[str, np.ndarray]) -> None:
    """Sets every weight of the model. Raises ValueError for any missing, unknown or differently shaped array."""
    _assign(model, values, new_layers=())


def transfer(model: keras.Model, values: dict[str, np.ndarray], *, outputs: list[int] | None) -> tuple[list[str], list[str]]:
    """Sets the weights to those of a net with other keypoints. Returns (paths of the weights carried over, paths of the new ones).

    outputs: the indices of the model's keypoints among those of the other net, in the model's order. None leaves the output layer as it was
    initialised. Any other difference between the model and `values` raises a ValueError that names it.
    """
    if outputs is None:
        return _assign(model, values, new_layers=(OUTPUT,))
    sources, keypoints = model.output_shape[1:3]
    chosen = {}
    for variable in model.weights:
        if variable.path.split("/")[0] == OUTPUT and variable.path in values:
            # The last axis runs over the sources, the keypoints of each, and the values of a keypoint (x and y, or one heat map).
            value, each = values[variable.path], variable.shape[-1] // (sources * keypoints)
            parts = value.reshape(*value.shape[:-1], sources, -1, each)
            chosen[variable.path] = parts[..., outputs, :].reshape(*value.shape[:-1], -1)
    return _assign(model, values | chosen, new_layers=())


def continue_from(
    model: keras.Model, values: dict[str, np.ndarray], *, count: int, keypoints: list[int | None], sources: list[int]
) -> tuple[list[str], list[str]]:
    """Sets the weights to those of a net with other keypoints and annotation sources; returns the same as `transfer`.

    count: the number of keypoints of the other net. keypoints: for each of the model's keypoints its index among them; the output of one
    that is None stays as it was initialised. sources: for each of the model's sources, the index of that of the other net. Any other
    difference between the model and `values` raises a ValueError that names it.
    """
    known = [place for place, keypoint in enumerate(keypoints) if keypoint is not None]
    chosen = {}
    for variable in model.weights:
        if variable.path.split("/")[0] == OUTPUT and variable.path in values:
            value, shape = values[variable.path], (*variable.shape[:-1], len(sources), len(keypoints), -1)
            own = np.array(variable).reshape(shape)
            other = value.reshape(*value.shape[:-1], -1, count, own.shape[-1])
            for source, taken in enumerate(sources):
                own[..., source, known, :] = other[..., taken, [keypoint for keypoint in keypoints if keypoint is not None], :]
            chosen[variable.path] = own.reshape(variable.shape)
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
            raise ValueError(
                f"weight {path} of {model.name} has shape {tuple(variable.shape)}, but the given array has shape {given[path].shape}"
            )
    for path, variable in wanted.items():
        variable.assign(given[path])
    return list(wanted), [variable.path for variable in model.weights if is_new(variable.path)]
