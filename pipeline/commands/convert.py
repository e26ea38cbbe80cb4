"""`keypoints convert`: writes labels, with their corrections, or predictions in a label format."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.commands.support import sets
from pipeline.commands.support.sets import UnderstoodSet
from pipeline.data import conversion, predicted
from pipeline.data.amending.edits import NoPlaceError
from pipeline.data.amending.files import AmendedSet
from pipeline.data.corrections import Corrections
from pipeline.data.definition import Asked
from pipeline.data.formats.catalogue import KAGGLE, format_module
from pipeline.data.labels import Labels
from pipeline.data.ownset import OwnSet
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
    if request.to == KAGGLE:
        return _kaggles_table(request)
    predictions = _predictions(request)
    if predicted.are_in(predictions):
        found = sets.understood(_predicted_set(request))
        known = replace(found.labels, skeleton=found.keypointset.skeleton)
        labels = predicted.read(predictions, found.folder, known, found.convention)
        corrected = None
    else:
        corrections = _corrections(request)
        found = sets.understood(request.asked)
        own = OwnSet(found.definition, found.keypointset, found.labels, found.folder)
        corrected = AmendedSet(own, found.as_given, found.convention, corrections) if corrections.effective else None
        labels = corrected.labels if corrected else found.labels
    if request.source:
        labels = conversion.of_source(labels, request.source)
    same = found.has_the_names_of_its_files and not (request.source or labels.model) and request.to == found.as_given.format
    if not same:
        conversion.check_out(request.to, request.out, conversion.sources_of(labels))
    lost = _written(Content(labels, found, corrected, is_same=same), request)
    instances = counted(len(labels.instances), "instance")
    print(f"{instances} in {counted(len(labels.images), 'image')}: {printable(request.out)} ({request.to})")
    if same and not corrected:
        print("The labels are in this format already, so the label files were copied.")
    if lost:
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


@dataclass(frozen=True)
class Content:
    """What is written.

    labels: all of them. found: the set as its files have it. corrected: the set with corrections, if there are any. is_same: whether the
    label files have the format that is written.
    """

    labels: Labels
    found: UnderstoodSet
    corrected: AmendedSet | None
    is_same: bool

    def write(self, to: str, out: Path, place: Path) -> list[str]:
        """Writes labels in the format `to` at `out`, and returns what is lost. place: a folder for files that are used meanwhile.

        Label files of the same format keep every byte but those of the corrected values.
        """
        if self.is_same and not self.corrected:
            conversion.copied(self.found.as_given, self.found.folder, out)
            return []
        if self.is_same and self.corrected:
            try:
                return self.corrected.write(out, place)
            except NoPlaceError as error:
                print(f"The labels were written anew, because {error}")
        return conversion.converted(self.labels, self.found.folder, to, out)


def _corrections(request: Converted) -> Corrections:
    """The corrections of labels, which lie in the workspace or where --dataset-corrections says. Says how many there are."""
    from pipeline.commands.support.last_run import Run
    from pipeline.tasks.corrected import corrected_dataset

    if others := [flag for flag in request.flags if not flag.startswith(("--dataset-corrections=", "--workspace-root="))]:
        raise InputError(f"{others[0]} selects a run, but the labels of a set belong to none. Leave it out.")
    with Run([*request.flags]).in_force():
        found = corrected_dataset().label_corrections()
    if found.note:
        print(f"warning: {found.note}", file=sys.stderr)
    if found.effective:
        print(f"{counted(len(found.effective), 'correction')} of labels from {printable(found.path)}")
    return found


def _kaggles_table(request: Converted) -> int:
    """Writes Kaggle's training table with corrected labels. Returns 0."""
    from pipeline.data.formats import archives
    from pipeline.tasks import labelfiles

    table = archives.find_file(Path(request.asked.path), "training")
    if table is None:
        raise InputError(f"{printable(request.asked.path)} has no training table of Kaggle's. Only such a table is written as one.")
    if request.out.suffix.lower() != ".csv":
        raise InputError(f"--out {printable(request.out)}: Kaggle's table is a file that ends in .csv. Name such a file.")
    corrections = _corrections(request)
    with _beside(request) as draft:
        labelfiles.write_training_table(table, draft, corrections)
    print(f"{printable(request.out)} (kaggle)")
    return 0


def _written(content: Content, request: Converted) -> list[str]:
    """Writes the labels and returns what is lost."""
    with _beside(request) as draft:
        return content.write(request.to, draft, draft.parent)


@contextlib.contextmanager
def _beside(request: Converted) -> Iterator[Path]:
    """Yields a path beside that of the request, which is renamed to it, so that nothing incomplete is ever there."""
    try:
        request.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=request.out.parent, prefix=f".{request.out.stem[:50]}.") as place:
            draft = Path(place, request.out.name)
            yield draft
            draft.rename(request.out)
    except OSError as error:
        raise InputError(f"--out {printable(request.out)} could not be written: {files.reason(error)}. Name another path.") from None
