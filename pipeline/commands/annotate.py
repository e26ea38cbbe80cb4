"""`keypoints annotate`: predicts the keypoints of the user's own photographs with finished nets.

For nets that were trained on faces, a detector finds the faces. For others each photograph is one instance, unless the user gives its box.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import units
from pipeline.commands.support import chains, loading
from pipeline.commands.support.finished_blocks import FOLDER, FinishedBlocks
from pipeline.data.formats import images, photographs
from pipeline.errors import InputError
from pipeline.inference import detection, instances
from pipeline.inference.detectors import yunet
from pipeline.inference.loaded import LoadedNets, PredictedCrops
from pipeline.results import annotated_block
from pipeline.results.annotated_block import AnnotatedBlock
from pipeline.results.annotating import BLOCK, Annotated, Annotator, of_kept
from pipeline.results.annotations import draw, most_uncertain, pictures, save_picture, write_csv, write_json
from pipeline.store.run.stage import Stage
from pipeline.store.workspace import files
from pipeline.store.workspace.console import Progress
from pipeline.tasks.results import Predict
from pipeline.tasks.sections import device

TABLES = {"csv": write_csv, "json": write_json}


@dataclass(frozen=True)
class Request:
    """What the user asks for: photographs or folders of them, the output folder, a box X,Y,WIDTH,HEIGHT or None, and csv or json.

    nets: files of nets or artifacts whose nets predict, given as for `addresses.locate`; () for those of the selected run. doubt:
    the largest disagreement of the nets with which a detection is taken for a face, as a fraction of the side of what they see; None for
    the default.
    """

    photos: list[Path]
    out: Path
    box: str | None
    table_format: str
    nets: tuple[str, ...] = ()
    doubt: float | None = None

    @property
    def table(self) -> Path:
        """The file of the table of coordinates."""
        return self.out / f"keypoints.{self.table_format}"


@dataclass(frozen=True)
class Job:
    """A request that can be carried out: the photographs, a picture to write for each, the box, and the nets.

    doubt: the largest disagreement of the nets about a face, as a fraction of the side of what they see.
    """

    photos: list[Path]
    targets: list[Path]
    box: tuple[float, ...] | None
    chosen: loading.Chosen
    doubt: float

    @property
    def nets(self) -> LoadedNets:
        """The nets that predict."""
        return self.chosen.nets

    @property
    def annotator(self) -> Annotator:
        """What finds the instances in the photographs and predicts their keypoints."""
        return Annotator(self.nets, self.box, self.doubt, lambda crops: _predict_crops(crops, self))

    @property
    def detects(self) -> bool:
        """Whether a detector finds the instances."""
        return self.annotator.detects

    @property
    def made_from(self) -> list[Any]:
        """What the predictions depend on besides the photographs."""
        detector = detection.advice() if self.detects else ""
        return [self.chosen.key, self.box, self.doubt, detector]

    @property
    def said(self) -> list[str]:
        """What the user should know before the work begins."""
        alone = self.detects and all(len(chain) == 1 for chain in self.nets.chains)
        return [
            *self.chosen.said,
            *([advice] if self.detects and (advice := detection.advice()) else []),
            *(["A single net cannot reject false detections of faces."] if alone else []),
        ]

    @property
    def step(self) -> str:
        """What is done with each photograph before the nets see it."""
        return "finding faces" if self.detects else "reading"

    @property
    def blocks(self) -> list[slice]:
        """Which photographs are processed together."""
        return [slice(start, start + BLOCK) for start in range(0, len(self.photos), BLOCK)]


def run(request: Request, stages: list[Stage], command: str, predicted: Path | None = None) -> int:
    """Writes a picture for each photograph with instances, and a table of their keypoints, into the output folder.

    `command` is the one that trains the nets; it is shown if there are none. `predicted` is what the selected run has predicted, see
    `chains.of_run`. Returns the exit code: 0, 1 if a photograph cannot be read or
    none contains an instance, or 130 after an interrupt. Raises InputError for a request that cannot be carried out.
    """
    job = _prepared(request, stages, command, predicted)
    if job.detects:
        yunet.use_threads(device().threads)
    for line in (*photographs.advice(photographs.convertible(request.photos)), *job.said):
        print(line)
    done: list[Annotated] = []
    try:
        _annotate(job, request, done)
    except KeyboardInterrupt:
        finished = f"{len(done):,} of {units.counted(len(job.photos), 'photograph')} are finished"
        print(f"Interrupted. {finished}{_continued(request.out)}{_where(request.out) if done else '.'}")
        return 130
    if job.chosen.only_drawn:
        print("These nets were trained only on synthetic faces. To annotate photographs, train nets on Kaggle's faces: see --dataset-path.")
    if earlier := _earlier(request, done):
        what = f"{units.counted(len(earlier), 'file')} of earlier commands, such as {units.printable(earlier[0])}"
        print(
            f"{units.printable(request.out)} also contains {what}; {request.table.name} does not list them. Keep them apart with --out DIR."
        )
    if job.detects:
        print(_dropped(done, job.doubt))
    return _summarise(done, request.out, job.nets)


# Before the work


def _prepared(request: Request, stages: list[Stage], command: str, predicted: Path | None) -> Job:
    """The job; InputError for whatever would make it fail later."""
    photos, box = photographs.listed(request.photos), _box(request.box)
    if box and len(photos) != 1:
        raise InputError(f"--box is for a single photograph, but there are {len(photos)}.")
    targets = pictures(photos, request.out)
    _check_folder(request.out, photos, targets)
    if request.nets:
        found = loading.chosen(list(request.nets), stages)
    else:
        (predict,) = (stage for stage in stages if isinstance(stage, Predict))
        found = loading.of_files(chains.of_run(predict, predicted, command))
    return Job(photos, targets, box, found, instances.DOUBTFUL if request.doubt is None else request.doubt)


def _box(text: str | None) -> tuple[float, ...] | None:
    if text and not re.fullmatch(r"\d+(\.\d*)?(,\d+(\.\d*)?){3}", text):
        raise InputError(f"--box {text}: write X,Y,WIDTH,HEIGHT, four numbers of at least 0 without blanks, such as 175,66,101,101.")
    return tuple(map(float, text.split(","))) if text else None


def _check_folder(folder: Path, photos: list[Path], targets: list[Path]) -> None:
    """InputError if the folder cannot be written, or if a file would be overwritten that this command did not write."""
    name = f"--out {units.printable(folder)}"
    try:
        if os.path.lexists(folder) and not folder.is_dir():
            raise InputError(f"{name} is not a folder; name a new or an empty folder.")
        own = (FOLDER, *(f"keypoints.{kind}" for kind in TABLES))
        if folder.is_dir() and any(folder.iterdir()) and not any((folder / name).exists() for name in own):
            raise InputError(f"{name} contains files that `keypoints annotate` did not write; name a new or an empty folder.")
        # Checked now, and not after a thousand photographs have been searched for faces.
        if not os.access(next(place for place in (folder, *folder.resolve().parents) if place.exists()), os.W_OK):
            raise InputError(f"{name} cannot be written to: permission denied.")
    except OSError as error:
        raise InputError(f"{name} cannot be used: {files.reason(error)}. Name another folder.") from None
    inputs = {os.path.realpath(photo) for photo in photos}
    if over := [target for target in targets if os.path.realpath(target) in inputs]:
        raise InputError(f"{units.printable(over[0])} is one of the photographs, which --out would overwrite; name another folder.")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {units.printable(folder)} cannot be created: {files.reason(error)}.") from None


# The work


def _annotate(job: Job, request: Request, done: list[Annotated]) -> None:
    """Annotates block after block; appends each photograph to `done` when it is finished. The table lists what is finished."""
    # A command with a single block has nothing to continue with.
    finished = FinishedBlocks(request.out, job.made_from if len(job.blocks) > 1 else [])
    with Progress(job.step, len(job.photos), "photo") as progress:
        for block in job.blocks:
            photos, targets = job.photos[block], job.targets[block]
            kept = finished.path(photos, targets) if len(job.blocks) > 1 else None
            try:
                if kept and (stored := finished.load(kept)):
                    progress.skip(progress.done + len(photos))
                    done += _restored(stored, photos, targets, job.nets)
                    continue
                annotated = job.annotator.annotated(job.annotator.seen(photo, photo) for photo in progress.over(photos))
                _make(request.out)
                drawn: list[Annotated] = []
                try:
                    _write_pictures(annotated, targets, job.nets, drawn)
                finally:
                    done += drawn
                if kept and not any(one.error and len(one.boxes) for one in drawn):
                    finished.save(kept, annotated_block.stored(drawn, job.nets.keypointset.names, job.nets.noun))
            finally:
                _write_table(request.table, done, job.nets)
    finished.drop()


def _restored(stored: AnnotatedBlock, photos: Sequence[Path], targets: Sequence[Path], nets: LoadedNets) -> list[Annotated]:
    """The photographs of a block that an earlier command has finished; pictures that are missing now are drawn again."""
    found = annotated_block.restored(stored, photos)
    return [
        one if one.error or not len(one.boxes) else replace(one, picture=target) if target.is_file() else _drawn(one, target, nets)
        for one, target in zip(found, targets, strict=True)
    ]


def _predict_crops(cropped: np.ndarray, job: Job) -> PredictedCrops:
    """The predictions for crops. The keypoints follow the convention of the nets' annotation source."""
    from pipeline.nets import device as devices

    devices.prepare(seed=0, threads=device().threads)
    with Progress("predicting", sum(map(len, job.nets.chains)), "net") as progress:
        return job.nets.predict(cropped, progress.add, keep=of_kept(job.nets))


