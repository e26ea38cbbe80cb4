"""Keypoints on a user's photographs: drawn into them, and as a table. Pixels of the upright photograph throughout."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Radius of a dot and height of a number, in sides of the face's box; and in pixels at least.
DOT, SMALLEST_DOT = 0.02, 1.2
NUMBER, SMALLEST_NUMBER = 0.22, 12
COLOUR, RIM = "#28e5ff", "#101820"
JPEG = (".jpg", ".jpeg")


@dataclass(frozen=True)
class Annotated:
    """A photograph and its n faces: boxes float64 (n, 4), x, y, width, height; keypoints (n, K, 2).

    size: width and height. picture: where they are drawn, None without faces. error: why the photograph could not be used, or "".
    """

    photo: Path
    size: tuple[int, int]
    boxes: np.ndarray
    keypoints: np.ndarray
    picture: Path | None = None
    error: str = ""


# Pictures


def pictures(photos: list[Path], folder: Path) -> list[Path]:
    """Where each photograph's picture goes: NAME.jpg for a JPEG, else NAME.png, and a number for a name that is taken."""
    taken: set[str] = set()
    return [folder / _free(photo, taken) for photo in photos]


def _free(photo: Path, taken: set[str]) -> str:
    suffix, number = photo.suffix if photo.suffix.lower() in JPEG else ".png", 1
    name = f"{photo.stem}{suffix}"
    # Some file systems take A.png and a.png for one file.
    while name.casefold() in taken:
        number += 1
        name = f"{photo.stem}-{number}{suffix}"
    taken.add(name.casefold())
    return name


def draw(photo: Image.Image, boxes: np.ndarray, keypoints: np.ndarray) -> Image.Image:
    """The photograph with a dot for each keypoint, rimmed to be seen on light and dark; several faces are numbered from 1."""
    picture = photo.copy()
    for number, (box, points) in enumerate(zip(boxes, keypoints, strict=True), start=1):
        radius = max(SMALLEST_DOT, DOT * box[2:].max())
        for point in points:
            _disc(picture, point, 1.45 * radius, RIM)
            _disc(picture, point, radius, COLOUR)
        if len(boxes) > 1:
            _number(picture, box, number)
    return picture


def _disc(picture: Image.Image, centre: np.ndarray, radius: float, colour: str) -> None:
    """Paints a disc, its edge pixels in proportion to what it covers of them."""
    corner = np.floor(centre - radius).astype(int) - 1
    x, y = (corner[:, None] + np.arange(int(2 * radius) + 5) + 0.5) - centre[:, None]
    cover = np.clip(radius + 0.5 - np.hypot(x, y[:, None]), 0, 1)
    picture.paste(colour, tuple(corner.tolist()), Image.fromarray((255 * cover).astype(np.uint8)))


def _number(picture: Image.Image, box: np.ndarray, number: int) -> None:
    """The face's number above its box, or in it where the photograph ends."""
    height = max(SMALLEST_NUMBER, NUMBER * box[2:].max())
    place = box[0] + box[2] / 2, max(box[1], height)
    font = ImageFont.load_default(size=height)
    ImageDraw.Draw(picture).text(
        place, str(number), fill=COLOUR, font=font, anchor="mb", stroke_width=max(1, round(height / 12)), stroke_fill=RIM
    )


def save_picture(picture: Image.Image, path: Path) -> None:
    """PNG or, by the suffix, JPEG; with the photograph's colour profile."""
    options = {"quality": 92, "subsampling": 0} if path.suffix.lower() in JPEG else {}
    picture.save(path, icc_profile=picture.info.get("icc_profile"), **options)


# Tables


def shown(path: Path) -> str:
    """A path as text; bytes in its name that are no UTF-8 as escapes."""
    return str(path).encode(errors="backslashreplace").decode()


def write_csv(path: Path, found: list[Annotated], names: tuple[str, ...]) -> None:
    """A row for each face: photo, the number of the face, its box, NAME_x and NAME_y of the keypoints; two decimals."""
    box, columns = ("x", "y", "width", "height"), [f"{name}_{axis}" for name in names for axis in "xy"]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["photo", "face", *(f"face_{name}" for name in box), *columns])
        for annotated in found:
            for number, (box, points) in enumerate(zip(annotated.boxes, annotated.keypoints, strict=True), start=1):
                rows.writerow([shown(annotated.photo), number, *(f"{value:.2f}" for value in [*box, *points.ravel()])])


def write_json(path: Path, found: list[Annotated], names: tuple[str, ...]) -> None:
    """A list of photographs, also those without a face and those that could not be read, each with its faces; two decimals."""
    path.write_text(json.dumps([_record(annotated, names) for annotated in found], indent=1) + "\n", encoding="utf-8")


def _record(annotated: Annotated, names: tuple[str, ...]) -> dict:
    if annotated.error:
        return {"photo": shown(annotated.photo), "error": annotated.error}
    boxes, keypoints = (np.round(values.astype(np.float64), 2).tolist() for values in (annotated.boxes, annotated.keypoints))
    return {
        "photo": shown(annotated.photo),
        "width": annotated.size[0],
        "height": annotated.size[1],
        "picture": shown(annotated.picture) if annotated.picture else None,
        "faces": [{"box": box, "keypoints": dict(zip(names, points, strict=True))} for box, points in zip(boxes, keypoints, strict=True)],
    }
