"""What a net is built from, as a record in its artifact. Kept free of Keras, like `trained`."""

from pipeline.nets.options import PRETRAINED
from pipeline.schema import array, record


@record
class Structure:
    """The structure of a net: everything that `network.build` needs except its input and output sizes.

    The fields have the names of the tasks' parameters. The last four matter only to its training. A setting that the net does not have
    has its default value.
    """

    network: str = array("text", "", "", "name of the net")
    filters: float = array("float64", "", "", "factor for the numbers of filters of the net")
    kernel: int = array("int64", "", "px", "width and height of the convolution kernels; 0: those of the net")
    pool: int = array("int64", "", "px", "width and height of the max pooling windows")
    activation: str = array("text", "", "", "activation function after the convolutions and hidden layers, by Keras' name")
    hidden: int = array("int64", "", "", "number of units of each hidden layer")
    channels: int = array("int64", "", "", "number of channels of the images: 1 grey, 3 RGB")
    pixel_mean: float = array("float64", "", "grey level", "mean grey level, which the net subtracts from its input")
    pixel_std: float = array("float64", "", "grey level", "standard deviation, by which the net then divides")
    l1: float = array("float64", "", "", "L1 penalty: factor for the absolute values of the kernels")
    l2: float = array("float64", "", "", "L2 penalty: factor for the squares of the kernels")
    dropout: float = array("float64", "", "", "factor for the dropout rates of the net: 1 as published, 0 for no dropout")
    initialisation: str = array("text", "", "", "initialisation of the kernels; net: that of the net itself")


def normalised(network: str, normalisation: str, *, mean: float, std: float) -> dict[str, float]:
    """The fields pixel_mean and pixel_std of a `Structure`.

    mean, std: mean and standard deviation of the training faces' pixels, grey levels. Pretrained nets normalise grey levels themselves, so
    for them `normalisation` is ignored.
    """
    rule = "none" if network in PRETRAINED else normalisation
    pixel_mean, pixel_std = {"standard": (mean, std), "unit": (0.0, 255.0), "none": (0.0, 1.0)}[rule]
    return {"pixel_mean": pixel_mean, "pixel_std": pixel_std}