def _write_pictures(annotated: list[Annotated], targets: list[Path], nets: LoadedNets, done: list[Annotated]) -> None:
    """Draws the photographs that have instances; appends each photograph to `done` when that is finished."""
    with Progress("drawing", len(annotated), "photo") as progress:
        for one, target in progress.over(zip(annotated, targets, strict=True)):
            done.append(_drawn(one, target, nets) if len(one.boxes) else one)


def _drawn(annotated: Annotated, target: Path, nets: LoadedNets) -> Annotated:
    """The photograph with its picture; with an error if that fails only for this photograph. Raises InputError if the disk is full."""
    try:
        photo = images.read_photograph(annotated.photo)
        boxes, keypoints = annotated.boxes / photo.reduction, annotated.keypoints / photo.reduction
        picture = draw(photo.image, boxes, keypoints, nets.lines)
    except (images.UnreadableError, MemoryError) as error:  # it could be read a minute ago
        return replace(annotated, error=f"{error or units.printable(annotated.photo)}")
    try:
        with files.publishing(target) as draft:
            save_picture(picture, draft)
    except (OSError, ValueError, MemoryError) as error:
        why = files.reason(error) if isinstance(error, OSError) else f"{error or type(error).__name__}"
        return replace(annotated, error=f"{units.printable(target)} could not be written: {why}")
    return replace(annotated, picture=target)


