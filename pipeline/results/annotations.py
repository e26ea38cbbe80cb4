"""Keypoints on a user's photographs: as drawings and as tables. All positions are in pixels of the upright photograph."""

import csv
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.results.annotated_block import shown
from pipeline.results.annotating import Annotated
from pipeline.units import printable

# Radius of a dot, width of a line and height of a number, each as a fraction of the size of the instance, and the smallest of each in
# pixels.
DOT, SMALLEST_DOT = 0.02, 1.2
# A dot's radius is also at most this share of the distance to the nearest keypoint, as the median over all keypoints.
OF_SPACING = 0.2
LINE, SMALLEST_LINE = 0.012, 1
NUMBER, SMALLEST_NUMBER = 0.22, 12
# The size of an instance is the longer side of its box, but at most this multiple of the extent of its keypoints, because the box may be
# the whole photograph; and at least this share of the side, because one keypoint has no extent.
OF_EXTENT, OF_BOX = 2, 0.25
MANY = 20  # of more keypoints than this, each dot is smaller, so that they cover no more of the picture
COLOUR, RIM = "#28e5ff", "#101820"
JPEG = (".jpg", ".jpeg")
LONGEST_NAME = 255  # bytes


# Pictures


def pictures(photos: list[Path], folder: Path) -> list[Path]:
    """The file for the drawing of each photograph: NAME.jpg for a JPEG, else NAME.png; a number is added to a name that is taken."""
    taken: set[str] = set()
    return [folder / _free(photo, taken) for photo in photos]


def _free(photo: Path, taken: set[str]) -> str:
    suffix, number = photo.suffix if photo.suffix.lower() in JPEG else ".png", 1
    name = _joined(photo.stem, suffix)
    # On some file systems A.png and a.png are the same file.
    while name.casefold() in taken:
        number += 1
        name = _joined(photo.stem, f"-{number}{suffix}")
    taken.add(name.casefold())
    return name


def _joined(stem: str, end: str) -> str:
    """A file name that begins with as much of the stem as file systems allow."""
    while len(os.fsencode(stem + end)) > LONGEST_NAME:
        stem = stem[:-1]
    return stem + end


def draw(photo: Image.Image, boxes: np.ndarray, keypoints: np.ndarray, lines: tuple[tuple[int, int], ...] = ()) -> Image.Image:
    """The photograph with a rimmed dot at each keypoint, visible on light and dark; several instances are numbered from 1.

    boxes (n, 4) and keypoints (n, K, 2) are those of Annotated; NaN is not drawn. lines: pairs of keypoints, counted from 0, that are
    joined by a line.
    """
    picture = photo.copy()
    for number, (box, given) in enumerate(zip(boxes, keypoints, strict=True), start=1):
        points = given[~np.isnan(given).any(axis=1)]
        if not len(points):
            continue
        size = _size(box, points)
        _join(picture, given, lines, size)
        radius = max(SMALLEST_DOT, min(DOT * size * min(1, MANY / len(points)) ** 0.5, OF_SPACING * _spacing(points)))
        for point in points:
            _disc(picture, point, 1.45 * radius, RIM)
            _disc(picture, point, radius, COLOUR)
        if len(boxes) > 1:
            _number(picture, box, number)
    return picture


def _size(box: np.ndarray, points: np.ndarray) -> float:
    """The size of an instance with this box (4,) and these keypoints (K, 2), pixels; see OF_EXTENT."""
    side, extent = float(box[2:].max()), float(np.ptp(points, axis=0).max())
    return max(OF_BOX * side, min(side, OF_EXTENT * extent))


def _spacing(points: np.ndarray) -> float:
    """The median distance of keypoints (K, 2) from their nearest neighbours, pixels; infinite for a single one."""
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(axis=1)))


def _join(picture: Image.Image, points: np.ndarray, lines: tuple[tuple[int, int], ...], size: float) -> None:
    """Draws a rimmed line between each pair of keypoints."""
    width, pen = max(SMALLEST_LINE, round(LINE * size)), ImageDraw.Draw(picture)
    for extra, colour in ((2, RIM), (0, COLOUR)):
        for one, other in lines:
            if not np.isnan(points[[one, other]]).any():
                pen.line([*points[one].tolist(), *points[other].tolist()], fill=colour, width=width + extra)


def _disc(picture: Image.Image, centre: np.ndarray, radius: float, colour: str) -> None:
    """Paints a disc; the pixels at its edge are blended by the share of them that it covers."""
    corner = np.floor(centre - radius).astype(int) - 1
    x, y = (corner[:, None] + np.arange(int(2 * radius) + 5) + 0.5) - centre[:, None]
    cover = np.clip(radius + 0.5 - np.hypot(x, y[:, None]), 0, 1)
    picture.paste(colour, tuple(corner.tolist()), Image.fromarray((255 * cover).astype(np.uint8)))


