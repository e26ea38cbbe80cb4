"""The folder of a keypoint set: its files, its images by the names that label files give them, and the sizes of images."""

import os
import re
from collections import defaultdict
from functools import cached_property
from pathlib import Path, PurePosixPath

from pipeline.data.formats import photographs
from pipeline.data.labels import part_of
from pipeline.errors import InputError
from pipeline.units import printable

MOST_FILES = 2_000_000
DEEPEST = 12  # folders below the set's own
_REMARK = "Name the folder of one keypoint set."
# Tables and pictures that the pipeline itself publishes: its workspace may be in the folder of the set.
_RESULT = re.compile(r"(experiment|heldout|learningcurves|predictions|render|submission(-rendered)?)-[0-9a-f]{10}\.[a-zA-Z.]+")


class Folder:
    """A folder with images and label files, and the only files in it that are looked at.

    root: the folder. only: the label file that the user has named, relative to the folder; "" for all.

    Label files may name images in many ways: relative to the folder or to themselves, by the bare name, or by a path on another computer.
    Only images in the folder are ever found, so a path in a label file cannot lead out of it.
    """

    def __init__(self, root: Path, only: str = "") -> None:
        self.root, self.only = root, only

    @cached_property
    def files(self) -> tuple[str, ...]:
        """All files in the folder and below it, relative to it, with slashes, sorted; without hidden ones and results of this program.

        A link to a folder that contains it is left out too.

        Raises InputError if there are too many, or if the folder cannot be read.
        """
        found: list[str] = []
        todo: list[tuple[Path, str, frozenset[tuple[int, int]]]] = [(self.root, "", frozenset())]
        while todo:
            folder, prefix, above = todo.pop()
            try:
                status = folder.stat()
                if (status.st_dev, status.st_ino) in above:
                    continue
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as error:
                raise InputError(f"{printable(folder)} cannot be read: {(error.strerror or str(error)).lower()}. {_REMARK}") from None
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__MACOSX" or _RESULT.fullmatch(entry.name):
                    continue
                try:
                    is_folder, is_file = entry.is_dir(), entry.is_file()
                except OSError:  # a link that refers to itself, or a file that may not be looked at
                    continue
                if is_folder:
                    if prefix.count("/") < DEEPEST:
                        todo.append((Path(entry.path), f"{prefix}{entry.name}/", above | {(status.st_dev, status.st_ino)}))
                elif is_file:
                    found.append(prefix + entry.name)
            if len(found) > MOST_FILES:
                raise InputError(f"{printable(self.root)} has more than {MOST_FILES:,} files. {_REMARK}")
        return tuple(sorted(found))

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The files that are images by their suffixes."""
        readable = photographs.suffixes()
        return tuple(name for name in self.files if PurePosixPath(name).suffix.lower() in readable)

    def labels(self, *suffixes: str) -> tuple[str, ...]:
        """The files with one of these suffixes (lower case, with the dot), or of these the one that the user has named."""
        return tuple(name for name in self.files if name.lower().endswith(suffixes) and self.only in ("", name))

    def path(self, name: str) -> Path:
        """The path of a file of the folder."""
        return self.root / name

    def image(self, text: str, label: str, place: str) -> str:
        """The image that a label file names.

        text: what the label file says. label: the label file, relative to the folder. place: file and row, for messages.
        Raises InputError if there is no such image, or if there are several that the text could mean.
        """
        if found := self.find(text, label):
            return found
        raise InputError(
            f"{place}: there is no image {printable(text)[:200]} in {printable(self.root)}. Add the image, or remove its labels."
        )

    def find(self, text: str, label: str) -> str | None:
        """As `image`, but None if there is no such image. A text without a suffix can mean an image with any suffix."""
        parts = [part for part in text.strip().replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts:
            return None
        if ".." not in parts:
            for base in (PurePosixPath(label).parent, PurePosixPath()):
                if (name := str(base.joinpath(*parts))) in self._known:
                    return name
        alike = self._by_name.get(parts[-1].lower()) or self._by_stem.get(parts[-1], [])
        same = max((_agreement(parts, name) for name in alike), default=0)
        best = [name for name in alike if _agreement(parts, name) == same]
        if len(best) > 1 and (part := part_of(label)):  # annotations/train.json means images/train/1.jpg, not images/val/1.jpg
            best = [name for name in best if part_of(_parent(name)) == part] or best
        if len(best) > 1:
            raise InputError(
                f"{printable(label)} names the image {printable(text)[:200]}, which could be {best[0]} or {best[1]}. "
                "Write its path relative to the folder."
            )
        return best[0] if best else None

    def beside(self, label: str) -> str | None:
        """The image that belongs to a label file by its name: `images/train/1.jpg` to `labels/train/1.txt`, `1.txt` or `1.jpg.txt`.

        Of several, the one whose folders agree best with those of the label file. None if there is no such image.
        Raises InputError if there are several that fit equally well.
        """
        stem = _stem(label.rsplit("/", 1)[-1])
        alike = self._by_stem[stem] or [name for name in self._by_stem[_stem(stem)] if name.rsplit("/", 1)[-1] == stem]
        folders = _parent(label).split("/")
        shared = {name: _agreement(folders, _parent(name)) + _agreement(folders[::-1], _parent(name), -1) for name in alike}
        best = [name for name in alike if shared[name] == max(shared.values())]
        if len(best) > 1:
            raise InputError(f"{printable(label)} could belong to the image {best[0]} or to {best[1]}. Rename one of these and its labels.")
        return best[0] if best else None

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of an image of the folder, upright, pixels. Raises InputError if it cannot be read."""
        from pipeline.data.formats import images

        return images.size(self.path(name))

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.images)

    @cached_property
    def _by_name(self) -> defaultdict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name in self.images:
            found[name.rsplit("/", 1)[-1].lower()].append(name)
        return found

    @cached_property
    def _by_stem(self) -> defaultdict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name in self.images:
            found[_stem(name.rsplit("/", 1)[-1])].append(name)
        return found


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0]


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def _agreement(parts: list[str], name: str, step: int = 1) -> int:
    """The number of path components at the end that agree; with the step -1, for reversed parts, of those at the beginning."""
    own = name.split("/")[::step]
    count = 0
    while count < min(len(parts), len(own)) and parts[-1 - count].lower() == own[-1 - count].lower():
        count += 1
    return count
