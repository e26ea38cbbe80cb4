"""`keypoints annotate`: keypoints on the user's own photographs, by the nets of the last run."""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline import units
from pipeline.data.formats import images
from pipeline.errors import InputError
from pipeline.geometry import crops
from pipeline.inference import detection
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.results.annotations import Annotated, draw, pictures, save_picture, shown, write_csv, write_json
from pipeline.store.run.stage import Stage
from pipeline.store.workspace import files
from pipeline.store.workspace.console import Progress
from pipeline.tasks.results import Predict
from pipeline.tasks.sections import dataset, device

TABLES = {"csv": write_csv, "json": write_json}
# Pixels of the nets' input between what the base net and the specialists say, above which there is no face. 99 of 100 faces have at most
# 1.3; the first percentile of the 17 finds of the detector on pictures without a face is 2.7 (bench/framing.py).
DOUBTFUL = 1.5
# Photographs for each chain of nets that are in work together: only their faces are in memory, and a kill costs no more of the table.
# To look for their faces takes 40 to 200 s of one core, to build the nets for them 5 s.
BLOCK = 100
NO_FACES = np.zeros((0, 4)), np.zeros((0, len(KAGGLE.names), 2), np.float32)


def run(options, stages: list[Stage], command: str) -> int:
    """Writes pictures and a table into a folder. 0; 1 if a photograph could not be read or none has a face; 130 when interrupted.

    command: the one that makes the nets, to be told where there are none.
    """
    photos, box = images.listed(options.photos), _box(options.box)
    if box and len(photos) != 1:
        raise InputError(f"--box is for one photograph, here are {len(photos)}.")
    targets, table = pictures(photos, options.out), options.out / f"keypoints.{options.format}"
    _check_folder(options.out, photos, targets)
    (predict,) = (stage for stage in stages if isinstance(stage, Predict))
    chains = _finished(predict, command)
    done: list[Annotated] = []
    try:
        with Progress("finding faces", len(photos), "photo") as progress:
            for block in _blocks(len(photos), BLOCK * len(chains)):
                try:
                    found = [_found(photo, box) for photo in progress.over(photos[block])]
                    annotated = _predict(found, chains, predict.base_share, sure=bool(box))
                    _make(options.out)
                    _write_pictures(annotated, targets[block], done)
                finally:
                    _write_table(table, done)
    except KeyboardInterrupt:
        finished = f"{len(done):,} of {units.counted(len(photos), 'photograph')} are finished"
        print(f"Interrupted. {finished}{_where(options.out) if done else '.'}")
        return 130
    if not dataset().folder():
        print("The nets know drawn faces alone. For photographs, train them on Kaggle's: see --dataset-path.")
    return _report(done, options.out)


# Before the work


def _box(text: str | None) -> tuple[float, ...] | None:
    if text and not re.fullmatch(r"\d+(\.\d*)?(,\d+(\.\d*)?){3}", text):
        raise InputError(
            f"--box {text}: write four numbers from 0, X,Y,WIDTH,HEIGHT, with commas and without blanks, such as 175,66,101,101."
        )
    return tuple(map(float, text.split(","))) if text else None


def _finished(predict: Predict, command: str) -> list[list[Stage]]:
    """The base net and its specialists of each chain; InputError unless all are there."""
    chains = [[chain["base"], *chain["specialists"].values()] for chain in predict.requires()["chains"]]
    if missing := [net.address for chain in chains for net in chain if not net.complete()]:
        raise InputError(
            f"there are no finished nets to predict with: {len(missing)} of {sum(map(len, chains))} are missing or stale,"
            f" {missing[0]} first (keypoints status says why). This makes them: {command}"
        )
    return chains


