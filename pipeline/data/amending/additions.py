"""Samples that label files do not have yet: new rows, annotations or files beside what is there."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.amending import tables
from pipeline.data.amending.edits import Edit, NoPlaceError, shown
from pipeline.data.amending.jsontext import JsonValue
from pipeline.data.formats import cells, deeplabcut, references, wide_csv, written
from pipeline.data.formats.catalogue import format_module
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels

# Adds instances to the text of a label file: the folder of the set, the file, its text, the instances, and how the format places keypoints.
Adding = Callable[[Folder, str, str, Sequence[Instance], Convention], Iterator[Edit]]
EACH_IMAGE = ("pts", "labelme", "image_json")  # formats with a label file for each image


def files(labels: Labels, new: Sequence[Instance], folder: Folder, at: Path) -> dict[str, Path]:
    """Writes the files of further images into the folder `at`, and returns them by the name that they have in the folder of the set.

    Raises NoPlaceError if one of them has a label file already.
    """
    images = tuple(LabelledImage(name) for name in dict.fromkeys(one.image for one in new))
    format_module(labels.format).write(replace(labels, images=images, instances=tuple(new)), folder, at)
    found = {path.relative_to(at).as_posix(): path for path in sorted(at.rglob("*")) if path.is_file()}
    if taken := set(found) & set(folder.files):
        raise NoPlaceError(f"{min(taken)} exists and has no instance.")
    return found


def to_wide_table(folder: Folder, file: str, text: str, new: Sequence[Instance], form: Convention) -> Iterator[Edit]:
    """The rows of a wide table."""
    header, *rows = cells.rows(folder.path(file))
    columns = wide_csv._columns(header.cells, header.place)
    known = references.images(folder, [row.cells[columns.image] for row in rows], file)
    for one in new:
        if one.image in known.values():
            raise NoPlaceError(f"{one.image} has an empty row.")
        line = [""] * len(header.cells)
        line[columns.image] = one.image
        if columns.instance is not None:
            line[columns.instance] = one.id
        for pair, point in zip(columns.points, _points(one, folder, form), strict=True):
            line[pair[0]], line[pair[1]] = point
        yield _line(text, line)


def to_deeplabcut(folder: Folder, file: str, text: str, new: Sequence[Instance], form: Convention) -> Iterator[Edit]:
    """The rows of a table of DeepLabCut's; an image whose row is empty keeps its row."""
    table = deeplabcut._read_table(folder, file)
    texts = ["/".join(cell for cell in row.cells[: table.index] if cell) for row in table.rows]
    known = {image: number for number, image in enumerate(references.images(folder, texts, file).values())}
    lines, (parts, *_) = tables.rows(text), table.columns.values()
    names = deeplabcut._body_parts(table)[0]
    width = len(table.rows[0].cells)
    for one in new:
        line = [""] * width
        line[: table.index] = ([""] * table.index + one.image.split("/"))[-table.index :] if table.index > 1 else [one.image]
        for name, point in zip(names, _points(one, folder, form), strict=True):
            line[parts[name][0]], line[parts[name][1]] = point
        if one.image not in known:
            yield _line(text, line)
            continue
        row = lines[tables.line_of(table.rows[known[one.image]].place)]
        yield from (Edit(cell.start, cell.end, value) for cell, value in list(zip(row, line, strict=True))[table.index :] if value)


def to_coco(folder: Folder, file: str, text: str, new: Sequence[Instance], form: Convention) -> Iterator[Edit]:
    """The annotations of a file of COCO's, and entries for images that it does not mention."""
    root = JsonValue(text, 1 if text.startswith("\ufeff") else 0).members
    images, annotations = root["images"], root["annotations"]
    known = references.images(folder, [entry["file_name"] for entry in images.value], file)
    numbers = {known[entry["file_name"]]: entry["id"] for entry in images.value}
    like = next((entry for entry in annotations.value if entry.get("keypoints")), None)
    if like is None or not all(isinstance(entry["id"], int) for entry in (*images.value, *annotations.value)):
        raise NoPlaceError("its identifiers are no numbers.")
    last_image, last = (max((entry["id"] for entry in values.value), default=0) for values in (images, annotations))
    for count, one in enumerate(new, 1):
        if one.image not in numbers:
            width, height = folder.size(one.image)
            numbers[one.image] = last_image = last_image + 1
            entry = {"id": last_image, "file_name": one.image, "width": width, "height": height}
            yield images.added(json.dumps(entry), images.items[-1])
        x, y, width_, height_ = written.plain(written.box(one))
        points: list[Any] = []
        for (px, py), occluded in zip(form.outwards(one.keypoints), one.occluded, strict=True):
            points += [0, 0, 0] if np.isnan(px) else [*written.plain([px, py]), 1 if occluded else 2]
        labelled = int((~np.isnan(one.keypoints[:, 0])).sum())
        entry = {"id": last + count, "image_id": numbers[one.image], "category_id": like["category_id"], "keypoints": points}
        entry |= {"num_keypoints": labelled, "bbox": [x, y, width_, height_], "area": round(width_ * height_, 4), "iscrowd": 0}
        yield annotations.added(json.dumps(entry), annotations.items[-1])


ADDERS: dict[str, Adding] = {"wide_csv": to_wide_table, "deeplabcut": to_deeplabcut, "coco": to_coco}


def _points(one: Instance, folder: Folder, form: Convention) -> list[tuple[str, str]]:
    """x and y of each keypoint as a table has them."""
    points = form.outwards(one.keypoints, folder.size(one.image)[1])
    return [("", "") if np.isnan(x) else (shown(x), shown(y)) for x, y in points.tolist()]


def _line(text: str, values: list[str]) -> Edit:
    """The edit that appends a row to a table, with the separator and the line ends that it has."""
    end = "\r\n" if "\r\n" in text else "\n"
    delimiter = tables.delimiter(text)
    row = delimiter.join(f'"{value}"' if delimiter in value or '"' in value else value for value in values)
    return Edit(len(text), len(text), f"{'' if text.endswith(end) else end}{row}{end if text.endswith(end) else ''}")
