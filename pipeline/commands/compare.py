"""`keypoints compare`: shows how two results differ in what they were made from, and how accurate they are on the same samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.commands.support import ancestry, drawing, reading
from pipeline.commands.support.addresses import locate
from pipeline.errors import InputError
from pipeline.store.keys import provenance
from pipeline.store.run.stage import Stage

if TYPE_CHECKING:
    import numpy as np

    from pipeline.data.tables import Origin
    from pipeline.results.paired import HeldOut

COMPARABLE = ("TrainBase", "TrainSpecialist", "Predict")
# Differences that the legend of the figure names.
MOST_WORDS = 6


def run(one: str, other: str, out: str | None, stages: list[Stage]) -> int:
    """Prints the differences between two artifacts and their RMSEs, draws their learning curves into the PNG file `out`, if given.

    The artifacts are given as for `addresses.locate`. Returns the exit code 0. Raises InputError if the two cannot be compared.
    """
    first, second = (locate(what, stages) for what in (one, other))
    print(f"first   {first}\nsecond  {second}")
    print("\n" + "\n".join(_differences(first, second) or ["Both have the same provenance."]) + "\n")
    _compare((first, second), out)
    return 0


def _differences(one: Path, other: Path) -> list[str]:
    """The differences in the provenance of two artifacts and their ancestors, one line each, the first stages first."""
    then, now = (_provenances(path) for path in (one, other))
    lines = []
    for address in reversed({**now, **then}):
        if address in then and address in now:
            changes = provenance.changes(now[address], then[address])
            lines += [f"{address}: {line}" for part, differing in changes.items() if part != "inputs" for line in differing]
        else:
            lines.append(f"{address}: used only by the {'first' if address in then else 'second'}")
    return lines


def _provenances(path: Path) -> dict[str, dict[str, Any]]:
    """What an artifact and each of its ancestors were made from, by address, the artifact itself first."""
    own = _provenance(path)
    found = {own["stage"]: own}
    for (stage, _), file in ancestry.ancestors(path).items():
        if file is not None:
            found[stage] = _provenance(file)
    return found


def _provenance(path: Path) -> dict[str, Any]:
    """What an artifact was made from directly."""
    made_from = reading.attributes(path).get("made_from", {})
    if "stage" not in made_from:
        raise InputError(f"{path} cannot be compared, because it does not say what it was made from.")
    return made_from


def _compare(paths: tuple[Path, Path], out: str | None) -> None:
    """Prints the RMSEs of two artifacts on the validation samples that they share."""
    from pipeline.results import paired

    held_out = [_held_out(path) for path in paths]
    one, other = paired.common(*held_out)
    if not len(one.row) or not one.keypoints:
        print("The RMSEs cannot be compared, because the two results have no validation samples or no keypoints in common.")
        return
    if not paired.same_labels(one, other):
        raise InputError("The RMSEs cannot be compared, because the two results were validated on different samples or labels.")
    print(f"{len(one.row):,} validation samples that both share and that neither was trained on")
    print("\n".join(paired.table(one, other)))
    if out:
        _draw(paths, held_out, out)


def _draw(paths: tuple[Path, Path], held_out: list[HeldOut], out: str) -> None:
    from pipeline.results import curves

    rmse = []
    for each in held_out:
        if each.training_rmse is not None and each.validation_rmse is not None:
            rmse.append((each.training_rmse, each.validation_rmse))
    if len(rmse) < len(held_out):
        raise InputError("--out draws learning curves, so compare two trainings, such as two addresses TrainBase@KEY.")
    drawing.write(curves.two_trainings(_distinctions(*paths), rmse), out)


def _distinctions(one: Path, other: Path) -> tuple[str, str]:
    """What distinguishes each of two artifacts from the other, for people: its stage, its settings, and whether data or code differ."""
    first, second = (_provenances(path) for path in (one, other))
    stages = [_provenance(path)["stage"] for path in (one, other)]
    words: tuple[list[str], list[str]] = ([], []) if stages[0] == stages[1] else ([stages[0]], [stages[1]])
    parts = set()
    for address in reversed(first):
        then, now = first[address], second.get(address)
        if now is None:
            continue
        parts |= {part for part, lines in provenance.changes(now, then).items() if lines}
        settings = [made.get("parameters", {}) for made in (then, now)]
        for name in sorted({*settings[0], *settings[1]}):
            if settings[0].get(name) != settings[1].get(name):
                for own, values in zip(words, settings, strict=True):
                    own.append(f"{address} {name} {values.get(name, 'not set')}")
    others = [
        name for part, name in (("files", "data"), ("facts", "keypoint set"), ("code", "code"), ("backend", "versions")) if part in parts
    ]
    if others:
        for own in words:
            own.append(f"different {' and '.join(others)}")
    return _joined(words[0]), _joined(words[1])


def _joined(words: list[str]) -> str:
    """The first words in a row, and how many there are besides."""
    more = [f"{len(words) - MOST_WORDS} more differences"] if len(words) > MOST_WORDS else []
    return ", ".join([*words[:MOST_WORDS], *more]) or "the same as the other"


def _held_out(path: Path) -> HeldOut:
    """The validation samples of a training or a prediction, with the predicted keypoints in pixels of the original images."""
    from pipeline.data.dataset import Dataset
    from pipeline.nets.trained import Trained
    from pipeline.results.paired import HeldOut
    from pipeline.results.predictions import Predictions

    stage = _provenance(path)["stage"].split(":")[0]
    if stage not in COMPARABLE:
        raise InputError(f"{path} is neither a training nor a prediction. Compare two of TrainBase, TrainSpecialist:GROUP or Predict.")
    faces = [reading.load(file, Dataset) for file in reading.made_from(path, "Load")]
    if stage == "Predict":
        content = reading.load(path, Predictions)
        group = {row: group for each in faces for row, group in zip(each.row.tolist(), each.duplicate_group.tolist(), strict=True)}
        rows, origin = content.validation_face, content.validation_origin
        predicted, truth = (_placed(each, origin) for each in (content.validation, content.validation_truth))
        return HeldOut(predicted, truth, rows, _numbers(group, rows), content.keypoints.tolist(), None, None)
    net, own = reading.load(path, Trained), faces[0]
    rows, truth = own.row[own.validation], own.keypoints[own.validation][:, net.indices]
    curves, origin = (net.history.training_rmse, net.history.validation_rmse), own.origin.of(own.validation) if own.origin else None
    predicted, truth = (_placed(each, origin) for each in (net.validation, truth))
    return HeldOut(predicted, truth, rows, own.duplicate_group[own.validation], net.keypoints.tolist(), *curves)


def _placed(keypoints: np.ndarray, origin: Origin | None) -> np.ndarray:
    """Keypoints (n, K, 2) in pixels of the images that the samples were cut from; Kaggle's faces were not cut."""
    import numpy as np

    from pipeline.geometry import affine

    return keypoints if origin is None else affine.move(keypoints.astype(np.float64), origin.to_original)


def _numbers(group: dict[int, int], rows: np.ndarray) -> np.ndarray:
    """The duplicate group of each row (n,) int."""
    import numpy as np

    return np.array([group[row] for row in rows.tolist()])