def _number(picture: Image.Image, box: np.ndarray, number: int) -> None:
    """Writes the instance's number above its box, or into the box where there is no room above it."""
    height = max(SMALLEST_NUMBER, NUMBER * box[2:].max())
    place = box[0] + box[2] / 2, max(box[1], height)
    font = ImageFont.load_default(size=height)
    ImageDraw.Draw(picture).text(
        place, str(number), fill=COLOUR, font=font, anchor="mb", stroke_width=max(1, round(height / 12)), stroke_fill=RIM
    )


def save_picture(picture: Image.Image, path: Path) -> None:
    """Writes a picture as JPEG or PNG, by the suffix of its path, with the photograph's colour profile."""
    options: dict[str, Any] = {"quality": 92, "subsampling": 0} if path.suffix.lower() in JPEG else {}
    picture.save(path, icc_profile=picture.info.get("icc_profile"), **options)


# Words


def most_uncertain(found: list[Annotated], names: tuple[str, ...], noun: str) -> str:
    """The mean of the expected errors and the largest one with its place, in words; "" if they are not known.

    noun: what an instance is called.
    """
    known = [(one, one.expected) for one in found if one.expected is not None and len(one.boxes)]
    if not known:
        return ""
    one, errors = max(known, key=lambda pair: pair[1].max())
    instance, keypoint = np.unravel_index(errors.argmax(), errors.shape)
    mean = np.concatenate([expected for _, expected in known]).mean()
    where = f"{names[keypoint]} of {noun} {instance + 1} in {printable(one.photo)}"
    return f"expected error: {mean:.2f} px in the mean, at most {errors.max():.2f} px ({where})"


# Tables


def columns(names: tuple[str, ...], noun: str, *, expected: bool) -> list[str]:
    """The columns of the table of instances: photo, number, box, NAME_x and NAME_y of each keypoint, NAME_expected_error if `expected`."""
    positions = [f"{name}_{axis}" for name in names for axis in "xy"]
    errors = [f"{name}_expected_error" for name in names] if expected else []
    return ["photo", noun, *(f"{noun}_{name}" for name in ("x", "y", "width", "height")), *positions, *errors]


def rows(found: Iterable[Annotated]) -> Iterator[list[Any]]:
    """Yields the rows of the table of instances: text, int, and floats in pixels."""
    for annotated in found:
        expected = np.zeros((len(annotated.boxes), 0)) if annotated.expected is None else annotated.expected
        own = zip(annotated.boxes, annotated.keypoints, expected, strict=True)
        for number, (box, points, errors) in enumerate(own, start=1):
            yield [shown(annotated.photo), number, *np.concatenate([box, points.ravel(), errors]).tolist()]


def expects_errors(found: Iterable[Annotated]) -> bool:
    """Whether the expected errors of the instances are known."""
    return any(annotated.expected is not None for annotated in found if len(annotated.boxes))


def write_csv(path: Path, found: list[Annotated], names: tuple[str, ...], noun: str) -> None:
    """Writes a row for each instance: photograph, number, box, NAME_x and NAME_y of each keypoint, with two decimals.

    If expected errors are known, NAME_expected_error of each keypoint follows.
    noun: what an instance is called in the header, such as face.
    """
    write_rows(path, columns(names, noun, expected=expects_errors(found)), rows(found))


def write_rows(path: Path, header: list[str], table: Iterable[list[Any]]) -> None:
    """Writes rows as they come to a CSV file; floats get two decimals."""
    with path.open("w", encoding="utf-8", newline="") as file:
        written = csv.writer(file, lineterminator="\n")
        written.writerow(header)
        written.writerows([f"{value:.2f}" if isinstance(value, float) else value for value in row] for row in table)


def write_json(path: Path, found: list[Annotated], names: tuple[str, ...], noun: str) -> None:
    """Writes a list of all photographs with their instances, including those without any or with an error, with two decimals.

    noun: what an instance is called, such as face; its plural is the name of the lists.
    """
    path.write_text(json.dumps([_record(annotated, names, noun) for annotated in found], indent=1) + "\n", encoding="utf-8")


def _record(annotated: Annotated, names: tuple[str, ...], noun: str) -> dict[str, Any]:
    if annotated.error and not len(annotated.boxes):
        return {"photo": shown(annotated.photo), "error": annotated.error}
    boxes, keypoints = (np.round(values.astype(np.float64), 2).tolist() for values in (annotated.boxes, annotated.keypoints))
    return {
        "photo": shown(annotated.photo),
        **({"error": annotated.error} if annotated.error else {}),
        "width": annotated.size[0],
        "height": annotated.size[1],
        "picture": shown(annotated.picture) if annotated.picture else None,
        f"{noun}s": [
            {"box": box, "keypoints": dict(zip(names, points, strict=True)), **more}
            for box, points, more in zip(boxes, keypoints, _expected(annotated, names), strict=True)
        ],
    }


def _expected(annotated: Annotated, names: tuple[str, ...]) -> list[dict[str, dict[str, float]]]:
    """What a record says about the expected errors of each instance: nothing if they are not known."""
    if annotated.expected is None:
        return [{}] * len(annotated.boxes)
    rounded = np.round(annotated.expected.astype(np.float64), 2).tolist()
    return [{"expected_errors": dict(zip(names, errors, strict=True))} for errors in rounded]
