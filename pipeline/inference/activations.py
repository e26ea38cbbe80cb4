"""What goes on inside a trained net when it looks at a face."""

from dataclasses import dataclass

import keras
import numpy as np

from pipeline.geometry import affine, alignment
from pipeline.inference import prediction
from pipeline.keypoints.definition import KeypointSet
from pipeline.nets import network
from pipeline.nets.trained import Trained


@dataclass(frozen=True)
class Activations:
    """One look at one face.

    seen: the net's input, uint8 (side, side). corners: where its corners lie in the image, float64 (4, 2) pixels, one after the other.
    maps: the activations of each convolution, float32 (height, width, channels), by the layer's name, from the image to the output.
    """

    seen: np.ndarray
    corners: np.ndarray
    maps: dict[str, np.ndarray]


def activations_of(trained: Trained, image: np.ndarray, keypointset: KeypointSet, base: Trained | None) -> Activations:
    """What a net makes of an image uint8 (s, s).

    base: the net that locates the face for a specialist with a window. The activations are those after the batch norm and the activation
    that follow the convolution, if any.
    """
    images, frame = image[None], None
    if trained.window is not None:
        frame = alignment.to_frame(prediction.predict(base, images, keypointset, None)[:, 0], base.target)
    view, net = prediction.seen(trained, 1, keypointset, frame), prediction.rebuilt(trained, keypointset)
    corners = np.array([[[0, 0], [1, 0], [1, 1], [0, 1]]], float) * view.side
    seen = view.images(images)[:]
    return Activations(seen[0], affine.move(corners, affine.inverse(view.matrix))[0], _maps(net, seen))


def _maps(net: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    names = [layer.name for layer in net.layers if isinstance(layer, keras.layers.Conv2D)]
    inside = keras.Model(net.input, {name: network.activation(net, net.get_layer(name)).output for name in names})
    found = inside.predict_on_batch(images)
    return {name: np.asarray(found[name])[0] for name in names}
