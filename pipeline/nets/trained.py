"""The results of a training, as records in its artifact. Kept free of Keras, so that reading an artifact does not import it."""

import numpy as np

from pipeline.keypoints.stored import StoredSet
from pipeline.nets.structure import Structure
from pipeline.schema import Plot, array, record


@record
class History:
    """The course of a training: one value for each epoch."""

    epoch: np.ndarray = array("int32", "epoch", "", "epoch, counted from 1")
    training_rmse: np.ndarray = array("float32", "epoch", "px", "RMSE on the augmented training faces during the epoch")
    validation_rmse: np.ndarray = array("float32", "epoch", "px", "RMSE on the validation faces after the epoch")
    learning_rate: np.ndarray = array("float32", "epoch", "", "learning rate at the end of the epoch")

    PLOT = Plot("validation_rmse", ("epoch",), beside=("training_rmse",))

    @classmethod
    def of(cls, rows: list[tuple]) -> "History":
        """Builds the history from a row (epoch, training RMSE, validation RMSE, learning rate) for each epoch."""
        columns = zip(*rows, strict=True) if rows else [()] * 4
        return cls(*(np.array(column, dtype) for column, dtype in zip(columns, ("int32", *["float32"] * 3), strict=True)))

    def rows(self) -> list[tuple]:
        """The inverse of `of`."""
        return list(zip(*(column.tolist() for column in vars(self).values()), strict=True))

    @property
    def last(self) -> str:
        """The result of the last epoch in words."""
        return f"RMSE training {self.training_rmse[-1]:.2f} px, validation {self.validation_rmse[-1]:.2f} px"


def padded(rmse: np.ndarray, epochs: int) -> np.ndarray:
    """The RMSE of each epoch, float32 (epochs,), padded with NaN after the last epoch of the training."""
    return np.pad(rmse.astype(np.float32), (0, epochs - len(rmse)), constant_values=np.nan)


@record
class Health:
    """The state of the layers with a kernel: one row for each epoch. NaN where not measured or not defined.

    Activations are measured behind the layer's batch norm and activation function, if any, on the same batch after every epoch.
    """

    layers: np.ndarray = array("text", "layer", "", "names of the layers, from the image to the output")
    weight: np.ndarray = array("float32", "epoch layer", "", "mean absolute weight of the kernel after the epoch")
    update: np.ndarray = array("float32", "epoch layer", "", "mean absolute change of the kernel per training step")
    ratio: np.ndarray = array("float32", "epoch layer", "", "update / weight; about 1e-3 in a healthy training")
    gradient: np.ndarray = array(
        "float32", "epoch layer", "", "norm of the gradient of the loss with respect to the kernel, mean over the steps of the epoch"
    )
    activation: np.ndarray = array("float32", "epoch layer", "", "mean activation after the epoch")
    spread: np.ndarray = array("float32", "epoch layer", "", "standard deviation of the activations after the epoch")
    dead: np.ndarray = array(
        "float32", "epoch layer", "", "share of the ReLU channels that are 0 everywhere in the batch; NaN for layers without ReLU"
    )

    PLOT = Plot("ratio", (".", "."), "image")

    @classmethod
    def of(cls, layers: list[str], rows: list[np.ndarray]) -> "Health":
        """Builds the health from one row (7, layer) for each epoch, with the values in the order of the fields."""
        columns = np.array(rows, np.float32).reshape(len(rows), 7, len(layers)).swapaxes(0, 1)
        return cls(np.array(layers, dtype=str), *columns)

    def rows(self) -> list[np.ndarray]:
        """The inverse of `of`."""
        _, *columns = vars(self).values()
        return list(np.stack(columns, axis=1))


@record
class Snapshots:
    """The weights of a net after some epochs of its training. The first axis of every array is the epoch."""

    epoch: np.ndarray = array("int32", "epoch", "", "epoch, counted from 1")
    weights: dict[str, np.ndarray] = array("float32", "", "", "weight of the net after each of these epochs")


@record
class Trained:
    """A trained net: everything that is needed to predict with it, among that its keypoint set, and the record of its training.

    S annotation sources, K keypoints of the net.
    """

    history: History
    health: Health
    structure: Structure
    keypointset: StoredSet
    weights: dict[str, np.ndarray] = array("float32", "", "", "weight of the net")
    shapes: dict[str, np.ndarray] | None = array(
        "int32", "axis", "", "output shape of the layer: height, width and channels, or the number of values"
    )
    offsets: np.ndarray = array(
        "float32", "source keypoint xy", "px", "constant offset of each annotation source, added to the predictions of the net"
    )
    validation: np.ndarray = array(
        "float32",
        "face keypoint xy",
        "px",
        "predictions for the validation faces, averaged with the mirror image, for the own source of each face",
    )
    validation_spread: np.ndarray | None = array(
        "float32",
        "face keypoint",
        "px",
        "root mean square distance, from their mean, of the predictions that are averaged; absent from older nets",
    )
    rmse: np.float32 = array("float32", "", "px", "RMSE of these predictions over all labelled values")
    indices: np.ndarray = array("int32", "keypoint", "", "indices, in the keypoint set, of the keypoints that the net predicts")
    keypoints: np.ndarray = array("text", "keypoint", "", "names of the keypoints that the net predicts")
    side: np.int32 = array("int32", "", "px", "width and height of the net's input")
    frame: np.int32 = array("int32", "", "px", "width and height of the frame that the base net sees, to which whole images are reduced")
    stored: np.int32 = array(
        "int32", "", "px", "width and height of the samples of the training, whose pixels are the unit of offsets, predictions and errors"
    )
    target: np.ndarray | None = array(
        "float32", "keypoint xy", "px", "keypoints of an aligned face in the frame, for refinement; absent for specialists"
    )
    refined: np.bool_ = array("bool", "", "", "whether the predictions are refined, if there is a target")
    located: np.ndarray | None = array(
        "float32",
        "face keypoint xy",
        "px",
        "predictions for all labelled faces, which align the faces for specialists; absent for specialists",
    )
    window: np.ndarray | None = array(
        "float64", "xy term", "", "affine map from the aligned face to the input of a specialist that sees a window; otherwise absent"
    )
    zooms: np.ndarray | None = array(
        "float64",
        "pass",
        "",
        "pixels of a window per pixel of the aligned frame, of each pass of a specialist that sees a window around"
        " each keypoint; otherwise absent",
    )
    looks: np.int32 | None = array(
        "int32", "", "", "number of slightly different windows over which predictions of a specialist are averaged; absent if it is one"
    )
    carried_over: np.ndarray = array("text", "weight", "", "names of the weights that were carried over from the base net or from ImageNet")
    new: np.ndarray = array("text", "weight", "", "names of the weights that were freshly initialised")

    @property
    def sees_windows(self) -> bool:
        """Whether the net sees windows of the aligned sample instead of the whole image."""
        return self.window is not None or self.zooms is not None
