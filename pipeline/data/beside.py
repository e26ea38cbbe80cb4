"""CSV files of the user's that say something about each image: its part of the set, its group, the boxes in it, the size of its pixels.

They name images as label files do, see `Folder.find`; further images that are `known`, such as those inside of a label file or outside of
the folder of the set, by their names.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.data.formats import cells
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.numbers import number, shown
from pipeline.data.labels import Instance, Part, part_of
from pipeline.errors import InputError
from pipeline.units import printable


@dataclass(frozen=True)
class Box:
    """A box around an instance: x, y, width and height in pixels. instance: its identifier in the label file; "" for the only one."""

    instance: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class _ImageRow:
    """A row. values: the columns besides that of the image. place: file and line."""

    image: str
    values: dict[str, str]
    place: str


def parts(path: Path, folder: Folder, known: Collection[str] = ()) -> dict[str, Part]:
    """Image -> part of the set. The file has the columns image and part: training (or train), validation (or val) or test.

    Raises InputError for a file without these columns, an unknown image, another part, and an image with two parts.
    """
    found: dict[str, Part] = {}
    for entry in _entries(path, folder, known, ("part",)):
        text = entry.values["part"]
        if not (part := part_of(text)):
            raise InputError(f"{entry.place}: {shown(text)} is no part; write training, validation or test.")
        if found.setdefault(entry.image, part) != part:
            raise InputError(f"{entry.place}: {printable(entry.image)} is in two parts. Remove one of its lines.")
    return found


def groups(path: Path, folder: Folder, known: Collection[str] = ()) -> dict[str, str]:
    """Image -> group of images that stay together. The file has the columns image and group.

    Raises InputError for a file without these columns, an unknown image, and an image with two groups.
    """
    found: dict[str, str] = {}
    for entry in _entries(path, folder, known, ("group",)):
        if found.setdefault(entry.image, entry.values["group"]) != entry.values["group"]:
            raise InputError(f"{entry.place}: {printable(entry.image)} is in two groups. Remove one of its lines.")
    return found


def boxes(path: Path, folder: Folder, known: Collection[str] = ()) -> dict[str, list[Box]]:
    """Image -> boxes in it. The file has the columns image, x, y, width and height, and may have the column instance.

    Raises InputError for a file without these columns, an unknown image, and values that are not those of a box.
    """
    found: dict[str, list[Box]] = {}
    for entry in _entries(path, folder, known, ("x", "y", "width", "height"), ("instance",)):
        x, y, width, height = (number(cells.decimal(entry.values[name]), entry.place, name) for name in ("x", "y", "width", "height"))
        if width <= 0 or height <= 0:
            raise InputError(f"{entry.place}: a box of {width:g} x {height:g} pixels is empty. Correct it.")
        found.setdefault(entry.image, []).append(Box(entry.values.get("instance", ""), (x, y, width, height)))
    return found


def boxed(instances: Sequence[Instance], given: Mapping[str, list[Box]], path: Path) -> tuple[Instance, ...]:
    """The instances with the boxes of a file, see `boxes`, instead of their own. Those of images without such boxes stay as they are.

    A box belongs to the instance that it names. Where an image has as many boxes as instances, and no box names one of them, they belong
    together in their order. Raises InputError, with the path of the file, for an instance without a box in an image with boxes.
    """
    count, order = Counter((one.image, one.source) for one in instances), Counter[tuple[str, str]]()
    known = {(one.image, one.id) for one in instances}
    found = []
    for one in instances:
        own, number = given.get(one.image, []), order[one.image, one.source]
        order[one.image, one.source] += 1
        named = {box.instance: box.box for box in own if box.instance}
        in_order = len(own) == count[one.image, one.source] and not any((one.image, name) in known for name in named)
        box = own[number].box if own and in_order else named.get(one.id)
        if own and box is None:
            raise InputError(
                f"{printable(path)} has no box of the instance {one.id} of {printable(one.image)}, which {printable(one.place)} labels. "
                "Add its box, and name the instances in the column instance."
            )
        found.append(replace(one, box=box or one.box))
    return tuple(found)


def scales(path: Path, folder: Folder, known: Collection[str] = ()) -> dict[str, float]:
    """Image -> millimetres per pixel. The file has the columns image and mm_per_pixel.

    Raises InputError for a file without these columns, an unknown image, and values that are not positive.
    """
    found: dict[str, float] = {}
    for entry in _entries(path, folder, known, ("mm_per_pixel",)):
        value = number(cells.decimal(entry.values["mm_per_pixel"]), entry.place, "mm_per_pixel")
        if value <= 0:
            raise InputError(f"{entry.place}: mm_per_pixel is {value:g} but must be positive. Correct it.")
        found[entry.image] = value
    return found


def _entries(
    path: Path, folder: Folder, known: Collection[str], needed: tuple[str, ...], others: tuple[str, ...] = ()
) -> Iterator[_ImageRow]:
    """The rows of a file, its images as the folder calls them."""
    rows = cells.rows(path)
    first = next(rows, None)
    header = [cell.lower().replace("-", "_") for cell in first.cells] if first else []
    if lacking := [name for name in ("image", *needed) if name not in header]:
        raise InputError(f"{printable(path)} has no column {lacking[0]}; its first line must have {', '.join(('image', *needed))}.")
    columns = {name: header.index(name) for name in ("image", *needed, *others) if name in header}
    names, outside = frozenset(known), {name.rsplit("/", 1)[-1]: name for name in known if name.startswith("../")}
    for row in rows:
        values = {name: row.cells[column] for name, column in columns.items()}
        text = values["image"]
        image = text if text in names else folder.find(text, "") or outside.get(text.rsplit("/", 1)[-1])
        if image is None:
            raise InputError(f"{row.place}: there is no image {shown(values['image'])} in {printable(folder.root)}. Correct the line.")
        yield _ImageRow(image, values, row.place)
