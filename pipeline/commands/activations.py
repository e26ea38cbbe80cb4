"""`keypoints activations`: what each convolution of a net makes of a face, as a picture."""

from pathlib import Path

from pipeline.commands.support import drawing, reading
from pipeline.errors import InputError
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.store.hdf5 import artifacts
from pipeline.store.run.stage import Stage
from pipeline.tasks.sections import device


def run(what: str, stages: list[Stage], *, face: int, test_face: int | None, out: str | None) -> int:
    """Draws the net at an address at work on a labelled face (row of the training table, from 1) or on a test face (its ImageId).

    0, or InputError where there is no such net or face, or where the data set or the base net that it was made from is gone.
    """
    from pipeline.nets.trained import Trained
    from pipeline.results import feature_maps

    path = drawing.find_net(what, stages)
    net = reading.load(path, Trained)
    base = None if net.window is None else reading.load(reading.made_from(path, "TrainBase")[0], Trained)
    image = _image(reading.made_from(path, "Load")[0], face, test_face)
    look = _look(net, image, base)

    name = f"face {face} of the training table" if test_face is None else f"test face {test_face}"
    suffix = f"face-{face}" if test_face is None else f"test-face-{test_face}"
    return drawing.write(feature_maps.activations(drawing.title(path), name, image, look), out or f"activations-{path.stem}-{suffix}.png")


def _look(net, image, base):
    from pipeline.nets import device as devices

    devices.prepare(seed=0, threads=device().threads)
    from pipeline.inference import activations

    return activations.activations_of(net, image, KAGGLE, base)


def _image(path: Path, face: int, test_face: int | None):
    """One face of a data set, uint8 (s, s), by its row in the training table or its ImageId."""
    import numpy as np

    from pipeline.data.dataset import Dataset

    with reading.refusing(path), artifacts.reading(path, Dataset) as file:
        if test_face is None:
            place = np.flatnonzero(file["row"][:] == face - 1)
            if not len(place):
                raise InputError(f"--face {face}: the rows of the training table go from 1 to {file['row'][-1] + 1}.")
            return file["images"][place[0]]
        found = np.flatnonzero(file["test_ids"][:] == test_face)
        if not len(found):
            raise InputError(f"--test-face {test_face}: no test face has this ImageId.")
        return file["test_images"][found[0]]
