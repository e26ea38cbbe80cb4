"""Wide CSV tables: a row for each instance, a column with its image, and two columns, x and y, for each keypoint.

The coordinates of a keypoint are recognised by the names of their columns: `NAME_x, NAME_y` (or with a point, a hyphen or a space, or the
axis in front), `noseX, noseY`, `x1, y1` or `1_x, 1_y`. The column of the image is called image, file, path or the like, or is the first.
There may be columns of a box (`x, y, width, height`, `xmin, ymin, xmax, ymax`, also behind `bbox_`), of an identifier of the instance
(`instance`, `id`, ...) and of the part of the set (`split`, `part`, ...). Several rows of one image are several instances in it.

Integers are centres of pixels, as in OpenCV, whose functions wrote most of these tables, and in COCO; boxes go from edge to edge. y grows
downwards unless `Reading.upwards` says otherwise. Several files for the same images are annotation sources, in the order of their names.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.data.formats import cells, photographs, references, several, written
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.numbers import check_near, number, shown
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels, Part, Reading, part_of
from pipeline.errors import InputError
from pipeline.units import printable

CONVENTION = Convention(
    first=0.0, upwards=False, visibility="A keypoint with empty cells is missing; there is no mark for occluded ones.", boxes=True
)
_SUFFIX = re.compile(r"(?P<name>.*[^ _.:/-])(?:[ _.:/-]+(?P<axis>[xyXY])|(?<=[a-z0-9])(?P<camel>[XY]))|(?P<number>\d+)(?P<numbered>[xy])")
_PREFIX = re.compile(r"(?P<axis>[xyXY])(?:[ _.:-]+(?P<name>.+)|(?P<number>\d+))")
_IMAGE = {"image", "img", "picture", "photo", "file", "filename", "filepath", "path", "imagename", "imagepath", "imagefile", "imgpath"}
_INSTANCE = ("instance", "instance_id", "object", "object_id", "individual", "track", "track_id", "annotation_id", "id")
_PART = ("split", "part", "subset")
_BOXES = ("x y w h", "x y width height", "left top width height", "xmin ymin xmax ymax", "x_min y_min x_max y_max", "left top right bottom")
_BOX_PREFIXES = ("bbox_", "box_", "bb_", "")
# What else tables say of keypoints, behind or in front of their names.
_MORE = ("v", "vis", "visible", "visibility", "occluded", "occlusion", "likelihood", "score", "confidence", "conf", "z")


@dataclass(frozen=True)
class _Columns:
    """What the columns of a table are, by their positions. corners: whether the box has its right and lower edges instead of its size."""

    names: tuple[str, ...]
    points: tuple[tuple[int, int], ...]
    image: int
    box: tuple[int, ...] = ()
    corners: bool = False
    instance: int | None = None
    part: int | None = None
    others: tuple[str, ...] = ()


_PREDICTIONS = ["image", "instance", "keypoint", "x", "y"]  # the first columns of a table of predictions, which is no label file


def find(folder: Folder) -> tuple[str, ...]:
    """The CSV files with coordinates of keypoints in their header and an image in their first row."""
    return tuple(file for file in folder.labels(".csv", ".tsv") if _is_wide(folder, file))


def _is_wide(folder: Folder, file: str) -> bool:
    rows = cells.first_rows(folder.path(file), 2)
    if len(rows) < 2:
        return False
    header, first = ([cell.strip() for cell in row] for row in rows)
    if header[: len(_PREDICTIONS)] == _PREDICTIONS:
        return False
    pairs = _pairs(header, _box(header))
    image = _image_column(header, pairs)
    if image is None or image >= len(first) or not any(len(found) == 2 for found in pairs.values()):
        return False
    text = first[image].replace("\\", "/")
    is_named = PurePosixPath(text).suffix.lower() in photographs.suffixes()
    return is_named or (0 < len(text) < 1000 and bool(folder.images) and _is_image(folder, text, file))


def _is_image(folder: Folder, text: str, file: str) -> bool:
    try:
        return folder.find(text, file) is not None
    except InputError:  # several images could be meant
        return True


def _simple(header: list[str]) -> list[str]:
    return [re.sub(r"[ .:-]+", "_", cell.lower()) for cell in header]


def _box(header: list[str]) -> tuple[int, ...]:
    """The columns of a box; () if there is none."""
    simple = _simple(header)
    for prefix in _BOX_PREFIXES:
        for box in (*_BOXES, *(["x1 y1 x2 y2"] if prefix else [])):
            if all(prefix + edge in simple for edge in box.split()):
                return tuple(simple.index(prefix + edge) for edge in box.split())
    return ()


def _pairs(header: list[str], box: tuple[int, ...]) -> dict[str, dict[str, int]]:
    """Name of a keypoint -> axis -> column, in the order of the table. Columns x and y without a name are the keypoint 1."""
    found: dict[str, dict[str, int]] = {}
    for index, cell in enumerate(header):
        if index in box:
            continue
        match = _SUFFIX.fullmatch(cell) or _PREFIX.fullmatch(cell)
        groups = match.groupdict() if match else {"axis": cell, "name": ""} if cell in ("x", "y", "X", "Y") else {}
        if groups:
            name = groups["name"] or groups.get("number") or ""
            axis = groups["axis"] or groups.get("camel") or groups.get("numbered") or ""
            found.setdefault(name, {}).setdefault(axis.lower(), index)
    if list(found) == [""]:
        return {"1": found[""]}
    return found


def _image_column(header: list[str], pairs: dict[str, dict[str, int]]) -> int | None:
    taken = {index for found in pairs.values() for index in found.values()}
    named = [index for index, cell in enumerate(header) if index not in taken and re.sub(r"[^a-z]", "", cell.lower()) in _IMAGE]
    return named[0] if named else None if 0 in taken else 0


def _columns(header: list[str], place: str) -> _Columns:
    """Raises InputError if the header can be understood in several ways or in none."""
    if repeated := {cell for cell in header if header.count(cell) > 1}:
        raise InputError(f"{place}: the column {shown(min(repeated))} occurs more than once. Give each column a name of its own.")
    box = _box(header)
    pairs = _pairs(header, box)
    for name, found in pairs.items():
        if len(found) < 2 or not name:
            column, lacks = header[next(iter(found.values()))], "y" if "x" in found else "x"
            fault = f"has no column beside it with the same name for {lacks}" if name else "is the coordinate of a keypoint without a name"
            raise InputError(f"{place}: the column {shown(column)} {fault}. Rename the column, or remove it.")
    image = _image_column(header, pairs)
    if image is None or not pairs:
        raise InputError(f"{place} names no column of images and no columns x and y of keypoints. Name them, as in image,nose_x,nose_y.")
    simple, points = _simple(header), tuple((found["x"], found["y"]) for found in pairs.values())
    free = set(range(len(header))) - {image, *box, *(index for pair in points for index in pair)}
    more = {f"{simple_name}_{what}" for simple_name in _simple(list(pairs)) for what in _MORE}
    more |= {f"{what}{mark}{name}" for name in _simple(list(pairs)) for what in _MORE for mark in ("", "_")}
    if unclear := [header[index] for index in sorted(free) if simple[index] in more]:
        raise InputError(
            f"{place}: the column {shown(unclear[0])} says something of a keypoint other than x and y, which is not read. "
            "Remove the column, and empty the cells of keypoints that are not labelled."
        )
    instance = next((simple.index(name) for name in _INSTANCE if name in simple and simple.index(name) in free), None)
    part = next((simple.index(name) for name in _PART if name in simple and simple.index(name) in free), None)
    others = tuple(header[index] for index in sorted(free - {instance, part}))
    corners = bool(box) and simple[box[2]].endswith(("max", "right", "2"))
    return _Columns(tuple(pairs), points, image, box, corners, instance, part, others)


def read(folder: Folder, files: tuple[str, ...], reading: Reading) -> Labels:
    """The labels of all files, which must have the same keypoints. An image whose cells are all empty has no instance.

    Raises InputError for a header that is unclear, and for a row with a fault.
    """
    convention = reading.of(CONVENTION)
    labelled: dict[str, LabelledImage] = {}
    instances: dict[str, list[Instance]] = {}
    names: tuple[str, ...] = ()
    notes: list[str] = []
    empty = 0
    for file in files:
        table = cells.rows(folder.path(file))
        header = next(table, None)
        if header is None:
            raise InputError(f"{printable(folder.path(file))} is empty. Export the labels again.")
        columns = _columns(header.cells, header.place)
        names = names or columns.names
        several.check_names(names, columns.names, files[0], file)
        rows = _Rows(columns, list(table))
        images = references.images(folder, rows.texts(), file)
        for text, part in rows.parts(several.parts(files)[file]).items():
            several.add_image(labelled, LabelledImage(images[text], part), file)
        found = [rows.instance(index, images, folder, convention) for index in range(len(rows.rows))]
        order = [columns.names.index(name) for name in names]
        instances[file] = [several.reordered(one, order) for one in found if not np.isnan(one.keypoints).all()]
        empty += len(found) - len(instances[file])
        if columns.names == ("1", "2") and {"x1", "y1", "x2", "y2"} <= set(_simple(header.cells)):
            notes.append(f"{printable(file)}: x1, y1 and x2, y2 are taken for two keypoints. Corners of boxes are called xmin, ymin, ...")
        notes += [f"{printable(file)}: columns that are not used: {', '.join(map(printable, columns.others))}."] if columns.others else []
    return Labels(
        "wide_csv",
        files,
        names,
        tuple(labelled.values()),
        several.with_sources(instances),
        notes=(*notes, *written.unlabelled(empty)),
    )


class _Rows:
    """The rows of a table with these columns."""

    def __init__(self, columns: _Columns, rows: list[cells.TableRow]) -> None:
        self.columns, self.rows = columns, rows
        self._count: dict[str, int] = {}
        self._seen: set[tuple[str, str]] = set()

    def texts(self) -> Iterator[str]:
        """What the rows say of their images. Raises InputError for a row without an image."""
        for row in self.rows:
            if not (text := row.cells[self.columns.image]):
                raise InputError(f"{row.place} names no image. Add its name, or remove the row.")
            yield text

    def parts(self, default: Part) -> dict[str, Part]:
        """Image, as the rows name it -> the part of the set. Raises InputError for a part that is none."""
        found: dict[str, Part] = {}
        for row, text in zip(self.rows, self.texts(), strict=True):
            part = default
            if self.columns.part is not None:
                said = row.cells[self.columns.part]
                part = part_of(said) if said else ""
                if said and not part:
                    raise InputError(f"{row.place}: {shown(said)} is no part of a set. Write train, val or test, or leave the cell empty.")
            if found.setdefault(text, part) != part:
                raise InputError(f"{row.place}: the image {printable(text)} is in two parts of the set. Correct one of its rows.")
        return found

    def instance(self, index: int, images: dict[str, str], folder: Folder, convention: Convention) -> Instance:
        """The instance of a row. images: image, as the rows name it -> in the folder."""
        row, columns = self.rows[index], self.columns
        image = images[row.cells[columns.image]]
        place, size = f"{row.place} ({printable(image)})", folder.size(image)
        points = cells.points([(row.cells[x], row.cells[y]) for x, y in columns.points], columns.names, place)
        keypoints = convention.inwards(points, size[1])
        check_near(keypoints, size, place, columns.names)
        self._count[image] = self._count.get(image, 0) + 1
        identifier = (row.cells[columns.instance] if columns.instance is not None else "") or str(self._count[image])
        if (image, identifier) in self._seen:
            raise InputError(f"{place} is a second instance {shown(identifier)} of its image. Give each instance an identifier of its own.")
        self._seen.add((image, identifier))
        box = self._box(row, place)
        if box is not None and convention.upwards:
            box = (box[0], size[1] - box[1] - box[3], box[2], box[3])
        return Instance(image, identifier, keypoints, np.zeros(len(keypoints), bool), box, place=row.place)

    def _box(self, row: cells.TableRow, place: str) -> tuple[float, float, float, float] | None:
        found = [row.cells[index] for index in self.columns.box]
        if all(map(cells.is_missing, found)):
            return None
        edges = ("left", "upper", "right", "lower") if self.columns.corners else ("left", "upper")
        whats = [f"the {edge} edge of the box" for edge in edges] + ["the width of the box", "the height of the box"]
        x, y, width, height = (number(cells.decimal(cell), place, what) for cell, what in zip(found, whats, strict=False))
        if self.columns.corners:
            width, height = width - x, height - y
        if width <= 0 or height <= 0:
            raise InputError(f"{place}: the box is {width:g} pixels wide and {height:g} high. Correct it, or empty its cells.")
        return x, y, width, height


def write(labels: Labels, folder: Folder, out: Path) -> None:
    """Writes the table `out` if that ends in .csv, otherwise the folder `out` with a table for each annotation source.

    An image without an instance has a row without numbers. Raises InputError for several sources in one table.
    """
    written.write_tables(labels, out, lambda own: cells.table(_lines(labels, own)))


def _lines(labels: Labels, own: Sequence[Instance]) -> list[list[object]]:
    """The rows of the table of some of the instances, with the columns that the labels need."""
    identified = any(one.id != "1" for one in labels.instances)
    divided = any(image.part for image in labels.images)
    boxed = any(one.box for one in labels.instances)

    def line(image: object, instance: object, part: object, box: Sequence[object], points: Sequence[object]) -> list[object]:
        return [image, *[instance] * identified, *[part] * divided, *(box if boxed else ()), *points]

    edges = [f"box_{edge}" for edge in ("x", "y", "width", "height")]
    lines = [line("image", "instance", "part", edges, [f"{name}_{axis}" for name in labels.names for axis in "xy"])]
    for image, found in written.by_image(labels, own).items():
        for one in found:
            points = ["" if np.isnan(value) else value for value in written.plain(CONVENTION.outwards(one.keypoints).ravel())]
            lines.append(line(image.name, one.id, image.part, written.plain(one.box) if one.box else [""] * 4, points))
        if not found:
            lines.append(line(image.name, "", image.part, [""] * 4, [""] * 2 * len(labels.names)))
    return lines
