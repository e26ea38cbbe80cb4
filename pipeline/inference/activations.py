"""The activations inside a trained net for one face."""

from dataclasses import dataclass

import keras
import numpy as np

from pipeline.geometry import affine
from pipeline.inference import prediction
from pipeline.keypoints.definition import KeypointSet
from pipeline.nets import network
from pipeline.nets.sight import located_at
from pipeline.nets.trained import Trained


@dataclass(frozen=True)
class Activations:
    """The input and the activations of a net for one face.

    seen: the input of the net, uint8 (side, side) or (side, side, 3). corners: the corners of this input in the image, float64 (4, 2),
    pixels, in clockwise order. maps: the activations of each convolution, float32 (height, width, channels), by the name of its layer,
    from input to output.
    """

    seen: np.ndarray
    corners: np.ndarray
    maps: dict[str, np.ndarray]


def activations_of(trained: Trained, image: np.ndarray, keypointset: KeypointSet, base: Trained | None) -> Activations:
    """The activations of a net for an image uint8 (s, s) or (s, s, 3).

    They are measured behind the batch norm and activation of each convolution, if any.
    base: the net that locates the sample; only a specialist that sees windows needs it. Of one that sees a window around each keypoint, the
    activations are those for its first keypoint.
    """
    images, found = image[None], None
    if trained.sees_windows and base is not None and base.target is not None:
        found = located_at(base, prediction.predict(base, images, keypointset).keypoints[:, 0], side=len(image))
    view, net = prediction.sight(trained, found, side=len(image)).view(1), prediction.rebuilt(trained, keypointset)
    corners = np.array([[[0, 0], [1, 0], [1, 1], [0, 1]]], float) * view.side
    seen = view.images(images)[:]
    return Activations(seen[0], affine.move(corners, affine.inverse(view.matrix))[0], _maps(net, seen))


def _maps(net: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    names = [layer.name for layer in net.layers if isinstance(layer, keras.layers.Conv2D)]
    inside = keras.Model(net.input, {name: network.activation(net, net.get_layer(name)).output for name in names})
    found = inside.predict_on_batch(images)
    return {name: np.asarray(found[name])[0] for name in names}
