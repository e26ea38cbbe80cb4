"""What a training leaves: the records that its artifact holds. Apart from the code that needs Keras, so that reading does not start it."""

import numpy as np

from pipeline.nets.structure import Structure
from pipeline.schema import Plot, array, record


@record
class History:
    """What a training did, one value for each epoch."""

    epoch: np.ndarray = array("int32", "epoch", "", "epoch, counted from 1")
    training_rmse: np.ndarray = array("float32", "epoch", "px", "RMSE on the augmented training faces, during the epoch")
    validation_rmse: np.ndarray = array("float32", "epoch", "px", "RMSE on the validation faces, after the epoch")
    learning_rate: np.ndarray = array("float32", "epoch", "", "learning rate at the end of the epoch")

    PLOT = Plot("validation_rmse", ("epoch",), beside=("training_rmse",))

    @classmethod
    def of(cls, rows: list[tuple]) -> "History":
        """From one row (epoch, training RMSE, validation RMSE, learning rate) for each epoch."""
        columns = zip(*rows, strict=True) if rows else [()] * 4
        return cls(*(np.array(column, dtype) for column, dtype in zip(columns, ("int32", *["float32"] * 3), strict=True)))

    def rows(self) -> list[tuple]:
        return list(zip(*(column.tolist() for column in vars(self).values()), strict=True))

    @property
    def last(self) -> str:
        """The last epoch, for people."""
        return f"RMSE training {self.training_rmse[-1]:.2f} px, validation {self.validation_rmse[-1]:.2f} px"


def padded(rmse: np.ndarray, epochs: int) -> np.ndarray:
    """One value for each epoch, float32, with NaN up to so many epochs."""
    return np.pad(rmse.astype(np.float32), (0, epochs - len(rmse)), constant_values=np.nan)


@record
class Health:
    """How the layers with a kernel fare, one row for each epoch. NaN: not asked for or not defined.

    The activations of a layer are those after its batch norm and activation if it has them, on a batch that stays the same.
    """

    layers: np.ndarray = array("text", "layer", "", "names of the layers, from the image to the output")
    weight: np.ndarray = array("float32", "epoch layer", "", "mean absolute weight of the kernel after the epoch")
    update: np.ndarray = array("float32", "epoch layer", "", "mean absolute change of the kernel in a training step, mean of the epoch")
    ratio: np.ndarray = array("float32", "epoch layer", "", "update / weight; about 1e-3 is healthy")
    gradient: np.ndarray = array("float32", "epoch layer", "", "norm of the loss's gradient in the kernel, mean of the epoch's steps")
    activation: np.ndarray = array("float32", "epoch layer", "", "mean activation after the epoch")
    spread: np.ndarray = array("float32", "epoch layer", "", "standard deviation of the activations after the epoch")
    dead: np.ndarray = array(
        "float32", "epoch layer", "", "share of the ReLU's channels that are 0 everywhere on the batch; NaN without ReLU"
    )

    PLOT = Plot("ratio", (".", "."), "image")

    @classmethod
    def of(cls, layers: list[str], rows: list[np.ndarray]) -> "Health":
        """From one row (7, layer), the values in the order of the fields, for each epoch."""
        columns = np.array(rows, np.float32).reshape(len(rows), 7, len(layers)).swapaxes(0, 1)
        return cls(np.array(layers, dtype=str), *columns)

    def rows(self) -> list[np.ndarray]:
        _, *columns = vars(self).values()
        return list(np.stack(columns, axis=1))


@record
class Snapshots:
    """The weights of a net after some epochs of its training; the epoch is the first axis of every array."""

    epoch: np.ndarray = array("int32", "epoch", "", "epoch, counted from 1")
    weights: dict[str, np.ndarray] = array("float32", "", "", "weight of the net after each of the epochs")


@record
class Trained:
    """Everything that is needed to predict with a net, and what its training was like. S label sources, K keypoints of the net."""

    history: History
    health: Health
    structure: Structure
    weights: dict[str, np.ndarray] = array("float32", "", "", "weight of the net")
    shapes: dict[str, np.ndarray] | None = array("int32", "axis", "", "output shape of the layer: height, width, channels")
    offsets: np.ndarray = array("float32", "source keypoint xy", "px", "added to the net's predictions: each source's constant offset")
    validation: np.ndarray = array(
        "float32", "face keypoint xy", "px", "predictions for the validation faces, mirrored average, own source"
    )
    rmse: np.ndarray = array("float32", "", "px", "validation RMSE of these predictions, all labelled values")
    indices: np.ndarray = array("int32", "keypoint", "", "which of the set's keypoints the net predicts")
    keypoints: np.ndarray = array("text", "keypoint", "", "names of the keypoints that the net predicts")
    side: np.ndarray = array("int32", "", "px", "width and height of the net's input")
    target: np.ndarray | None = array("float32", "keypoint xy", "px", "where the keypoints of an aligned face lie; for its second look")
    located: np.ndarray | None = array("float32", "face keypoint xy", "px", "predictions for all labelled faces: where specialists look")
    window: np.ndarray | None = array("float64", "xy term", "", "maps the aligned face to the specialist's input")
    carried_over: np.ndarray = array("text", "weight", "", "weights that were carried over from the base net, or from ImageNet")
    new: np.ndarray = array("text", "weight", "", "weights that began fresh")
