"""The training loss."""

from typing import Any

from keras import ops


def masked_mean(values: Any, known: Any) -> Any:
    """Mean of the known values: tensors `values` and `known` (1 or 0), both (B, K, 2); 0 if none is known.

    Raises ValueError if the shapes differ: they would broadcast to a wrong mean.
    """
    if len(values.shape) != len(known.shape) or any(a != b for a, b in zip(values.shape, known.shape, strict=True) if None not in (a, b)):
        raise ValueError(f"values {tuple(values.shape)} and known {tuple(known.shape)} differ in shape")
    return ops.sum(known * values) / ops.maximum(ops.sum(known), 1.0)


def robust_square(difference: Any, *, robust_from: float) -> Any:
    """The square of differences well below `robust_from`, proportional to those well above; 0: the plain square. Pixels to square pixels.

    The pseudo-Huber loss 2 d^2 (sqrt(1 + (x / d)^2) - 1) (Charbonnier et al. 1997, https://doi.org/10.1109/83.551699). A grossly wrong
    label pulls at the weights only as strongly as one that is off by `robust_from`; with the square it would outweigh a thousand good ones.
    """
    if not robust_from:
        return ops.square(difference)
    # The same as the formula above, without its difference of nearly equal numbers.
    return 2 * ops.square(difference) / (ops.sqrt(1 + ops.square(difference / robust_from)) + 1)
