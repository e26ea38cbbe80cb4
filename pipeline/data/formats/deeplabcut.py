"""The CSV files of DeepLabCut and Lightning Pose: a row for each image, behind three header rows, or four if there are several individuals.

    scorer,me,me,me,me
    individuals,mouse1,mouse1,mouse2,mouse2
    bodyparts,nose,nose,nose,nose
    coords,x,y,x,y
    labeled-data/video/img01.png,77.25,36.5,,

The image is in one column or, since DeepLabCut 2.2, its path is in three. The skeleton is that of config.yaml, in the folder of the file or
above it. The .h5 file beside a CSV file has the same labels in pickles, which can run any code, so it is never opened. Files with a column
likelihood are predictions of these programs and are not read as labels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.data.formats import cells, documents, photographs, references, several, written
from pipeline.data.formats.folder import Folder
from pipeline.data.formats.numbers import check_near, shown
from pipeline.data.labels import Convention, Instance, LabelledImage, Labels, Part, Reading
from pipeline.errors import InputError
from pipeline.units import counted, printable

CONVENTION = Convention(
    first=0.0, upwards=False, visibility="A keypoint with empty cells is missing; there is no mark for occluded ones.", boxes=False
)
_LEVELS = ("scorer", "individuals", "bodyparts", "coords")
_NO_ANIMAL = "single"  # the individual that has the body parts which occur once in a multi-animal project, such as corners of the arena
_MOST_NAMED = 20  # individuals with names of their own in a file that is written


@dataclass(frozen=True)
class _LabelTable:
    """The content of a file.

    columns: individual ("" if the file has none) -> body part -> columns of x and y. index: the number of columns of the image.
    """

    columns: dict[str, dict[str, tuple[int, int]]]
    index: int
    rows: list[cells.TableRow]


def find(folder: Folder) -> tuple[str, ...]:
    """The CSV files with the header rows of DeepLabCut. Predictions are among them only if the user has named the file."""
    return tuple(file for file, predicted in _tables(folder).items() if not predicted or folder.only)


def _tables(folder: Folder) -> dict[str, bool]:
    """The CSV files of DeepLabCut, and whether they are predictions."""
    found = {}
    for file in folder.labels(".csv"):
        header = cells.first_rows(folder.path(file), len(_LEVELS))
        levels = {row[0].strip().lower(): row[1:] for row in header if row}
        if next(iter(levels), "") == _LEVELS[0] and "bodyparts" in levels:
            found[file] = "likelihood" in levels.get("coords", ())
    return found


def read(folder: Folder, files: tuple[str, ...], reading: Reading) -> Labels:
    """The labels of all files, which must have the same body parts. The individuals of an image are its instances.

    Raises InputError for a header or a row with a fault, for predictions, and for images that are missing.
    """
    images: dict[str, LabelledImage] = {}
    instances: dict[str, list[Instance]] = {}
    names: tuple[str, ...] = ()
    notes: list[str] = []
    parts = several.parts(files)
    for file in files:
        table = _read_table(folder, file)
        own, others = _body_parts(table)
        names = names or own
        several.check_names(names, own, files[0], file)
        if others:
            notes.append(f"{printable(file)}: body parts of no individual are left out: {', '.join(map(printable, others))}.")
        instances[file] = []
        for image, part, found in _labelled(table, folder, file, (names, parts[file]), reading.of(CONVENTION)):
            several.add_image(images, LabelledImage(image, part), file)
            instances[file] += found
    empty = len(images) - len({one.image for own in instances.values() for one in own})
    notes += [f"{counted(empty, 'image')} without a labelled keypoint."] if empty else []
    predictions = [file for file, predicted in _tables(folder).items() if predicted]
    notes += (
        [f"Not read, because they are predictions and not labels: {', '.join(map(printable, predictions[:5]))}."] if predictions else []
    )
    skeleton, fault = _skeleton(folder, files[0], names)
    notes += [fault] if fault else []
    own_images, sourced = tuple(images.values()), several.with_sources(instances)
    return Labels("deeplabcut", files, names, own_images, sourced, skeleton=skeleton, notes=tuple(notes))


def _read_table(folder: Folder, file: str) -> _LabelTable:
    rows = list(cells.rows(folder.path(file)))
    levels: dict[str, list[str]] = {}
    while rows and rows[0].cells[0].lower() in _LEVELS and rows[0].cells[0].lower() not in levels:
        row = rows.pop(0)
        levels[row.cells[0].lower()] = row.cells
    place = f"{printable(folder.path(file))}, header"
    if missing := [level for level in _LEVELS if level not in levels and level != "individuals"]:
        raise InputError(f"{place}: there is no row {missing[0]!r} among the first rows. Export the labels again.")
    coordinates = [cell.lower() for cell in levels["coords"]]
    if "likelihood" in coordinates:
        raise InputError(
            f"{printable(folder.path(file))} holds predictions, because it has a column likelihood. Name the file of the labels."
        )
    index = next((column for column, axis in enumerate(coordinates) if column and axis), len(coordinates))
    columns: dict[str, dict[str, dict[str, int]]] = {}
    for column in range(index, len(coordinates)):
        individual = levels["individuals"][column] if "individuals" in levels else ""
        part, axis = levels["bodyparts"][column], coordinates[column]
        if axis not in ("x", "y") or not part:
            raise InputError(
                f"{place}, column {column + 1}: {shown(axis)} of {shown(part)} is not x or y of a body part. Correct the header."
            )
        if axis in (axes := columns.setdefault(individual, {}).setdefault(part, {})):
            raise InputError(f"{place}: {axis} of the body part {shown(part)} occurs more than once. Remove one of the columns.")
        axes[axis] = column
    for parts in columns.values():
        for part, axes in parts.items():
            if len(axes) < 2:
                raise InputError(f"{place}: the body part {shown(part)} has only one of the columns x and y. Add the other.")
    if not columns:
        raise InputError(f"{place}: there are no columns of body parts. Export the labels again.")
    # pandas writes a row with the names of the index levels where they have any.
    if rows and not any(rows[0].cells[index:]) and PurePosixPath(rows[0].cells[index - 1]).suffix.lower() not in photographs.suffixes():
        rows.pop(0)
    pairs = {who: {part: (axes["x"], axes["y"]) for part, axes in parts.items()} for who, parts in columns.items()}
    return _LabelTable(pairs, index, rows)


def _body_parts(table: _LabelTable) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The body parts of individuals, and the others, which are left out."""
    animals = [parts for individual, parts in table.columns.items() if individual != _NO_ANIMAL] or list(table.columns.values())
    names = tuple(dict.fromkeys(part for parts in animals for part in parts))
    return names, tuple(part for part in table.columns.get(_NO_ANIMAL, {}) if part not in names)


