"""The training loss."""

from keras import ops


def masked_mean(values, known):
    """Mean over the known values: values (B, K, 2), known (B, K, 2) 1 or 0; 0 where nothing is known."""
    return ops.sum(known * values) / ops.maximum(ops.sum(known), 1.0)


def robust_square(difference, *, robust_from: float):
    """Square of differences well below `robust_from`, proportional to those well above it; 0 is the plain square. Pixels to square pixels.

    The pseudo-Huber loss 2 d^2 (sqrt(1 + (x / d)^2) - 1) (Charbonnier et al. 1997, https://doi.org/10.1109/83.551699): a label that is
    grossly wrong pulls at the weights as one that is `robust_from` off would, where the square lets it outshout a thousand good ones.
    """
    if not robust_from:
        return ops.square(difference)
    # The same as the formula above, without its difference of nearly equal numbers.
    return 2 * ops.square(difference) / (ops.sqrt(1 + ops.square(difference / robust_from)) + 1)
