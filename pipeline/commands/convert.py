"""`keypoints convert`: writes labels or predictions in another label format."""

import os
import re
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.commands.support import sets
from pipeline.data import conversion, predicted
from pipeline.data.definition import Asked
from pipeline.data.formats.catalogue import format_module
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Labels
from pipeline.errors import InputError
from pipeline.store.workspace import files
from pipeline.units import counted, printable

ADDRESS = re.compile(r"predict(@[0-9a-f]+)?|[0-9a-f]{3,10}", re.IGNORECASE)


@dataclass(frozen=True)
class Converted:
    """What the user asks for.

    asked: a set, or in place of its path predictions: their file, Predict[@key] or a key. to: the format to write. out: the path to write.
    source: the annotation source to write; "" for all. dataset: the folder of the set that was predicted; "" for that of the run. flags:
    Luigi's flags that select the run; none for the last one.
    """

    asked: Asked
    to: str
    out: Path
    source: str
    dataset: str = ""
    flags: tuple[str, ...] = ()


def run(request: Converted) -> int:
    """Writes the labels at the path, all of them or none, and prints what the format has no place for. Returns 0.

    Raises InputError if there is something at the path already, and if the labels cannot be read or written.
    """
    format_module(request.to)
    if os.path.lexists(request.out):
        raise InputError(f"--out {printable(request.out)} exists already. Name another path, or remove it.")
    predictions = _predictions(request)
    if predicted.are_in(predictions):
        found = sets.understood(_predicted_set(request))
        known = replace(found.labels, skeleton=found.keypointset.skeleton)
        labels = predicted.read(predictions, found.folder, known, found.convention)
    else:
        if request.flags:
            raise InputError(f"{request.flags[0]} selects a run, but the labels of a set belong to none. Leave it out.")
        found = sets.understood(request.asked)
        labels = found.labels
    if request.source:
        labels = conversion.of_source(labels, request.source)
    same = labels is found.as_given and request.to == labels.format
    if not same:
        conversion.check_out(request.to, request.out, conversion.sources_of(labels))
    lost = _written(labels, found.folder, request, same=same)
    instances = counted(len(labels.instances), "instance")
    print(f"{instances} in {counted(len(labels.images), 'image')}: {printable(request.out)} ({request.to})")
    if same:
        print("The labels are in this format already, so the label files were copied.")
    elif lost:
        print(f"Lost, because {request.to} has no place for it: {'; '.join(lost)}.")
    if inside := next((image.embedded[0] for image in labels.images if image.embedded), None):
        print(f"The images are inside {printable(inside)} and were not copied. Other programs need them as files of the names given.")
    else:
        print("Images were not copied. Label files name them relative to the folder of the set.")
    if labels.model and request.out.resolve().is_relative_to(found.folder.root.resolve()):
        print("The file is in the folder of the set, so the next run takes these predictions for labels. Correct them, or move the file.")
    return 0


def _predictions(request: Converted) -> Path:
    """The file that the user names: itself, or the predictions of the artifact at an address. Raises InputError if these are not there."""
    what = request.asked.path
    path = Path(what)
    if path.exists() or not ADDRESS.fullmatch(what):
        beside = path.with_suffix(".csv")
        return beside if path.suffix == ".h5" and predicted.are_in(beside) else path
    from pipeline.commands.support import addresses
    from pipeline.commands.support.last_run import Run, check_flags

    check_flags([*request.flags], [])
    selected = Run.selected_by([*request.flags])
    with selected.stages() as stages:
        if selected.last:
            print(selected.description(), file=sys.stderr)
        made = selected.predicted if what.lower() == "predict" else None
        found = (made or addresses.locate(what, stages)).with_suffix(".csv")
    if not found.is_file():
        raise InputError(f"{printable(found)} does not exist. Run Predict with these settings first, or name a file.")
    if not predicted.are_in(found):
        raise InputError(f"{printable(found)} is a submission to Kaggle. Only predictions for a set of your own are converted.")
    return found


def _predicted_set(request: Converted) -> Asked:
    """The set that was predicted: the one that the user names, or that of the run. Raises InputError if there is none."""
    if request.dataset:
        return replace(request.asked, path=request.dataset)
    from pipeline.commands.support.last_run import Run

    flags = dict(
        flag[len("--dataset-") :].split("=", 1) for flag in Run.selected_by([*request.flags]).settings() if flag.startswith("--dataset-")
    )
    flags.pop("corrections", None)
    if "path" not in flags:
        raise InputError("The last run predicted no keypoint set of your own. Name the folder of the set with --dataset-path.")
    given = {name: value for name, value in vars(request.asked).items() if value and name != "path"}
    return Asked(**(flags | given))


def _written(labels: Labels, folder: Folder, request: Converted, *, same: bool) -> list[str]:
    """Writes beside the path and then renames, so that nothing incomplete is ever at the path."""
    try:
        request.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=request.out.parent, prefix=f".{request.out.stem[:50]}.") as place:
            draft = Path(place, request.out.name)
            if same:
                conversion.copied(labels, folder, draft)
                lost = []
            else:
                lost = conversion.converted(labels, folder, request.to, draft)
            draft.rename(request.out)
    except OSError as error:
        raise InputError(f"--out {printable(request.out)} could not be written: {files.reason(error)}. Name another path.") from None
    return lost
