"""How certain a net with heat maps is of each keypoint: the height of the heat map's peak."""

import keras
import numpy as np

from pipeline.lazyrows import Images, in_blocks
from pipeline.nets import forward, network


def peaks(net: keras.Model, images: Images, sources: int) -> np.ndarray | None:
    """The height of the peak of each heat map, float32 (n, S, k), 0 to 1; None if the net has no heat maps.

    It is the probability, under the softmax over the map, of the best 3 x 3 neighbouring cells, so that a peak between two cells counts as
    much as one in the middle of a cell.

    images: uint8 (n, side, side) or (n, side, side, 3), of the size of the net's input. sources: S, the number of annotation sources.
    """
    try:
        found = network.heat_maps(net)
    except ValueError:
        return None
    maps = keras.Model(net.input, found, name="heat_maps")
    heights = np.concatenate([_highest(forward.forward(maps, block)) for _, block in in_blocks(images)])
    return heights.reshape(len(heights), sources, heights.shape[1] // sources)


def _highest(maps: np.ndarray) -> np.ndarray:
    """The height of the peak (n, C) of maps (n, H, W, C) before the softmax."""
    weights = np.exp(maps - maps.max(axis=(1, 2), keepdims=True, initial=-np.inf))
    padded = np.pad(weights, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    cells = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    return cells.max(axis=(1, 2)) / weights.sum(axis=(1, 2))
