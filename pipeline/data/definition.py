"""What a keypoint set is, as far as it is known before its images are read: its format, keypoints, groups, and which images are for what.

The graph of stages depends on the specialist groups, so it needs them before any stage has run. How a definition is found is in
`pipeline.data.defining`.
"""

import hashlib
import os
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.keypoints.definition import KeypointSet
from pipeline.units import counted

# The module that cuts the samples of an own set. Stages import it by name, so that its code concerns only own sets, not Kaggle's faces.
READER = "pipeline.data.ownset"
# Nanoseconds; longer than the resolution of the times of any file system (2 s on FAT).
RECENT = 2_500_000_000


@dataclass(frozen=True)
class Asked:
    """What the user says about a set on the command line; "" for what is not said.

    path: its folder or label file. keypoints: the file that completes or overrides what the labels say; "" is keypoints.toml in the folder,
    if there is one. format: the label format. category: the category of labels that have several. test: a folder with the images to
    predict. split: a CSV file with the columns image and part.
    """

    path: str
    keypoints: str = ""
    format: str = ""
    category: str = ""
    test: str = ""
    split: str = ""


@dataclass(frozen=True)
class Definition:
    """The definition of a set of the user's.

    format: the label format. files: the label files, relative to the folder of the set. labelled: the images that the label files mention
    and that are not test images. test: the images to predict. keypointset: the set; None if the labels cannot be read. settings: what else
    keypoints.toml says, by name, see `pipeline.data.defining`. notes: what a user should know about how the labels were understood. fault:
    why the labels cannot be read; "" if they can. root: the folder of the set. only: the label file that the user has named, relative to
    the folder; "" for all. order: for each keypoint of the set its number in the label files, from 0, see `pipeline.data.labels.arranged`.
    parts: the images that the user or the label files assign to a part, "training" or "validation"; {} if none is for validation.
    sources: the annotation sources; () if there is only one. instances: the largest number of instances in an image. around: what samples
    are cut around, see `pipeline.data.samples.framing`.
    """

    format: str
    files: tuple[str, ...] = ()
    labelled: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    keypointset: KeypointSet | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fault: str = ""
    root: str = ""
    only: str = ""
    order: tuple[int, ...] = ()
    parts: dict[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    instances: int = 0
    around: str = "image"

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the specialist groups; none if the labels cannot be read."""
        return tuple(self.keypointset.groups) if self.keypointset else ()

    @property
    def fixed(self) -> str:
        """What fixes the validation part, in words that follow "because"; "" if nothing does."""
        held_out = sum(part == "validation" for part in self.parts.values())
        if not held_out:
            return ""
        return f"the labels or the file of --dataset-split fix the validation part ({counted(held_out, 'image')})"

    def label_files(self, *, test: bool) -> tuple[str, ...]:
        """The label files. test: whether those that only label test images, by their names, are among them.

        Labels of test images are read only for their boxes, so that a new one retrains nothing.
        """
        from pipeline.data.labels import part_of

        return tuple(name for name in self.files if test or part_of(name) != "test") or self.files

    def image_files(self, *, test: bool) -> tuple[str, ...]:
        """The files of the test images, or of the labelled images; images that label files contain are none."""
        root = Path(self.root)
        return tuple(name for name in (self.test if test else self.labelled) if (root / name).exists())

    def plain(self) -> dict[str, Any]:
        """The definition as values that JSON takes."""
        return asdict(self)

    @classmethod
    def of_plain(cls, values: dict[str, Any]) -> "Definition":
        """The definition from the values of `plain`, also after they have been JSON.

        Raises TypeError, ValueError, KeyError, AttributeError or InputError if they are others.
        """
        found = _tuples(values)
        if found["keypointset"] is not None:
            found["keypointset"] = KeypointSet(**found["keypointset"])
        return cls(**found)


def _tuples(value: Any) -> Any:
    """The value with tuples for lists, in which form a definition has them."""
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def state(paths: tuple[Path, ...], now: int) -> str | None:
    """A hash of the names, sizes, times and inodes of files and of all files in folders, hidden ones left out.

    None if a folder cannot be read, or if one of the files was written shortly before the time `now`, in nanoseconds, or after it: it can
    change again without a change of its times.
    """
    digest, newest, seen = hashlib.sha256(), 0, set[tuple[int, int]]()
    todo = [str(path) for path in paths]
    try:
        while todo:
            path = todo.pop()
            try:
                status = os.stat(path)  # noqa: PTH116  # a Path for each of thousands of files takes a multiple of the time
            except FileNotFoundError:
                digest.update(f"{path!r} missing\n".encode())
                continue
            if stat.S_ISDIR(status.st_mode):
                if (status.st_dev, status.st_ino) not in seen:  # a link may lead back to a folder that contains it
                    seen.add((status.st_dev, status.st_ino))
                    with os.scandir(path) as entries:
                        todo += sorted(entry.path for entry in entries if not entry.name.startswith("."))
                continue
            newest = max(newest, status.st_mtime_ns, status.st_ctime_ns)
            digest.update(f"{path!r} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}\n".encode())
    except OSError:
        return None
    return digest.hexdigest() if now - newest > RECENT else None
