"""One trained net in a graph: what it predicts for windows of images, averaged with their mirror images."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.export import sampling
from pipeline.export.sampling import Places, Similarity
from pipeline.inference import prediction
from pipeline.inference.loaded import LoadedNets
from pipeline.keypoints.definition import KeypointSet
from pipeline.nets import network
from pipeline.nets.trained import Trained


class Inputs:
    """The images of a graph, and their reduced versions, each of which is computed once.

    given: uint8 (n, s, s) or (n, s, s, 3). side: s, a number or a scalar tensor int32. span: s as float32.
    """

    def __init__(self, given: Any) -> None:
        self.given, self.side = given, sampling.side_of(given)
        self.span = float(self.side) if isinstance(self.side, int) else ops.cast(self.side, "float32")
        self._reduced: dict[Any, tuple[Any, Any]] = {}

    def whole(self, net: "Net") -> tuple[Any, Similarity]:
        """The images as the net sees them, as for `windows`, and the maps (n, 1) of these windows to the images."""
        images, side, factor = self._reduced_for(1.0, net)
        points = sampling.points_of_whole(self.given, self.side, net.frame * factor, net.side)
        zeros = ops.zeros_like(points.x[:, :, 0, 0])
        return sampling.warp(images, side, points), Similarity(zeros + self.span / net.frame, zeros, zeros, zeros)

    def windows(self, back: Similarity, zoom: float, net: "Net") -> Any:
        """The windows, of the size of a net's input, that `back` (n, m) maps to the images: float32 (n * m, side, side[, 3]).

        zoom: pixels of a window per pixel of the frame, which decides by which factor the images are reduced first.
        """
        images, side, factor = self._reduced_for(zoom, net)
        step = float(factor) if isinstance(factor, int) else ops.cast(factor, "float32")
        return sampling.warp(images, side, sampling.points_of(back.each(lambda values: values / step), net.side))

    def _reduced_for(self, zoom: float, net: "Net") -> tuple[Any, Any, Any]:
        """The reduced images for windows with this zoom, their side, and the factor of the reduction."""
        factor = sampling.reduction(self.side, zoom, net.frame)
        key = factor if isinstance(factor, int) else (zoom, net.frame)
        if key not in self._reduced:
            self._reduced[key] = sampling.reduced(self.given, factor)
        return *self._reduced[key], factor


@dataclass(frozen=True)
class Net:
    """A trained net in a graph.

    trained: what `prediction.predict` needs of it. model: maps images float32 (m, side, side[, 3]) to heat maps (m, h, w, S * k) if it has
    some, otherwise to unit coordinates (m, S, k, 2). keypointset: that of the net. source: the annotation source whose convention the
    prediction of each of its k keypoints follows, counted from 0.
    """

    trained: Trained
    model: keras.Model
    has_maps: bool
    keypointset: KeypointSet
    source: np.ndarray

    @classmethod
    def of(cls, trained: Trained, nets: LoadedNets, name: str) -> "Net":
        """The net with its weights. Its layers are Keras' own, so that a file of Keras can be read without this package."""
        whole = prediction.rebuilt(trained, nets.keypointset)
        has_maps = any(isinstance(layer, network.MeanPosition) for layer in whole.layers)
        model = keras.Model(whole.input, network.heat_maps(whole) if has_maps else whole.output, name=name)
        names, labelled = nets.keypointset.names, nets.keypointset.sources[nets.keypointset.source_names[nets.source]]
        by_source = whole.output_shape[1] > 1
        source = [nets.source if by_source and names[k] in labelled else 0 for k in trained.indices.tolist()]
        return cls(trained, model, has_maps, nets.keypointset, np.array(source))

    @property
    def side(self) -> int:
        """Width and height of the input."""
        return int(self.trained.side)

    @property
    def frame(self) -> int:
        """Width and height of the frame of the base net."""
        return int(self.trained.frame)

    @property
    def indices(self) -> list[int]:
        """The k keypoints of the net."""
        return self.trained.indices.tolist()

    @property
    def sources(self) -> int:
        """The number S of annotation sources."""
        return int(self.trained.offsets.shape[0])

    @property
    def looks(self) -> int:
        """Over how many slightly different windows a prediction is averaged."""
        return 1 if self.trained.looks is None else int(self.trained.looks)

    @property
    def own(self) -> np.ndarray:
        """Where the prediction for the own source of each keypoint is among those for all sources and keypoints, int32 (k,)."""
        return (self.source * len(self.indices) + np.arange(len(self.indices))).astype(np.int32)

    def through(self, images: Inputs, back: Similarity, zoom: float) -> Places:
        """The predictions (n, m, S * k) through m windows of each image, pixels of the images; for the arguments see `Inputs.windows`."""
        return self._moved(images.windows(back, zoom, self), back)

    def of_whole(self, images: Inputs) -> Places:
        """The predictions (n, 1, S * k) for whole images, pixels of the images."""
        return self._moved(*images.whole(self))

    def _moved(self, windows: Any, back: Similarity) -> Places:
        """The predictions (n, m, S * k) for windows (n * m, ...), which `back` (n, m) maps to the images."""
        count = back.a.shape[1]
        found = self._forward(windows).each(lambda values: ops.reshape(values, (-1, count, values.shape[1])))
        return back.each(lambda values: ops.expand_dims(values, 2)).move(found)

    def _forward(self, windows: Any) -> Places:
        """The predictions (m, S * k) for windows float32 (m, side, side[, 3]), averaged with their mirror images, pixels of the windows."""
        half = self.side / 2
        if self.keypointset.mirror is None:
            return self._unit(windows).each(lambda values: values * half + half)
        both = ops.stack([windows, windows[:, :, ::-1]], axis=1)
        unit = self._unit(ops.reshape(both, (-1, *windows.shape[1:])))
        unit = unit.each(lambda values: ops.reshape(values, (-1, 2, values.shape[1])))
        places = [self.indices.index(self.keypointset.mirror_order[k]) for k in self.indices]
        order = np.concatenate([np.array(places, np.int32) + s * len(places) for s in range(self.sources)])
        mirrored = unit.each(lambda values: ops.take(values[:, 1], order, axis=1))
        return Places((unit.x[:, 0] - mirrored.x) / 2 * half + half, (unit.y[:, 0] + mirrored.y) / 2 * half + half)

    def _unit(self, windows: Any) -> Places:
        """The unit coordinates (m, S * k) that the net predicts, see `network`."""
        found = self.model(windows)
        if not self.has_maps:
            return Places(*(ops.reshape(found[..., axis], (-1, self.sources * len(self.indices))) for axis in (0, 1)))
        _, height, width, channels = found.shape
        weights = ops.softmax(ops.reshape(found, (-1, height * width, channels)), axis=1)
        row, column = np.mgrid[:height, :width].astype("float32")
        positions = np.stack([(2 * column.ravel() + 1) / width - 1, (2 * row.ravel() + 1) / height - 1])
        unit = ops.matmul(positions, weights)
        return Places(unit[:, 0], unit[:, 1])