def _write_table(table: Path, done: list[Annotated], nets: LoadedNets) -> None:
    if not done:
        return
    try:
        with files.publishing(table) as draft:
            TABLES[table.suffix[1:]](draft, done, nets.keypointset.names, nets.noun)
    except OSError as error:
        raise InputError(f"{units.printable(table)} could not be written: {files.reason(error)}.") from None


# What it prints


def _summarise(done: list[Annotated], folder: Path, nets: LoadedNets) -> int:
    noun = nets.noun
    instances, bad = sum(len(one.boxes) for one in done), [one for one in done if one.error]
    unread = [one for one in bad if not len(one.boxes)]
    for one in done:
        if one.reduction > 1:
            size = f"{one.size[0]:,} x {one.size[1]:,} pixels"
            print(f"reduced: {units.printable(one.photo)} has {size}; its picture has 1/{one.reduction} of its width and height")
        if not one.error and not len(one.boxes):
            print(f"no {noun} found: {units.printable(one.photo)}")
    if uncertain := most_uncertain(done, nets.keypointset.names, noun):
        print(uncertain)
    for one in bad:
        print(f"not {'drawn' if len(one.boxes) else 'readable'}: {one.error}")
    found = f"{units.counted(instances, noun)} in {sum(bool(len(one.boxes)) for one in done):,} of {units.counted(len(done), 'photograph')}"
    lost = f", {len(unread):,} could not be read" if unread else ""
    undrawn = f", {len(bad) - len(unread):,} could not be drawn" if len(bad) > len(unread) else ""
    print(f"{found}{lost}{undrawn}{_where(folder)}")
    return 1 if bad or not instances else 0


def _dropped(done: list[Annotated], limit: float) -> str:
    """A sentence about the detections that were not taken for faces."""
    doubts = [(doubt, one.photo) for one in done for doubt in one.dropped]
    said = f"{units.counted(len(doubts), 'detection')} left out because the nets disagree by more than {limit:.1%} of their crop's side"
    if not doubts:
        return f"{said}."
    least, photo = min(doubts)
    return f"{said}; the smallest disagreement among them is {least:.1%}, in {units.printable(photo)}. Change the limit with --doubt."


def _earlier(request: Request, done: list[Annotated]) -> list[str]:
    """The names of the files in the output folder that this command did not write."""
    own = {request.table.name, *(one.picture.name for one in done if one.picture)}
    found = request.out.iterdir() if request.out.is_dir() else ()
    return sorted(path.name for path in found if path.name not in own and path.is_file() and not path.name.startswith("."))


def _where(folder: Path) -> str:
    return f"; pictures and table: {units.printable(folder)}"


def _continued(folder: Path) -> str:
    """The part of a sentence about how to go on, if there are finished blocks."""
    return ", and the same command continues there" if (folder / FOLDER).is_dir() else ""
