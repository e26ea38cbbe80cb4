"""The training loss, as functions of backend tensors (`Any`, because Keras has no type for them)."""

from typing import Any

from keras import ops


def masked_mean(values: Any, known: Any) -> Any:
    """The mean of the values where `known` is 1 (elsewhere it is 0), both (B, K, 2) float32; 0 if no value is known.

    Raises ValueError if the shapes differ, because broadcasting would give a wrong mean.
    """
    if len(values.shape) != len(known.shape) or any(a != b for a, b in zip(values.shape, known.shape, strict=True) if None not in (a, b)):
        raise ValueError(f"values {tuple(values.shape)} and known {tuple(known.shape)} differ in shape")
    return ops.sum(known * values) / ops.maximum(ops.sum(known), 1.0)


def robust_square(difference: Any, *, robust_from: float) -> Any:
    """The loss of each difference, a float32 tensor in pixels; the result has the same shape and is in square pixels.

    It is close to the square for differences well below `robust_from` and grows linearly well above it; with `robust_from` 0 it is the
    plain square. This is the pseudo-Huber loss 2 d^2 (sqrt(1 + (x / d)^2) - 1) with d = robust_from (Charbonnier et al. 1997,
    https://doi.org/10.1109/83.551699). A grossly wrong label then pulls on the weights only as strongly as one that is off by about
    `robust_from`, whereas its square would outweigh a thousand good labels.
    """
    if not robust_from:
        return ops.square(difference)
    # Equal to the formula above, but without the subtraction of nearly equal numbers.
    return 2 * ops.square(difference) / (ops.sqrt(1 + ops.square(difference / robust_from)) + 1)


def heat_map_entropy(maps: Any, labels: Any, known: Any, *, spread: float) -> Any:
    """The cross-entropy between heat maps and normal densities around the labels: (B, K) float32, 0 where not labelled.

    maps: (B, H, W, K) float32, before the softmax over each map. labels: (B, K, 2) float32, x then y in pixels of the maps, of which the
    first extends from 0 to 1. known: (B, K), 1 where labelled, otherwise 0. spread: standard deviation of the densities, pixels of the
    maps.

    It tells a heat map to have one peak of this width, where the expected position only tells it to be balanced around the label (Nibali et
    al. 2018, "Numerical coordinate regression with convolutional neural networks", https://arxiv.org/abs/1801.07372, who use the
    Jensen-Shannon divergence for the same purpose).
    """
    _, height, width, count = maps.shape
    across = ops.square(ops.arange(width, dtype="float32") + 0.5 - labels[..., 0, None]) / (-2 * spread**2)  # (B, K, W)
    down = ops.square(ops.arange(height, dtype="float32") + 0.5 - labels[..., 1, None]) / (-2 * spread**2)
    density = ops.softmax(ops.reshape(down[..., :, None] + across[..., None, :], (-1, count, height * width)))
    logarithm = ops.log_softmax(ops.transpose(ops.reshape(maps, (-1, height * width, count)), (0, 2, 1)))
    return -known * ops.sum(density * logarithm, axis=-1)
