"""`keypoints compare`: two results side by side: what differs in what they were made from, and how well they do on the same faces."""

from pathlib import Path

from pipeline.commands.support import drawing, provenance, reading
from pipeline.commands.support.addresses import find
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import recipe
from pipeline.store.run.stage import Stage


def run(one: str, other: str, out: str | None, stages: list[Stage]) -> int:
    """Prints the differences and the RMSEs of two addresses; with `out` draws the learning curves into that PNG file."""
    paths = [find(address, stages) for address in (one, other)]
    for title, path in zip(("first ", "second"), paths, strict=True):
        print(f"{title}  {path}")
    print("\n" + "\n".join(_differences(*paths) or ["Both were made from the same."]) + "\n")
    _compare(paths, out)
    return 0


def _differences(one: Path, other: Path) -> list[str]:
    """What differs in what two artifacts, and those that these were made from, were made from; from the first stage on."""
    then, now = (_recipes(path) for path in (one, other))
    lines = []
    for address in reversed({**now, **then}):
        if address in then and address in now:
            changes = recipe.changes(now[address], then[address])
            lines += [f"{address}: {line}" for part, said in changes.items() if part != "inputs" for line in said]
        else:
            lines.append(f"{address}: only of the {'first' if address in then else 'second'}")
    return lines


def _recipes(path: Path) -> dict[str, dict]:
    """What an artifact and all that it was made from were made from, by address, itself first."""
    found = {}
    for place, file in {("itself", ""): path, **provenance.ancestors(path)}.items():
        if file is not None:
            made_from = _recipe(file)
            found[made_from["stage"] if place[0] == "itself" else place[0]] = made_from
    return found


def _recipe(path: Path) -> dict:
    """What an artifact was made from, itself."""
    with reading.refusing(path):
        recipe = artifacts.attributes(path).get("made_from", {})
    if "stage" not in recipe:
        raise InputError(f"{path} does not say what it was made from: it cannot be compared.")
    return recipe


def _compare(paths: list[Path], out: str | None) -> None:
    from pipeline.results import paired

    held_out = [_held_out(path) for path in paths]
    one, other = paired.common(*held_out)
    if not len(one.row) or not one.keypoints:
        print("They have no validation face or no keypoint in common: the RMSEs cannot be compared.")
        return
    if not paired.same_labels(one, other):
        raise InputError("They were validated on other faces, or on other labels of them: the RMSEs cannot be compared.")
    print(f"{len(one.row):,} validation faces that both have, neither trained on")
    print("\n".join(paired.table(one, other)))
    if out:
        _draw(paths, held_out, out)


def _draw(paths: list[Path], held_out: list, out: str) -> None:
    from pipeline.results import curves

    if any(each.validation_rmse is None for each in held_out):
        raise InputError("--out draws learning curves: give two trainings, such as TrainBase@KEY.")
    rmse = [(each.training_rmse, each.validation_rmse) for each in held_out]
    drawing.write(curves.two_trainings(tuple(path.stem for path in paths), rmse), out)


def _held_out(path: Path):
    """What the artifact of a training or a prediction says of its validation faces."""
    from pipeline.data.dataset import Dataset
    from pipeline.nets.trained import Trained
    from pipeline.results.paired import HeldOut
    from pipeline.results.predictions import Predictions

    stage = _recipe(path)["stage"].split(":")[0]
    if stage not in ("TrainBase", "TrainSpecialist", "Predict"):
        raise InputError(f"{path} is no training and no prediction: compare two of TrainBase, TrainSpecialist:GROUP or Predict.")
    faces = [reading.load(file, Dataset) for file in reading.made_from(path, "Load")]
    if stage == "Predict":
        content = reading.load(path, Predictions)
        group = {row: group for each in faces for row, group in zip(each.row.tolist(), each.duplicate_group.tolist(), strict=True)}
        rows = content.validation_face
        return HeldOut(content.validation, content.validation_truth, rows, _numbers(group, rows), content.keypoints.tolist(), None, None)
    net, own = reading.load(path, Trained), faces[0]
    rows, truth = own.row[own.validation], own.keypoints[own.validation][:, net.indices]
    curves = net.history.training_rmse, net.history.validation_rmse
    return HeldOut(net.validation, truth, rows, own.duplicate_group[own.validation], net.keypoints.tolist(), *curves)


def _numbers(group: dict[int, int], rows):
    import numpy as np

    return np.array([group[row] for row in rows.tolist()])