def _check_folder(folder: Path, photos: list[Path], targets: list[Path]) -> None:
    """InputError where a file would be written over that this command did not write."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file; name a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / f"keypoints.{kind}").exists() for kind in TABLES):
        raise InputError(f"--out {folder} has files in it that keypoints annotate did not write: name a new or an empty folder.")
    # Not only when a thousand photographs have been looked through.
    if not os.access(next(place for place in (folder, *folder.resolve().parents) if place.exists()), os.W_OK):
        raise InputError(f"--out {folder} cannot be written: permission denied.")
    inputs = {photo.resolve() for photo in photos}
    if over := [target for target in targets if target.resolve() in inputs]:
        raise InputError(f"{over[0]} is one of the photographs, and --out would write over it: name another folder.")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder} cannot be made: {error.strerror}.") from None


# The work


def _blocks(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


def _found(path: Path, box: tuple | None) -> tuple[Annotated, np.ndarray]:
    """The photograph with what may be faces in it, and the crops of those, uint8 (n, side, side)."""
    try:
        photo = images.read(path)
    except InputError as error:
        return Annotated(path, (0, 0), *NO_FACES, error=f"{error}"), crops.crop(None, np.zeros((0, 3)), SIDE)
    boxes = _inside(box, photo.size) if box else detection.find(photo)[:, [0, 1, 2, 2]]
    return Annotated(path, photo.size, boxes, NO_FACES[1]), crops.crop(photo, _seen(boxes), SIDE)


def _inside(box: tuple, size: tuple[int, int]) -> np.ndarray:
    x, y, width, height = box
    if min(width, height) < 1 or x + width > size[0] or y + height > size[1]:
        given = ",".join(f"{value:g}" for value in box)
        raise InputError(f"--box {given} is not at least a pixel and within the photograph's {size[0]} x {size[1]} pixels.")
    return np.array([box])


def _seen(boxes: np.ndarray) -> np.ndarray:
    """The squares (n, 3) that the nets see of boxes (n, 4)."""
    return crops.scaled(crops.around(boxes), detection.FRAME)


def _predict(found: list[tuple[Annotated, np.ndarray]], chains: list[list[Stage]], base_share: float, *, sure: bool) -> list[Annotated]:
    """The photographs with the faces that the nets agree on, or all if they are `sure` to be some, and their keypoints."""
    cropped = np.concatenate([crop for _, crop in found])
    if not len(cropped):
        return [annotated for annotated, _ in found]
    keypoints, doubt = _look(cropped, chains, base_share)
    result, start = [], 0
    for annotated, own in found:
        rows = slice(start, start := start + len(own))
        result.append(_with_faces(annotated, keypoints[rows], np.where(sure, 0, doubt[rows])))
    return result


def _look(cropped: np.ndarray, chains: list[list[Stage]], base_share: float) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (n, K, 2) in the crops, by the widest label source's convention, and how far apart the nets are (n,); chains' means."""
    from pipeline.nets import device as devices

    devices.prepare(seed=0, threads=device().threads)
    from pipeline.inference import ensemble, prediction
    from pipeline.nets.trained import Trained

    keypoints, doubt = [], []
    with Progress("predicting", sum(map(len, chains)), "net") as progress:
        for chain in chains:
            nets = [net.output().load(Trained) for net in chain]
            answers = prediction.predict_chain(progress.over(nets), cropped, np.zeros(len(cropped), int), KAGGLE)
            keypoints.append(ensemble.combined(nets, answers, base_share=base_share))
            doubt.append(ensemble.disagreement(nets, answers))
    return np.mean(keypoints, axis=0), np.mean(doubt, axis=0)


def _with_faces(annotated: Annotated, keypoints: np.ndarray, doubt: np.ndarray) -> Annotated:
    placed = crops.to_photo(keypoints, _seen(annotated.boxes), SIDE)
    faces = [face for face in detection.distinct(crops.around(annotated.boxes), placed, doubt) if doubt[face] <= DOUBTFUL]
    return replace(annotated, boxes=annotated.boxes[faces], keypoints=placed[faces])


def _write_pictures(annotated: list[Annotated], targets: list[Path], done: list[Annotated]) -> None:
    """Draws what has faces; appends each photograph to `done` when it is."""
    with Progress("drawing", len(annotated), "photo") as progress:
        for one, target in progress.over(zip(annotated, targets, strict=True)):
            done.append(_drawn(one, target) if len(one.boxes) else one)


def _drawn(annotated: Annotated, target: Path) -> Annotated:
    try:
        photo = images.read(annotated.photo)
    except InputError as error:  # it was there a minute ago
        return Annotated(annotated.photo, (0, 0), *NO_FACES, error=f"{error}")
    with files.publishing(target) as draft:
        save_picture(draw(photo, annotated.boxes, annotated.keypoints), draft)
    return replace(annotated, picture=target)


def _write_table(table: Path, done: list[Annotated]) -> None:
    if done:
        with files.publishing(table) as draft:
            TABLES[table.suffix[1:]](draft, done, KAGGLE.names)


# What it says


def _report(done: list[Annotated], folder: Path) -> int:
    unread, faces = [one for one in done if one.error], sum(len(one.boxes) for one in done)
    for one in done:
        if not one.error and not len(one.boxes):
            print(f"no face found: {shown(one.photo)}")
    for one in unread:
        print(f"not read: {one.error}")
    found = f"{units.counted(faces, 'face')} in {sum(bool(one.picture) for one in done):,} of {units.counted(len(done), 'photograph')}"
    lost = f", {len(unread):,} could not be read" if unread else ""
    print(f"{found}{lost}{_where(folder)}")
    return 1 if unread or not faces else 0


def _where(folder: Path) -> str:
    return f"; pictures and table: {shown(folder)}"
