"""The length of a training by the number of pixels that the net sees in it, so that small and large sets take a sensible time."""

GIGA = 10**9
MOST_WARMUP = 0.2  # the learning rate rises during at most this share of the epochs


# A net sees each label at most so often: after a hundred windows around each landmark of 100 X-rays, three times as many gained 2 points of
# the landmarks within 2 mm, and small sets would otherwise train as long as large ones for nothing.
MOST_PASSES = 400


def epochs(budget: float, pixels: int, *, samples: int, different: int) -> int:
    """The number of epochs in which a net sees `budget` thousand million pixels or each sample MOST_PASSES times, whichever is less.

    pixels: those of all samples of an epoch as the net sees them, without their channels. samples: how many there are in an epoch.
    different: how many samples, or labels of a net that sees one label at a time, there are to draw them from. At least 1 is returned.
    """
    return max(1, round(min(budget * GIGA / max(1, pixels), MOST_PASSES * different / max(1, samples))))


def sentence(count: int, budget: float) -> str:
    """Why a training has `count` epochs."""
    number = "1 epoch" if count == 1 else f"{count} epochs"
    passes = f"{MOST_PASSES} passes through the labels"
    return f"trains for {number}: for {budget:.2g} thousand million pixels or {passes}, whichever is less"
