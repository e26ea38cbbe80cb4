"""`keypoints activations`: draws the output of each convolution of a net for one face."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.support import drawing, reading
from pipeline.errors import InputError
from pipeline.store.run.stage import Stage
from pipeline.tasks.sections import device
from pipeline.units import printable

if TYPE_CHECKING:
    import numpy as np

    from pipeline.data.tables import Origin
    from pipeline.inference.activations import Activations
    from pipeline.nets.trained import Trained


def run(what: str, stages: list[Stage], *, face: int, test_face: int | None, out: str | None) -> int:
    """Draws the activations of a net, given as for `addresses.locate`, into a PNG file and returns the exit code 0.

    The face is a labelled one (`face`, its row in the training table, counted from 1) or a test face (`test_face`, its ImageId). Raises
    InputError if there is no such net or face, or if the data set or the base net that the net was made from no longer exists.
    """
    from pipeline.nets.trained import Trained
    from pipeline.results import feature_maps
    from pipeline.results.style import words

    path = drawing.find_net(what, stages)
    net = reading.load(path, Trained)
    base = None if not net.sees_windows else reading.load(reading.made_from(path, "TrainBase")[0], Trained)
    data = reading.made_from(path, "Load")[0]
    image, name = _labelled_image(data, face) if test_face is None else _test_image(stages, test_face)
    if net.zooms is not None:
        name = f"{name}, window around {words(net.keypoints[0])}"
    look = _activations(net, image, base)

    suffix = f"face-{face}" if test_face is None else f"test-face-{test_face}"
    figure = feature_maps.activations(drawing.title(path), name, image, look, _outputs(net, look, data))
    return drawing.write(figure, out or f"activations-{path.stem}-{suffix}.png")


def _outputs(net: Trained, look: Activations, data: Path) -> list[str]:
    """The names of the maps of the net's last convolution, if it has one for each keypoint and annotation source; otherwise none."""
    from pipeline.data.dataset import Dataset
    from pipeline.results.style import words

    sources = len(net.offsets)
    *_, last = look.maps.values()
    if last.shape[-1] != sources * len(net.keypoints):
        return []
    if sources == 1:
        return [words(keypoint) for keypoint in net.keypoints]
    names = reading.load(data, Dataset).source_names
    return [f"{words(keypoint)}\n{names[source]} labels" for source in range(sources) for keypoint in net.keypoints]


def _activations(net: Trained, image: np.ndarray, base: Trained | None) -> Activations:
    from pipeline.nets import device as devices

    devices.prepare(seed=0, threads=device().threads)
    from pipeline.inference import activations

    return activations.activations_of(net, image, net.keypointset.restored(), base)


def _labelled_image(path: Path, face: int) -> tuple[np.ndarray, str]:
    """One sample of a data set, uint8 (s, s) or (s, s, 3), by its row in the training table, counted from 1; and its name."""
    import numpy as np

    from pipeline.data.dataset import Dataset

    with reading.refusing(path):
        data = reading.load(path, Dataset)
        place = np.flatnonzero(data.row == face - 1)
        if not len(place):
            what = "the rows of the training table" if data.origin is None else "the labelled samples"
            raise InputError(f"--face {face}: {what} are numbered from 1 to {data.row[-1] + 1}.")
        return data.images[place[0]], _named(data.origin, place[0]) or f"face {face} of the training table"


def _named(origin: Origin | None, place: int) -> str:
    """A sample of an own set by its image and instance; "" for Kaggle's faces."""
    return f"{printable(origin.image[place])}, instance {printable(origin.instance[place])}" if origin else ""


def _test_image(stages: list[Stage], test_face: int) -> tuple[np.ndarray, str]:
    """One sample to predict, uint8 (s, s) or (s, s, 3), by its ImageId or, in an own set, its number from 1; and its name."""
    import numpy as np

    from pipeline.data.testset import UnlabelledSamples

    made = [stage.path for stage in stages if stage.task_family == "LoadTest" and stage.complete()]
    if not made:
        raise InputError(f"--test-face {test_face}: the selected run has not read the test images. Run Predict, or LoadTest.")
    with reading.refusing(made[0]):
        test = reading.load(made[0], UnlabelledSamples)
        found = np.flatnonzero((np.arange(1, len(test.images) + 1) if test.image_id is None else test.image_id) == test_face)
        if not len(found):
            why = "no test face has this ImageId" if test.origin is None else f"there are {len(test.images):,} samples to predict"
            raise InputError(f"--test-face {test_face}: {why}.")
        return test.images[found[0]], _named(test.origin, found[0]) or f"test face {test_face}"
