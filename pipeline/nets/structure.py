"""What a net is built from, as a record that its artifact holds. Apart from the code that needs Keras, as `trained` is."""

from pipeline.nets.options import PRETRAINED
from pipeline.schema import array, record


@record
class Structure:
    """What `network.build` takes beside the side of the images and the number of outputs; see the tasks' parameters.

    The last four matter to its training alone. A setting that the net does not have is at its default.
    """

    network: str = array("text", "", "", "the net's name")
    filters: float = array("float64", "", "", "factor of the net's own numbers of filters")
    kernel: int = array("int64", "", "px", "side of the convolutions' kernels; 0: the net's own")
    pool: int = array("int64", "", "px", "side of what a pooling takes the maximum of")
    activation: str = array("text", "", "", "activation after the convolutions and hidden layers, Keras' name")
    hidden: int = array("int64", "", "", "units of a hidden layer")
    pixel_mean: float = array("float64", "", "grey level", "subtracted from the pixels at the net's door")
    pixel_std: float = array("float64", "", "grey level", "by which they are then divided")
    l1: float = array("float64", "", "", "penalty on the kernels' absolute values")
    l2: float = array("float64", "", "", "penalty on the kernels' squares")
    dropout: float = array("float64", "", "", "factor of the net's own dropout rates: 1 as published, 0 none")
    initialisation: str = array("text", "", "", "rule of the kernels' first weights; net: the net's own")


def normalised(network: str, normalisation: str, *, mean: float, std: float) -> dict[str, float]:
    """pixel_mean and pixel_std of a `Structure`; mean, std: of the training faces. A pretrained net's own rule takes grey levels."""
    rule = "none" if network in PRETRAINED else normalisation
    pixel_mean, pixel_std = {"standard": (mean, std), "unit": (0.0, 255.0), "none": (0.0, 1.0)}[rule]
    return {"pixel_mean": pixel_mean, "pixel_std": pixel_std}
