"""The length of a training by the number of pixels that the net sees in it, so that small and large sets take a sensible time."""

GIGA = 10**9
MOST_WARMUP = 0.2  # the learning rate rises during at most this share of the epochs


def epochs(budget: float, pixels: int) -> int:
    """The number of epochs in which a net sees `budget` thousand million pixels, as closely as possible, at least 1.

    pixels: those of all samples of an epoch as the net sees them, without their channels.
    """
    return max(1, round(budget * GIGA / max(1, pixels)))


def sentence(count: int, budget: float) -> str:
    """Why a training has `count` epochs."""
    number = "1 epoch" if count == 1 else f"{count} epochs"
    return f"trains for {number}, which is as close to a budget of {budget:.2g} thousand million pixels as whole epochs can be"
