"""Whether the settings of a net from a file can be those of its weights, so that nothing larger than the file is built. Free of Keras."""

import numpy as np

from pipeline.nets.options import ACTIVATIONS, INITIALISATIONS, KFKD_KERNELS, NETWORKS
from pipeline.nets.structure import Structure

LARGEST_SIDE = 4096  # width and height of images, pixels; that of --Load-side
MOST_LOOKS = 100  # views over which a prediction is averaged


def is_plausible(structure: Structure, side: int, weights: dict[str, np.ndarray]) -> bool:
    """Whether a net with this structure, for images of side x side pixels, has layers of the sizes of these weights.

    Only the layers whose sizes follow from the settings are looked at; `network.load` compares all of them after building the net.
    """
    named = structure.network in NETWORKS and structure.activation in ACTIVATIONS and structure.initialisation in INITIALISATIONS
    if not named or structure.channels not in (1, 3) or not 0 < side <= LARGEST_SIDE or not structure.pixel_std > 0:
        return False
    expected = {"compact": _compact, "kfkd": _kfkd}.get(structure.network)
    shapes = {} if expected is None else expected(structure, side)
    return shapes is not None and all(name in weights and weights[name].shape == shape for name, shape in shapes.items())


def _filters(own: int, structure: Structure) -> int:
    return max(1, round(own * structure.filters)) if np.isfinite(structure.filters) else 0


def _compact(structure: Structure, side: int) -> dict[str, tuple[int, ...]] | None:
    """The shapes of the first two kernels."""
    size, filters = structure.kernel or 3, _filters(16, structure)
    return {"stem/kernel": (5, 5, structure.channels, filters), "down1/kernel": (size, size, filters, _filters(32, structure))}


def _kfkd(structure: Structure, side: int) -> dict[str, tuple[int, ...]] | None:
    """The shapes of the kernels of all convolutions and hidden layers; None if the image is too small for them."""
    shapes, channels = {}, structure.channels
    for number, (own, published) in enumerate(zip((32, 64, 128), KFKD_KERNELS, strict=True), start=1):
        size, filters = structure.kernel or published, _filters(own, structure)
        shapes[f"conv{number}/kernel"] = (size, size, channels, filters)
        side, channels = (side - size + 1) // max(structure.pool, 1), filters
        if side < 1:
            return None
    return {
        **shapes,
        "hidden4/kernel": (side * side * channels, structure.hidden),
        "hidden5/kernel": (structure.hidden, structure.hidden),
    }