def _labelled(
    table: _LabelTable, folder: Folder, file: str, what: tuple[tuple[str, ...], Part], convention: Convention
) -> Iterator[tuple[str, Part, list[Instance]]]:
    """Each image with its part of the set and its instances. what: the names of the keypoints, and the part."""
    names, part = what
    texts = ["/".join(cell for cell in row.cells[: table.index] if cell) for row in table.rows]
    for row, text in zip(table.rows, texts, strict=True):
        if not text:
            raise InputError(f"{row.place} names no image. Add its path, or remove the row.")
    images = references.images(folder, texts, file)
    for row, text in zip(table.rows, texts, strict=True):
        image = images[text]
        place, size, found = f"{row.place} ({printable(image)})", folder.size(image), []
        for number, (individual, parts) in enumerate(table.columns.items(), 1):
            own = tuple(name for name in names if name in parts)
            where = f"{place}, individual {shown(individual)}" if individual else place
            points = np.full((len(names), 2), np.nan)
            points[[names.index(name) for name in own]] = cells.points(
                [(row.cells[parts[name][0]], row.cells[parts[name][1]]) for name in own], own, where
            )
            keypoints = convention.inwards(points, size[1])
            check_near(keypoints, size, where, names)
            if not np.isnan(keypoints).all():
                found.append(Instance(image, individual or str(number), keypoints, np.zeros(len(names), bool), place=row.place))
        yield image, part, found


def _skeleton(folder: Folder, file: str, names: tuple[str, ...]) -> tuple[tuple[tuple[str, str], ...], str]:
    """The skeleton in the config.yaml that is nearest above a label file, and a note if that cannot be read (otherwise "")."""
    for parent in PurePosixPath(file).parents:
        config = str(parent / "config.yaml")
        if config in folder.files:
            try:
                content = documents.read_yaml(folder.path(config))
            except InputError as error:
                return (), f"Without a skeleton: {error}"
            lines = content.get("skeleton") if isinstance(content, dict) else None
            pairs = [line for line in lines if isinstance(line, list) and len(line) == 2] if isinstance(lines, list) else []
            return tuple((a, b) for a, b in pairs if a in names and b in names and a != b), ""
    return (), ""


def write(labels: Labels, folder: Folder, out: Path) -> None:
    """Writes the table `out` if that ends in .csv, otherwise the folder `out` with a table CollectedData_SOURCE.csv for each source.

    Several instances of an image become individuals. Predictions have the name of their model as the scorer, and no likelihoods, so that
    they are read as labels to be corrected. Boxes, parts of the set and occlusion are lost, because the format has none.
    Raises InputError for several annotation sources in one table.
    """
    written.write_tables(labels, out, lambda own: cells.table(_lines(labels, own)), prefix="CollectedData_")


def _lines(labels: Labels, own: Sequence[Instance]) -> Iterator[list[object]]:
    images = written.by_image(labels, own)
    individuals = _individuals(images)
    pairs = [(individual, name) for individual in individuals or [""] for name in labels.names for _ in "xy"]
    yield ["scorer", *[(own[0].source if own else "") or labels.model or "labels"] * len(pairs)]
    if individuals:
        yield ["individuals", *(individual for individual, _ in pairs)]
    yield ["bodyparts", *(name for _, name in pairs)]
    yield ["coords", *["x", "y"] * (len(pairs) // 2)]
    for image, found in images.items():
        placed: list[Instance | None] = [*found] if found else [None]
        if individuals:
            named = {one.id: one for one in found}
            by_id = set(named) <= set(individuals)
            placed = [named.get(individual) for individual in individuals] if by_id else [*found, *[None] * (len(individuals) - len(found))]
        line: list[object] = [image.name]
        for one in placed:
            points = CONVENTION.outwards(one.keypoints).ravel() if one else np.full(2 * len(labels.names), np.nan)
            line += ["" if np.isnan(value) else value for value in written.plain(points)]
        yield line


def _individuals(images: dict[LabelledImage, list[Instance]]) -> list[str]:
    """The individuals: the identifiers of the instances if they are a few names, numbers if an image has several instances, or none."""
    most = max((len(found) for found in images.values()), default=0)
    named = list(dict.fromkeys(one.id for found in images.values() for one in found))
    if any(not name.isdecimal() for name in named) and len(named) <= max(most, _MOST_NAMED):
        return named
    return [f"individual{number + 1}" for number in range(most)] if most > 1 else []
